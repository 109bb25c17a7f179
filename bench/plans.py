"""What each rollout plan costs and how right it makes the labels: the table of docs/plans.md (`python -m bench.plans`).

The scripted engine knows the truth, so precision is exact. Every world is run with several seeds, which draw other
problems, other solutions and other slips; a number is the mean over them, with the standard deviation behind it.
"""

import argparse
import asyncio
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product

from bench import table
from data import scripted
from data.records import Labelled, Outcome
from pipeline import recipe, synth
from pipeline.crew import Crew
from pipeline.engines.scripted import Scripted
from stages import solve
from stages.exact.certain import decide

WORLDS = ((0.93, 0.02), (0.93, 0.0), (0.85, 0.02), (0.75, 0.02))  # a step is right, a step after a slip mends it
PLANS = (("exhaustive", 1), ("bisect", 1), ("confirm", 1), ("confirm", 8))  # and the first wave of samples


@dataclass(frozen=True, slots=True)
class Measured:
    """Means over all solutions of a run; `precision` is over those that were kept, the other shares over all."""

    rollouts: float
    tokens: float
    kept: float
    precision: float
    rollouts_alone: float
    judge_alone: float


def measure(world: tuple[float, float], plan: tuple[str, int], seed: int, problems: int) -> Measured:
    """Label two solutions a problem and hold the labels against the truth."""
    return _measured(asyncio.run(_labelled(world, plan, seed, problems)))


async def _labelled(world: tuple[float, float], plan: tuple[str, int], seed: int, problems: int) -> list[Labelled]:
    chosen = recipe.read(
        "scripted",
        overrides=[
            f"scripted={{ right = {world[0]}, repair = {world[1]}, seed = {seed} }}",
            f"completer.plan={plan[0]}",
            f"completer.wave={plan[1]}",
        ],
    )
    crew = Crew(chosen, {"scripted": Scripted(chosen.script())}, _grade)
    tasks = solve.tasks(scripted.problems(problems, seed), chosen.policies())
    return [await synth.label(task, crew) for task in tasks]


async def _grade(answer: str | None, gold: str | None) -> Outcome:
    return (answer and gold and decide(answer, gold)) or "undecided"


def _measured(rows: Sequence[Labelled]) -> Measured:
    truths = [scripted.truth(row.trace.problem, row.trace.steps) for row in rows]
    kept = [(row.decision.first_error, truth) for row, truth in zip(rows, truths, strict=True) if row.decision.kept]
    return Measured(
        rollouts=statistics.fmean(row.tokens.rollouts for row in rows),
        tokens=statistics.fmean(row.tokens.rollout for row in rows),
        kept=len(kept) / len(rows),
        precision=statistics.fmean(label == truth for label, truth in kept),
        rollouts_alone=statistics.fmean(r.estimate.first_error == t for r, t in zip(rows, truths, strict=True)),
        judge_alone=statistics.fmean(r.verdict.first_error == t for r, t in zip(rows, truths, strict=True)),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and write the numbers of every run."""
    options = _parser().parse_args(arguments)
    measured = {
        (world, plan): [measure(world, plan, seed, options.problems) for seed in range(options.seeds)]
        for world, plan in product(WORLDS, PLANS)
    }
    print("\n".join(table.lines([_row(world, plan, runs) for (world, plan), runs in measured.items()])))
    told = [
        {"right": right, "repair": repair, "plan": plan, "wave": wave, "seeds": [asdict(run) for run in runs]}
        for ((right, repair), (plan, wave)), runs in measured.items()
    ]
    print(f"written to {table.write('plans', {'solutions': 2 * options.problems, 'rows': told})}")
    return 0


def _row(world: tuple[float, float], plan: tuple[str, int], runs: Sequence[Measured]) -> dict[str, str]:
    name, wave = plan
    told = {"a step is right / is mended": f"{world[0]:g} / {world[1]:g}"}
    told["plan"] = name if wave == 1 else f"{name}, `wave = {wave}`"
    for column, digits in _DIGITS.items():
        told[column.replace("_", " ")] = _spread([getattr(run, column) for run in runs], digits)
    return told


_DIGITS = {"rollouts": 1, "tokens": 0, "kept": 3, "precision": 3, "rollouts_alone": 3, "judge_alone": 3}


def _spread(values: Sequence[float], digits: int) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):,.{digits}f} ± {spread:,.{digits}f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.plans", description="What each rollout plan costs.")
    parser.add_argument("--problems", type=int, default=200, help="problems a run; two solutions each (default: 200)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each plan in each world (default: 3)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
