"""The tables of docs/lessons.md, of labels and of held-out scores, and the same numbers for JSON."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.lessons import figures, labels
from bench.lessons.figures import AGGREGATORS, HALF, Measured, Scores, Sums
from bench.lessons.labels import HARD, SOFT, THRESHOLDS, Held, Way
from data.records import Labelled
from stages import metrics

Scored = Sequence[Mapping[str, Scores]]  # of each seed, by training
Row = dict[str, Any]
VALIDATING = 4  # one in so many problems chooses the threshold, the others test


def equal(way: Way) -> str:
    """Name the training on as many solutions as the sparsest way has."""
    return f"{way.name}, equal"


def told(found: Sequence[Labelled], held: Sequence[Held], scored: Scored) -> dict[str, list[Row]]:
    """Return all tables by title."""
    seen = HeldOut(held, scored)
    return {
        "Labels against the truth": [_quality(found, way) for way in (*HARD, *THRESHOLDS)],
        "Step errors: every way with all it keeps, then with equal numbers": [
            seen.errors(name) for name in _compared(scored)
        ],
        "Hard and soft labels, before and after the consensus filter": [
            seen.errors(way.name) for way in (HARD[0], SOFT[0], HARD[2], SOFT[1])
        ],
        "A step is right above so many hits of 8 (mc)": [seen.errors(way.name) for way in (HARD[0], *THRESHOLDS)],
        "Best of 8": [
            *seen.baselines(),
            *(seen.best(name) for name in (*_compared(scored), SOFT[0].name, SOFT[1].name)),
        ],
    }


def _compared(scored: Scored) -> list[str]:
    return [name for name in (*(way.name for way in HARD), *map(equal, HARD)) if name in scored[0]]


def _quality(found: Sequence[Labelled], way: Way) -> Row:
    kept = labels.taught(found, way)
    named = [one for one in kept if 0.0 in one.targets]
    right = sum(one.exact for one in kept)
    return {
        "labels": way.name,
        "kept": f"{len(kept)} of {len(found)}",
        "first error right": _share(right / len(kept), metrics.wilson(right, len(kept))),
        "name an error": len(named),
        "of them right": sum(one.exact for one in named),
        "say none": len(kept) - len(named),
        "of those right": right - sum(one.exact for one in named),
    }


class HeldOut:
    """The solutions and what each PRM makes of them: one part chooses the threshold, the other tests."""

    def __init__(self, held: Sequence[Held], scored: Scored) -> None:
        self.held, self.scored = held, scored
        self.validation = figures.problems(held, lambda number: number % VALIDATING == 0)
        self.test = figures.problems(held, lambda number: number % VALIDATING != 0)
        self.first = HARD[0].name
        self._tuned = {name: self._f1(name, self._exact) for name in scored[0]}

    def errors(self, name: str) -> Row:
        """Return the row of one training's step errors; differences are from the first way of labelling."""
        tuned = self._tuned[name]
        sums = [figures.total(seed) for seed in tuned.seeds]
        wrong, right = (sum(pair) / len(sums) for pair in zip(*map(figures.accuracies, sums), strict=True))
        half = self._f1(name, lambda scores: figures.exact(self.held, scores, HALF, self.test))
        last = sum(figures.last_lowest(seed[name], self.test) for seed in self.scored) / len(self.scored)
        return {
            "labels": name,
            "F1": _share(tuned.mean, tuned.interval()),
            "± seeds": _share(tuned.spread),
            "on wrong": _share(wrong),
            "on right": _share(right),
            f"beyond {self.first}": "" if name == self.first else _share(*tuned.beyond(self._tuned[self.first])),
            "F1 at 0.5": _share(half.mean),
            "last step lowest": _share(last),
        }

    def best(self, name: str) -> Row:
        """Return the row of one training's best of 8."""
        by = {
            how: Measured(figures.mean, [figures.chosen(self.held, seed[name], how, self.test) for seed in self.scored])
            for how in AGGREGATORS
        }
        return {"chosen by": name} | {how: _share(one.mean, one.interval()) for how, one in by.items()}

    def baselines(self) -> list[Row]:
        """Return the rows of what needs no PRM."""
        rows = {
            "any one": figures.passed(self.held, self.test, 1),
            "majority": figures.majority(self.held, self.test),
            "any of them right (pass@8)": figures.passed(self.held, self.test),
        }
        return [self._baseline(name, sums) for name, sums in rows.items()]

    def _baseline(self, name: str, sums: list[Sums]) -> Row:
        one = Measured(figures.mean, [sums])
        return {"chosen by": name} | dict.fromkeys(AGGREGATORS, _share(one.mean, one.interval()))

    def _exact(self, scores: Scores) -> list[Sums]:
        below = figures.threshold(self.held, scores, self.validation)
        return figures.exact(self.held, scores, below, self.test)

    def _f1(self, name: str, exact: Callable[[Scores], list[Sums]]) -> Measured:
        return Measured(figures.f1, [exact(seed[name]) for seed in self.scored])


def _share(value: float | None, within: metrics.Range | None = None) -> str:
    """Return a share in per cent."""
    if value is None:
        return ""
    told = f"{100 * value:.1f}"
    return told if within is None else f"{told} ({100 * within[0]:.1f} to {100 * within[1]:.1f})"
