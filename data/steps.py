"""Steps and labels that a dataset brings, as a `Given`: 1 right, 0 wrong, between them a rate, None not known."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from data.records import Given
from data.schema import clean

Row = Mapping[str, Any]

OPINIONS: Final = {-1: 0.0, 0: 0.5, 1: 1.0}  # PRM800K's ratings
BETWEEN: Final = "\n\n"  # put between steps that a dataset lists without what stood between them


def given(steps: Sequence[str], ratings: Iterable[Any] = (), between: str = BETWEEN) -> Given:
    """Return a solution of these steps; `between` is put after each but the last that does not end a line itself."""
    ends = (between if not step.endswith("\n") else "" for step in steps[:-1])
    pieces = tuple(clean(step) + end for step, end in zip(steps, [*ends, ""][: len(steps)], strict=True))
    values = tuple(rating(value) for value in ratings)
    known = len(values) == len(pieces) and any(value is not None for value in values)
    return Given("".join(pieces), steps=pieces, ratings=values if known else ())


def rating(value: Any) -> float | None:
    """Return a label as a value from 0 to 1; None for what is no such thing."""
    return float(value) if isinstance(value, bool | int | float) and 0 <= value <= 1 else None


def doubted(column: str, values: Sequence[Any], steps: int) -> Iterator[str]:
    """Yield what is wrong with labels that should be one a step, from 0 to 1 or null."""
    if len(values) != steps:
        yield f"{column}: {len(values)} values for {steps} steps, so none is taken"
        return
    yield from (f"{column}: {said(one)} is no label from 0 to 1" for one in values if not _fine(one))


def _fine(value: Any) -> bool:
    return blank(value) or rating(value) is not None


def whole(value: Any) -> int | None:
    """Return a step's number, also where a column with gaps made it a float; None for what is none, a boolean too."""
    number = type(value) is int or (type(value) is float and value.is_integer())
    return int(value) if number else None


def blank(value: Any) -> bool:
    """Whether a cell holds nothing: null, or the NaN that tables have in its place."""
    return value is None or bool(value != value)  # noqa: PLR0124 - NaN alone differs from itself


def said(value: Any) -> str:
    """Return a value as a message shows it."""
    return repr(value)[:40]
