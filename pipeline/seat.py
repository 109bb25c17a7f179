"""A worker's place in a run, kept by the driver: who sits there, what it has in hand, what it has counted."""

from dataclasses import dataclass, field
from typing import Any

from pipeline.progress import Progress


@dataclass(slots=True)
class Seat:
    """One worker: its actor, a reference that is there once it is up, and the shards it holds, by their references."""

    actor: Any
    ready: Any
    started: bool = False
    parts: dict[Any, str] = field(default_factory=dict)
    _before: Progress = field(default_factory=Progress)
    _now: Progress = field(default_factory=Progress)

    @property
    def counts(self) -> Progress:
        """What it has counted, earlier lives included."""
        return self._before + self._now

    def look(self, seen: Progress) -> None:
        """Take new counts; those of a worker that was started again begin anew."""
        if seen.finished < self._now.finished or seen.asked < self._now.asked:
            self._before += self._now
        self._now = seen

    def wait(self) -> None:
        """Take no shards until the actor is up, for the first time or again."""
        self.started, self.ready = False, self.actor.progress.remote()
