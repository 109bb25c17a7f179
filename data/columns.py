"""Which column of a dataset is the problem, the gold answer, the given solutions; and one row made into a problem.

Names are given, or guessed from common ones. A value that cannot be used is told with its reason, never guessed at.
"""

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from data import steps
from data.errors import SettingError, SourceError, nearest
from data.records import Given, Problem
from data.schema import clean

Names = str | Sequence[str]

_COMMON: dict[str, tuple[str, ...]] = {
    "problem": ("problem", "question", "query", "prompt", "instruction"),
    "gold": ("gold_answer", "gold", "answer", "ground_truth", "final_answer", "expected_answer", "target", "solution"),
    "id": ("unique_id", "problem_id", "id", "question_id", "uid"),
    "level": ("level", "difficulty"),
    "solutions": ("solutions", "candidates", "responses", "generations", "steps", "response"),
    "policy": ("policy", "generator"),
    "pass_rate": ("pass_rate", "solve_rate"),
    "right": (),
}
_TEXTS = ("response", "solution", "text", "completion")  # where an object holds a solution's text
_AUTHORS = ("policy", "generator", "model")  # where an object holds its author
_FLAGS = ("is_correct", "correct")  # where an object, or what stands beside a solution, says whether it is right


@dataclass(frozen=True, slots=True)
class Columns:
    """Where to look, as dotted paths; `solutions` may be several, each then names its policy.

    `right` says of each solution whether it is; where it is not given, what is usual is looked for beside them.
    """

    problem: str
    gold: str | None = None
    id: str | None = None
    level: str | None = None
    solutions: tuple[str, ...] = ()
    policy: str | None = None
    pass_rate: str | None = None
    right: str | None = None

    def told(self) -> str:
        """Say the mapping in one line."""
        names = {name: getattr(self, name) for name in _COMMON}
        said = {name: value if isinstance(value, str) else ", ".join(value) for name, value in names.items() if value}
        return "; ".join(f"{name} <- {value}" for name, value in said.items())


@dataclass(frozen=True, slots=True)
class Parsed:
    """What one row gave: a problem, or None with the reasons; how its gold answer was found; and its pass rate."""

    problem: Problem | None
    reasons: tuple[str, ...] = ()
    gold_from: str | None = None
    pass_rate: float | None = None


def match(rows: Sequence[Mapping[str, Any]], given: Mapping[str, Names], where: str) -> Columns:
    """Return the mapping: names in `given` win (an empty one means none), others are guessed from the first `rows`.

    Raises SettingError for an unknown field, SourceError for a column that is not there (naming the nearest) and where
    no column looks like a problem.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    for field in given:
        if field not in _COMMON:
            raise SettingError(f"no field {field!r} to map a column to; {_nearest(field, list(_COMMON))}")
    chosen = {field: _listed(names) for field, names in given.items()}
    for field, paths in chosen.items():
        for path in paths:
            if path not in columns and path.split(".")[0] not in columns:
                raise SourceError(f"{where}: no column {path!r} (for {field}); {_nearest(path, columns)}")
    guessed = {field: _listed(_guess(field, rows, columns)) for field in _COMMON if field not in chosen}
    if not (chosen | guessed)["problem"]:
        raise SourceError(
            f"{where}: no column looks like a problem; name it: data.columns.problem=COLUMN, of {', '.join(columns)}"
        )
    if not guessed.get("solutions"):
        guessed["solutions"] = _objects(rows, columns)
    return _columns(guessed | chosen)


def parse(row: Mapping[str, Any], columns: Columns, dataset: str, blanks: Collection[str] = ()) -> Parsed:
    """Return the problem of one row. A missing id becomes a hash of the text; a missing gold answer stays None.

    One of `blanks` stands for a missing gold answer.
    """
    text = row_value(row, columns.problem)
    if not isinstance(text, str) or not text.strip():
        return Parsed(None, (f"no problem text in {columns.problem}",))
    text = clean(text)
    author = _word(row_value(row, columns.policy))
    found = [solution for path in columns.solutions for solution in _solutions(row, path, columns, author)]
    given = tuple(solution for solution in found if isinstance(solution, Given))
    reasons = tuple(reason for reason in found if isinstance(reason, str))
    if columns.solutions and not given:
        return Parsed(None, reasons or ("no solution given",))
    told = row_value(row, columns.gold)
    gold, how = gold_answer(told, worked=columns.gold == "solution")
    if isinstance(told, Mapping | bytes):
        reasons += (f"{columns.gold} is no text or number; what lies in an object is named OBJECT.FIELD",)
    if gold in blanks:
        gold, how = None, None
    rate = row_value(row, columns.pass_rate)
    rated = isinstance(rate, int | float) and 0 <= rate <= 1
    if columns.pass_rate and rate is not None and not rated:
        reasons += (f"{columns.pass_rate} is not a share from 0 to 1",)
    name = _word(row_value(row, columns.id)) or f"{dataset}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    problem = Problem(name, dataset, text, gold, _word(row_value(row, columns.level)), given)
    return Parsed(problem, reasons, how, float(rate) if rated else None)


def row_value(row: Any, path: str | None) -> Any:
    """Return what lies at a dotted path, through lists one value an item; None where there is nothing."""
    if path is None or row is None:
        return None
    if isinstance(row, list):
        return [row_value(item, path) for item in row]
    if not isinstance(row, Mapping):
        return None
    if path in row:
        return row[path]
    first, _, rest = path.partition(".")
    return row_value(row.get(first), rest) if rest else None


def gold_answer(value: Any, *, worked: bool = False) -> tuple[str | None, str | None]:
    r"""Return the gold answer in a cell, and how it was found (None, None: there is none).

    GSM8K's stands after the last "####" or, in its example solutions, on a last line "A: "; MATH's in the last
    \boxed. A `worked` solution without any of these has no gold answer; any other cell is the answer itself.
    """
    text = _word(value)
    if text is None:
        return None, None
    last = text.rsplit("\n", 1)[-1]
    rules = (
        ("after ####", text.rpartition("####")[2] if "####" in text else None),
        ("after A:", last[3:] if last.startswith("A: ") else None),
        ("in the last \\boxed", boxed(text)),
        ("as it stands", None if worked else text),
    )
    return next(((found.strip(), how) for how, found in rules if found and found.strip()), (None, None))


def boxed(text: str) -> str | None:
    r"""Return what the last \boxed (or \fbox, \framebox) holds, braces counted; None where none is closed."""
    starts = [text.rfind(name) + len(name) for name in ("\\boxed{", "\\fbox{", "\\framebox{") if name in text]
    if not starts:
        return text.rpartition("\\boxed ")[2].partition("$")[0] if "\\boxed " in text else None
    start, depth = max(starts), 1
    for end in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            return text[start:end]
    return None


def _solutions(row: Mapping[str, Any], path: str, columns: Columns, author: str | None) -> Iterator[Given | str]:
    """Yield the solutions of one column, and a reason for each that cannot be used."""
    value = row_value(row, path)
    policy = author or (path.partition(".")[0] if len(columns.solutions) > 1 else "given")
    if path.rpartition(".")[2] == "steps" and isinstance(value, list) and value:
        if not all(isinstance(step, str) for step in value):
            yield f"{path}: a list of steps holds texts alone; or name another column: data.columns.solutions"
            return
        value = [steps.given(value)]
    items = value if isinstance(value, list) else [value]
    for number, (item, flag) in enumerate(zip(items, _flags(row, path, columns.right, len(items)), strict=True)):
        if isinstance(item, Given):
            yield replace(item, policy=author or item.policy, right=flag)
            continue
        text, own, right = _told(item)
        if isinstance(text, str):
            yield Given(clean(text), own or policy, right=flag if right is None else right)
        elif value is not None:
            yield f"solution {number} of {path} is not text"


def _flags(row: Mapping[str, Any], path: str, named: str | None, count: int) -> list[bool | None]:
    """Return whether each solution of a column is right, as far as what is named, or stands beside it, says so."""
    beside = path.rpartition(".")[0]
    for one in (named,) if named else (f"{beside}.{name}" if beside else name for name in _FLAGS):
        found = row_value(row, one)
        flags = [_flag(value) for value in (found if isinstance(found, list) else [found])]
        if len(flags) == count and any(flag is not None for flag in flags):
            return flags
    return [None] * count


def _flag(value: Any) -> bool | None:
    return bool(value) if isinstance(value, bool | int) and value in {0, 1} else None


def _told(item: Any) -> tuple[Any, str | None, bool | None]:
    """Return the text and the author of a solution that is a string or an object, and whether that says it is right."""
    if not isinstance(item, Mapping):
        return item, None, None
    text = next((item[name] for name in _TEXTS if name in item), None)
    author = next((_word(item[name]) for name in _AUTHORS if item.get(name)), None)
    return text, author, next((_flag(item[name]) for name in _FLAGS if name in item), None)


def _word(value: Any) -> str | None:
    """Return a cell as stripped text: None for nothing, NaN and objects; a list joined; 27.0 as 27, 2e-05 in full."""
    if isinstance(value, list):
        words = [_word(item) for item in value]
        return ", ".join(word for word in words if word) or None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if steps.blank(value) or not isinstance(value, str | int | float | Decimal):
        return None
    if isinstance(value, float | Decimal) and math.isfinite(value):
        value = format(Decimal(repr(value)) if isinstance(value, float) else value, "f")
    return clean(str(value)).strip() or None


def _guess(field: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str | None:
    kinds = (str, list) if field == "solutions" else object  # a number of steps is not a solution
    names = (name for name in _COMMON[field] if name in columns)
    return next((name for name in names if any(isinstance(row.get(name), kinds) for row in rows)), None)


def _objects(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns whose cells are objects with a solution in them, one policy each (GSM8K's examples)."""
    held = (f"{name}.solution" for name in columns if any("solution" in _object(row.get(name)) for row in rows))
    return tuple(held)


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _listed(names: Names | None) -> tuple[str, ...]:
    if not names:
        return ()
    return (names,) if isinstance(names, str) else tuple(names)


def _columns(chosen: Mapping[str, tuple[str, ...]]) -> Columns:
    single = {field: (chosen.get(field) or (None,))[0] for field in _COMMON if field not in ("problem", "solutions")}
    return Columns(problem=chosen["problem"][0], solutions=chosen["solutions"], **single)


def _nearest(name: str, among: Sequence[str]) -> str:
    meant = nearest(name, among)
    return (f"did you mean {meant!r}? " if meant else "") + f"there are: {', '.join(among)}"
