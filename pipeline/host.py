"""One copy of an engine, in a process of its own. `pipeline/cluster/` makes it an actor, found by its name."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar

from data.asks import Ask, Message, Reply
from data.errors import Died, Refused, SettingError, Unavailable
from pipeline import cores, garbage, logs
from pipeline.engines.make import make
from pipeline.exchange import Desk, Question
from pipeline.limiter import Limited
from pipeline.occupancy import Lag, Occupancy
from pipeline.settings import Recipe
from stages.engine import Engine, Scores

T = TypeVar("T")
LAST_WORDS = 1.0  # seconds in which all who wait for a dead engine learn that it died of what was asked together


class EngineActor:
    """One copy of an engine, made when first used: the error of one that cannot be made reaches whoever asks."""

    def __init__(self, specification: str, recipe: Recipe, gpus: int) -> None:
        self._records = logs.keep(specification)
        garbage.seldom()
        self._occupancy, self._lag = Occupancy(), Lag()
        self._watching: asyncio.Task[None] | None = None
        self._dying: asyncio.TimerHandle | None = None
        self._desk = Desk(self._answer)
        self._specification, self._recipe, self._gpus = specification, recipe, gpus

    @cached_property
    def _engine(self) -> Engine:
        return make(self._specification, self._recipe, self._gpus)

    async def model(self) -> str:
        """Return the engine's identity; an endpoint has to be asked for it."""
        if isinstance(self._engine, Limited):
            await self._engine.connect()
            if self._specification in self._recipe.scorers:
                await self._try()
        cores.keep_off(await self.computing(cores.machine()))
        return self._engine.model

    async def computing(self, machine: str) -> frozenset[int]:
        """Return the cores of a machine that the engine keeps busy."""
        return getattr(self._engine, "cores", frozenset()) if machine == cores.machine() else frozenset()

    async def exchange(
        self, key: str, batch: Sequence[tuple[int, Question]], pause: float, owed: bool
    ) -> list[tuple[int, Any]]:
        """Take `reply`s and `score`s in, and return those that are done."""
        return await self._desk.exchange(key, batch, pause, owed)

    async def reply(self, ask: Ask, model: str) -> Reply:
        """Answer as the engine does. Raises SettingError where it is no longer `model`, after a restart."""
        reply = await self._alive(lambda: self._engine.reply(ask))
        self._same(model)
        return reply

    async def score(self, ask: Ask, text: str, model: str) -> Scores:
        """Score as the engine does. Raises as `reply`."""
        scores = await self._alive(lambda: self._engine.score(ask, text))
        self._same(model)
        return scores

    async def health(self) -> dict[str, Any]:
        """Return how busy the engine is, and how late its loop (seconds, 99th percentile).

        Of vLLM also its prefix cache's hits, of an endpoint what its limiter has seen.
        """
        told: dict[str, Any] = {"held": self._occupancy.held, "idle": round(self._occupancy.idle, 4)}
        told["lag"] = round(self._lag.p99, 4)
        if (hits := getattr(self._engine, "prefix_hits", None)) is not None:
            told["prefix_hits"] = round(hits, 4)
        if not isinstance(self._engine, Limited):
            return told
        seen = self._engine.counts()
        told |= {name: getattr(seen, name) for name in ("in_flight", "waiting", "limit", "sent", "retried")}
        return told | {"errors": dict(seen.errors), "down": seen.down_since is not None}

    async def said(self) -> list[logs.Entry]:
        """Return what this process has logged since it was last asked."""
        return self._records.take()

    async def _answer(self, name: str, *arguments: Any) -> Reply | Scores:
        return await (self.score(*arguments) if name == "score" else self.reply(*arguments))

    async def _try(self) -> None:
        """Score something: few endpoints can, and a run should not end without a reward. Raises SettingError."""
        try:
            await self._engine.score(Ask((Message("user", "What is 1 + 1?"),)), "The answer is 2.")
        except Refused as error:
            raise SettingError(
                f"credit needs log-probabilities of solutions, and {error}: name vllm:MODEL, openai:MODEL@URL of a "
                "vLLM server, or, for a base model, openai:MODEL@URL#plain of one whose completions have echo and "
                "logprobs (credit.policy, credit.reference)"
            ) from None

    def _same(self, model: str) -> None:
        if self._engine.model != model:
            raise SettingError(f"{model} has become {self._engine.model} while the run went on")

    async def _alive(self, ask: Callable[[], Awaitable[T]]) -> T:
        if self._dying:
            raise Unavailable(f"{self._specification} is being started again")
        self._watching = self._watching or asyncio.create_task(self._lag.watch())
        try:
            with self._occupancy.one():
                return await ask()
        except Died as error:
            if not self._dying:
                logging.getLogger(__name__).warning("%s died, and is started again: %s", self._specification, error)
                self._dying = asyncio.get_running_loop().call_later(LAST_WORDS, os._exit, 1)
            raise  # Ray starts the actor again, on any node that has room
