"""A run's rows into one file: shard by shard, so that memory is bounded by a shard; the file appears whole or not."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, Literal

import pyarrow as pa
from pyarrow import parquet

from data import places, shards
from data.errors import RunError, SettingError
from data.places import Place
from data.schema import Row
from pipeline.exports.formats import FORMATS, Format, Stepped, Unfit
from pipeline.exports.labels import Labels
from pipeline.exports.lengths import Lengths

Side = Literal["labelled", "rejected", "all"]
Put = Callable[[Row], None]

TRL = pa.schema([("prompt", pa.string()), ("completions", pa.list_(pa.string())), ("labels", pa.list_(pa.bool_()))])
_GROUP = 1000  # rows of a Parquet row group


@dataclass(slots=True)
class Export:
    """What became of a run's rows: how many were written, and why the others were not."""

    written: int = 0
    unfit: Counter[str] = field(default_factory=Counter)

    def lines(self) -> Iterator[str]:
        """Say it, one line a fact."""
        yield f"{self.written:,} rows written"
        for reason, count in self.unfit.most_common():
            yield f"  left out: {reason} ({count:,})"


def export(
    run: Place, to: str, name: str, labels: Labels, *, side: Side = "labelled", lengths: Lengths | None = None
) -> Export:
    """Write the rows of one side, or of both, to `to`.

    Raises SettingError where labels and format do not fit each other, RunError where no row can be written or a shard
    is not as it was sealed; then what was at `to` stays.
    """
    form = FORMATS[name]
    if labels.soft and not form.soft:
        soft = ", ".join(other for other, one in FORMATS.items() if one.soft)
        raise SettingError(f"the format {name} knows only right and wrong: --soft goes with {soft}")
    made = Export()
    with places.at(to).filled() as file, _writer(form, file) as put:
        for row in _rows(run, side):
            try:
                written = form.write(Stepped(row, labels.values(row), labels.soft))
            except Unfit as reason:
                made.unfit[str(reason)] += 1
                continue
            put(written)
            made.written += 1
            if lengths:
                lengths.count(written)
        if not made.written:
            told = ", ".join(f"{reason} ({count:,})" for reason, count in made.unfit.most_common())
            own = "; rejected rows have no label of the run's own: see --threshold, --given" * (
                labels.way == "recorded"
            )
            own += "; --given takes labels that a dataset of labelled steps brought" * (labels.way == "given")
            raise RunError(f"{run}: no row can be written: {told + own if told else f'it has no {side} row'}")
    return made


def _rows(run: Place, side: Side) -> Iterator[Row]:
    for seal in shards.sealed(run).values():
        for one in shards.SIDES:
            if side in {one, "all"}:
                yield from shards.table(run, seal, one).to_pylist()


@contextmanager
def _writer(form: Format, file: BinaryIO) -> Iterator[Put]:
    with _WRITERS[form.suffix](file) as put:
        yield put


@contextmanager
def _jsonl(file: BinaryIO) -> Iterator[Put]:
    yield lambda row: _write(file, row, b"\n")


@contextmanager
def _json(file: BinaryIO) -> Iterator[Put]:
    """One array, a row a line."""
    before = [b"[\n"]

    def put(row: Row) -> None:
        file.write(before[0])
        before[0] = b",\n"
        _write(file, row)

    yield put
    file.write(b"\n]\n")


def _write(file: BinaryIO, row: Row, end: bytes = b"") -> None:
    file.write(json.dumps(row, ensure_ascii=False).encode() + end)


@contextmanager
def _parquet(file: BinaryIO) -> Iterator[Put]:
    """Columns for TRL, the one consumer here that wants them typed."""
    held: list[Row] = []

    def flush() -> None:
        writer.write_table(pa.Table.from_pylist(held, schema=TRL))
        held.clear()

    def put(row: Row) -> None:
        held.append(row)
        if len(held) == _GROUP:
            flush()

    with parquet.ParquetWriter(file, TRL, compression="zstd") as writer:
        yield put
        if held:
            flush()


_WRITERS = {"jsonl": _jsonl, "json": _json, "parquet": _parquet}
