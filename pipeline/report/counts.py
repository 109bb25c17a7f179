"""What the report counts over a run, shard by shard: only counts are held, so memory does not grow with the run."""

from collections import Counter
from dataclasses import dataclass, field
from math import isfinite

import pyarrow as pa

from data.records import NO_ERROR
from data.schema import Row

COLUMNS = [
    "problem_id",
    "outcome",
    "kept",
    "reason",
    "labels",
    "first_error",
    "mc_first_error",
    "judge_first_error",
    "judge_votes",
    "hits",
    "tries",
    "source",
    "posterior",
    "rewards",
    "tokens",
]
LAST = 20  # steps from here on are counted together
BINS = 20  # of the posterior's histogram
CLAIMS = {"label": "first_error", "rollouts": "mc_first_error", "judge": "judge_first_error"}


@dataclass(slots=True)
class Firsts:
    """Where one way of labelling puts first errors: by step, `last` of them on a solution's last step."""

    steps: Counter[int] = field(default_factory=Counter)
    last: int = 0
    none: int = 0
    unknown: int = 0

    def count(self, first: int | None, steps: int) -> None:
        """Count one solution of so many steps."""
        self.none += first == NO_ERROR
        self.unknown += first is None
        if first is not None and first != NO_ERROR:
            self.steps[min(first, LAST)] += 1
            self.last += first == steps - 1


@dataclass(slots=True)
class Rate:
    """Rollouts from the prefixes that end with one step: `prefixes`, and `hits` of `tries` over all of them."""

    prefixes: int = 0
    hits: int = 0
    tries: int = 0


@dataclass(slots=True)
class Mean:
    """Values of which the mean is told."""

    count: int = 0
    total: float = 0.0


@dataclass(slots=True)
class Votes:
    """The judges' votes: replies that could not be read, and how the solutions with several readable ones fared."""

    solutions: int = 0
    votes: int = 0
    unread: int = 0
    several: int = 0
    unanimous: int = 0

    def count(self, votes: list[int | None]) -> None:
        """Count the votes on one solution."""
        read = [vote for vote in votes if vote is not None]
        self.solutions += bool(votes)
        self.votes += len(votes)
        self.unread += len(votes) - len(read)
        self.several += len(read) > 1
        self.unanimous += len(read) > 1 and len(set(read)) == 1


@dataclass(slots=True)
class Counts:
    """Counts over the rows of a run; keys that hold a step hold `min(step, LAST)`."""

    solutions: int = 0
    kept: int = 0
    problems: int = 0
    kept_problems: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    firsts: dict[str, Firsts] = field(default_factory=lambda: {name: Firsts() for name in CLAIMS})
    agreement: Counter[tuple[str, str]] = field(default_factory=Counter)
    rates: dict[tuple[str, int], Rate] = field(default_factory=dict)
    sources: Counter[str] = field(default_factory=Counter)
    votes: Votes = field(default_factory=Votes)
    rewards: dict[tuple[str, int], Mean] = field(default_factory=dict)
    posteriors: Counter[tuple[bool, int]] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)

    def add(self, shard: pa.Table) -> None:
        """Count one shard, both sides of it together: all solutions of a problem lie in the same shard."""
        rows = shard.select(COLUMNS).to_pylist()
        self.problems += len({row["problem_id"] for row in rows})
        self.kept_problems += len({row["problem_id"] for row in rows if row["kept"]})
        for row in rows:
            self._count(row)

    def _count(self, row: Row) -> None:
        self.solutions += 1
        self.kept += row["kept"]
        self.outcomes[row["outcome"]] += 1
        if not row["kept"]:
            self.reasons[cause(row["reason"])] += 1
        for name, column in CLAIMS.items():
            self.firsts[name].count(row[column], len(row["hits"]))
        self.agreement[met(row["judge_first_error"], row["mc_first_error"])] += 1
        self.votes.count(row["judge_votes"])
        self.tokens.update(row["tokens"])
        self._rollouts(row)
        if row["rewards"]:
            self._rewards(row)
        if row["posterior"] is not None:
            self.posteriors[row["kept"], min(int(row["posterior"] * BINS), BINS - 1)] += 1

    def _rollouts(self, row: Row) -> None:
        self.sources.update(row["source"])
        for step, (hits, tries, source) in enumerate(zip(row["hits"], row["tries"], row["source"], strict=True)):
            if source == "rolled" and tries:
                rate = self.rates.setdefault((row["outcome"], min(step, LAST)), Rate())
                rate.prefixes, rate.hits, rate.tries = rate.prefixes + 1, rate.hits + hits, rate.tries + tries

    def _rewards(self, row: Row) -> None:
        for step, reward in enumerate(row["rewards"]):
            if reward is not None and isfinite(reward):
                mean = self.rewards.setdefault((label(row["labels"], step), min(step, LAST)), Mean())
                mean.count, mean.total = mean.count + 1, mean.total + reward


def cause(reason: str | None) -> str:
    """Return a reason without what is particular to a row: what failed tells its error after a colon."""
    return (reason or "unknown").partition(":")[0]


def label(labels: list[bool], step: int) -> str:
    """Return what a row says of a step: right, wrong or unlabelled (after the first error, or rejected)."""
    if step >= len(labels):
        return "unlabelled"
    return "right" if labels[step] else "wrong"


def met(judge: int | None, rollouts: int | None) -> tuple[str, str]:
    """Return the cell of the agreement matrix: what the judge says, and what the rollouts say to that.

    The judge: none, step, unknown. The rollouts: the same, but earlier, same or later beside a judge who names a step.
    """
    said = _said(judge)
    if judge is None or rollouts is None or said != "step" or rollouts == NO_ERROR:
        return said, _said(rollouts)
    if judge == rollouts:
        return said, "same"
    return said, "earlier" if rollouts < judge else "later"


def _said(first: int | None) -> str:
    return {None: "unknown", NO_ERROR: "none"}.get(first, "step")


def named(step: int) -> str:
    """Return a step's name on an axis."""
    return f"{step}+" if step == LAST else str(step)
