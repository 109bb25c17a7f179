"""Structured logs: each process of a run keeps what it logs until the driver fetches it and writes `log.jsonl`.

So the log has one writer, wherever the processes run, and lies with the data. What a process logged in its last seconds
before it was killed is on its stderr only, as everything from a warning upwards is.
"""

import json
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from data.errors import RunError
from data.places import Place

FILE = "log.jsonl"
MOST, LONGEST = 1000, 4000  # records a process keeps; characters of a message
SELDOM = 30.0  # seconds between writes to a store, where each puts the file anew
OURS = ("data", "judges", "stages", "pipeline")
Entry = dict[str, Any]


class Records(logging.Handler):
    """Keeps the newest records of this process, and counts those it had to drop, until `take`."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self._kept: deque[Entry] = deque(maxlen=MOST)
        self._dropped = 0
        self.console = logging.StreamHandler()
        self._always = {"source": source, "host": socket.gethostname(), "pid": os.getpid()}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record; one that cannot be made a text is told on stderr, as logging does, and breaks nothing."""
        try:
            told = self._told(record)
        except Exception:  # noqa: BLE001 - it is of whoever logs, who must not fail for it
            self.handleError(record)
            return
        self._dropped += len(self._kept) == MOST
        self._kept.append(told)

    def _told(self, record: logging.LogRecord) -> Entry:
        """Return a record as an entry; its time in UTC."""
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            **self._always,
            "logger": record.name,
            "message": record.getMessage()[:LONGEST],
        }
        if record.exc_info:
            told["error"] = logging.Formatter().formatException(record.exc_info)[-LONGEST:]
        return told

    def close(self) -> None:
        """Keep no more records, and write none to stderr."""
        for handler in (self, self.console):
            logging.getLogger().removeHandler(handler)
        super().close()

    def take(self) -> list[Entry]:
        """Return what was kept, and forget it."""
        taken, dropped = list(self._kept), self._dropped
        self._kept.clear()
        self._dropped = 0
        return [*taken, taken[-1] | {"message": f"{dropped} records were dropped"}] if dropped else taken


def keep(source: str) -> Records:
    """Begin to keep this process's records: ours from INFO, others' from WARNING, which also go to stderr."""
    records = Records(source)
    records.console.setLevel(logging.WARNING)
    for handler in (records, records.console):
        logging.getLogger().addHandler(handler)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.INFO)
    return records


class Log:
    """Writes the entries of all processes to `place`, each with the run's id and its driver's."""

    def __init__(self, place: Place, run: str, driver: str) -> None:
        self._file, self._marks = place / FILE, {"run": run, "driver": driver}
        self._waiting: list[Entry] = []
        self._written = 0.0

    def add(self, entries: Iterable[Entry]) -> None:
        """Write entries; to a store, with those that come soon after."""
        self._waiting += entries
        if time.monotonic() > self._written + (0 if self._file.local else SELDOM):
            self.flush()

    def flush(self) -> None:
        """Write what waits. A log that cannot be written ends no run."""
        if not self._waiting:
            return
        try:
            self._file.append(b"\n".join(json.dumps(self._marks | one).encode() for one in self._waiting))
        except RunError as error:
            logging.getLogger(__name__).warning("%s", error)
        self._waiting, self._written = [], time.monotonic()
