"""Where a run stands, for `status`: finished, going on or left alone; how far, at what cost, and what to do next."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil

from data.places import Place
from pipeline import logs, progress, run
from pipeline.progress import Left
from pipeline.run import Run
from pipeline.show import printable
from pipeline.summary import summarise

RECENT = 60.0  # seconds since a sign of life within which a driver counts as alive
LONGEST = 300  # characters of a driver's last word


def lines(made: Run) -> Iterator[str]:
    """Yield a run's state, its progress, what it holds, what it cost, and the next step."""
    left, finished = progress.left(made.place), bool(run.told(made.place).get("finished"))
    alive = None if finished else driver(made.place, left)
    if finished:
        state = f"finished {duration(left.ago)} ago: {_share(left)}" if left else "finished"
    else:
        state = f"going on ({alive})" if alive else "not finished, and nobody works on it"
    yield f"{made.place}   {state}"
    if left and not finished:
        yield _pace(left, going=bool(alive))
    yield from summarise(made.place).lines()
    yield from progress.spent(made.place)
    if left and not finished:
        yield from (printable(f"{name}: {state}") for name, state in left.engines.items())
    if not finished and not alive:
        yield from (f"last word of its driver: {word}" for word in last_word(made.place))
        yield "next: the same `synth` command goes on where it stopped"
    if finished:
        yield f"next: `python -m pipeline show --out {made.place}`, or export, refilter, push"


def driver(place: Place, left: Left | None) -> str | None:
    """Return who is working on a run, as far as can be told from here; None where nobody is."""
    lock = place / "driver.lock"
    words = lock.read().decode(errors="replace").split() if place.local and lock.exists() else []
    if len(words) > 3 and words[0] == "process" and words[1].isdecimal() and words[3] == socket.gethostname():
        return " ".join(words[:4]) if _runs(int(words[1]), Path(lock.path).stat().st_mtime) else None
    return f"sign of life {duration(left.ago)} ago" if left and left.ago < RECENT else None


def duration(seconds: float) -> str:
    """Return a time as one would say it: 42 s, 12 min, 3 h 20 min, 2 days 4 h."""
    minutes, hours = round(seconds / 60), round(seconds / 3600)
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days {hours % 24} h"


def last_word(place: Place) -> list[str]:
    """Return how the newest driver says it ended, in its log; nothing where it was killed, or left none."""
    file = place / logs.FILE
    log = file.read().splitlines() if file.exists() else []
    for line in reversed(log):
        try:
            entry = json.loads(line)
            if entry["source"] == "driver":
                said = str(entry["message"])
                return [printable(" ".join(said.split()))[:LONGEST]] if said.startswith(("ended", "stopped")) else []
        except (ValueError, TypeError, KeyError):
            continue
    return []


def _pace(left: Left, *, going: bool) -> str:
    rate = f"{left.rate:.1f} a second" if left.rate >= 0.1 else f"{left.rate * 3600:.1f} an hour"
    rest = f", about {duration(left.rest)} to go" if going and left.rest is not None else ""
    ago = f"newest sign of life {duration(left.ago)} ago"
    return f"{_share(left)}, {rate}{rest}; {ago}"


def _share(left: Left) -> str:
    return f"{left.done:,} of {left.total:,} solutions ({left.done / max(left.total, 1):.0%})"


def _runs(process: int, since: float) -> bool:
    """Whether a process is there that has been there since then: numbers are given again."""
    try:
        return psutil.Process(process).create_time() <= since + 1
    except psutil.Error:
        return False
