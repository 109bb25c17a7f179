"""How peers are run and what is counted, with a stand-in for the peer."""

import json
import sys
from pathlib import Path

import pytest

from bench import peers
from bench.cases import NONE
from bench.peers import Peer, Told, counted

WHOLE = "Step 1: carry q1.\n\nThe answer is \\boxed{7}."
STAND_IN = """
import json, pathlib, sys
folder, settings = pathlib.Path(sys.argv[2]), json.loads(sys.argv[4])
with (folder / "tries").open("a+") as tries:
    tries.write("x")
if (folder / "tries").stat().st_size < {starts}:
    raise ValueError("trouble. Payload: {{}}")
(folder / "rows").mkdir()
asked = [json.loads(line)["id"] for line in pathlib.Path(sys.argv[1]).read_text().splitlines()]
texts = ["The answer is \\\\boxed{{1}}"] * settings["samples"]
rows = [json.dumps({{"id": one, "texts": texts}}) for one in asked[1:]]
(folder / "rows" / "0.jsonl").write_text("\\n".join(rows) + "\\n")
"""


@pytest.fixture
def peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Peer:
    monkeypatch.setattr(peers, "HERE", tmp_path)
    monkeypatch.setattr(peers, "BUILD", tmp_path)
    (tmp_path / "one" / "bin").mkdir(parents=True)
    (tmp_path / "one" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "one" / "installed").write_text("one==1")
    return Peer("one 1", "one", ("one==1",), 1)


def write(folder: Path, *rows: tuple[str, list[str | None] | None], torn: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    lines = [json.dumps({"id": key, "texts": texts}) + "\n" for key, texts in rows]
    (folder / "0.jsonl").write_text("".join(lines) + torn)
    return folder


def test_rows_without_all_whole_replies_are_wrong_and_absent_ones_lost(tmp_path: Path) -> None:
    rows = write(
        tmp_path / "rows",
        ("good", [WHOLE, WHOLE]),
        ("in two lines", [WHOLE]),
        ("in two lines", [WHOLE]),
        ("one only", [WHOLE]),
        ("twice", [WHOLE, WHOLE, WHOLE, WHOLE]),
        ("cut", [WHOLE, WHOLE[:20]]),
        ("none", [None, None]),
        ("null", None),
        ("empty", []),
        torn='{"id": "torn", "te',
    )
    wanted = ["good", "in two lines", "one only", "twice", "cut", "none", "null", "empty", "torn", "absent"]
    assert counted(wanted, rows) == (2, 6)
    assert counted(["a", "b"], tmp_path / "nowhere") == (2, 0)


def test_a_peer_that_dies_is_started_again(peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "peer_one.py").write_text(STAND_IN.format(starts=3))
    told = peers.run(peer, tmp_path / "run", NONE)
    assert (told.end, told.lost, told.wrong, told.requests) == ("done at start 3", 1, 0, 0)


def test_a_peer_that_keeps_dying_is_given_up_with_its_error(
    peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "STARTS", 2)
    (tmp_path / "peer_one.py").write_text(STAND_IN.format(starts=3))
    told = peers.run(peer, tmp_path / "run", NONE)
    assert (told.end, told.lost) == ("died 2 times (ValueError: trouble)", peers.PROMPTS)


def test_a_peer_that_hangs_is_killed(peer: Peer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "SECONDS", 0.2)
    (tmp_path / "peer_one.py").write_text("import time\ntime.sleep(60)")
    assert peers.run(peer, tmp_path / "run", NONE).end == "killed after 0 s"


def test_a_peer_that_is_not_there_is_told_with_the_reason(peer: Peer, tmp_path: Path) -> None:
    (tmp_path / "one" / "installed").write_text("not installed: ERROR: no such package")
    told = peers._measured(peer, tmp_path / "run", [])
    assert {case: str(one) for case, one in told.items()} == {"none": "not installed: ERROR: no such package"}


def test_a_cell_says_what_was_lost_and_paid() -> None:
    assert str(Told("done", 1, 2, 1.5, 30.4)) == "done; 1 lost, 2 wrong; 1.50 x, 30 s"
