"""What `sequential` believes is learnt from the run's own pilot, once; labelled here in this process, without Ray."""

import asyncio
import json
from pathlib import Path

import pytest

from data import schema, scripted, shards
from data.records import Outcome, Task
from pipeline import recipe, run
from pipeline import synth as solutions
from pipeline.cli import main
from pipeline.crew import Crew
from pipeline.engines.scripted import Scripted
from pipeline.run import Run
from pipeline.settings import Prior, Recipe
from pipeline.verbs import synth
from stages import learning
from stages.exact.certain import decide

SEQUENTIAL = ["--set", "completer.plan=sequential", "--set", "consensus.rule=posterior"]
LEARNING = ["synth", "--dataset", "scripted", "--limit", "40", *SEQUENTIAL, "--set", "completer.learn=15"]


async def grade(answer: str | None, gold: str | None) -> Outcome:
    return (answer and gold and decide(answer, gold)) or "undecided"


@pytest.fixture
def labelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Return the runs that are labelled, in order."""
    runs: list[Run] = []

    def label(made: Run, plan: dict[str, tuple[Task, ...]], *_: object) -> None:
        runs.append(made)
        crew = Crew(made.recipe, {"scripted": Scripted()}, grade)
        for part, tasks in plan.items():
            rows = [schema.row(asyncio.run(solutions.label(task, crew))) for task in tasks]
            sides = (schema.table([row for row in rows if row["kept"] is kept], {}) for kept in (True, False))
            shards.enter(made.place, shards.seal(made.place, shards.pack(part, *sides, "digest")))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(synth, "_label", label)
    return runs


def kept(out: str) -> Recipe:
    return Recipe.model_validate(json.loads(Path(out, run.FILE).read_text())["recipe"])


def test_the_prior_is_learnt_from_some_of_the_runs_own_problems(
    labelled: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*LEARNING, "--out", "run"]) == 0
    pilot, whole = labelled
    assert (pilot.recipe.completer.plan, pilot.recipe.completer.learn) == ("exhaustive", 0)
    assert pilot.ledger == whole.ledger  # nothing is paid for twice
    drawn, all_of = ({row["problem_id"] for row in shards.rows(made.place)} for made in (pilot, whole))
    assert len(drawn) == 15
    assert drawn < all_of
    assert drawn != {problem.id for problem in scripted.problems(15, 0)}  # but by chance, not the first ones
    assert {problem.id for problem in scripted.problems(15, 0)} < all_of
    fitted = learning.fit(list(learning.seen(map(schema.record, shards.rows(pilot.place)))))
    prior = kept("run").completer.prior
    assert whole.recipe.completer.prior == prior != Prior()
    assert prior.exact == pytest.approx(fitted.exact, rel=1e-3)
    assert prior.good == pytest.approx(fitted.good, rel=1e-3)
    assert json.loads(whole.metadata()["recipe"])["completer"]["prior"]["exact"] == prior.exact
    assert f"that is the first error with {prior.exact:g}" in capsys.readouterr().out


def test_it_is_learnt_once(labelled: list[Run]) -> None:
    main([*LEARNING, "--out", "run"])
    before = kept("run")
    main([*LEARNING, "--out", "run"])
    assert kept("run") == before
    assert [made.place.path.rpartition("/")[2] for made in labelled] == ["pilot", "run", "run"]
    main([*LEARNING, "--out", "run", "--limit", "50"])  # more problems of the same recipe
    assert kept("run").completer == before.completer
    assert len(labelled) == 4


def test_another_recipe_is_refused_before_anything_is_paid_for(
    labelled: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    main([*LEARNING, "--out", "run"])
    assert main([*LEARNING, "--out", "run", "--set", "completer.learn=20"]) == 2
    assert "completer.learn: 15 -> 20" in capsys.readouterr().err
    assert main([*LEARNING, "--out", "run", "--set", "judge.votes=3"]) == 2
    told = capsys.readouterr().err
    assert "judge.0.votes: 1 -> 3" in told
    assert "prior" not in told
    assert len(labelled) == 2


def test_labelled_again_it_is_learnt_again(labelled: list[Run]) -> None:
    main([*LEARNING, "--out", "run"])
    assert main([*LEARNING, "--out", "run", "--again", "--set", "completer.learn=20"]) == 0
    assert len(labelled) == 4
    assert len({row["problem_id"] for row in shards.rows(labelled[2].place)}) == 20
    assert labelled[0].recipe.completer.prior != labelled[3].recipe.completer.prior == kept("run").completer.prior


def test_a_pilot_that_is_stopped_is_gone_on_with(
    labelled: list[Run], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    label = synth._label
    monkeypatch.setattr(synth, "_label", lambda *_: "the same command goes on")
    assert main([*LEARNING, "--out", "run"]) == synth.STOPPED
    assert main(["status", "--out", "run"]) == 2
    assert "run/pilot" in capsys.readouterr().err
    monkeypatch.setattr(synth, "_label", label)
    assert main([*LEARNING, "--out", "run"]) == 0
    assert len(labelled) == 2


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--limit", "15"], "completer.learn=15 takes so many problems to learn from, and there are 15"),
        (["--set", "completer.prior.exact=0.5"], "leave out either it or the prior"),
    ],
)
def test_what_contradicts_it_is_told(
    labelled: list[Run], capsys: pytest.CaptureFixture[str], more: list[str], told: str
) -> None:
    assert main([*LEARNING, "--out", "run", *more]) == 2
    assert told in capsys.readouterr().err
    assert not labelled


@pytest.mark.usefixtures("labelled")
def test_what_the_judge_misses_is_not_learnt_but_set() -> None:
    given = "completer.prior={ passed = { easy = 0.9 }, missed = 0.07 }"
    main([*LEARNING, "--out", "run", "--set", given])
    assert kept("run").completer.prior.passed == {"easy": 0.9}
    assert kept("run").completer.prior.missed == 0.07
    assert kept("run").completer.prior.exact != Prior().exact
    assert recipe.changed(kept("run"), ["consensus.error=0.05"]).completer == kept("run").completer
