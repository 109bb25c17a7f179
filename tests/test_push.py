"""A run on the Hub: exactly what its manifest counts; refusals in a sentence. Over HTTP, to a Hub of this machine."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import datasets
import huggingface_hub
import pytest
from hub import READS, WRITES, Hub, running
from huggingface_hub import constants

from bench.finished import finished
from data import shards
from pipeline import run
from pipeline.cli import main
from pipeline.run import Run

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the client's own way to upload
ROOT = Path(__file__).parents[1]
NAME = "me/steps"
FILES = {".gitattributes", "README.md", "run.json", "manifest.jsonl"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finished(tmp_path_factory.mktemp("push") / "run", "scripted", "data.limit=40", "scripted.right=0.85")


@pytest.fixture
def made(source: Run, tmp_path: Path) -> Run:
    shutil.copytree(source.place.path, tmp_path / "run")
    return run.find(str(tmp_path / "run"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """Set what HF_ENDPOINT, HF_HUB_DISABLE_XET and HF_HOME would set, had they been there before the first import."""
    with running() as one:
        monkeypatch.setattr(constants, "ENDPOINT", one.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        monkeypatch.setenv("HF_TOKEN", WRITES)
        yield one
        huggingface_hub.close_session()


def pushed(made: Run, *options: str) -> int:
    return main(["push", "--out", made.place.path, "--repo", NAME, *options])


def counted(made: Run) -> set[str]:
    sides = ((side, seal) for side in shards.SIDES for seal in shards.sealed(made.place).values())
    return {f"{side}/{seal.part}.parquet" for side, seal in sides if seal.sha256(side)}


def test_what_is_there_afterwards_is_the_run_and_loads(
    hub: Hub, made: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run" / "labelled" / "p1111111.parquet").write_bytes(b"stale")
    (tmp_path / "run" / "report.html").write_text("<p>")
    assert pushed(made) == 0
    assert capsys.readouterr().out == f"{hub.url}/datasets/{NAME}/commit/{1:040x}\n"
    there = hub.repositories[NAME]
    assert there.keys() == FILES | counted(made) | {"report.html"}
    assert hub.private == {NAME}
    assert hub.uploads == len(counted(made)) > 8
    copy = tmp_path / "copy"
    for name, data in there.items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(data)
    assert not shards.verify(copy)
    again = run.find(str(copy))
    assert (again.fingerprint, again.id) == (made.fingerprint, made.id)
    assert shards.read(copy).equals(shards.read(made.place))
    loaded = datasets.load_dataset(str(copy), "rejected", cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded.num_rows == shards.read(made.place, "rejected").num_rows > 0


def test_a_run_pushed_again_sends_nothing_and_a_smaller_one_leaves_nothing_behind(
    hub: Hub, made: Run, tmp_path: Path
) -> None:
    assert pushed(made) == 0
    before = hub.uploads
    hub.repositories[NAME]["figure.png"] = b"mine"
    less = finished(tmp_path / "less", "scripted", "data.limit=2")
    assert pushed(less) == 0
    assert hub.repositories[NAME].keys() == FILES | {"figure.png"} | {
        f"{side}/{name}" for side in shards.SIDES for name in (less.place / side).names()
    }
    assert pushed(made) == 0
    assert hub.repositories[NAME].keys() == FILES | {"figure.png"} | counted(made)
    assert hub.uploads - before <= 2  # the smaller run's
    assert [words.partition(":")[0] for words in hub.commits] == ["scripted"] * 3


def test_no_place_or_secret_of_this_machine_goes_along(hub: Hub, made: Run, tmp_path: Path) -> None:
    known = run.told(made.place)
    known["ledger"] = str(tmp_path / "SECRET")
    known["data"] = {"commit": "c", "against": {f"{tmp_path}/eval.jsonl": 3}}
    known["refiltered"] = {"out": str(tmp_path), "id": "1", "fingerprint": "f"}
    (tmp_path / "run" / run.FILE).write_text(json.dumps(known))
    local = Run(made.id, made.place, made.ledger, made.bits, made.fingerprint, made.recipe)
    assert pushed(local) == 0
    told = json.loads(hub.repositories[NAME]["run.json"])
    assert told["ledger"] is None
    assert told["data"] == {"commit": "c", "against": {"eval.jsonl": 3}}
    assert told["refiltered"] == {"id": "1", "fingerprint": "f"}
    texts = b"".join(hub.repositories[NAME][name] for name in FILES)
    assert b"SECRET" not in texts
    assert str(tmp_path).encode() not in texts


def test_the_ledger_goes_along_where_it_is_asked_for(hub: Hub, made: Run) -> None:
    assert pushed(made, "--ledger", "--public") == 0
    there = hub.repositories[NAME].keys()
    segments = {f"ledger/{part}/{name}" for part in made.ledger.names() for name in (made.ledger / part).names()}
    assert there == FILES | counted(made) | segments | {"models.json"}
    assert hub.private == set()


def test_an_unfinished_run_needs_to_be_meant(hub: Hub, made: Run, capsys: pytest.CaptureFixture[str]) -> None:
    known = run.told(made.place)
    del known["finished"]
    (made.place / run.FILE).write(json.dumps(known).encode())
    assert pushed(made) == 2
    assert "is not finished" in capsys.readouterr().err
    assert hub.repositories == {}
    assert pushed(made, "--partial") == 0
    assert b"**The run is not finished.**" in hub.repositories[NAME]["README.md"]


def test_a_changed_shard_is_not_published(hub: Hub, made: Run, capsys: pytest.CaptureFixture[str]) -> None:
    name = max(counted(made))
    (Path(made.place.path) / name).write_bytes(b"changed")
    assert pushed(made) == 2
    assert "is not as it was sealed" in capsys.readouterr().err
    assert hub.repositories[NAME].keys() == {".gitattributes"}


@pytest.mark.parametrize(
    ("token", "told"),
    [
        ("", "no token for the Hub: set HF_TOKEN"),
        ("hf_wrong_and_unknown", "does not know the token (401)"),
        (READS, "may not write to me/steps (403)"),
    ],
)
def test_who_may_not_is_told_so(  # noqa: PLR0917 - what pytest gives
    hub: Hub, made: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], token: str, told: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    assert pushed(made) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not token or token not in error
    assert hub.repositories == {}


@pytest.mark.usefixtures("hub")
def test_a_hub_that_is_not_there_is_told_in_a_sentence(
    made: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://someone:secret@127.0.0.1:9")
    assert pushed(made) == 2
    error = capsys.readouterr().err
    assert "me/steps could not be uploaded to http://127.0.0.1:9: Connect" in error
    assert "Connection refused" in error
    assert "the same command tries again" in error
    assert error.count("\n") == 1
    assert "secret" not in error


@pytest.mark.parametrize("name", ["steps", "a/b/c", "me/", "../x", "me/st eps", "https://huggingface.co/me/steps"])
def test_a_name_that_is_none_is_refused(made: Run, capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["push", "--out", made.place.path, "--repo", name]) == 2
    assert "names no repository: give REPO=owner/name" in capsys.readouterr().err


def test_a_run_in_a_store_is_pushed_from_there(hub: Hub, source: Run, tmp_path: Path) -> None:
    shutil.copytree(source.place.path, tmp_path / "run")
    assert main(["push", "--out", (tmp_path / "run").as_uri(), "--repo", NAME]) == 0
    assert hub.repositories[NAME].keys() == FILES | counted(source)


@pytest.mark.slow
def test_the_environment_alone_leads_to_the_hub(source: Run, tmp_path: Path) -> None:
    with running() as one:
        chosen = {"HF_ENDPOINT": one.url, "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": WRITES, "HF_HOME": str(tmp_path)}
        command = [sys.executable, "-m", "pipeline", "push", "--out", source.place.path, "--repo", NAME]
        subprocess.run(command, cwd=ROOT, env=os.environ | chosen, check=True)  # noqa: S603 - our own program
        assert one.repositories[NAME].keys() == FILES | counted(source)
