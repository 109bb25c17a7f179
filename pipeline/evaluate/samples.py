"""Several solutions of each problem, with scores: from JSON Lines, or from a run, whose hit rates are the scores.

A sample is right, or not known to be: an outcome that is undecided earns nothing, and is counted.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from data import files, shards
from data.errors import SourceError
from data.places import Place
from data.records import NO_ERROR
from data.schema import Row
from stages.answers import extract
from stages.metrics import AGGREGATORS

SUMMARY: Final = ("min", "last", "mean")  # what StrictPRMBench keeps of a scorer's step scores
_COLUMNS = ["problem_id", "answer", "outcome", "kept", "first_error", "judge_first_error", "hits", "tries"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One solution; `scores` by aggregator, empty where it has none; whether its lowest step score is its `last`."""

    answer: str | None
    right: bool
    scores: Mapping[str, float] = field(default_factory=dict)
    last_lowest: bool | None = None
    undecided: bool = False
    wrong_process: bool | None = None


Group = list[Sample]


def scored(steps: Sequence[float]) -> tuple[dict[str, float], bool]:
    """Return the scores of a solution by aggregator, and whether the last step has the lowest."""
    return {name: aggregate(steps) for name, aggregate in AGGREGATORS.items()}, steps[-1] == min(steps)


def from_file(path: Path) -> dict[str, Group]:
    """Read rows with `candidates` (response or answer, correct, and scores or prm), or one such sample a row.

    A sample's row names its problem (`problem_id` or `problem`). `scores` holds one number a step, `prm` three of one
    scorer, as in StrictPRMBench: lowest, last, mean. Raises SourceError with the line.
    """
    groups: dict[str, Group] = {}
    for number, row in files.rows(path):
        where = f"{path}, line {number}"
        name = row.get("problem_id", row.get("problem"))
        if not isinstance(name, str | int):
            raise SourceError(f"{where}: no problem_id and no problem, so nothing says what it is a sample of")
        many = row.get("candidates")
        if many is not None and str(name) in groups:
            raise SourceError(f"{where}: the problem {name!r} comes a second time")
        rows = [row] if many is None else many
        if not isinstance(rows, list) or not all(isinstance(one, Mapping) for one in rows):
            raise SourceError(f"{where}: candidates are no list of objects")
        groups.setdefault(str(name), []).extend(_sample(one, where) for one in rows)
    if not groups:
        raise SourceError(f"{path}: no rows")
    return groups


def _sample(row: Mapping[str, Any], where: str) -> Sample:
    right, answer, text = row.get("correct"), row.get("answer"), row.get("response")
    if not isinstance(right, bool):
        raise SourceError(f"{where}: correct is {right!r}: every sample has to say true or false")
    said = answer if isinstance(answer, str) else extract(text) if isinstance(text, str) else None
    steps, prm = row.get("scores"), row.get("prm")
    if steps is not None:
        return Sample(said, right, *scored(_numbers(steps, where)))
    if isinstance(prm, Mapping) and len(prm) == 1:
        kept = dict(zip(SUMMARY, _numbers(next(iter(prm.values())), where, len(SUMMARY)), strict=True))
        return Sample(said, right, kept, kept["last"] == kept["min"])
    raise SourceError(f"{where}: a sample has neither scores, one a step, nor prm with one scorer's")


def _numbers(values: Any, where: str, count: int | None = None) -> list[float]:
    right = isinstance(values, list) and values and all(type(one) in {int, float} for one in values)
    if not right or not all(map(math.isfinite, values)) or (count and len(values) != count):
        raise SourceError(f"{where}: scores have to be {count or 'a list of'} numbers, not {str(values)[:60]}")
    return [float(one) for one in values]


def from_run(place: Place) -> dict[str, Group]:
    """Read a run's solutions, problem by problem; hit rates are the scores of one whose steps all have them."""
    groups: dict[str, Group] = {}
    for row in _rows(place):
        rates = [hits / tries for hits, tries in zip(row["hits"], row["tries"], strict=True) if tries]
        scores, lowest = scored(rates) if rates and len(rates) == len(row["hits"]) else ({}, None)
        first = row["first_error"] if row["kept"] else row["judge_first_error"]
        sample = Sample(
            row["answer"],
            row["outcome"] == "equal",
            scores,
            lowest,
            undecided=row["outcome"] == "undecided",
            wrong_process=None if first is None else first != NO_ERROR,
        )
        groups.setdefault(row["problem_id"], []).append(sample)
    return groups


def _rows(place: Place) -> Iterator[Row]:
    for side in shards.SIDES:
        for table in shards.tables(place, side):
            yield from table.select(_COLUMNS).to_pylist()
