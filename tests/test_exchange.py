"""Asks and answers between two ends, on a clock that leaps: how many calls, what waits, what a failure costs."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from bench import virtual
from data.errors import Refused, Unavailable
from pipeline import exchange
from pipeline.exchange import Desk, Line, Question


class Wire:
    """A desk whose answers take as long as they are asked to, and the calls made of it."""

    def __init__(self) -> None:
        self.desk = Desk(self._answer)
        self.asked: list[str] = []
        self.calls = self.open = self.most = 0
        self.cut = asyncio.Event()

    async def _answer(self, name: str, seconds: float) -> str:
        self.asked.append(name)
        await asyncio.sleep(seconds)
        if name == "refused":
            raise Refused("too long")
        if name == "broken":
            raise KeyError("bug")
        return f"{name} took {seconds:g}"

    async def __call__(
        self, key: str, batch: Sequence[tuple[int, Question]], pause: float, owed: bool
    ) -> Sequence[tuple[int, Any]]:
        self.calls += 1
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            call, cut = (
                asyncio.ensure_future(self.desk.exchange(key, batch, pause, owed)),
                asyncio.ensure_future(self.cut.wait()),
            )
            await asyncio.wait([call, cut], return_when="FIRST_COMPLETED")
            if self.cut.is_set():
                raise ConnectionError("the other end has gone")
            cut.cancel()
            return call.result()
        finally:
            self.open -= 1


async def kept_busy(line: Line, hands: int, rounds: int, seconds: float) -> float:
    """Ask with so many hands, each as soon as it has its answer; return the time a round takes."""

    async def hand(number: int) -> None:
        await asyncio.sleep(number / hands * seconds)  # they do not ask all at once
        for _ in range(rounds):
            assert await line.ask("reply", seconds) == f"reply took {seconds:g}"

    began = asyncio.get_running_loop().time()
    await asyncio.gather(*map(hand, range(hands)))
    return (asyncio.get_running_loop().time() - began) / rounds


@pytest.mark.parametrize(
    ("hands", "seconds", "most"), [(1, 5.0, 1.0), (256, 8.0, 0.35), (2000, 20.0, 0.1), (64, 0.1, 1.6)]
)
def test_many_answers_take_few_calls_and_hardly_longer(hands: int, seconds: float, most: float) -> None:
    async def both() -> tuple[Wire, float]:
        wire = Wire()
        return wire, await kept_busy(Line(wire), hands, 40, seconds)

    wire, took = virtual.run(both())
    assert wire.calls <= most * hands * 40
    assert seconds <= took <= seconds * (1 + 1 / 40 + 2.5 * exchange.SHARE)


def test_one_call_waits_and_those_beside_it_do_not() -> None:
    async def asked() -> Wire:
        wire = Wire()
        await kept_busy(Line(wire), 500, 20, 3.0)
        return wire

    assert virtual.run(asked()).most == 2


def test_errors_come_back_as_they_are_and_a_bug_as_text(caplog: pytest.LogCaptureFixture) -> None:
    async def asked() -> list[Any]:
        line = Line(Wire())
        return await asyncio.gather(
            *(line.ask(one, 1.0) for one in ("refused", "broken", "reply")), return_exceptions=True
        )

    refused, bug, reply = virtual.run(asked())
    assert isinstance(refused, Refused)
    assert repr(bug) == """RuntimeError("KeyError: 'bug'")"""
    assert "an ask failed" in caplog.text
    assert reply == "reply took 1"


def test_all_that_waits_learns_that_a_call_has_failed_and_nothing_more_is_sent() -> None:
    async def asked() -> tuple[Wire, Line, list[Any]]:
        wire = Wire()
        line = Line(wire)
        waiting = [asyncio.create_task(line.ask(name, 9.0)) for name in ("first", "second")]
        await asyncio.sleep(exchange.SHORTEST / 2)
        waiting.append(asyncio.create_task(line.ask("third", 9.0)))  # waits for the pause to end
        wire.cut.set()
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.sleep(20)
        return wire, line, ends

    wire, line, ends = virtual.run(asked())
    assert [str(end) for end in ends] == ["the other end has gone"] * 3
    assert line.broken
    assert wire.asked == ["first", "second"]


def test_what_nobody_waits_for_any_more_is_not_asked() -> None:
    async def asked() -> Wire:
        wire = Wire()
        given_up = asyncio.create_task(Line(wire).ask("late", 1.0))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.sleep(5)
        return wire

    wire = virtual.run(asked())
    assert wire.calls == 0


def test_answers_that_nobody_fetches_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "FORGOTTEN", 0.0)

    async def asked() -> Desk:
        wire = Wire()
        gone = asyncio.create_task(wire.desk.exchange("gone", [(0, ("reply", (5.0,)))], 0.0, False))
        await asyncio.sleep(1)
        gone.cancel()
        await asyncio.sleep(9)
        assert len(wire.desk._boxes["gone"].answers) == 1
        await wire.desk.exchange("new", [(0, ("reply", (1.0,)))], 0.0, False)
        return wire.desk

    assert set(virtual.run(asked())._boxes) == {"new"}


def test_what_was_asked_of_a_process_that_died_between_two_calls_is_not_waited_for() -> None:
    async def asked() -> list[Any]:
        wire = Wire()
        line = Line(wire)

        async def quick() -> None:
            await line.ask("quick", 1.0)
            wire.desk = Desk(wire._answer)  # started again, before the call that would wait for the slow one

        return await asyncio.gather(line.ask("slow", 9.0), quick(), return_exceptions=True)

    slow, _ = virtual.run(asked())
    assert isinstance(slow, Unavailable)


def test_a_line_that_nobody_knows_any_more_goes_on_where_nothing_is_owed() -> None:
    async def asked() -> str:
        wire = Wire()
        line = Line(wire)
        await line.ask("reply", 1.0)
        wire.desk = Desk(wire._answer)
        return str(await line.ask("reply", 2.0))

    assert virtual.run(asked()) == "reply took 2"
