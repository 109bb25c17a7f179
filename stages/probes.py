"""Decides which prefixes of a solution are rolled out, how often, and what follows from the tallies.

A plan is a pure generator: it yields a `Probe`, is sent back the `Tally` of its samples, and returns an `Estimate`.
All plans rest on one fact: a prefix from which a rollout reached the gold answer is reachable, and so is every shorter
one. That longer prefixes of an unreachable one are unreachable too (monotony) is an assumption. See docs/plans.md.
"""

import math
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from data.errors import SettingError
from data.records import NO_ERROR, Estimate, Outcome, StepEstimate, Tally
from stages.posterior import Evidence, Prior

Reason = Literal[
    "empty",  # the solution has no step
    "no_gold",  # no gold answer, or one that cannot be compared
    "refused",  # the engine will never answer
    "no_plan",  # the run makes no rollouts
    "judge_undecided",  # the judge named nothing that could be confirmed
    "judge_none",  # the judge found no error, yet the answer is not right
    "error_earlier",  # no hit before the step the judge named
    "error_later",  # a hit through the step the judge named
    "cut",  # too few rollouts could be decided
    "posterior",  # the posterior ended the sampling before hits and misses alone told the first error
    "all_right",  # the problem is left out: all its solutions are right
    "all_wrong",  # the problem is left out: none of its solutions is right
]


@dataclass(frozen=True, slots=True)
class Probe:
    """Samples `first` .. `first + tries - 1` of the continuations of a solution's first `prefix` steps (1 or more)."""

    prefix: int
    tries: int
    first: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """How often a prefix is rolled out.

    `tries`: decided samples needed to call a prefix unreachable. `spare`: how many more may be drawn to replace cut
    ones. `wave`: samples drawn at first where sampling may stop early; each later wave doubles the total, but not in
    `sequential`. `width` and `truncate` are for `exhaustive`; `error`, `give_up` and `prior` for `sequential`.
    """

    tries: int = 8
    spare: int = 8
    wave: int = 1
    width: float | None = None
    truncate: bool = False
    error: float = 0.02
    give_up: float = 0.3
    prior: Prior = field(default_factory=Prior)

    def __post_init__(self) -> None:
        if self.tries < 1 or self.wave < 1 or self.spare < 0:
            raise SettingError(f"rollouts need tries >= 1, wave >= 1 and spare >= 0, not {self}")
        if self.width is not None and not 0 < self.width < 1:
            raise SettingError(f"rollouts need 0 < width < 1, not {self.width}")
        if not (0 < self.error < 0.5 and 0 <= self.give_up < 1 - self.error):
            raise SettingError(f"rollouts need 0 < error < 0.5 and 0 <= give_up < 1 - error, not {self}")


DEFAULT: Final = Settings()
_Z: Final = 1.96  # normal quantile of a 95 % interval

Rolling = Generator[Probe, Tally, Estimate]
Plan = Callable[[int, Outcome, int | None], Rolling]
"""`plan(steps, outcome, judged)`: number of steps (1 or more), the solution's own outcome, the judge's first error."""


def exhaustive(steps: int, outcome: Outcome, _judged: int | None, settings: Settings = DEFAULT) -> Rolling:
    """Roll out every prefix in full (Math-Shepherd, arXiv 2312.08935) but the last, which is graded as in GenPRM.

    With `width`, a prefix only until the 95 % Wilson interval of its hit rate is as narrow; with `truncate`, only up to
    the first unreachable one.
    """
    known = _graded(steps, outcome)
    for prefix in range(1, steps + 1):
        if prefix not in known:
            known[prefix] = yield from _sample(prefix, settings)
        if settings.truncate and known[prefix].reachable is False:
            break
    return _conclude(steps, known)


def bisect(steps: int, outcome: Outcome, _judged: int | None, settings: Settings = DEFAULT) -> Rolling:
    """Search for the first unreachable prefix by halving (OmegaPRM, arXiv 2406.06592); assumes monotony."""
    known = _graded(steps, outcome) or {steps: (yield from _seek(steps, settings))}
    reached, lost = (0, steps) if known[steps].reachable is False else (steps, steps)
    while lost - reached > 1:
        middle = (reached + lost) // 2
        known[middle] = yield from _seek(middle, settings)
        if known[middle].reachable is None:
            break
        reached, lost = (middle, lost) if known[middle].reachable else (reached, middle)
    return _conclude(steps, known)


def confirm(steps: int, outcome: Outcome, judged: int | None, settings: Settings = DEFAULT) -> Rolling:
    """Ask only what can confirm or refute the judge: no hit through the step it named, and one before it.

    A right answer is its own witness, and a judge who names no step leaves nothing to confirm: neither is rolled out.
    Raises ValueError where `judged` is not a step.
    """
    known = _graded(steps, outcome)
    if outcome == "equal":
        return _conclude(steps, known)
    if judged is None or judged == NO_ERROR:
        return _conclude(steps, known, "judge_undecided" if judged is None else "judge_none")
    if not 0 <= judged < steps:
        raise ValueError(f"the judge named step {judged} of {steps}")
    through = judged + 1
    if through not in known:
        known[through] = yield from _seek(through, settings)
        if known[through].reachable is not False:
            return _conclude(steps, known, "error_later" if known[through].reachable else "cut")
    if judged > 0:  # the bare problem holds no error
        known[judged] = yield from _seek(judged, settings)
        if known[judged].reachable is False:
            return _conclude(steps, known, "error_earlier")
    return _conclude(steps, known)


def sequential(steps: int, outcome: Outcome, judged: int | None, settings: Settings = DEFAULT) -> Rolling:
    """Ask until the judge is right with a probability of 1 - `error`, or of `give_up` only, or can no more get there.

    Each wave goes to the prefix before the named step or to the one through it, whichever tells more per token. A right
    answer in which the judge names a step is asked about too. Raises ValueError where `judged` is not a step.
    """
    known = _graded(steps, outcome)
    if judged is None or judged == NO_ERROR:
        return _unnamed(steps, outcome, judged, settings.prior)
    if not 0 <= judged < steps:
        raise ValueError(f"the judge named step {judged} of {steps}")
    through = {prefix: prefix > judged for prefix in (judged, judged + 1) if prefix and prefix not in known}
    prior = settings.prior
    evidence = Evidence(prior.at(judged, steps), outcome, mended=prior.mended(judged, steps))
    while (probe := _most_telling(evidence, through, steps, settings)) is not None:
        evidence = evidence.add((yield probe), through=through[probe.prefix])
    rolled = {prefix: evidence.seen(through=side) for prefix, side in through.items()}
    known |= {prefix: _rolled(seen, settings) for prefix, seen in rolled.items() if seen.drawn}
    return replace(_conclude(steps, known, "posterior"), posterior=evidence.posterior)


PLANS: Final = {"exhaustive": exhaustive, "bisect": bisect, "confirm": confirm, "sequential": sequential}


def simulate(plan: Rolling, answer: Callable[[Probe], Tally]) -> Estimate:
    """Run a plan against a function instead of a model: for tests, and to cost a plan before paying for it."""
    try:
        probe = next(plan)
        while True:
            probe = plan.send(answer(probe))
    except StopIteration as end:
        estimate: Estimate = end.value
        return estimate


def unknown(steps: int, reason: Reason) -> Estimate:
    """Estimate of a solution nobody asked about."""
    return Estimate((StepEstimate(),) * steps, None, reason)


def first_error(right: Iterable[bool | None]) -> int | None:
    """First index that is False, `NO_ERROR` where all are True, None where an unknown comes before either."""
    for index, value in enumerate(right):
        if not value:
            return index if value is False else None
    return NO_ERROR


def _graded(steps: int, outcome: Outcome) -> dict[int, StepEstimate]:
    """Read the solution's own answer: the prefix of all steps did or did not reach the gold answer."""
    if outcome == "undecided":
        return {}
    right = outcome == "equal"
    return {steps: StepEstimate(hits=int(right), tries=1, source="graded", reachable=right)}


def _sample(prefix: int, settings: Settings) -> Generator[Probe, Tally, StepEstimate]:
    """Draw until enough samples are decided, whatever they say; or, in waves, until the rate is known well enough."""
    seen = Tally()
    while (owed := _owed(seen, settings)) > 0 and not _narrow(seen, settings):
        size = owed if settings.width is None else min(owed, max(settings.wave, seen.drawn))
        seen += yield Probe(prefix, size, seen.drawn)
    return _rolled(seen, settings)


def _seek(prefix: int, settings: Settings) -> Generator[Probe, Tally, StepEstimate]:
    """Draw in waves (with `wave=1`: 1, 1, 2, 4) until the first hit or until enough samples missed."""
    seen = Tally()
    while not seen.hits and (owed := _owed(seen, settings)) > 0:
        seen += yield Probe(prefix, min(owed, max(settings.wave, seen.drawn)), seen.drawn)
    return _rolled(seen, settings)


def _owed(seen: Tally, settings: Settings) -> int:
    """Count the samples still to be drawn for `tries` decided ones, within what may be spent on replacing cut ones."""
    return min(settings.tries - seen.decided, settings.tries + settings.spare - seen.drawn)


def _rolled(seen: Tally, settings: Settings) -> StepEstimate:
    """Reachable by one hit; unreachable only if as many as asked for were decided and missed; else unknown."""
    enough = seen.decided >= settings.tries or _narrow(seen, settings)
    reachable = True if seen.hits else (False if enough else None)
    return StepEstimate(seen.hits, seen.decided, "rolled", _owed(seen, settings) > 0, reachable)


def _narrow(seen: Tally, settings: Settings) -> bool:
    """Whether the hit rate's 95 % Wilson interval is as narrow as asked for."""
    if settings.width is None or not seen.decided:
        return False
    n, rate = seen.decided, seen.hits / seen.decided
    return 2 * _Z * math.sqrt(rate * (1 - rate) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n) <= settings.width


def _unnamed(steps: int, outcome: Outcome, judged: int | None, prior: Prior) -> Estimate:
    """Estimate where the judge named no step: there is nothing to ask, and of a right answer only `passed` tells."""
    told = _conclude(steps, _graded(steps, outcome), "judge_undecided" if judged is None else "judge_none")
    if judged is None or outcome == "undecided":
        return told
    return replace(told, posterior=prior.passed if outcome == "equal" else 0.0)


def _most_telling(evidence: Evidence, through: Mapping[int, bool], steps: int, settings: Settings) -> Probe | None:
    """Return the probe that tells most per token; None where all is decided, or the bound is out of reach.

    Out of reach: not even if all samples still owed were as the judge says, misses through its step, hits before it.
    """
    owed = {prefix: _owed(evidence.seen(through=side), settings) for prefix, side in through.items()}
    at_best = evidence
    for prefix, side in through.items():
        at_best = at_best.add(Tally(misses=owed[prefix]) if side else Tally(hits=owed[prefix]), through=side)
    if not settings.give_up < evidence.posterior < 1 - settings.error <= at_best.posterior:
        return None
    best = max((p for p in owed if owed[p] > 0), key=lambda p: evidence.gain(through=through[p]) / max(steps - p, 1))
    return Probe(best, min(owed[best], settings.wave), evidence.seen(through=through[best]).drawn)


def _conclude(steps: int, known: Mapping[int, StepEstimate], reason: Reason = "cut") -> Estimate:
    """Infer what was not asked, and the first error; `reason` is told only where that stays unknown."""
    reached = max((prefix for prefix, step in known.items() if step.reachable), default=0)
    lost = min((prefix for prefix, step in known.items() if step.reachable is False), default=steps + 1)
    filled = tuple(_inferred(prefix, known.get(prefix), reached, lost) for prefix in range(1, steps + 1))
    first = first_error(step.reachable for step in filled)
    violations = sum(prefix > lost and step.reachable is True for prefix, step in known.items())
    return Estimate(filled, first, reason if first is None else None, violations)


def _inferred(prefix: int, own: StepEstimate | None, reached: int, lost: int) -> StepEstimate:
    """Take a longer hit as a witness, even for an undecided prefix, but a shorter miss only where nobody asked."""
    if prefix < reached and (own is None or own.reachable is None):
        return replace(own or StepEstimate(source="inferred"), reachable=True)
    if prefix > lost and own is None:
        return StepEstimate(source="inferred", reachable=False)
    return own or StepEstimate()
