"""What each rollout plan costs with a real model: the second table of docs/plans.md (`python -m bench.plans_arith`).

The small model solves, rolls out and judges arith problems; the oracle tells the truth, for measuring alone. All plans
see the same solutions and verdicts and share the rollouts: sample number i of a prefix is drawn once, and remembered
for the next run of this program, too. The prior of `sequential` is learnt, without the truth, from other problems.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from bench import fit, plans, table
from data.arith import oracle, world
from data.ledger import Ledger
from data.records import NO_ERROR, Labelled, Problem, Task
from pipeline import recipe, synth
from pipeline.crew import Crew
from pipeline.engines.embedded import Embedded
from pipeline.memory import Remembering
from stages import solve

START = 30_000_000  # number of the first problem: far from what anything else uses
AT_ONCE = 64  # solutions


async def label(problems: Sequence[Problem], engine: Remembering, settings: Sequence[str]) -> list[Labelled]:
    """Label two solutions a problem."""
    chosen = recipe.read("arith", overrides=["completer.tries=8", *settings])
    crew, room = Crew(chosen, {"embedded": engine}, plans.grade), asyncio.Semaphore(AT_ONCE)

    async def one(task: Task) -> Labelled:
        async with room:
            return await synth.label(task, crew)

    return await asyncio.gather(*map(one, solve.tasks(problems, chosen.policies())))


async def measure(pilot: int, count: int, errors: Sequence[float]) -> list[dict[str, Any]]:
    """Return one row a plan, for all levels together and for the hardest alone."""
    problems = list(world.problems(None, pilot + count, start=START))
    with Ledger(table.BUILD / "plans_arith", "p") as ledger:
        embedded = Embedded()
        engine = Remembering(embedded, embedded.model, ledger)
        prior = fit.fit(list(fit.seen(await label(problems[:pilot], engine, plans.EXHAUSTIVE))))
        print("\n".join(fit.lines(prior)))
        runs = {
            name: await label(problems[pilot:], engine, (fit.inline(prior), *settings))
            for name, settings in _plans(errors).items()
        }
    return [_row(which, plan, rows) for which in ("all", "hard") for plan, rows in runs.items()]


def _plans(errors: Sequence[float]) -> dict[str, tuple[str, ...]]:
    fixed = {name: plans.PLANS[name] for name in ("exhaustive", "bisect", "confirm")}
    asked = ("completer.plan=sequential", "consensus.rule=posterior")
    return fixed | {f"sequential, `error = {error:g}`": (*asked, f"consensus.error={error}") for error in errors}


def _row(which: str, plan: str, rows: Sequence[Labelled]) -> dict[str, Any]:
    chosen = [row for row in rows if which in {"all", row.task.problem.level} and row.trace.steps]
    found = plans.measured(chosen, _truth)
    kept = [row for row in chosen if row.decision.kept]
    named = [row for row in kept if row.decision.first_error != NO_ERROR]
    return {
        "level": which,
        "plan": plan,
        "solutions": len(chosen),
        **asdict(found),
        "kept_rows": len(kept),
        "right": sum(row.decision.first_error == _truth(row) for row in kept),
        "kept_errors": len(named),
        "right_errors": sum(row.decision.first_error == _truth(row) for row in named),
        "violations": sum(row.estimate.violations > 0 for row in chosen),
    }


def _truth(row: Labelled) -> int:
    return oracle.first_error(row.trace.problem, row.trace.steps)


def _told(row: dict[str, Any], full: float) -> dict[str, str]:
    return {
        "level": row["level"],
        "plan": row["plan"],
        "rollouts": f"{row['rollouts']:.1f}",
        "tokens": f"{row['tokens']:,.0f}",
        "fewer": f"{full / row['tokens']:.0f} times",
        "kept": f"{row['kept_rows']} of {row['solutions']}",
        "precision": f"{row['precision']:.3f}",
        "expected": "" if row["expected"] is None else f"{row['expected']:.3f}",
        "with an error: right": f"{row['right_errors']} of {row['kept_errors']}",
        "not monotone": str(row["violations"]),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and write the numbers."""
    parser = argparse.ArgumentParser(prog="python -m bench.plans_arith", description="What plans cost a real model.")
    parser.add_argument("--problems", type=int, default=160, help="problems; two solutions each (default: 160)")
    parser.add_argument("--pilot", type=int, default=80, help="other problems to learn the prior from (default: 80)")
    options = parser.parse_args(arguments)
    rows = asyncio.run(measure(options.pilot, options.problems, (0.05, 0.02, 0.01)))
    full = {row["level"]: row["tokens"] for row in rows if row["plan"] == "exhaustive"}
    print("\n".join(table.lines([_told(row, full[row["level"]]) for row in rows])))
    print(f"written to {table.write('plans_arith', {'rows': rows})}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
