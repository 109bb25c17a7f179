"""Local dataset files as rows: JSON Lines, JSON, CSV and Parquet, each row with its number in the file.

A file that is not what it says is an error that names the file and the line, before anything is paid for.
"""

import csv
import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from data.errors import SourceError

Numbered = tuple[int, Mapping[str, Any]]

SUFFIXES = (".jsonl", ".json", ".csv", ".parquet")


def rows(path: Path) -> Iterator[Numbered]:
    """Yield the rows of a file; a number is a line (JSON Lines, CSV) or a row (JSON, Parquet), from 1.

    Raises SourceError for a missing file, an unknown suffix, text that is not UTF-8 and what does not parse.
    """
    read = reader(path)
    check(path)
    try:
        yield from read(path)
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error}") from error


def check(path: Path) -> None:
    """Raise SourceError where there is no such file."""
    if not path.is_file():
        raise SourceError(f"{path}: there is no such file")


def reader(path: Path) -> Callable[[Path], Iterator[Numbered]]:
    """Return what reads a file of this suffix. Raises SourceError where nothing does."""
    readers = {".jsonl": _jsonl, ".json": _json, ".csv": _csv, ".parquet": _parquet}
    if path.suffix.lower() not in readers:
        raise SourceError(f"{path}: no reader for {path.suffix or 'a file without suffix'}; use {', '.join(SUFFIXES)}")
    return readers[path.suffix.lower()]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise SourceError(
                    f"{path}, line {number}: not UTF-8 ({error.reason}, byte {error.start + 1})"
                ) from None


def _jsonl(path: Path) -> Iterator[Numbered]:
    for number, line in _lines(path):
        if line.strip():
            yield number, _object(_parsed(line.rstrip(), f"{path}, line {number}"), f"{path}, line {number}")


def _json(path: Path) -> Iterator[Numbered]:
    """Read one array of objects; a file that begins otherwise is read as JSON Lines, which many such files are."""
    number, first = next(((n, line) for n, line in _lines(path) if line.strip()), (0, ""))
    if first.strip() == "{":
        raise SourceError(f"{path}, line {number}: one object over many lines; give an array of objects, or one a line")
    if not first.lstrip().startswith("["):
        yield from _jsonl(path)
        return
    whole = "".join(line for _, line in _lines(path))
    for number, row in enumerate(_parsed(whole, str(path)), 1):
        yield number, _object(row, f"{path}, row {number}")


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = f" at line {error.lineno}" if error.lineno > 1 else ""
        raise SourceError(f"{where}: not JSON{line}: {error.msg}, column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{where}: JSON that cannot be read: {error}") from None


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise SourceError(f"{where}: expected an object with columns, found {type(value).__name__}")
    return value


def _csv(path: Path) -> Iterator[Numbered]:
    csv.field_size_limit(sys.maxsize)  # the default refuses a cell over 128 KiB
    table = csv.DictReader(line for _, line in _lines(path))  # of columns of one name it would take the last
    try:
        twice = sorted(name for name, count in Counter(table.fieldnames or ()).items() if name and count > 1)
        if twice:
            raise SourceError(f"{path}, line 1: several columns are called {', '.join(map(repr, twice))}")
        for row in table:
            if None in row:
                raise SourceError(f"{path}, line {table.line_num}: more cells than the header has columns")
            yield table.line_num, row
    except csv.Error as error:
        raise SourceError(f"{path}, line {table.line_num}: not CSV: {error}") from None


def _parquet(path: Path) -> Iterator[Numbered]:
    try:
        with parquet.ParquetFile(path) as file:
            yield from enumerate(_batched(file.iter_batches(1024)), 1)
    except (pa.ArrowException, ValueError) as error:
        raise SourceError(f"{path}: not Parquet that can be read: {error}") from error


def _batched(batches: Iterable[pa.RecordBatch]) -> Iterator[Mapping[str, Any]]:
    return itertools.chain.from_iterable(batch.to_pylist() for batch in batches)
