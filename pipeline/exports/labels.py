"""What an exported step is worth: a value from 0 to 1, derived from what a run recorded, None where that is not known.

Five ways: the run's own labels, hits above a threshold, hit rates, relative progress, and the labels a dataset brought.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from data import schema
from data.errors import SettingError
from data.records import StepEstimate
from data.schema import Row
from stages.consensus import Settings, hit_rate, marks

Way = Literal["recorded", "threshold", "soft", "progress", "given"]
Values = tuple[float | None, ...]

PROGRESS: Final = 0.8  # GenPRM, arXiv 2504.00891


@dataclass(frozen=True, slots=True)
class Labels:
    """A way to label. `number`: the threshold, or the share of the rate before that a step must keep.

    A threshold of 0 leaves the labels that a dataset brought as they are.
    """

    way: Way = "recorded"
    number: float = 0.0

    def __post_init__(self) -> None:
        self._settings()

    @property
    def soft(self) -> bool:
        """Whether values between 0 and 1 are meant to stay."""
        return self.way == "soft"

    def values(self, row: Row) -> Values:
        """Return one value a step. Raises SettingError where the way needs rates, and sampling stopped at a hit."""
        steps = len(row["steps"])
        if self.way == "recorded":
            return (*map(float, row["labels"]), *[None] * (steps - len(row["labels"])))
        if self.way == "given":
            ratings = row.get("ratings") or [None] * steps
            return tuple(float(one > self.number) if self.number and one is not None else one for one in ratings)
        estimates = schema.estimate(row)
        if self.way == "soft":
            values: Sequence[float | None] = [_float(hit_rate(step)) for step in estimates.steps]
        else:
            values = [None if mark is None else float(mark) for mark in marks(estimates, self._settings())]
        if self.way != "threshold" or self.number:
            _refuse_stopped(row, estimates.steps, values)
        return tuple(values)

    def _settings(self) -> Settings:
        """Return the same as consensus takes it. Raises SettingError for a number out of range."""
        if self.way == "progress":
            return Settings(progress=self.number)
        return Settings(threshold=self.number)


def _float(rate: object) -> float | None:
    return None if rate is None else float(rate)  # type: ignore[arg-type]  # a Fraction


def _refuse_stopped(row: Row, steps: Sequence[StepEstimate], values: Sequence[float | None]) -> None:
    for index, (step, value) in enumerate(zip(steps, values, strict=True)):
        if value is None and step.stopped_early:
            raise SettingError(
                f"{row['id']}, step {index}: sampling stopped on what it had seen, so {step.hits} of {step.tries} is "
                "no hit rate. Rates come from completer.plan=exhaustive; the run's own labels need none (leave out "
                "--soft, --progress and --threshold above 0)"
            )
