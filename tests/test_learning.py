"""What rollouts teach about judge and policy, without the truth."""

import random
from collections.abc import Iterator

import pytest

from data.records import (
    NO_ERROR,
    Decision,
    Estimate,
    Labelled,
    Outcome,
    Problem,
    StepEstimate,
    Tally,
    Task,
    Tokens,
    Trace,
    Verdict,
)
from stages import learning
from stages.posterior import Prior

STEPS = 6


def solutions(count: int, exact: float, hit: float, repaired: float) -> Iterator[learning.Seen]:
    """Wrong answers under a judge of known reliability, rolled out in full, 8 times a prefix."""
    rng = random.Random(0)
    for _ in range(count):
        error = rng.randrange(STEPS)
        judged = error if rng.random() < exact else rng.choice([k for k in range(STEPS) if k != error])
        tallies = {}
        for prefix in range(1, STEPS):
            rate = hit if prefix <= error else repaired
            hits = sum(rng.random() < rate for _ in range(8))
            tallies[prefix] = Tally(hits, 8 - hits)
        yield learning.Seen(STEPS, "different", judged, tallies)


@pytest.mark.parametrize("exact", [0.5, 0.9])
def test_the_judges_reliability_and_the_hit_rates_are_found_again(exact: float) -> None:
    prior = learning.fit(list(solutions(150, exact, hit=0.7, repaired=0.05)))
    assert prior.exact == pytest.approx(exact, abs=0.1)
    assert prior.good[0] / sum(prior.good) == pytest.approx(0.7, abs=0.06)
    assert prior.bad[0] / sum(prior.bad) == pytest.approx(0.05, abs=0.06)
    assert prior.exact + prior.earlier + prior.later + prior.none == pytest.approx(1)


def test_the_rate_behind_an_error_is_that_right_behind_it() -> None:
    rng = random.Random(0)

    def rolled(error: int) -> Iterator[Tally]:
        for prefix in range(1, 9):
            rate = 0.8 if prefix <= error else (0.25 if prefix == error + 1 else 0.0)
            hits = sum(rng.random() < rate for _ in range(8))
            yield Tally(hits, 8 - hits)

    errors = [rng.randrange(4) for _ in range(150)]
    seen = [learning.Seen(9, "different", error, dict(enumerate(rolled(error), 1))) for error in errors]
    bad = learning.fit(seen).bad
    assert bad[0] / sum(bad) == pytest.approx(0.25, abs=0.06)  # over all prefixes it is 0.04


def test_without_solutions_the_prior_is_kept() -> None:
    start = Prior(good=(1.0, 1.0), bad=(0.2, 3.8))
    learnt = learning.fit([], start)
    assert (learnt.exact, learnt.passed) == (pytest.approx(start.exact), start.passed)


def test_no_error_is_possible_unless_the_answer_is_wrong() -> None:
    def kinds(outcome: Outcome) -> list[str]:
        return [kind for kind, _, _ in learning.Seen(3, outcome, 1, {2: Tally(1, 7)}).places()]

    assert kinds("different") == ["earlier", "exact", "later"]
    assert kinds("equal") == kinds("undecided") == ["earlier", "exact", "later", "none"]


def test_only_solutions_in_which_the_judge_names_a_step_teach() -> None:
    def row(judged: int | None) -> Labelled:
        steps = (StepEstimate(3, 8, "rolled", reachable=True), StepEstimate(0, 1, "graded", reachable=False))
        decision = Decision(False, None, (), None, "x")
        task = Task(Problem("p", "toy", "?", "1"), "small", 0)
        trace = Trace("?", ("a", "b"), "2")
        return Labelled(task, trace, "different", Estimate(steps, 1), Verdict(judged), decision, Tokens())

    (only,) = learning.seen([row(None), row(NO_ERROR), row(1)])
    assert only == learning.Seen(2, "different", 1, {1: Tally(3, 5)})
