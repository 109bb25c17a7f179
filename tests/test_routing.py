"""Which copy is asked: a problem's own while it keeps up, another where it does not."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipeline.routing import FEW, SLACK, choose

COPIES = ("a", "b", "c", "d")


@given(st.text(max_size=20), st.dictionaries(st.sampled_from(COPIES), st.integers(0, FEW - 1)))
def test_a_problem_keeps_its_copy_while_that_is_not_busy(problem: str, flying: dict[str, int]) -> None:
    assert choose(problem, COPIES, flying) == choose(problem, COPIES, {})


def test_problems_are_spread_and_a_second_attempt_goes_elsewhere() -> None:
    own = Counter(choose(f"problem {number}", COPIES, {}) for number in range(1000))
    assert min(own.values()) > 150
    assert len({choose("one", COPIES, {}, attempt) for attempt in range(4)}) == 4


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4), st.text(max_size=5))
def test_there_is_always_one_and_none_gets_more_than_its_share(loads: list[int], problem: str) -> None:
    flying = dict(zip(COPIES, loads, strict=True))
    chosen = choose(problem, COPIES, flying)
    assert flying[chosen] < max(FEW, SLACK * (sum(loads) + 1) / 4 + 1)


def test_a_copy_that_does_not_answer_is_left_with_little() -> None:
    flying: Counter[str] = Counter()
    for number in range(1000):  # all but "a" answer at once
        name = choose(f"problem {number}", COPIES, flying)
        if name == "a":
            flying["a"] += 1
    assert flying["a"] <= FEW
