"""Which copy of an engine is asked: the problem's own, which has its prompt cached, unless that has too much to do.

Consistent hashing with bounded loads (Mirrokni, Thorup and Zadimoghaddam, arXiv 1608.01350): none is given more than
`SLACK` times the mean, so what a slow copy would hold up goes to the others, problem by problem.
"""

import math
import zlib
from collections.abc import Mapping, Sequence

SLACK = 1.25
FEW = 4  # asks that no copy is too busy for


def choose(problem: str, copies: Sequence[str], flying: Mapping[str, int], attempt: int = 0) -> str:
    """Return the first copy from the problem's own on that is not too busy; `flying` asks are in each. Never none."""
    own = (zlib.crc32(problem.encode("utf-8", "replace")) + attempt) % len(copies)
    most = max(FEW, math.ceil(SLACK * (sum(flying.get(one, 0) for one in copies) + 1) / len(copies)))
    return next(one for one in (*copies[own:], *copies[:own]) if flying.get(one, 0) < most)
