"""Decides how an ask is put into the chat protocol, or the older completions, and how its answer is read: no I/O.

Servers differ in what they take; a `Dialect` says how this one is spoken to, and `learn` makes a better one of a
complaint. An answer is untrusted: whatever is not where it should be is a `ValueError`, never a guess at a text.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any, Literal

from data.asks import Ask, Finish, Sample, Sampling
from stages.engine import Scores

Continuing = Literal["exact", "shown", "plain"]
"""How a prefix is continued: to the token in a chat, shown to the model, or to the token in a text without roles."""

Json = Mapping[str, Any]

CONTINUE = (
    "Your solution above is unfinished. Continue it from exactly where it stops, as if you had never paused: do not "
    "repeat any of it, do not comment on it, do not start over. Your reply will be appended to it as it is."
)
_FINISH: Mapping[object, Finish] = {
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn", "stop_sequence"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "model_length"), "length"),
}
_OPEN: Mapping[str, float] = {  # what vLLM and SGLang would else take from the model's generation_config.json
    "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0,
}  # fmt: skip
_NO_ROOM = re.compile(r"maximum context length|max_model_len|\bmax_\w*tokens\W.*too large")
_AGAIN = ("abort", "error")  # the server broke off: the same request may well succeed
_OVERLAP = 16  # characters a reply must share with the end of a prefix to count as repeating it
_PARAGRAPHS = 64  # of a prefix's last, from each of which a reply may begin to repeat


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a server is spoken to: its name for the token `limit`; whether it takes `seeds`, and `many` samples."""

    continuing: Continuing = "shown"
    limit: str = "max_tokens"
    seeds: bool = True
    many: bool = True
    many_greedy: bool = True

    @property
    def path(self) -> str:
        """Where requests go."""
        return "/completions" if self.continuing == "plain" else "/chat/completions"


def body(model: str, ask: Ask, dialect: Dialect, *, limited: bool = True) -> dict[str, Any]:
    """Return the request for an ask's samples; not `limited`, they may be as long as the context has room."""
    sampling = ask.sampling
    many = together(ask, dialect)
    asked: dict[str, Any] = {
        "model": model,
        **({"prompt": _text(ask)} if dialect.continuing == "plain" else {"messages": _messages(ask, dialect)}),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        **({} if dialect.continuing == "shown" else _OPEN),
    }
    wanted = {
        dialect.limit: sampling.max_tokens if limited else None,
        "n": many if many > 1 else None,
        "seed": seed(sampling, ask.first) if dialect.seeds else None,
        "stop": list(sampling.stop) or None,
        "top_k": sampling.top_k or None,
    }
    if ask.prefix and dialect.continuing == "exact":
        wanted |= {"continue_final_message": True, "add_generation_prompt": False}
    return asked | {name: value for name, value in wanted.items() if value is not None}


def together(ask: Ask, dialect: Dialect) -> int:
    """Return how many of an ask's samples one request may ask for; vLLM takes no more than one that is greedy."""
    return ask.n if dialect.many and (dialect.many_greedy or ask.sampling.temperature) else 1


def seed(sampling: Sampling, first: int) -> int:
    """Return a seed (31 bits) for the samples from `first` on: others than for earlier ones."""
    return int.from_bytes(hashlib.sha256(f"{sampling.seed}/{first}".encode()).digest()[:4]) >> 1


def learn(dialect: Dialect, complaint: str, ask: Ask) -> Dialect | None:
    """Return how to put the ask instead, given a server's complaint; None where that tells nothing new."""
    if "max_completion_tokens" in complaint and dialect.limit == "max_tokens":
        return replace(dialect, limit="max_completion_tokens")
    if dialect.seeds and re.search(r"\bseed\b", complaint):
        return replace(dialect, seeds=False)
    if together(ask, dialect) > 1 and re.search(r"\bn\b", complaint):
        return replace(dialect, many=False) if ask.sampling.temperature else replace(dialect, many_greedy=False)
    return None


def no_room(complaint: str) -> bool:
    """Whether a server complains that a prompt and its `max_tokens` (or the prompt alone) exceed the context."""
    return bool(_NO_ROOM.search(complaint))


def samples(answer: Json, ask: Ask, dialect: Dialect) -> list[Sample]:
    """Read the choices, at most `ask.n`, at least one; tokens sum to what the server counted. Raises ValueError."""
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        raise ValueError("an answer without choices")
    exact = bool(ask.prefix) and dialect.continuing == "exact"
    read = [_choice(choice, exact) for choice in choices[: ask.n]]
    lengths = [len(text) + len(thought) for text, thought, _ in read]
    counted = _count(answer, "completion_tokens")
    shares = [_estimate(length) for length in lengths] if counted is None else share(counted, lengths)
    shown = ask.prefix if dialect.continuing == "shown" else ""
    return [
        Sample(unrepeated(shown, text) if shown else text, finish, tokens)
        for (text, _, finish), tokens in zip(read, shares, strict=True)
    ]


def prompt_tokens(answer: Json, ask: Ask) -> int:
    """Return the prompt's length; estimated where the server does not tell."""
    counted = _count(answer, "prompt_tokens")
    length = sum(len(message.content) for message in ask.messages) + len(ask.prefix)
    return _estimate(length) if counted is None else counted


def rated(answer: Json) -> list[list[float]]:
    """Return the numbers of a `/pooling` answer, one list a mark. Raises ValueError for anything else."""
    try:
        values = answer["data"][0]["data"]
        found = [[float(one) for one in (value if isinstance(value, list) else [value])] for value in values]
    except (KeyError, IndexError, TypeError, ValueError):
        raise ValueError("no list of numbers for each step in data[0].data") from None
    if not all(found) or not all(isfinite(one) for value in found for one in value):
        raise ValueError("a step without a number")
    return found


def scores(answer: Json, before: Json) -> Scores:
    """Read the log-probabilities of the tokens by which a prompt is longer than the one before. Raises ValueError."""
    listed, start = answer["prompt_logprobs"], _count(before, "prompt_tokens")
    if not isinstance(listed, list) or start is None:
        raise ValueError("prompt_logprobs is no list, or the prompt's tokens were not counted")
    told = [next(iter(token.values()), None) if isinstance(token, dict) else None for token in listed[start:]]
    if not all(isinstance(token, dict) and isinstance(token.get("logprob"), int | float) for token in told):
        raise ValueError("a token without a logprob")
    tokens = [token for token in told if token]
    return Scores(tuple(str(t.get("decoded_token")) for t in tokens), tuple(float(t["logprob"]) for t in tokens))


def owners(listed: object) -> dict[str, str]:
    """Return who owns each model of a server's list; empty where it is no list of models."""
    models = listed.get("data") if isinstance(listed, dict) else None
    named = [model for model in models if isinstance(model, dict)] if isinstance(models, list) else []
    return {str(model.get("id")): str(model.get("owned_by")) for model in named}


def share(total: int, weights: Sequence[int]) -> list[int]:
    """Split a sum by weight into whole numbers that add up to it."""
    weights = weights if sum(weights) else [1] * len(weights)
    ends = [total * sum(weights[: place + 1]) // sum(weights) for place in range(len(weights))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def unrepeated(prefix: str, text: str) -> str:
    """Return a continuation without what it repeats of the prefix: all of it, or its last paragraphs."""
    known, said = prefix.strip(), text.lstrip()
    starts = [0, *(mark.end() for mark in re.finditer(r"\n\s*", known))][-_PARAGRAPHS:]
    for start in sorted({0, *starts}):
        length = len(known) - start
        if (start == 0 or length >= _OVERLAP) and length <= len(said) and said.startswith(known[start:]):
            return said[length:].lstrip() if prefix[-1:].isspace() else said[length:]
    return text


def _messages(ask: Ask, dialect: Dialect) -> list[dict[str, str]]:
    messages = [{"role": message.role, "content": message.content} for message in ask.messages]
    if ask.prefix:
        messages.append({"role": "assistant", "content": ask.prefix})
        if dialect.continuing == "shown":
            messages.append({"role": "user", "content": CONTINUE})
    return messages


def _text(ask: Ask) -> str:
    """Return an ask as a text to be continued, for models that know no roles."""
    return "\n\n".join(message.content for message in ask.messages) + "\n\n" + ask.prefix


def _choice(choice: object, exact: bool) -> tuple[str, str, Finish]:
    """Return a choice's text, its reasoning apart, and how it ended.

    A server with a reasoning parser takes a text in which no thinking ends for thoughts alone, so also one that goes on
    with a prefix: behind that, it is the continuation.
    """
    message = choice.get("message", {"content": choice.get("text")}) if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise ValueError("a choice without a message")  # noqa: TRY004 - what is wrong is the server's answer
    ended = choice.get("finish_reason")
    if ended in _AGAIN:
        raise ValueError(f"the server broke off ({ended})")
    text, thought = _parts(message.get("content"))
    thought += _parts(message.get("reasoning_content") or message.get("reasoning"))[0]
    if exact and not text:
        text, thought = thought, ""
    finish = _FINISH.get(ended, "error") if isinstance(ended, str) and not message.get("refusal") else "error"
    return text, thought, finish


def _parts(content: object) -> tuple[str, str]:
    """Return what is said and what is only thought in a content, be it a string or a list of typed parts."""
    if content is None:
        return "", ""
    if isinstance(content, str):
        return content.encode(errors="replace").decode(), ""
    if not isinstance(content, list):
        raise ValueError("a content that is no text")  # noqa: TRY004 - what is wrong is the server's answer
    parts = [part for part in content if isinstance(part, dict)]
    said = [_parts(part["text"])[0] for part in parts if isinstance(part.get("text"), str)]
    return "".join(said), "".join(str(part["thinking"]) for part in parts if "thinking" in part)


def _count(answer: Json, name: str) -> int | None:
    """Return a number of the answer's usage: whole, not negative, of a size that can be true; else None."""
    usage = answer.get("usage")
    number = usage.get(name) if isinstance(usage, dict) else None
    return number if type(number) is int and 0 <= number < 2**31 else None


def _estimate(characters: int) -> int:
    return -(-characters // 4)
