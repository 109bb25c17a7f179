"""What is scored, and against what: ProcessBench rows, a file of predictions, the labels of a run.

Whatever does not fit is refused with its file and line, or counted; nothing is left out in silence.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from data import files, shards, sources
from data.errors import RunError, SourceError
from data.places import Place
from data.records import NO_ERROR, Trace
from data.schema import Row
from data.steps import blank, whole
from judges.given import Given
from stages.processbench import Case, Prediction

_COLUMNS = [
    *("id", "problem_id", "dataset", "steps", "ratings", "outcome", "kept"),
    *("first_error", "mc_first_error", "judge_first_error"),
]
_SHOWN = 3  # ids that a message names


@dataclass(frozen=True, slots=True)
class Predictions:
    """By id: first errors, or scores of all steps."""

    said: dict[str, Prediction] = field(default_factory=dict)
    scores: dict[str, Sequence[float]] = field(default_factory=dict)


def cases(paths: Sequence[Path], limit: int | None = None) -> dict[str, Case]:
    """Read ProcessBench rows (id, steps, label, final_answer_correct), the first `limit` of each file, a subset.

    Raises SourceError for a row that is none, and for an id that was read before.
    """
    found: dict[str, Case] = {}
    for path in paths:
        for number, row in islice(files.rows(path), limit):
            where = f"{path}, line {number}"
            case = _case(row, path.stem, where)
            if case.id in found:
                raise SourceError(f"{where}: the id {case.id!r} was read before: give every solution an id of its own")
            found[case.id] = case
    if not found:
        raise SourceError(f"{', '.join(map(str, paths))}: no rows")
    return found


def traces(paths: Sequence[Path], limit: int | None = None) -> dict[str, Trace]:
    """Return the problems and steps of the same rows, by id."""
    rows = (row for path in paths for _, row in islice(files.rows(path), limit))
    return {str(row["id"]): Trace(str(row.get("problem")), tuple(map(str, row["steps"])), None) for row in rows}


def with_gold(path: Path, gold: Sequence[Path], to: Path) -> str:
    """Write a file's rows with the gold answers that problems of the same text have in `gold`; say how many have."""
    known = {_squeezed(one.text): one.gold for file in gold for one in sources.load(str(file)).problems if one.gold}
    rows = [{**row, "gold_answer": known.get(_squeezed(str(row.get("problem"))))} for _, row in files.rows(path)]
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return f"{path.stem}: {sum(row['gold_answer'] is not None for row in rows)} of {len(rows)} have a gold answer"


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _case(row: Mapping[str, Any], subset: str, where: str) -> Case:
    name, steps, label, right = (row.get(key) for key in ("id", "steps", "label", "final_answer_correct"))
    if not isinstance(name, str | int) or not isinstance(steps, list) or not steps:
        raise SourceError(f"{where}: no ProcessBench row: it needs id, steps and label")
    first = whole(label)
    if first is None or not NO_ERROR <= first < len(steps):
        raise SourceError(
            f"{where}: label {label!r}: the first wrong one of {len(steps)} steps, from 0, or -1 for none"
        )
    return Case(str(name), subset, first, len(steps), right if isinstance(right, bool) else None)


def predictions(path: Path, known: Mapping[str, Case]) -> Predictions:
    """Read a file of `id` and `first_error` (null: undecided), or `scores`, one a step.

    Raises SourceError for an id that is not known or comes twice, and for a value that its solution cannot have.
    """
    read = Predictions()
    for number, row in files.rows(path):
        where, name = f"{path}, line {number}", str(row.get("id"))
        if name not in known:
            raise SourceError(f"{where}: no solution has the id {name!r}: give the data it belongs to as well")
        if name in read.said or name in read.scores:
            raise SourceError(f"{where}: the id {name!r} comes a second time")
        _read(row, known[name], read, where)
    if not read.said and not read.scores:
        raise SourceError(f"{path}: no predictions")
    if read.said and read.scores:
        raise SourceError(f"{path}: some rows have first_error and some scores: give a file for each")
    return read


def _read(row: Mapping[str, Any], case: Case, read: Predictions, where: str) -> None:
    if "first_error" in row:
        said = row["first_error"]
        first = None if blank(said) else whole(said)
        if not blank(said) and (first is None or not NO_ERROR <= first < case.steps):
            raise SourceError(f"{where}: first_error {said!r}, but {case.id!r} has {case.steps} steps, from 0")
        read.said[case.id] = first
        return
    scores = row.get("scores")
    if not isinstance(scores, list) or not all(map(_finite, scores)):
        raise SourceError(f"{where}: neither a first_error nor scores that are numbers")
    if len(scores) != case.steps:
        raise SourceError(f"{where}: {len(scores)} scores, but {case.id!r} has {case.steps} steps")
    read.scores[case.id] = scores


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def own(place: Place) -> dict[str, Case]:
    """Return the cases of a run whose dataset labelled its steps, by the solution's id. Raises RunError for none."""
    found = {case.id: case for row in _rows(place) if (case := _told(row))}
    if not found:
        raise RunError(f"{place}: no solution in it has labels of its dataset, so nothing can be measured")
    return found


def _told(row: Row) -> Case | None:
    truth = Given().read(Trace("", tuple(row["steps"]), None, ratings=tuple(row["ratings"] or ()))).first_error
    right = {"equal": True, "different": False}.get(row["outcome"])
    return None if truth is None else Case(row["id"], row["dataset"], truth, len(row["steps"]), right)


def labels(
    runs: Sequence[Place], known: Mapping[str, Case], key: Literal["id", "problem_id"]
) -> dict[str, Predictions]:
    """Return what runs say of cases known by `key`: the judge, rollouts (mc), and the labels that were kept.

    Raises RunError where a run is one of other solutions.
    """
    said = {name: Predictions() for name in ("judge", "mc", "kept")}
    for place, row in ((run, row) for run in runs for row in _rows(run)):
        name = row[key]
        if name not in known and key == "id":
            continue  # the dataset has no label of it
        if name not in known or len(row["steps"]) not in {0, known[name].steps}:
            raise RunError(f"{place}: {name!r} is no solution of the data, or has other steps there: give another OUT")
        said["judge"].said[name] = row["judge_first_error"]
        said["mc"].said[name] = row["mc_first_error"]
        said["kept"].said[name] = row["first_error"] if row["kept"] else None
    if said["kept"].said == said["judge"].said:
        del said["kept"]  # nothing but the judge was asked
    return {name: one for name, one in said.items() if any(value is not None for value in one.said.values())}


def _rows(place: Place) -> Iterator[Row]:
    for side in shards.SIDES:
        for table in shards.tables(place, side):
            yield from table.select(_COLUMNS).to_pylist()


def missing(known: Mapping[str, Case], said: Predictions) -> str | None:
    """Say which solutions have no prediction at all; they count as undecided."""
    absent = [name for name in known if name not in said.said and name not in said.scores]
    if not absent:
        return None
    more = ", ..." if len(absent) > _SHOWN else ""
    return f"{len(absent)} solutions have no prediction and count as undecided: {', '.join(absent[:_SHOWN])}{more}"
