"""One process's share of the labelling: whole shards, many solutions at once. `pipeline/cluster/` makes it an actor.

Each shard has its ledger; comparisons, the room for solutions and the counts are shared by all.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from data import schema, shards
from data.errors import PipelineError, RunError
from data.ledger import Ledger
from data.records import Labelled, Task
from data.shards import Packed
from pipeline import synth
from pipeline.crew import Crew
from pipeline.grading import Grader
from pipeline.memory import Drained, Paid, Remembering
from pipeline.occupancy import Lag
from pipeline.progress import Progress
from pipeline.run import Run
from pipeline.summary import counted
from stages import solve
from stages.engine import Engine

FLUSH = 0.5  # seconds between looks whether a ledger has something to write


class Worker:
    """Labels shards of a run with `engines`, by specification. Belongs to one event loop."""

    def __init__(self, run: Run, engines: Mapping[str, Engine]) -> None:
        self._run, self._engines = run, engines
        self._grader = Grader(workers=1)
        self._hands: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._room = asyncio.Semaphore(run.recipe.in_flight)
        self._stopping = asyncio.Event()
        self._progress = Progress()
        self._paid: dict[str, Paid] = {}
        self._lag = Lag()
        self._watching: asyncio.Task[None] | None = None

    async def label(self, part: str, tasks: tuple[Task, ...], digest: str) -> Packed | None:
        """Label a shard; None where the run was stopped before its end. Raises Unavailable, RunError.

        A driver that lost touch for a moment gives a shard out again that is still in hand: it waits, and is recalled.
        """
        async with self._hands[part]:
            return await self._label(part, tasks, digest)

    async def _label(self, part: str, tasks: tuple[Task, ...], digest: str) -> Packed | None:
        self._progress.held += len(tasks)
        self._watching = self._watching or asyncio.create_task(self._lag.watch())
        with Ledger(self._run.ledger, part) as ledger:
            if ledger.damaged:
                text = "%d damaged stretches in the ledger of shard %s: what they held is asked again"
                logging.getLogger(__name__).warning(text, ledger.damaged, part)
            remembering = {name: self._remember(name, ledger) for name in self._engines}
            crew = Crew(self._run.recipe, remembering, self._grader.grade)
            flushing = asyncio.create_task(self._flush(ledger))
            try:
                hands = {task.id: asyncio.create_task(self._one(task, crew)) for task in solve.longest_first(tasks)}
                ends = await asyncio.gather(*(hands[task.id] for task in tasks), return_exceptions=True)
                await asyncio.gather(*(engine.settled() for engine in remembering.values()))
            finally:
                flushing.cancel()
        await asyncio.wait([flushing])
        if not flushing.cancelled():
            flushing.result()  # it ends by itself only where it failed
        if any(isinstance(end, Drained) for end in ends):
            return None
        rows = [schema.row(_raised(end)) for end in ends]
        kept, rejected = (
            schema.table([row for row in rows if row["kept"] is side], self._run.metadata()) for side in (True, False)
        )
        return await asyncio.to_thread(shards.pack, part, kept, rejected, digest, counted(rows))

    async def progress(self) -> Progress:
        """Return this worker's counts."""
        return replace(self._progress, engines=dict(self._paid), lag=self._lag.p99)

    async def drain(self) -> None:
        """Ask nothing new; what is in flight comes back and is recorded."""
        self._stopping.set()

    def _remember(self, name: str, ledger: Ledger) -> Remembering:
        engine, paid = self._engines[name], self._paid.setdefault(name, Paid())
        return Remembering(engine, engine.model, ledger, paid, self._stopping)

    async def _flush(self, ledger: Ledger) -> None:
        """Flush a ledger whenever that is due. Where it cannot be, nothing new is asked: who knows what is recorded."""
        while True:
            await asyncio.sleep(FLUSH)
            if ledger.due():
                try:
                    await asyncio.to_thread(ledger.flush)
                except RunError:
                    self._stopping.set()
                    raise

    async def _one(self, task: Task, crew: Crew) -> Labelled:
        try:
            async with self._room:
                labelled = await self._labelled(task, crew)
        finally:
            self._progress.held -= 1
        self._progress.count(labelled)
        return labelled

    async def _labelled(self, task: Task, crew: Crew) -> Labelled:
        try:
            return await synth.label(task, crew)
        except PipelineError:
            raise
        except Exception as error:  # one bad row never ends a run: it is kept, with what went wrong
            logging.getLogger(__name__).exception("solution %s", task.id)
            return synth.unusable(task, f"failed: {type(error).__name__}: {error}"[:300])


def _raised(end: Labelled | BaseException) -> Labelled:
    if isinstance(end, BaseException):
        raise end
    return end
