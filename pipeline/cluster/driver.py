"""The driver: gives out the owed shards of a run, writes finished ones, gives a dead worker's to another."""

import logging
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ray

from data import shards
from data.errors import PipelineError, RunError, SettingError
from data.records import Task
from data.shards import Packed
from pipeline import logs, run
from pipeline.cluster.connection import preflight
from pipeline.cluster.meters import Meters
from pipeline.cluster.workers import LOST, Actor, WorkerActor, plainly
from pipeline.host import EngineActor
from pipeline.logs import Log
from pipeline.progress import Health, Progress
from pipeline.run import Run
from pipeline.seat import Seat
from pipeline.watch import Stall

_logger = logging.getLogger(__name__)
ATTEMPTS = 5  # times a shard's worker may die, or an engine as it starts
RESCUE = 60.0  # seconds that a run which has failed waits for what is in flight
BEAT, LOOK = 0.5, 5.0  # seconds between looks at the workers, and at the engines' health


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
    _log: Log = field(init=False)
    _records: logs.Records = field(init=False)
    _meters: Meters = field(default_factory=Meters)
    _pending: dict[Any, tuple[str, str]] = field(default_factory=dict)
    _fleet: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    _seats: list[Seat] = field(default_factory=list)
    _attempts: dict[str, int] = field(default_factory=dict)

    def work(self) -> bool:
        """Label everything owed; False where it was stopped. Raises what ends a run: Unavailable, RunError."""
        driver = uuid.uuid4().hex[:8]
        self._log, self._records = Log(self.run.place, self.run.id, driver), logs.keep("driver")
        try:
            self._start(driver)
            try:
                done = self._work()
            except PipelineError:
                self._rescue()
                raise
            _logger.info("finished" if done else "stopped")
        except BaseException as error:
            _logger.info("ended: %s: %s", type(error).__name__, error)
            raise
        else:
            return done
        finally:
            with suppress(Exception):  # nobody may be left who could answer
                self._fetch([*self._up(), *(seat.actor for seat in self._seats)])
            self._log.flush()
            self._records.close()

    def _work(self) -> bool:
        waiting, drained, stall = list(self.owed), False, Stall(self.run.recipe.cluster.stall)
        while waiting or any(seat.parts for seat in self._seats):
            if self.stopping() and not drained:
                _logger.info("stopping: nothing new is asked")
                self._drain()
                waiting, drained = [], True
            self._join()
            self._give(waiting)
            for ref in _done([ref for seat in self._seats for ref in seat.parts], BEAT):
                again = self._finish(ref)
                waiting += [] if drained else again
            self._look_after()
            self.show(now := self._count(), self._health)
            self._meters.set(now, self._health, self.run.id)
            stall.look(now, now.held)
        return not drained

    def _drain(self) -> None:
        _done([seat.actor.drain.remote() for seat in self._seats if seat.started], BEAT, every=True)

    def _rescue(self) -> None:
        """Have what is in flight recorded where one shard has ended the run, but wait only so long for it."""
        _logger.info("ending: what is in flight is waited for, up to %.0f s", RESCUE)
        self._drain()
        end = time.monotonic() + RESCUE
        while any(seat.parts for seat in self._seats) and time.monotonic() < end:
            for ref in _done([ref for seat in self._seats for ref in seat.parts], BEAT):
                with suppress(Exception):  # one reason is enough
                    self._finish(ref)
            self.show(self._count(), self._health)

    def _start(self, driver: str) -> None:
        """Ask for all actors, and wait for one copy of each engine, unless the run is to stop before."""
        settings, recipe = self.run.recipe.cluster, self.run.recipe
        specifications = recipe.engines(sampled=any(t.given is None for tasks in self.owed.values() for t in tasks))
        some = ray.cluster_resources().get("GPU", 0) > 0
        gpus = {one: settings.gpus_of(one, some=some) for one in specifications}
        preflight(settings, gpus)
        owed, have = sum(map(len, self.owed.values())), ray.cluster_resources()
        _logger.info(
            "%d solutions in %d shards are owed; CPUs %g, GPUs %g",
            *(owed, len(self.owed)),
            *(have.get(kind, 0) for kind in ("CPU", "GPU")),
        )
        for one in specifications:
            host = ray.remote(num_cpus=settings.cpus, num_gpus=gpus[one], max_restarts=-1, max_concurrency=10_000)
            for copy in range(settings.copies(one)):
                name = f"{one}/{driver}/{copy}"
                actor = host(EngineActor).options(name=name).remote(one, recipe, gpus[one])
                self._hosts[name] = actor
                self._pending[actor.model.remote()] = one, name
        # Workers set no CPU aside: where nodes have gone, they must not take the room an engine needs to start again.
        work = ray.remote(num_cpus=0, scheduling_strategy="SPREAD", max_restarts=-1, max_concurrency=1000)(WorkerActor)
        actors = [work.remote(self.run, number) for number in range(recipe.workers)]
        self._seats = [Seat(actor, actor.progress.remote()) for actor in actors]
        stall = Stall(settings.stall)
        while len(self._fleet) < len(specifications) and not self.stopping():
            self._join(wait=BEAT)
            stall.look(len(self._fleet), 0)
        run.met(self.run.place, {one: model for one, (model, _) in self._fleet.items()})

    def _join(self, wait: float = 0) -> None:
        """Take in the actors that have started meanwhile. Raises what an engine that cannot be made raises."""
        for ref in _done(list(self._pending), wait):
            specification, name = self._pending.pop(ref)
            try:
                with plainly():
                    model: str = ray.get(ref)
            except LOST as error:  # it was killed as it started, and is started again
                self._missed(specification, name, error)
                self._pending[self._hosts[name].model.remote()] = specification, name
                continue
            first, names = self._fleet.get(specification, (model, ()))
            if first != model:
                raise SettingError(f"copies of {specification} differ: {first} and {model}")
            self._fleet[specification] = model, (*names, name)
            _logger.info("engine %s is up as %s", name, model)
        new = {seat.ready: seat for seat in self._seats if not seat.started}
        for ref in _done(list(new), 0):
            try:
                new[ref].look(ray.get(ref))
                new[ref].started = True
            except LOST:
                new[ref].wait()

    def _missed(self, specification: str, name: str, error: Exception) -> None:
        """Note that a copy died as it started. Raises RunError where none is up and this one has died often."""
        _logger.warning("engine %s died as it started, and is started again", name)
        self._attempts[name] = self._attempts.get(name, 0) + 1
        if specification not in self._fleet and self._attempts[name] >= ATTEMPTS:
            raise RunError(f"{specification} died {ATTEMPTS} times as it started (out of memory?): {error}") from error

    def _give(self, waiting: list[str]) -> None:
        """Keep every worker's room full and as much again waiting, so that it never runs dry; the least laden first."""
        room = 2 * self.run.recipe.in_flight
        while waiting and (free := [seat for seat in self._seats if seat.started and seat.load < room]):
            seat, part = min(free, key=lambda seat: seat.load), waiting.pop(0)
            tasks = self.owed[part]
            digest = shards.digest(tasks, self.run.fingerprint)
            seat.parts[seat.actor.label.remote(part, tasks, digest, self._fleet)] = part
            seat.load += len(tasks)

    def _finish(self, ref: Any) -> list[str]:
        """Write and enter a finished shard; return the shard again where its worker died."""
        seat = next(seat for seat in self._seats if ref in seat.parts)
        part = seat.parts.pop(ref)
        try:
            with plainly():
                packed: Packed | None = ray.get(ref)
        except LOST as error:
            seat.wait()
            self._attempts[part] = self._attempts.get(part, 0) + 1
            _logger.warning("a worker died; shard %s is given out again", part)
            if self._attempts[part] >= ATTEMPTS:
                raise RunError(_lost(part, error)) from error
            return [part]
        if packed:
            shards.enter(self.run.place, shards.seal(self.run.place, packed))
        return []

    def _count(self) -> Progress:
        """Add up what the workers have counted; of one that does not answer now, what it said last."""
        asked = {seat.actor.progress.remote(): seat for seat in self._seats if seat.started}
        for ref in _done(list(asked), BEAT, every=True):
            with suppress(*LOST):
                asked[ref].look(ray.get(ref))
        return sum((seat.counts for seat in self._seats), Progress())

    def _look_after(self) -> None:
        """Ask the engines, now and then, how they are, and everybody for what was logged."""
        if time.monotonic() < self._looked + LOOK:
            return
        self._looked = time.monotonic()
        up = self._up()
        asked = {host.health.remote(): name for host, name in up.items()}
        for ref in _done(list(asked), BEAT, every=True):
            try:
                self._health[asked[ref]] = ray.get(ref)
            except LOST:
                self._health[asked[ref]] = {"down": True}
        self._fetch([*up, *(seat.actor for seat in self._seats if seat.started)])

    def _up(self) -> dict[Actor, str]:
        return {self._hosts[name]: name for _, names in self._fleet.values() for name in names}

    def _fetch(self, actors: Sequence[Actor]) -> None:
        """Write down what this process and the actors have logged."""
        self._log.add(self._records.take())
        for ref in _done([actor.said.remote() for actor in actors], BEAT, every=True):
            with suppress(*LOST):
                self._log.add(ray.get(ref))


def _lost(part: str, error: Exception) -> str:
    """Say why a shard cannot be labelled: Ray is gone, or whatever gets this shard dies."""
    if not any(node["Alive"] for node in ray.nodes()):
        return "Ray's last node has gone (killed, or out of memory?): start it, and give the same command again"
    return f"the workers on shard {part} died {ATTEMPTS} times: {error}"


def _done(refs: list[Any], wait: float, *, every: bool = False) -> list[Any]:
    """Return those that are done once the first is, or `every` one; after `wait` seconds, those that are by then."""
    if not refs:
        time.sleep(0 if every else wait)
        return []
    ray.wait(refs, num_returns=len(refs) if every else 1, timeout=wait)
    return list(ray.wait(refs, num_returns=len(refs), timeout=0)[0])
