"""Finished runs without a cluster: one worker in this process, for what is measured or tested on what a run left."""

import asyncio
from pathlib import Path

from data import shards, sources
from data.shards import Plan
from pipeline import recipe, run
from pipeline.engines.scripted import Scripted
from pipeline.publish import card
from pipeline.run import Run
from pipeline.worker import Worker
from stages import solve


def finished(out: Path, source: str, *overrides: str) -> Run:
    """Label a source with the scripted engine, or with judges that ask none, and return the run."""
    chosen = recipe.read(source, overrides=overrides)
    loaded = sources.load(source, chosen.data.limit)
    tasks = list(solve.tasks(loaded.problems, chosen.policies()))
    made = run.start(str(out), chosen, len(tasks))
    plan = made.plan(tasks)
    asyncio.run(_label(made, plan))
    shards.settle(out, plan)
    run.leave_out(made, loaded)
    run.finish(made)
    card.write(made)
    return made


async def _label(made: Run, plan: Plan) -> None:
    engine = Scripted(made.recipe.script())
    run.met(made.place, {"scripted": engine.model})
    worker = Worker(made, {"scripted": engine})
    for part, tasks in plan.items():
        packed = await worker.label(part, tasks, shards.digest(tasks, made.fingerprint))
        if packed:
            shards.enter(made.place, shards.seal(made.place, packed))
