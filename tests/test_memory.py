"""Nothing is asked twice: recall, requests shared in flight, failures, draining, and waiters that give up."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.asks import Ask, Message, Reply, Sample, Sampling, key
from data.errors import Refused, RunError, Unavailable
from data.ledger import Ledger
from data.scripted import problems
from pipeline.engines.scripted import Script, Scripted
from pipeline.memory import Drained, Remembering
from stages.engine import Engine, Scores

QUESTION = (Message("user", "2 + 2?"),)


@dataclass
class Counting:
    """Engine that counts every sample asked, and answers when it is let."""

    model: str = "counting"
    asked: list[tuple[int, int]] = field(default_factory=list)
    gate: asyncio.Event | None = None
    failures: list[BaseException] = field(default_factory=list)
    scored: list[str] = field(default_factory=list)
    short: int = 0

    async def reply(self, ask: Ask) -> Reply:
        self.asked.append((ask.first, ask.n))
        if self.gate:
            await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        indices = range(ask.first, ask.first + ask.n - self.short)
        return Reply(tuple(Sample(f"{ask.messages[0].content}{ask.prefix}#{i}", "stop", i + 1) for i in indices), 7)

    async def score(self, ask: Ask, text: str) -> Scores:
        self.scored.append(ask.prefix + text)
        if self.gate:
            await self.gate.wait()
        if self.failures:
            raise self.failures.pop(0)
        return Scores((ask.prefix + text,), (-1.0,), 3)

    @property
    def samples(self) -> list[int]:
        return [i for first, n in self.asked for i in range(first, first + n)]


def ask(n: int = 1, first: int = 0, prefix: str = "") -> Ask:
    return Ask(QUESTION, prefix, n, first)


def texts(reply: Reply) -> list[str]:
    return [sample.text for sample in reply.samples]


def wanted(n: int, first: int = 0) -> list[str]:
    return [f"2 + 2?#{i}" for i in range(first, first + n)]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path, "p0") as opened:
        yield opened


def remembering(engine: Engine, ledger: Ledger) -> Remembering:
    return Remembering(engine, engine.model, ledger)


def run(scene: Callable[[], Awaitable[None]]) -> None:
    async def played() -> None:
        await asyncio.wait_for(scene(), 20)  # whoever would wait for ever fails instead

    asyncio.run(played())


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_what_was_asked_is_recalled_by_this_process_and_the_next(tmp_path: Path) -> None:
    engine = Counting()

    async def scene() -> None:
        for part_opened_again in range(2):
            with Ledger(tmp_path, "p0") as ledger:
                memory = remembering(engine, ledger)
                for _ in range(2):
                    reply = await memory.reply(ask(3))
                    assert texts(reply) == wanted(3)
                    assert reply.prompt_tokens == 7
                    assert [sample.tokens for sample in reply.samples] == [1, 2, 3]
                assert (memory.paid.asked, memory.paid.written) == ((0, 0) if part_opened_again else (3, 6))
                assert memory.paid.recalled == (6 if part_opened_again else 3)

    run(scene)
    assert engine.asked == [(0, 3)]


def test_only_missing_stretches_are_asked(ledger: Ledger) -> None:
    engine = Counting()

    async def scene() -> None:
        memory = remembering(engine, ledger)
        await memory.reply(ask(2, 1))
        await memory.reply(ask(1, 5))
        assert texts(await memory.reply(ask(8))) == wanted(8)
        assert texts(await memory.reply(ask(3, 4))) == wanted(3, 4)

    run(scene)
    assert engine.asked == [(1, 2), (5, 1), (0, 1), (3, 2), (6, 2)]


def test_the_ledger_tells_models_prefixes_and_sampling_apart(ledger: Ledger) -> None:
    engine, other = Counting(), Counting("other")

    async def scene() -> None:
        await remembering(engine, ledger).reply(ask())
        await remembering(engine, ledger).reply(ask(prefix="So"))
        await remembering(engine, ledger).reply(Ask(QUESTION, sampling=Sampling(temperature=0.0)))
        await remembering(other, ledger).reply(ask())

    run(scene)
    assert len(engine.asked) == 3
    assert len(other.asked) == 1
    assert len(ledger) == 4


def test_requests_in_flight_are_shared_even_where_they_only_overlap(ledger: Ledger) -> None:
    engine = Counting()

    async def scene() -> None:
        engine.gate = asyncio.Event()
        memory = remembering(engine, ledger)
        flying = [asyncio.create_task(memory.reply(one)) for one in (ask(3), ask(3), ask(4, 2), ask(1, 1))]
        await settled()
        assert engine.asked == [(0, 3), (3, 3)]
        engine.gate.set()
        replies = await asyncio.gather(*flying)
        assert [texts(reply) for reply in replies] == [wanted(3), wanted(3), wanted(4, 2), wanted(1, 1)]
        assert (memory.paid.asked, memory.paid.recalled) == (6, 5)

    run(scene)
    assert len(ledger) == 6


@pytest.mark.parametrize("error", [Unavailable("later"), Refused("never"), ValueError("a bug")])
def test_a_failure_reaches_all_who_wait_and_is_not_remembered(ledger: Ledger, error: Exception) -> None:
    engine = Counting(failures=[error])

    async def scene() -> None:
        engine.gate = asyncio.Event()
        memory = remembering(engine, ledger)
        flying = [asyncio.create_task(memory.reply(ask(2))) for _ in range(3)]
        await settled()
        engine.gate.set()
        ends = await asyncio.gather(*flying, return_exceptions=True)
        assert ends == [error] * 3
        assert (memory.paid.asked, len(ledger)) == (0, 0)
        assert texts(await memory.reply(ask(2))) == wanted(2)

    run(scene)
    assert engine.asked == [(0, 2), (0, 2)]


def test_a_stretch_that_came_is_kept_though_another_failed(ledger: Ledger) -> None:
    engine = Counting()

    async def scene() -> None:
        memory = remembering(engine, ledger)
        await memory.reply(ask(1, 1))
        engine.failures = [Unavailable("later")]
        with pytest.raises(Unavailable):
            await memory.reply(ask(3))  # asks for 0 and for 2
        assert len(ledger) == 2
        assert texts(await memory.reply(ask(3))) == wanted(3)

    run(scene)
    assert Counter(engine.samples) == {0: 2, 1: 1, 2: 1}


def test_an_engine_that_gives_too_few_samples_fails_its_ask_instead_of_hanging(ledger: Ledger) -> None:
    engine = Counting(short=1)

    async def scene() -> None:
        memory = remembering(engine, ledger)
        with pytest.raises(ValueError, match="zip"):
            await memory.reply(ask(3))
        engine.short = 0
        assert texts(await memory.reply(ask(3))) == wanted(3)

    run(scene)


def test_a_ledger_that_cannot_be_written_fails_the_ask_instead_of_hanging(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise RunError("no space left")

    async def scene() -> None:
        memory = remembering(Counting(), ledger)
        monkeypatch.setattr(Ledger, "append", full)
        ends = await asyncio.gather(memory.reply(ask()), memory.reply(ask()), return_exceptions=True)
        assert [type(end) for end in ends] == [RunError, RunError]

    run(scene)


def test_draining_asks_nothing_new_but_records_what_is_in_flight(ledger: Ledger) -> None:
    engine = Counting()

    async def scene() -> None:
        engine.gate = asyncio.Event()
        memory = remembering(engine, ledger)
        flying = asyncio.create_task(memory.reply(ask(2)))
        await settled()
        memory.stopping.set()
        late = asyncio.create_task(memory.reply(ask(2)))  # shares what is in flight: nothing new
        with pytest.raises(Drained):
            await memory.reply(ask(3))
        await settled()
        engine.gate.set()
        assert texts(await flying) == texts(await late) == wanted(2)
        assert texts(await memory.reply(ask(1, 1))) == wanted(1, 1)  # known: needs no model
        with pytest.raises(Drained):
            await memory.reply(ask(1, 2))

    run(scene)
    assert engine.asked == [(0, 2)]
    assert len(ledger) == 2


@pytest.mark.parametrize("gives_up", [0, 1, 2])
def test_a_waiter_that_gives_up_hurts_no_other(ledger: Ledger, gives_up: int) -> None:
    """Neither the one who asked first, whose request it is, nor one who came later takes the others with him."""
    engine = Counting()

    async def scene() -> None:
        engine.gate = asyncio.Event()
        memory = remembering(engine, ledger)
        flying = [asyncio.create_task(memory.reply(one)) for one in (ask(3), ask(3), ask(2, 1))]
        await settled()
        flying[gives_up].cancel()
        await settled()
        assert flying[gives_up].cancelled()
        engine.gate.set()
        ends = await asyncio.gather(*flying, return_exceptions=True)
        assert [texts(end) for end in ends if isinstance(end, Reply)] == [
            want for at, want in enumerate([wanted(3), wanted(3), wanted(2, 1)]) if at != gives_up
        ]
        assert texts(await memory.reply(ask(3))) == wanted(3)

    run(scene)
    assert engine.asked == [(0, 3)]


def test_what_nobody_waits_for_any_more_is_recorded_all_the_same(ledger: Ledger) -> None:
    """It is paid for; also a failure must then stay silent."""
    engine = Counting()

    async def scene() -> None:
        for failures in ([], [Unavailable("later")]):
            engine.gate, engine.failures = asyncio.Event(), [*failures]
            memory = remembering(engine, ledger)
            flying = asyncio.create_task(memory.reply(ask(2, 10 * len(failures))))
            await settled()
            flying.cancel()
            await settled()
            engine.gate.set()
            await settled()
        assert len(ledger) == 2

    run(scene)


def test_an_engine_that_is_cancelled_leaves_nobody_waiting(ledger: Ledger) -> None:
    engine = Counting(failures=[asyncio.CancelledError()])

    async def scene() -> None:
        memory = remembering(engine, ledger)
        with pytest.raises(asyncio.CancelledError):
            await memory.reply(ask())
        assert texts(await memory.reply(ask())) == wanted(1)

    run(scene)


def test_scores_are_recorded_and_shared_in_flight_as_samples_are(ledger: Ledger) -> None:
    engine = Counting()

    async def scene() -> None:
        engine.gate = asyncio.Event()
        memory = remembering(engine, ledger)
        flying = [asyncio.create_task(memory.score(one, "4")) for one in (ask(), ask(), ask(prefix="So "))]
        await settled()
        memory.stopping.set()
        with pytest.raises(Drained):
            await memory.score(ask(), "5")
        engine.gate.set()
        assert await asyncio.gather(*flying) == [Scores((f"{p}4",), (-1.0,), 3) for p in ("", "", "So ")]
        assert await memory.score(replace(ask(n=3), sampling=Sampling(0.0)), "4") == Scores(("4",), (-1.0,), 3)
        assert (memory.paid.asked, memory.paid.recalled, memory.paid.written, memory.paid.read) == (2, 2, 0, 8)

    run(scene)
    assert engine.scored == ["4", "So 4"]
    assert len(ledger) == 2


def test_a_score_that_failed_is_not_remembered(ledger: Ledger) -> None:
    engine = Counting(failures=[Unavailable("later"), Refused("never")])

    async def scene() -> None:
        for error in (Unavailable, Refused):
            with pytest.raises(error):
                await remembering(engine, ledger).score(ask(), "4")
        assert await remembering(engine, ledger).score(ask(), "4") == Scores(("4",), (-1.0,), 3)

    run(scene)


PROBLEMS = problems(2)
asks = st.builds(
    lambda problem, n, first: Ask((Message("user", problem.text),), "", n, first),
    st.sampled_from(PROBLEMS),
    st.integers(1, 6),
    st.integers(0, 8),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(asks, min_size=1, max_size=4), max_size=5), st.booleans())
def test_any_asks_in_any_order_are_answered_as_the_bare_engine_does(rounds: list[list[Ask]], reopened: bool) -> None:
    """Each round's asks run at the same time; the ledger may be closed and opened again between rounds."""
    bare = Scripted(Script(right=0.5))
    asked = {
        key(bare.model, one, i) for together in rounds for one in together for i in range(one.first, one.first + one.n)
    }

    async def played(folder: str) -> None:
        ledger = Ledger(folder, "p0")
        for together in rounds:
            memory = remembering(bare, ledger)
            replies = await asyncio.gather(*map(memory.reply, together))
            assert list(replies) == [await bare.reply(one) for one in together]
            if reopened:
                ledger.close()
                ledger = Ledger(folder, "p0")
        assert len(ledger) == len(asked)
        ledger.close()

    with TemporaryDirectory() as folder:
        asyncio.run(played(folder))
