"""Which solutions each way of labelling keeps, and what it has a PRM learn of each of their steps.

All from one exhaustive run: `consensus.agree` on the recorded evidence, as `refilter` does it, so that all ways see the
same solutions, rollouts and verdicts. The oracle's labels stand where the paper (arXiv 2501.07301) has people's.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data import schema, shards
from data.arith import oracle, world
from data.records import NO_ERROR, Labelled
from stages import consensus

TRIES = 8
RULES: dict[str, consensus.Rule] = {"mc": "mc", "judge": "judge", "consensus": "first_error"}
ORACLE = "oracle"


@dataclass(frozen=True, slots=True)
class Way:
    """A way of labelling: whose word counts, above how many hits of `TRIES` a step is right, hit rates or 0 and 1."""

    by: str
    threshold: int = 0
    soft: bool = False

    @property
    def name(self) -> str:
        """As files and tables name it."""
        above = f"-above-{self.threshold}" if self.threshold else ""
        return f"{self.by}{above}{'-soft' if self.soft else ''}"

    @property
    def rule(self) -> consensus.Settings:
        """Return the consensus rule; the oracle has none."""
        return consensus.Settings(RULES[self.by], self.threshold / TRIES)


HARD = tuple(Way(by) for by in (*RULES, ORACLE))
SOFT = (Way("mc", soft=True), Way("consensus", soft=True))
THRESHOLDS = tuple(Way("mc", threshold) for threshold in (1, 3, 5, 7))


@dataclass(frozen=True, slots=True)
class Taught:
    """A solution to learn from: its steps, and what is to be said of the first so many of them, 0 (wrong) to 1."""

    problem: str
    steps: tuple[str, ...]
    targets: tuple[float, ...]
    exact: bool  # the labels are those of the truth


@dataclass(frozen=True, slots=True)
class Held:
    """A solution to be scored, with its truth: the first wrong step, and whether its answer is right."""

    problem: str
    steps: tuple[str, ...]
    first_error: int
    answer: str | None
    right: bool


def problems(levels: Sequence[str], count: int, start: int) -> Iterator[dict[str, str | None]]:
    """Yield problems of some levels in turn, as a source's rows; `start` is the number of the first."""
    for index in range(start, start + count):
        one = world.problem(levels[index % len(levels)], index)
        yield {"id": one.id, "level": one.level, "problem": one.text, "answer": one.gold}


def rows(run: Path) -> Iterator[Labelled]:
    """Yield all solutions of a run that have a step, kept and rejected, ordered by problem and sample."""
    found = list(shards.rows(run))
    found.sort(key=lambda row: (row["problem_id"], row["sample"]))
    return (schema.record(row) for row in found if row["steps"])


def truth(row: Labelled) -> int:
    """Return the first wrong step according to the oracle."""
    return oracle.first_error(row.trace.problem, row.trace.steps)


def taught(found: Sequence[Labelled], way: Way) -> list[Taught]:
    """Return what a way of labelling keeps."""
    pairs = ((row, targets(row, way)) for row in found)
    return [_taught(row, wanted) for row, wanted in pairs if wanted is not None]


def targets(row: Labelled, way: Way) -> tuple[float, ...] | None:
    """Return the targets of a solution's steps up to the first error; None where it is not kept.

    Also where a hit rate is wanted that the evidence does not tell.
    """
    if way.by == ORACLE:
        return marked(truth(row), len(row.trace.steps))
    decision = consensus.agree(row.trace, row.outcome, row.estimate, row.verdict, way.rule)
    if not decision.kept:
        return None
    if not way.soft:
        return tuple(map(float, decision.labels))
    rates = [consensus.hit_rate(step) for step in row.estimate.steps[: len(decision.labels)]]
    known = [float(rate) for rate in rates if rate is not None]
    return tuple(known) if len(known) == len(rates) else None


def equal(kept: Sequence[Taught], count: int, seed: int) -> list[Taught]:
    """Draw as many solutions as the sparsest way has."""
    return random.Random(seed).sample(kept, count)


def held(found: Sequence[Labelled]) -> list[Held]:
    """Return solutions with their truth, for scoring."""
    return [
        Held(row.task.problem.text, row.trace.steps, truth(row), row.trace.answer, row.outcome == "equal")
        for row in found
    ]


def marked(first: int, steps: int) -> tuple[float, ...]:
    """Return hard targets for the first wrong step, or none, of so many."""
    right = steps if first == NO_ERROR else first
    return (1.0,) * right + (0.0,) * (right < steps)


def _taught(row: Labelled, wanted: tuple[float, ...]) -> Taught:
    first = next((index for index, target in enumerate(wanted) if not target), NO_ERROR)
    return Taught(row.trace.problem, row.trace.steps, wanted, first == truth(row))
