"""Decides when a request may go to an endpoint: one limiter an endpoint, an engine in front of its engine.

How many are in flight follows what the endpoint bears: more while that brings more tokens a second, fewer when it says
"too many". Who is turned away gives its place up while it waits. An endpoint that is down parks the work: one request
at a time looks whether it is back, until patience ends. All times are seconds of the event loop's clock.
"""

import asyncio
import heapq
import itertools
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal, Protocol, TypeVar

from data.asks import Ask, Reply, Sample
from data.errors import Refused, Unavailable
from pipeline.pace import Pace
from stages.engine import Engine, Scores

Kind = Literal["busy", "absent", "broken"]
T = TypeVar("T")

_logger = logging.getLogger(__name__)
BACKOFF = 0.5, 8.0  # the longest wait after a first failure, and after any: then pace and parking do the waiting
PROBE = 1.0, 10.0  # between looks whether an endpoint is back: at first, and at most; each half as long again
MANY, FEW, LONG = 20, 5, 10.0  # failures in a row after which an endpoint counts as down: many, or few in long seconds
MEMORY = 100  # requests over which the share of failures is taken
REFUSED: Final = Sample("", "error", 0)  # stands for one of an ask's samples
CHANCE = 1e-9  # of an ask failing so often at that share, below which it is the ask's fault


class Failure(Unavailable):
    """One request failed: the endpoint is "busy" (too many requests), "absent", or its answer is "broken".

    `cause` is what it is counted under: "HTTP 503", "timeout" ...
    """

    def __init__(
        self, message: str, kind: Kind = "broken", retry_after: float | None = None, cause: str | None = None
    ) -> None:
        super().__init__(message)
        self.kind, self.retry_after, self.cause = kind, retry_after, cause or kind


class GaveUp(Unavailable):
    """Patience has ended: whoever asks again waits in vain."""


class Endpoint(Engine, Protocol):
    """An engine behind a network; `name` is what a message calls it."""

    name: str

    @property
    def most(self) -> int | None:
        """Samples one request may ask for; None: any number. May change while it is used."""
        ...

    async def connect(self) -> None:
        """Find out what `model` needs to know. Raises as `reply` does."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """`most` requests in flight; `deadline` for one request; `patience` with an endpoint that answers none."""

    most: int = 2048
    deadline: float = 900.0
    patience: float = 3600.0


DEFAULT: Final = Limits()


@dataclass(slots=True)
class Counts:
    """What a limiter has seen: requests sent, sent again, failed or refused by cause; and what goes on now."""

    sent: int = 0
    retried: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    waiting: int = 0
    limit: int = 0
    down_since: float | None = None


class Limited:
    """Engine in front of an endpoint. Belongs to one event loop.

    Failures that may pass are retried here; what an endpoint refuses for good is raised at once. Raises GaveUp.
    """

    def __init__(self, engine: Endpoint, limits: Limits = DEFAULT) -> None:
        self._engine, self._limits = engine, limits
        self._pace = Pace(limits.most)
        self._tickets = itertools.count()
        self._line: list[tuple[int, asyncio.Future[None]]] = []
        self._counts = Counts()
        self._row = self._answers = 0
        self._share = 0.5  # of the latest requests, those that failed
        self._failing_since: float | None = None
        self._parked_at = 0.0
        self._probe = PROBE[0]
        self._silence: asyncio.TimerHandle | None = None
        self._gave_up: str | None = None

    @property
    def model(self) -> str:
        """Return the endpoint's identity."""
        return self._engine.model

    def counts(self) -> Counts:
        """Return a copy of the counters."""
        limit, waiting = self._room(), len(self._line)
        return replace(self._counts, limit=limit, waiting=waiting, errors=self._counts.errors.copy())

    async def connect(self) -> None:
        """Connect, as patiently as asking."""
        await self._patiently(self._engine.connect)

    async def reply(self, ask: Ask) -> Reply:
        """Return the endpoint's reply; more samples than one request may ask for are asked for apart."""
        most = self._engine.most or ask.n
        if ask.n <= most:
            return await self._patiently(lambda: self._engine.reply(ask), _worth)
        starts = range(0, ask.n, most)
        parts = [replace(ask, first=ask.first + start, n=min(most, ask.n - start)) for start in starts]
        ends = await asyncio.gather(*(self.reply(part) for part in parts), return_exceptions=True)
        replies = [end for end in ends if isinstance(end, Reply)]
        for end in ends:  # where only some are refused, the others were paid for
            if isinstance(end, BaseException) and not (replies and isinstance(end, Refused)):
                raise end
        pairs = zip(ends, parts, strict=True)
        told = [end.samples if isinstance(end, Reply) else (REFUSED,) * part.n for end, part in pairs]
        return Reply(tuple(itertools.chain(*told)), replies[0].prompt_tokens)

    async def score(self, ask: Ask, text: str) -> Scores:
        """Return the endpoint's scores."""
        return await self._patiently(lambda: self._engine.score(ask, text))

    async def _patiently(self, send: Callable[[], Awaitable[T]], worth: Callable[[T], int] = lambda _: 1) -> T:
        """Send until there is an answer; `worth` is what it counts for in goodput."""
        ticket, begun, chance, answers = next(self._tickets), _now(), 1.0, self._answers
        for attempt in itertools.count():
            await self._enter(ticket)
            self._counts.retried += attempt > 0
            outcome = await self._once(send, worth)
            if not isinstance(outcome, Failure):
                return outcome
            if outcome.kind != "busy" and self._answers > answers:
                chance, answers = chance * max(self._share, 0.1), self._answers
                self._blame(outcome, chance, begun)
            await self._back_off(attempt)
        raise AssertionError("unreachable: the count has no end")

    async def _once(self, send: Callable[[], Awaitable[T]], worth: Callable[[T], int]) -> T | Failure:
        """Send, note what came of it, and only then give the place up. A failure that may pass is returned."""
        sent = _now()
        self._counts.sent += 1
        try:
            outcome = await self._send(send)
            if isinstance(outcome, Failure):
                self._failed(outcome, sent)
            else:
                self._alive()
                self._pace.answered(_now(), worth(outcome), sent=sent, full=bool(self._line))
        except Refused:
            self._counts.errors["refused"] += 1
            self._alive()
            raise
        finally:
            self._leave()
        return outcome

    async def _send(self, send: Callable[[], Awaitable[T]]) -> T | Failure:
        try:
            async with asyncio.timeout(self._limits.deadline):
                return await send()
        except TimeoutError:
            return Failure(f"no answer within {self._limits.deadline:g} s", "absent", cause="timeout")
        except Failure as failure:
            return failure
        except Unavailable as error:
            return Failure(str(error))

    async def _enter(self, ticket: int) -> None:
        """Wait for a place, in order of arrival: an ask that comes back goes before all that came after it."""
        if self._gave_up:
            raise GaveUp(self._gave_up)
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._line, (ticket, place))
        self._admit()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self._leave()  # it was let in and called off in the same moment
            raise

    def _admit(self) -> None:
        while self._line and self._counts.in_flight < self._room() and self._silence is None:
            _, place = heapq.heappop(self._line)
            if not place.done():
                self._counts.in_flight += 1
                place.set_result(None)

    def _leave(self) -> None:
        self._counts.in_flight -= 1
        self._admit()

    def _room(self) -> int:
        return self._pace.limit if self._counts.down_since is None else 1

    def _alive(self) -> None:
        """Somebody is there: forget all that spoke against it."""
        if self._counts.down_since is not None:
            _logger.warning("%s answers again after %.0f s", self._engine.name, _now() - self._counts.down_since)
            self._pace.calm()
        self._answers += 1
        self._share -= self._share / MEMORY
        self._row, self._failing_since, self._counts.down_since, self._probe = 0, None, None, PROBE[0]

    def _failed(self, failure: Failure, sent: float) -> None:
        """Take note: for the pace, for the silence that was asked for, and for whether anybody is there at all."""
        now = _now()
        self._counts.errors[failure.cause] += 1
        self._row += 1
        self._failing_since = now if self._failing_since is None else self._failing_since
        if failure.kind == "busy":
            self._pace.cut(now, sent)
        else:
            self._share += (1 - self._share) / MEMORY
        pause, end = failure.retry_after or 0.0, self._failing_since + self._limits.patience
        if now + pause >= end:
            self._give_up(failure)
        if self._seems_down(failure.kind, now - self._failing_since) and sent >= self._parked_at:
            pause = max(pause, min(self._park(failure), end - now))
        self._be_silent(now + pause)

    def _seems_down(self, kind: Kind, seconds: float) -> bool:
        """Whether nobody seems to be there, after `seconds` without an answer; not where it is busy with other asks."""
        served = kind == "busy" and self._counts.in_flight > 1
        return not served and (self._row >= MANY or (self._row >= FEW and seconds >= LONG))

    def _park(self, failure: Failure) -> float:
        """Count the endpoint as down, saying so once; return seconds to the next look."""
        if self._counts.down_since is None:
            self._counts.down_since = self._failing_since
            text = "%s is down (%s): its work waits for it, up to %.0f s"
            _logger.warning(text, self._engine.name, failure, self._limits.patience)
        self._parked_at = _now()
        wait, self._probe = self._probe, min(PROBE[1], self._probe * 1.5)
        return wait

    def _be_silent(self, until: float) -> None:
        """Let nobody in until then, or until the end of a longer silence."""
        if until <= _now() or (self._silence and self._silence.when() >= until):
            return
        if self._silence:
            self._silence.cancel()
        self._silence = asyncio.get_running_loop().call_at(until, self._speak)

    def _speak(self) -> None:
        self._silence = None
        self._admit()

    def _give_up(self, failure: Failure) -> None:
        """End the waiting of all, whoever waits now or comes later. Raises GaveUp."""
        asked = f" and asks for {failure.retry_after:.0f} s more" if failure.retry_after else ""
        self._gave_up = (
            f"{self._engine.name} keeps its work waiting{asked}, longer than {self._limits.patience:g} s: {failure}"
        )
        for _, place in self._line:
            if not place.done():
                place.set_exception(GaveUp(self._gave_up))
        self._line.clear()
        raise GaveUp(self._gave_up)

    def _blame(self, failure: Failure, chance: float, begun: float) -> None:
        """Refuse an ask that fails again and again while others are answered: it shall not hold up a run."""
        if chance < CHANCE or (chance < 1e-3 and _now() - begun > self._limits.patience):
            raise Refused(f"failed again and again while others were answered: {failure}")

    async def _back_off(self, attempt: int) -> None:
        """Wait with full jitter, holding no place; where the endpoint is down, the line does the waiting."""
        if self._counts.down_since is None:
            await asyncio.sleep(random.uniform(0, min(BACKOFF[1], BACKOFF[0] * 2 ** min(attempt, 10))))


def _worth(reply: Reply) -> int:
    return 1 + sum(sample.tokens for sample in reply.samples)


def _now() -> float:
    return asyncio.get_running_loop().time()
