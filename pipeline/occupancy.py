"""Whether engines wait for us, and how late an event loop is: what says that the models, not Python, set the pace."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

BEAT = 0.05  # seconds between looks at the loop
KEPT = 1200  # newest looks: a minute


@dataclass(slots=True)
class Occupancy:
    """Counts the asks in hand, and the seconds without any since the first came."""

    clock: Callable[[], float] = time.monotonic
    held: int = 0
    _began: float | None = None
    _free_since: float = 0.0
    _free: float = 0.0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold an ask for as long as the block lasts."""
        now = self.clock()
        if self._began is None:
            self._began = now
        elif not self.held:
            self._free += now - self._free_since
        self.held += 1
        try:
            yield
        finally:
            self.held -= 1
            self._free_since = self.clock()

    @property
    def idle(self) -> float:
        """Share of the time from the first ask to now in which none was in hand."""
        if self._began is None:
            return 0.0
        now = self.clock()
        free = self._free + (0.0 if self.held else now - self._free_since)
        return free / max(now - self._began, 1e-9)


@dataclass(slots=True)
class Lag:
    """How much later than asked for a loop wakes a sleeper, in seconds."""

    _seen: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))

    async def watch(self) -> None:
        """Look for ever."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + BEAT
            await asyncio.sleep(BEAT)
            self._seen.append(loop.time() - due)

    @property
    def p99(self) -> float:
        """The 99th percentile over the newest looks; 0 before the first."""
        return sorted(self._seen)[int(0.99 * (len(self._seen) - 1))] if self._seen else 0.0
