"""What a run teaches about judge and rollouts, without the truth."""

import random
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import fit
from data import schema
from data.errors import RunError, SettingError
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
from data.schema import Row
from pipeline import recipe, run
from stages.posterior import Prior

STEPS = 6


def solutions(count: int, exact: float, hit: float, repaired: float) -> Iterator[fit.Seen]:
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
        yield fit.Seen(STEPS, "different", judged, tallies)


@pytest.mark.parametrize("exact", [0.5, 0.9])
def test_the_judges_reliability_and_the_hit_rates_are_found_again(exact: float) -> None:
    prior = fit.fit(list(solutions(150, exact, hit=0.7, repaired=0.05)))
    assert prior.exact == pytest.approx(exact, abs=0.1)
    assert prior.good[0] / sum(prior.good) == pytest.approx(0.7, abs=0.06)
    assert prior.bad[0] / sum(prior.bad) == pytest.approx(0.05, abs=0.06)
    assert prior.exact + prior.earlier + prior.later + prior.none == pytest.approx(1)


def test_without_solutions_the_prior_is_kept() -> None:
    start = Prior(good=(1.0, 1.0), bad=(0.2, 3.8))
    learnt = fit.fit([], start)
    assert (learnt.exact, learnt.passed) == (pytest.approx(start.exact), start.passed)


def test_no_error_is_possible_unless_the_answer_is_wrong() -> None:
    def kinds(outcome: Outcome) -> list[str]:
        return [kind for kind, _, _ in fit.Seen(3, outcome, 1, {2: Tally(1, 7)}).places()]

    assert kinds("different") == ["earlier", "exact", "later"]
    assert kinds("equal") == kinds("undecided") == ["earlier", "exact", "later", "none"]


def test_what_is_printed_can_be_set() -> None:
    for told in (0.97, None):
        prior = Prior(0.5, 0.25, 0.125, 0.125, (1.5, 2.5), (1e-05, 2.0), told)
        read = recipe.read("scripted", overrides=[fit.inline(prior)])
        assert read.completer.prior.made() == prior
        table = tomllib.loads("\n".join(fit.lines(prior)))
        assert recipe.build(table).completer.prior.made() == prior


def test_what_the_judge_misses_is_set_by_level() -> None:
    chosen = recipe.read("scripted", overrides=[fit.inline(Prior(), {"hard": 0.93, "": 0.99})])
    plans = {level: chosen.plan(level).prior.passed for level in ("hard", None, "easy")}
    assert plans == {"hard": 0.93, None: 0.99, "easy": None}
    with pytest.raises(SettingError, match=r"prior\.passed"):
        recipe.read("scripted", overrides=["completer.prior.passed={ hard = 1.5 }"])


def test_what_the_judge_misses_is_counted_where_the_truth_is_known() -> None:
    def row(outcome: Outcome, judged: int, ratings: tuple[float, ...], level: str | None = "hard") -> Row:
        task = Task(Problem("p", "toy", "?", "1", level), "small", 0)
        trace, steps = Trace("?", ("a", "b"), "1", ratings=ratings), (StepEstimate(),) * 2
        decision = Decision(False, None, (), None, "x")
        return schema.row(Labelled(task, trace, outcome, Estimate(steps, None), Verdict(judged), decision, Tokens()))

    missed, right = row("equal", NO_ERROR, (1.0, 0.0)), row("equal", NO_ERROR, (1.0, 1.0))
    silent = [row("different", NO_ERROR, (0.0, 0.0)), row("equal", 1, (0.0, 0.0)), row("equal", NO_ERROR, ())]
    plain = row("equal", NO_ERROR, (1.0, 1.0), None)
    assert fit.passed([missed, right, right, *silent, plain]) == {"": 0.75, "hard": 2.5 / 4}
    assert fit.passed(silent) == {}


def test_a_run_that_only_looked_where_the_judge_pointed_is_refused(tmp_path: Path) -> None:
    for plan in ("confirm", "exhaustive"):
        run.start(str(tmp_path / plan), recipe.read("scripted", overrides=[f"completer.plan={plan}"]), 8)
    with pytest.raises(RunError, match="rolled out by 'confirm'"):
        list(fit.solutions(str(tmp_path / "confirm")))
    assert list(fit.solutions(str(tmp_path / "exhaustive"))) == []


def test_only_solutions_in_which_the_judge_names_a_step_teach() -> None:
    def row(judged: int | None) -> Labelled:
        steps = (StepEstimate(3, 8, "rolled", reachable=True), StepEstimate(0, 1, "graded", reachable=False))
        decision = Decision(False, None, (), None, "x")
        task = Task(Problem("p", "toy", "?", "1"), "small", 0)
        trace = Trace("?", ("a", "b"), "2")
        return Labelled(task, trace, "different", Estimate(steps, 1), Verdict(judged), decision, Tokens())

    (only,) = fit.seen([row(None), row(NO_ERROR), row(1)])
    assert only == fit.Seen(2, "different", 1, {1: Tally(3, 5)})
