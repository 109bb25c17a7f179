"""The driver on a Ray that is played: while a run stops, while engines start, and where actors or answers are lost."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ObjectLostError, RayActorError

from bench import virtual
from data import sources
from data.asks import Ask, Message, Reply, Sample
from data.errors import Died, Refused, RunError, SettingError, Unavailable
from pipeline import recipe, run
from pipeline.cluster import driver, workers
from pipeline.cluster.driver import ATTEMPTS, Driver
from pipeline.cluster.workers import Remote
from pipeline.exchange import Desk
from pipeline.host import EngineActor
from pipeline.progress import Progress
from stages import solve

DIED, GONE = RayActorError(), ObjectLostError("00", None, "")


@dataclass(eq=False)
class Ref:
    """A reference whose object is there at once: a value, or an error; `...`: never."""

    value: Any


@dataclass
class Method:
    """A method of an actor; each call takes the next answer, the last one for ever."""

    answers: list[Any]
    calls: int = 0

    def remote(self, *_: object) -> Ref:
        self.calls += 1
        return Ref(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])


@dataclass(eq=False)
class Actor:
    """What a driver calls of a worker or an engine."""

    label: Method = field(default_factory=lambda: Method([...]))
    drain: Method = field(default_factory=lambda: Method([None]))
    progress: Method = field(default_factory=lambda: Method([Progress()]))
    said: Method = field(default_factory=lambda: Method([[]]))
    health: Method = field(default_factory=lambda: Method([{}]))
    model: Method = field(default_factory=lambda: Method(["scripted"]))


@dataclass
class Made:
    """A class of actors, of which there is one."""

    actor: Actor

    def options(self, **_: object) -> "Made":
        return self

    def remote(self, *_: object) -> Actor:
        return self.actor


@dataclass
class Played:
    """As much of ray as the driver calls."""

    engine: Actor = field(default_factory=Actor)
    worker: Actor = field(default_factory=Actor)

    def get(self, refs: Ref | Iterable[Ref]) -> Any:
        if not isinstance(refs, Ref):
            return [self.get(ref) for ref in refs]
        if isinstance(refs.value, Exception):
            raise refs.value
        return refs.value

    def wait(self, refs: list[Ref], num_returns: int, timeout: float) -> tuple[list[Ref], list[Ref]]:
        assert num_returns <= len(refs)
        assert timeout >= 0
        done = [ref for ref in refs if ref.value is not ...]
        return done, [ref for ref in refs if ref not in done]

    def nodes(self) -> list[dict[str, bool]]:
        return [{"Alive": True}]

    def cluster_resources(self) -> dict[str, float]:
        return {"CPU": 8.0}

    def remote(self, **_: object) -> Callable[[type], Made]:
        return lambda actor: Made(self.engine if actor is EngineActor else self.worker)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    ray = Played()
    monkeypatch.setattr(driver, "ray", ray)
    monkeypatch.setattr(driver, "BEAT", 0.0)
    monkeypatch.setattr(driver, "preflight", lambda *_: None)
    return ray


def driving(out: Path, stopping: Callable[[], bool] = lambda: False, *overrides: str) -> Driver:
    chosen = recipe.read("scripted", overrides=["data.limit=8", *overrides])
    tasks = list(solve.tasks(sources.load("scripted", 8).problems, chosen.policies()))
    made = run.start(str(out), chosen, len(tasks))
    silent: Any = SimpleNamespace(set=lambda *_: None)
    return Driver(made, made.plan(tasks), stopping, lambda *_: None, _meters=silent)


def test_every_shard_is_given_out(tmp_path: Path, played: Played) -> None:
    played.worker.label = Method([None])
    driven = driving(tmp_path)
    assert driven.work()
    assert played.worker.label.calls == len(driven.owed)


def test_while_a_run_stops_a_dead_worker_s_shards_are_given_to_nobody(tmp_path: Path, played: Played) -> None:
    played.worker.drain = Method([DIED])
    driven = driving(tmp_path)

    def stopping() -> bool:
        """Wish to stop once shards are in hand, and have their worker die."""
        given = [ref for seat in driven._seats for ref in seat.parts]
        for ref in given:
            ref.value = DIED
        return bool(given)

    driven.stopping = stopping
    assert not driven.work()
    assert played.worker.label.calls == len(driven.owed)


def test_a_run_can_be_stopped_before_its_engines_are_up(tmp_path: Path, played: Played) -> None:
    played.engine.model = Method([...])
    looks = iter(range(100))
    assert not driving(tmp_path, lambda: next(looks) > 3).work()
    assert played.worker.label.calls == 0


def test_engines_that_do_not_come_up_end_a_run(tmp_path: Path, played: Played) -> None:
    played.engine.model = Method([...])
    with pytest.raises(RunError, match=r"nothing has moved for 0\.01 s"):
        driving(tmp_path, lambda: False, "cluster.stall=0.01").work()


def test_an_engine_that_dies_whenever_it_starts_ends_a_run(tmp_path: Path, played: Played) -> None:
    played.engine.model = Method([DIED])
    with pytest.raises(RunError, match=f"scripted died {ATTEMPTS} times as it started"):
        driving(tmp_path, lambda: False, "cluster.stall=5").work()
    played.engine.model = Method([DIED] * (ATTEMPTS - 1) + ["scripted"])
    played.worker.label = Method([None])
    assert driving(tmp_path).work()


def test_what_is_in_flight_when_a_run_fails_comes_back_and_is_recorded(tmp_path: Path, played: Played) -> None:
    played.worker.label = Method([SettingError("no such key"), ...])
    played.worker.drain = Method([None])
    driven = driving(tmp_path)

    def show(*_: object) -> None:
        """Have the shards in hand end as those of a drained worker do, once it is asked to drain."""
        if played.worker.drain.calls:
            for ref in (ref for seat in driven._seats for ref in seat.parts):
                ref.value = None

    driven.show = show
    with pytest.raises(SettingError, match="no such key"):
        driven.work()
    assert played.worker.drain.calls
    assert not any(seat.parts for seat in driven._seats)


def test_a_run_that_fails_waits_for_nobody_for_ever(
    tmp_path: Path, played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "RESCUE", 0.05)
    played.worker.label = Method([SettingError("no such key"), ...])
    with pytest.raises(SettingError, match="no such key"):
        driving(tmp_path).work()


def test_a_shard_that_is_lost_with_the_node_that_held_it_is_given_out_again(tmp_path: Path, played: Played) -> None:
    played.worker.label = Method([GONE, None])
    driven = driving(tmp_path)
    assert driven.work()
    assert played.worker.label.calls == len(driven.owed) + 1


async def answered(*_: object) -> Reply:
    return Reply((Sample("4", "stop", 1),), 3)


def test_a_reply_that_is_lost_with_the_node_that_held_it_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    lost, desk = [GONE], Desk(answered)

    async def exchange(*call: Any) -> list[tuple[int, Any]]:
        answers = await desk.exchange(*call)
        if lost:
            raise lost.pop()
        return answers

    monkeypatch.setattr(workers, "_actor", lambda _: SimpleNamespace(exchange=SimpleNamespace(remote=exchange)))
    remote = Remote("scripted", 60, ["scripted/0"])
    assert asyncio.run(remote.reply(Ask((Message("user", "2 + 2?"),)))).samples[0].text == "4"


@dataclass
class Mortal:
    """An engine's actor that is up again at once, after dying of a deadly question and of all asked beside it."""

    deadly: str
    lives: int = 0
    asked: Counter[str] = field(default_factory=Counter)

    async def answer(self, _: str, ask: Ask, model: str) -> Reply:
        assert model == "mortal"
        life, text = self.lives, ask.messages[0].content
        self.asked[text] += 1
        await asyncio.sleep(random.random() / 100)
        self.lives += life == self.lives and self.deadly in text
        if life != self.lives:
            raise Died("the engine has died")
        return Reply((Sample(text, "stop", 1),), 3)


def asking(monkeypatch: pytest.MonkeyPatch, actor: Mortal, count: int, patience: float = 60) -> list[Any]:
    """Ask an engine `count` questions at once, in no real time, and return replies and errors."""
    desk = SimpleNamespace(exchange=SimpleNamespace(remote=Desk(actor.answer).exchange))
    monkeypatch.setattr(workers, "_actor", lambda _: desk)
    remote = Remote("mortal", patience, ["mortal/0"])

    async def all_of() -> list[Any]:
        asks = (remote.reply(Ask((Message("user", f"question {i}"),))) for i in range(count))
        return await asyncio.gather(*asks, return_exceptions=True)

    return virtual.run(all_of())


def test_a_question_the_engine_dies_of_is_refused_and_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    actor = Mortal("question 77")
    ends = asking(monkeypatch, actor, 200)
    assert str(ends[77]) == f"mortal died {workers.GUILTY} times while it was asked this"
    assert isinstance(ends[77], Refused)
    assert actor.lives == workers.GUILTY
    assert all(isinstance(end, Reply) for index, end in enumerate(ends) if index != 77)


def test_an_engine_that_dies_of_anything_blames_no_question(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ends = asking(monkeypatch, Mortal(""), 20, patience=600)
    assert {type(end) for end in ends} == {Unavailable}
    assert 5 <= len(caplog.records) <= 10  # once a minute
