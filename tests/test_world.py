"""Problems of the embedded world: their sizes and quantities, and that a text says all there is to know."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.arith.world import (
    LARGEST,
    LEVELS,
    NAMES,
    PHRASES,
    Fact,
    Split,
    Story,
    apply,
    practice,
    problem,
    problems,
    read,
)

PRACTICES = st.randoms(use_true_random=False)
levels = st.sampled_from(list(LEVELS))
indices = st.integers(0, 2**40)
splits = st.sampled_from(("train", "test"))


@given(levels, indices, splits)
def test_a_level_counts_the_operations_on_the_way_to_the_answer(level: str, index: int, split: Split) -> None:
    story = read(problem(level, index, split).text)
    low, high = LEVELS[level]
    assert low <= len(story.needed() & story.facts.keys()) <= high


@given(levels, indices, splits)
def test_all_quantities_are_small_and_the_gold_answer_follows(level: str, index: int, split: Split) -> None:
    made = problem(level, index, split)
    story = read(made.text)
    values = story.values()
    assert all(1 <= value <= LARGEST for value in values.values())
    assert str(values[story.asked]) == made.gold
    assert (made.dataset, made.level) == ("arith", level)


@given(levels, indices)
def test_nobody_has_two_quantities_and_everyone_follows_from_people_before(level: str, index: int) -> None:
    text = problem(level, index).text
    story = read(text)
    assert not story.told.keys() & story.facts.keys()
    assert len(story.told) + len(story.facts) == text.count(".")  # one sentence a person, none lost
    known = set(story.told)
    for name, fact in story.facts.items():
        assert fact.a in known
        assert fact.b in known or fact.b.isdigit()
        known.add(name)
    assert known <= set(NAMES)


@given(PRACTICES)
def test_practice_is_read_like_a_problem(rng: random.Random) -> None:
    story = read(practice(rng))
    assert all(1 <= value <= LARGEST for value in story.values().values())


@given(levels, indices)
def test_no_fact_is_idle_arithmetic(level: str, index: int) -> None:
    """A remainder of something smaller than the bag, or somebody compared with himself, would teach nothing."""
    story = read(problem(level, index).text)
    values = story.values()
    for name, fact in story.facts.items():
        assert fact.a != fact.b
        assert fact.op != "mod" or values[name] != values[fact.a]


@given(st.sampled_from(list(PHRASES)), st.integers(2, 9))
def test_reading_inverts_telling(kind: tuple[str, str], number: int) -> None:
    op, what = kind
    b = "Ben" if what == "person" else str(number)
    text = f"How many eggs? Ann 36. Ben 7. {PHRASES[kind].format(x='Cat', a='Ann', b=b)} How many does Cat have?"
    assert read(text) == Story({"Ann": 36, "Ben": 7}, {"Cat": Fact(op, "Ann", b)}, "Cat")


def test_problems_are_reproducible_distinct_and_apart_by_split() -> None:
    tests, trains = list(problems(None, 300)), list(problems(None, 300, "train"))
    assert tests == list(problems(None, 300))
    everything = tests + trains
    assert len({p.id for p in everything}) == len({p.text for p in everything}) == 600


def test_more_problems_begin_with_the_fewer_and_a_start_goes_on() -> None:
    made = list(problems(None, 30))
    assert made[:10] == list(problems(None, 10))
    assert made[10:] == list(problems(None, 20, start=10))
    assert Counter(p.level for p in made) == dict.fromkeys(LEVELS, 10)
    assert {p.level for p in problems("hard", 5)} == {"hard"}


def test_the_world_is_varied() -> None:
    stories = [read(p.text) for p in problems(None, 300)]
    kinds = Counter((f.op, "number" if f.b.isdigit() else "person") for s in stories for f in s.facts.values())
    assert set(kinds) == set(PHRASES)
    idle = [set(s.told) | set(s.facts) > s.needed() for s in stories]
    assert 0.2 < sum(idle) / len(idle) < 0.95  # distractors are common, not certain
    answers = Counter(str(s.values()[s.asked]) for s in stories)
    assert answers.most_common(1)[0][1] < 30


@pytest.mark.parametrize(
    "text",
    [
        "",
        "How many does Ann have?",
        "Ann 3. How many does Ann have?",  # no operation
        "Ann 3. Ben has 4 more than Ann.",  # no question
        "Ann 3. Ben has 4 more than Zed. How many does Ben have?",  # nobody told of Zed
        "Ann 3. Ben has 4 more than Ann. How many does Zed have?",
        "Ann 3. Ben has some more than Ann. How many does Ben have?",
        "Ann 3. Ben has one of 0 equal shares of what Ann has. How many does Ben have?",
        "Ann 3. Ben has 4 more than Cat. Cat has 4 more than Ben. How many does Cat have?",
        f"Ann {'9' * 5000}. Ben has 4 more than Ann. How many does Ben have?",
        "Scripted problem 0123456789abcdef: carry the load through 3 steps.",
        "Ann \0.",
        "Aa has " * 20_000,
        "Aa 3" * 20_000,
    ],
)
def test_a_text_that_is_not_of_this_world_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a problem of the arith world"):
        read(text)


@pytest.mark.parametrize(
    ("op", "a", "b", "result"),
    [
        *[("+", 3, 4, 7), ("-", 3, 4, -1), ("*", 3, 4, 12), ("/", 12, 4, 3), ("/", 13, 4, 0), ("mod", 13, 4, 1)],
        ("max", 3, 4, 4),
    ],
)
def test_the_operations(op: str, a: int, b: int, result: int) -> None:
    assert apply(op, a, b) == result


def test_an_unknown_operation_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown operation"):
        apply("^", 2, 3)
