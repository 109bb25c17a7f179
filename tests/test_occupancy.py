"""How long an engine had nothing to do, and how late a loop is."""

import asyncio
import time

from bench.virtual import run
from pipeline.occupancy import BEAT, Lag, Occupancy


def test_time_without_an_ask_counts_from_the_first_one_on() -> None:
    now = [100.0]
    seen = Occupancy(lambda: now[0])
    assert (seen.held, seen.idle) == (0, 0.0)
    with seen.one():
        now[0] += 6
        with seen.one():
            assert (seen.held, seen.idle) == (2, 0.0)
    now[0] += 2
    assert seen.idle == 2 / 8
    with seen.one():
        now[0] += 2
        assert seen.idle == 2 / 10


def test_a_loop_that_is_held_up_is_late_and_one_that_is_not_is_not() -> None:
    async def main(held_up: float) -> float:
        lag = Lag()
        watching = asyncio.create_task(lag.watch())
        for _ in range(3):
            await asyncio.sleep(2 * BEAT)
            time.sleep(held_up)  # noqa: ASYNC251 - what must not be done
            await asyncio.sleep(2 * BEAT)
        watching.cancel()
        return lag.p99

    assert Lag().p99 == 0.0
    assert asyncio.run(main(0.2)) > 0.1
    assert run(main(0)) == 0.0
