"""A worker's shard: what was asked is on disk before the shard ends, and a ledger that cannot be written ends it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from data import sources
from data.asks import Ask, Reply
from data.errors import Refused, RunError
from data.ledger import Ledger
from data.records import Task
from data.segments import LocalSegment
from pipeline import recipe, run, worker
from pipeline.engines.scripted import Script, Scripted
from pipeline.run import Run
from pipeline.worker import Worker
from stages import solve
from stages.engine import Engine, Scores


@dataclass
class Slow:
    """Engine that takes its time to score, and counts."""

    engine: Scripted = field(default_factory=lambda: Scripted(Script()))
    samples: int = 0
    scores: int = 0

    @property
    def model(self) -> str:
        return self.engine.model

    async def reply(self, ask: Ask) -> Reply:
        self.samples += ask.n
        await asyncio.sleep(0.01)
        return await self.engine.reply(ask)

    async def score(self, ask: Ask, text: str) -> Scores:
        self.scores += 1
        await asyncio.sleep(0.3)
        return await self.engine.score(ask, text)


class Refusing(Slow):
    """Engine that scores nothing."""

    async def score(self, ask: Ask, text: str) -> Scores:
        raise Refused(f"no log-probabilities of {text} after {ask}")


def opened(out: Path, *overrides: str) -> tuple[Run, str, tuple[Task, ...]]:
    """Open a run of one shard."""
    chosen = recipe.read("scripted", overrides=["data.limit=4", *overrides])
    loaded = sources.load("scripted", chosen.data.limit)
    tasks = list(solve.tasks(loaded.problems, chosen.policies()))
    made = run.start(str(out), chosen, len(tasks))
    ((part, some),) = made.plan(tasks).items()
    return made, part, some


def played(scene: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        await asyncio.wait_for(scene(), 60)

    asyncio.run(whole())


def test_what_nobody_waits_for_any_more_is_still_recorded_before_the_shard_ends(tmp_path: Path) -> None:
    made, part, tasks = opened(tmp_path, "credit.reference=vllm:ref")
    policy = Slow()
    engines: Mapping[str, Engine] = {"scripted": policy, "vllm:ref": Refusing()}
    ends: list[int] = []

    async def scene() -> None:
        assert await Worker(made, engines).label(part, tasks, "")
        ends.append(len(Ledger(made.ledger, part)))
        await asyncio.sleep(1)
        ends.append(len(Ledger(made.ledger, part)))

    played(scene)
    assert policy.scores > 0
    assert ends[0] == ends[1]
    assert len(list((tmp_path / "ledger" / part).glob("*.seg"))) == 1


def test_a_ledger_that_cannot_be_flushed_ends_the_shard_before_much_is_asked_in_vain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, part, tasks = opened(tmp_path, "cluster.in_flight=1")
    failures = [OSError(5, "Input/output error")]

    def sync(_: LocalSegment) -> None:
        if failures:
            raise failures.pop()

    monkeypatch.setattr(worker, "FLUSH", 0.01)
    monkeypatch.setattr(LocalSegment, "interval", 0.0)
    monkeypatch.setattr(LocalSegment, "sync", sync)
    engine = Slow()

    async def scene() -> None:
        with pytest.raises(RunError, match="Input/output error"):
            await Worker(made, {"scripted": engine}).label(part, tasks, "")

    played(scene)
    assert 0 < len(Ledger(made.ledger, part)) == engine.samples < len(tasks)


def test_a_shard_that_is_given_out_again_while_it_is_in_hand_is_paid_for_once(tmp_path: Path) -> None:
    made, part, tasks = opened(tmp_path)
    engine = Slow()

    async def scene() -> None:
        worker = Worker(made, {"scripted": engine})
        first, second = await asyncio.gather(*(worker.label(part, tasks, "") for _ in range(2)))
        assert first == second is not None

    played(scene)
    assert engine.samples == len(Ledger(made.ledger, part))
