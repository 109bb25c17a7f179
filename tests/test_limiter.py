import asyncio
import logging
import pickle
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TypeVar

import pytest

from bench.virtual import run
from data.asks import Ask, Message, Reply, Sample
from data.errors import Refused, SettingError, Unavailable
from pipeline import limiter, pace
from pipeline.limiter import Counts, Failure, GaveUp, Kind, Limited, Limits
from pipeline.pace import Pace
from stages.engine import Engine, Scores

T = TypeVar("T")


def now() -> float:
    return asyncio.get_running_loop().time()


Answer = Callable[[int, Ask], Awaitable[None]]


async def at_once(_number: int, _ask: Ask) -> None:
    """Answer without a fault."""


@dataclass
class Fake:
    """An endpoint that does what `answer(number of the request, ask)` does, which may raise and wait."""

    answer: Answer = at_once
    name: str = "endpoint"
    model: str = "fake"
    most: int | None = None
    asks: list[Ask] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    flying: int = 0
    peak: int = 0

    async def connect(self) -> None:
        await self.reply(ask(-1))

    async def reply(self, ask: Ask) -> Reply:
        self.asks.append(ask)
        self.times.append(now())
        self.flying += 1
        self.peak = max(self.peak, self.flying)
        try:
            await self.answer(len(self.asks) - 1, ask)
        finally:
            self.flying -= 1
        return Reply(tuple(Sample(str(i), "stop", 10) for i in range(ask.first, ask.first + ask.n)), 5)

    async def score(self, ask: Ask, text: str) -> Scores:
        await self.reply(ask)
        return Scores((text,), (0.0,))


def ask(number: int, n: int = 1) -> Ask:
    return Ask((Message("user", str(number)),), n=n)


def failing(*fates: Exception | None, seconds: float = 0.0) -> Answer:
    """Fail as told, request by request; None, and whatever comes later, is answered."""

    async def answer(number: int, _: Ask) -> None:
        await asyncio.sleep(seconds)
        if number < len(fates) and (fate := fates[number]) is not None:
            raise fate

    return answer


def lasting(seconds: float) -> Answer:
    async def answer(_number: int, _ask: Ask) -> None:
        await asyncio.sleep(seconds)

    return answer


def dead_until(end: float, kind: Kind = "absent") -> Answer:
    async def answer(_number: int, _ask: Ask) -> None:
        await asyncio.sleep(0.01)
        if now() < end:
            raise Failure("connection refused", kind)

    return answer


async def all_of(limited: Limited, count: int) -> list[Reply]:
    return list(await asyncio.gather(*(limited.reply(ask(i)) for i in range(count))))


def test_it_is_an_engine_with_the_identity_of_its_endpoint() -> None:
    engine: Engine = Limited(Fake())
    assert engine.model == "fake"
    assert run(engine.score(ask(0), "x")) == Scores(("x",), (0.0,))


def test_passing_failures_are_asked_again_until_answered() -> None:
    fates = (Failure("slow down", "busy"), Failure("reset", "absent"), Failure("not json"), Unavailable("later"))
    fake = Fake(failing(*fates))
    limited = Limited(fake)
    assert [s.text for s in run(limited.reply(ask(0))).samples] == ["0"]
    counts = limited.counts()
    assert (counts.sent, counts.retried, counts.in_flight, counts.waiting) == (5, 4, 0, 0)
    assert counts.errors == {"busy": 1, "absent": 1, "broken": 2}


@pytest.mark.parametrize("error", [Refused("too long"), SettingError("wrong key"), ValueError("a bug")])
def test_what_will_not_pass_is_raised_at_once(error: Exception) -> None:
    fake = Fake(failing(error))
    limited = Limited(fake)
    with pytest.raises(type(error), match=str(error)):
        run(limited.reply(ask(0)))
    assert len(fake.asks) == 1
    assert limited.counts().in_flight == 0


def test_a_request_that_hangs_is_called_off_and_sent_again() -> None:
    async def hang_once(number: int, _: Ask) -> None:
        await asyncio.sleep(10_000 if number == 0 else 1)

    fake = Fake(hang_once)
    limited = Limited(fake, Limits(deadline=60))

    async def main() -> float:
        await limited.reply(ask(0))
        return now()

    assert 61 <= run(main()) <= 62
    assert fake.flying == 0
    assert limited.counts().errors == {"timeout": 1}


def test_never_more_in_flight_than_the_setting() -> None:
    fake = Fake(lasting(1))
    run(all_of(Limited(fake, Limits(most=7)), 100))
    assert fake.peak == 7
    alone = Fake(lasting(1))
    run(all_of(Limited(alone, Limits(most=1)), 10))
    assert alone.peak == 1


def test_more_in_flight_while_that_brings_more() -> None:
    """An endpoint that takes any number at the same speed is soon asked as much as the setting allows."""
    fake = Fake(lasting(1))
    run(all_of(Limited(fake, Limits(most=500)), 5000))
    assert fake.peak == 500


def test_no_more_in_flight_where_that_only_makes_them_wait() -> None:
    """An endpoint that works on 32 at a time is not given thousands."""
    work = asyncio.Semaphore(32)

    async def answer(_number: int, _ask: Ask) -> None:
        async with work:
            await asyncio.sleep(1)

    fake = Fake(answer)
    limited = Limited(fake)

    async def main() -> float:
        await all_of(limited, 6000)
        return now()

    assert run(main()) < 6000 / 32 * 1.1
    assert 32 <= limited.counts().limit <= 128
    assert fake.peak <= 512


def test_too_many_requests_make_fewer_and_no_slot_is_kept() -> None:
    """A server that turns away all above ten: the limit settles near ten, and everything is answered."""
    fake = Fake()

    async def answer(_number: int, _ask: Ask) -> None:
        if fake.flying > 10:
            raise Failure("too many", "busy")
        await asyncio.sleep(1)

    fake.answer = answer
    limited = Limited(fake)

    async def main() -> float:
        assert len(await all_of(limited, 1000)) == 1000
        return now()

    assert run(main()) < 1000 / 10 * 2
    assert limited.counts().limit <= 14
    assert limited.counts().errors["busy"] < 400


def test_a_slot_is_free_while_its_request_backs_off() -> None:
    order: list[str] = []

    async def answer(number: int, asked: Ask) -> None:
        order.append(asked.messages[0].content)
        if number == 0:
            raise Failure("broken")
        await asyncio.sleep(0.001)

    async def main() -> None:
        limited = Limited(Fake(answer), Limits(most=1))
        await all_of(limited, 3)

    random.seed(3)  # the first back-off is long enough for others to go first
    run(main())
    assert order == ["0", "1", "2", "0"]


def test_a_request_that_comes_back_goes_before_those_that_came_after_it() -> None:
    order: list[str] = []

    async def answer(number: int, asked: Ask) -> None:
        order.append(asked.messages[0].content)
        await asyncio.sleep(1)
        if number == 0:
            raise Failure("broken")

    async def main() -> None:
        await all_of(Limited(Fake(answer), Limits(most=1)), 6)

    run(main())
    assert order[:2] == ["0", "1"]
    assert order.index("0", 1) <= 3
    assert sorted(order) == ["0", "0", "1", "2", "3", "4", "5"]


def test_those_who_wait_are_served_in_order_of_arrival() -> None:
    fake = Fake(lasting(1))
    run(all_of(Limited(fake, Limits(most=3)), 50))
    assert [int(one.messages[0].content) for one in fake.asks] == list(range(50))


def test_retry_after_silences_all() -> None:
    fake = Fake(failing(Failure("wait", "busy", retry_after=30), seconds=0.5))

    async def main() -> None:
        limited = Limited(fake, Limits(most=1))
        await all_of(limited, 4)

    run(main())
    assert fake.times[0] == 0
    assert min(fake.times[1:]) >= 30.5


def test_a_longer_silence_is_not_cut_short_by_a_shorter_one() -> None:
    fake = Fake(failing(Failure("wait", "busy", retry_after=50), Failure("wait", "busy", retry_after=2)))
    run(all_of(Limited(fake), 2))
    assert min(fake.times[2:]) >= 50


def test_a_silence_longer_than_patience_ends_at_once() -> None:
    fake = Fake(failing(Failure("quota", "busy", retry_after=86_400)))
    with pytest.raises(GaveUp, match=r"asks for 86400 s more, longer than 3600 s: quota"):
        run(Limited(fake).reply(ask(0)))
    assert fake.times == [0]


def test_a_dead_endpoint_parks_the_work_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    fake = Fake(dead_until(600))
    limited = Limited(fake)

    async def main() -> float:
        assert len(await all_of(limited, 300)) == 300
        return now()

    with caplog.at_level(logging.WARNING):
        assert 600 < run(main()) < 670
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert told[0] == "endpoint is down (connection refused): its work waits for it, up to 3600 s"
    assert told[1].startswith("endpoint answers again after")
    assert limited.counts().sent < 450  # 300 answers, the first rounds of failures, and a look a minute
    assert limited.counts().down_since is None


def test_a_minute_of_death_costs_about_a_minute() -> None:
    for seed in range(5):
        random.seed(seed)

        async def main() -> float:
            await all_of(Limited(Fake(dead_until(60))), 50)
            return now()

        assert 60 < run(main()) < 95


def test_one_at_a_time_looks_whether_a_dead_endpoint_is_back() -> None:
    fake = Fake(dead_until(1000))
    run(all_of(Limited(fake), 100))
    looks = [time for time in fake.times if 20 < time < 1000]
    gaps = [after - before for before, after in pairwise(looks)]
    assert min(gaps) > 1
    assert all(before <= after + 1e-6 for before, after in pairwise(gaps))
    assert max(gaps) < 61


def test_patience_ends_for_all_at_the_same_time() -> None:
    fake = Fake(dead_until(1e9))
    limited = Limited(fake, Limits(patience=100))

    async def main() -> tuple[float, list[Reply | BaseException]]:
        ends = await asyncio.gather(*(limited.reply(ask(i)) for i in range(200)), return_exceptions=True)
        with pytest.raises(GaveUp):
            await limited.reply(ask(1000))
        return now(), ends

    ended, ends = run(main())
    assert 100 < ended < 165
    assert {type(end) for end in ends} == {GaveUp}
    assert "longer than 100 s: connection refused" in str(ends[0])
    assert limited.counts().in_flight == limited.counts().waiting == 0


def test_patience_counts_from_the_last_answer() -> None:
    """An endpoint that comes back now and then never exhausts it, and idle hours do not count."""

    async def answer(_number: int, _ask: Ask) -> None:
        if int(now() / 50) % 2:
            raise Failure("gone", "absent")

    async def main() -> None:
        limited = Limited(Fake(answer), Limits(patience=120))
        for number in range(20):
            await limited.reply(ask(number))
            await asyncio.sleep(49)
        await asyncio.sleep(100_000 - now())
        await limited.reply(ask(99))

    run(main())


def test_an_ask_that_fails_while_others_are_answered_is_refused() -> None:
    """One bad ask never ends a run, nor holds it up for ever."""

    async def answer(_number: int, asked: Ask) -> None:
        await asyncio.sleep(0.5)
        if asked.messages[0].content == "7":
            raise Failure("HTTP 500: cannot do this one")

    async def main() -> list[Reply | BaseException]:
        limited = Limited(Fake(answer), Limits(most=4))
        return list(await asyncio.gather(*(limited.reply(ask(i)) for i in range(5000)), return_exceptions=True))

    ends = run(main())
    assert [index for index, end in enumerate(ends) if not isinstance(end, Reply)] == [7]
    assert isinstance(ends[7], Refused)
    assert "cannot do this one" in str(ends[7])


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_no_ask_is_lost_to_an_endpoint_that_fails_at_random(share: float) -> None:
    rng = random.Random(5)
    kinds: list[Kind] = ["busy", "absent", "broken"]

    async def answer(_number: int, _ask: Ask) -> None:
        await asyncio.sleep(rng.random())
        if rng.random() < share:
            raise Failure("trouble", rng.choice(kinds))

    replies = run(all_of(Limited(Fake(answer)), 1000))
    assert len(replies) == 1000


def test_a_refusal_is_a_sign_of_life() -> None:
    async def answer(number: int, _ask: Ask) -> None:
        raise Refused("no") if number % 5 == 4 else Failure("down", "absent")

    async def main() -> None:
        limited = Limited(Fake(answer), Limits(patience=100))
        for number in range(100):
            with pytest.raises(Refused):
                await limited.reply(ask(number))

    run(main())


def test_being_called_off_while_waiting_or_flying_gives_the_place_back() -> None:
    fake = Fake(lasting(1))
    limited = Limited(fake, Limits(most=2))

    async def main() -> None:
        tasks = [asyncio.create_task(limited.reply(ask(i))) for i in range(6)]
        await asyncio.sleep(0.5)
        tasks[0].cancel()  # flying
        tasks[3].cancel()  # waiting
        await asyncio.sleep(0)
        tasks[2].cancel()  # let in a moment ago
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(end, Reply) for end in ends] == [False, True, False, False, True, True]
        assert (limited.counts().in_flight, limited.counts().waiting) == (0, 0)
        assert len(await all_of(limited, 4)) == 4

    run(main())


def test_an_endpoint_that_gives_one_sample_a_request_is_asked_for_each() -> None:
    fake = Fake(lasting(1), most=1)
    limited = Limited(fake)

    async def main() -> Reply:
        reply = await limited.reply(replace(ask(0, n=8), first=3))
        assert now() == 1
        return reply

    reply = run(main())
    assert [sample.text for sample in reply.samples] == [str(i) for i in range(3, 11)]
    assert reply.prompt_tokens == 5
    assert sorted((one.first, one.n) for one in fake.asks) == [(i, 1) for i in range(3, 11)]


def test_a_sample_that_is_refused_costs_none_of_the_others() -> None:
    fake = Fake(failing(None, None, Refused("no"), seconds=1), most=1)
    reply = run(Limited(fake).reply(ask(0, n=8)))
    assert [sample.finish for sample in reply.samples] == ["stop", "stop", "error", *["stop"] * 5]
    assert reply.samples[2].text == ""
    assert reply.prompt_tokens == 5


def test_an_ask_all_of_whose_samples_are_refused_is_refused() -> None:
    fake = Fake(failing(*[Refused("no")] * 8), most=1)
    with pytest.raises(Refused, match="no"):
        run(Limited(fake).reply(ask(0, n=8)))
    assert fake.flying == 0


def test_connecting_is_patient_too() -> None:
    async def main() -> float:
        await Limited(Fake(dead_until(30))).connect()
        return now()

    assert run(main()) > 30


def test_counts_are_a_copy() -> None:
    limited = Limited(Fake())
    counts = limited.counts()
    counts.errors["x"] += 1
    counts.sent = 99
    assert limited.counts() == Counts(limit=pace.START)


def test_failures_travel_between_processes() -> None:
    failure = pickle.loads(pickle.dumps(Failure("x", "busy", 3.0)))  # noqa: S301 - as Ray does
    assert (str(failure), failure.kind, failure.retry_after) == ("x", "busy", 3.0)
    assert isinstance(failure, Unavailable)
    assert isinstance(pickle.loads(pickle.dumps(GaveUp("y"))), Unavailable)  # noqa: S301 - as Ray does


def test_the_pace_stays_between_one_and_the_most() -> None:
    rng = random.Random(1)
    one = Pace(50)
    time = 0.0
    for _ in range(20_000):
        time += rng.random() * 0.1
        if rng.random() < 0.05:
            one.cut(time, time - rng.random())
        else:
            one.answered(time, rng.randrange(1000), sent=time - rng.random(), full=rng.random() < 0.9)
        assert 1 <= one.limit <= 50
    assert Pace(1).limit == 1


def test_a_slow_start_is_made_up_for_where_all_answers_take_equally_long() -> None:
    """Answers in bursts; the first rounds are slow, as where connections are opened, and seem to gain nothing."""
    one, now = Pace(512), 0.0
    for burst in range(60):
        sent, now = now, now + 0.1 * (1 + 8 * (2 <= burst < 6))
        for number in range(one.limit):
            one.answered(now + number * 1e-6, 10, sent=sent, full=True)
    assert one.limit == 512


def test_a_burst_of_refusals_cuts_the_pace_once() -> None:
    one = Pace(2048)
    for moment in range(10):
        one.cut(100.0 + moment, sent=99.0)
    assert one.limit == int(pace.START * pace.CUT)
    one.cut(120.0, sent=110.0)
    assert one.limit == int(pace.START * pace.CUT**2)


def test_an_endpoint_that_is_hardly_used_says_nothing_about_its_pace() -> None:
    one = Pace(2048)
    for moment in range(1000):
        one.answered(float(moment), 10, sent=moment - 1.0, full=False)
    assert one.limit == pace.START


def test_the_settings_of_patience_are_sane() -> None:
    assert Limits(2048, 900.0, 3600.0) == limiter.DEFAULT
    assert limiter.PROBE[1] <= 60
