"""Workers as actors, and the engines they see: actors too, found by name and asked again while they are down."""

import asyncio
import itertools
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import ray
from ray.exceptions import ObjectLostError, RayActorError, RayTaskError

from data.asks import Ask, Message, Reply, Sampling
from data.errors import Died, PipelineError, Refused, Unavailable
from data.records import Task
from data.shards import Packed
from pipeline import cores, logs
from pipeline.exchange import Line
from pipeline.limiter import GaveUp
from pipeline.progress import Progress
from pipeline.routing import choose
from pipeline.run import Run
from pipeline.worker import Worker
from stages.engine import Scores

Actor = Any  # a handle on an actor: its methods are made at run time
LOST = RayActorError, ObjectLostError  # what is raised where an actor died, or the node that still held its answer
FEW, ALONE, GUILTY = 2, 4, 6  # deaths of an engine while asked the same: then with few others, alone, never again
HARMLESS = Ask((Message("user", "What is 1 + 1?"),), sampling=Sampling(max_tokens=1))
Fleet = Mapping[str, tuple[str, tuple[str, ...]]]  # specification -> its model, and the names of its copies that are up


@dataclass(slots=True)
class Remote:
    """Engine over the actors of one specification; asks again, ever more slowly, until `patience` seconds are over."""

    model: str
    patience: float
    names: Sequence[str] = ()
    _flying: Counter[str] = field(default_factory=Counter)
    _lines: dict[str, Line] = field(default_factory=dict)
    _quiet: float = 0.0  # until when nothing is said of its failures
    _few: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(8))
    _alone: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def reply(self, ask: Ask) -> Reply:
        """Return the engine's reply. Raises Unavailable where patience ends."""
        reply: Reply = await self._asked("reply", ask)
        return reply

    async def score(self, ask: Ask, text: str) -> Scores:
        """Return the engine's scores. Raises as `reply`."""
        scores: Scores = await self._asked("score", ask, text)
        return scores

    async def _asked(self, what: str, ask: Ask, *more: str) -> Any:
        clock = asyncio.get_running_loop().time
        end, deaths, row = clock() + self.patience, 0, 0
        for attempt in itertools.count():
            pause = min(30.0, 0.25 * 2 ** min(row, 10)) * random.uniform(0.5, 1.5)
            name = choose(ask.messages[-1].content, self.names, self._flying, attempt)
            self._flying[name] += 1
            try:
                send = partial(self._line(name).ask, what, ask, *more, self.model)
                answer = await (self._suspected(send, name, deaths) if deaths >= FEW else send())
            except GaveUp:
                raise  # its limiter has been patient already
            except (Unavailable, *LOST) as error:
                self._warn(error, clock())
                deaths, row = (deaths + 1, 0) if isinstance(error, Died) else (deaths, row + 1)
                if deaths >= GUILTY:
                    raise Refused(f"{self.model} died {deaths} times while it was asked this") from error
                if clock() + pause > end:
                    raise Unavailable(f"{self.model} did not answer for {self.patience:g} s: {error}") from error
            else:
                return answer
            finally:
                self._flying[name] -= 1
            await asyncio.sleep(pause)
        raise AssertionError("unreachable: the count has no end")

    async def _suspected(self, send: Callable[[], Awaitable[Any]], name: str, deaths: int) -> Any:
        """Send what an engine has died of, or beside what it died of, once it has answered something harmless.

        With few others, so that not all who were there are there again; in the end alone.
        """
        async with self._alone if deaths >= ALONE else self._few:
            try:
                await self._line(name).ask("reply", HARMLESS, self.model)
            except Died as error:
                raise Unavailable(f"{self.model} died of a harmless question") from error
            except Refused:
                pass  # an answer, too
            return await send()

    def _line(self, name: str) -> Line:
        """Return the line to a copy of the engine: another one where a call has failed."""
        if name not in self._lines or self._lines[name].broken:
            self._lines[name] = Line(partial(_call, name))
        return self._lines[name]

    def _warn(self, error: Exception, now: float) -> None:
        """Say at most once a minute that the engine does not answer, not once for each ask that waits for it."""
        if now >= self._quiet:
            logging.getLogger(__name__).warning("%s does not answer, and is asked again: %s", self.model, error)
            self._quiet = now + 60


@cache
def _actor(name: str) -> Actor:
    """Find an actor by name: a handle among a worker's arguments would keep it from being restarted."""
    return ray.get_actor(name)


async def _call(name: str, *call: Any) -> list[tuple[int, Any]]:
    with plainly():
        answers: list[tuple[int, Any]] = await _actor(name).exchange.remote(*call)
    return answers


async def _leave_to(name: str) -> None:
    """Keep off the cores that a copy of an engine computes on, whenever it answers."""
    with suppress(*LOST):
        cores.keep_off(await _actor(name).computing.remote(cores.machine()))


@contextmanager
def plainly() -> Iterator[None]:
    """Raise what an actor raised on purpose as it was: as Ray hands it on, its message is a traceback with a pid."""
    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, PipelineError):
            raise error.cause from None
        raise


class WorkerActor:
    """A worker whose engines are actors."""

    def __init__(self, run: Run, number: int) -> None:
        self._records = logs.keep(f"worker {number}")
        self._patience = run.recipe.cluster.patience
        self._engines: dict[str, Remote] = {}
        self._moving = set[asyncio.Task[None]]()  # kept: who holds no task may lose it
        self._worker = Worker(run, self._engines)

    async def label(self, part: str, tasks: tuple[Task, ...], digest: str, fleet: Fleet) -> Packed | None:
        """Label a shard as `Worker` does, with the engines that are up now."""
        for specification, (model, names) in fleet.items():
            engine = self._engines.setdefault(specification, Remote(model, self._patience))
            self._moving |= {asyncio.create_task(_leave_to(name)) for name in set(names) - set(engine.names)}
            engine.names = names
        return await self._worker.label(part, tasks, digest)

    async def progress(self) -> Progress:
        """Return this worker's counts."""
        return await self._worker.progress()

    async def said(self) -> list[logs.Entry]:
        """Return what this process has logged since it was last asked."""
        return self._records.take()

    async def drain(self) -> None:
        """Ask nothing new."""
        await self._worker.drain()
