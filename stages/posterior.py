"""Decides how probable it is that the judge names the true first error, given what rollouts from around it said.

Five things can be: the first error is the named step (exact), an `earlier` one, a `later` one, there is `none`, or an
earlier one is `mended` by rollouts as a rule, so that they hardly show it. Hit rates of prefixes without an error, with
one, and with a mended one are unknown, with Beta priors. The solution's own answer is one more rollout from behind the
error, if there is one. See docs/plans.md. Sums and products alone, so that every machine computes the same.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Final

from data.errors import SettingError
from data.records import Outcome, Tally

Beta = tuple[float, float]
"""The a and b of a Beta distribution."""

MENDED: Final = 0.4  # an error that rollouts mend leaves about so much of the hit rate (docs/plans.md)


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed before any rollout; stages/learning.py learns it.

    `exact`, `earlier`, `later`, `none`: where the first error lies if the judge names a step, as relative weights.
    `good`, `bad`: hit rates of prefixes without and with an error. `passed`: how probable it is that a right answer in
    which the judge finds no error holds none: None where nobody has measured it, since no rollout tells. `missed`: how
    probable it is that the judge misses an error which rollouts mend in as many steps as a whole solution has.
    """

    exact: float = 0.7
    earlier: float = 0.1
    later: float = 0.1
    none: float = 0.1
    good: Beta = (1.0, 1.0)
    bad: Beta = (0.2, 3.8)
    passed: float | None = None
    missed: float = 0.04

    def __post_init__(self) -> None:
        weights, rates = (self.exact, self.earlier, self.later, self.none), (*self.good, *self.bad)
        shares = (self.missed, self.passed or 0.0)
        if self.exact <= 0 or min(weights) < 0 or min(rates) <= 0 or not all(0 <= share <= 1 for share in shares):
            raise SettingError(
                f"a prior needs exact > 0, weights >= 0, rates > 0, passed and missed from 0 to 1, not {self}"
            )

    def at(self, judged: int, steps: int) -> "Prior":
        """Return the prior where the judge names step `judged`: nothing lies before the first, or after the last."""
        earlier = self.earlier if judged else 0.0
        return replace(self, earlier=earlier, later=self.later if judged < steps - 1 else 0.0)

    @property
    def mending(self) -> Beta:
        """Hit rate of prefixes with an error that rollouts mend: a share of `good`, known as if from three rollouts."""
        hits = 3.0 * MENDED * self.good[0] / sum(self.good)
        return hits, 3.0 - hits

    def mended(self, judged: int, steps: int) -> float:
        """Return how probable it is that an error which rollouts mend lies before the step that the judge names.

        Wrong answers hold more of those than right ones, so what `passed` says of right ones is the least.
        """
        passed = 1.0 if self.passed is None else self.passed
        return max(self.missed, 1.0 - passed) * judged / steps


DEFAULT: Final = Prior()


@dataclass(frozen=True, slots=True)
class Evidence:
    """A solution's own outcome, rollouts from the prefix `before` the named step, and from the one `through` it.

    `mended`: how probable it is, before any rollout, that an error lies before that step which rollouts mend.
    """

    prior: Prior
    outcome: Outcome
    before: Tally = field(default_factory=Tally)
    through: Tally = field(default_factory=Tally)
    mended: float = 0.0

    @property
    def weights(self) -> tuple[float, float, float, float, float]:
        """Joint probability of the evidence with exact, earlier, later, none and mended; not normalised.

        The two prefixes share a hit rate where neither holds an error, and have one each, as in stages/learning.py,
        where both do.
        """
        prior, both, own = self.prior, self.before + self.through, OWN[self.outcome]
        wrong = marginal(self.through + own, prior.bad)
        return (
            (1.0 - self.mended) * prior.exact * marginal(self.before, prior.good) * wrong,
            prior.earlier * marginal(self.before, prior.bad) * wrong,
            prior.later * marginal(both, prior.good) * marginal(own, prior.bad),
            0.0 if self.outcome == "different" else prior.none * marginal(both, prior.good),
            self.mended * prior.exact * marginal(self.before, prior.mending) * wrong,
        )

    @property
    def posterior(self) -> float:
        """Probability that the first error is the named step."""
        weights = self.weights
        return weights[0] / sum(weights)

    def seen(self, *, through: bool) -> Tally:
        """Return the rollouts from one of the two prefixes."""
        return self.through if through else self.before

    def add(self, tally: Tally, *, through: bool) -> "Evidence":
        """Return the evidence with more rollouts."""
        if through:
            return replace(self, through=self.through + tally)
        return replace(self, before=self.before + tally)

    def gain(self, *, through: bool) -> float:
        """Return the expected fall of the posterior's variance, p (1 - p), by one more rollout."""
        now, after = sum(self.weights), 0.0
        for tally in (Tally(hits=1), Tally(misses=1)):
            then = self.add(tally, through=through)
            after += sum(then.weights) / now * then.posterior * (1 - then.posterior)
        return self.posterior * (1 - self.posterior) - after


OWN: Final[dict[Outcome, Tally]] = {"equal": Tally(hits=1), "different": Tally(misses=1), "undecided": Tally()}
"""A solution's own answer as a rollout."""


def marginal(seen: Tally, rate: Beta) -> float:
    """Probability of a sequence of hits and misses at one unknown rate (Beta-binomial, for one order of them)."""
    a, b = rate
    product = 1.0
    factors = (*(a + hit for hit in range(seen.hits)), *(b + miss for miss in range(seen.misses)))
    for drawn, factor in enumerate(factors):
        product *= factor / (a + b + drawn)
    return product


def places(tallies: Sequence[Tally], outcome: Outcome, prior: Prior = DEFAULT) -> list[float]:
    """Return how probable each first error is by rollouts alone: none, then step after step; all alike before them.

    `tallies` are the rollouts from the prefix that ends with each step. Unlike above, each prefix has a hit rate of its
    own: over a whole solution they differ too much. For measuring, so logarithms will do.
    """
    good, bad = ([log_marginal(seen, rate) for seen in tallies] for rate in (prior.good, prior.bad))
    own = log_marginal(OWN[outcome], prior.bad)
    before, after = [0.0, *accumulate(good)], [0.0, *accumulate(reversed(bad))][::-1]
    none = before[-1] if outcome != "different" else -math.inf
    logs = [none, *(before[step] + after[step] + own for step in range(len(tallies)))]
    shares = [math.exp(one - max(logs)) for one in logs]
    return [share / sum(shares) for share in shares]


def log_marginal(seen: Tally, rate: Beta) -> float:
    """Return the logarithm of `marginal`, which cannot become 0 whatever was drawn."""
    a, b = rate
    return _beta(a + seen.hits, b + seen.misses) - _beta(a, b)


def _beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
