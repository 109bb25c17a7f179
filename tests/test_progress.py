"""What a run cost over all its drivers, and where a budget stops it."""

import json
import os
import sys
import time
from pathlib import Path

import pytest

from data import places
from data.errors import RunError
from data.places import Place
from pipeline import progress
from pipeline.machine_settings import Budget
from pipeline.memory import Paid
from pipeline.progress import Progress
from pipeline.run import PILOT
from pipeline.watch import Stall

STATE = {"in_flight": 3, "waiting": 0, "limit": 16, "sent": 9, "retried": 1, "down": False, "errors": {"HTTP 503": 1}}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return places.at(tmp_path)


def one_driver(place: Place, paid: Paid, budget: Budget) -> str | None:
    with progress.display(place, 10, 0, budget) as shown:
        if not shown.over:
            shown.show(Progress(2, 1, {"a": paid}), {"a": STATE})
    return shown.over


def test_what_all_drivers_paid_counts_against_the_budget(place: Place) -> None:
    budget = Budget(tokens=250)
    assert one_driver(place, Paid(4, 1, 100, 1000), budget) is None
    assert one_driver(place, Paid(4, 1, 100, 1000), budget) is None
    assert one_driver(place, Paid(4, 1, 100, 1000), budget) == "budget.tokens=250 is used up (300)"
    assert one_driver(place, Paid(4, 1, 100, 1000), budget) is not None  # nothing more is asked
    assert one_driver(place, Paid(4, 1, 100, 1000), Budget(tokens=1000)) is None
    assert progress.spent(place)[1].split() == ["a", "16", "4", "400", "4,000"]


def test_what_the_pilot_paid_counts_against_the_budget(place: Place) -> None:
    budget = Budget(tokens=250)
    assert one_driver(place / PILOT, Paid(4, 1, 200, 1000), budget) is None
    assert one_driver(place, Paid(4, 1, 40, 1000), budget) is None
    assert one_driver(place, Paid(4, 1, 20, 1000), budget) == "budget.tokens=250 is used up (260)"
    assert progress.spent(place)[1].split() == ["a", "8", "2", "60", "2,000"]


def test_money_is_counted_by_engine_and_hours_by_the_clock() -> None:
    budget = Budget(money=3.0, hours=1, prices={"a": (1.0, 10.0), "b": (100.0, 100.0)})
    paid = {"a": Paid(0, 0, 200_000, 1_000_000), "free": Paid(0, 0, 10**9, 10**9)}
    assert budget.cost(paid) == pytest.approx(3.0)
    assert budget.over(paid, 0) == "budget.money=3 is used up (3)"
    assert budget.over({}, 3599) is None
    assert budget.over({}, 3600) == "budget.hours=1 is used up (1)"
    assert Budget().over(paid, 10**9) is None


@pytest.mark.parametrize("left", [b"", b"{", b"[]", b"null", b'{"engines": {"a": {"asked": 1}}}', b'{"engines": 3}'])
def test_a_torn_or_older_note_is_passed_over(place: Place, left: bytes) -> None:
    (place / progress.FILE).write(left)
    (place / progress.METRICS).write(left + b"\n")
    assert progress.left(place) is None
    assert one_driver(place, Paid(1, 0, 5, 5), Budget(tokens=10)) is None
    assert json.loads((place / progress.FILE).read())["asked"] == 1


def test_a_clock_that_is_set_back_neither_stops_notes_nor_budgets(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1e9)
    with progress.display(place, 10, 0, Budget(hours=1)) as shown:
        shown.show(Progress(1, 1))
        monkeypatch.setattr(time, "time", lambda: 0.0)
        shown.show(Progress(7, 5))
        assert json.loads((place / progress.FILE).read())["finished"] == 7
        assert shown.over is None
    left = progress.left(place)
    assert left is not None
    assert (left.done, left.total, left.ago) == (7, 10, 0)
    monkeypatch.setattr(time, "monotonic", lambda now=time.monotonic: now() + 7200)
    shown.show(Progress(8, 6))
    assert str(shown.over).startswith("budget.hours=1 is used up (2")


def test_every_driver_leaves_lines_over_time(place: Place) -> None:
    for _ in range(3):
        one_driver(place, Paid(4, 1, 100, 1000), Budget())
    lines = [json.loads(line) for line in (place / progress.METRICS).read().splitlines()]
    assert len({line["started"] for line in lines}) == 3
    assert {line["health"]["a"]["limit"] for line in lines} == {16}


def test_a_run_that_does_not_move_ends_however_its_loops_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    stall = Stall(60)
    stall.look(Progress(2, 1, {"a": Paid(4)}, held=3, lag=0.01), 3)
    now += 50
    stall.look(Progress(3, 1, {"a": Paid(4)}, held=2, lag=0.02), 2)
    now += 50
    stall.look(Progress(3, 1, {"a": Paid(4)}, held=2, lag=0.03), 2)
    now += 50
    with pytest.raises(RunError, match="nothing has moved for 60 s, with 2 solutions in hand"):
        stall.look(Progress(3, 1, {"a": Paid(4)}, held=2, lag=0.04), 2)


def test_a_run_goes_on_where_nobody_reads_its_bar_any_more(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    end, pipe = os.pipe()
    os.close(end)
    with monkeypatch.context() as patched, open(pipe, "w", buffering=1, encoding="utf-8") as broken:  # noqa: PTH123 - no path
        patched.setattr(sys, "stderr", broken)
        assert one_driver(place, Paid(4, 1, 100, 1000), Budget()) is None
        os.dup2(os.open(os.devnull, os.O_WRONLY), pipe)  # else what is buffered would break at the end
    assert json.loads((place / progress.FILE).read())["finished"] == 2
