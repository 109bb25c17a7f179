"""Whole runs through Ray, as subprocesses: to the end, killed at every place, interrupted, disturbed; nothing is lost.

An undisturbed run is the measure: whatever happened on the way, the same command must end with the same bytes.
"""

import json
import os
import signal
from collections import Counter
from pathlib import Path

import psutil
import pyarrow as pa
import pytest
from launching import asked, called, files, going_on, recorded, rows, said, sealed, wait_for, whole

from bench.endpoint import served
from data import shards
from pipeline.engines.embedded import FOLDER

pytestmark = pytest.mark.slow

PROBLEMS, SOLUTIONS = 60, 120
DATASET = ["--dataset", "scripted", "--limit", str(PROBLEMS), "--set", "scripted.wait=0.05"]
SLOWLY = [*DATASET, "--set", "cluster.in_flight=4"]  # changes the pace, not the recipe


def load(out: Path, side: str, cache: Path) -> pa.Table:
    """Read a side as trainers do."""
    import datasets  # noqa: PLC0415 - takes a second

    return datasets.load_dataset(str(out), side, split="train", cache_dir=str(cache)).data.table


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    text = said("synth", out, *DATASET)
    assert f"solutions {SOLUTIONS}" in text
    return out


def test_a_run_ends_with_every_solution_labelled_or_rejected_with_a_reason(undisturbed: Path, tmp_path: Path) -> None:
    whole(undisturbed, SOLUTIONS)
    for row in rows(undisturbed):
        assert row["kept"] == (row["reason"] is None)
    kept = load(undisturbed, "labelled", tmp_path)
    assert kept.column_names[:3] == ["prompt", "completions", "labels"]
    assert kept.num_rows + load(undisturbed, "rejected", tmp_path).num_rows == SOLUTIONS
    assert set(recorded(undisturbed).values()) == {1}
    assert asked(undisturbed) == len(recorded(undisturbed))
    assert f"{SOLUTIONS} of {SOLUTIONS} solutions" in said("status", undisturbed)
    assert "first error   label" in said("show", undisturbed)


def test_a_run_leaves_metrics_and_a_log(undisturbed: Path) -> None:
    last = json.loads((undisturbed / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["finished"] <= SOLUTIONS
    log = [json.loads(line) for line in (undisturbed / "log.jsonl").read_text().splitlines()]
    messages = [one["message"] for one in log]
    assert f"{SOLUTIONS} solutions in" in messages[0]
    assert any(message.startswith("engine scripted/") for message in messages)
    assert "finished" in messages
    assert {one["run"] for one in log} == {json.loads((undisturbed / "run.json").read_text())["id"]}


def test_the_same_command_again_does_nothing_and_says_so(undisturbed: Path) -> None:
    before = files(undisturbed)
    assert "nothing to do" in said("synth", undisturbed, *DATASET)
    assert files(undisturbed) == before


def test_killed_then_interrupted_then_finished_a_run_is_the_same(undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with going_on(out, tmp_path / "log", *SLOWLY) as run:
        run.suspend()  # no further shard is entered while a second driver is refused
        assert "is in use by process" in said("synth", out, *DATASET, code=2)
        run.kill()
    before = recorded(out)
    assert set(before.values()) == {1}
    assert 0 < len(sealed(out)) < len(sealed(undisturbed))

    def interrupt(run: psutil.Popen) -> None:
        os.killpg(run.pid, signal.SIGINT)  # as a terminal's Ctrl-C: to the driver and all that it started

    for stop in (interrupt, psutil.Popen.terminate):
        with going_on(out, tmp_path / "log", *SLOWLY, shards_more=1) as run:
            stop(run)
            assert run.wait(60) == 130
        between = recorded(out)
        assert len(sealed(out)) < len(sealed(undisturbed))
        assert len(between) == len(before) + asked(out)  # what was in flight came back and was recorded
        before = between

    assert f"solutions {SOLUTIONS}" in said("synth", out, *DATASET)
    assert len(recorded(out)) == len(between) + asked(out)
    assert recorded(out) == recorded(undisturbed)  # each sample once: nothing that was recorded was asked again
    assert files(out) == files(undisturbed)
    whole(out, SOLUTIONS)


def test_a_run_that_learns_first_is_the_same_whatever_was_killed(tmp_path: Path) -> None:
    sequential = ["completer.plan=sequential", "consensus.rule=posterior", "completer.learn=25"]
    options = [*DATASET, *(f"--set={one}" for one in sequential)]
    calm, out = tmp_path / "calm", tmp_path / "run"
    assert "learnt: " in said("synth", calm, *options)
    assert set(recorded(calm).values()) == {1}  # what the pilot asked was not asked again
    for part in ("pilot", ""):
        with going_on(out, tmp_path / "log", *options, "--set", "cluster.in_flight=4", part=part) as run:
            run.kill()
        assert len(sealed(out)) < len(sealed(calm))
    assert "learnt: " not in said("synth", out, *options)  # it was, before the last kill
    assert recorded(out) == recorded(calm)
    for name in (".", "pilot"):
        assert files(out / name) == files(calm / name)
    whole(out, SOLUTIONS)
    whole(out / "pilot", 50)


def test_actors_that_are_killed_come_back_by_themselves(undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"

    def kill(run: psutil.Popen, actor: str) -> None:
        found = [one for one in run.children(recursive=True) if one.is_running() and called(one).startswith(actor)]
        assert found, [called(one) for one in run.children(recursive=True)]
        for one in found:
            one.kill()

    with going_on(out, tmp_path / "log", *SLOWLY) as run:
        kill(run, "ray::WorkerActor")
        enough = len(sealed(out)) + 1
        wait_for(lambda: run.poll() is not None or len(sealed(out)) >= enough)
        kill(run, "ray::EngineActor")
        assert run.wait(120) == 0
    assert recorded(out) == recorded(undisturbed)
    assert files(out) == files(undisturbed)
    whole(out, SOLUTIONS)


def test_an_engine_that_is_not_always_available_changes_nothing(undisturbed: Path, tmp_path: Path) -> None:
    said("synth", tmp_path / "run", *DATASET, "--set", "scripted.unavailable=0.3")
    for side in shards.SIDES:  # the recipe in the files' metadata differs, the rows do not
        assert shards.read(tmp_path / "run", side).equals(shards.read(undisturbed, side))


def test_faults_are_reasons_and_end_no_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    faults = [f"--set=scripted.{fault}=0.2" for fault in ("refused", "garbled", "truncated")]
    said("synth", out, *DATASET, *faults)
    whole(out, SOLUTIONS)
    reasons = Counter(row["reason"] for row in rows(out))
    assert reasons.keys() >= {None, "refused", "judge_undecided"}
    refused = [row for row in rows(out) if row["judge_reason"] and row["judge_reason"].startswith("refused")]
    assert refused
    assert not any("pid=" in row["judge_reason"] for row in refused)  # the engine's words, not Ray's
    assert any(row["cut"] for row in rows(out))
    assert all(row["answer"] is None and row["outcome"] == "undecided" for row in rows(out) if row["cut"])


def test_a_question_that_kills_the_engine_whenever_it_is_asked_costs_its_own_rows(tmp_path: Path) -> None:
    few = ["--dataset", "scripted", "--limit", "6", "--set", "policy.0.samples=1"]
    said("synth", tmp_path / "well", *few)
    said("synth", tmp_path / "run", *few, "--set", "scripted.deadly=0.047")  # one of the questions
    well = {row["id"]: row for row in rows(tmp_path / "well")}
    lost = [row for row in rows(tmp_path / "run") if row != well[row["id"]]]
    assert [row["reason"] for row in lost] == ["refused"]
    whole(tmp_path / "run", 6)


def test_an_endpoint_never_has_more_in_flight_than_allowed_over_all_workers(tmp_path: Path) -> None:
    with served(latency=0.05) as server:
        engine = f"openai:scripted@{server.url}"
        roles = [f"--{role}={engine}" for role in ("policy", "completer", "judge")]
        sets = ["--set", "cluster.requests=24", "--set", "cluster.workers=3"]
        said("synth", tmp_path / "run", "--dataset", "scripted", "--limit", str(PROBLEMS), *roles, *sets)
    assert 12 < server.peak <= 24
    whole(tmp_path / "run", SOLUTIONS)


def test_the_small_model_labels_its_own_solutions(tmp_path: Path) -> None:
    if not (FOLDER / "ct2" / "model.bin").is_file():
        pytest.skip("the arith world's model is not here: `make model` trains it")
    out = tmp_path / "run"
    text = said("synth", out, "--limit", "15")
    assert "solutions 30" in text
    assert "consensus (kept)" in text
    assert not shards.verify(out)
    kept = load(out, "labelled", tmp_path / "cache")
    assert kept.num_rows
    assert kept.column_names[:3] == ["prompt", "completions", "labels"]
    for row in kept.to_pylist():
        assert row["prompt"].endswith("\n")
        assert len(row["completions"]) == len(row["labels"]) > 0
        assert all(row["labels"][:-1])  # a wrong step ends the labelled part
        assert row["labels"][-1] == (row["first_error"] == -1)
