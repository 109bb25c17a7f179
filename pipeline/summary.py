"""What a finished run holds: kept, rejected by reason, what it cost; and, where the truth is known, how good it is."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from data import shards
from data.arith import oracle
from data.places import Place
from data.records import NO_ERROR
from data.schema import Row

COLUMNS = [
    "dataset",
    "problem_id",
    "problem",
    "steps",
    "kept",
    "reason",
    "outcome",
    "first_error",
    "mc_first_error",
    "judge_first_error",
    "posterior",
    "violations",
    "rewards",
    "rewards_reason",
    "tokens",
]
CREDITED = "credited"
FEW = 10  # errors found in wrong answers: from fewer it is not known how many the judge misses


@dataclass(slots=True)
class Score:
    """One way of labelling against the truth: `right` first errors of `claimed`, out of `total` solutions."""

    claimed: int = 0
    right: int = 0
    total: int = 0

    def count(self, claim: int | None, truth: int) -> None:
        """Count one solution; None claims nothing."""
        self.total += 1
        self.claimed += claim is not None
        self.right += claim == truth


@dataclass(slots=True)
class Summary:
    """Counts over all sealed rows of a run.

    `problems` is None where an old shard did not count them. `weighed` labels that were kept have a posterior, `wrong`
    of them are expected to be wrong; `witnessed` have none. In `broken` solutions a prefix was hit after one that was
    not (stages/probes.py). `credit` counts solutions that have rewards as credited, the others by why they have none.
    `spoken` counts those that the judge spoke on, as "equal named": the answer, and whether it names a step or "none".
    """

    solutions: int = 0
    kept: int = 0
    problems: int | None = 0
    weighed: int = 0
    wrong: float = 0.0
    witnessed: int = 0
    broken: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    scores: dict[str, Score] = field(default_factory=dict)
    credit: Counter[str] = field(default_factory=Counter)
    spoken: Counter[str] = field(default_factory=Counter)

    def count(self, row: Row) -> None:
        """Count one row."""
        self.solutions += 1
        self.kept += row["kept"]
        if row["kept"] and row["posterior"] is not None:
            self.weighed, self.wrong = self.weighed + 1, self.wrong + 1 - row["posterior"]
        self.witnessed += row["kept"] and row["posterior"] is None
        self.broken += bool(row["violations"])
        self.reasons.update([] if row["kept"] else [row["reason"]])
        self.tokens.update(row["tokens"])
        if row["rewards"] is not None or row["rewards_reason"]:
            self.credit[row["rewards_reason"] or CREDITED] += 1
        if row["outcome"] != "undecided" and (judged := row["judge_first_error"]) is not None:
            self.spoken[f"{row['outcome']} {'none' if judged == NO_ERROR else 'named'}"] += 1
        if (known := truth(row)) is not None:
            for name, claim in CLAIMS.items():
                self.scores.setdefault(name, Score()).count(claim(row), known)

    def add(self, counts: Mapping[str, Any]) -> None:
        """Add what another one counted, as `counted` gives it."""
        self.solutions += counts["solutions"]
        self.kept += counts["kept"]
        problems = counts.get("problems")
        self.problems = None if self.problems is None or problems is None else self.problems + problems
        self.weighed, self.wrong = self.weighed + counts.get("weighed", 0), self.wrong + counts.get("wrong", 0.0)
        self.witnessed, self.broken = self.witnessed + counts.get("witnessed", 0), self.broken + counts.get("broken", 0)
        self.reasons.update(counts["reasons"])
        self.tokens.update(counts["tokens"])
        self.credit.update(counts.get("credit", {}))
        self.spoken.update(counts.get("spoken", {}))
        for name, other in counts["scores"].items():
            score = self.scores.setdefault(name, Score())
            score.claimed, score.right = score.claimed + other["claimed"], score.right + other["right"]
            score.total += other["total"]

    @property
    def overlooked(self) -> float | None:
        """Share of the right answers without an error to the judge that hold one; None where nothing tells.

        A wrong answer holds an error for sure, so there it is seen how often the judge misses one. If it misses them as
        often in right answers, it names all but that share of theirs. On arith it misses more there, and three times as
        many hold one (docs/quality.md). Half a solution more of each kind, as in Jeffreys' estimate. Who misses most
        tells nothing.
        """
        missed, found = self.spoken["different none"], self.spoken["different named"]
        passed, named = self.spoken["equal none"], self.spoken["equal named"]
        if found < max(FEW, missed) or not passed:
            return None
        return min(1.0, (named + 0.5) * (missed + 0.5) / (found + 0.5) / passed)

    def lines(self) -> Iterator[str]:
        """Say it, one line a fact."""
        each = max(self.solutions, 1)
        yield f"solutions {self.solutions:,}   kept {self.kept:,} ({self.kept / each:.1%})"
        for reason, count in self.reasons.most_common():
            yield f"  rejected {reason:<26} {count:>7,} ({count / each:.1%})"
        spent = {name: self.tokens[name] / each for name in ("solve", "rollout", "judge", "rollouts")}
        yield (
            f"a solution: {spent['solve'] + spent['rollout'] + spent['judge']:,.0f} tokens written (solving "
            f"{spent['solve']:,.0f}, rollouts {spent['rollout']:,.0f}, judge {spent['judge']:,.0f}), "
            f"{spent['rollouts']:.1f} rollouts"
        )
        if self.broken:
            yield f"monotony broken: in {self.broken:,} solutions a prefix was hit again after one without a hit"
        if self.credit:
            yield "process rewards: " + ", ".join(f"{why} {count:,}" for why, count in self.credit.most_common())
        if self.weighed:
            share = f"{self.wrong / self.weighed:.1%} of {self.weighed:,}"
            yield f"expected to be wrong, by their posteriors: {share} labels kept"
        if self.weighed and self.witnessed:
            yield (
                f"kept without a posterior: {self.witnessed:,} right answers in which the judge finds no error; no "
                "rollout shows how many hold one, only the judge's miss rate does (completer.prior.passed)"
            )
        if self.overlooked is not None:
            missed, found = self.spoken["different none"], self.spoken["different named"]
            yield (
                f"right answers in which the judge finds no error: {self.spoken['equal none']:,}; "
                f"{self.overlooked:.1%} of them hold one if it misses errors as often as in wrong answers ({missed:,} "
                f"of {missed + found:,}); expect more (docs/quality.md)"
            )
        if self.scores:
            yield "first error against the truth:  labelled   of them right"
        for name, score in self.scores.items():
            precision = score.right / max(score.claimed, 1)
            labelled = score.claimed / max(score.total, 1)
            yield f"  {name:<28} {labelled:>9.1%}   {precision:>9.1%}   ({score.right} of {score.claimed})"


def truth(row: Row) -> int | None:
    """Return the true first error where it can be known: a file of the user's may be called arith, too."""
    if row["dataset"] != "arith" or not row["steps"]:
        return None
    try:
        return oracle.first_error(row["problem"], row["steps"])
    except ValueError:
        return None


CLAIMS: dict[str, Callable[[Row], int | None]] = {
    "rollouts alone (mc)": lambda row: row["mc_first_error"],
    "judge alone": lambda row: row["judge_first_error"],
    "consensus (kept)": lambda row: row["first_error"] if row["kept"] else None,
}


def counted(rows: Iterable[Row]) -> dict[str, Any]:
    """Return the counts over some rows, as a shard's seal holds them."""
    summary, problems = Summary(), set()
    for row in rows:
        summary.count(row)
        problems.add(row["problem_id"])
    scores = {name: asdict(score) for name, score in summary.scores.items()}
    plain = {"reasons": dict(summary.reasons), "tokens": dict(summary.tokens), "scores": scores}
    plain |= {"weighed": summary.weighed, "wrong": summary.wrong, "witnessed": summary.witnessed}
    plain |= {"broken": summary.broken, "credit": dict(summary.credit), "spoken": dict(summary.spoken)}
    return {"solutions": summary.solutions, "kept": summary.kept, "problems": len(problems), **plain}


def summarise(place: Place) -> Summary:
    """Sum up a run from what its shards' sealers counted; where one left no counts, from its rows."""
    summary = Summary()
    for seal in shards.sealed(place).values():
        if seal.counts is not None:
            summary.add(seal.counts)
            continue
        tables = (shards.table(place, seal, side).select(COLUMNS) for side in shards.SIDES)
        summary.add(counted(row for rows in tables for row in rows.to_pylist()))
    return summary
