"""Carries asks to an engine, and its answers back, in few calls: between processes one costs more than what it carries.

A `Line` is the end that asks, a `Desk` the one that answers. A call takes along all that was asked since the one before
it, and brings all that was answered. One stays open as long as something is awaited, so that an answer finds a way back
at once; before the next, and for more answers, there is a pause: a small share of what answers take anyway.
"""

import asyncio
import itertools
import logging
import math
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from data.errors import PipelineError, Unavailable

SHARE = 0.02  # of the time an answer takes: how long it may wait on each way for others to go with it
SHORTEST, LONGEST = 0.002, 0.2  # seconds; the longest is short beside the last second of a dying engine (host.py)
FORGOTTEN = 60.0  # seconds after which nobody is expected to fetch what was answered
_MEAN = 32  # answers, about, over which the time they take is averaged

Question = tuple[str, tuple[Any, ...]]
"""The name of what is asked for, and its arguments."""

Call = Callable[[str, Sequence[tuple[int, Question]], float, bool], Awaitable[Sequence[tuple[int, Any]]]]
"""Calls `Desk.exchange` from another process."""


class Line:
    """The end that asks. After a call has failed it is `broken`, and all it waited for fails likewise."""

    def __init__(self, call: Call) -> None:
        self.broken = False
        self._call, self._key = call, uuid.uuid4().hex
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._unsent: list[tuple[int, Question]] = []
        self._calls = set[asyncio.Future[Sequence[tuple[int, Any]]]]()
        self._due: asyncio.TimerHandle | None = None
        self._begun, self._took, self._met = -math.inf, 0.0, False

    async def ask(self, name: str, *arguments: Any) -> Any:
        """Return the answer, or raise it where it is an exception; raises what a call fails with."""
        loop = asyncio.get_running_loop()
        number, asked = next(self._numbers), loop.time()
        answer = self._waiting[number] = loop.create_future()
        self._unsent.append((number, (name, arguments)))
        if self._due is None:
            self._due = loop.call_at(max(asked, self._begun + self._pause), self._send)
        try:
            return await answer
        finally:
            self._waiting.pop(number, None)
            self._took += (loop.time() - asked - self._took) / _MEAN

    @property
    def _pause(self) -> float:
        return min(LONGEST, max(SHORTEST, SHARE * self._took))

    def _send(self) -> None:
        """Begin a call, with what was asked and is still wanted."""
        if self._due:
            self._due.cancel()
        self._due, self._begun = None, asyncio.get_running_loop().time()
        batch, self._unsent = [one for one in self._unsent if one[0] in self._waiting], []
        if not self._waiting:
            return
        owed = self._met and len(batch) < len(self._waiting)
        self._calls.add(call := asyncio.ensure_future(self._call(self._key, batch, self._pause, owed)))
        call.add_done_callback(self._heard)

    def _heard(self, call: "asyncio.Future[Sequence[tuple[int, Any]]]") -> None:
        """Hand on what a call has brought, or why it failed."""
        self._calls.discard(call)
        if call.cancelled():
            return  # the loop ends
        if error := call.exception():
            self.broken = True
            answers: Sequence[tuple[int, Any]] = [(number, error) for number in self._waiting]
        else:
            answers, self._met = call.result(), True
        for number, answer in answers:
            waiting = self._waiting.pop(number, None)
            if waiting and not waiting.done():
                (waiting.set_exception if isinstance(answer, BaseException) else waiting.set_result)(answer)
        if self._waiting and not self._calls:
            self._send()  # somebody has to wait for the rest


@dataclass(slots=True)
class _Box:
    """What was asked over one line and is not answered, and what was answered and not yet fetched."""

    asked: set[asyncio.Task[None]] = field(default_factory=set)
    answers: list[tuple[int, Any]] = field(default_factory=list)
    some: asyncio.Event = field(default_factory=asyncio.Event)
    open: bool = False  # whether a call waits for answers
    fetched: float = field(default_factory=time.monotonic)

    def take(self) -> list[tuple[int, Any]]:
        self.some.clear()
        self.fetched = time.monotonic()
        answers, self.answers = self.answers, []
        return answers

    @property
    def dead(self) -> bool:
        return not self.asked and not self.open and time.monotonic() > self.fetched + FORGOTTEN


class Desk:
    """The end that answers, as `answer` does, given a name and arguments."""

    def __init__(self, answer: Callable[..., Awaitable[Any]]) -> None:
        self._answer = answer
        self._boxes: dict[str, _Box] = {}

    async def exchange(
        self, key: str, batch: Sequence[tuple[int, Question]], pause: float, owed: bool
    ) -> list[tuple[int, Any]]:
        """Take questions in, and return what was answered meanwhile.

        The first call of a line waits for an answer, and `pause` seconds for more. Those beside it do not. Raises
        Unavailable where answers are `owed` to a line that is not known here: this process is another by now.
        """
        if key not in self._boxes:
            if owed:
                raise Unavailable("it was started again, and what it was asked before is lost")
            self._boxes = {one: box for one, box in self._boxes.items() if not box.dead}
        box = self._boxes.setdefault(key, _Box())
        for number, (name, arguments) in batch:
            box.asked.add(task := asyncio.create_task(self._one(box, number, name, arguments)))
            task.add_done_callback(box.asked.discard)
        if box.open:
            return box.take()
        box.open = True
        try:
            while not box.answers:
                await box.some.wait()
                await asyncio.sleep(pause)
        finally:
            box.open = False
        return box.take()

    async def _one(self, box: _Box, number: int, name: str, arguments: tuple[Any, ...]) -> None:
        try:
            answer = await self._answer(name, *arguments)
        except PipelineError as error:
            answer = error
        except Exception as error:  # as text: nobody knows whether it can be sent
            logging.getLogger(__name__).exception("an ask failed")
            answer = RuntimeError(f"{type(error).__name__}: {error}")
        box.answers.append((number, answer))
        box.some.set()
