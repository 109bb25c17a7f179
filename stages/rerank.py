"""Which answers are one."""

from collections.abc import Sequence

from stages.answers import normal
from stages.exact.certain import decide


def numbered(answers: Sequence[str | None]) -> list[int | None]:
    """Return numbers of raw answers, one number for those that are certainly equal; None for one that is missing."""
    known: list[str] = []
    numbers: list[int | None] = []
    for answer in answers:
        if answer is None:
            numbers.append(None)
            continue
        same = next((i for i, one in enumerate(known) if normal(one) == normal(answer) or _equal(answer, one)), None)
        numbers.append(len(known) if same is None else same)
        known += [] if same is not None else [answer]
    return numbers


def _equal(answer: str, other: str) -> bool:
    return decide(answer, other) == "equal"
