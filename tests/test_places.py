"""Places by URI: no key of one is repeated, names are put in front of its options, and a failing store is an error."""

import fcntl
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from data import places
from data.errors import RunError, SettingError
from data.places import Place, at, sweep


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIAKEY:hush@bucket/run?nothing=1",
        "s3://AKIAKEY:hu/sh@bucket/run",
        "s3://bucket/run?secret_key=hush",
        "s3://bucket/run?secret_key=hu@sh",
        "nowhere://AKIAKEY:hu?sh@bucket/run",
    ],
)
def test_what_cannot_be_opened_is_named_without_its_keys(uri: str) -> None:
    with pytest.raises(SettingError, match="cannot be opened: ") as error:
        at(uri)
    for secret in ("AKIAKEY", "hu/sh", "hush", "hu@", "hu?", "sh@"):
        assert secret not in str(error.value)
    assert str(error.value).startswith(uri.partition("://")[0] + "://")


def test_a_uri_with_one_slash_is_no_folder_here() -> None:
    with pytest.raises(SettingError, match="two slashes"):
        at("s3:/bucket/run")
    assert at("./s3:/bucket").local


def test_a_name_within_a_uri_stands_before_its_options() -> None:
    assert places.within("runs/x/", "ledger") == "runs/x/ledger"
    assert places.within("s3://bucket/run", "ledger") == "s3://bucket/run/ledger"
    uri = places.within("s3://bucket/run/?region=eu-west-1&scheme=https", "ledger")
    assert uri == "s3://bucket/run/ledger?region=eu-west-1&scheme=https"
    assert at(uri).path == "bucket/run/ledger"


def test_a_place_in_a_store_is_told_as_a_uri_that_leads_there() -> None:
    place = at("s3://bucket/run?region=eu-west-1") / "ledger"
    assert str(place) == "s3://bucket/run/ledger"
    assert at(f"{place}?region=eu-west-1").path == place.path


def test_every_folder_that_is_made_survives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(places, "sync", synced.append)
    places.folder(tmp_path / "run" / "ledger" / "p01")
    assert synced == [tmp_path, tmp_path / "run", tmp_path / "run" / "ledger"]
    places.folder(tmp_path / "run" / "ledger" / "p01")
    assert len(synced) == 3


@pytest.mark.parametrize("method", ["read", "exists"])
def test_a_store_that_fails_as_a_line_is_added_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def away(_: Place) -> None:
        raise OSError("the store is away")

    log = Place(at(tmp_path).store, str(tmp_path / "log.jsonl"), local=False)
    log.append(b"one")
    monkeypatch.setattr(Place, method, away)
    with pytest.raises(RunError, match=r"log\.jsonl cannot be used: the store is away"):
        log.append(b"two")


HALF = (
    "import sys, time; from data import places\nwith places.at(sys.argv[1]).filled(): print(flush=True); time.sleep(60)"
)


def test_what_a_killed_writer_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    theirs = [tmp_path / name for name in ("mine.tmp", ".run.json.tmp", f".run.json.{'0' * 31}.tmp", "run.json")]
    for path in theirs:
        path.touch()
    writer = subprocess.Popen(  # noqa: S603 - the line above
        [sys.executable, "-c", HALF, str(tmp_path / "run.json")], stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
    )
    with writer:
        assert writer.stdout
        writer.stdout.readline()
        (half,) = set(tmp_path.iterdir()) - set(theirs)
        sweep(at(tmp_path))
        assert half.exists()  # its writer lives
        writer.send_signal(signal.SIGKILL)
    sweep(at(tmp_path))
    assert set(tmp_path.iterdir()) == set(theirs)
    sweep(at(tmp_path / "nowhere"))


def test_a_file_that_is_swept_before_its_writer_could_lock_it_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, swept = fcntl.flock, []

    def late(file: Any, how: int) -> None:
        if not swept:
            swept.append(Path(file.name))
            swept[0].unlink()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    at(tmp_path / "run.json").write(b"whole")
    assert (tmp_path / "run.json").read_bytes() == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert len(swept) == 1


def test_in_a_store_nothing_is_swept() -> None:
    sweep(Place(None, "bucket/run", local=False))  # would fail were it looked at
