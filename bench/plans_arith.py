"""What each rollout plan costs with a real model: the second table of docs/plans.md (`python -m bench.plans_arith`).

The small model solves, rolls out and judges arith problems; the oracle tells the truth, for measuring alone. All plans
share solutions, verdicts and rollouts, which are remembered for the next run of this program, too. The prior of
`sequential` is learnt from other problems of the same levels; "measured" adds how often right answers that the judge
passes hold no error. A second table tells what rollouts show around the named step, by where the first error is.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bench import fit, plans, table
from data import schema
from data.arith import oracle, world
from data.ledger import Ledger
from data.records import NO_ERROR, Labelled, Problem, Task
from pipeline import recipe, synth
from pipeline.crew import Crew
from pipeline.engines.embedded import Embedded
from pipeline.memory import Remembering
from stages import learning, solve

START = 30_000_000  # number of the first problem: far from what anything else uses
HARD = 31_000_000  # of the first hard one to learn from
AT_ONCE = 64  # solutions


async def label(problems: Sequence[Problem], engine: Remembering, settings: Sequence[str]) -> list[Labelled]:
    """Label two solutions a problem."""
    chosen = recipe.read("arith", overrides=["completer.tries=8", *settings])
    crew, room = Crew(chosen, {"embedded": engine}, plans.grade), asyncio.Semaphore(AT_ONCE)

    async def one(task: Task) -> Labelled:
        async with room:
            return await synth.label(task, crew)

    return await asyncio.gather(*map(one, solve.tasks(problems, chosen.policies())))


async def measure(
    pilot: int, count: int, errors: Sequence[float], start: int, *, sequential: bool, hard: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return one row a plan (or of `sequential` alone), for all levels together and for the hardest (or these) alone.

    Each has a pilot of its own kind, as a run of these problems would (`completer.learn`). With them, what exhaustive
    rollouts show around the named step.
    """
    problems = list(world.problems("hard" if hard else None, pilot + count, start=start))
    parts = {} if hard else {"all": (problems[:pilot], problems[pilot:])}
    hardest = [problem for problem in problems[pilot:] if problem.level == "hard"]
    parts["hard"] = list(world.problems("hard", pilot, start=HARD)), hardest
    rows: list[dict[str, Any]] = []
    around: list[dict[str, Any]] = []
    with Ledger(table.BUILD / "plans_arith", "p") as ledger:
        embedded = Embedded()
        engine = Remembering(embedded, embedded.model, ledger)
        for which, (before, rest) in parts.items():
            first = await label(before, engine, plans.EXHAUSTIVE)
            prior, passed = learning.fit(list(learning.seen(first))), fit.passed(map(schema.row, first))
            print("\n".join((f"# {which}", *fit.lines(prior, passed))))
            asked = _sequential(errors, fit.inline(prior), fit.inline(prior, passed))
            fixed = {} if sequential else {name: plans.PLANS[name] for name in ("exhaustive", "bisect", "confirm")}
            for plan, settings in (fixed | asked).items():
                done = await label(rest, engine, settings)
                rows.append(_row(which, plan, done))
                around += _around(which, done) if plan == "exhaustive" else []
    return rows, around


def _sequential(errors: Sequence[float], learnt: str, measured: str) -> dict[str, tuple[str, ...]]:
    asked = ("completer.plan=sequential", "consensus.rule=posterior")
    return {
        f"sequential, `error = {error:g}`{told}": (prior, *asked, f"consensus.error={error}")
        for told, prior in (("", learnt), (", measured", measured))
        for error in errors
    }


def _row(which: str, plan: str, rows: Sequence[Labelled]) -> dict[str, Any]:
    chosen = [row for row in rows if row.trace.steps]
    found = plans.measured(chosen, _truth)
    kept = [row for row in chosen if row.decision.kept]
    sides = {
        "errors": [row for row in kept if row.decision.first_error != NO_ERROR],
        "weighed": [row for row in kept if row.estimate.posterior is not None],
        "witnessed": [row for row in kept if row.estimate.posterior is None],
    }
    return {
        "level": which,
        "plan": plan,
        "solutions": len(chosen),
        **asdict(found),
        "kept_rows": len(kept),
        "right": _right(kept),
        **{f"kept_{name}": len(side) for name, side in sides.items()},
        **{f"right_{name}": _right(side) for name, side in sides.items()},
        "violations": sum(row.estimate.violations > 0 for row in chosen),
    }


def _around(which: str, rows: Sequence[Labelled]) -> list[dict[str, Any]]:
    """Count wrong answers by where the first error is, and by the hits in 8 before and through the named step."""
    found: dict[str, list[tuple[int | None, int | None]]] = {}
    for row in rows:
        judged, truth = row.verdict.first_error, _truth(row) if row.trace.steps else NO_ERROR
        if row.outcome == "different" and judged is not None and NO_ERROR not in {judged, truth}:
            kind = "exact" if truth == judged else ("earlier" if truth < judged else "later")
            found.setdefault(kind, []).append((_hits(row, judged), _hits(row, judged + 1)))
    told = []
    for kind, seen in sorted(found.items()):
        before, through = zip(*seen, strict=True)
        binned = _binned("before", before) | _binned("through", through)
        told.append({"level": which, "first error": kind, "solutions": len(seen), **binned})
    return told


def _hits(row: Labelled, prefix: int) -> int | None:
    step = row.estimate.steps[prefix - 1] if prefix else None
    return step.hits if step and step.source == "rolled" else None


def _binned(side: str, hits: Sequence[int | None]) -> dict[str, int]:
    known = [one for one in hits if one is not None]
    return {
        f"{side}: no hit": known.count(0),
        f"{side}: 1 to 4": sum(0 < one <= 4 for one in known),
        f"{side}: 5 to 8": sum(one > 4 for one in known),
    }


def _right(rows: Sequence[Labelled]) -> int:
    return sum(row.decision.first_error == _truth(row) for row in rows)


def _truth(row: Labelled) -> int:
    return oracle.first_error(row.trace.problem, row.trace.steps)


def _told(row: dict[str, Any], full: float | None) -> dict[str, str]:
    weighed = row["expected"] is not None
    return {
        "level": row["level"],
        "plan": row["plan"],
        "rollouts": f"{row['rollouts']:.1f}",
        "tokens": f"{row['tokens']:,.0f}",
        "fewer": f"{full / row['tokens']:.0f} times" if full and full > row["tokens"] else "",
        "kept": f"{row['kept_rows']} of {row['solutions']}",
        "precision": f"{row['precision']:.3f}",
        "with an error: right": f"{row['right_errors']} of {row['kept_errors']}",
        "with a posterior: right": f"{row['right_weighed']} of {row['kept_weighed']}" if weighed else "",
        "expected": f"{row['expected'] * row['kept_weighed']:.1f}" if weighed else "",
        "by witness: right": f"{row['right_witnessed']} of {row['kept_witnessed']}" if weighed else "",
        "not monotone": str(row["violations"]),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and write the numbers."""
    parser = argparse.ArgumentParser(prog="python -m bench.plans_arith", description="What plans cost a real model.")
    parser.add_argument("--problems", type=int, default=160, help="problems; two solutions each (default: 160)")
    parser.add_argument("--pilot", type=int, default=80, help="other problems to learn each prior from (default: 80)")
    parser.add_argument("--sequential", action="store_true", help="that plan alone, which asks for little")
    parser.add_argument("--hard", action="store_true", help="the hardest problems alone")
    parser.add_argument("--start", type=int, default=START, help=f"number of the first problem (default: {START})")
    options = parser.parse_args(arguments)
    told = {"sequential": options.sequential, "hard": options.hard}
    rows, around = asyncio.run(measure(options.pilot, options.problems, (0.05, 0.02, 0.01), options.start, **told))
    full = {row["level"]: row["tokens"] for row in rows if row["plan"] == "exhaustive"}
    print("\n".join(table.lines([_told(row, full.get(row["level"])) for row in rows])))
    if around:
        print("\n".join(("", *table.lines([{name: str(value) for name, value in row.items()} for row in around]))))
    print(f"written to {table.write('plans_arith', {'rows': rows, 'around': around})}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
