"""Decides which solutions are kept and with which labels: pure functions over recorded evidence.

So a finished run can be filtered again with another rule, and no new tokens. What is missing or undecided is a reason
to reject a solution, never a wrong step. Steps after the first error get no label.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Final, Literal

from data.errors import SettingError
from data.records import NO_ERROR, Decision, Estimate, Outcome, StepEstimate, Trace, Verdict
from stages.probes import first_error

Rule = Literal["first_error", "every_step", "mc", "judge", "posterior"]

Reason = Literal[
    "empty",  # the solution has no step
    "no_gold",  # no gold answer, or one that cannot be compared
    "refused",  # the engine will never roll this solution out
    "outcome_undecided",  # the solution's own answer could not be compared, and nothing else decides
    "judge_undecided",  # no verdict: unreadable replies, or a tie
    "mc_undecided",  # too few rollouts could be decided, or nobody asked for them
    "mc_stopped_early",  # the rule needs rates, but sampling stopped on what it had seen
    "judge_none_wrong_answer",  # the judge finds no error, the answer is wrong
    "judge_error_right_answer",  # the judge names a step, the answer is right
    "judge_earlier",  # the judge names an earlier step than the rollouts
    "judge_later",  # the judge names a later step than the rollouts
    "steps_differ",  # the first errors agree, a later prefix does not
    "judge_unlikely",  # the judge's first error is probably not the true one
    "all_right",  # the problem is left out: all its solutions are right
    "all_wrong",  # the problem is left out: none of its solutions is right
]

UNDECIDED: Final[frozenset[Reason]] = frozenset(
    {"empty", "no_gold", "refused", "outcome_undecided", "judge_undecided", "mc_undecided", "mc_stopped_early"}
)
"""Reasons that tell of missing evidence; the others tell of a disagreement."""


_BLOCKED: Final[dict[str | None, Reason]] = {"no_gold": "no_gold", "refused": "refused"}
_LEFT_OUT: Final[dict[str | None, Reason]] = {"all_right": "all_right", "all_wrong": "all_wrong"}


@dataclass(frozen=True, slots=True)
class Settings:
    """How evidence becomes labels.

    `rule`: first_error keeps where judge and rollouts agree on the first error's position (Lessons, arXiv 2501.07301);
    every_step where they agree on every prefix; mc and judge trust one alone, but never "no error" on an answer known
    to be wrong; posterior where the judge is right with a probability of at least 1 - `error`, and a right answer that
    the judge passes, its own witness, where no probability is known. A step is right where its hit rate exceeds
    `threshold` (0: any hit), or, where `progress` is set, where its rate is at least that share of the rate before it
    (GenPRM, arXiv 2504.00891: 0.8). Both need rates, so rollouts that were not stopped early.
    """

    rule: Rule = "first_error"
    threshold: float = 0.0
    progress: float | None = None
    error: float = 0.02

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:
            raise SettingError(f"threshold is a share of hits, from 0 (any hit) to less than 1, not {self.threshold:g}")
        if self.progress is not None and not 0 < self.progress <= 1:
            raise SettingError(f"progress is a share of the rate before, above 0 up to 1, not {self.progress:g}")
        if self.progress is not None and (self.threshold or self.rule == "every_step"):
            raise SettingError("progress compares neighbours: it excludes a threshold and the rule every_step")
        if not 0 < self.error < 0.5:
            raise SettingError(f"consensus needs 0 < error < 0.5, not {self.error}")


DEFAULT: Final = Settings()


def agree(
    trace: Trace, outcome: Outcome, estimate: Estimate, verdict: Verdict, settings: Settings = DEFAULT
) -> Decision:
    """Apply the rule: the label and its steps where the solution is kept, the reason where it is not.

    `agreement` compares the judge's and the rollouts' first errors whatever the rule; None where that cannot be said.
    Raises ValueError where the evidence is about another number of steps.
    """
    steps, judged = len(trace.steps), verdict.first_error
    if len(estimate.steps) != steps or (steps and judged is not None and not NO_ERROR <= judged < steps):
        raise ValueError(f"{steps} steps, but {len(estimate.steps)} estimates and a verdict on step {judged}")
    if not steps:
        return _rejected("empty", None)
    if left_out := _LEFT_OUT.get(estimate.reason):
        return _rejected(left_out, None)
    labels = tuple(marks(estimate, settings))
    evidence = _Evidence(outcome, estimate, labels, first_error(labels), judged, settings.error)
    conflict = _first_error(evidence)
    agreement = None if conflict in UNDECIDED else conflict is None
    if reason := _RULES[settings.rule](evidence):
        return _rejected(reason, agreement)
    first = evidence.rolled if settings.rule == "mc" else judged
    right = steps if first is None or first == NO_ERROR else first
    return Decision(True, first, (True,) * right + (False,) * (right < steps), agreement)


def _rejected(reason: Reason, agreement: bool | None) -> Decision:
    return Decision(kept=False, first_error=None, labels=(), agreement=agreement, reason=reason)


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What the rules look at; `labels` says of each prefix, or step, what the rollouts make of it."""

    outcome: Outcome
    estimate: Estimate
    labels: tuple[bool | None, ...]
    rolled: int | None
    judged: int | None
    error: float


def _judge_silent(seen: _Evidence) -> Reason | None:
    return "judge_undecided" if seen.judged is None else None


def _rollouts_silent(seen: _Evidence) -> Reason | None:
    """Why the rollouts tell no first error: what keeps them from labelling the first step that has no label."""
    if seen.rolled is not None:
        return None
    if blocked := _BLOCKED.get(seen.estimate.reason):
        return blocked
    if seen.outcome == "undecided" and not any(step.tries for step in seen.estimate.steps):
        return "outcome_undecided"
    unlabelled = seen.estimate.steps[seen.labels.index(None)]
    stopped = unlabelled.stopped_early or unlabelled.source == "inferred"  # nobody asked on: a longer prefix had a hit
    return "mc_stopped_early" if unlabelled.reachable is not None and stopped else "mc_undecided"


def _judge_alone(seen: _Evidence) -> Reason | None:
    """Trust the judge, unless the answer itself refutes it: that costs nothing to know."""
    return _judge_silent(seen) or ("judge_none_wrong_answer" if _refuted(seen) else None)


def _refuted(seen: _Evidence) -> bool:
    return seen.judged == NO_ERROR and seen.outcome == "different"


def _first_error(seen: _Evidence) -> Reason | None:
    return _judge_silent(seen) or _contradicted(seen) or _rollouts_silent(seen)


def _every_step(seen: _Evidence) -> Reason | None:
    """As `_first_error`, and no later prefix may be reachable or unknown."""
    later = () if seen.judged is None or seen.judged == NO_ERROR else seen.labels[seen.judged :]
    differ: Reason | None = "steps_differ" if True in later else ("mc_undecided" if None in later else None)
    return _first_error(seen) or differ


def _posterior(seen: _Evidence) -> Reason | None:
    """Trust the judge where that is right with a probability of 1 - error or more; a witness, where none is known."""
    posterior = seen.estimate.posterior
    if posterior is None and seen.outcome == "equal" and seen.judged == seen.rolled == NO_ERROR:
        return None
    if (undecided := _judge_silent(seen)) or posterior is None:
        return undecided or _BLOCKED.get(seen.estimate.reason, "mc_undecided")
    if posterior >= 1 - seen.error:
        return None
    return (_contradicted(seen) or "judge_unlikely") if posterior <= seen.error else "mc_undecided"


_RULES: Final = {
    "first_error": _first_error,
    "every_step": _every_step,
    "mc": _rollouts_silent,
    "judge": _judge_alone,
    "posterior": _posterior,
}
"""Each returns the reason for which a solution is rejected; None where it is kept."""


def _contradicted(seen: _Evidence) -> Reason | None:
    """How the rollouts or the answer contradict a judge who decided; what is unknown contradicts nobody.

    A judge who names a step says: right rollouts before it, none through it.
    """
    judged = seen.judged
    if judged is None:
        return None
    if judged == NO_ERROR:
        refuted: Reason | None = "judge_later" if False in seen.labels else None
        return "judge_none_wrong_answer" if _refuted(seen) else refuted
    if seen.outcome == "equal" and seen.rolled == NO_ERROR:
        return "judge_error_right_answer"
    if False in seen.labels[:judged]:
        return "judge_later"  # than the rollouts, which fail before the named step
    return "judge_earlier" if seen.labels[judged] else None  # they succeed even through it


def marks(estimate: Estimate, settings: Settings) -> Iterator[bool | None]:
    """One value a step; None where the evidence is too little for the rule."""
    before: Fraction | None = None
    for index, step in enumerate(estimate.steps):
        rate = hit_rate(step)
        if settings.progress is not None:
            yield _progressed(rate, before, _exact(settings.progress), bare=index == 0)
        elif settings.threshold:
            yield None if rate is None else rate > _exact(settings.threshold)
        else:
            yield step.reachable
        before = rate


def hit_rate(step: StepEstimate) -> Fraction | None:
    """Share of hits, where sampling was not stopped on what it had seen.

    A reachable prefix without a hit of its own was tried too little: only a longer one told that it is reachable.
    """
    if step.reachable is None or step.stopped_early:
        return None
    if step.reachable is False:
        return Fraction(0)
    if not step.hits:
        return None
    return Fraction(step.hits, step.tries)


def _progressed(rate: Fraction | None, before: Fraction | None, share: Fraction, *, bare: bool) -> bool | None:
    """Relative progress; the first step, with only the bare problem before it, is right where anything was hit."""
    if rate is None or rate == 0 or bare:
        return None if rate is None else rate > 0
    return None if before is None else rate >= share * before


@cache
def _exact(setting: float) -> Fraction:
    """Give the number that was meant: 0.8 is 4/5, which its float exceeds."""
    return Fraction(setting).limit_denominator(10_000)
