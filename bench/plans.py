"""What each rollout plan costs and how right it makes the labels: the table of docs/plans.md (`python -m bench.plans`).

The scripted engine knows the truth, so precision is exact. Every world is run with several seeds, which draw other
problems, other solutions and other slips; a number is the mean over them, with the standard deviation behind it. The
prior of `sequential` is learnt, without the truth, from an exhaustive pilot under a seed of its own.
"""

import argparse
import asyncio
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from bench import fit, table
from data import scripted
from data.records import Labelled, Outcome
from pipeline import recipe, synth
from pipeline.crew import Crew
from pipeline.engines.scripted import Scripted
from stages import learning, solve
from stages.exact.certain import decide

WORLDS = ((0.93, 0.02), (0.93, 0.0), (0.85, 0.02), (0.75, 0.02))  # a step is right, a step after a slip mends it
PILOT = 1000  # seed of the problems that the prior is learnt from
EXHAUSTIVE = ("completer.plan=exhaustive",)
PLANS = {
    "exhaustive": EXHAUSTIVE,
    "bisect": ("completer.plan=bisect",),
    "confirm": ("completer.plan=confirm",),
    "confirm, `wave = 8`": ("completer.plan=confirm", "completer.wave=8"),
    **{
        f"sequential, `error = {error}`": (
            "completer.plan=sequential",
            "consensus.rule=posterior",
            f"consensus.error={error}",
        )
        for error in (0.05, 0.02)
    },
}


@dataclass(frozen=True, slots=True)
class Measured:
    """Means over all solutions of a run; `precision` is over those that were kept.

    `weighed` is over the kept ones that have a posterior: how many are right, beside what was `expected`, their mean
    posterior; `witnessed` is over the right answers kept without one.
    """

    rollouts: float
    tokens: float
    kept: float
    precision: float
    expected: float | None
    weighed: float | None
    witnessed: float | None
    rollouts_alone: float
    judge_alone: float


def measured(rows: Sequence[Labelled], truth: Callable[[Labelled], int]) -> Measured:
    """Hold labelled solutions against the truth."""
    kept = [row for row in rows if row.decision.kept]
    weighed = [row for row in kept if row.estimate.posterior is not None]
    witnessed = [row for row in kept if row.estimate.posterior is None]
    posteriors = [row.estimate.posterior for row in weighed if row.estimate.posterior is not None]

    def right(rows: Sequence[Labelled]) -> float | None:
        return statistics.fmean(row.decision.first_error == truth(row) for row in rows) if rows else None

    return Measured(
        rollouts=statistics.fmean(row.tokens.rollouts for row in rows),
        tokens=statistics.fmean(row.tokens.rollout for row in rows),
        kept=len(kept) / len(rows),
        precision=right(kept) or 0.0,
        expected=statistics.fmean(posteriors) if posteriors else None,
        weighed=right(weighed),
        witnessed=right(witnessed) if weighed else None,
        rollouts_alone=statistics.fmean(row.estimate.first_error == truth(row) for row in rows),
        judge_alone=statistics.fmean(row.verdict.first_error == truth(row) for row in rows),
    )


async def grade(answer: str | None, gold: str | None) -> Outcome:
    """Compare answers as the pipeline does where that is quick."""
    return (answer and gold and decide(answer, gold)) or "undecided"


def label(world: tuple[float, float], settings: Sequence[str], seed: int, problems: int) -> list[Labelled]:
    """Label two solutions a problem of a scripted world."""
    known = f"scripted={{ right = {world[0]}, repair = {world[1]}, seed = {seed} }}"
    chosen = recipe.read("scripted", overrides=[known, *settings])
    crew = Crew(chosen, {"scripted": Scripted(chosen.script())}, grade)
    tasks = solve.tasks(scripted.problems(problems, seed), chosen.policies())

    async def each() -> list[Labelled]:
        return [await synth.label(task, crew) for task in tasks]

    return asyncio.run(each())


def _truth(row: Labelled) -> int:
    return scripted.truth(row.trace.problem, row.trace.steps)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and write the numbers of every run."""
    options = _parser().parse_args(arguments)
    found: dict[tuple[tuple[float, float], str], list[Measured]] = {}
    for world in WORLDS:
        prior = fit.inline(learning.fit(list(learning.seen(label(world, EXHAUSTIVE, PILOT, options.problems)))))
        for name, settings in PLANS.items():
            runs = [label(world, (prior, *settings), seed, options.problems) for seed in range(options.seeds)]
            found[world, name] = [measured(rows, _truth) for rows in runs]
    print("\n".join(table.lines([_row(world, plan, runs) for (world, plan), runs in found.items()])))
    told = [
        {"right": right, "repair": repair, "plan": plan, "seeds": [asdict(run) for run in runs]}
        for ((right, repair), plan), runs in found.items()
    ]
    print(f"written to {table.write('plans', {'solutions': 2 * options.problems, 'rows': told})}")
    return 0


def _row(world: tuple[float, float], plan: str, runs: Sequence[Measured]) -> dict[str, str]:
    told = {"a step is right / is mended": f"{world[0]:g} / {world[1]:g}", "plan": plan}
    for column, digits in _DIGITS.items():
        told[column.replace("_", " ")] = _spread([getattr(run, column) for run in runs], digits)
    return told


_DIGITS = {
    "rollouts": 1,
    "tokens": 0,
    "kept": 3,
    "precision": 3,
    "expected": 3,
    "weighed": 3,
    "witnessed": 3,
    "rollouts_alone": 3,
    "judge_alone": 3,
}


def _spread(values: Sequence[float | None], digits: int) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return ""
    spread = statistics.stdev(known) if len(known) > 1 else 0.0
    return f"{statistics.fmean(known):,.{digits}f} ± {spread:,.{digits}f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.plans", description="What each rollout plan costs.")
    parser.add_argument("--problems", type=int, default=200, help="problems a run; two solutions each (default: 200)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each plan in each world (default: 3)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
