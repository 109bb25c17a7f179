"""What evaluation reads of a run: its dataset's labels, its judge's, its rollouts', those kept; hit rates as scores."""

import json
from pathlib import Path
from typing import Any

import pytest

from data import places, schema, shards
from data.errors import RunError, SettingError
from data.records import Decision, Estimate, Labelled, Outcome, Problem, StepEstimate, Task, Tokens, Trace, Verdict
from pipeline import recipe, run
from pipeline.cli import main
from pipeline.evaluate import benchmark, samples
from stages.processbench import Case

RATINGS = {"a": (1.0, 0.0), "b": (1.0, 1.0), "c": (1.0, 0.0), "d": ()}


def labelled(name: str, said: int, mc: int, *, kept: bool, sample: int = 0, outcome: Outcome = "equal") -> Labelled:
    """A solution of two steps; every other one of the first step's rollouts hits, one in four of the last one's."""
    task = Task(Problem(name, "gsm8k", "?", "1"), "m", sample)
    steps = (StepEstimate(4, 8, "rolled"), StepEstimate(2, 8, "rolled"))
    decision = Decision(kept, said if kept else None, (True,) if kept else (), kept, None if kept else "mc_undecided")
    trace = Trace("?", ("one\n", "two"), str(sample % 2), ratings=RATINGS.get(name, ()))
    return Labelled(task, trace, outcome, Estimate(steps, mc), Verdict(said, (said,)), decision, Tokens())


def run_of(place: Path, *made: Labelled) -> Path:
    sides = [schema.table([schema.row(one) for one in made if one.decision.kept is kept], {}) for kept in (True, False)]
    run.start(str(place), recipe.read("scripted"), len(made))
    shards.enter(place, shards.seal(place, shards.pack("0", *sides, "digest")))
    return place


MADE = (
    labelled("a", 1, 0, kept=False),
    labelled("b", -1, -1, kept=True),
    labelled("c", 0, 1, kept=False, outcome="different"),
    labelled("d", 0, 0, kept=True),
)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["processbench", "--judge", "scripted", "--again"], "--judge, --again: RUN is measured as it is"),
        (["processbench", "--set", "judge.votes=3"], "--set: RUN is measured as it is, and no run made: leave it out"),
        (["processbench", "--limit", "3"], "--limit: all that RUN holds is measured: leave it out"),
        (["selfprm", "--policy", "scripted", "--limit", "3"], "--policy, --limit: without --dataset no run is made"),
    ],
)
def test_options_that_make_a_run_are_refused_where_none_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    place = str(run_of(tmp_path / "run", *MADE))
    assert main(["evaluate", *arguments, "--run", place]) == 2
    assert told.replace("RUN", place) in capsys.readouterr().err


@pytest.mark.parametrize("experiment", ["bestofn", "processbench", "labels", "selfprm"])
def test_a_folder_without_a_run_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], experiment: str) -> None:
    assert main(["evaluate", experiment, "--run", str(tmp_path / "nowhere")]) == 2
    assert f"error: {tmp_path / 'nowhere'} holds no run: " in capsys.readouterr().err


def test_a_run_is_measured_against_its_dataset_s_own_labels(tmp_path: Path) -> None:
    place = places.at(str(run_of(tmp_path / "run", *MADE)))
    known = benchmark.own(place)
    assert known == {
        "a/m/0": Case("a/m/0", "gsm8k", 1, 2, right=True),
        "b/m/0": Case("b/m/0", "gsm8k", -1, 2, right=True),
        "c/m/0": Case("c/m/0", "gsm8k", 1, 2, right=False),
    }
    said = benchmark.labels([place], known, "id")
    assert said["judge"].said == {"a/m/0": 1, "b/m/0": -1, "c/m/0": 0}
    assert said["mc"].said == {"a/m/0": 0, "b/m/0": -1, "c/m/0": 1}
    assert said["kept"].said == {"a/m/0": None, "b/m/0": -1, "c/m/0": None}


def test_the_command_tells_its_predictors_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_of(tmp_path / "run", *MADE)
    arguments = ["--run", str(tmp_path / "run"), "--json", str(tmp_path / "told.json")]
    assert main(["evaluate", "processbench", *arguments]) == 0
    told = json.loads((tmp_path / "told.json").read_text(encoding="utf-8"))
    f1 = {name: one["subsets"]["gsm8k"]["f1"] for name, one in told.items()}
    assert f1 == pytest.approx({"judge": 2 / 3, "mc": 2 / 3, "kept": 0.0})
    assert told["kept"]["subsets"]["gsm8k"]["coverage"] == pytest.approx(1 / 3)
    assert "| kept      | gsm8k" in capsys.readouterr().out


def written(path: Path, *names: str, **changed: Any) -> Path:
    rows = [{"id": name, "problem": "?", "steps": ["one", "two"], "label": 1} | changed for name in names]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_solutions_that_a_run_has_not_come_to_are_undecided(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_of(tmp_path / "run", *MADE)
    data = written(tmp_path / "gsm8k.jsonl", "a", "b", "c", "d", "later")
    assert main(["evaluate", "processbench", "--data", str(data), "--run", str(tmp_path / "run")]) == 0
    assert "judge: 1 solutions have no prediction and count as undecided: later" in capsys.readouterr().out


@pytest.mark.parametrize(
    "data", [{"names": ("a", "b")}, {"names": ("a", "b", "c", "d"), "steps": ["one", "two", "three"]}]
)
def test_a_run_of_other_solutions_is_refused(tmp_path: Path, data: dict[str, Any]) -> None:
    place = places.at(str(run_of(tmp_path / "run", *MADE)))
    cases = benchmark.cases([written(tmp_path / "gsm8k.jsonl", *data.pop("names"), **data)])
    with pytest.raises(RunError, match="is no solution of the data"):
        benchmark.labels([place], cases, "problem_id")


def test_a_run_without_labels_of_its_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="nothing can be measured"):
        benchmark.own(places.at(str(run_of(tmp_path / "run", labelled("d", 0, 0, kept=True)))))


def test_hit_rates_are_scores_where_every_step_has_one(tmp_path: Path) -> None:
    made = [labelled("p", -1, -1, kept=True, sample=n, outcome=("equal", "undecided")[n]) for n in range(2)]
    groups = samples.from_run(places.at(str(run_of(tmp_path / "run", *made))))
    assert [one.scores for one in groups["p"]] == [{"min": 0.25, "product": 0.125, "mean": 0.375, "last": 0.25}] * 2
    assert [(one.right, one.undecided, one.last_lowest) for one in groups["p"]] == [
        (True, False, True),
        (False, True, True),
    ]
    assert main(["evaluate", "bestofn", "--run", str(tmp_path / "run")]) == 0


def test_gold_answers_are_joined_by_the_problem_s_text(tmp_path: Path) -> None:
    gold = tmp_path / "gold.jsonl"
    gold.write_text(json.dumps({"question": "How  many?\n", "answer": "#### 7"}) + "\n", encoding="utf-8")
    data = tmp_path / "gsm8k.jsonl"
    data.write_text(
        json.dumps({"id": "a", "problem": "How many?"}) + "\n" + '{"id": "b", "problem": "x"}\n', encoding="utf-8"
    )
    assert benchmark.with_gold(data, [gold], tmp_path / "new" / "gsm8k.jsonl") == "gsm8k: 1 of 2 have a gold answer"
    rows = [json.loads(line) for line in (tmp_path / "new" / "gsm8k.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["gold_answer"] for row in rows] == ["7", None]


def test_the_small_model_may_judge_given_solutions_of_a_file_only() -> None:
    judged = ["judge.engine=embedded", "completer.plan=none", "consensus.rule=judge"]
    given = recipe.read("some/file.jsonl", overrides=[*judged, "solutions=given"])
    recipe.check(given, sampled=False)
    with pytest.raises(SettingError, match="knows only DATASET=arith"):
        recipe.check(recipe.read("some/file.jsonl", overrides=judged), sampled=False)
