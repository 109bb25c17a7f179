"""What a set of predictions, scores or votes is worth: pure figures, without any I/O.

F1 and its accuracies as in ProcessBench (arXiv 2412.06559), pass@k as in arXiv 2107.03374. A figure that nothing was
measured for is None, never 0. Where samples tie, the figure is what breaking the tie by lot gives on average.
"""

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import combinations, groupby
from statistics import fmean
from typing import Final

Range = tuple[float, float]
Statistic = Callable[[Sequence[float]], float]

ROUNDS: Final = 1000  # of a bootstrap
FEW: Final = 500  # draws of k samples up to which a vote is averaged over all
SUBSETS: Final = 100  # draws over which it is averaged where there are more
_Z: Final = 1.959963984540054  # normal quantile of a 95 % interval


def wilson(hits: float, tries: float, z: float = _Z) -> Range | None:
    """Return the 95 % Wilson interval of a share; None where nothing was tried."""
    if not tries:
        return None
    share, squared = hits / tries, z * z / tries
    middle = (share + squared / 2) / (1 + squared)
    half = z * math.sqrt(share * (1 - share) / tries + squared / (4 * tries)) / (1 + squared)
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap(strata: Sequence[Sequence[float]], statistic: Statistic, rounds: int = ROUNDS) -> Range | None:
    """Return the 95 % percentile interval of a statistic of the strata's means, each resampled within itself.

    None where a stratum is empty. The same values give the same interval.
    """
    if not strata or not all(strata):
        return None
    dice = random.Random(0)
    drawn = sorted(statistic([sum(dice.choices(one, k=len(one))) / len(one) for one in strata]) for _ in range(rounds))
    return drawn[int(0.025 * rounds)], drawn[int(0.975 * rounds)]


def f1(accuracies: Sequence[float]) -> float:
    """Return the harmonic mean of two accuracies: on wrong solutions and on right ones; 0 where either is 0."""
    one, other = accuracies
    return 2 * one * other / (one + other) if one and other else 0.0


def first_below(scores: Sequence[float], threshold: float) -> int:
    """Return the first step whose score is below the threshold; -1 where none is."""
    return next((step for step, score in enumerate(scores) if score < threshold), -1)


AGGREGATORS: Final[Mapping[str, Callable[[Sequence[float]], float]]] = {
    "min": min,
    "product": math.prod,
    "mean": fmean,
    "last": lambda scores: scores[-1],
}


def pass_at(k: int, right: Sequence[bool]) -> float:
    """Return the chance that any of k samples drawn from these is right, without bias."""
    return float(1 - Fraction(math.comb(len(right) - sum(right), k), math.comb(len(right), k)))


def best_of(k: int, scores: Sequence[float], right: Sequence[bool]) -> float:
    """Return the chance that the best scored of k samples drawn from these is right; exact over all draws."""
    ranked = sorted(zip(scores, right, strict=True))
    below, draws, chance = 0, math.comb(len(ranked), k), Fraction(0)
    for _, tied in groupby(ranked, key=lambda pair: pair[0]):
        group = [correct for _, correct in tied]
        wins = math.comb(below + len(group), k) - math.comb(below, k)
        chance += Fraction(wins * sum(group), draws * len(group))
        below += len(group)
    return float(chance)


def vote(k: int, answers: Sequence[int | None], right: Sequence[bool], weights: Sequence[float] | None = None) -> float:
    """Return the chance that the answer which most of k samples drawn from these give is right.

    `answers` number what is equal; None abstains, and where all abstain the vote is lost. `weights` are added up in
    the place of counts. Over all draws where they are `FEW`, else over `SUBSETS`, always the same.
    """
    weighed = [1.0] * len(answers) if weights is None else weights
    return fmean(_won(draw, answers, right, weighed) for draw in _draws(len(answers), k))


def best_vote(k: int, scores: Sequence[float], answers: Sequence[int | None], right: Sequence[bool]) -> float:
    """Return the chance that the best scored of k samples drawn from these is right; what ties, votes.

    Draws, answers and ties of the vote are those of `vote`.
    """
    even = [1.0] * len(answers)
    return fmean(_won(_top(draw, scores), answers, right, even) for draw in _draws(len(answers), k))


def _top(draw: Iterable[int], scores: Sequence[float]) -> list[int]:
    """Return the best scored samples of a draw."""
    samples = list(draw)
    best = max(scores[sample] for sample in samples)
    return [sample for sample in samples if scores[sample] == best]


def _won(draw: Iterable[int], answers: Sequence[int | None], right: Sequence[bool], weights: Sequence[float]) -> float:
    """Return the share of right samples among those that give the winning answers of one draw."""
    given: dict[int, list[int]] = {}
    for sample in draw:
        if (answer := answers[sample]) is not None:
            given.setdefault(answer, []).append(sample)
    sums = [math.fsum([weights[sample] for sample in samples]) for samples in given.values()]
    most = max(sums, default=0.0)
    won = [samples for samples, total in zip(given.values(), sums, strict=True) if total == most]
    return sum(sum(right[sample] for sample in samples) / len(samples) for samples in won) / max(len(won), 1)


def _draws(samples: int, k: int) -> Iterable[Iterable[int]]:
    if math.comb(samples, k) <= FEW:
        return combinations(range(samples), k)
    dice = random.Random(samples * 1000 + k)
    return (dice.sample(range(samples), k) for _ in range(SUBSETS))
