"""What step scores are worth on held-out solutions: F1 of the first error as in ProcessBench, and best of 8.

Samples of a problem resemble each other, so intervals come from resampling problems, the same ones for all PRMs: what
two differ by is then compared on the same problems. They hold the trainings fixed; how those differ is said apart.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from statistics import fmean, stdev

from bench.lessons.labels import Held
from data.records import NO_ERROR
from stages import metrics

AGGREGATORS = ("product", "min", "last")
CANDIDATES = 200  # thresholds tried
HALF = 0.5

Scores = Sequence[Sequence[float]]  # of each step of each solution
Problems = Mapping[str, Sequence[int]]  # the numbers of a problem's solutions
Sums = tuple[float, ...]  # of one problem, or of several
Figure = Callable[[Sums], float]


def problems(found: Sequence[Held], chosen: Callable[[int], bool]) -> dict[str, list[int]]:
    """Return the solutions of those problems whose number, in order of appearance, is `chosen`."""
    grouped: dict[str, list[int]] = {}
    for number, one in enumerate(found):
        grouped.setdefault(one.problem, []).append(number)
    return {problem: solutions for at, (problem, solutions) in enumerate(grouped.items()) if chosen(at)}


def threshold(found: Sequence[Held], scores: Scores, within: Problems) -> float:
    """Return the threshold with the highest F1 (the middle of several), of quantiles of solutions' lowest scores."""
    lowest = sorted(min(scores[one]) for solutions in within.values() for one in solutions)
    tried = {lowest[len(lowest) * number // CANDIDATES] for number in range(CANDIDATES)} | {HALF}
    worth = {one: f1(total(exact(found, scores, one, within))) for one in sorted(tried)}
    best = [one for one in worth if worth[one] == max(worth.values())]
    return best[len(best) // 2]


def exact(found: Sequence[Held], scores: Scores, below: float, within: Problems) -> list[Sums]:
    """Return for each problem: positions named exactly, wrong solutions; passed, right solutions."""
    return [_exact(found, {one: metrics.first_below(scores[one], below) for one in some}) for some in within.values()]


def _exact(found: Sequence[Held], named: Mapping[int, int]) -> Sums:
    wrong = [named[one] == found[one].first_error for one in named if found[one].first_error != NO_ERROR]
    right = [named[one] == NO_ERROR for one in named if found[one].first_error == NO_ERROR]
    return sum(wrong), len(wrong), sum(right), len(right)


def accuracies(sums: Sums) -> tuple[float, float]:
    """Return the accuracies on wrong and on right solutions."""
    return sums[0] / max(sums[1], 1), sums[2] / max(sums[3], 1)


def f1(sums: Sums) -> float:
    """Return the harmonic mean of both accuracies."""
    return metrics.f1(accuracies(sums))


def chosen(found: Sequence[Held], scores: Scores, by: str, within: Problems) -> list[Sums]:
    """Return for each problem the chance that the best scored of its samples is right, and 1 for the problem."""
    aggregate = metrics.AGGREGATORS[by]
    return [
        (metrics.best_of(len(some), [aggregate(scores[one]) for one in some], [found[one].right for one in some]), 1)
        for some in within.values()
    ]


def majority(found: Sequence[Held], within: Problems) -> list[Sums]:
    """Return the same for the answer most samples give."""
    told: list[Sums] = []
    for some in within.values():
        seen = list(dict.fromkeys(found[one].answer for one in some if found[one].answer is not None))
        answers = [None if (said := found[one].answer) is None else seen.index(said) for one in some]
        told.append((metrics.vote(len(some), answers, [found[one].right for one in some]), 1))
    return told


def passed(found: Sequence[Held], within: Problems, k: int | None = None) -> list[Sums]:
    """Return the same for whether any of `k` samples (all where not given) is right."""
    return [(metrics.pass_at(k or len(some), [found[one].right for one in some]), 1) for some in within.values()]


def mean(sums: Sums) -> float:
    """Return the mean over problems."""
    return sums[0] / sums[1]


def last_lowest(scores: Scores, within: Problems) -> float:
    """Return the share of solutions whose lowest score is that of the last step: a sign of an outcome model."""
    shown = [scores[one] for some in within.values() for one in some]
    return fmean(one[-1] <= min(one) for one in shown)


@dataclass(frozen=True)
class Measured:
    """One figure of several trainings (seeds), kept as sums by problem; `figure` makes it of the sums of many."""

    figure: Figure
    seeds: Sequence[Sequence[Sums]]

    @cached_property
    def values(self) -> list[float]:
        """Return the figure of each training."""
        return [self.figure(total(seed)) for seed in self.seeds]

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return fmean(self.values)

    @property
    def spread(self) -> float | None:
        """Standard deviation over the seeds; None for one."""
        return stdev(self.values) if len(self.values) > 1 else None

    def interval(self) -> metrics.Range:
        """Return the 95 % interval of the mean."""
        return _middle(self.redrawn)

    def beyond(self, other: "Measured") -> tuple[float, metrics.Range]:
        """Return by how much the mean exceeds another's, and the 95 % interval of that."""
        pairs = zip(self.redrawn, other.redrawn, strict=True)
        return self.mean - other.mean, _middle([one - its for one, its in pairs])

    @cached_property
    def redrawn(self) -> list[float]:
        """Return the mean over the seeds in each round of the bootstrap."""
        return [
            fmean(self.figure(total([seed[one] for one in draw])) for seed in self.seeds)
            for draw in _draws(len(self.seeds[0]))
        ]


def total(some: Sequence[Sums]) -> Sums:
    """Add up."""
    return tuple(map(sum, zip(*some, strict=True)))


@cache
def _draws(count: int) -> list[list[int]]:
    """Return problems, by number, as a bootstrap draws them: always the same."""
    dice = random.Random(0)
    return [dice.choices(range(count), k=count) for _ in range(metrics.ROUNDS)]


def _middle(values: Sequence[float]) -> metrics.Range:
    ordered = sorted(values)
    return ordered[int(0.025 * len(ordered))], ordered[int(0.975 * len(ordered))]
