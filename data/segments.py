"""Segments: how the ledger's records become bytes, and how one writer's bytes reach a disk or a store.

A record carries a mark, its length and a checksum. A reader of damaged bytes goes on at the next sound record and tells
of the stretch it lost; a record cut short by the end of the segment is a torn tail.
"""

import os
import struct
import time
import uuid
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, get_args

from data import places
from data.asks import Finish, Sample
from data.places import Place

# 0xf5, 0xc1 and 0xff never occur in UTF-8, so uncompressed text cannot look like the start of a record.
_MARK = b"\xf5\xc1\xff\x01"
_HEAD = struct.Struct("<4sII")  # mark, length of the body, its CRC-32
_BODY = struct.Struct("<16sBII")  # key, finish and compression, tokens, prompt tokens; then the text
_FINISH: tuple[Finish, ...] = get_args(Finish)
_PACKED = 0x80
_WORTH_PACKING = 512  # bytes of text


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger remembers of one sample: the sample, and its prompt's length in tokens."""

    sample: Sample
    prompt_tokens: int


@dataclass(frozen=True, slots=True)
class Lost:
    """A stretch of a segment that holds no sound record; `torn` where a writer was killed there."""

    torn: bool


class Segment(Protocol):
    """One writer's end of a part; `interval` is how many seconds appended bytes may wait for `sync`."""

    interval: float

    def append(self, data: bytes) -> None:
        """Take one record."""

    def sync(self) -> None:
        """Make what was taken durable."""

    def close(self) -> None:
        """Let go of the file."""


class LocalSegment:
    """A file that grows: what is appended outlives the process at once, and a power cut after `sync`."""

    interval = 1.0

    def __init__(self, path: Path) -> None:
        places.folder(path.parent)
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        places.sync(path.parent)

    def append(self, data: bytes) -> None:
        """Write through to the operating system; a short write (a full disk) is continued or raises OSError."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._handle, rest) :]

    def sync(self) -> None:
        """Fsync."""
        os.fsync(self._handle)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


class StoreSegment:
    """Numbered immutable pieces in an object store, one a `sync`: what waits for it is lost with the process."""

    interval = 5.0

    def __init__(self, stem: Place) -> None:
        self._stem = stem
        self._pieces = 0
        self._waiting: list[bytes] = []

    def append(self, data: bytes) -> None:
        """Keep until `sync`."""
        self._waiting.append(data)

    def sync(self) -> None:
        """Put one piece; where that fails the records wait for the next `sync`."""
        if not self._waiting:
            return
        count = len(self._waiting)
        Place(self._stem.store, f"{self._stem.path}.{self._pieces:06d}.seg", local=False).write(
            b"".join(self._waiting[:count])
        )
        del self._waiting[:count]
        self._pieces += 1

    def close(self) -> None:
        """Nothing is open."""


def begin(folder: Place) -> Segment:
    """Start a new segment in `folder`, of the kind the place needs; names sort by age."""
    stem = folder / f"{time.time_ns():020d}-{uuid.uuid4().hex}"
    return LocalSegment(Path(f"{stem.path}.seg")) if folder.local else StoreSegment(stem)


def pack(key: bytes, entry: Entry) -> bytes:
    """Return one record."""
    sample = entry.sample
    text = sample.text.encode("utf-8", "surrogatepass")
    flags = _FINISH.index(sample.finish)
    if len(text) >= _WORTH_PACKING:
        text, flags = zlib.compress(text, 1), flags | _PACKED
    body = _BODY.pack(key, flags, sample.tokens, entry.prompt_tokens) + text
    return _HEAD.pack(_MARK, len(body), zlib.crc32(body)) + body


def _unpack(body: bytes) -> tuple[bytes, Entry]:
    key, flags, tokens, prompt_tokens = _BODY.unpack_from(body)
    text = body[_BODY.size :]
    if flags & _PACKED:
        text = zlib.decompress(text)
    sample = Sample(text.decode("utf-8", "surrogatepass"), _FINISH[flags & ~_PACKED], tokens)
    return key, Entry(sample, prompt_tokens)


def scan(data: bytes) -> Iterator[tuple[bytes, Entry] | Lost]:
    """Yield every sound record of a segment's bytes, and what lies lost between them."""
    start = 0
    while start < len(data):
        body = _sound(data, start)
        if body is not None:
            yield _unpack(body)
            start += _HEAD.size + len(body)
            continue
        torn = _unfinished(data, start)
        start = _next_sound(data, start + 1)
        yield Lost(torn and start == len(data))


def _sound(data: bytes, start: int) -> bytes | None:
    """Return the body of the record at `start`, or None where there is no whole and sound one."""
    if not data.startswith(_MARK, start) or len(data) - start < _HEAD.size + _BODY.size:
        return None
    _, length, checksum = _HEAD.unpack_from(data, start)
    body = data[start + _HEAD.size : start + _HEAD.size + length]
    return body if len(body) == length >= _BODY.size and zlib.crc32(body) == checksum else None


def _unfinished(data: bytes, start: int) -> bool:
    """Tell whether the bytes from `start` end before the record they begin does."""
    rest = len(data) - start
    if rest < _HEAD.size:
        return True
    mark, length, _ = _HEAD.unpack_from(data, start)
    return bool(mark == _MARK and rest - _HEAD.size < length)


def _next_sound(data: bytes, start: int) -> int:
    """Find where the next sound record begins, or the end of the data."""
    while (start := data.find(_MARK, start)) >= 0:
        if _sound(data, start) is not None:
            return start
        start += 1
    return len(data)
