"""What predictions of first errors are worth against true ones, as ProcessBench scores them (arXiv 2412.06559).

A prediction is a step, -1 for "no error", or None: undecided, which is no hit, and told apart from a miss. F1 is the
harmonic mean of how often the first error of wrong solutions is found exactly, and right solutions are passed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from data.records import NO_ERROR
from stages.metrics import Range, bootstrap, f1

Prediction = int | None


@dataclass(frozen=True, slots=True)
class Case:
    """A solution of `steps` steps, its true first error, and whether its final answer is `right` (None: not known)."""

    id: str
    subset: str
    truth: int
    steps: int
    right: bool | None = None


@dataclass(slots=True)
class Score:
    """How predictions did: `wrong` and `passed` hold 1 for each hit among wrong and among right solutions, else 0.

    `offsets` counts, over wrong solutions with a step named, predicted minus true; `named` steps, `exact` of them true.
    `lucky` solutions have a right answer and a wrong step; of them, `noticed` had some step named.
    """

    wrong: list[float] = field(default_factory=list)
    passed: list[float] = field(default_factory=list)
    offsets: Counter[int] = field(default_factory=Counter)
    undecided: int = 0
    undecided_wrong: int = 0
    named: int = 0
    exact: int = 0
    answers: int = 0
    lucky: int = 0
    noticed: int = 0

    def count(self, case: Case, said: Prediction) -> None:
        """Count one solution."""
        hit = float(said == case.truth)
        (self.passed if case.truth == NO_ERROR else self.wrong).append(hit)
        self.undecided += said is None
        named = said is not None and said != NO_ERROR
        self.named += named
        self.exact += named and said == case.truth
        self.answers += bool(case.right)
        if case.truth == NO_ERROR:
            return
        self.undecided_wrong += said is None
        self.lucky += bool(case.right)
        self.noticed += bool(case.right) and named
        if named and said is not None:
            self.offsets[said - case.truth] += 1

    @property
    def n(self) -> int:
        """Solutions."""
        return len(self.wrong) + len(self.passed)

    @property
    def error(self) -> float | None:
        """Accuracy on wrong solutions: the first error, exactly."""
        return fmean(self.wrong) if self.wrong else None

    @property
    def correct(self) -> float | None:
        """Accuracy on right solutions."""
        return fmean(self.passed) if self.passed else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of both; None where there are no wrong solutions, or no right ones."""
        return None if self.error is None or self.correct is None else f1((self.error, self.correct))

    @property
    def coverage(self) -> float | None:
        """Share of solutions with a decided prediction."""
        return 1 - self.undecided / self.n if self.n else None

    @property
    def none_said(self) -> int:
        """Wrong solutions that were passed."""
        return len(self.wrong) - self.offsets.total() - self.undecided_wrong

    def within(self) -> Range | None:
        """Return the 95 % bootstrap interval of F1."""
        return bootstrap([self.wrong, self.passed], f1)


def score(cases: Iterable[Case], said: Mapping[str, Prediction]) -> dict[str, Score]:
    """Score predictions, by id, subset by subset; a case without one is undecided."""
    scores: dict[str, Score] = {}
    for case in cases:
        scores.setdefault(case.subset, Score()).count(case, said.get(case.id))
    return scores


def headline(scores: Iterable[Score]) -> tuple[float | None, Range | None]:
    """Return the plain mean of the subsets' F1 and its interval; None where a subset has none."""
    all_ = list(scores)
    each = [one.f1 for one in all_ if one.f1 is not None]
    if not each or len(each) < len(all_):
        return None, None
    strata = [stratum for one in all_ for stratum in (one.wrong, one.passed)]
    return fmean(each), bootstrap(strata, _mean_f1)


def _mean_f1(means: Sequence[float]) -> float:
    return fmean(map(f1, zip(means[::2], means[1::2], strict=True)))


def tuned(cases: Iterable[Case], scores: Mapping[str, Sequence[float]]) -> float | None:
    """Return the threshold under which "the first step that scores below it" has the best F1; the lowest where many do.

    None where no solution, wrong or right, can be hit by any. Solutions without scores play no part.
    """
    spans: dict[bool, list[Range]] = {True: [], False: []}  # by whether there is an error: thresholds t, lo < t <= hi
    sizes: Counter[bool] = Counter()
    for case in cases:
        if steps := scores.get(case.id):
            wrong = case.truth != NO_ERROR
            low = steps[case.truth] if wrong else float("-inf")
            high = min(steps[: case.truth] if wrong else steps, default=float("inf"))
            sizes[wrong] += 1
            spans[wrong] += [(low, high)] if low < high else []
    edges = sorted({edge for found in spans.values() for edge in _edges(found)})
    ranked = [(_best(edge, spans, sizes), -edge) for edge in edges]
    return -max(ranked)[1] if ranked else None


def _edges(spans: Sequence[Range]) -> Iterable[float]:
    """Yield thresholds at which a count is about to change: the upper ends; of open ones, one above all others."""
    highest = max((end for span in spans for end in span if abs(end) != float("inf")), default=0.0)
    return (min(high, highest + 1) for _, high in spans)


def _best(threshold: float, spans: Mapping[bool, Sequence[Range]], sizes: Mapping[bool, int]) -> float:
    hits = [sum(low < threshold <= high for low, high in spans[wrong]) for wrong in (True, False)]
    return f1([hit / max(sizes[wrong], 1) for hit, wrong in zip(hits, (True, False), strict=True)])
