"""What rollouts teach the plan `sequential` about judge and policy, without the truth: its prior.

Where the first error lies is the hidden variable of an EM over exhaustive rollouts. The model is that of
`stages/posterior.py`, but for a hit rate of each prefix's own: over a solution they differ too much. The plan asks
right behind an error, where more is mended than farther on: in the end `bad` is learnt from there. See docs/plans.md.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Literal

from data.records import NO_ERROR, Labelled, Outcome, Tally
from stages.posterior import DEFAULT, OWN, Beta, Prior, log_marginal

ROUNDS = 40
WEAK = 10.0  # solutions that the prior one starts from counts as: one each for earlier, later and none, as by Laplace's
# rule. With 0.4 of one, an `earlier` that 46 solutions had not shown was 0.008, and 0.034 in 266 others
MEANS = (0.005, 0.01, 0.02, *(step / 20 for step in range(1, 20)), 0.98, 0.99, 0.995)
STRENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_log = cache(log_marginal)
BETAS: tuple[Beta, ...] = tuple((mean * both, (1 - mean) * both) for mean, both in product(MEANS, STRENGTHS))

Kind = Literal["exact", "earlier", "later", "none"]
Tallies = tuple[Tally, ...]
KINDS: tuple[Kind, ...] = ("exact", "earlier", "later", "none")


@dataclass(frozen=True, slots=True)
class Seen:
    """What exhaustive rollouts say of one solution in which the judge names a step: tallies by length of prefix."""

    steps: int
    outcome: Outcome
    judged: int
    tallies: Mapping[int, Tally]

    def places(self) -> Iterator[tuple[Kind, Tallies, Tallies]]:
        """Yield where the first error may lie, with the rollouts of each prefix without it, and of each with it."""
        for error in range(self.steps):
            good = tuple(tally for prefix, tally in self.tallies.items() if prefix <= error)
            bad = (*(tally for prefix, tally in self.tallies.items() if prefix > error), OWN[self.outcome])
            kind: Kind = "exact" if error == self.judged else ("earlier" if error < self.judged else "later")
            yield kind, good, bad
        if self.outcome != "different":
            yield "none", tuple(self.tallies.values()), ()


@dataclass(frozen=True, slots=True)
class Guess:
    """One place of one solution's first error, and how probable it is."""

    kind: Kind
    good: Tallies
    bad: Tallies
    share: float


def fit(solutions: Sequence[Seen], start: Prior = DEFAULT) -> Prior:
    """Return the prior under which the evidence is likely: expectation and maximisation in turns."""
    prior, guesses = start, list[Guess]()
    for _ in range(ROUNDS):
        guesses = [guess for solution in solutions for guess in _guesses(solution, prior)]
        prior = replace(
            prior,
            **_weights(guesses, start),
            good=_likeliest(((tally, guess.share) for guess in guesses for tally in guess.good), start.good),
            bad=_likeliest(((tally, guess.share) for guess in guesses for tally in guess.bad), start.bad),
        )
    nearest = ((guess.bad[0], guess.share) for guess in guesses if len(guess.bad) > 1)  # the last is the own answer
    return replace(prior, bad=_likeliest(nearest, start.bad))


def _guesses(solution: Seen, prior: Prior) -> Iterator[Guess]:
    places = list(solution.places())
    room = Counter(kind for kind, _, _ in places)
    chances = [
        getattr(prior, kind)
        / room[kind]
        * math.exp(sum(_log(tally, prior.good) for tally in good) + sum(_log(tally, prior.bad) for tally in bad))
        for kind, good, bad in places
    ]
    for place, chance in zip(places, chances, strict=True):
        yield Guess(*place, chance / sum(chances))


def _weights(guesses: Iterable[Guess], start: Prior) -> dict[Kind, float]:
    shares = {kind: getattr(start, kind) for kind in KINDS}
    expected = {kind: WEAK * share / sum(shares.values()) for kind, share in shares.items()}
    for guess in guesses:
        expected[guess.kind] += guess.share
    return {kind: count / sum(expected.values()) for kind, count in expected.items()}


def _likeliest(seen: Iterable[tuple[Tally, float]], start: Beta) -> Beta:
    """Return the Beta distribution of the grid under which hits and misses are most likely; `start` is one rollout."""
    counts: dict[Tally, float] = {}
    for tally, share in (*seen, (Tally(hits=1), start[0] / sum(start)), (Tally(misses=1), start[1] / sum(start))):
        counts[tally] = counts.get(tally, 0.0) + share
    return max(BETAS, key=lambda beta: sum(share * _log(tally, beta) for tally, share in counts.items()))


def seen(rows: Iterable[Labelled]) -> Iterator[Seen]:
    """Yield those solutions in which the judge names a step."""
    for row in rows:
        if row.verdict.first_error not in {None, NO_ERROR}:
            steps = row.estimate.steps
            tallies = {n: Tally(s.hits, s.tries - s.hits) for n, s in enumerate(steps, 1) if s.source == "rolled"}
            yield Seen(len(steps), row.outcome, row.verdict.first_error, tallies)
