"""Decides what to make of an OpenAI-compatible endpoint's answers and errors; the only file that imports openai.

`openai:MODEL@URL` names one server; without the URL it is the one in OPENAI_BASE_URL, or OpenAI's. The SDK says where
that is and which headers it wants; `link` sends. Retrying is the limiter's part: here a request is sent once, and its
failure told apart: passing, this ask's, or every ask's.
"""

import asyncio
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from email.utils import parsedate_to_datetime
from math import isfinite
from time import time
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

import openai

from data.asks import Ask, Reply, Sample, Sampling
from data.errors import PipelineError, Refused, SettingError, Unavailable
from pipeline.engines import chat
from pipeline.engines.address import Address, address, check
from pipeline.engines.chat import Continuing, Dialect
from pipeline.engines.link import Answer, Link
from pipeline.limiter import Failure, Kind
from stages.engine import Scores

NO_KEY: Final = "none"  # what is sent where a server needs none
EXACT: Final = ("vllm", "sglang")  # owners of models whose servers continue an assistant's message to the token
_KINDS: Final[Mapping[int, Kind]] = {429: "busy", 503: "busy", 529: "busy", 408: "absent", 502: "absent", 504: "absent"}
_PASSING: Final = (408, 409, 425, 429)
_OURS: Final = (401, 402, 404, 405)  # every ask would be answered so
_OURS_BY_CODE: Final = (
    "invalid_api_key", "model_not_found", "insufficient_quota", "unsupported_value", "unsupported_parameter",
    "account_deactivated", "billing_hard_limit_reached",
)  # fmt: skip
_ADVICE: Final = {
    401: " (is OPENAI_API_KEY right?)",
    404: " (is the model's name right, and does the URL end in /v1?)",
}
_COMPLAINT: Final = (400, 422)  # may be about how an ask was put
_UNLISTED: Final = (400, 403, 404, 405, 422, 501)  # of GET /models: a server that keeps no list
_SECRET: Final = re.compile(r"\b(?:sk-|Bearer\s+)[\w*.-]+")
_WORDS: Final = 300  # characters of a server's message that are passed on


class OpenAI:
    """Engine over one endpoint. Belongs to one event loop; has no deadline of its own and never asks twice.

    Raises Failure (passing), Refused (this ask) or SettingError (every ask).
    """

    def __init__(self, specification: str) -> None:
        where = address(specification)
        self.name = specification.partition("#")[0]
        self._served, self._forced = where.model, where.continuing
        url = _url(where)
        if url:
            check(url)
        self._key = _key(url)
        with openai.OpenAI(api_key=self._key, base_url=url) as sdk:
            self._url = str(sdk.base_url).rstrip("/")
            self._link = Link(_headers({**sdk.default_headers, **sdk.auth_headers}))
        self._dialect: Dialect | None = None
        self._connecting = asyncio.Lock()
        self._answered = False

    @property
    def model(self) -> str:
        """The specification; marked where a prefix is shown to the model, or a text without roles is continued."""
        if self._dialect is None:
            raise Unavailable(f"{self.name} was not connected to yet")
        return self.name + {"exact": "", "shown": "#shown", "plain": "#plain"}[self._dialect.continuing]

    @property
    def most(self) -> int | None:
        """Samples one request may ask for: one, where the server was seen to give no more."""
        return None if self._dialect is None or self._dialect.many else 1

    async def connect(self) -> None:
        """Find out, once, how the server continues a prefix: from the owner it names for its models."""
        await self._spoken()

    async def reply(self, ask: Ask) -> Reply:
        """Return `ask.n` samples, in as many requests as the server needs for them."""
        samples: list[Sample] = []
        prompt = 0
        while len(samples) < ask.n:
            rest = replace(ask, first=ask.first + len(samples), n=ask.n - len(samples)) if samples else ask
            answer, dialect = await self._ask(rest)
            with _reading():
                got = chat.samples(answer, rest, dialect)
                prompt = prompt or chat.prompt_tokens(answer, ask)
            if len(got) < chat.together(rest, dialect):
                self._dialect = replace(await self._spoken(), many=False)
            samples += got
        return Reply(tuple(samples), prompt)

    async def score(self, ask: Ask, text: str) -> Scores:
        """Score `text` where the server gives log-probabilities of a prompt (vLLM, or an echo); else Refused."""
        continuing = (await self._spoken()).continuing
        if continuing == "shown":
            raise Refused(f"{self.name} cannot score a text: that needs vLLM's prompt_logprobs")
        short = replace(ask, n=1, sampling=Sampling(max_tokens=1))
        told = replace(short, prefix=ask.prefix + text)
        if continuing == "plain":
            return await self._echo(told, text)
        before, _ = await self._ask(short)
        whole, _ = await self._ask(told, {"prompt_logprobs": 0})
        if whole.get("prompt_logprobs") is None:
            raise Refused(f"{self.name} gives no prompt_logprobs, so it cannot score a text")
        with _reading():
            return chat.scores(whole, before)

    async def rate(self, messages: Sequence[Mapping[str, str]]) -> list[list[float]]:
        """Return what a reward model says of a chat, at each of its step marks: vLLM's `/pooling`, beside `/v1`.

        One number a class; of two, the last is the probability that the step is right (Qwen2.5-Math-PRM).
        """
        url, body = self._url.removesuffix("/v1") + "/pooling", {"model": self._served, "messages": list(messages)}
        answer = self._read(await self._link.post(url, body))
        with _reading():
            return chat.rated(answer)

    async def _echo(self, told: Ask, text: str) -> Scores:
        """Score the text that ends a prompt by having the prompt repeated."""
        answer, _ = await self._ask(told, {"echo": True, "logprobs": 1})
        with _reading():
            scores = chat.echoed(answer, text)
        if scores is None:
            raise Refused(f"{self.name} gives no logprobs of an echoed prompt, so it cannot score a text")
        return scores

    async def close(self) -> None:
        """Close all connections."""
        await self._link.close()

    async def _spoken(self) -> Dialect:
        if self._dialect is None:
            async with self._connecting:
                self._dialect = self._dialect or Dialect(self._forced or await self._detect())
        return self._dialect

    async def _detect(self) -> Continuing:
        """Look at the models the server lists; one that lists none is taken to continue nothing exactly."""
        answer = await self._link.get(f"{self._url}/models")
        if answer.status in _UNLISTED:
            return "shown"
        with _reading():
            owners = chat.owners(self._read(answer))
        if not any(owner in EXACT for owner in owners.values()):
            return "shown"
        if self._served not in owners:
            raise SettingError(f"{self.name}: the server has no such model; it serves {', '.join(owners)}"[:_WORDS])
        return "exact"

    async def _ask(self, ask: Ask, extra: Mapping[str, Any] = MappingProxyType({})) -> tuple[chat.Json, Dialect]:
        """Send one request, put otherwise as often as the server's complaints teach something new."""
        limited = True
        while True:
            dialect = await self._spoken()
            body = {**chat.body(self._served, ask, dialect, limited=limited), **extra}
            answer = await self._link.post(self._url + dialect.path, body)
            if answer.status not in _COMPLAINT:  # an answer counts in whatever dialect it was asked for: it is paid for
                told, self._answered = self._read(answer), True
                return told, dialect
            complaint = self._words(_error(answer))
            if limited and chat.no_room(complaint) and dialect.continuing != "plain":
                limited = False  # the limit is more than there is room for: then the room is the limit
                continue
            better = chat.learn(dialect, complaint, ask)
            if self._dialect == dialect and better is None:
                raise self._told(answer)
            self._dialect = better if better and self._dialect == dialect else self._dialect

    def _read(self, answer: Answer) -> chat.Json:
        """Return the JSON object a server answered with. Raises what an error, or anything else, means."""
        if answer.status >= 300:
            raise self._told(answer)
        try:
            told = json.loads(answer.body)
        except (ValueError, RecursionError):
            raise Failure("the answer is no JSON", cause="unreadable") from None
        if not isinstance(told, dict):
            raise Failure("the answer is no JSON object", cause="unreadable")
        return told

    def _told(self, answer: Answer) -> PipelineError:
        """Return what an error means. The only place that decides it."""
        error, status = _error(answer), answer.status
        code = error.get("code") if isinstance(error, dict) else None
        words = f"HTTP {status}: {self._words(error)}"
        if status in _OURS or code in _OURS_BY_CODE or (status == 403 and not self._answered):
            return SettingError(f"{self.name} would answer every request so: {words}{_ADVICE.get(status, '')}")
        if status in _PASSING or status >= 500:
            return Failure(words, _KINDS.get(status, "broken"), _retry_after(answer.headers), f"HTTP {status}")
        return Refused(words)

    def _words(self, error: object) -> str:
        """Return the server's own words: on one line, shortened, without anything that looks like a key."""
        said = error.get("message") if isinstance(error, dict) else None
        text = " ".join(str(said or error).split())
        scrubbed = _SECRET.sub("[key]", text.replace(self._key, "[key]") if self._key != NO_KEY else text)
        return scrubbed[:_WORDS]


def _error(answer: Answer) -> object:
    """Return what a server says is wrong: the `error` of its JSON, else all it says."""
    try:
        told = json.loads(answer.body)
    except (ValueError, RecursionError):
        return answer.body.decode(errors="replace")
    return told.get("error") or told if isinstance(told, dict) else told


def check_key(specification: str) -> None:
    """Raise SettingError where the endpoint needs a key and there is none that could be one."""
    _key(_url(address(specification)))


def _url(where: Address) -> str | None:
    return where.url or os.environ.get("OPENAI_BASE_URL") or None


def _key(url: str | None) -> str:
    """Return the key; a server of one's own needs none."""
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not key and (url is None or urlsplit(url).hostname == "api.openai.com"):
        raise SettingError(
            "set OPENAI_API_KEY for OpenAI's endpoint, or name another: openai:MODEL@http://HOST:PORT/v1"
        )
    if not (key.isascii() and key.isprintable()):
        raise SettingError("OPENAI_API_KEY holds characters that no key has")
    return key or NO_KEY


def _headers(told: Mapping[str, object]) -> dict[str, str]:
    """Return the SDK's headers, less those it marks as omitted, and those that tell of this machine."""
    said = {name: value for name, value in told.items() if isinstance(value, str)}
    return {name: value for name, value in said.items() if not name.lower().startswith("x-stainless-")}


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return for how many seconds the server wants to be left alone, if it says so in a form that makes sense."""
    try:
        if "retry-after-ms" in headers:
            seconds = float(headers["retry-after-ms"]) / 1000
        elif "retry-after" in headers and headers["retry-after"][-3:] == "GMT":
            seconds = parsedate_to_datetime(headers["retry-after"]).timestamp() - time()
        else:
            seconds = float(headers.get("retry-after", "nan"))
    except ValueError:
        return None
    return max(0.0, seconds) if isfinite(seconds) else None


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise Failure(f"the answer cannot be read: {error}", cause="unreadable") from None
