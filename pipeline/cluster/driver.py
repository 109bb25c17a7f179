"""The stages on Ray; the only file that imports ray. `stages/` holds plain async functions, lifted onto actors here.

Engines are actors, shared by all roles that name the same specification, each in as many copies as asked for; workers
are actors that label shards; the driver gives out shards, writes finished ones, and gives a dead worker's to another.
Actors that do not fit yet start when nodes join. Whatever dies, replies are in the ledger already.
"""

import asyncio
import itertools
import logging
import os
import random
import time
import uuid
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from data import shards
from data.asks import Ask, Reply
from data.errors import PipelineError, RunError, SettingError, Unavailable
from data.records import Task
from data.shards import Packed
from pipeline.host import EngineActor
from pipeline.limiter import GaveUp
from pipeline.progress import Health, Progress
from pipeline.run import Run
from pipeline.seat import Seat
from pipeline.settings import Cluster
from pipeline.watch import Stall, knock
from pipeline.worker import Worker
from stages.engine import Scores

Actor = Any  # a handle on an actor: its methods are made at run time
Fleet = Mapping[str, tuple[str, tuple[str, ...]]]  # specification -> its model, and the names of its copies that are up

ATTEMPTS = 5  # times a shard is given out again after its worker died
BEAT, LOOK = 0.5, 5.0  # seconds between looks at the workers, and at the engines' health


@dataclass(slots=True)
class Remote:
    """Engine over the actors of one specification; asks again, ever more slowly, until `patience` seconds are over.

    Asks about one problem go to the same copy, which then has its prompt cached; to the next one while that is down.
    """

    model: str
    patience: float
    names: Sequence[str] = ()
    _down: bool = False

    async def reply(self, ask: Ask) -> Reply:
        """Return the engine's reply. Raises Unavailable where patience ends."""
        reply: Reply = await self._asked(ask, lambda actor: actor.reply.remote(ask, self.model))
        return reply

    async def score(self, ask: Ask, text: str) -> Scores:
        """Return the engine's scores. Raises as `reply`."""
        scores: Scores = await self._asked(ask, lambda actor: actor.score.remote(ask, text))
        return scores

    async def _asked(self, ask: Ask, send: Callable[[Actor], Awaitable[Any]]) -> Any:
        home, end = zlib.crc32(ask.messages[-1].content.encode("utf-8", "replace")), time.monotonic() + self.patience
        for attempt in itertools.count():
            pause = min(30.0, 0.25 * 2 ** min(attempt, 10)) * random.uniform(0.5, 1.5)
            try:
                with _plainly():
                    answer = await send(_actor(self.names[(home + attempt) % len(self.names)]))
                self._down = False
            except GaveUp:
                raise  # its limiter has been patient already
            except (Unavailable, RayActorError) as error:
                self._warn(error)
                if time.monotonic() + pause > end:
                    raise Unavailable(f"{self.model} did not answer for {self.patience:g} s: {error}") from error
            else:
                return answer
            await asyncio.sleep(pause)
        raise AssertionError("unreachable: the count has no end")

    def _warn(self, error: Exception) -> None:
        """Say once that the engine does not answer, not once for each ask that waits for it."""
        if not self._down and isinstance(error, RayActorError):
            logging.getLogger(__name__).warning("%s does not answer, and is asked again: %s", self.model, error)
            self._down = True


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


class WorkerActor:
    """A worker whose engines are actors."""

    def __init__(self, run: Run) -> None:
        self._patience = run.recipe.cluster.patience
        self._engines: dict[str, Remote] = {}
        self._worker = Worker(run, self._engines)

    async def label(self, part: str, tasks: tuple[Task, ...], digest: str, fleet: Fleet) -> Packed | None:
        """Label a shard as `Worker` does, with the engines that are up now."""
        for specification, (model, names) in fleet.items():
            self._engines.setdefault(specification, Remote(model, self._patience)).names = names
        return await self._worker.label(part, tasks, digest)

    async def progress(self) -> Progress:
        """Return this worker's counts."""
        return await self._worker.progress()

    async def drain(self) -> None:
        """Ask nothing new."""
        await self._worker.drain()


@dataclass(slots=True)
class Driver:
    """Gives out the owed shards of a run until all are sealed, or `stopping` says so."""

    run: Run
    owed: dict[str, tuple[Task, ...]]
    stopping: Callable[[], bool]
    show: Callable[[Progress, Health], None]
    _hosts: dict[str, Actor] = field(default_factory=dict)
    _health: dict[str, dict[str, Any]] = field(default_factory=dict)
    _looked: float = 0.0
    _pending: dict[Any, tuple[str, str]] = field(default_factory=dict)
    _fleet: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    _seats: list[Seat] = field(default_factory=list)
    _attempts: dict[str, int] = field(default_factory=dict)

    def work(self) -> bool:
        """Label everything owed; False where it was stopped. Raises what ends a run: Unavailable, RunError."""
        self._start()
        waiting, drained, stall = list(self.owed), False, Stall(self.run.recipe.cluster.stall)
        while waiting or any(seat.parts for seat in self._seats):
            if self.stopping() and not drained:
                ray.get([seat.actor.drain.remote() for seat in self._seats if seat.started])
                waiting, drained = [], True
            self._join()
            self._give(waiting)
            for ref in _done([ref for seat in self._seats for ref in seat.parts], BEAT):
                waiting += self._finish(ref)
            self._look_after()
            self.show(now := self._count(), self._health)
            stall.look(now, sum(len(self.owed[part]) for seat in self._seats for part in seat.parts.values()))
        return not drained

    def _start(self) -> None:
        """Ask for all actors, and wait for one copy of each engine."""
        settings, recipe = self.run.recipe.cluster, self.run.recipe
        specifications = recipe.engines(sampled=any(t.given is None for tasks in self.owed.values() for t in tasks))
        some = ray.cluster_resources().get("GPU", 0) > 0
        gpus = {one: settings.gpus_of(one, some=some) for one in specifications}
        preflight(settings, gpus)
        run = uuid.uuid4().hex[:8]
        for one in specifications:
            host = ray.remote(num_cpus=settings.cpus, num_gpus=gpus[one], max_restarts=-1, max_concurrency=10_000)
            for copy in range(settings.copies(one)):
                name = f"{one}/{run}/{copy}"
                actor = host(EngineActor).options(name=name).remote(one, recipe, gpus[one])
                self._hosts[name] = actor
                self._pending[actor.model.remote()] = one, name
        # Workers set no CPU aside: where nodes have gone, they must not take the room an engine needs to start again.
        work = ray.remote(num_cpus=0, scheduling_strategy="SPREAD", max_restarts=-1, max_concurrency=1000)(WorkerActor)
        actors = [work.remote(self.run) for _ in range(settings.workers)]
        self._seats = [Seat(actor, actor.progress.remote()) for actor in actors]
        while len(self._fleet) < len(specifications):
            self._join(wait=BEAT)

    def _join(self, wait: float = 0) -> None:
        """Take in the actors that have started meanwhile. Raises what an engine that cannot be made raises."""
        for ref in _done(list(self._pending), wait):
            specification, name = self._pending.pop(ref)
            try:
                with _plainly():
                    model: str = ray.get(ref)
            except RayActorError:  # it was killed as it started, and is started again
                self._pending[self._hosts[name].model.remote()] = specification, name
                continue
            first, names = self._fleet.get(specification, (model, ()))
            if first != model:
                raise SettingError(f"copies of {specification} differ: {first} and {model}")
            self._fleet[specification] = model, (*names, name)
        new = {seat.ready: seat for seat in self._seats if not seat.started}
        for ref in _done(list(new), 0):
            try:
                new[ref].look(ray.get(ref))
                new[ref].started = True
            except RayActorError:
                new[ref].wait()

    def _give(self, waiting: list[str]) -> None:
        """Keep every worker's room full, and one shard more, so that it never runs dry; the least laden comes first."""
        room = 2 * self.run.recipe.cluster.in_flight
        while waiting:
            laden = [(sum(len(self.owed[p]) for p in seat.parts.values()), i) for i, seat in enumerate(self._seats)]
            free = [(load, i) for load, i in laden if load < room and self._seats[i].started]
            if not free:
                return
            seat, part = self._seats[min(free)[1]], waiting.pop(0)
            tasks = self.owed[part]
            digest = shards.digest(tasks, self.run.fingerprint)
            seat.parts[seat.actor.label.remote(part, tasks, digest, self._fleet)] = part

    def _finish(self, ref: Any) -> list[str]:
        """Write and enter a finished shard; return the shard again where its worker died."""
        seat = next(seat for seat in self._seats if ref in seat.parts)
        part = seat.parts.pop(ref)
        try:
            with _plainly():
                packed: Packed | None = ray.get(ref)
        except RayActorError as error:
            seat.wait()
            self._attempts[part] = self._attempts.get(part, 0) + 1
            if self._attempts[part] >= ATTEMPTS:
                raise RunError(f"the workers on shard {part} died {ATTEMPTS} times: {error}") from error
            return [part]
        if packed:
            shards.enter(self.run.place, shards.seal(self.run.place, packed))
        return []

    def _count(self) -> Progress:
        """Add up what the workers have counted; of one that does not answer now, what it said last."""
        asked = {seat.actor.progress.remote(): seat for seat in self._seats if seat.started}
        for ref in _done(list(asked), BEAT, every=True):
            with suppress(RayActorError):
                asked[ref].look(ray.get(ref))
        return sum((seat.counts for seat in self._seats), Progress())

    def _look_after(self) -> None:
        """Ask the engines, now and then, how they are; of one that does not answer, what it said last stays."""
        if time.monotonic() < self._looked + LOOK:
            return
        self._looked = time.monotonic()
        up = [name for _, names in self._fleet.values() for name in names]
        asked = {self._hosts[name].health.remote(): name for name in up}
        for ref in _done(list(asked), BEAT, every=True):
            with suppress(RayActorError):
                if told := ray.get(ref):
                    self._health[asked[ref]] = told


def _done(refs: list[Any], wait: float, *, every: bool = False) -> list[Any]:
    """Return those that are done once the first is, or `every` one; after `wait` seconds, those that are by then."""
    if not refs:
        time.sleep(0 if every else wait)
        return []
    ray.wait(refs, num_returns=len(refs) if every else 1, timeout=wait)
    return list(ray.wait(refs, num_returns=len(refs), timeout=0)[0])


def preflight(settings: Cluster, gpus: Mapping[str, int]) -> None:
    """Raise SettingError where a run would wait for ever: one copy of each engine must fit."""
    have = ray.cluster_resources()
    wanted = {"CPU": settings.cpus * len(gpus), "GPU": float(sum(gpus.values()))}
    for kind, needed in wanted.items():
        if needed > have.get(kind, 0):
            raise SettingError(
                f"{len(gpus)} engines want {needed:g} {kind}s, the cluster has {have.get(kind, 0):g}: "
                "lower cluster.cpus or cluster.gpus, or add nodes"
            )


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connect to a cluster, a job to its own; else start one on this machine for as long as this lasts."""
    if address:
        knock(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    local = address is None and "RAY_ADDRESS" not in os.environ  # said aloud: Ray would join any cluster it finds here
    try:
        ray.init("local" if local else address, include_dashboard=False if local else None, logging_level=logging.ERROR)
    except Exception as error:
        what = f"reached at {address}: check cluster.address" if address else "started: is this machine too busy?"
        raise RunError(f"Ray could not be {what} ({error})") from error
    try:
        yield
    finally:
        ray.shutdown()
