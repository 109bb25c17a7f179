"""What is asked of a model and what it replied: the vocabulary of the ledger, the judges and the engines.

An ask has n samples, numbered from `first`; each sample is remembered on its own, under `key(model, ask, index)`,
so asking for more samples later pays only for the new ones.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Literal

Finish = Literal["stop", "length", "error"]
Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn. `top_p=1` and `top_k=0` mean no truncation; temperature 0 is greedy."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    max_tokens: int = 2048
    stop: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to a model: `messages`, then the assistant's `prefix` to be continued to the byte."""

    messages: tuple[Message, ...]
    prefix: str = ""
    n: int = 1
    first: int = 0
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True, slots=True)
class Sample:
    """One continuation. `text` excludes the prefix; `finish` is "length" where it was cut off."""

    text: str
    finish: Finish
    tokens: int


@dataclass(frozen=True, slots=True)
class Reply:
    """The n samples of an ask, in index order, and the prompt's length in tokens (counted once, prefix included)."""

    samples: tuple[Sample, ...]
    prompt_tokens: int


def score_key(model: str, ask: Ask, text: str) -> bytes:
    """Content hash (16 bytes) of the scores of `text` behind an ask's prompt; sampling plays no part in it."""
    return _hash(["score", model, [asdict(m) for m in ask.messages], ask.prefix, text])


def key(model: str, ask: Ask, index: int) -> bytes:
    """Content hash (16 bytes) of sample `index` of an ask to `model`; n and first play no part in it."""
    return _hash([model, [asdict(m) for m in ask.messages], ask.prefix, asdict(ask.sampling), index])


def _hash(body: list[object]) -> bytes:
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=True).encode()).digest()[:16]
