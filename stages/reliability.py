"""Whether a confidence is worth anything: how right the most confident are, and the equally confident.

Cases of one problem are alike, so they are counted in clusters, and an interval is Wilson's for the effective number of
cases: as many independent ones as would spread as much. Confidences are kept to four places: what is counted does not
grow with a run.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise
from typing import Final

from stages.metrics import Range, wilson

RETAINED: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
EDGES: Final = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)
_PLACES: Final = 4


@dataclass(frozen=True, slots=True)
class Share:
    """A share of right cases, and the sums over clusters of their sizes' and rights' products, for its interval."""

    cases: float = 0.0
    right: float = 0.0
    clusters: float = 0.0
    sizes: float = 0.0
    mixed: float = 0.0
    rights: float = 0.0

    def cluster(self, cases: int, right: int) -> "Share":
        """Return the share with one cluster more."""
        return self + Share(cases, right, 1, cases * cases, cases * right, right * right)

    def __add__(self, other: "Share") -> "Share":
        return Share(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def part(self, part: float) -> "Share":
        """Return what a random part of the clusters holds, on average."""
        return Share(*(part * value for value in astuple(self)))

    @property
    def value(self) -> float | None:
        """The share; None of no case."""
        return self.right / self.cases if self.cases else None

    @property
    def effective(self) -> float:
        """Number of independent cases that would spread as much; of a share of 0 or 1, the number of clusters."""
        if self.value is None:
            return 0.0
        spread = self.rights - 2 * self.value * self.mixed + self.value**2 * self.sizes
        even = self.value * (1 - self.value)
        if self.clusters <= 1 or spread <= 1e-9 * self.sizes or not even:
            return min(self.clusters, self.cases)
        return min(self.cases, even * self.cases**2 * (self.clusters - 1) / (spread * self.clusters))

    @property
    def range(self) -> Range | None:
        """95 % interval."""
        return None if self.value is None else wilson(self.value * self.effective, self.effective)


Claims = dict[float, Share]
"""Cases by confidence."""


def count(claims: Claims, cases: Iterable[tuple[float, bool]]) -> None:
    """Add the cases of one problem: how confident, and whether right."""
    seen = Counter((round(confidence, _PLACES), right) for confidence, right in cases)
    for level in {level for level, _ in seen}:
        right, wrong = seen[level, True], seen[level, False]
        claims[level] = claims.get(level, Share()).cluster(right + wrong, right)


@dataclass(frozen=True, slots=True)
class Point:
    """Of all solutions, the `retained` share that is most confident, down to `confidence`: how many are right."""

    retained: float
    confidence: float
    right: Share


def curve(claims: Mapping[float, Share], total: float, retained: Sequence[float] = RETAINED) -> list[Point]:
    """Return how right the most confident are, at each share of `total` solutions that are claimed at all.

    Where a share ends among cases that are equally confident, as many of them are taken by lot.
    """
    points, levels = [], sorted(claims, reverse=True)
    for share in retained:
        room, right = share * total, Share()
        for level in levels:
            taken = min(1.0, room / claims[level].cases)
            right += claims[level].part(taken)
            room -= taken * claims[level].cases
            if room <= 1e-6:
                points.append(Point(share, level, right))
                break
    return points


def everything(claims: Mapping[float, Share]) -> Share:
    """Return the share of right ones among all that is claimed."""
    return sum(claims.values(), Share())


@dataclass(frozen=True, slots=True)
class Bin:
    """Cases with a confidence from `low` to below `high`: what they claim on average, and how many are right."""

    low: float
    high: float
    claimed: float
    right: Share


def bins(claims: Mapping[float, Share], edges: Sequence[float] = EDGES) -> list[Bin]:
    """Return the bins that hold cases; the last takes its upper edge in."""
    found = []
    for low, high in pairwise(edges):
        inside = {c: share for c, share in claims.items() if low <= c < high or c == high == edges[-1]}
        if inside:
            cases = sum(share.cases for share in inside.values())
            claimed = sum(c * share.cases for c, share in inside.items()) / cases
            found.append(Bin(low, high, claimed, everything(inside)))
    return found


def calibration_error(found: Sequence[Bin]) -> float | None:
    """Return the expected calibration error: the mean over cases of how far a bin's claim is from the truth."""
    cases = sum(one.right.cases for one in found)
    off = sum(abs(one.claimed * one.right.cases - one.right.right) for one in found)
    return off / cases if cases else None
