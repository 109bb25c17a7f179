"""Which of several answers to one problem are the same, so that they can be counted as votes.

Two are where exact arithmetic is certain of it (`stages/exact`), or where they are spelled alike; whatever is in doubt
counts as another answer, so a majority is never made of answers that may differ.
"""

from collections.abc import Sequence

from stages.answers import normal
from stages.exact.certain import decide

LONGEST = 2000  # characters of an answer that is compared; beyond, spelling decides


def alike(answers: Sequence[str | None]) -> list[int | None]:
    """Return a number for each answer, the same for the same answer; None where there is none."""
    numbers: dict[str, int] = {}
    first: list[str] = []
    for answer in dict.fromkeys(one for one in answers if one):
        found = next((number for number, other in enumerate(first) if _same(answer, other)), len(first))
        numbers[answer] = found
        first += [answer] if found == len(first) else []
    return [numbers[answer] if answer else None for answer in answers]


def _same(one: str, other: str) -> bool:
    if normal(one) == normal(other):
        return True
    return max(len(one), len(other)) <= LONGEST and decide(one, other) == "equal"
