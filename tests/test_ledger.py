"""Replies are remembered: through kills, torn tails, damage, two writers, and in a store without appends."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow.fs import FSSpecHandler, PyFileSystem

from data import segments
from data.asks import Ask, Message, Sample, key
from data.errors import RunError
from data.ledger import Ledger
from data.places import Place
from data.segments import Entry, Lost


def asked(index: int) -> bytes:
    return key("model", Ask((Message("user", "2 + 2?"),)), index)


def said(index: int, text: str = "") -> Sample:
    return Sample(text or f"answer {index}", "stop", index)


def write(root: Path | Place, *indices: int, part: str = "p0", text: str = "") -> None:
    with Ledger(root, part) as ledger:
        for index in indices:
            ledger.append(asked(index), said(index, text), 7)


def segment(root: Path, part: str = "p0") -> Path:
    (found,) = (root / part).glob("*.seg")
    return found


@pytest.fixture
def store() -> Place:
    """A store that can only put whole objects, as object stores do."""
    memory = MemoryFileSystem(skip_instance_cache=True)
    memory.store, memory.pseudo_dirs = {}, [""]
    return Place(PyFileSystem(FSSpecHandler(memory)), "bucket/ledger", local=False)


def test_what_was_appended_is_found_now_and_later(tmp_path: Path) -> None:
    with Ledger(tmp_path, "p0") as ledger:
        assert ledger.find(asked(0)) is None
        ledger.append(asked(0), said(0), 7)
        assert ledger.find(asked(0)) == Entry(said(0), 7)
    again = Ledger(tmp_path, "p0")
    assert again.find(asked(0)) == Entry(said(0), 7)
    assert (len(again), again.damaged, again.torn) == (1, 0, 0)


@pytest.mark.parametrize("text", ["", "x" * 5000, "é\0\ud800" * 400, "\udfff", "q" * 511, "q" * 512])
@pytest.mark.parametrize("finish", ["stop", "length", "error"])
def test_every_text_and_finish_comes_back_to_the_byte(tmp_path: Path, text: str, finish: str) -> None:
    sample = Sample(text, finish, 4_000_000_000)  # type: ignore[arg-type]
    with Ledger(tmp_path, "p0") as ledger:
        ledger.append(asked(0), sample, 0)
    assert Ledger(tmp_path, "p0").find(asked(0)) == Entry(sample, 0)


def test_long_texts_are_packed(tmp_path: Path) -> None:
    write(tmp_path, 0, text="the same words again " * 5000)
    assert segment(tmp_path).stat().st_size < 2000


def test_parts_are_apart_but_a_finer_or_coarser_cut_finds_what_was_paid_for(tmp_path: Path) -> None:
    write(tmp_path, 1, part="p01")
    assert Ledger(tmp_path, "p01").find(asked(1))
    assert Ledger(tmp_path, "p011").find(asked(1))
    assert Ledger(tmp_path, "p").find(asked(1))
    assert Ledger(tmp_path, "p00").find(asked(1)) is None


def test_reading_alone_leaves_nothing_behind(tmp_path: Path) -> None:
    Ledger(tmp_path / "none", "p0").close()
    assert not (tmp_path / "none").exists()


def test_each_writer_has_a_segment_of_its_own(tmp_path: Path) -> None:
    one, two = Ledger(tmp_path, "p0"), Ledger(tmp_path, "p0")
    one.append(asked(1), said(1), 7)
    two.append(asked(2), said(2), 7)
    one.close()
    two.close()
    assert len(list((tmp_path / "p0").iterdir())) == 2
    assert len(Ledger(tmp_path, "p0")) == 2


def test_of_two_samples_under_one_key_every_reader_sees_the_older(tmp_path: Path) -> None:
    ledgers = [Ledger(tmp_path, "p0") for _ in range(5)]
    for index, ledger in enumerate(ledgers):
        ledger.append(asked(0), said(index), 7)
    for ledger in reversed(ledgers):
        ledger.close()
    assert Ledger(tmp_path, "p0").find(asked(0)) == Entry(said(0), 7)


def test_a_known_key_keeps_its_sample_and_costs_no_bytes(tmp_path: Path) -> None:
    write(tmp_path, 0)
    write(tmp_path, 0, text="another")
    assert Ledger(tmp_path, "p0").find(asked(0)) == Entry(said(0), 7)
    assert segment(tmp_path)


def test_a_tail_torn_at_any_byte_costs_the_last_record_alone(tmp_path: Path) -> None:
    write(tmp_path, 0, 1)
    whole = segment(tmp_path).read_bytes()
    first = len(whole) // 2
    for cut in range(first + 1, len(whole)):
        segment(tmp_path).write_bytes(whole[:cut])
        ledger = Ledger(tmp_path, "p0")
        assert (len(ledger), ledger.damaged, ledger.torn) == (1, 0, 1)


def test_any_damaged_byte_in_the_middle_is_counted_and_costs_one_record(tmp_path: Path) -> None:
    write(tmp_path, 0, 1, 2)
    whole = segment(tmp_path).read_bytes()
    third = len(whole) // 3
    for at in range(third, 2 * third):
        segment(tmp_path).write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        ledger = Ledger(tmp_path, "p0")
        assert (ledger.find(asked(0)), ledger.find(asked(1)), ledger.find(asked(2))) == (
            Entry(said(0), 7),
            None,
            Entry(said(2), 7),
        )
        assert (ledger.damaged, ledger.torn) == (1, 0)


def test_a_damaged_last_record_is_damage_not_a_torn_tail(tmp_path: Path) -> None:
    write(tmp_path, 0)
    data = segment(tmp_path).read_bytes()
    segment(tmp_path).write_bytes(data[:-1] + b"?")
    assert Ledger(tmp_path, "p0").damaged == 1


def test_a_text_full_of_record_starts_cannot_pass_for_records(tmp_path: Path) -> None:
    inner = segments.pack(asked(5), Entry(said(5), 7)).decode("latin-1")
    write(tmp_path, 0, text=inner)
    data = segment(tmp_path).read_bytes()
    segment(tmp_path).write_bytes(b"?" + data[1:])
    assert len(Ledger(tmp_path, "p0")) == 0


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_can_be_read(noise: bytes) -> None:
    record = segments.pack(asked(0), Entry(said(0), 7))
    found = [one for one in segments.scan(noise + record) if not isinstance(one, Lost)]
    assert found == [(asked(0), Entry(said(0), 7))]


def test_a_kill_loses_nothing_that_was_appended(tmp_path: Path) -> None:
    program = (
        "import sys; from data.ledger import Ledger; from data.asks import Sample\n"
        "ledger = Ledger(sys.argv[1], 'p0')\n"
        "for i in range(100): ledger.append(i.to_bytes(16), Sample('x' * i, 'stop', i), 1)\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(  # noqa: S603 - our own program
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
    assert len(Ledger(tmp_path, "p0")) == 100


def test_flushes_are_due_a_second_after_the_first_append(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    synced: list[int] = []
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(os, "fsync", synced.append)
    with Ledger(tmp_path, "p0") as ledger:
        assert not ledger.due()
        ledger.append(asked(0), said(0), 7)
        now[0] += 0.9
        ledger.append(asked(1), said(1), 7)
        assert not ledger.due()
        now[0] += 0.1
        assert ledger.due()
        synced.clear()
        ledger.flush()
        ledger.flush()
        assert len(synced) == 1
        assert not ledger.due()


def test_a_full_disk_is_an_error_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    write(tmp_path, 0)
    ledger = Ledger(tmp_path, "p0")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(RunError, match=r"No space left.*make room"):
            ledger.append(asked(1), said(1), 7)
    assert ledger.find(asked(1)) is None
    ledger.append(asked(1), said(1), 7)
    ledger.close()
    assert len(Ledger(tmp_path, "p0")) == 2


def test_a_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: whole(handle, data[:5]))
    write(tmp_path, 0, 1)
    assert len(Ledger(tmp_path, "p0")) == 2


def test_a_store_gets_one_immutable_piece_a_flush(store: Place) -> None:
    with Ledger(store, "p0") as ledger:
        for index in range(4):
            ledger.append(asked(index), said(index), 7)
            if index == 1:
                ledger.flush()
    assert len((store / "p0").names()) == 2
    assert len(Ledger(store, "p0")) == 4
    assert Ledger(store, "p01").find(asked(3)) == Entry(said(3), 7)


def test_a_store_that_fails_keeps_the_records_for_the_next_flush(store: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError("the store is away")

    ledger = Ledger(store, "p0")
    ledger.append(asked(0), said(0), 7)
    with monkeypatch.context() as patch:
        patch.setattr(Place, "write", refuse)
        with pytest.raises(RunError, match="the store is away"):
            ledger.flush()
    ledger.close()
    assert len(Ledger(store, "p0")) == 1


def test_a_flush_that_is_still_under_way_is_waited_for_and_loses_no_record(
    store: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, under_way, go = Place.write, threading.Event(), threading.Event()

    def slow(place: Place, data: bytes) -> None:
        if not under_way.is_set():
            under_way.set()
            go.wait(10)
        put(place, data)

    monkeypatch.setattr(Place, "write", slow)
    ledger = Ledger(store, "p0")
    ledger.append(asked(0), said(0), 7)
    flushing = threading.Thread(target=ledger.flush)
    flushing.start()
    assert under_way.wait(10)
    ledger.append(asked(1), said(1), 7)
    threading.Timer(0.2, go.set).start()
    ledger.close()
    flushing.join()
    assert len(Ledger(store, "p0")) == 2
