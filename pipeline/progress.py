"""How far a run has come: counted by the workers, shown by the driver, left in `progress.json` for `status`."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from tqdm import tqdm

from data.places import Place
from data.records import Labelled

FILE = "progress.json"


@dataclass(slots=True)
class Progress:
    """Counts of one worker, or of all: solutions finished and kept, and what was asked of models or recalled."""

    finished: int = 0
    kept: int = 0
    tokens: int = 0
    asked: int = 0
    recalled: int = 0

    def __add__(self, other: "Progress") -> "Progress":
        return Progress(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))

    def count(self, labelled: Labelled) -> None:
        """Count one finished solution."""
        self.finished += 1
        self.kept += labelled.decision.kept


@dataclass(slots=True)
class Display:
    """One bar for the whole run; `before` were finished by earlier runs of the same command."""

    place: Place
    total: int
    before: int
    bar: "tqdm[None]"
    started: float = field(default_factory=time.time)

    def show(self, now: Progress) -> None:
        """Draw the counts, and leave them where `status` finds them."""
        seconds = max(time.time() - self.started, 1e-9)
        share = f"{now.kept / now.finished:.0%}" if now.finished else "-"
        self.bar.set_postfix_str(f"kept {share}, {now.tokens / seconds:,.0f} tokens/s", refresh=False)
        self.bar.update(min(self.total, self.before + now.finished) - self.bar.n)
        told = {**asdict(now), "total": self.total, "before": self.before, "started": self.started, "at": time.time()}
        (self.place / FILE).write(json.dumps(told).encode())


@contextmanager
def display(place: Place, total: int, before: int) -> Iterator[Display]:
    """Show a bar of solutions while the run goes on; seldom where it goes to a log."""
    every = 0.5 if sys.stderr.isatty() else 10.0
    with tqdm(total=total, initial=before, unit="sol", desc="labelling", mininterval=every, miniters=0) as bar:
        yield Display(place, total, before, bar)


def told(place: Place) -> list[str]:
    """Return what the newest driver of a run left, as lines; none where it left nothing."""
    file = place / FILE
    if not file.exists():
        return []
    left = json.loads(file.read())
    seconds = max(left["at"] - left["started"], 1e-9)
    done, rate = left["before"] + left["finished"], left["finished"] / seconds
    ago = time.time() - left["at"]
    lines = [f"{done:,} of {left['total']:,} solutions; newest sign of life {ago:,.0f} s ago; {rate:.1f} solutions/s"]
    lines.append(f"asked {left['asked']:,} samples ({left['tokens']:,} tokens), recalled {left['recalled']:,}")
    if done < left["total"] and rate:
        lines.append(f"about {(left['total'] - done) / rate:,.0f} s to go at that rate")
    return lines
