"""Shards are planned by content, sealed whole, counted by the manifest alone, and load as a dataset."""

import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]
from pyarrow.fs import FSSpecHandler, PyFileSystem

from data import schema, shards
from data.errors import RunError, SettingError
from data.places import Place, at
from data.records import Decision, Estimate, Labelled, Problem, Task, Tokens, Trace, Verdict
from pipeline.publish import card


def task(index: int, sample: int = 0) -> Task:
    return Task(Problem(f"p{index}", "toy", f"Problem {index}", "1"), "small", sample)


def rows(*tasks: Task, kept: bool = True) -> pa.Table:
    return schema.table([schema.row(labelled(one, kept=kept)) for one in tasks], {"fingerprint": "f"})


def labelled(one: Task, *, kept: bool) -> Labelled:
    labels = (True,) if kept else ()
    return Labelled(
        task=one,
        trace=Trace(one.problem.text, ("It is 1.",), "1"),
        outcome="equal",
        estimate=Estimate((), -1),
        verdict=Verdict(-1),
        decision=Decision(kept=kept, first_error=-1 if kept else None, labels=labels, agreement=kept),
        tokens=Tokens(),
    )


def sealed(root: Path | Place, part: str, kept: int, rejected: int, digest: str = "d") -> shards.Seal:
    start = int(part[1:] or "0", 2) * 1000
    tables = rows(*map(task, range(start, start + kept))), rows(*map(task, range(rejected)), kept=False)
    seal = shards.seal(root, shards.pack(part, *tables, digest))
    shards.enter(root, seal)
    return seal


def test_a_shard_from_before_a_column_came_reads_with_nulls(tmp_path: Path) -> None:
    old = rows(task(1)).drop_columns(["posterior"])
    shards.enter(tmp_path, shards.seal(tmp_path, shards.pack("p0", old, old.slice(0, 0), "d")))
    (table,) = shards.tables(tmp_path)
    assert table.schema.names == schema.SCHEMA.names
    assert table.to_pylist()[0]["posterior"] is None
    assert table.schema.metadata[b"fingerprint"] == b"f"
    assert shards.read(tmp_path).num_rows == 1


def loaded(root: Path, tmp_path: Path, *name: str) -> datasets.Dataset:
    (root / "README.md").write_text(
        f"---\n{json.dumps({'configs': card.configs(shards.places.at(root))})}\n---\n# A run\n"
    )
    return datasets.load_dataset(str(root), *name, split="train", cache_dir=str(tmp_path / "cache"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def store() -> Place:
    memory = MemoryFileSystem(skip_instance_cache=True)
    memory.store, memory.pseudo_dirs = {}, [""]
    return Place(PyFileSystem(FSSpecHandler(memory)), "bucket/run", local=False)


def test_the_name_of_a_part_comes_from_the_problem_id_alone() -> None:
    assert shards.part("p1", 0) == "p"
    assert shards.part("p1", 8) == "p11110110"
    assert shards.part("p1", 8).startswith(shards.part("p1", 3))
    assert shards.part("\ud800", 4)


@pytest.mark.parametrize(
    ("solutions", "bits"),
    [
        (0, 0),
        (1, 0),
        (15, 0),
        (16, 1),
        (63, 2),
        (64, 3),
        (500, 3),
        (1023, 3),
        (1024, 4),
        (5276, 6),
        (8064, 6),
        (4_000_000, 12),
    ],
)
def test_bits_for_a_number_of_solutions(solutions: int, bits: int) -> None:
    assert shards.bits_for(solutions) == bits


def test_shards_hold_64_to_128_solutions_on_average_once_there_are_eight() -> None:
    assert all(64 <= count / 2 ** shards.bits_for(count) < 128 for count in range(512, 4096 * 64, 777))


def test_a_plan_does_not_depend_on_the_order_of_the_tasks() -> None:
    tasks = [task(index, sample) for index in range(200) for sample in range(3)]
    plan = shards.plan(tasks, 3)
    assert sum(map(len, plan.values())) == 600
    assert all(len({one.problem.id for one in part}) * 3 == len(part) for part in plan.values())
    random.Random(1).shuffle(tasks)
    assert list(shards.plan(tasks, 3).items()) == list(plan.items())


def test_a_sealed_shard_is_owed_again_when_what_it_is_made_of_changes() -> None:
    plan = shards.plan(map(task, range(40)), 1)
    seals = {name: shards.Seal(name, shards.digest(tasks), 0, 0, None, None) for name, tasks in plan.items()}
    assert shards.owed(plan, {}) == ["p0", "p1"]
    assert shards.owed(plan, seals) == []
    assert shards.owed(plan, seals, "another recipe") == ["p0", "p1"]
    more = {**plan, "p1": (*plan["p1"], task(99))}
    assert shards.owed(more, seals) == ["p1"]
    first = plan["p0"][0]
    edited = {**plan, "p0": (replace(first, problem=replace(first.problem, gold="2")), *plan["p0"][1:])}
    assert shards.owed(edited, seals) == ["p0"]


def test_sealing_writes_both_sides_and_the_manifest_counts_them(run: Path) -> None:
    seal = sealed(run, "p0", 3, 2)
    assert (seal.labelled, seal.rejected) == (3, 2)
    assert shards.sealed(run) == {"p0": seal}
    assert shards.read(run).num_rows == 3
    assert shards.read(run, "rejected").column("kept").to_pylist() == [False, False]
    assert shards.read(run).schema.equals(schema.SCHEMA)
    assert sorted(path.name for path in run.rglob("*") if path.is_file()) == [
        "manifest.jsonl",
        "p0.parquet",
        "p0.parquet",
    ]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    one = shards.seal(tmp_path / "a", shards.pack("p0", rows(task(1), task(2)), rows(), "d"))
    two = shards.seal(tmp_path / "b", shards.pack("p0", rows(task(2), task(1)), rows(), "d"))
    assert one == two


def test_a_side_without_rows_has_no_file_even_where_it_had_one(run: Path) -> None:
    sealed(run, "p0", 3, 1)
    seal = sealed(run, "p0", 0, 1)
    assert seal.labelled_sha256 is None
    assert not list((run / "labelled").iterdir())
    assert shards.read(run).num_rows == 0


def test_the_last_seal_of_a_part_counts(run: Path) -> None:
    sealed(run, "p0", 3, 1)
    again = sealed(run, "p0", 2, 0)
    assert shards.sealed(run) == {"p0": again}
    assert shards.read(run).num_rows == 2


def test_a_manifest_torn_anywhere_in_its_last_line_forgets_that_seal_alone(run: Path) -> None:
    sealed(run, "p0", 1, 0)
    first = (run / "manifest.jsonl").stat().st_size
    sealed(run, "p1", 1, 0)
    whole = (run / "manifest.jsonl").read_bytes()
    for cut in range(first, len(whole) - 1):
        (run / "manifest.jsonl").write_bytes(whole[:cut])
        assert list(shards.sealed(run)) == ["p0"]
    sealed(run, "p1", 1, 0)
    assert list(shards.sealed(run)) == ["p0", "p1"]


@pytest.mark.parametrize(
    "line", [b"\xff\xfe", b"[]", b"{}", b"null", b'{"part": "p1"}', b'{"part": []}', b"[" * 200_000]
)
def test_a_manifest_line_that_is_no_seal_is_passed_over(run: Path, line: bytes) -> None:
    sealed(run, "p0", 1, 0)
    (at(run) / shards.MANIFEST).append(line)
    assert list(shards.sealed(run)) == ["p0"]


def test_files_the_manifest_does_not_name_are_not_read(run: Path) -> None:
    shards.seal(run, shards.pack("p1", rows(task(1)), rows(), "d"))
    assert shards.read(run).num_rows == 0


def test_verify_names_each_file_that_is_missing_or_changed(run: Path) -> None:
    sealed(run, "p0", 1, 1)
    sealed(run, "p1", 1, 1)
    assert shards.verify(run) == []
    (run / "labelled" / "p0.parquet").unlink()
    (run / "rejected" / "p1.parquet").write_bytes(b"PAR1")
    missing, changed = shards.verify(run)
    assert "labelled/p0.parquet is in the manifest but missing" in missing
    assert "rejected/p1.parquet is not as it was sealed" in changed
    with pytest.raises(RunError, match=r"p0\.parquet"):
        shards.read(run)


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    sealed(run, "p0", 3, 0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunError, match=r"No space left.*make room"):
            shards.seal(run, shards.pack("p0", rows(task(1)), rows(), "d"))
    assert [path.name for path in (run / "labelled").iterdir()] == ["p0.parquet"]
    assert shards.read(run).num_rows == 3


def test_settling_strikes_older_plans_and_sweeps_what_no_seal_stands_for(run: Path) -> None:
    sealed(run, "p0", 1, 1)
    sealed(run, "p10", 1, 1)
    shards.seal(run, shards.pack("p11", rows(task(1)), rows(), "d"))
    (run / "labelled" / f".p11.parquet.{'0' * 32}.tmp").write_bytes(b"half")
    (run / "labelled" / "mine.parquet").write_bytes(b"a user's")
    shards.settle(run, {"p10", "p11"})
    assert list(shards.sealed(run)) == ["p10"]
    assert sorted(path.name for path in (run / "labelled").iterdir()) == ["mine.parquet", "p10.parquet"]
    assert [path.name for path in (run / "rejected").iterdir()] == ["p10.parquet"]


def test_settling_strikes_shards_whose_files_are_gone_or_torn(run: Path) -> None:
    before = {part: sealed(run, part, 2, 1) for part in ("p00", "p01", "p1")}
    gone, torn, _ = before
    (run / "labelled" / f"{gone}.parquet").unlink()
    file = run / "labelled" / f"{torn}.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    faults = shards.settle(run, before)
    assert [Path(fault.split()[0]).stem for fault in faults] == [gone, torn]
    assert shards.sealed(run).keys() == before.keys() - {gone, torn}
    assert not shards.verify(run)
    assert shards.settle(run, before) == []


def test_a_seal_that_knows_no_sizes_is_taken_at_its_word(run: Path) -> None:
    sealed(run, "p0", 2, 1)
    lines = [json.loads(line) for line in (run / "manifest.jsonl").read_text().splitlines()]
    older = [{name: value for name, value in line.items() if not name.endswith("_bytes")} for line in lines]
    (run / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in older))
    before = shards.sealed(run)
    assert shards.settle(run, before) == []
    assert shards.sealed(run) == before


def test_a_sealed_run_loads_as_a_dataset_without_leftovers(run: Path, tmp_path: Path) -> None:
    sealed(run, "p0", 3, 0)
    sealed(run, "p1", 2, 4)
    shards.settle(run, {"p0", "p1"})
    (run / "labelled" / f".p0.parquet.{'0' * 32}.tmp").write_bytes(b"half")
    (run / "ledger" / "p0").mkdir(parents=True)
    (run / "ledger" / "p0" / "x.seg").write_bytes(b"bytes")
    rows_kept = loaded(run, tmp_path)
    assert rows_kept.num_rows == 5
    assert rows_kept.column_names == schema.SCHEMA.names
    assert rows_kept[0]["prompt"].endswith("\n")
    assert (rows_kept[0]["completions"], rows_kept[0]["labels"]) == (["It is 1."], [True])
    assert loaded(run, tmp_path, "rejected").num_rows == 4


@pytest.mark.parametrize(("kept", "rejected"), [(0, 2), (2, 0), (0, 0)])
def test_a_side_without_any_row_does_not_keep_the_other_from_loading(
    run: Path, tmp_path: Path, kept: int, rejected: int
) -> None:
    sealed(run, "p0", kept, rejected)
    shards.settle(run, {"p0"})
    for side, count in zip(shards.SIDES, (kept, rejected), strict=True):
        if count:
            assert loaded(run, tmp_path, side).num_rows == count
        else:  # `datasets` has no map-style dataset without rows; streaming it does
            with pytest.raises(ValueError, match="no data"):
                loaded(run, tmp_path, side)
        assert sum(1 for _ in datasets.load_dataset(str(run), side, split="train", streaming=True)) == count


def test_the_empty_shard_goes_when_rows_come(run: Path) -> None:
    shards.settle(run, ())
    assert [path.name for path in (run / "labelled").iterdir()] == ["empty.parquet"]
    sealed(run, "p0", 1, 0)
    shards.settle(run, {"p0"})
    assert [path.name for path in (run / "labelled").iterdir()] == ["p0.parquet"]


def test_a_second_driver_is_refused_and_told_who_holds_the_run(run: Path) -> None:
    with (
        shards.lock(run),
        pytest.raises(RunError, match=rf"in use by process {os.getpid()} on .* since 20"),
        shards.lock(run),
    ):
        pass
    with shards.lock(run):
        pass


def test_a_lock_that_cannot_be_written_is_an_error_that_says_what_to_do(run: Path) -> None:
    run.mkdir(exist_ok=True)
    (run / "driver.lock").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"cannot be used: .*make room"), shards.lock(run):
        pass


def test_a_killed_driver_leaves_no_lock(run: Path) -> None:
    program = (
        "import sys; from data.shards import lock\nwith lock(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", program, str(run)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(RunError, match=f"process {process.pid}"), shards.lock(run):
            pass
        os.kill(process.pid, signal.SIGKILL)
    with shards.lock(run):
        pass


def test_a_store_without_appends_holds_a_run_too(store: Place) -> None:
    with shards.lock(store):
        sealed(store, "p0", 2, 1)
        sealed(store, "p1", 1, 0)
        shards.settle(store, {"p0"})
    assert list(shards.sealed(store)) == ["p0"]
    assert shards.read(store).num_rows == 2
    assert shards.verify(store) == []
    assert (store / "labelled").names() == ["p0.parquet"]


def test_places_are_paths_resolved_at_once_or_uris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert at("runs/x").path == str(tmp_path / "runs" / "x")
    assert at(tmp_path.as_uri()).local
    assert at("s3://bucket/run?region=eu-west-1").local is False
    with pytest.raises(SettingError, match="nowhere://x"):
        at("nowhere://x")
