"""The truth about solutions, held against mutated solutions and against a second evaluation written differently."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.arith.oracle import first_error, line, solve
from data.arith.world import LEVELS, Fact, apply, problem, read
from data.records import NO_ERROR

#       Ann 12, Ben 5, Cat 12 - 5 = 7, Dan 7 + 5 = 12, Eve max(7, 12) = 12, Fay 12 / 4 = 3 (idle), Gus 12 mod 5 = 2
TEXT = (
    "Today Ann has 12 eggs. Ben has 5 eggs. Cat has as many as Ann has beyond Ben. Dan has as many as Cat and Ben "
    "together. Eve has as many as the richer of Cat and Dan. Fay has one of 4 equal shares of what Ann has. "
    "Gus has what is left when Eve fills bags of 5. Hal has 3 times as many as Gus. How many does Hal have?"
)
RIGHT = (
    "So Cat: Ann - Ben = 12 - 5 = 7.",
    "So Dan: Cat + Ben = 7 + 5 = 12.",
    "So Eve: Cat max Dan = 7 max 12 = 12.",
    "So Gus: Eve mod 5 = 12 mod 5 = 2.",
    "So Hal: Gus * 3 = 2 * 3 = 6.",
    "The answer is 6.",
)

cases = st.tuples(st.sampled_from(list(LEVELS)), st.integers(0, 10**6), st.randoms(use_true_random=False))


def with_line(index: int, text: str) -> list[str]:
    return [*RIGHT[:index], text, *RIGHT[index + 1 :]]


def brute(text: str, step: str) -> bool:
    """Whether a step is right, by words and arithmetic instead of patterns and rules read from the text."""
    words = step.replace(":", " :").removesuffix(".").split(" ")
    story = read(text)
    known = story.values()
    if words[:3] == ["The", "answer", "is"]:
        return step.endswith(".") and words[3:] == [str(known[story.asked])]
    if len(words) != 12 or not step.endswith(".") or [words[at] for at in (0, 2, 6, 10)] != ["So", ":", "=", "="]:
        return False
    name, a, op, b, x, again, y, said = (words[at] for at in (1, 3, 4, 5, 7, 8, 9, 11))
    sums = {
        "+": lambda p, q: p + q,
        "-": lambda p, q: p - q,
        "*": lambda p, q: p * q,
        "/": lambda p, q: p / q if q else 0,
        "mod": lambda p, q: p - q * (p // q) if q else 0,
        "max": lambda p, q: (p + q + abs(p - q)) // 2,
    }
    sides = {f"{a} {op} {b}", f"{b} {op} {a}"} if op in ("+", "max") else {f"{a} {op} {b}"}
    rule = story.facts.get(name)
    if rule is None or a.isdigit() or op not in sums or f"{rule.a} {rule.op} {rule.b}" not in sides or op != again:
        return False
    p, q = (known.get(who, who) for who in (a, b))
    if [str(p), str(q)] != [x, y] or said != str(known[name]):
        return False
    return bool(sums[op](int(x), int(y)) == int(said))


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
        (0, "So Cat: Ann - Ben = 12 - 5 = 8."),  # wrong result
        (0, "So Cat: Ann - Ben = 12 - 6 = 7."),  # wrong quantity put in
        (0, "So Cat: Ann - Ben = 12 - 6 = 6."),  # and carried on
        (0, "So Cat: Ben - Ann = 12 - 5 = 7."),  # people the wrong way round
        (0, "So Cat: Ben - Ann = 5 - 12 = 7."),
        (0, "So Cat: Ann - Cat = 12 - 5 = 7."),  # wrong person
        (0, "So Dan: Ann - Ben = 12 - 5 = 7."),  # right sum, for somebody else
        (0, "So Cat: Ann + Ben = 12 + 5 = 17."),  # wrong rule
        (0, "So Cat: Ann - Ben = 12 + 5 = 7."),  # the rule is changed on the way
        (0, "So Cat: Ann - 5 = 12 - 5 = 7."),  # the number, not the person it stands for
        (1, "So Dan: Ann max Ben = 12 max 5 = 12."),  # the right number by a wrong rule
        (2, "So Eve: Dan + 0 = 12 + 0 = 12."),
        (3, "So Gus: Eve mod Ben = 12 mod 5 = 2."),  # the right number by somebody else's quantity
        (4, "So Hal: 3 * Gus = 3 * 2 = 6."),  # not a sentence of the world: those begin with a person
        (0, "So Ann: Ann - Ben = 12 - 5 = 7."),  # told, not worked out
        (0, "So Zed: Ann - Ben = 12 - 5 = 7."),
        (0, "Cat has 7."),
        (0, "So Cat: Ann - Ben = 12 - 5 = 7"),
        (0, "So Cat: Ann - Ben = 12 - 5 = 7. So Dan: Cat + Ben = 7 + 5 = 12."),  # two sentences in one step
        (0, "So Cat: Ann - Ben = 12 - 5 = 07 ."),
        (5, "The answer is 7."),
        (5, "The answer is six."),
        (5, f"The answer is {'6' * 6000}."),
        (4, f"So Hal: Gus * 3 = 2 * {'3' * 6000} = 6."),
        (0, ""),
        (0, "\0"),
        (0, "So Cat: " + "Ann - " * 50_000),
    ],
)
def test_a_wrong_line_is_the_first_error(index: int, text: str) -> None:
    assert first_error(TEXT, with_line(index, text)) == index


@pytest.mark.parametrize(
    "steps",
    [
        [*RIGHT[:1], *RIGHT[2:]],  # a step left out: those that remain are true
        [*RIGHT[:3], RIGHT[0], *RIGHT[3:]],  # said twice
        ["So Fay: Ann / 4 = 12 / 4 = 3.", *RIGHT],  # true, not needed
        [RIGHT[1], RIGHT[0], *RIGHT[2:]],  # out of order
        RIGHT[:3],  # not finished
        ["The answer is 6."],
        with_line(1, "So Dan: Ben + Cat = 5 + 7 = 12."),  # commuted
        with_line(2, "So Eve: Dan max Cat = 12 max 7 = 12."),
        [f"{step}\n\n" for step in RIGHT],
        [f"\n {step}\t\n" for step in RIGHT],
        [],
    ],
)
def test_what_is_true_is_no_error(steps: list[str]) -> None:
    assert first_error(TEXT, steps) == NO_ERROR


def test_operands_commute_together_or_not_at_all() -> None:
    assert first_error(TEXT, with_line(1, "So Dan: Ben + Cat = 7 + 5 = 12.")) == 1


def test_a_slip_repaired_later_is_still_the_first_error() -> None:
    steps = [*RIGHT[:1], "So Dan: Cat + Ben = 7 + 5 = 13.", *RIGHT[1:]]
    assert first_error(TEXT, steps) == 1


def test_a_slip_carried_on_is_blamed_where_it_was_made() -> None:
    steps = [
        *RIGHT[:3],
        "So Gus: Eve mod 5 = 12 mod 5 = 3.",
        "So Hal: Gus * 3 = 3 * 3 = 9.",
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
        case 3 if len(words) > 10:  # both sides swapped alike
            words[2], words[4], words[6], words[8] = words[4], words[2], words[8], words[6]
    return " ".join(words)


@given(st.lists(st.text(max_size=80), min_size=1, max_size=5))
def test_any_other_text_is_wrong_at_its_first_step(steps: list[str]) -> None:
    assert first_error(TEXT, steps) == 0


@given(cases)
def test_another_result_by_the_right_rule_is_wrong(case: tuple[str, int, random.Random]) -> None:
    level, index, rng = case
    text = problem(level, index).text
    story = read(text)
    values = story.values()
    name, fact = rng.choice(list(story.facts.items()))
    for op in "+-*":
        if op != fact.op and apply(op, 1, 1) is not None:
            assert first_error(text, [line(name, Fact(op, fact.a, fact.b), values)]) == 0


@pytest.mark.parametrize(
    "text", ["", "What is 2 + 2?", "Ann has 3 eggs. Ben has 4 more than Zed. How many does Ben have?"]
)
def test_a_problem_of_another_world_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not a problem of the arith world"):
        first_error(text, ["The answer is 4."])
