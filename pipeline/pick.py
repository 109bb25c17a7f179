"""Which solution of a run is meant: by its id, or by what became of it, the first such or any."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from data import shards
from data.errors import RunError
from data.places import Place
from data.schema import Row
from pipeline.summary import summarise


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a solution must be: everything that is set holds. `id` is whole, or how it starts.

    `reason` is one of a rejected solution's, or how it starts; `seed` chooses among all that fit.
    """

    id: str | None = None
    kept: bool | None = None
    reason: str = ""
    disagree: bool = False
    level: str | None = None
    seed: int | None = None

    def fits(self, row: Row) -> bool:
        """Whether a row is such a one."""
        return (
            (self.id is None or row["id"].startswith(self.id))
            and (self.kept is None or row["kept"] is self.kept)
            and (row["reason"] or "").startswith(self.reason)
            and not (self.disagree and row["agreement"] is not False)
            and (self.level is None or row["level"] == self.level)
        )

    @property
    def anything(self) -> bool:
        """Whether nothing is asked for."""
        return self == Wanted()


def pick(place: Place, wanted: Wanted) -> Row:
    """Return a solution that is wanted; where anything is, a kept one with an error. Raises RunError for none."""
    first: Row | None = None
    for row in _rows(place, wanted):
        if row["id"] == wanted.id or (wanted.anything and row["kept"] and row["first_error"] >= 0):
            return row
        first = first or row
        if wanted.id is None and not wanted.anything:
            break
    if first is None:
        raise RunError(_none(place, wanted))
    return first


def _rows(place: Place, wanted: Wanted) -> Iterator[Row]:
    """Yield what fits: kept ones first, or, with a seed, in an order of chance (shards first, then their rows)."""
    files = [(seal, side) for side in shards.SIDES for seal in shards.sealed(place).values()]
    dice = None if wanted.seed is None else random.Random(wanted.seed)
    if dice:
        dice.shuffle(files)
    for seal, side in files:
        if wanted.kept is not None and wanted.kept != (side == "labelled"):
            continue
        rows = [row for row in shards.table(place, seal, side).to_pylist() if wanted.fits(row)]
        if dice:
            dice.shuffle(rows)
        yield from rows


def _none(place: Place, wanted: Wanted) -> str:
    summary = summarise(place)
    if not summary.solutions:
        return f"{place} holds no solution yet"
    some = next(_rows(place, Wanted()))["id"]
    if wanted.id:
        return f"{place} holds no solution {wanted.id!r}; ids look like {some!r}"
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in summary.reasons.most_common(8)) or "none"
    levels = sorted({row["level"] for row in _rows(place, Wanted()) if row["level"]}) if wanted.level else []
    told = f"; levels are: {', '.join(levels) or 'none'}" if wanted.level else ""
    return f"{place} holds no solution such as this; rejected are: {reasons}{told}"
