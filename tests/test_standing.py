"""What `status` says of a run that is finished, going on, left or killed."""

import json
import os
import socket
import time
from pathlib import Path

import pytest

from bench.finished import finished
from data import places, shards
from pipeline import logs, progress, run, standing
from pipeline.run import Run
from pipeline.standing import duration


@pytest.fixture
def made(tmp_path: Path) -> Run:
    return finished(tmp_path / "run", "scripted", "data.limit=4")


def told(made: Run) -> list[str]:
    return list(standing.lines(made))


def left(made: Run, *, ago: float = 0.0, done: int = 4) -> None:
    at = time.time() - ago
    note = {"total": 8, "before": 1, "finished": done - 1, "started": at - 6, "at": at, "cost": 0, "health": {}}
    (made.place / progress.FILE).write(json.dumps(note | {"engines": {}}).encode())


def unfinished(made: Run) -> None:
    known = run.told(made.place)
    del known["finished"]
    (made.place / run.FILE).write(json.dumps(known).encode())


def log(made: Run, *messages: str) -> None:
    lines = [json.dumps({"source": "driver", "message": message}) for message in messages]
    (made.place / logs.FILE).write(
        "\n".join([*lines, json.dumps({"source": "worker 0", "message": "x"}), "torn {"]).encode()
    )


def test_a_finished_run_says_so_and_what_can_be_done_with_it(made: Run) -> None:
    assert told(made)[0] == f"{made.place}   finished"
    left(made, ago=7200, done=8)
    assert told(made)[0] == f"{made.place}   finished 2 h 0 min ago: 8 of 8 solutions (100%)"
    assert told(made)[1].startswith("solutions 8   kept ")
    assert told(made)[-1].startswith("next: `python -m pipeline show")


def test_a_run_whose_driver_is_there_is_going_on(made: Run) -> None:
    unfinished(made)
    left(made, ago=300)  # an engine may take its time
    with shards.lock(made.place):
        first, second, *_ = told(made)
    assert first == f"{made.place}   going on (process {os.getpid()} on {socket.gethostname()})"
    assert second == "4 of 8 solutions (50%), 0.5 a second, about 8 s to go; newest sign of life 5 min ago"


def test_a_run_whose_driver_was_killed_says_how_to_go_on(made: Run) -> None:
    unfinished(made)
    left(made, ago=3)
    log(made, "ended: RunError: full", "8 solutions in 2 shards are owed")
    (Path(made.place.path) / "driver.lock").write_text(f"process 999999999 on {socket.gethostname()} since 2020\n")
    lines = told(made)
    assert lines[0] == f"{made.place}   not finished, and nobody works on it"
    assert lines[1] == "4 of 8 solutions (50%), 0.5 a second; newest sign of life 3 s ago"
    assert not [line for line in lines if line.startswith("last word")]  # that of an earlier driver
    assert lines[-1] == "next: the same `synth` command goes on where it stopped"


def test_a_process_that_came_later_under_the_same_number_is_no_driver(made: Run) -> None:
    unfinished(made)
    lock = Path(made.place.path) / "driver.lock"
    lock.write_text(f"process {os.getpid()} on {socket.gethostname()} since 2020\n")
    os.utime(lock, (1e9, 1e9))
    assert "nobody works on it" in told(made)[0]


def test_the_last_word_of_a_driver_is_passed_on_harmlessly(made: Run) -> None:
    unfinished(made)
    log(made, "stopping: nothing new is asked", "ended: Unavailable: \x1b[2J\n gone " + "x" * 1000)
    (word,) = [line for line in told(made) if line.startswith("last word")]
    assert word.startswith("last word of its driver: ended: Unavailable: \\x1b[2J gone xxx")
    assert len(word) < 400


@pytest.mark.parametrize("ago", [1.0, 500.0])
def test_elsewhere_a_recent_sign_of_life_counts(made: Run, ago: float) -> None:
    unfinished(made)
    left(made, ago=ago)
    (Path(made.place.path) / "driver.lock").write_text("process 1 on another-host since 2020\n")
    assert ("going on (sign of life 1 s ago)" in told(made)[0]) == (ago < 60)


def test_a_run_that_only_began_is_told_of(tmp_path: Path) -> None:
    made = finished(tmp_path / "run", "scripted", "data.limit=1")
    unfinished(made)
    (made.place / shards.MANIFEST).delete()
    assert told(run.find(str(tmp_path / "run")))[1] == "solutions 0   kept 0 (0.0%)"
    assert standing.driver(places.at(tmp_path / "nothing"), None) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (99, "99 s"),
        (100, "2 min"),
        (5900, "98 min"),
        (7200, "2 h 0 min"),
        (12_345, "3 h 26 min"),
        (4e5, "4 days 15 h"),
    ],
)
def test_times_are_said_as_one_would(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_the_costs_of_engines_stand_below_one_another() -> None:
    lines = progress.columns([("engine", "asked"), ("a", "1,000"), ("longer name", "7")])
    assert lines == ["engine       asked", "a            1,000", "longer name      7"]
