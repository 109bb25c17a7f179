"""How good a run's labels are where the truth is known: each way of labelling, by how sure it is, and its calibration.

The truth is the oracle's on arith, elsewhere the labels that the dataset brought (people's, in ProcessBench and
PRM800K). A way that says nothing of a solution claims nothing; whether its hit rates and confidences mean what they say
is told in bins.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from data import schema
from data.errors import RunError
from data.records import NO_ERROR, Tally, Trace
from data.schema import Row
from judges.given import Given
from pipeline import run, summary
from pipeline.evaluate import sealed, table
from pipeline.run import Run
from stages import posterior, reliability
from stages.reliability import Claims, Share

COLUMNS: Final = [
    *("dataset", "problem", "level", "steps", "ratings", "outcome", "kept", "first_error"),
    *("judge_first_error", "judge_votes", "judge_reason"),
    *(
        "mc_first_error",
        "hits",
        "tries",
        "source",
        "stopped_early",
        "reachable",
        "mc_reason",
        "violations",
        "posterior",
    ),
]
RATE: Final = "hit rate of a prefix"
ALL, NAMED = "all", "all, a step named"

Claim = tuple[int, float]
"""A first error, and how confident that claim is (0 to 1)."""


def add(experiments: Any) -> None:
    """Declare the options."""
    measured = experiments.add_parser("labels", help="a finished run's labels and rates against the truth")
    measured.set_defaults(verb=evaluate)
    measured.add_argument("--run", required=True, help="run directory: a path or a URI")
    measured.add_argument("--json", type=Path, help="file to write the figures to")


def evaluate(options: argparse.Namespace) -> int:
    """Hold a run's labels against the truth, and print the tables."""
    made = run.find(options.run)
    found = measure(made)
    if not any(found.claims.values()) and not found.rates:
        raise RunError(
            f"{made.place}: nobody but its dataset labelled it; run it with a judge, or rollouts, to compare"
        )
    for title, rows in tables(found):
        print("\n".join(["", title, "", *table.lines(rows)]))
    table.write(options.json, told(found))
    return 0


@dataclass(slots=True)
class Found:
    """What was counted: solutions with a known truth by level, claims by (way, level), prefixes by hit rate."""

    solutions: dict[str, int] = field(default_factory=dict)
    claims: dict[tuple[str, str], Claims] = field(default_factory=dict)
    rates: Claims = field(default_factory=dict)
    unknown: int = 0

    def total(self, level: str) -> int:
        """Return the solutions of a level; which ones a way names a step in is known of those alone that it does."""
        return self.solutions[ALL if level == NAMED else level]


def measure(made: Run) -> Found:
    """Count over all sealed shards. Raises RunError where the truth of no solution is known."""
    found = Found()
    ways = {name: way for name, way in WAYS.items() if name == "rollouts" or _judged(made)}
    for rows in sealed.problems(made.place, COLUMNS):
        truths = [truth(row) for row in rows]
        found.unknown += truths.count(None)
        known = [(row, true) for row, true in zip(rows, truths, strict=True) if true is not None]
        if known:
            _count(found, known, ways)
        if made.recipe.completer.plan == "exhaustive":  # others draw to the end where nothing is hit, and only there
            reliability.count(found.rates, (case for row, true in known for case in _rates(row, true)))
    if not found.solutions:
        raise RunError(
            f"{made.place} holds no solution whose first error is known: label arith, or data that brings labels"
        )
    return found


def truth(row: Row) -> int | None:
    """Return the true first error: the oracle's, or else that of the dataset's own labels; None where neither tells."""
    true = summary.truth(row)
    if true is None and row["ratings"]:
        true = Given().read(Trace(row["problem"], tuple(row["steps"]), None, ratings=tuple(row["ratings"]))).first_error
    return true


def _judged(made: Run) -> bool:
    """Whether the truth itself, as the dataset's labels, was none of the judges."""
    return all(judge.kind != "given" for judge in made.recipe.judge)


def _count(found: Found, rows: list[tuple[Row, int]], ways: Mapping[str, Callable[[Row], Claim | None]]) -> None:
    """Count one problem's solutions."""
    for level in (ALL, rows[0][0]["level"]):
        if level is None:
            continue
        found.solutions[level] = found.solutions.get(level, 0) + len(rows)
        for name, way in ways.items():
            claims = [(claim, true) for row, true in rows if (claim := way(row)) is not None]
            _claimed(found, name, level, claims)
            if level == ALL:
                _claimed(found, name, NAMED, [(claim, true) for claim, true in claims if claim[0] != NO_ERROR])


def _claimed(found: Found, name: str, level: str, claims: list[tuple[Claim, int]]) -> None:
    cases = ((confidence, first == true) for (first, confidence), true in claims)
    reliability.count(found.claims.setdefault((name, level), {}), cases)


def _rates(row: Row, true: int) -> Iterator[tuple[float, bool]]:
    """Yield the rate of each prefix that was rolled out in full, and whether all its steps are right."""
    for index, step in enumerate(schema.estimate(row).steps):
        if step.source == "rolled" and step.tries and not step.stopped_early:
            yield step.hits / step.tries, true == NO_ERROR or index < true


def _rollouts(row: Row) -> Claim | None:
    """As confident as the rollouts make its place probable (`stages.posterior.places`)."""
    first, steps = row["mc_first_error"], schema.estimate(row).steps
    if first is None:
        return None
    tallies = [Tally(s.hits, s.tries - s.hits) if s.source == "rolled" else Tally() for s in steps]
    return first, posterior.places(tallies, row["outcome"])[first + 1]


def _judge(row: Row) -> Claim | None:
    """As confident as the share of all votes, unread ones too, that name the verdict."""
    first, votes = row["judge_first_error"], row["judge_votes"]
    return None if first is None else (first, votes.count(first) / len(votes))


def _kept(row: Row) -> Claim | None:
    """As confident as its posterior, or else as rollouts and judge together: the product of those that agree."""
    if not row["kept"]:
        return None
    if row["posterior"] is not None:
        return row["first_error"], row["posterior"]
    claims = [claim for way in (_rollouts, _judge) if (claim := way(row)) is not None]
    return row["first_error"], math.prod(sure for first, sure in claims if first == row["first_error"])


def _posterior(row: Row) -> Claim | None:
    """Return the judge's claim, as confident as its posterior."""
    first, confidence = row["judge_first_error"], row["posterior"]
    return None if first is None or confidence is None else (first, confidence)


WAYS: Final[Mapping[str, Callable[[Row], Claim | None]]] = {
    "rollouts": _rollouts,
    "judge": _judge,
    "kept": _kept,
    "posterior": _posterior,
}


def tables(found: Found) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Yield each table with its title."""
    known = f"{found.solutions[ALL]:,} solutions with a known first error ({found.unknown:,} without)"
    yield f"first errors at the exact step, {known}; 95 % intervals", list(_overview(found))
    ways = {name: claims for (name, level), claims in found.claims.items() if level == ALL and claims}
    yield "of all solutions, the most confident: right about the first error, %", _curves(found, ways)
    for name, claims in {RATE: found.rates, **ways}.items():
        if claims:
            bins = reliability.bins(claims)
            error = reliability.calibration_error(bins)
            cases = reliability.everything(claims).cases
            yield f"{name}: claimed and true, {cases:,.0f} cases, ECE {error:.3f}", [_bin(one) for one in bins]


def _overview(found: Found) -> Iterator[dict[str, str]]:
    for (name, level), claims in sorted(
        found.claims.items(), key=lambda item: (not item[0][1].startswith(ALL), item[0][1])
    ):
        right = reliability.everything(claims)
        if claims:
            yield {
                "level": level,
                "labels by": name,
                "labelled, %": table.share(right.cases / found.total(level)),
                "of them right, %": table.share(right.value, right.range),
                "right": f"{right.right:,.0f} of {right.cases:,.0f}",
            }


def _curves(found: Found, ways: Mapping[str, Claims]) -> list[dict[str, str]]:
    curves = {name: reliability.curve(claims, found.solutions[ALL]) for name, claims in ways.items()}
    rows = []
    for retained in reliability.RETAINED:
        points = {name: [p for p in curve if p.retained == retained] for name, curve in curves.items()}
        cells = {name: _share(one[0].right) if one else "" for name, one in points.items()}
        if any(cells.values()):
            rows.append({"most confident": f"{retained:.0%}", "of": f"{found.solutions[ALL]:,}", **cells})
    return rows


def _bin(one: reliability.Bin) -> dict[str, str]:
    return {
        "confidence": f"{one.low:g} to {one.high:g}",
        "cases": f"{one.right.cases:,.0f}",
        "claimed, %": table.share(one.claimed),
        "true, %": _share(one.right),
    }


def _share(share: Share) -> str:
    return table.share(share.value, share.range)


def told(found: Found) -> dict[str, Any]:
    """Return all figures as plain values."""
    ways = {}
    for (name, level), claims in found.claims.items():
        if claims:
            points = reliability.curve(claims, found.total(level))
            ways[f"{name}, {level}"] = {
                **_plain(reliability.everything(claims)),
                "curve": [{"retained": p.retained, "confidence": p.confidence, **_plain(p.right)} for p in points],
                "calibration": _calibration(claims),
            }
    return {
        "solutions": found.solutions,
        "without_truth": found.unknown,
        "ways": ways,
        "rates": _calibration(found.rates),
    }


def _calibration(claims: Claims) -> dict[str, Any]:
    bins = reliability.bins(claims)
    plain = [{"low": b.low, "high": b.high, "claimed": b.claimed, **_plain(b.right)} for b in bins]
    return {"ece": reliability.calibration_error(bins), "bins": plain}


def _plain(share: Share) -> dict[str, Any]:
    return {"cases": share.cases, "right": share.right, "share": share.value, "range": share.range}
