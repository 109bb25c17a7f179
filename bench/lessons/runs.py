"""Ordinary runs over problems of chosen levels, labelled in this process: no cluster, and any file of arith problems.

`synth` gives the embedded model only to the whole of arith. What comes out is a run like any other, and one that was
stopped goes on: its sealed shards stay, and its ledger answers what was asked.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data import shards, sources
from data.shards import Plan
from pipeline import recipe, run
from pipeline.engines.embedded import Embedded
from pipeline.run import Run
from pipeline.worker import Worker
from stages import solve

RECIPE = Path(recipe.__file__).parent / "recipes" / "arith.toml"


def labelled(out: Path, problems: Sequence[Mapping[str, Any]], *settings: str) -> Path:
    """Label what is not labelled yet of the run `out`, and return it."""
    source = out.with_suffix(".jsonl")
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text("".join(f"{json.dumps(problem)}\n" for problem in problems), encoding="utf-8")
    chosen = recipe.read(str(source), RECIPE, [f"data.limit={len(problems)}", *settings])
    loaded = sources.load(str(source), chosen.data.limit)
    tasks = list(solve.tasks(loaded.problems, chosen.policies()))
    with shards.lock(out):
        made = run.start(str(out), chosen, len(tasks))
        plan = made.plan(tasks)
        shards.settle(out, plan)
        run.leave_out(made, loaded)
        asyncio.run(_label(made, plan))
        shards.settle(out, plan)
        run.finish(made)
    return out


async def _label(made: Run, plan: Plan) -> None:
    owed = shards.owed(plan, shards.sealed(made.place), made.fingerprint)
    worker = Worker(made, {"embedded": Embedded()})
    for number, part in enumerate(owed, 1):
        packed = await worker.label(part, plan[part], shards.digest(plan[part], made.fingerprint))
        if packed:
            shards.enter(made.place, shards.seal(made.place, packed))
        print(f"{made.place}: {number} of {len(owed)} shards", flush=True)
