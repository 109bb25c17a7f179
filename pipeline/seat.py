"""A worker's place in a run, kept by the driver: who sits there, what it has in hand, what it has counted."""

from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.progress import Progress


@dataclass(slots=True)
class Seat:
    """One worker: its actor, a reference that is there once it is up, and the shards it holds, by their references."""

    actor: Any
    ready: Any
    started: bool = False
    parts: dict[Any, str] = field(default_factory=dict)
    load: int = 0  # solutions it still has in hand, as far as is known
    _before: Progress = field(default_factory=Progress)
    _now: Progress = field(default_factory=Progress)

    @property
    def counts(self) -> Progress:
        """What it has counted, earlier lives included."""
        return self._before + self._now

    def look(self, seen: Progress) -> None:
        """Take new counts; those of a worker that was started again begin anew."""
        if seen.finished < self._now.finished or seen.asked < self._now.asked:
            self._before += replace(self._now, held=0)
        self._now, self.load = seen, seen.held

    def wait(self) -> None:
        """Take no shards until the actor is up, for the first time or again."""
        self.load, self.started, self.ready = 0, False, self.actor.progress.remote()
