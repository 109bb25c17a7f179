"""Structured logs: kept in each process, fetched, written with the run's id."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from data import places
from data.errors import RunError
from pipeline import logs
from pipeline.logs import Log, Records


@pytest.fixture
def records() -> Iterator[Records]:
    kept = logs.keep("worker 3")
    yield kept
    kept.close()


def test_a_record_says_when_where_and_what(records: Records, tmp_path: Path) -> None:
    error = RunError("trouble")
    logging.getLogger("pipeline.worker").error("solution %s", "a/b/0", exc_info=error)
    log = Log(places.at(tmp_path), "run1", "driver1")
    log.add(records.take())
    (line,) = (tmp_path / logs.FILE).read_text().splitlines()
    told = json.loads(line)
    assert told["time"].endswith("+00:00")
    assert (told["run"], told["driver"], told["source"]) == ("run1", "driver1", "worker 3")
    assert (told["level"], told["logger"], told["message"]) == ("ERROR", "pipeline.worker", "solution a/b/0")
    assert "RunError: trouble" in told["error"]
    assert records.take() == []


def test_ours_are_kept_from_info_others_from_warning(records: Records, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("pipeline.worker", "stages", "httpx"):
        logging.getLogger(name).info("%s informs", name)
    logging.getLogger("httpx").warning("httpx warns")
    assert [one["message"] for one in records.take()] == ["pipeline.worker informs", "stages informs", "httpx warns"]
    assert "informs" not in capsys.readouterr().err  # the bar has the terminal


def test_too_many_records_are_counted_not_kept(records: Records) -> None:
    for number in range(logs.MOST + 7):
        logging.getLogger("pipeline").info("%d %s", number, "x" * 2 * logs.LONGEST)
    *kept, last = records.take()
    assert len(kept) == logs.MOST
    assert kept[0]["message"].startswith("7 ")
    assert max(len(one["message"]) for one in kept) == logs.LONGEST
    assert last["message"] == "7 records were dropped"


def test_a_record_that_is_no_text_does_not_break_whoever_logs(
    records: Records, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in ("three", 3):
        records.handle(logging.makeLogRecord({"msg": "%d items", "args": (number,)}))
    assert [one["message"] for one in records.take()] == ["3 items"]
    assert "Logging error" in capsys.readouterr().err


def test_a_log_that_cannot_be_written_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / logs.FILE).mkdir()
    log = Log(places.at(tmp_path), "run1", "driver1")
    log.add([{"message": "lost"}])
    assert "cannot be used" in caplog.text
    log.flush()
