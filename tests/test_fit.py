"""What a finished run is told to teach: the prior as settings, and what the judge misses."""

import tomllib
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
    Task,
    Tokens,
    Trace,
    Verdict,
)
from data.schema import Row
from pipeline import recipe, run
from stages.posterior import Prior


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
