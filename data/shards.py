"""Shards: which solutions lie together, which are still owed, and how a finished one becomes durable.

A shard is named by its problems' ids (a prefix of their hash), never by rank or position. Its files appear whole; the
manifest says which of them count, both written by the driver alone, with row counts and checksums. A manifest line that
cannot be read is a shard still owed.
"""

import fcntl
import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from pyarrow import parquet

from data import places, schema
from data.errors import RunError
from data.places import Place
from data.records import Task

Side = Literal["labelled", "rejected"]
Root = str | Path | Place
Plan = Mapping[str, tuple[Task, ...]]

SIDES: tuple[Side, ...] = ("labelled", "rejected")
MANIFEST = "manifest.jsonl"
_EMPTY = "empty.parquet"
_OURS = re.compile(r"p[01]*\.parquet|\.p[01]*\.parquet\.[0-9a-f]{32}\.tmp")


@dataclass(frozen=True, slots=True)
class Seal:
    """A finished shard: digest of its tasks, rows a side, SHA-256 and bytes of each file (None: no row, no file).

    `counts` is what the sealer counted over its rows, so that a whole run is summed up without reading them.
    """

    part: str
    digest: str
    labelled: int
    rejected: int
    labelled_sha256: str | None
    rejected_sha256: str | None
    counts: Mapping[str, Any] | None = None
    labelled_bytes: int | None = None
    rejected_bytes: int | None = None

    def sha256(self, side: Side) -> str | None:
        """Checksum of one side's file."""
        return self.labelled_sha256 if side == "labelled" else self.rejected_sha256

    def size(self, side: Side) -> int | None:
        """Bytes of one side's file."""
        return self.labelled_bytes if side == "labelled" else self.rejected_bytes


@dataclass(frozen=True, slots=True)
class Packed:
    """A finished shard on its way from a worker to the driver: its seal, and the bytes of each side that has rows."""

    seal: Seal
    files: Mapping[Side, bytes]


def part(problem_id: str, bits: int) -> str:
    """Return the shard of a problem: "p" and the first `bits` (0..32) binary digits of the SHA-256 of its id."""
    word = int.from_bytes(hashlib.sha256(problem_id.encode("utf-8", "surrogatepass")).digest()[:4])
    return "p" + f"{word:032b}"[:bits]


def bits_for(solutions: int) -> int:
    """Return how many bits cut that many solutions into shards of about 64 to 128, on average.

    At least 8 shards from 64 solutions on (fewer, of at least 8, below), and at most 4096, which grow beyond that.
    """
    return min(12, max((solutions // 64).bit_length() - 1, min(3, (solutions // 8).bit_length() - 1), 0))


def plan(tasks: Iterable[Task], bits: int) -> dict[str, tuple[Task, ...]]:
    """Return the tasks of each shard, both in an order that does not depend on that of `tasks`."""
    parts: dict[str, list[Task]] = {}
    for task in tasks:
        parts.setdefault(part(task.problem.id, bits), []).append(task)
    return {name: tuple(sorted(parts[name], key=lambda task: task.id)) for name in sorted(parts)}


def digest(tasks: Iterable[Task], fingerprint: str = "") -> str:
    """Return a hash of what a shard is made of: its tasks, ids and contents, and the recipe's fingerprint."""
    total = hashlib.sha256(fingerprint.encode())
    for task in sorted(tasks, key=lambda task: task.id):
        problem = task.problem
        told = [task.id, problem.dataset, problem.text, problem.gold, problem.level, task.given]
        cut = [task.steps, task.ratings] if task.steps else []
        total.update(json.dumps([*told, *cut]).encode())
    return total.hexdigest()


def owed(plan: Plan, seals: Mapping[str, Seal], fingerprint: str = "") -> list[str]:
    """Return the parts that are not sealed, or were sealed from other tasks or under another fingerprint."""
    return [
        name for name, tasks in plan.items() if name not in seals or seals[name].digest != digest(tasks, fingerprint)
    ]


def pack(part: str, kept: pa.Table, rejected: pa.Table, digest: str, counts: Mapping[str, Any] | None = None) -> Packed:
    """Return a finished shard as bytes, and what the manifest is to say of it. A side without rows has no file."""
    files = {side: _parquet(rows) for side, rows in zip(SIDES, (kept, rejected), strict=True) if rows.num_rows}
    labelled, others = (hashlib.sha256(files[side]).hexdigest() if side in files else None for side in SIDES)
    sizes = (len(files[side]) if side in files else None for side in SIDES)
    return Packed(Seal(part, digest, kept.num_rows, rejected.num_rows, labelled, others, counts, *sizes), files)


def seal(root: Root, packed: Packed) -> Seal:
    """Write a finished shard's files, atomically and durably; it counts once it is entered.

    For the driver only: a worker that outlives its driver must not touch what another run has sealed. Raises RunError
    where it cannot be written.
    """
    place = places.at(root)
    with places.usable(place):
        for side in SIDES:
            file = place / side / f"{packed.seal.part}.parquet"
            if side in packed.files:
                file.write(packed.files[side])
            else:
                file.delete()
    return packed.seal


def enter(root: Root, seal: Seal) -> None:
    """Append a seal to the manifest; the last one of a part counts. For the driver only, which holds the lock."""
    manifest = places.at(root) / MANIFEST
    with places.usable(manifest):
        manifest.append(json.dumps(asdict(seal)).encode())


def enter_all(root: Root, seals: Iterable[Seal]) -> None:
    """Put a manifest of these seals in place of any that was there, at once. For one who holds the lock."""
    (places.at(root) / MANIFEST).write("".join(json.dumps(asdict(seal)) + "\n" for seal in seals).encode())


def sealed(root: Root) -> dict[str, Seal]:
    """Return the seals that count, by part. Lines that cannot be read, such as a torn last one, are passed over."""
    manifest = places.at(root) / MANIFEST
    seals: dict[str, Seal] = {}
    for line in manifest.read().splitlines() if manifest.exists() else ():
        try:
            entry = json.loads(line)
            seals[entry["part"]] = Seal(**entry)
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
    return dict(sorted(seals.items()))


def settle(root: Root, parts: Collection[str]) -> list[str]:
    """Make the directory loadable, with exactly the sealed shards of `parts`. For the driver, before and after work.

    Seals of other parts (an older plan's) and those whose files are gone or torn are struck from the manifest; returns
    what was gone or torn. Files that no seal stands for are deleted, and a side without any row gets one empty shard:
    without it `load_dataset` would refuse the other side too.
    """
    place, seals = places.at(root), sealed(root)
    found = {side: (place / side).sizes() for side in SIDES}
    broken = {name: side for name, seal in seals.items() for side in SIDES if _torn(seal, side, found[side])}
    current = {name: seal for name, seal in seals.items() if name in parts and name not in broken}
    if len(current) < len(seals):
        enter_all(place, current.values())
    for side in SIDES:
        wanted = {f"{name}.parquet" for name, seal in current.items() if seal.sha256(side)}
        for name in found[side]:
            if _OURS.fullmatch(name) and name not in wanted:
                (place / side / name).delete()
        _settle_empty(place / side / _EMPTY, needed=not wanted)
    return [f"{place / side / name}.parquet was missing or torn" for name, side in broken.items() if name in parts]


def tables(root: Root, which: Side = "labelled") -> Iterator[pa.Table]:
    """Yield the sealed shards of one side, in order of part. Raises RunError for a missing or changed file."""
    for seal in sealed(root).values():
        if seal.sha256(which):
            yield table(root, seal, which)


def rows(root: Root) -> Iterator[schema.Row]:
    """Give all sealed rows, the kept ones first. Raises RunError for a missing or changed file."""
    return (row for side in SIDES for one in tables(root, side) for row in one.to_pylist())


def table(root: Root, seal: Seal, which: Side) -> pa.Table:
    """Return one side of a sealed shard; columns that came after it are null. Raises RunError for a changed file."""
    checksum = seal.sha256(which)
    if not checksum:
        return schema.SCHEMA.empty_table()
    data = _checked(places.at(root) / which / f"{seal.part}.parquet", checksum)
    # not read_table: its scanner's threads may still hold `data` when the interpreter ends, and abort it
    rows = parquet.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
    if rows.schema.equals(schema.SCHEMA):
        return rows  # promotion would take as long as reading
    return pa.concat_tables([rows, schema.SCHEMA.empty_table()], promote_options="default").select(schema.SCHEMA.names)


def read(root: Root, which: Side = "labelled") -> pa.Table:
    """Return all sealed rows of one side. Raises RunError for a missing or changed file."""
    return pa.concat_tables([schema.SCHEMA.empty_table(), *tables(root, which)])


def files(root: Root, which: Side) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of the files of one side that count. Raises RunError for a missing or changed one."""
    folder = places.at(root) / which
    for name, seal in sealed(root).items():
        if checksum := seal.sha256(which):
            yield f"{which}/{name}.parquet", _checked(folder / f"{name}.parquet", checksum)
    if (folder / _EMPTY).exists():
        yield f"{which}/{_EMPTY}", (folder / _EMPTY).read()


def verify(root: Root) -> list[str]:
    """Return what is wrong with the sealed files, one sentence each; an empty list when all are as they were sealed."""
    faults = []
    for name, seal in sealed(root).items():
        for side in SIDES:
            checksum = seal.sha256(side)
            try:
                if checksum:
                    _checked(places.at(root) / side / f"{name}.parquet", checksum)
            except RunError as fault:
                faults.append(str(fault))
    return faults


@contextmanager
def lock(root: Root) -> Iterator[None]:
    """Hold the run directory. Raises RunError, naming the holder, where another driver has it.

    The operating system lets go when the holder dies, so a lock is never stale. Object stores have no locks: there the
    caller alone sees to it that a run has one driver.
    """
    place = places.at(root)
    if not place.local:
        yield
        return
    with places.usable(place):
        places.folder(Path(place.path))
        held = (Path(place.path) / "driver.lock").open("a+b", buffering=0)
    with held as file:
        with places.usable(place):
            _claim(file, place)
        yield


def _claim(file: FileIO, place: Place) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().decode(errors="replace").strip() or "another run"
        raise RunError(f"{place} is in use by {holder}: wait for it, stop it, or set another OUT") from None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())


def _parquet(rows: pa.Table) -> bytes:
    """Return rows as Parquet; no rows as no row group, since `datasets` cannot read an empty one."""
    sink = pa.BufferOutputStream()
    with parquet.ParquetWriter(sink, rows.schema, compression="zstd") as writer:
        if rows.num_rows:
            writer.write_table(rows)
    return bytes(sink.getvalue())


def _checked(file: Place, checksum: str) -> bytes:
    try:
        data = file.read()
    except FileNotFoundError:
        raise RunError(f"{file} is in the manifest but missing: the same command makes it again") from None
    if hashlib.sha256(data).hexdigest() != checksum:
        raise RunError(f"{file} is not as it was sealed: delete it, and the same command makes it again")
    return data


def _torn(seal: Seal, side: Side, found: Mapping[str, int | None]) -> bool:
    """Whether a sealed file is not there as it was written, as far as its size tells."""
    name, size = f"{seal.part}.parquet", seal.size(side)
    return seal.sha256(side) is not None and (name not in found or (size is not None and size != found[name]))


def _settle_empty(file: Place, *, needed: bool) -> None:
    if needed and not file.exists():
        file.write(_parquet(schema.SCHEMA.empty_table()))
    elif not needed:
        file.delete()
