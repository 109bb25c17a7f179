"""An event loop whose clock leaps: where nothing is ready, the next timer is due at once. Hours take no time."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class Leap(selectors.SelectSelector):
    """Where nothing is ready, time leaps to the next timer instead of passing."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """Look what is ready, without waiting."""
        if timeout is None:
            raise AssertionError("everybody waits, and no timer is set")
        self.now += max(0.0, timeout)
        return super().select(0)


class AtOnce(ThreadPoolExecutor):
    """Does in the caller's thread what threads would do: the clock must not leap meanwhile."""

    def submit(self, task: Callable[..., T], /, *args: Any, **named: Any) -> Future[T]:
        """Do it, and return what came of it."""
        done: Future[T] = Future()
        try:
            done.set_result(task(*args, **named))
        except Exception as error:  # noqa: BLE001 - as a thread would: whoever waits gets it
            done.set_exception(error)
        return done


class Loop(asyncio.SelectorEventLoop):
    """The loop; `time()` is in seconds since it began."""

    def __init__(self) -> None:
        self._leap = Leap()
        super().__init__(self._leap)
        self.set_default_executor(AtOnce(1))

    def time(self) -> float:
        """Return the time as the timers see it."""
        return self._leap.now


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a clock that leaps."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(main)
