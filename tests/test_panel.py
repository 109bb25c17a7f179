"""Several opinions, one verdict."""

import pytest

from data.records import Verdict
from judges.panel import Rule, decide, plurality


def verdicts(*votes: int | None) -> list[Verdict]:
    return [Verdict(vote) for vote in votes]


@pytest.mark.parametrize(
    ("rule", "votes", "first_error", "reason"),
    [
        ("majority", (2, 2, -1), 2, None),
        ("majority", (2, -1), None, "tie"),
        ("majority", (2, None, None), 2, None),
        ("majority", (2, 2, 3, 3, 1), None, "tie"),
        ("majority", (-1, -1, 0), -1, None),
        ("all", (2, 2, None), 2, None),
        ("all", (2, -1), None, "disagreement"),
        ("all", (-1, -1), -1, None),
        ("any", (5, 2, -1), 2, None),
        ("any", (-1, None), -1, None),
        ("any", (0, -1, -1), 0, None),
    ],
)
def test_rules(rule: Rule, votes: tuple[int | None, ...], first_error: int | None, reason: str | None) -> None:
    assert decide(verdicts(*votes), rule) == Verdict(first_error, votes, reason)


@pytest.mark.parametrize("rule", ["majority", "all", "any"])
@pytest.mark.parametrize("votes", [(), (None,), (None, None)])
def test_no_opinion_is_not_no_error(rule: Rule, votes: tuple[None, ...]) -> None:
    assert decide(verdicts(*votes), rule) == Verdict(None, votes, "no opinion")


@pytest.mark.parametrize("rule", ["majority", "all", "any"])
def test_order_does_not_matter(rule: Rule) -> None:
    assert decide(verdicts(1, 3, 3, None), rule).first_error == decide(verdicts(None, 3, 1, 3), rule).first_error


def test_plurality_needs_no_absolute_majority() -> None:
    assert plurality([1, 1, 2, 3, None]) == (1, None)
    assert plurality([None]) == (None, "unparsed")
    assert plurality([]) == (None, "unparsed")
