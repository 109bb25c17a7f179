"""Whole runs as subprocesses: started, waited for, ended; and what they left, on a disk or in a store."""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from data import places, segments, shards
from data.places import Place
from data.schema import Row
from data.segments import Lost

ROOT = Path(__file__).parents[1]
STARTS, TOO_BUSY = 4, "Ray could not be started"  # Ray gives a node 30 s; on a crowded machine that is too little
Out = Path | str


def command(verb: str, out: Out, *options: str) -> list[str]:
    return [sys.executable, "-m", "pipeline", verb, "--out", str(out), *options]


def said(verb: str, out: Out, *options: str, code: int = 0, env: Mapping[str, str] | None = None) -> str:
    """Run a verb to its end; return what it printed, without the bar."""
    for _ in range(STARTS):
        done = subprocess.run(  # noqa: S603 - our own program
            command(verb, out, *options), cwd=ROOT, capture_output=True, text=True, timeout=400, check=False, env=env
        )
        if TOO_BUSY not in done.stderr:
            break
    assert done.returncode == code, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@contextmanager
def going_on(out: Out, log: Path, *options: str, shards_more: int = 2, part: str = "") -> Iterator[psutil.Popen]:
    """Start a run and give it once it has sealed so many more shards; whatever becomes of it, nothing of it is left.

    `part`: the folder of the run whose shards are meant, such as its pilot's.
    """
    meant = places.within(str(out), part) if part else out
    goal = len(sealed(meant)) + shards_more
    run = started(out, log, options, lambda: len(sealed(meant)) >= goal)
    family = run.children(recursive=True)
    try:
        yield run
    finally:
        end(run, family)


def started(out: Out, log: Path, options: Sequence[str], there: Callable[[], bool]) -> psutil.Popen:
    """Start a run and give it once it is `there`."""
    for _ in range(STARTS):
        with log.open("wb") as file:
            run = psutil.Popen(
                command("synth", out, *options), cwd=ROOT, stdout=file, stderr=file, start_new_session=True
            )
        try:
            wait_for(lambda run=run: run.poll() is not None or there())  # type: ignore[misc]
        except AssertionError:
            end(run, [])
            raise
        if TOO_BUSY not in log.read_text():
            break
    assert run.poll() is None, log.read_text()[-3000:]
    return run


def end(run: psutil.Popen, family: list[psutil.Process]) -> None:
    """Kill what is left of a run; its actors must not outlive their driver by more than a moment."""
    if run.poll() is None:
        family = [*family, *run.children(recursive=True)]
        run.kill()
        run.wait()
    actors = {one.pid for one in family if called(one).startswith(("ray::WorkerActor", "ray::EngineActor"))}
    _, left = psutil.wait_procs(family, timeout=10)
    for process in left:
        process.kill()
    assert not actors & {process.pid for process in left}


def called(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def wait_for(holds: Callable[[], bool], seconds: float = 200, pause: float = 0.05) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(pause)


def sealed(out: Out) -> dict[str, shards.Seal]:
    return shards.sealed(out)


def files(out: Out) -> dict[str, bytes]:
    place = places.at(out)
    return {f"{side}/{name}": (place / side / name).read() for side in shards.SIDES for name in (place / side).names()}


def recorded(out: Out) -> Counter[bytes]:
    """How often each sample stands in the ledger."""
    ledger = places.at(out) / "ledger"
    found = (found for segment in _segments(ledger) for found in segments.scan(segment.read()))
    return Counter(one[0] for one in found if not isinstance(one, Lost))


def _segments(ledger: Place) -> Iterator[Place]:
    for part in ledger.names():
        yield from (ledger / part / name for name in (ledger / part).names() if name.endswith(".seg"))


def asked(out: Out) -> int:
    """Samples that the newest driver's workers asked of the engines."""
    return int(json.loads((places.at(out) / "progress.json").read())["asked"])


def rows(out: Out) -> list[Row]:
    return [row for side in shards.SIDES for row in shards.read(out, side).to_pylist()]


def whole(out: Out, solutions: int) -> None:
    """Every solution is there once, in files that are as they were sealed."""
    assert not shards.verify(out)
    ids = [row["id"] for row in rows(out)]
    assert len(ids) == len(set(ids)) == solutions
