"""An engine that never asks twice: what the ledger holds is answered from it, what is new is recorded at once.

Two solutions that ask the same at the same time share one request. Once `drain` is called nothing new is asked:
requests in flight come back and are recorded, and whoever wants more gets `Drained`.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import astuple, dataclass, field, replace
from functools import partial

from data.asks import Ask, Reply, Sample, key, score_key
from data.errors import PipelineError
from data.ledger import Ledger
from data.segments import Entry
from stages.engine import Engine, Scores


class Drained(PipelineError):
    """The run is stopping: nothing new is asked of a model."""


@dataclass(slots=True)
class Paid:
    """Samples and scores asked of a model, and recalled instead; tokens `written` by it.

    `read` are prompts, once a request, and texts that were scored.
    """

    asked: int = 0
    recalled: int = 0
    written: int = 0
    read: int = 0

    def __add__(self, other: "Paid") -> "Paid":
        return Paid(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(slots=True)
class Remembering:
    """Engine in front of `engine`, behind `ledger`. Belongs to one event loop; `paid` may be shared by many."""

    engine: Engine
    model: str
    ledger: Ledger
    paid: Paid = field(default_factory=Paid)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    _flying: dict[bytes, asyncio.Future[Entry]] = field(default_factory=dict)
    _requests: set[asyncio.Task[None]] = field(default_factory=set)

    async def reply(self, ask: Ask) -> Reply:
        """Return the ask's samples, each from the ledger, from a request in flight, or from the engine."""
        keys = [key(self.model, ask, index) for index in range(ask.first, ask.first + ask.n)]
        new = [i for i, k in enumerate(keys) if self.ledger.find(k) is None and k not in self._flying]
        if new and self.stopping.is_set():
            raise Drained("stopped before this was asked")
        for start, count in _stretches(new):
            part = replace(ask, first=ask.first + start, n=count)
            self._request(partial(self.engine.reply, part), keys[start : start + count])
        self.paid.recalled += len(keys) - len(new)
        waited = [self._flying.get(k) or self._recall(k) for k in keys]
        await asyncio.wait(waited)  # unlike gather, this cancels nothing that others wait for
        entries = [future.result() for future in waited]
        return Reply(tuple(entry.sample for entry in entries), entries[0].prompt_tokens)

    async def score(self, ask: Ask, text: str) -> Scores:
        """Return a text's scores, likewise: they are recorded as a sample that nobody wrote."""
        one = score_key(self.model, ask, text)
        known = self.ledger.find(one) is not None or one in self._flying
        if not known:
            if self.stopping.is_set():
                raise Drained("stopped before this was asked")
            self._request(partial(self._score, ask, text), [one])
        self.paid.recalled += known
        waited = self._flying.get(one) or self._recall(one)
        await asyncio.wait([waited])
        return _scores(waited.result())

    async def settled(self) -> None:
        """Wait until all that was asked has come back and is recorded, also what nobody waits for any more."""
        while self._requests:
            await asyncio.wait(self._requests)

    async def _score(self, ask: Ask, text: str) -> Reply:
        scores = await self.engine.score(ask, text)
        body = json.dumps([scores.prompt_tokens, scores.tokens, scores.logprobs], separators=(",", ":"))
        return Reply((Sample(body, "stop", 0),), scores.prompt_tokens + len(scores.tokens))

    def _recall(self, key: bytes) -> "asyncio.Future[Entry]":
        """Return what the ledger holds, in the form of a request that has come back."""
        done: asyncio.Future[Entry] = asyncio.get_running_loop().create_future()
        entry = self.ledger.find(key)
        assert entry is not None  # noqa: S101 - `reply` has just seen that it is in the ledger or in flight
        done.set_result(entry)
        return done

    def _request(self, send: Callable[[], Awaitable[Reply]], keys: list[bytes]) -> None:
        """Start a request; its samples' futures exist before anybody else can look."""
        for one in keys:
            self._flying[one] = asyncio.get_running_loop().create_future()
        request = asyncio.create_task(self._fetch(send, keys))
        self._requests.add(request)
        request.add_done_callback(self._requests.discard)

    async def _fetch(self, send: Callable[[], Awaitable[Reply]], keys: list[bytes]) -> None:
        """Ask and record. Whatever fails, be it the disk, reaches those who wait, and is not remembered."""
        try:
            reply = await send()
            for one, sample in zip(keys, reply.samples, strict=True):
                self.ledger.append(one, sample, reply.prompt_tokens)
        except BaseException as error:
            for one in keys:
                self._fail(one, error)
            if not isinstance(error, Exception):
                raise
            return
        for one, sample in zip(keys, reply.samples, strict=True):
            self._flying.pop(one).set_result(Entry(sample, reply.prompt_tokens))
        self.paid.asked += len(keys)
        self.paid.written += sum(sample.tokens for sample in reply.samples)
        self.paid.read += reply.prompt_tokens

    def _fail(self, key: bytes, error: BaseException) -> None:
        future = self._flying.pop(key)
        if isinstance(error, asyncio.CancelledError):
            future.cancel()
        else:
            future.set_exception(error)
            future.exception()  # marks it as seen: where nobody waits any more it is no news


def _scores(entry: Entry) -> Scores:
    prompt_tokens, tokens, logprobs = json.loads(entry.sample.text)
    return Scores(tuple(tokens), tuple(logprobs), prompt_tokens)


def _stretches(indices: list[int]) -> Iterator[tuple[int, int]]:
    """Group ascending indices into (start, count) runs without a gap."""
    start = 0
    for place in range(1, len(indices) + 1):
        if place == len(indices) or indices[place] != indices[place - 1] + 1:
            yield indices[start], place - start
            start = place
