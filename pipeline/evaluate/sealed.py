"""What a finished run holds, problem after problem: shards are read one at a time, so memory does not grow with it."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from data import shards
from data.errors import RunError
from data.places import Place
from data.schema import Row


def problems(place: Place, columns: Sequence[str]) -> Iterator[list[Row]]:
    """Yield each problem's solutions, kept and rejected, in order. Raises RunError where nothing is finished."""
    seals = shards.sealed(place).values()
    if not seals:
        raise RunError(f"{place} has no finished shard: nothing can be measured yet")
    wanted = [*dict.fromkeys(["problem_id", "policy", "sample", *columns])]
    for seal in seals:
        rows = [row for side in shards.SIDES for row in shards.table(place, seal, side).select(wanted).to_pylist()]
        rows.sort(key=lambda row: (row["problem_id"], row["policy"], row["sample"]))
        for _, group in groupby(rows, key=lambda row: row["problem_id"]):
            yield list(group)
