"""How far a run has come and what it cost: counted by the workers, shown by the driver, left for `status`.

`progress.json` is how the newest driver stands, also when it was killed; `metrics.jsonl` how it and all before it stood
at times, one line each. A budget counts them all: the last line of each driver.
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any, TextIO

from tqdm import tqdm

from data.places import Place
from data.records import Labelled
from pipeline.machine_settings import Budget
from pipeline.memory import Paid
from pipeline.run import PILOT

FILE, METRICS = "progress.json", "metrics.jsonl"
SELDOM = 5.0  # seconds between notes that are left in a store
SAMPLED = 15.0, 60.0  # seconds between lines of metrics: on a disk, and in a store, where the file is put anew
Health = Mapping[str, Mapping[str, Any]]


@dataclass(slots=True)
class Progress:
    """Counts of one worker, or of all: solutions in hand, finished and kept, and what was paid, by engine.

    `lag` is how late the worst event loop is, in seconds at the 99th percentile. It differs at every look, so it makes
    no two counts unequal: else a run in which nothing moves would seem to go on.
    """

    finished: int = 0
    kept: int = 0
    engines: dict[str, Paid] = field(default_factory=dict)
    held: int = 0
    lag: float = field(default=0.0, compare=False)

    def __add__(self, other: "Progress") -> "Progress":
        return Progress(
            self.finished + other.finished,
            self.kept + other.kept,
            added(self.engines, other.engines),
            self.held + other.held,
            max(self.lag, other.lag),
        )

    @property
    def asked(self) -> int:
        """Samples asked of all models."""
        return sum(paid.asked for paid in self.engines.values())

    @property
    def written(self) -> int:
        """Tokens written by all models."""
        return sum(paid.written for paid in self.engines.values())

    def count(self, labelled: Labelled) -> None:
        """Count one finished solution."""
        self.finished += 1
        self.kept += labelled.decision.kept


def added(one: Mapping[str, Paid], other: Mapping[str, Paid]) -> dict[str, Paid]:
    """Add up what was paid, engine by engine."""
    return {name: one.get(name, Paid()) + other.get(name, Paid()) for name in sorted({*one, *other})}


@dataclass(slots=True)
class Display:
    """One bar for the whole run: `before` solutions were finished by earlier drivers; what they `paid` and `took`."""

    place: Place
    total: int
    before: int
    bar: "tqdm[None]"
    budget: Budget
    paid: dict[str, Paid]
    took: float
    started: float = field(default_factory=time.time)
    over: str | None = None
    _began: float = field(default_factory=time.monotonic)  # a clock that is set back changes no interval
    _left: float = float("-inf")
    _sampled: float = float("-inf")
    _told: dict[str, Any] = field(default_factory=dict)

    def show(self, now: Progress, health: Health | None = None) -> None:
        """Draw the counts, leave them now and then, and note where the budget is used up."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        paid = added(self.paid, now.engines)
        share = f"{now.kept / now.finished:.0%}" if now.finished else "-"
        cost = f", {self.budget.cost(paid):,.2f} spent" if self.budget.prices else ""
        self.bar.set_postfix_str(f"kept {share}, {now.written / seconds:,.0f} tokens/s{cost}", refresh=False)
        self.bar.update(min(self.total, self.before + now.finished) - self.bar.n)
        self._told = asdict(now) | {
            "total": self.total,
            "before": self.before,
            "started": self.started,
            "at": self.started + seconds,
            "asked": now.asked,
            "cost": self.budget.cost(paid),
            "health": dict(health or {}),
        }
        self.over = self.budget.over(paid, self.took + seconds)
        if time.monotonic() > self._left + (0 if self.place.local else SELDOM):
            self.leave()

    def leave(self) -> None:
        """Leave the newest counts where `status` finds them."""
        if not self._told:
            return
        text = json.dumps(self._told).encode()
        (self.place / FILE).write(text)
        self._left = time.monotonic()
        if self._left > self._sampled + SAMPLED[not self.place.local]:
            (self.place / METRICS).append(text)
            self._sampled = self._left


class _Unread:
    """A stream that may break: whoever read the bar (`| tee log`) may be gone, and the run goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def display(place: Place, total: int, before: int, budget: Budget) -> Iterator[Display]:
    """Show a bar of solutions while the run goes on; seldom where it goes to a log.

    The budget counts what the run's pilot took as well, where there is one.
    """
    earlier = [*_closed(place), *_all(place / PILOT)]
    every = 0.5 if sys.stderr.isatty() else 10.0
    looks = {"unit": "sol", "desc": "labelling", "mininterval": every, "miniters": 0}
    with tqdm(total=total, initial=before, file=_Unread(sys.stderr), **looks) as bar:
        took = sum(max(0.0, one["at"] - one["started"]) for one in earlier)
        shown = Display(place, total, before, bar, budget, _paid(earlier), took)
        shown.over = budget.over(shown.paid, took)
        try:
            yield shown
        finally:
            shown.leave()


@dataclass(frozen=True, slots=True)
class Left:
    """How the newest driver of a run stood: solutions done of all, per second, seconds since, and its engines."""

    done: int
    total: int
    rate: float
    ago: float
    took: float
    engines: Mapping[str, str]

    @property
    def rest(self) -> float | None:
        """Seconds to go at that rate; None where nothing is known of it."""
        return (self.total - self.done) / self.rate if self.rate else None


def left(place: Place) -> Left | None:
    """Return how the newest driver of a run stood; None where it left nothing."""
    newest = _left(place / FILE)
    if newest is None:
        return None
    took = max(newest["at"] - newest["started"], 1e-9)
    engines = {name: _stands(state) for name, state in newest["health"].items()}
    ago = max(0.0, time.time() - newest["at"])
    done = newest["before"] + newest["finished"]
    return Left(done, newest["total"], newest["finished"] / took, ago, took, engines)


def spent(place: Place) -> list[str]:
    """Return what all drivers of a run were given for what, as the lines of a table, an engine each."""
    newest = _left(place / FILE)
    rows = [
        (name, *(f"{count:,}" for count in (one.asked, one.recalled, one.written, one.read)))
        for name, one in paid(place).items()
    ]
    lines = columns([("engine", "asked", "recalled", "tokens written", "read"), *rows]) if rows else []
    return [*lines, f"cost {newest['cost']:,.2f}"] if newest and newest["cost"] else lines


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def paid(place: Place) -> dict[str, Paid]:
    """Return what all drivers of a run paid each engine."""
    return _paid(_all(place))


def _stands(state: Mapping[str, Any]) -> str:
    """Say how an engine is; of an endpoint, how its requests fare."""
    late = f", loop {1000 * state['lag']:.0f} ms late" if state.get("lag") else ""
    if "sent" not in state:
        hits = f", prefix cache {state['prefix_hits']:.1%}" if "prefix_hits" in state else ""
        busy = f"{late}{hits}"
        return "DOWN" if state.get("down") else f"up; {state['held']:,} asks in hand, idle {state['idle']:.1%}{busy}"
    errors = ", ".join(f"{count:,} {cause}" for cause, count in sorted(state["errors"].items()))
    down = "DOWN; " if state["down"] else ""
    return (
        f"{down}{state['in_flight']:,} requests in flight (limit {state['limit']:,}), {state['waiting']:,} waiting; "
        f"{state['sent']:,} sent, {state['retried']:,} of them again{late}; failed: {errors or 'none'}"
    )


def _closed(place: Place) -> list[dict[str, Any]]:
    """Enter how the last driver ended, which may have been killed; return how all ended."""
    left = _left(place / FILE)
    if left is None:
        return _earlier(place, None)
    (place / METRICS).append((place / FILE).read())
    return [*_earlier(place, left), left]


def _all(place: Place) -> list[dict[str, Any]]:
    """Return how all drivers of a run ended, or stand."""
    left = _left(place / FILE)
    return [*_earlier(place, left), *([left] if left else [])]


def _earlier(place: Place, newest: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """Return how the drivers before the newest ended."""
    file = place / METRICS
    lines = file.read().splitlines() if file.exists() else []
    ends = {one["started"]: one for line in lines if (one := _read(line))}
    return [one for started, one in ends.items() if newest is None or started != newest["started"]]


def _left(file: Place) -> dict[str, Any] | None:
    return _read(file.read()) if file.exists() else None


def _read(text: bytes) -> dict[str, Any] | None:
    """Read what a driver left; None where it is torn or of another version."""
    try:
        one: dict[str, Any] = json.loads(text)
        one["engines"] = {name: Paid(**paid) for name, paid in one["engines"].items()}
        one["started"], one["at"], one["before"], one["finished"], one["total"], one["cost"]
        [_stands(state) for state in one["health"].values()]
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return one


def _paid(drivers: Iterable[Mapping[str, Any]]) -> dict[str, Paid]:
    total: dict[str, Paid] = {}
    for one in drivers:
        total = added(total, one["engines"])
    return total
