"""A finished run decided anew: to the byte what the other rule would have made, and no engine is there to be asked."""

import asyncio
import json
from pathlib import Path

import datasets
import pytest

from bench.finished import finished
from data import schema, scripted, shards
from data.errors import RunError, SettingError
from data.records import Problem, Task
from data.schema import Row
from data.shards import SIDES
from pipeline import run, synth
from pipeline.cli import main
from pipeline.refilter import refilter
from pipeline.summary import summarise
from stages import solve

MADE = ("data.limit=16", "completer.plan=exhaustive", "scripted.right=0.85", "scripted.garbled=0.1")
RULES = (
    ("consensus.rule=mc",),
    ("consensus.rule=judge",),
    ("consensus.rule=every_step",),
    ("consensus.threshold=0.5",),
    ("consensus.progress=0.8", "consensus.rule=mc"),
)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("old") / "run"
    finished(out, "scripted", *MADE)
    return out


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule[0])
def test_files_and_seals_are_what_the_other_rule_makes(old: Path, tmp_path: Path, rule: tuple[str, ...]) -> None:
    new = refilter(str(old), str(tmp_path / "new"), rule)
    wanted = finished(tmp_path / "wanted", "scripted", *MADE, *rule)
    assert new.fingerprint == wanted.fingerprint != run.find(str(old)).fingerprint
    assert shards.sealed(tmp_path / "new") == shards.sealed(tmp_path / "wanted")
    assert shards.verify(tmp_path / "new") == []
    for side in SIDES:
        assert (old / side).is_dir()
        names = sorted(path.name for path in (tmp_path / "wanted" / side).iterdir())
        assert names == sorted(path.name for path in (tmp_path / "new" / side).iterdir())
        for name in names:
            assert (tmp_path / "new" / side / name).read_bytes() == (tmp_path / "wanted" / side / name).read_bytes()


def test_some_rule_decides_otherwise(old: Path, tmp_path: Path) -> None:
    kept = {summarise(refilter(str(old), str(tmp_path / rule[0]), rule).place).kept for rule in RULES}
    assert len(kept) > 2


def test_back_to_the_first_rule_is_the_first_run(old: Path, tmp_path: Path) -> None:
    refilter(str(old), str(tmp_path / "there"), ["consensus.rule=judge"])
    back = refilter(str(tmp_path / "there"), str(tmp_path / "back"), ["consensus.rule=first_error"])
    assert back.fingerprint == run.find(str(old)).fingerprint
    assert all(shards.read(tmp_path / "back", side).equals(shards.read(old, side)) for side in SIDES)


def test_the_new_run_is_as_any_other_and_says_where_it_is_from(
    old: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = tmp_path / "new"
    assert main(["refilter", "--out", str(old), "--to", str(to), "--set", "consensus.rule=judge"]) == 0
    told = capsys.readouterr().out
    assert main(["status", "--out", str(to)]) == 0
    assert capsys.readouterr().out.splitlines()[1:-1] == told.splitlines()[1:]
    said = json.loads((to / "run.json").read_text())
    before = run.find(str(old))
    assert said["refiltered"] == {"out": str(old), "id": before.id, "fingerprint": before.fingerprint}
    assert said["id"] != before.id
    assert run.find(str(to)).ledger == before.ledger
    assert f"from the evidence of the run `{before.id}`" in (to / "README.md").read_text()
    assert (to / "skipped.jsonl").read_bytes() == (old / "skipped.jsonl").read_bytes()
    loaded = datasets.load_dataset(str(to), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"].num_rows == shards.read(to).num_rows > 0


def test_going_on_with_the_new_run_finds_nothing_to_do(old: Path, tmp_path: Path) -> None:
    new = refilter(str(old), str(tmp_path / "new"), ["consensus.rule=mc"])
    again = run.start(str(tmp_path / "new"), new.recipe, 32)
    tasks = list(solve.tasks(scripted.problems(16), new.recipe.policies()))
    plan = again.plan(tasks)
    assert shards.owed(plan, shards.sealed(new.place), again.fingerprint) == []


GIVEN: dict[str, Row] = {
    "labelled steps": {"steps": ["a", "b"], "label": 1},
    "steps": {"steps": ["a\n\nb", "c"]},
    "text": {"response": "a\n\nb"},
}


@pytest.mark.parametrize("told", GIVEN.values(), ids=GIVEN)
def test_solutions_that_were_given_are_known_again(tmp_path: Path, told: Row) -> None:
    source = tmp_path / "given.jsonl"
    source.write_text(json.dumps({"id": "1", "problem": "P", **told}) + "\n")
    finished(tmp_path / "run", str(source), "judge.kind=equations", "completer.plan=none", "consensus.rule=judge")
    made = refilter(str(tmp_path / "run"), str(tmp_path / "new"), ["consensus.rule=judge"])
    assert shards.sealed(made.place) == shards.sealed(tmp_path / "run")


def test_a_solution_that_never_came_to_a_rule_keeps_its_reason(old: Path, tmp_path: Path) -> None:
    task = Task(run_problem(old), "scripted", 9)
    table = schema.table([schema.row(synth.unusable(task, "refused"))], {})
    out = tmp_path / "run"
    finished(out, "scripted", "data.limit=1")
    shards.enter(out, shards.seal(out, shards.pack("p", schema.table([], {}), table, "digest")))
    new = refilter(str(out), str(tmp_path / "new"), ["consensus.rule=judge"])
    assert shards.sealed(new.place)["p"].digest == shards.digest([task], new.fingerprint)  # so it is not done again
    assert "refused" in shards.read(tmp_path / "new", "rejected").column("reason").to_pylist()


def run_problem(out: Path) -> Problem:
    return schema.record(shards.read(out).to_pylist()[0]).task.problem


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["judge.votes=3"], r"only consensus\.\* can be set"),
        (["consensus.rul=mc"], "did you mean 'rule'"),
        (["consensus.rule=mcc"], "consensus.rule"),
        (["consensus.threshold=2"], "threshold"),
    ],
)
def test_what_needs_a_model_or_makes_no_sense_is_refused(
    old: Path, tmp_path: Path, settings: list[str], told: str
) -> None:
    with pytest.raises(SettingError, match=told):
        refilter(str(old), str(tmp_path / "new"), settings)
    assert not (tmp_path / "new").exists()


def test_rates_that_nobody_sampled_are_refused(tmp_path: Path) -> None:
    finished(tmp_path / "run", "scripted", "data.limit=2")
    with pytest.raises(SettingError, match=r"only completer\.plan=exhaustive"):
        refilter(str(tmp_path / "run"), str(tmp_path / "new"), ["consensus.threshold=0.5"])


def test_a_run_is_never_written_over(old: Path, tmp_path: Path) -> None:
    before = (old / "manifest.jsonl").read_bytes()
    with pytest.raises(RunError, match="holds a run already"):
        refilter(str(old), str(old), ["consensus.rule=mc"])
    assert (old / "manifest.jsonl").read_bytes() == before
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(RunError, match=r"holds a README\.md that would be lost"):
        refilter(str(old), str(tmp_path), [])
    with pytest.raises(RunError, match="holds no run"):
        refilter(str(tmp_path / "none"), str(tmp_path / "new"), [])


def test_a_damaged_shard_is_said_and_leaves_no_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    finished(out, "scripted", "data.limit=2")
    next((out / "labelled").glob("p*.parquet")).write_bytes(b"torn")
    with pytest.raises(RunError, match="not as it was sealed"):
        refilter(str(out), str(tmp_path / "new"), ["consensus.rule=judge"])
    with pytest.raises(RunError, match="holds no run"):
        run.find(str(tmp_path / "new"))


def test_no_event_loop_and_so_no_engine_is_needed(old: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("an event loop was started")

    monkeypatch.setattr(asyncio, "run", never)
    refilter(str(old), str(tmp_path / "new"), ["consensus.rule=mc"])
