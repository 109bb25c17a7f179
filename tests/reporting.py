"""Rows made by hand, and runs of them, for the tests of the report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data import places, schema, shards
from data.records import Decision, Estimate, Labelled, Outcome, Problem, StepEstimate, Task, Tokens, Trace, Verdict
from data.schema import Row
from pipeline import recipe, run
from pipeline.run import Run

ROLLED = (StepEstimate(3, 8, "rolled", True, True), StepEstimate(0, 8, "rolled", False, False))
STEPS = ("Three.\n\n", "Four.\n\n", "The answer is 4.")


def row(  # noqa: PLR0917 - what tests vary
    name: str = "p",
    sample: int = 0,
    steps: Sequence[str] = STEPS,
    reason: str | None = None,
    outcome: Outcome = "different",
    text: str = "Ann has 3 eggs. How many?",
    **changes: Any,
) -> Row:
    """A solution whose step 1 is wrong, by judge and rollouts; labelled so unless it is rejected."""
    problem = Problem(name, "made", text, "3", "easy")
    estimates = (*ROLLED, *(StepEstimate(source="inferred", reachable=False) for _ in steps))[: len(steps)]
    labelled = Labelled(
        Task(problem, "policy", sample),
        Trace(text, tuple(steps), "4"),
        outcome,
        Estimate(estimates, 1),
        Verdict(1, (1, None)),
        Decision(reason is None, None if reason else 1, () if reason else (True, False), reason is None, reason),
        Tokens(10, 20, 30, 40, 16),
    )
    return {**schema.row(labelled), **changes}


def opened(out: Path, *parts: Sequence[Mapping[str, Any]]) -> Run:
    """A run of one shard each."""
    chosen = recipe.build({"data": {"source": "made"}, "judge": [{"kind": "equations"}]})
    for number, rows in enumerate(parts):
        kept, rejected = ([dict(one) for one in rows if one["kept"] is side] for side in (True, False))
        packed = shards.pack(f"p{number:b}", schema.table(kept, {}), schema.table(rejected, {}), "digest")
        shards.enter(out, shards.seal(out, packed))
    return Run("id", places.at(out), places.at(out / run.LEDGER), 0, "print", chosen)
