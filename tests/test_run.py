"""Run directories: made once, gone on with, refused where the recipe changed, shared ledgers, damage."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from data import places, shards
from data.asks import Sample
from data.errors import RunError, SettingError
from data.ledger import Ledger
from data.places import Place
from data.records import Task
from data.scripted import problems
from data.sources import Loaded, Reject
from pipeline import recipe, run
from pipeline.run import FILE, LEDGER, SKIPPED
from pipeline.settings import Recipe


def made(*overrides: str) -> Recipe:
    return recipe.read("scripted", overrides=["data.limit=10", *overrides])


def start(out: Path, *overrides: str, again: bool = False, ledger: str | None = None) -> run.Run:
    return asked(run.start(str(out), made(*overrides), 20, again=again, ledger=ledger))


def asked(opened: run.Run) -> run.Run:
    """Leave what a run leaves that has asked something."""
    (opened.place / LEDGER / "p0" / "1.seg").write(b"")
    return opened


def kept(out: Path) -> dict[str, object]:
    told: dict[str, object] = json.loads((out / FILE).read_text())
    return told


def test_a_new_directory_says_what_it_is_a_run_of(tmp_path: Path) -> None:
    opened = start(tmp_path / "deep" / "run")
    told = kept(tmp_path / "deep" / "run")
    assert Recipe.model_validate(told["recipe"]) == made()
    assert told["fingerprint"] == opened.fingerprint
    assert set(run.versions()) >= {"python", "schema", "pyarrow", "ray"}
    assert opened.ledger.path == str(tmp_path / "deep" / "run" / LEDGER)


def test_the_same_recipe_goes_on_and_is_found_again(tmp_path: Path) -> None:
    first = start(tmp_path)
    again = start(tmp_path)
    looked = run.find(str(tmp_path))
    for opened in (again, looked):
        assert (opened.fingerprint, opened.bits, opened.recipe) == (first.fingerprint, first.bits, first.recipe)
        assert opened.ledger.path == first.ledger.path


def test_where_and_how_fast_may_change(tmp_path: Path) -> None:
    start(tmp_path)
    assert start(tmp_path, "cluster.in_flight=2", "cluster.workers=3").recipe.cluster.workers == 3


def test_a_changed_recipe_is_refused_with_the_difference_and_the_ways_on(tmp_path: Path) -> None:
    start(tmp_path)
    before = kept(tmp_path)
    with pytest.raises(RunError) as refused:
        start(tmp_path, "judge.votes=3", "completer.plan=bisect", "cluster.workers=2")
    told = str(refused.value)
    assert "  judge.0.votes: 1 -> 3\n" in told
    assert "  completer.plan: 'confirm' -> 'bisect'\n" in told
    assert "cluster" not in told
    assert f"LEDGER={tmp_path}/{LEDGER}" in told
    assert "AGAIN=1" in told
    assert kept(tmp_path) == before


def test_a_run_that_never_asked_anything_is_as_new(tmp_path: Path) -> None:
    first = run.start(str(tmp_path), made(), 20)
    second = run.start(str(tmp_path), made("judge.votes=3"), 2000)
    assert (first.fingerprint != second.fingerprint, second.bits > first.bits) == (True, True)
    assert kept(tmp_path)["fingerprint"] == second.fingerprint


def test_a_list_of_another_length_is_told_whole(tmp_path: Path) -> None:
    start(tmp_path)
    panel = Recipe.model_validate(made().dump() | {"judge": [*made().dump()["judge"], {"kind": "equations"}]})
    with pytest.raises(RunError, match=r"  judge: \[.*\] -> \[.*equations"):
        run.start(str(tmp_path), panel, 20)


def test_a_reworded_prompt_is_a_change_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(tmp_path)
    monkeypatch.setattr(run, "wordings", lambda _: ["another wording"])
    with pytest.raises(RunError, match="the wording of a prompt"):
        start(tmp_path)


def test_again_takes_the_new_recipe_and_keeps_ledger_and_cut(tmp_path: Path) -> None:
    first = start(tmp_path)
    second = start(tmp_path, "judge.votes=3", again=True)
    assert second.fingerprint != first.fingerprint
    assert (second.bits, second.ledger.path) == (first.bits, first.ledger.path)
    assert start(tmp_path, "judge.votes=3").fingerprint == second.fingerprint  # from now on the recipe of this run
    with pytest.raises(RunError, match=r"judge\.0\.votes: 3 -> 1"):
        start(tmp_path)


@pytest.mark.parametrize(("before", "after"), [("5", "6"), ("5", "5"), ("5", None)])
def test_the_limit_may_be_raised(tmp_path: Path, before: str, after: str | None) -> None:
    def limited(limit: str | None) -> Recipe:
        return recipe.read("scripted", overrides=[f"data.limit={limit}"] if limit else [])

    first = asked(run.start(str(tmp_path), limited(before), 10))
    assert run.start(str(tmp_path), limited(after), 30).bits == first.bits


def test_a_run_that_was_tried_with_a_few_problems_is_cut_anew_for_all_and_finds_what_was_paid_for(
    tmp_path: Path,
) -> None:
    first = run.start(str(tmp_path), made("data.limit=5"), 5)
    asked_of = problems(5)
    with Ledger(first.ledger, shards.part(asked_of[0].id, first.bits)) as ledger:
        ledger.append(b"0123456789abcdef", Sample("4", "stop", 1), 1)
    second = run.start(str(tmp_path), made("data.limit=5000"), 10_000)
    assert second.bits == shards.bits_for(10_000) > first.bits
    assert Ledger(second.ledger, shards.part(asked_of[0].id, second.bits)).find(b"0123456789abcdef")
    assert run.start(str(tmp_path), made("data.limit=5000"), 10_000).bits == second.bits
    assert run.find(str(tmp_path)).bits == second.bits


@pytest.mark.parametrize(("before", "after"), [("6", "5"), (None, "5")])
def test_the_limit_may_not_be_lowered_unless_told_again(tmp_path: Path, before: str | None, after: str) -> None:
    def limited(limit: str | None) -> Recipe:
        return recipe.read("scripted", overrides=[f"data.limit={limit}"] if limit else [])

    asked(run.start(str(tmp_path), limited(before), 10))
    with pytest.raises(RunError, match=rf"data\.limit: {before} -> {after}"):
        run.start(str(tmp_path), limited(after), 10)
    run.start(str(tmp_path), limited(after), 10, again=True)


def test_another_directory_can_share_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(tmp_path / "one")
    monkeypatch.chdir(tmp_path)
    shared = start(tmp_path / "two", "judge.votes=3", ledger=f"one/{LEDGER}")
    monkeypatch.chdir("/")
    assert shared.ledger.path == str(tmp_path / "one" / LEDGER)
    for opened in (run.find(str(tmp_path / "two")), start(tmp_path / "two", "judge.votes=3")):
        assert opened.ledger.path == shared.ledger.path


def test_a_refusal_names_the_ledger_in_which_what_was_paid_for_lies(tmp_path: Path) -> None:
    start(tmp_path / "one")
    start(tmp_path / "two", "judge.votes=3", ledger=str(tmp_path / "one" / LEDGER))
    with pytest.raises(RunError, match=re.escape(f"LEDGER={tmp_path / 'one' / LEDGER})")):
        start(tmp_path / "two", "judge.votes=5")


def test_keys_in_a_ledger_s_uri_are_not_written_down(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="s3://bucket/run is written into files: give its keys") as error:
        start(tmp_path, ledger="s3://AKIAKEY:hush@bucket/run")
    assert "hush" not in str(error.value)
    assert not (tmp_path / FILE).exists()


def test_the_ledger_of_a_run_in_a_store_keeps_the_store_s_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run.ledger(str(tmp_path)) == str(tmp_path / LEDGER)
    monkeypatch.setattr(run, "_read", lambda _: None)
    assert run.ledger("s3://nowhere/run?region=eu-west-1") == f"s3://nowhere/run/{LEDGER}?region=eu-west-1"


def test_a_store_that_is_away_is_an_error_that_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: Place) -> bool:
        raise OSError("the store is away")

    monkeypatch.setattr(Place, "exists", away)
    with pytest.raises(RunError, match=r"run\.json cannot be used: the store is away"):
        run.find(str(tmp_path))


def test_a_run_can_be_moved_with_its_ledger(tmp_path: Path) -> None:
    start(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    assert run.find(str(tmp_path / "there")).ledger.path == str(tmp_path / "there" / LEDGER)


def test_a_ledger_in_a_store_is_remembered_as_a_uri(tmp_path: Path) -> None:
    uri = (tmp_path / "shared").as_uri()
    assert start(tmp_path / "run", ledger=uri).ledger.path == start(tmp_path / "run").ledger.path
    assert kept(tmp_path / "run")["ledger"] == uri


BROKEN = [b"", b"{", b"{}", b"[]", b"null", b"3", b"\xff\xfe", b'{"recipe": {}}', b"[" * 100_000]


@pytest.mark.parametrize("content", BROKEN)
def test_a_run_json_that_cannot_be_read_is_neither_trusted_nor_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    openings: list[Callable[[], run.Run]] = [
        lambda: start(tmp_path),
        lambda: start(tmp_path, again=True),
        lambda: run.find(str(tmp_path)),
    ]
    for opening in openings:
        with pytest.raises(RunError, match=r"run\.json cannot be read .*restore it, or give another OUT"):
            opening()
    assert (tmp_path / FILE).read_bytes() == content


def test_a_run_of_a_version_with_other_settings_says_so_and_can_be_made_again(tmp_path: Path) -> None:
    start(tmp_path)
    told = kept(tmp_path)
    told["recipe"] = {**made().dump(), "gone": 1}
    (tmp_path / FILE).write_text(json.dumps(told))
    openings: list[Callable[[], run.Run]] = [lambda: start(tmp_path), lambda: run.find(str(tmp_path))]
    for opening in openings:
        with pytest.raises(RunError, match="settings this version does not know \\(gone"):
            opening()
    start(tmp_path, again=True)
    run.find(str(tmp_path))


def test_a_folder_without_a_run_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no run: `make synth` makes one"):
        run.find(str(tmp_path / "nothing"))


def test_somebody_elses_readme_is_not_written_over(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("mine")
    with pytest.raises(RunError, match=r"holds a README\.md that would be lost: give a folder of its own"):
        start(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["README.md"]
    readme.unlink()
    start(tmp_path)
    readme.write_text("the run's card")
    start(tmp_path)


def test_what_shards_say_of_their_making_has_no_times_paths_or_places(tmp_path: Path) -> None:
    here, there = start(tmp_path / "here"), start(tmp_path / "there", "cluster.workers=2")
    assert here.metadata() == there.metadata()
    assert str(tmp_path) not in json.dumps(here.metadata())


def test_facts_about_the_source_are_kept(tmp_path: Path) -> None:
    facts = {"commit": "0" * 40, "against": {"math500": 500, "omnimath": None}, "contaminated": 3, "repeated": 0}
    run.start(str(tmp_path), made(), 20, data=facts)
    assert kept(tmp_path)["data"] == facts
    run.start(str(tmp_path / "other"), made(), 20)
    assert "data" not in kept(tmp_path / "other")


def test_a_run_does_not_go_on_with_what_it_was_freed_of(tmp_path: Path) -> None:
    def start(sizes: dict[str, int | None], *, again: bool = False) -> run.Run:
        return asked(run.start(str(tmp_path), made(), 20, again=again, data={"against": sizes}))

    start({"math500": 500, "omnimath": None})
    start({"math500": 500, "omnimath": 4428})
    for now in ({"math500": 500, "omnimath": None}, {"math500": 500}):
        with pytest.raises(RunError, match=r"freed of problems that are in omnimath, which cannot be loaded now"):
            start(now)
    start({"math500": 500}, again=True)


def test_the_plan_does_not_depend_on_the_order_of_tasks(tmp_path: Path) -> None:
    tasks = [Task(problem, "scripted", sample) for problem in problems(40) for sample in range(2)]
    opened = run.start(str(tmp_path), made(), len(tasks))
    assert opened.plan(tasks) == opened.plan(tasks[::-1])
    assert sorted(t.id for part in opened.plan(tasks).values() for t in part) == sorted(t.id for t in tasks)


def test_what_was_left_out_is_kept(tmp_path: Path) -> None:
    opened = start(tmp_path)
    run.leave_out(opened, Loaded(problems(1), rejects=(Reject(3, "no problem", "id\n\x1b[31m"), Reject(4, "empty"))))
    left = [json.loads(line) for line in (tmp_path / SKIPPED).read_text().splitlines()]
    assert left == [
        {"row": 3, "reason": "no problem", "id": "id\n\x1b[31m", "match": None},
        {"row": 4, "reason": "empty", "id": None, "match": None},
    ]


def test_a_run_is_finished_until_it_is_opened_again(tmp_path: Path) -> None:
    opened = start(tmp_path)
    assert "finished" not in run.told(opened.place)
    run.finish(opened)
    assert run.told(opened.place)["finished"] is True
    assert "finished" not in run.told(start(tmp_path, "license=mit").place)
    assert run.told(places.at(tmp_path / "nothing")) == {}


def test_where_a_run_was_decided_anew_from_is_known_until_its_recipe_changes(tmp_path: Path) -> None:
    origin = {"out": "old", "id": "1", "fingerprint": "f"}
    run.write(start(tmp_path), None, origin)
    assert run.told(start(tmp_path).place)["refiltered"] == origin
    assert "refiltered" not in run.told(start(tmp_path, "judge.votes=3", again=True).place)
