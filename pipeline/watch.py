"""Whether anybody is there, and whether anything moves: the two looks that keep a run from waiting for ever."""

import os
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from data.errors import RunError


def alone(address: str | None) -> bool:
    """Whether a run starts Ray on this machine, for itself: without an address it joins none but that of its job."""
    return address is None and "RAY_ADDRESS" not in os.environ


def knock(address: str) -> None:
    """Raise RunError where nobody listens at HOST:PORT: Ray itself would try for many minutes."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        if parts.hostname and parts.port:
            socket.create_connection((parts.hostname, parts.port), timeout=10).close()
    except (OSError, ValueError) as error:
        raise RunError(f"no Ray cluster answers at {address} ({error}): check cluster.address") from None


@dataclass(slots=True)
class Stall:
    """Ends a run in which nothing has moved for `seconds`."""

    seconds: float
    _moved: float = 0.0
    _seen: object = None

    def look(self, counts: object, held: int) -> None:
        """Take new counts, with `held` solutions in hand. Raises RunError."""
        if counts != self._seen:
            self._moved, self._seen = time.monotonic(), counts
        if time.monotonic() - self._moved > self.seconds:
            raise RunError(
                f"nothing has moved for {self.seconds:g} s, with {held} solutions in hand: look at the engines' logs; "
                "the same command goes on from here (cluster.stall sets how long to wait)"
            )
