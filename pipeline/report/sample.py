"""Which solutions a report shows: those whose ids have the smallest hashes, so that a run always shows the same ones.

Kept ones and each reason of rejected ones have places of their own; half are kept ones where there are enough of both.
"""

import hashlib
import heapq
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from data.schema import Row
from pipeline.report.counts import cause

_KEPT = ""


class Sample:
    """At most `size` rows of each kind; memory is bounded by that, whatever the run's size."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._held: dict[str, list[tuple[int, str, Row]]] = {}

    def offer(self, shard: pa.Table) -> None:
        """Look at one shard; only the rows that are held are read whole."""
        columns = (shard[name].to_pylist() for name in ("id", "kept", "reason"))
        for index, (name, kept, reason) in enumerate(zip(*columns, strict=True)):
            held = self._held.setdefault(_KEPT if kept else cause(reason), [])
            rank = -_rank(name)  # a heap gives up its smallest: the largest hash
            if len(held) < self.size:
                heapq.heappush(held, (rank, name, _row(shard, index)))
            elif (rank, name) > held[0][:2]:
                heapq.heapreplace(held, (rank, name, _row(shard, index)))

    def rows(self) -> Iterator[Row]:
        """Yield the rows, those first that are to be shown first: a kept one, one of each reason in turn, and again."""
        queues = {kind: sorted(held, key=lambda one: one[:2]) for kind, held in sorted(self._held.items())}
        kept = queues.pop(_KEPT, [])
        while kept or any(queues.values()):
            for queue in list(queues.values()) or [[]]:
                yield from (one.pop()[2] for one in (kept, queue) if one)


def _row(shard: pa.Table, index: int) -> Row:
    row: dict[str, Any] = shard.slice(index, 1).to_pylist()[0]
    return row


def _rank(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
