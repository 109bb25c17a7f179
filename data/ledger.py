"""Every reply sample, under the hash of what was asked: append, flush, look up.

A part is a folder of segments, each written by one process. What the operating system took is never lost with the
process; what was flushed is never lost at all. Where a key was recorded twice, the older segment wins, so every reader
sees the same sample.
"""

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from data import places, segments
from data.asks import Sample
from data.errors import RunError
from data.places import Place
from data.segments import Entry, Lost, Segment

_PART = re.compile("p[01]*")  # as `shards.part` names it


class Ledger:
    """The replies to one part's problems: all that were recorded before, and those appended now.

    Parts are named by `shards.part`, so a finer or coarser cut has names that are prefixes of one another: what was
    recorded under such a name is found too. `damaged` counts stretches of bytes lost between sound records, `torn` the
    tails of writers that were killed. One object belongs to one process.
    """

    def __init__(self, root: str | Path | Place, part: str) -> None:
        self.damaged = 0
        self.torn = 0
        self._known: dict[bytes, Entry] = {}
        self._folder = places.at(root) / part
        self._segment: Segment | None = None
        self._waiting_since: float | None = None
        self._flushing = threading.Lock()
        with places.usable(self._folder):
            for segment in _oldest_first(places.at(root), part):
                self._load(segment.read())

    def __len__(self) -> int:
        return len(self._known)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def find(self, key: bytes) -> Entry | None:
        """Return what was recorded under `data.asks.key(...)`."""
        return self._known.get(key)

    def append(self, key: bytes, sample: Sample, prompt_tokens: int) -> None:
        """Record a sample; a key that is known keeps its first sample. Raises RunError where it cannot be written."""
        if key in self._known:
            return
        entry = Entry(sample, prompt_tokens)
        with places.usable(self._folder):
            if self._segment is None:
                self._segment = segments.begin(self._folder)
            self._segment.append(segments.pack(key, entry))
        self._known[key] = entry
        if self._waiting_since is None:
            self._waiting_since = time.monotonic()

    def due(self) -> bool:
        """Whether something appended has waited long enough to be flushed (1 s locally, 5 s in a store)."""
        if self._segment is None or self._waiting_since is None:
            return False
        return time.monotonic() - self._waiting_since >= self._segment.interval

    def flush(self) -> None:
        """Make everything appended survive a power cut, in one fsync or one put. Raises RunError.

        One thread at a time: two would put different records under the same name.
        """
        with self._flushing:
            if self._segment is None or self._waiting_since is None:
                return
            since, self._waiting_since = self._waiting_since, None
            try:
                with places.usable(self._folder):
                    self._segment.sync()
            except RunError:
                self._waiting_since = since
                raise

    def close(self) -> None:
        """Flush, and end this writer's segment; appending again would start another."""
        self.flush()
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _load(self, data: bytes) -> None:
        for found in segments.scan(data):
            if isinstance(found, Lost):
                self.torn += found.torn
                self.damaged += not found.torn
            else:
                self._known.setdefault(*found)


def held(root: Place) -> bool:
    """Whether anything was ever recorded in a ledger. Raises RunError where that cannot be seen."""
    with places.usable(root):
        return any(_PART.fullmatch(name) for name in root.names())


def _oldest_first(root: Place, part: str) -> Iterator[Place]:
    """Segments of a part and of those it contains or is contained in."""
    folders = [name for name in root.names() if name.startswith(part) or part.startswith(name)]
    found = [(name, folder) for folder in folders for name in (root / folder).names() if name.endswith(".seg")]
    for name, folder in sorted(found):
        yield root / folder / name
