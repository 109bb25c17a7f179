"""Where bytes lie: a local folder, or an object-store URI through pyarrow, behind the few operations this floor needs.

A written file appears whole or not at all: locally by a temporary name, fsync and rename; in a store by one put.
"""

import fcntl
import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
from pyarrow import fs

from data.errors import RunError, SettingError

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{32}\.tmp")
_ALMOST = re.compile(r"[a-z]\w+:/(?!/)")  # `s3:/bucket/run`; one letter may be a drive


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder at `path` of `store`; `local` where the operating system's own calls reach it. Picklable."""

    store: fs.FileSystem
    path: str
    local: bool

    def __truediv__(self, name: str) -> "Place":
        return Place(self.store, f"{self.path}/{name}", self.local)

    def __str__(self) -> str:
        return self.path if self.local else f"{self.store.type_name}://{self.path}"

    def names(self) -> list[str]:
        """Names in this folder, sorted; none where it does not exist."""
        return sorted(self.sizes())

    def sizes(self) -> dict[str, int | None]:
        """Names in this folder, with the bytes of each file; none where it does not exist."""
        selector = fs.FileSelector(self.path, allow_not_found=True)
        return {info.base_name: info.size for info in self.store.get_file_info(selector)}

    def exists(self) -> bool:
        """Whether a file or folder lies here."""
        return bool(self.store.get_file_info(self.path).type != fs.FileType.NotFound)

    def read(self) -> bytes:
        """All bytes of this file. Raises FileNotFoundError."""
        with self.store.open_input_stream(self.path, compression=None) as stream:
            return bytes(stream.read())

    def write(self, data: bytes) -> None:
        """Put `data` here, atomically and durably, over what was here. Raises RunError where that cannot be done."""
        with usable(self):
            if self.local:
                _replace(Path(self.path), data)
                return
            with self.store.open_output_stream(self.path, compression=None) as stream:
                stream.write(data)

    @contextmanager
    def filled(self) -> Iterator[BinaryIO]:
        """Give a file of any size to write; where the block ends well it lies here whole, else nothing changes.

        Raises RunError where that cannot be done.
        """
        with usable(self):
            if self.local:
                with _beside(Path(self.path)) as file:
                    yield file
                return
            with tempfile.TemporaryFile() as file:
                yield file
                file.seek(0)
                with self.store.open_output_stream(self.path, compression=None) as stream:
                    shutil.copyfileobj(file, stream, 1 << 20)

    def append(self, line: bytes) -> None:
        """Add `line` on a line of its own, durably. In a store the file is put anew: for one writer only.

        Raises RunError where that cannot be done.
        """
        with usable(self):
            if not self.local:
                self.write((self.read() if self.exists() else b"") + line + b"\n")
                return
            folder(Path(self.path).parent)
            self._extend(line)

    def _extend(self, line: bytes) -> None:
        with Path(self.path).open("a+b") as file:
            file.write(_separator(file.seek(0, os.SEEK_END), Path(self.path)) + line + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def delete(self) -> None:
        """Remove this file where there is one."""
        if self.exists():
            self.store.delete_file(self.path)


def at(where: "str | Path | Place") -> Place:
    """Return the place a path or URI names; relative paths are resolved at once. Raises SettingError for a bad URI."""
    if isinstance(where, Place):
        return where
    if _ALMOST.match(str(where)):
        raise SettingError(f"{where} is no URI, and hardly a path: write two slashes, s3://bucket/run, or ./ before it")
    if "://" not in str(where):
        return Place(fs.LocalFileSystem(), str(Path(where).resolve()), local=True)
    try:
        store, path = fs.FileSystem.from_uri(str(where))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        shown = keyless(str(where))
        words = str(error).replace(str(where), shown)
        raise SettingError(
            f"{shown} cannot be opened: {words}. Give a path, or a URI such as s3://bucket/run"
        ) from None
    return Place(store, path.rstrip("/"), isinstance(store, fs.LocalFileSystem))


def keyless(uri: str) -> str:
    """Return a URI without its user and options, which may hold keys."""
    scheme, _, rest = uri.partition("://")
    user, _, bucket = rest.rpartition("@")
    return f"{scheme}://{bucket.partition('?')[0] if '?' not in user else '...'}"


def within(where: str, *names: str) -> str:
    """Return a path or URI of what lies in another; the options of a URI stay at its end."""
    before, options, after = where.partition("?") if "://" in where else (where, "", "")
    return "/".join([before.rstrip("/"), *names]) + options + after


@contextmanager
def usable(place: Place) -> Iterator[None]:
    """Turn what a disk or a store raises into a RunError that names the place and says what to do."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{place} cannot be used: {error}. What was written before is safe; "
            "make room or restore access, and run the same command again"
        ) from error


def folder(path: Path) -> None:
    """Make a local folder, and those above it, whose own entries survive a power cut."""
    if not path.is_dir():
        folder(path.parent)
        path.mkdir(exist_ok=True)
        sync(path.parent)


def sync(path: Path) -> None:
    """Make the entries of a local folder durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _replace(path: Path, data: bytes) -> None:
    with _beside(path) as file:
        file.write(data)


@contextmanager
def _beside(path: Path) -> Iterator[BinaryIO]:
    """Give a new file that takes the place of `path`, durably, where the block ends well."""
    folder(path.parent)
    temporary, opened = _temporary(path)
    try:
        with opened as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def _temporary(path: Path) -> tuple[Path, BinaryIO]:
    """Open a new file beside `path`, locked for as long as its writer lives, so that `sweep` lets it be."""
    while True:
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        file = temporary.open("xb")
        with suppress(OSError):  # a file system without locks: there nothing is swept either
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return temporary, file
        file.close()  # swept in the moment before it was locked


def sweep(place: Place) -> None:
    """Remove from a local folder what writers left that were killed; a store's writes leave nothing."""
    for path in Path(place.path).glob(".*.tmp") if place.local else ():
        if _TEMPORARY.fullmatch(path.name):
            with suppress(OSError), path.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


def _separator(size: int, path: Path) -> bytes:
    """Return a newline where a killed writer left the last line without one."""
    if not size:
        return b""
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return b"" if file.read(1) == b"\n" else b"\n"
