"""Disks that are full or read-only, files that are damaged: a clear message, and the same command mends it."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from launching import ROOT, Out, asked, command, files, going_on, recorded, said, whole

pytestmark = pytest.mark.slow

PROBLEMS, SOLUTIONS = 40, 80
DATASET = ["--dataset", "scripted", "--limit", str(PROBLEMS), "--set", "scripted.wait=0.05"]
OWN_MOUNTS = ["unshare", "--map-root-user", "--mount"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    said("synth", out, *DATASET)
    return out


def synth(out: Out) -> str:
    return " ".join(command("synth", out, *DATASET)).replace(sys.executable, f"'{sys.executable}'")


@pytest.mark.skipif(
    not shutil.which("unshare") or subprocess.run([*OWN_MOUNTS, "true"], capture_output=True, check=False).returncode,  # noqa: S603 - ours
    reason="this machine lets nobody mount a small disk of their own",
)
def test_a_disk_that_fills_up_or_turns_read_only_loses_nothing(undisturbed: Path, tmp_path: Path) -> None:
    disk, kept = tmp_path / "disk", tmp_path / "run"
    disk.mkdir()
    script = f"""
        mount -t tmpfs -o size=120k tmpfs {disk}
        {synth(disk / "run")}; echo full $?
        mount -o remount,ro {disk}
        {synth(disk / "run")}; echo read-only $?
        mount -o remount,rw,size=100m {disk}
        {synth(disk / "run")}; echo done $?
        cp -r {disk}/run {kept}
    """
    done = subprocess.run([*OWN_MOUNTS, "sh", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert [line for line in done.stdout.splitlines() if line.startswith(("full", "read", "done"))] == [
        "full 2",
        "read-only 2",
        "done 0",
    ], done.stdout + done.stderr
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "No space left on device" in errors[0]
    assert "make room" in errors[0]
    assert "Read-only file system" in errors[1]
    assert "restore access" in errors[1]
    assert "Traceback" not in done.stderr
    assert files(kept) == files(undisturbed)
    assert recorded(kept) == recorded(undisturbed)
    whole(kept, SOLUTIONS)


def test_what_is_damaged_is_told_and_made_again(undisturbed: Path, tmp_path: Path) -> None:
    out, dice = tmp_path / "run", random.Random(0)
    with going_on(out, tmp_path / "log", *DATASET, "--set", "cluster.in_flight=4") as run:
        run.kill()
    segment = max((out / "ledger").rglob("*.seg"), key=lambda file: file.stat().st_size)
    data = bytearray(segment.read_bytes())
    data[dice.randrange(len(data) // 4, len(data) // 2)] ^= 0xFF
    segment.write_bytes(data)
    torn, gone = sorted((out / "labelled").glob("p*.parquet"))[:2]
    torn.write_bytes(torn.read_bytes()[:-100])
    gone.unlink()
    with (out / "manifest.jsonl").open("a") as manifest:
        manifest.write('{"part": "00", "digest": "of another plan"}\nno json\n{"part": "0')
    text = said("synth", out, *DATASET)
    for wanted in (torn.name, gone.name, "damaged"):
        assert wanted in text
    assert files(out) == files(undisturbed)
    assert 0 < asked(out) < len(recorded(out))
    whole(out, SOLUTIONS)
