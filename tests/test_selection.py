"""Selection: levels, samples that grow, repeats, pass rates, balance; and evaluation sets kept out of a source."""

import json
import random
from pathlib import Path
from typing import Any

import datasets
import pytest

from data import hub, shards, sources
from data.errors import PipelineError, RunError, SettingError, SourceError
from data.records import Task
from data.selection import CONTAMINATED, REPEATED, Selection
from data.shards import Seal
from data.sources import Hub, Loaded, load
from pipeline import recipe, run
from pipeline.verbs import synth
from stages import solve


def write(folder: Path, *rows: Any, name: str = "toy.jsonl") -> str:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def ids(loaded: Loaded) -> list[str]:
    return [problem.id for problem in loaded.problems]


ROWS = [{"id": str(n), "problem": f"What is {n} + {n}?", "level": f"Level {n % 5 + 1}"} for n in range(100)]


def test_levels_are_told_with_or_without_their_word(tmp_path: Path) -> None:
    path = write(tmp_path, *ROWS)
    for levels in (("5",), ("level 5",), ("Level 5",)):
        assert ids(load(path, select=Selection(levels))) == [str(n) for n in range(100) if n % 5 == 4]
    found = load(path, 3, select=Selection(("2", "3")))
    assert ids(found) == ["1", "2", "6"]
    assert "4 rows are of another level" in found.notes  # those read until there were three


def test_a_level_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"data.levels=9: no such level in .*; there are: 1 \(20\), 2 \(20\)"):
        load(write(tmp_path, *ROWS), select=Selection(("9",)))
    with pytest.raises(SettingError, match=r"no problem has one; name its column: data.columns.level"):
        load(write(tmp_path, {"problem": "p"}), select=Selection(("9",)))
    with pytest.raises(SettingError, match=r"no such level in arith; there are: easy"):
        load("arith", 9, select=Selection(("9",)))
    assert {one.level for one in load("arith", 9, select=Selection(("easy", "hard"))).problems} == {"easy", "hard"}


def test_a_random_sample_is_stable_and_grows(tmp_path: Path) -> None:
    by_chance = Selection(pick="random")
    path = write(tmp_path, *ROWS)
    few, more = load(path, 10, select=by_chance), load(path, 30, select=by_chance)
    assert (len(few.problems), len(more.problems)) == (10, 30)
    assert set(ids(few)) < set(ids(more))
    assert ids(few) == sorted(ids(few), key=int)  # in the source's order
    assert ids(few) != [str(n) for n in range(10)]
    shuffled = random.Random(1).sample(ROWS, 100)
    assert set(ids(load(write(tmp_path, *shuffled), 10, select=by_chance))) == set(ids(few))
    spaced = [row | {"problem": f" {row['problem']} ".replace("+", r"\;+")} for row in ROWS]
    assert ids(load(write(tmp_path, *spaced), 10, select=by_chance)) == ids(few)
    assert ids(load(path, 10, select=Selection(pick="random", seed=1))) != ids(few)
    assert len(load(path, select=by_chance).problems) == 100


def test_the_same_problem_written_otherwise_counts_once(tmp_path: Path) -> None:
    rows = [{"problem": "What is $2+2$?"}, {"problem": "what is \\(2 + 2\\) ?"}, {"problem": "What is $2-2$?"}]
    loaded = load(write(tmp_path, *rows), select=Selection())
    assert [problem.text for problem in loaded.problems] == ["What is $2+2$?", "What is $2-2$?"]
    assert [(one.row, one.reason, one.match) for one in loaded.rejects] == [(2, REPEATED, "row 1")]
    assert loaded.facts["repeated"] == 1
    assert f"left out: {REPEATED} (1, the first in row 2)" in loaded.notes
    assert len(load(write(tmp_path, *rows), select=Selection(deduplicate=False)).problems) == 3
    assert len(load(write(tmp_path, *rows), 2, select=Selection()).problems) == 2


def test_a_derivative_is_another_problem_than_its_function(tmp_path: Path) -> None:
    rows = [{"problem": f"Let $f(x) = x^2$. Find $f{prime}(2)$."} for prime in ("", "'", "''", r"^{\prime}", "\u2019")]
    loaded = load(write(tmp_path, *rows), select=Selection())
    assert len(loaded.problems) == 3
    assert [(one.row, one.match) for one in loaded.rejects] == [(4, "row 2"), (5, "row 2")]


def test_problems_that_bring_solutions_are_no_repeats_unless_those_are_left_aside(tmp_path: Path) -> None:
    path = write(tmp_path, *({"id": n, "problem": "P", "response": f"r{n}"} for n in range(3)))
    assert len(load(path, select=Selection()).problems) == 3
    assert len(load(path, select=Selection(given=False)).problems) == 1


FLAGGED = [
    {"id": "a", "problem": "A", "candidates": [{"response": f"{n}", "is_correct": n < 3} for n in range(4)]},
    {"id": "b", "problem": "B", "candidates": [{"response": f"{n}", "is_correct": False} for n in range(4)]},
    {"id": "c", "problem": "C", "candidates": [{"response": "0", "is_correct": True}]},
]


def test_pass_rates_are_a_column_or_the_share_of_right_solutions(tmp_path: Path) -> None:
    path = write(tmp_path, *FLAGGED)
    assert ids(load(path, select=Selection(pass_rate=(0.1, 0.9)))) == ["a"]
    assert ids(load(path, select=Selection(pass_rate=(0.75, 1)))) == ["a", "c"]
    assert ids(load(path, 1, select=Selection(pass_rate=(0.75, 1)))) == ["a"]
    rated = write(tmp_path, *({"id": n, "problem": f"p{n}", "solve_rate": n / 4} for n in range(5)), {"problem": "q"})
    loaded = load(rated, select=Selection(pass_rate=(0.25, 0.5)))
    assert ids(loaded) == ["1", "2"]
    assert "2 of 6 problems have a pass rate from 0.25 to 0.5; 1 have none and are left out" in loaded.notes
    assert ids(load(rated, columns={"pass_rate": "solve_rate"}, select=Selection(pass_rate=(1, 1)))) == ["4"]
    percent = load(
        write(tmp_path, {"id": 1, "problem": "p", "pass_rate": 45}, {"id": 2, "problem": "q", "pass_rate": 0})
    )
    assert [(one.row, one.reason) for one in percent.rejects] == [(1, "pass_rate is not a share from 0 to 1")]


def test_what_the_data_does_not_say_cannot_be_asked_for(tmp_path: Path) -> None:
    plain = write(tmp_path, {"problem": "p", "responses": ["a"]})
    with pytest.raises(SettingError, match=r"no problem has a pass rate: name its column \(data.columns.pass_rate"):
        load(plain, select=Selection(pass_rate=(0, 1)))
    with pytest.raises(SettingError, match=r"data.balance=2: the data does not say which solutions are right: name"):
        load(plain, select=Selection(balance=2))
    with pytest.raises(SettingError, match=r"data.balance=2: the data brings no solutions; or leave"):
        load(write(tmp_path, {"problem": "p"}), select=Selection(balance=2))
    with pytest.raises(SettingError, match=r"data.pass_rate=\[0.9, 0.1\]: give the least and the most"):
        Selection(pass_rate=(0.9, 0.1))
    with pytest.raises(SourceError, match=r"no problem is left; 0 of 3 problems have a pass rate from 0.9 to 0.95"):
        load(write(tmp_path, *FLAGGED), select=Selection(pass_rate=(0.9, 0.95)))


def test_right_and_wrong_solutions_are_balanced(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, *FLAGGED), select=Selection(balance=2))
    assert [[one.right for one in problem.given].count(True) for problem in loaded.problems] == [2, 0, 1]
    assert [len(problem.given) for problem in loaded.problems] == [3, 2, 1]
    assert "given solutions: 3 right and 3 wrong, of 9" in loaded.notes
    one = load(write(tmp_path, *FLAGGED), select=Selection(balance=1))
    assert set(one.problems[0].given) < set(loaded.problems[0].given)


@pytest.mark.parametrize(
    ("row", "columns", "flags"),
    [
        ({"problem": "p", "responses": ["a", "b"], "is_correct": [True, 0]}, {}, [True, False]),
        ({"problem": "p", "responses": ["a", "b"], "ok": [1, None]}, {"right": "ok"}, [True, None]),
        ({"problem": "p", "responses": ["a", "b"], "is_correct": True}, {}, [None, None]),
        ({"problem": "p", "response": "a", "is_correct": "yes"}, {}, [None]),
        ({"problem": "p", "m": {"solution": "a", "is_correct": False}}, {}, [False]),
        ({"problem": "p", "c": [{"response": "a", "correct": True}]}, {"solutions": "c.response"}, [True]),
    ],
)
def test_flags_stand_in_beside_or_where_they_are_named(
    tmp_path: Path, row: Any, columns: dict[str, str], flags: list[bool | None]
) -> None:
    (problem,) = load(write(tmp_path, row), columns=columns).problems
    assert [one.right for one in problem.given] == flags


def test_labelled_steps_say_which_solutions_are_right(tmp_path: Path) -> None:
    rows = [{"problem": "P", "steps": ["a", f"b{n}"], "label": n % 3 - 1} for n in range(9)]
    loaded = load(write(tmp_path, *rows), select=Selection(balance=2))
    assert "given solutions: 2 right and 2 wrong, of 9" in loaded.notes


# Evaluation sets ------------------------------------------------------------------------------------------------------

HELD = "Ann has 14 coins and gives Ben half of them. How many coins does Ann have now?"


def test_problems_of_an_evaluation_set_are_left_out_and_recorded(tmp_path: Path) -> None:
    bench = write(tmp_path, {"id": "e1", "question": HELD}, name="bench.jsonl")
    rows = [{"id": "t1", "problem": HELD.upper()}, {"id": "t2", "problem": HELD.replace("14", "16")}]
    loaded = load(write(tmp_path, *rows), against=[bench])
    assert ids(loaded) == ["t2"]
    (reject,) = loaded.rejects
    assert (reject.row, reject.reason, reject.id) == (1, CONTAMINATED, "t1")
    assert reject.match == f"bench.jsonl: e1: {HELD[:60].strip()}"
    assert loaded.facts == {"against": {bench: 1}, "contaminated": 1, "repeated": 0}
    assert loaded.notes[0] == f"freed of what is in {bench}"
    with pytest.raises(SourceError, match=rf"no row can be used; the first: row 1: {CONTAMINATED} \(.*e1: Ann has"):
        load(write(tmp_path, rows[0]), against=[bench])


def test_an_evaluation_set_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"data.against: .*none.jsonl: there is no such file"):
        load(write(tmp_path, *ROWS), against=[str(tmp_path / "none.jsonl")])


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A training set and two evaluation sets known by name, of which one cannot be loaded."""
    for name, rows in (("train", [{"problem": HELD}, {"problem": "p"}]), ("bench", [{"problem": HELD}])):
        (tmp_path / name).mkdir()
        write(tmp_path / name, *rows, name="train.jsonl")
    entries: dict[str, Hub | sources.Made] = {
        "train": Hub(str(tmp_path / "train")),
        "bench": Hub(str(tmp_path / "bench"), evaluation=True),
        "lost": Hub("nobody/nothing", evaluation=True),
    }
    monkeypatch.setattr(sources, "TABLE", entries)
    monkeypatch.setattr(sources, "EVALUATION", ("bench", "lost"))
    monkeypatch.setattr(hub, "reachable", lambda: False)
    return tmp_path


@pytest.mark.usefixtures("table")
def test_training_sets_known_by_name_are_freed_as_far_as_can_be_and_what_cannot_is_told() -> None:
    loaded = load("train", against=None)
    assert [problem.text for problem in loaded.problems] == ["p"]
    assert loaded.facts == {"against": {"bench": 1, "lost": None}, "contaminated": 1, "repeated": 0}
    (warning,) = [note for note in loaded.notes if "WARNING" in note]
    assert "NOT freed of what is in lost, which cannot be loaded" in warning
    assert "name files of them: data.against=[...] (the first: lost (nobody/nothing cannot be loaded" in warning
    assert len(load("train", against=()).problems) == 2
    with pytest.raises(SourceError, match=r"data.against: nobody/nothing cannot be loaded"):
        load("train", against=["bench", "lost"])


def test_evaluation_sets_and_files_are_not_freed_of_anything_unasked(table: Path) -> None:
    loaded = load("bench", against=None)
    assert len(loaded.problems) == 1
    assert any("is an evaluation set: never train on it" in note for note in loaded.notes)
    assert "against" not in loaded.facts
    assert len(load(str(table / "train" / "train.jsonl"), against=None).problems) == 2


def test_the_commit_is_recorded_and_exactly_that_is_loaded(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []

    def load_dataset(name: str, config: str | None, *, split: str, revision: str | None) -> list[Any]:
        asked.append(revision)
        return [{"problem": f"{name} {config} {split}"}]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.setattr(hub, "reachable", lambda: True)
    monkeypatch.setattr(hub, "_newest", lambda _, revision: f"newest of {revision}")
    assert load("owner/name").facts["commit"] == "newest of None"
    assert load("owner/name", revision="v1").facts["commit"] == "newest of v1"
    assert load("owner/name", revision="0a" * 20).facts["commit"] == "0a" * 20
    assert "commit" not in load(str(table / "bench")).facts
    monkeypatch.setattr(hub, "reachable", lambda: False)
    assert "commit" not in load("owner/name", revision="v1").facts
    assert asked == ["newest of None", "newest of v1", "0a" * 20, None, "v1"]


# Settings -------------------------------------------------------------------------------------------------------------


def test_settings_select(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, *ROWS)
    bench = write(tmp_path, {"problem": "What is 4+4?"}, name="bench.jsonl")
    chosen = recipe.read(
        path, overrides=["data.levels=[5, 'Level 4']", "data.pick=random", f"data.against=['{bench}']"]
    )
    found = set(ids(synth.load(chosen)))
    assert found == {str(n) for n in range(100) if n % 5 in {3, 4}} - {"4"}
    assert "freed of what is in" in capsys.readouterr().out
    few = recipe.changed(chosen, ["data.limit=5"])
    assert set(ids(synth.load(few))) < found
    assert few.fingerprint() == chosen.fingerprint()
    assert recipe.changed(chosen, ["data.pick=first"]).fingerprint() != chosen.fingerprint()


def test_a_larger_sample_goes_on_with_the_same_run(tmp_path: Path) -> None:
    path = write(tmp_path, *ROWS)

    def plan(limit: int) -> dict[str, tuple[Task, ...]]:
        chosen = recipe.read(path, overrides=["data.pick=random", f"data.limit={limit}"])
        tasks = list(solve.tasks(synth.load(chosen).problems, chosen.policies()))
        made = run.start(str(tmp_path / "run"), chosen, 120)
        (made.ledger / "p0" / "1.seg").write(b"")  # as a run that has asked something
        return made.plan(tasks)

    few, more = plan(20), plan(30)
    assert {task for part in few.values() for task in part} < {task for part in more.values() for task in part}
    same = {name for name in few if few[name] == more[name]}
    seals = {name: Seal(name, shards.digest(tasks), 0, 0, None, None) for name, tasks in few.items()}
    assert set(shards.owed(more, seals)) == more.keys() - same
    assert few.keys() <= more.keys()
    with pytest.raises(RunError, match=r"data\.limit: 30 -> 20"):
        plan(20)


@pytest.mark.parametrize("wrong", ["data.pick=some", "data.pass_rate=[0.9, 0.1]", "data.pass_rate=2", "data.balance=0"])
def test_wrong_settings_are_refused(wrong: str) -> None:
    with pytest.raises(PipelineError, match=wrong.partition("=")[0]):
        recipe.read("scripted", overrides=[wrong])


def test_balance_needs_solutions_that_a_dataset_brings() -> None:
    with pytest.raises(SettingError, match="leave out solutions=sample"):
        Selection(balance=1, given=False)
