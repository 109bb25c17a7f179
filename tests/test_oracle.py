"""The truth about solutions, held against mutated solutions and against a second evaluation written differently."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.arith.oracle import first_error, line, mended, solve
from data.arith.world import LEVELS, Fact, problem, read
from data.records import NO_ERROR

#       Ann 12, Ben 5, Cat 12 - 5 = 7, Dan 7 + 5 = 12, Eve max(7, 12) = 12, Fay 12 / 4 = 3 (idle), Gus 12 mod 5 = 2
TEXT = (
    "How many eggs? Ann 12. Ben 5. Cat has as many as Ann has beyond Ben. Dan has as many as Cat and Ben together. "
    "Eve has as many as the richer of Cat and Dan. Fay has one of 4 equal shares of what Ann has. "
    "Gus has what is left when Eve fills bags of 5. Hal has 3 times as many as Gus. How many does Hal have?"
)
RIGHT = (
    "So Cat: Ann 12 - Ben 5 = Cat 7.",
    "So Dan: Cat 7 + Ben 5 = Dan 12.",
    "So Eve: Cat 7 max Dan 12 = Eve 12.",
    "So Gus: Eve 12 mod 5 = Gus 2.",
    "So Hal: Gus 2 * 3 = Hal 6.",
    "The answer is 6.",
)

cases = st.tuples(st.sampled_from(list(LEVELS)), st.integers(0, 10**6), st.randoms(use_true_random=False))


SUMS: dict[str, Callable[[int, int], float]] = {
    "+": lambda p, q: p + q,
    "-": lambda p, q: p - q,
    "*": lambda p, q: p * q,
    "/": lambda p, q: p / q,
    "mod": lambda p, q: p - q * (p // q),
    "max": lambda p, q: (p + q + abs(p - q)) // 2,
}


def with_line(index: int, text: str) -> list[str]:
    return [*RIGHT[:index], text, *RIGHT[index + 1 :]]


def brute(text: str, step: str) -> bool:
    """Whether a step is right, by words and arithmetic instead of patterns and rules read from the text."""
    if not step.endswith("."):
        return False
    words = step.removesuffix(".").replace(":", " :").split(" ")
    story = read(text)
    known = story.values()
    if words[:3] == ["The", "answer", "is"]:
        return words[3:] == [str(known[story.asked])]
    if words[0] != "So" or words[2:3] != [":"] or words.count("=") != 1:
        return False
    name, middle, end = words[1], words.index("="), words[-2:]
    op = next((word for word in words[3:middle] if word in SUMS), "")
    rule = story.facts.get(name)
    if rule is None or op != rule.op or end != [name, str(known[name])] or len(words) != middle + 3:
        return False
    at = words.index(op)
    sides = [" ".join(words[3:at]), " ".join(words[at + 1 : middle])]
    said = [f"{who} {known[who]}" if who in known else who for who in (rule.a, rule.b)]
    if sides != said and not (op in ("+", "max") and sides[::-1] == said):
        return False
    x, y = (int(side.split(" ")[-1]) for side in sides)
    return bool(SUMS[op](x, y) == int(end[1]))


def test_a_right_solution_has_no_error() -> None:
    assert first_error(TEXT, RIGHT) == NO_ERROR
    assert solve(read(TEXT), frozenset({"Fay"})) == list(RIGHT)


@given(cases)
def test_plain_solutions_have_no_error_with_or_without_the_idle_steps(case: tuple[str, int, random.Random]) -> None:
    level, index, _ = case
    text = problem(level, index).text
    story = read(text)
    idle = frozenset(story.facts) - story.needed()
    for skip in (frozenset[str](), idle):
        assert first_error(text, solve(story, skip)) == NO_ERROR


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (0, "So Cat: Ann 12 - Ben 5 = Cat 8."),  # wrong result
        (0, "So Cat: Ann 12 - Ben 6 = Cat 7."),  # wrong quantity put in
        (0, "So Cat: Ann 12 - Ben 6 = Cat 6."),  # and carried on
        (0, "So Cat: Ben 5 - Ann 12 = Cat 7."),  # people the wrong way round
        (0, "So Cat: Ben 12 - Ann 5 = Cat 7."),
        (0, "So Cat: Ann 12 - Cat 5 = Cat 7."),  # wrong person
        (0, "So Dan: Ann 12 - Ben 5 = Dan 7."),  # a true sum, for somebody else
        (0, "So Cat: Ann 12 - Ben 5 = Dan 7."),  # and said of somebody else
        (0, "So Cat: Ann 12 + Ben 5 = Cat 17."),  # wrong rule
        (0, "So Cat: Ann 12 - 5 = Cat 7."),  # the number without the person whose it is
        (0, "So Cat: 12 - 5 = Cat 7."),
        (3, "So Gus: Eve 12 mod Ben 5 = Gus 2."),  # a person where the rule has a number
        (1, "So Dan: Ann 12 max Ben 5 = Dan 12."),  # the right number by a wrong rule
        (2, "So Eve: Dan 12 + 0 = Eve 12."),
        (4, "So Hal: Gus 2 + Gus 2 = Hal 6."),
        (4, "So Hal: 3 * Gus 2 = Hal 6."),  # times is said the one way round
        (0, "So Ann: Ann 12 - Ben 5 = Ann 7."),  # told, not worked out
        (0, "So Zed: Ann 12 - Ben 5 = Zed 7."),
        (0, "Cat has 7."),
        (0, "So Cat: Ann 12 - Ben 5 = Cat 7"),
        (0, "So Cat: Ann 12 - Ben 5 = Cat 7. So Dan: Cat 7 + Ben 5 = Dan 12."),  # two sentences in one step
        (0, "So Cat:  Ann 12 - Ben 5 = Cat 7."),
        (0, "So Cat: Ann \u0661\u0662 - Ben 5 = Cat 7."),  # digits of another script
        (5, "The answer is 7."),
        (5, "The answer is six."),
        (5, f"The answer is {'6' * 6000}."),
        (4, f"So Hal: Gus 2 * {'3' * 6000} = Hal 6."),
        (0, ""),
        (0, "\0"),
        (0, "So Cat: " + "Ann 12 - " * 50_000),
    ],
)
def test_a_wrong_line_is_the_first_error(index: int, text: str) -> None:
    assert first_error(TEXT, with_line(index, text)) == index


@pytest.mark.parametrize(
    "steps",
    [
        [*RIGHT[:1], *RIGHT[2:]],  # a step left out: those that remain are true
        [*RIGHT[:3], RIGHT[0], *RIGHT[3:]],  # said twice
        ["So Fay: Ann 12 / 4 = Fay 3.", *RIGHT],  # true, not needed
        [RIGHT[1], RIGHT[0], *RIGHT[2:]],  # out of order
        RIGHT[:3],  # not finished
        ["The answer is 6."],
        with_line(1, "So Dan: Ben 5 + Cat 7 = Dan 12."),  # commuted
        with_line(2, "So Eve: Dan 12 max Cat 7 = Eve 12."),
        [f"{step}\n\n" for step in RIGHT],
        [f"\n {step}\t\n" for step in RIGHT],
        [],
    ],
)
def test_what_is_true_is_no_error(steps: list[str]) -> None:
    assert first_error(TEXT, steps) == NO_ERROR


def test_operands_commute_with_their_quantities_or_not_at_all() -> None:
    assert first_error(TEXT, with_line(1, "So Dan: Ben 7 + Cat 5 = Dan 12.")) == 1


def test_a_slip_repaired_later_is_still_the_first_error() -> None:
    steps = [*RIGHT[:1], "So Dan: Cat 7 + Ben 5 = Dan 13.", *RIGHT[1:]]
    assert first_error(TEXT, steps) == 1


def test_a_slip_carried_on_is_blamed_where_it_was_made() -> None:
    steps = [
        *RIGHT[:3],
        "So Gus: Eve 12 mod 5 = Gus 3.",
        "So Hal: Gus 3 * 3 = Hal 9.",
        "The answer is 9.",
    ]
    assert first_error(TEXT, steps) == 3
    assert first_error(TEXT, steps[4:]) == 0  # without its cause, the step is wrong by itself


@given(cases)
def test_a_changed_digit_is_found_where_it_was_changed(case: tuple[str, int, random.Random]) -> None:
    level, index, rng = case
    text = problem(level, index).text
    steps = solve(read(text))
    at = rng.randrange(len(steps))
    digits = [place for place, c in enumerate(steps[at]) if c.isdigit()]
    place = rng.choice(digits)
    other = rng.choice([d for d in "0123456789" if d != steps[at][place]])
    steps[at] = steps[at][:place] + other + steps[at][place + 1 :]
    assert first_error(text, steps) == at


@given(cases)
def test_mutations_are_judged_as_by_the_second_evaluation(case: tuple[str, int, random.Random]) -> None:
    level, index, rng = case
    text = problem(level, index).text
    story = read(text)
    steps = [mutated(step, rng, [*story.told, *story.facts]) for step in solve(story)]
    rng.shuffle(steps)
    truths = [brute(text, step) for step in steps]
    assert first_error(text, steps) == (truths.index(False) if False in truths else NO_ERROR)


def mutated(step: str, rng: random.Random, people: list[str]) -> str:
    """Return the step with a word changed, two swapped, one dropped, or (mostly) as it was."""
    words = step.split(" ")
    at, other = rng.randrange(len(words)), rng.randrange(len(words))
    match rng.randrange(8):
        case 0:
            words[at] = rng.choice([*people, *"+-*/", "mod", "max", str(rng.randint(0, 99)), "="])
        case 1:
            words[at], words[other] = words[other], words[at]
        case 2:
            del words[at]
        case 3 if len(words) == 10:  # two people and their quantities change places
            words[2:7] = [*words[5:7], words[4], *words[2:4]]
    return " ".join(words)


@given(st.lists(st.text(max_size=80), min_size=1, max_size=5))
def test_any_other_text_is_wrong_at_its_first_step(steps: list[str]) -> None:
    assert first_error(TEXT, steps) == 0


@given(cases)
def test_another_rule_is_wrong_whatever_it_gives(case: tuple[str, int, random.Random]) -> None:
    level, index, rng = case
    text = problem(level, index).text
    story = read(text)
    name, fact = rng.choice(list(story.facts.items()))
    for op in {"+", "-", "*", "mod", "max"} - {fact.op}:
        assert first_error(text, [line(name, Fact(op, fact.a, fact.b), story.values())]) == 0


@pytest.mark.parametrize("text", ["", "What is 2 + 2?", "Ann 3. Ben has 4 more than Zed. How many does Ben have?"])
def test_a_problem_of_another_world_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not a problem of the arith world"):
        first_error(text, ["The answer is 4."])


def test_a_step_is_mended_to_the_true_sentence_about_what_it_is_about() -> None:
    text = "How many eggs? Ann 14. Ben has 5 more than Ann. How many does Ben have?"
    right = "So Ben: Ann 14 + 5 = Ben 19."
    assert mended(text, ["So Ben: Ann 13 - 2 = Ben 11.\n\n"], 0) == right
    assert mended(text, [right, "The answer is 3."], 1) == "The answer is 19."
    assert mended(text, ["So Ben: 5 + Ann 14 = Ben 19."], 0) == "So Ben: 5 + Ann 14 = Ben 19."
    assert mended(text, ["So Ann: what?"], 0) == "So Ann: ?."
    assert mended(text, ["Hello."], 0) is None


def test_what_nobody_has_stated_is_not_made_up_when_a_step_is_mended() -> None:
    text = (
        "How many eggs? Ann 14. Ben has 5 more than Ann. Cat has 2 times as many as Ben. Dan has as many as Cat and "
        "Ann together. How many does Dan have?"
    )
    assert mended(text, ["So Cat: Ben 12 * 2 = Cat 24."], 0) == "So Cat: Ben ? * 2 = Cat ?."
    assert mended(text, ["So Ben: Ann 14 + 5 = Ben 19.", "So Dan: Cat 9 + Ann 14 = Dan 23."], 1) == (
        "So Dan: Cat ? + Ann 14 = Dan ?."
    )
    assert mended(text, ["So Ben: Ann 14 + 5 = Ben 19.", "The answer is 9."], 1) == "The answer is ?."
    assert mended(text, ["So Cat: Ben 19 * 2 = Cat 38."], 0) == "So Cat: Ben 19 * 2 = Cat 38."  # true by luck
