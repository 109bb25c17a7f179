"""The stages on Ray; the only file that imports ray. `stages/` holds plain async functions, lifted onto actors here.

Engines are actors, shared by all roles that name the same specification; workers are actors that label shards, many
solutions at once; the driver gives out shards, enters finished ones into the manifest, and gives a dead worker's
shard to another. Whatever dies, replies are in the ledger already.
"""

import asyncio
import logging
import os
import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from data import schema, shards
from data.asks import Ask, Reply
from data.errors import PipelineError, RunError, SettingError, Unavailable
from data.ledger import Ledger
from data.records import Labelled, Task
from data.shards import Seal
from pipeline import synth
from pipeline.crew import Crew
from pipeline.engines.make import make
from pipeline.engines.scripted import Script
from pipeline.grading import Grader
from pipeline.limiter import GaveUp, Limited, Limits
from pipeline.memory import Drained, Paid, Remembering
from pipeline.progress import Progress
from pipeline.run import Run
from pipeline.settings import Cluster
from stages.engine import Engine, Scores

Actor = Any  # a handle on an actor: its methods are made at run time

PATIENCE = 8  # times an ask is repeated while its engine is unavailable: about two minutes in all
ATTEMPTS = 5  # times a shard is given out again after its worker died
BEAT = 0.5  # seconds between looks at the workers


class Hosted:
    """Actor: one engine, made when first used: the error of one that cannot be made reaches whoever asks."""

    def __init__(self, specification: str, script: Script, limits: Limits) -> None:
        self._specification, self._script, self._limits = specification, script, limits

    @cached_property
    def _engine(self) -> Engine:
        return make(self._specification, self._script, self._limits)

    async def model(self) -> str:
        """Return the engine's identity; an endpoint has to be asked for it."""
        if isinstance(self._engine, Limited):
            await self._engine.connect()
        return self._engine.model

    async def reply(self, ask: Ask, model: str) -> Reply:
        """Answer as the engine does. Raises SettingError where it is no longer `model`, after a restart."""
        reply = await self._engine.reply(ask)
        if self._engine.model != model:
            raise SettingError(f"{model} has become {self._engine.model} while the run went on")
        return reply

    async def score(self, ask: Ask, text: str) -> Scores:
        """Score as the engine does."""
        return await self._engine.score(ask, text)


@dataclass(frozen=True, slots=True)
class Remote:
    """Engine over an actor; asks again, ever more slowly, while the engine is unavailable or being restarted."""

    name: str
    model: str

    async def reply(self, ask: Ask) -> Reply:
        """Return the engine's reply. Raises Unavailable where patience ends."""
        for attempt in range(PATIENCE):
            try:
                with _plainly():
                    reply: Reply = await _actor(self.name).reply.remote(ask, self.model)
            except GaveUp:
                raise  # its limiter has been patient already
            except (Unavailable, RayActorError) as error:
                last = error
                await asyncio.sleep(min(30.0, 0.25 * 2**attempt) * random.uniform(0.5, 1.5))
            else:
                return reply
        raise Unavailable(f"{self.model} did not answer {PATIENCE} times: {last}") from last

    async def score(self, ask: Ask, text: str) -> Scores:
        """Return the engine's scores."""
        with _plainly():
            scores: Scores = await _actor(self.name).score.remote(ask, text)
        return scores


@cache
def _actor(name: str) -> Actor:
    """Find an actor by name: a handle among a worker's arguments would keep it from being restarted."""
    return ray.get_actor(name)


@contextmanager
def _plainly() -> Iterator[None]:
    """Raise what an actor raised on purpose as it was: as Ray hands it on, its message is a traceback with a pid."""
    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, PipelineError):
            raise error.cause from None
        raise


class Worker:
    """Actor: labels shards. Each shard has its ledger; comparisons and the room for solutions are shared."""

    def __init__(self, run: Run, engines: Mapping[str, Remote]) -> None:
        self._run, self._engines = run, engines
        self._grader = Grader(workers=1)
        self._room = asyncio.Semaphore(run.recipe.cluster.in_flight)
        self._stopping = asyncio.Event()
        self._progress = Progress()
        self._paid = Paid()

    async def label(self, part: str, tasks: tuple[Task, ...], digest: str) -> Seal | None:
        """Label and seal a shard; None where the run was stopped before its end. Raises Unavailable, RunError."""
        with Ledger(self._run.ledger, part) as ledger:
            remembering = {name: self._remember(engine, ledger) for name, engine in self._engines.items()}
            crew = Crew(self._run.recipe, remembering, self._grader.grade)
            flushing = asyncio.create_task(_flush(ledger))
            try:
                ends = await asyncio.gather(*(self._one(task, crew) for task in tasks), return_exceptions=True)
            finally:
                flushing.cancel()
        if any(isinstance(end, Drained) for end in ends):
            return None
        rows = [schema.row(_labelled(end)) for end in ends]
        kept, rejected = (
            schema.table([row for row in rows if row["kept"] is side], self._run.metadata()) for side in (True, False)
        )
        return await asyncio.to_thread(shards.seal, self._run.place, part, kept, rejected, digest)

    async def progress(self) -> Progress:
        """Return this worker's counts."""
        return self._progress + Progress(0, 0, self._paid.tokens, self._paid.asked, self._paid.recalled)

    async def drain(self) -> None:
        """Ask nothing new; what is in flight comes back and is recorded."""
        self._stopping.set()

    def _remember(self, engine: Engine, ledger: Ledger) -> Remembering:
        return Remembering(engine, engine.model, ledger, self._paid, self._stopping)

    async def _one(self, task: Task, crew: Crew) -> Labelled:
        async with self._room:
            try:
                labelled = await synth.label(task, crew)
            except PipelineError:
                raise
            except Exception as error:  # one bad row never ends a run: it is kept, with what went wrong
                logging.getLogger(__name__).exception("solution %s", task.id)
                labelled = synth.unusable(task, f"failed: {type(error).__name__}: {error}"[:300])
        self._progress.count(labelled)
        return labelled


def _labelled(end: Labelled | BaseException) -> Labelled:
    if isinstance(end, BaseException):
        raise end
    return end


async def _flush(ledger: Ledger) -> None:
    while True:
        await asyncio.sleep(BEAT)
        if ledger.due():
            await asyncio.to_thread(ledger.flush)


@dataclass(slots=True)
class Driver:
    """Gives out the owed shards of a run until all are sealed, or `stopping` says so."""

    run: Run
    owed: dict[str, tuple[Task, ...]]
    stopping: Callable[[], bool]
    show: Callable[[Progress], None]
    _hosts: list[Actor] = field(default_factory=list)
    _attempts: dict[str, int] = field(default_factory=dict)
    _flying: dict[Any, tuple[str, Actor]] = field(default_factory=dict)

    def work(self) -> bool:
        """Label everything owed; False where it was stopped. Raises what ends a run: Unavailable, RunError."""
        preflight(self.run.recipe.cluster, len(needed(self.run, self.owed)))
        workers = self._start()
        waiting = list(self.owed)
        drained = False
        while waiting or self._flying:
            if self.stopping() and not drained:
                ray.get([worker.drain.remote() for worker in workers])
                waiting, drained = [], True
            self._give(waiting, workers)
            for ref in ray.wait(list(self._flying), timeout=BEAT)[0] if self._flying else ():
                waiting += self._finish(ref)
            self.show(self._count(workers))
        return not drained

    def _start(self) -> list[Actor]:
        settings = self.run.recipe.cluster
        host = ray.remote(num_cpus=settings.cpus, max_restarts=-1, max_concurrency=10_000)(Hosted)
        work = ray.remote(num_cpus=settings.cpus, max_restarts=-1, max_concurrency=1000)(Worker)
        run, script = uuid.uuid4().hex[:8], self.run.recipe.script()
        limits = Limits(settings.requests, settings.deadline, settings.patience)
        names = {name: f"{name}/{run}" for name in sorted(needed(self.run, self.owed))}
        self._hosts = [host.options(name=full).remote(name, script, limits) for name, full in names.items()]
        with _plainly():
            models = ray.get([actor.model.remote() for actor in self._hosts])
        engines = {name: Remote(names[name], model) for name, model in zip(names, models, strict=True)}
        return [work.remote(self.run, engines) for _ in range(settings.workers)]

    def _give(self, waiting: list[str], workers: list[Actor]) -> None:
        """Keep every worker's room full, and one shard more, so that it never runs dry at a shard's end."""
        for worker in workers:
            given = [part for part, holder in self._flying.values() if holder == worker]
            while waiting and sum(len(self.owed[part]) for part in given) < 2 * self.run.recipe.cluster.in_flight:
                part = waiting.pop(0)
                tasks = self.owed[part]
                ref = worker.label.remote(part, tasks, shards.digest(tasks, self.run.fingerprint))
                self._flying[ref] = part, worker
                given.append(part)

    def _finish(self, ref: Any) -> list[str]:
        """Enter a sealed shard; return the shard again where its worker died."""
        part, _ = self._flying.pop(ref)
        try:
            with _plainly():
                seal: Seal | None = ray.get(ref)
        except RayActorError as error:
            self._attempts[part] = self._attempts.get(part, 0) + 1
            if self._attempts[part] >= ATTEMPTS:
                raise RunError(f"the workers on shard {part} died {ATTEMPTS} times: {error}") from error
            return [part]
        if seal:
            shards.enter(self.run.place, seal)
        return []

    def _count(self, workers: list[Actor]) -> Progress:
        total = Progress()
        for worker in workers:
            with suppress(RayActorError):
                total += ray.get(worker.progress.remote())
        return total


def needed(run: Run, owed: Mapping[str, tuple[Task, ...]]) -> set[str]:
    """Return the engines these tasks ask: given solutions need no policy."""
    recipe = run.recipe
    sampled = any(task.given is None for tasks in owed.values() for task in tasks)
    roles = {p.engine for p in recipe.policy if sampled} | {j.engine for j in recipe.judge if j.kind != "equations"}
    return roles | ({recipe.completer.engine} if recipe.completer.plan != "none" else set())


def preflight(settings: Cluster, engines: int) -> None:
    """Refuse a run whose actors would wait for ever. Raises SettingError."""
    have, wanted = ray.cluster_resources().get("CPU", 0), settings.cpus * (settings.workers + engines)
    if wanted > have:
        raise SettingError(
            f"{settings.workers} workers and {engines} engines want {wanted:g} CPUs, the cluster has {have:g}: "
            "lower cluster.workers or cluster.cpus, or add nodes"
        )


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connect to a cluster, or start one on this machine for as long as this lasts."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray.init(address=address, include_dashboard=False if address is None else None, logging_level=logging.ERROR)
    except Exception as error:
        what = f"reached at {address}: check cluster.address" if address else "started: is this machine too busy?"
        raise RunError(f"Ray could not be {what} ({error})") from error
    try:
        yield
    finally:
        ray.shutdown()
