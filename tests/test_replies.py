"""A judge's words are found again: those of this row, under the name the model answered to, and nothing made up."""

import shutil
from pathlib import Path

import pytest

from bench.finished import finished
from data import shards
from data.schema import Row
from pipeline import run
from pipeline.refilter import refilter
from pipeline.replies import Replies
from pipeline.run import Run

MADE = ("data.limit=6", "scripted.garbled=0.3", "judge.votes=3", "judge.sampling.temperature=1.0")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finished(tmp_path_factory.mktemp("replies") / "run", "scripted", *MADE)


def rows(made: Run) -> list[Row]:
    return [row for side in shards.SIDES for row in shards.read(made.place, side).to_pylist()]


def test_every_row_is_given_its_own_votes_in_words(made: Run) -> None:
    replies = Replies(made)
    for row in rows(made):
        heard = replies.of(row)
        assert [one.first_error for one in heard] == row["judge_votes"]
        assert all(one.text for one in heard)
        assert {one.judge for one in heard} == {0}
    unread = [one for row in rows(made) for one in replies.of(row) if one.first_error is None]
    assert unread
    assert {(one.text, one.reason) for one in unread} == {("I would rather not say.", "no conclusion")}


def test_a_row_of_other_words_has_none(made: Run) -> None:
    row = rows(made)[0]
    assert Replies(made).of(row | {"steps": [*row["steps"][:-1], "another end"]}) == []


def test_a_panels_judges_are_told_apart(tmp_path: Path) -> None:
    panel = 'judge=[{engine="scripted"}, {kind="equations"}, {kind="first_error", engine="scripted"}]'
    opened = finished(tmp_path / "run", "scripted", "data.limit=2", panel)
    for row in rows(opened):
        heard = Replies(opened).of(row)
        assert [one.judge for one in heard] == [0, 2]
        assert [one.first_error for one in heard] == [row["judge_votes"][0], row["judge_votes"][2]]


def test_a_judge_that_solves_first_is_heard_solving(tmp_path: Path) -> None:
    opened = finished(tmp_path / "run", "scripted", "data.limit=2", "judge.kind=critique_reference", "judge.votes=2")
    for row in rows(opened):
        own, *votes = Replies(opened).of(row)
        assert own.reason == "its own solution"
        assert "The answer is" in own.text
        assert [one.first_error for one in votes] == row["judge_votes"]
        assert len(votes) == 2


def test_a_run_decided_anew_finds_the_words_in_the_ledger_it_shares(made: Run, tmp_path: Path) -> None:
    anew = refilter(str(made.place), str(tmp_path / "new"), ["consensus.rule=judge"])
    assert all(len(Replies(anew).of(row)) == len(row["judge_votes"]) for row in rows(anew))


def test_a_specification_that_stood_for_two_models_finds_both_ones_words(made: Run, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(str(made.place), out)
    run.met(run.find(str(out)).place, {"scripted": "another"})
    assert run.models(run.find(str(out)).place)["scripted"][-1] == "another"
    again = Replies(run.find(str(out)))
    assert all(len(again.of(row)) == len(row["judge_votes"]) for row in rows(made))


@pytest.mark.parametrize("gone", ["ledger", "models.json"])
def test_without_its_ledger_or_names_a_run_has_no_words(made: Run, tmp_path: Path, gone: str) -> None:
    out = tmp_path / "run"
    shutil.copytree(str(made.place), out, ignore=shutil.ignore_patterns(gone))
    opened = run.find(str(out))
    assert [Replies(opened).of(row) for row in rows(opened)] == [[] for _ in rows(opened)]


@pytest.mark.parametrize("content", [b"", b"{", b"3", b"[]", b'{"a": 3}', b"\xff", b"[" * 100_000])
def test_names_that_cannot_be_read_are_none(tmp_path: Path, content: bytes) -> None:
    place = finished(tmp_path, "scripted", "data.limit=1").place
    (tmp_path / run.MODELS).write_bytes(content)
    assert run.models(place) == {}
    run.met(place, {"a": "b"})
    assert run.models(place) == {"a": ["b"]}
