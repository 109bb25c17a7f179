"""Finished runs without a cluster: one worker in this process, for what is measured or tested on what a run left.

What comes out is a run like any other, and one that was stopped goes on: its sealed shards stay, and its ledger answers
what was asked.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from data import shards, sources
from data.shards import Plan
from pipeline import recipe, run
from pipeline.engines.scripted import Scripted
from pipeline.publish import card
from pipeline.run import Run
from pipeline.worker import Worker
from stages import solve
from stages.engine import Engine


def finished(
    out: Path, source: str, *overrides: str, preset: Path | None = None, engines: Mapping[str, Engine] | None = None
) -> Run:
    """Label what is not labelled yet of a source, and return the run. Whoever may not be alone holds its lock.

    `preset`: a recipe's file, else that of the source. `engines`: by specification, else the scripted one.
    """
    chosen = recipe.read(source, preset, overrides)
    loaded = sources.load(source, chosen.data.limit)
    tasks = list(solve.tasks(loaded.problems, chosen.policies()))
    made = run.start(str(out), chosen, len(tasks))
    plan = made.plan(tasks)
    shards.settle(out, plan)
    run.leave_out(made, loaded)
    asyncio.run(_label(made, plan, engines or {"scripted": Scripted(chosen.script())}))
    shards.settle(out, plan)
    run.finish(made)
    card.write(made)
    return made


async def _label(made: Run, plan: Plan, engines: Mapping[str, Engine]) -> None:
    run.met(made.place, {name: engine.model for name, engine in engines.items()})
    owed = shards.owed(plan, shards.sealed(made.place), made.fingerprint)
    worker = Worker(made, engines)
    for part in owed:
        packed = await worker.label(part, plan[part], shards.digest(plan[part], made.fingerprint))
        if packed:
            shards.enter(made.place, shards.seal(made.place, packed))
