"""What goes wrong with an endpoint in a bench: each fault at 30 % of requests, or the server dead for a while."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.endpoint import Body, Fault, Server, served

SHARE, LATENCY, IN_FLIGHT = 0.3, 0.02, 64  # of requests that fail; seconds; requests at once
DEADLINE = 3  # seconds a request is waited for
Choice = dict[str, Any]


def _choices(change: Callable[[list[Choice]], list[Choice]]) -> Fault:
    return Fault(change=lambda answer: answer | {"choices": change(answer["choices"])})


def _filtered(choice: Choice) -> Choice:
    """Stop half-way, as a filter does."""
    text = choice["message"]["content"]
    message = choice["message"] | {"content": text[: len(text) // 2]}
    return choice | {"finish_reason": "content_filter", "message": message}


FAULTS: dict[str, Fault] = {
    "429": Fault(429),
    "429 with Retry-After": Fault(429, headers={"retry-after": "0.1"}),
    "500": Fault(500),
    "503": Fault(503),
    "timeout": Fault(hang=30.0),
    "connection reset": Fault(reset=True),
    "half a response": Fault(cut=300),
    "invalid JSON": Fault(raw=b'{"choices": [{"mess'),
    "empty choices": _choices(lambda _: []),
    "wrong n": _choices(lambda choices: choices[:1]),
    "content filter": _choices(lambda choices: list(map(_filtered, choices))),
}


@dataclass(frozen=True, slots=True)
class Case:
    """A server with a fault, or one that is dead for some seconds half-way."""

    name: str
    fault: Fault | None = None
    dead: float = 0.0

    @contextmanager
    def served(self, needed: int, port: int = 0) -> Iterator[Server]:
        """Serve those who need so many requests where nothing goes wrong."""
        outage = (needed // 2, self.dead) if self.dead else None
        with served(self.fails, latency=LATENCY, port=port, outage=outage) as server:
            yield server

    def fails(self, number: int, body: Body) -> Fault | None:
        """Fail a fixed share of requests, drawn by number."""
        del body
        return self.fault if random.Random(number).random() < SHARE else None


NONE = Case("none")


def cases(dead: float) -> list[Case]:
    """Return everything that goes wrong; `dead` in seconds."""
    return [*(Case(name, fault) for name, fault in FAULTS.items()), Case(f"dead for {dead:g} s", dead=dead)]
