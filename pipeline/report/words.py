"""The judges' own words on the solutions of a page, as far as their ledgers can be read in a moment."""

from collections.abc import Sequence
from itertools import groupby

from data import shards
from data.schema import Row
from pipeline.replies import Heard, Replies
from pipeline.run import Run

BYTES = 200_000_000  # of ledgers that are read for a page; `show` finds the words on any one solution


def heard(run: Run, rows: Sequence[Row]) -> dict[str, list[Heard]]:
    """Return what the judges said on rows, by the rows' ids; without those whose ledgers would be too much."""
    if not any(judge.asks for judge in run.recipe.judge):
        return {}
    replies, left = Replies(run), BYTES
    found: dict[str, list[Heard]] = {}
    for part, some in groupby(sorted(rows, key=lambda row: _part(run, row)), key=lambda row: _part(run, row)):
        left -= sum(size or 0 for size in (run.ledger / part).sizes().values())
        if left < 0:
            break
        found |= {row["id"]: replies.of(row) for row in some}
    return found


def _part(run: Run, row: Row) -> str:
    return shards.part(row["problem_id"], run.bits)
