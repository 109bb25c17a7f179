"""Decides what to make of an OpenAI-compatible endpoint's answers and errors; the only file that imports openai.

`openai:MODEL@URL` names one server; without the URL it is the one in OPENAI_BASE_URL, or OpenAI's. Retrying is the
limiter's part: here a request is sent once, and its failure told apart: passing, this ask's, or every ask's.
"""

import asyncio
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

from data.asks import Ask, Reply, Sample
from data.errors import PipelineError, Refused, SettingError, Unavailable
from pipeline.engines import chat
from pipeline.engines.address import address, check
from pipeline.engines.chat import Continuing, Dialect
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
        url = where.url or os.environ.get("OPENAI_BASE_URL") or None
        if url:
            check(url)
        self._key = _key(url)
        limits = type(openai.DEFAULT_CONNECTION_LIMITS)(max_connections=None, max_keepalive_connections=None)
        patient = openai.Timeout(None, connect=30.0)
        client = openai.DefaultAsyncHttpxClient(limits=limits, timeout=patient)
        self._client = openai.AsyncOpenAI(
            api_key=self._key, base_url=url, max_retries=0, timeout=patient, http_client=client
        )
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
            rest = replace(ask, first=ask.first + len(samples), n=ask.n - len(samples))
            answer, dialect = await self._ask(rest)
            with _reading():
                got = chat.samples(answer, rest, dialect)
                prompt = prompt or chat.prompt_tokens(answer, ask)
            if len(got) < chat.together(rest, dialect):
                self._dialect = replace(await self._spoken(), many=False)
            samples += got
        return Reply(tuple(samples), prompt)

    async def score(self, ask: Ask, text: str) -> Scores:
        """Score `text` where the server gives log-probabilities of a prompt (vLLM); else Refused. Two requests."""
        if (await self._spoken()).continuing != "exact":
            raise Refused(f"{self.name} cannot score a text: that needs vLLM's prompt_logprobs")
        short = replace(ask, n=1, sampling=replace(ask.sampling, max_tokens=1, stop=()))
        before, _ = await self._ask(short)
        whole, _ = await self._ask(replace(short, prefix=ask.prefix + text), {"prompt_logprobs": 0})
        if whole.get("prompt_logprobs") is None:
            raise Refused(f"{self.name} gives no prompt_logprobs, so it cannot score a text")
        with _reading():
            return chat.scores(whole, before)

    async def rate(self, messages: Sequence[Mapping[str, str]]) -> list[list[float]]:
        """Return what a reward model says of a chat, at each of its step marks: vLLM's `/pooling`, beside `/v1`.

        One number a class; of two, the last is the probability that the step is right (Qwen2.5-Math-PRM).
        """
        path = str(self._client.base_url).rstrip("/").removesuffix("/v1") + "/pooling"
        try:
            answer = await self._post(path, {"model": self._served, "messages": list(messages)})
        except openai.OpenAIError as error:
            raise self._told(error) from None
        with _reading():
            return chat.rated(answer)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _spoken(self) -> Dialect:
        async with self._connecting:
            if self._dialect is None:
                self._dialect = Dialect(self._forced or await self._detect())
            return self._dialect

    async def _detect(self) -> Continuing:
        """Look at the models the server lists; one that lists none is taken to continue nothing exactly."""
        try:
            with _sending():
                listed = await self._client.get("/models", cast_to=object)
        except openai.OpenAIError as error:
            if getattr(error, "status_code", 500) in _UNLISTED:
                return "shown"
            raise self._told(error) from None
        with _reading():
            owners = chat.owners(listed)
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
            try:
                body = chat.body(self._served, ask, dialect, limited=limited) | dict(extra)
                return await self._post(dialect.path, body), dialect
            except openai.OpenAIError as error:
                complaint = self._words(error) if getattr(error, "status_code", 0) in {400, 422} else ""
                if limited and chat.no_room(complaint) and dialect.continuing != "plain":
                    limited = False  # the limit is more than there is room for: then the room is the limit
                    continue
                better = chat.learn(dialect, complaint, ask)
                if self._dialect == dialect and better is None:
                    raise self._told(error) from None
                self._dialect = better if better and self._dialect == dialect else self._dialect

    async def _post(self, path: str, body: Mapping[str, Any]) -> chat.Json:
        with _sending():
            answer = await self._client.post(path, body=body, cast_to=object)
        if not isinstance(answer, dict):
            raise Failure("the answer is no JSON object", cause="unreadable")
        self._answered = True
        return answer

    def _told(self, error: openai.OpenAIError) -> PipelineError:
        """Return what an error of the SDK means. The only place that decides it."""
        if not isinstance(error, openai.APIStatusError):
            if isinstance(error, openai.APIConnectionError):
                return Failure(f"{self._words(error)} ({error.__cause__!r:.100})", "absent", cause="connection")
            return Failure(self._words(error))
        status, words = error.status_code, f"HTTP {error.status_code}: {self._words(error)}"
        ours = status in _OURS or error.code in _OURS_BY_CODE or (status == 403 and not self._answered)
        if ours:
            return SettingError(f"{self.name} would answer every request so: {words}{_ADVICE.get(status, '')}")
        if status in _PASSING or status >= 500:
            kind, pause = _KINDS.get(status, "broken"), _retry_after(error.response.headers)
            return Failure(words, kind, pause, f"HTTP {status}")
        return Refused(words)

    def _words(self, error: openai.OpenAIError) -> str:
        """Return the server's own words: on one line, shortened, without anything that looks like a key."""
        body = getattr(error, "body", None)
        said = body.get("message") if isinstance(body, dict) else None
        text = " ".join(str(said or body or error).split())
        scrubbed = _SECRET.sub("[key]", text.replace(self._key, "[key]") if self._key != NO_KEY else text)
        return scrubbed[:_WORDS]


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
def _sending() -> Iterator[None]:
    """Tell apart what the SDK lets through: a body that cannot be written, or read, and a connection that broke."""
    try:
        yield
    except UnicodeEncodeError:
        raise Refused("the question holds characters that are no text") from None
    except (ValueError, RecursionError):
        raise Failure("the answer is no JSON", cause="unreadable") from None
    except OSError as error:
        raise Failure(f"the connection broke: {error}", "absent", cause="connection") from None


@contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise Failure(f"the answer cannot be read: {error}", cause="unreadable") from None
