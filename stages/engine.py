"""The one port to a model. Adapters live in `pipeline/engines`; stages and tests know only this protocol."""

from dataclasses import dataclass
from typing import Protocol

from data.asks import Ask, Reply


@dataclass(frozen=True, slots=True)
class Scores:
    """Log-probabilities (natural log) of a text's tokens given what precedes it; `tokens[i]` has `logprobs[i]`.

    The tokens join to the text, but for characters that several tokens share where an engine cannot tell them apart.
    """

    tokens: tuple[str, ...]
    logprobs: tuple[float, ...]
    prompt_tokens: int = 0


class Engine(Protocol):
    """A model that answers.

    `model` identifies it in the ledger: two engines with the same `model` are interchangeable.
    """

    @property
    def model(self) -> str:
        """Name and revision of the model, stable across runs."""
        ...

    async def reply(self, ask: Ask) -> Reply:
        """Return `ask.n` samples. Raises `Unavailable` (ask again) or `Refused` (never will); never a partial reply."""
        ...

    async def score(self, ask: Ask, text: str) -> Scores:
        """Score `text` as the assistant's continuation of `ask`, at temperature 1. Raises as `reply` does."""
        ...
