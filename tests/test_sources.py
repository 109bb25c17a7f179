"""Sources: real files counted, columns told by name or guess, and every kind of bad input named."""

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from pyarrow import parquet

from data import gather, hub, sources
from data.columns import boxed, gold_answer
from data.errors import PipelineError, SettingError, SourceError
from data.records import Given, Problem
from data.sources import Hub, Loaded, Selection, load


def write(folder: Path, *rows: Any, name: str = "toy.jsonl") -> str:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def refused(name: str, **settings: Any) -> str:
    with pytest.raises(PipelineError) as caught:
        load(name, **settings)
    return str(caught.value)


def given(loaded: Loaded) -> list[Given]:
    return [one for problem in loaded.problems for one in problem.given]


# Real files ---------------------------------------------------------------------------------------------------------


def test_gsm8k_has_its_golds_after_the_marks(shared_data: Path) -> None:
    loaded = load(str(shared_data / "gsm8k" / "test.jsonl"))
    assert len(loaded.problems) == 1319
    assert loaded.rejects == ()
    assert (loaded.problems[0].gold, loaded.problems[0].dataset) == ("18", "test")
    assert all(problem.gold and len(problem.gold) < 12 for problem in loaded.problems)
    assert "problem <- question; gold <- answer" in loaded.notes
    assert "gold answers found after #### (1319)" in loaded.notes


def test_gsm8k_example_solutions_come_from_four_policies(shared_data: Path) -> None:
    path = str(shared_data / "gsm8k" / "example_model_solutions.jsonl")
    loaded = load(path)
    assert (len(loaded.problems), len(given(loaded)), loaded.rejects) == (1319, 5276, ())
    policies = ["6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification"]
    assert [one.policy for one in loaded.problems[0].given] == policies
    assert loaded.problems[0].given[0].text.startswith("Janet eats 3 ducks eggs")
    named = load(path, columns={"solutions": [f"{policy}.solution" for policy in policies]})
    assert named.problems == loaded.problems
    golds = {problem.text: problem.gold for problem in load(str(shared_data / "gsm8k" / "test.jsonl")).problems}
    assert all(golds[problem.text] == problem.gold for problem in loaded.problems)


def test_math500_samples_are_32_a_problem(shared_data: Path) -> None:
    loaded = load(str(shared_data / "bon" / "strictprm_math500_n32.jsonl"))
    assert (len(loaded.problems), len(given(loaded)), loaded.rejects) == (252, 8064, ())
    assert {len(problem.given) for problem in loaded.problems} == {32}
    named = load(str(shared_data / "bon" / "strictprm_math500_n32.jsonl"), columns={"solutions": "candidates.response"})
    assert named.problems == loaded.problems


def test_math500_keeps_ids_levels_and_answers(shared_data: Path) -> None:
    loaded = load(str(shared_data / "math" / "math500.jsonl"))
    assert len(loaded.problems) == 500
    first = loaded.problems[0]
    assert (first.id, first.level) == ("test/precalculus/807.json", "2")
    assert first.gold == r"\left( 3, \frac{\pi}{2} \right)"
    assert given(loaded) == []


def test_the_box_of_a_worked_solution_is_the_answer_column(shared_data: Path) -> None:
    path = str(shared_data / "math" / "math500.jsonl")
    from_boxes = [problem.gold for problem in load(path, columns={"gold": "solution"}).problems]
    assert from_boxes == [problem.gold for problem in load(path).problems]


def test_processbench_steps_are_one_given_solution(shared_data: Path) -> None:
    loaded = load(str(shared_data / "processbench" / "gsm8k.jsonl"))
    assert (len(loaded.problems), len(given(loaded)), loaded.rejects) == (400, 400, ())
    assert loaded.problems[0].given[0].policy == "Qwen2-7B-Instruct"
    assert "\n\n" in loaded.problems[0].given[0].text
    assert any("400 problems have no gold answer" in note for note in loaded.notes)


# Files ----------------------------------------------------------------------------------------------------------------


def test_the_same_rows_in_every_kind_of_file_are_the_same_problems(tmp_path: Path) -> None:
    rows = [{"id": f"n{i}", "problem": f"What is {i}?\nSay, “it”.", "answer": str(i)} for i in range(5)]
    lines = load(write(tmp_path, *rows))
    (tmp_path / "toy.json").write_text("\n" + json.dumps(rows, indent=1), encoding="utf-8-sig")
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "toy.parquet")
    with (tmp_path / "toy.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["id", "problem", "answer"])
        writer.writeheader()
        writer.writerows(rows)
    assert len(lines.problems) == 5
    for suffix in ("json", "parquet", "csv"):
        assert load(str(tmp_path / f"toy.{suffix}")).problems == lines.problems


def test_json_lines_may_be_named_json(tmp_path: Path) -> None:
    path = write(tmp_path, {"problem": "a"}, {"problem": "b"}, name="toy.json")
    assert len(load(path).problems) == 2


def test_whatever_a_line_holds_is_text(tmp_path: Path) -> None:
    texts = ["x" * 1_000_000, "a\0b", "\u2028 and \x85 are no line ends", "</paragraph> \\boxed{1}", "{" * 100_000]
    loaded = load(write(tmp_path, *({"problem": text} for text in texts)))
    assert [problem.text for problem in loaded.problems] == texts
    path = tmp_path / "big.csv"
    path.write_text('problem,answer\n"' + "x" * 1_000_000 + '",1\n"a\0b",2\n')
    assert [len(problem.text) for problem in load(str(path)).problems] == [1_000_000, 3]


def test_lone_surrogates_become_valid_text(tmp_path: Path) -> None:
    path = tmp_path / "toy.jsonl"
    path.write_text('{"problem": "a\\ud800b", "answer": "\\udfff1", "response": "\\ud83d\\ude00 \\ud83d"}\n')
    (problem,) = load(str(path)).problems
    assert (problem.text, problem.gold, problem.given) == ("a\ufffdb", "\ufffd1", (Given("😀 \ufffd"),))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("toy.jsonl", b'{"problem": "a"}\n\n{"problem": \n', r"toy.jsonl, line 3: not JSON"),
        ("toy.jsonl", b'{"problem": "a"}\n{"problem": "caf\xe9"}\n', r"toy.jsonl, line 2: not UTF-8"),
        ("toy.jsonl", b'{"problem": "a"}\n["b"]\n', r"toy.jsonl, line 2: expected an object with columns, found list"),
        ("toy.jsonl", b'{"problem": "a"}\n{"problem": "b"', r"toy.jsonl, line 2: not JSON"),
        ("toy.jsonl", b'{"problem": ' + b"[" * 100_000 + b"\n", "line 1: JSON that cannot be read"),
        ("toy.jsonl", b'{"problem": ' + b"9" * 10_000 + b"}\n", "line 1: JSON that cannot be read"),
        ("toy.jsonl", b"", "holds no rows"),
        ("toy.jsonl", b"\xff\xfe{\x00", "line 1: not UTF-8"),
        ("toy.json", b'[{"problem": "a"},\n nonsense]', "toy.json: not JSON at line 2"),
        ("toy.json", b'[{"problem": "a"}, 3]', "toy.json, row 2: expected an object"),
        ("toy.csv", b"problem,answer\na,1\nb,2,3\n", "toy.csv, line 3: more cells"),
        ("toy.csv", b"problem,answer\na,1\ncaf\xe9,2\n", "toy.csv, line 3: not UTF-8"),
        ("toy.csv", b"problem,answer\n", "holds no rows"),
        ("toy.csv", b"problem,a,,a,\np,1,2,3,\n", "toy.csv, line 1: several columns are called 'a'"),
        ("toy.json", b'\n{\n "rows": [{"problem": "a"}]\n}\n', "toy.json, line 2: one object over many lines"),
        ("toy.parquet", b"PAR1 or not", "not Parquet"),
        ("toy.txt", b"a", "toy.txt: no reader for .txt; use .jsonl"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_named_with_its_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message):
        load(str(tmp_path / name))


def test_a_file_of_another_kind_is_told_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "toy.tsv").write_text("problem")
    with pytest.raises(SourceError, match=r"no reader for \.tsv"):
        sources.known(str(tmp_path / "toy.tsv"))


def test_a_missing_file_is_missing_not_a_dataset_of_the_hub(tmp_path: Path) -> None:
    assert "there is no such file" in refused("some/where.jsonl")
    assert "there is no such file" in refused(str(tmp_path / "x.parquet"))


# Columns --------------------------------------------------------------------------------------------------------------


def test_named_columns_win_over_guesses(tmp_path: Path) -> None:
    row = {"problem": "wrong", "q": {"text": "right"}, "answer": 1, "n": 7, "hard": "very", "out": ["a", "b"]}
    mapping = {"problem": "q.text", "gold": "n", "level": "hard", "solutions": "out"}
    (problem,) = load(write(tmp_path, row), columns=mapping).problems
    assert (problem.text, problem.gold, problem.level) == ("right", "7", "very")
    assert problem.given == (Given("a"), Given("b"))


def test_an_empty_name_turns_a_guess_off(tmp_path: Path) -> None:
    path = write(tmp_path, {"problem": "a", "answer": "1", "response": "so 1"})
    (problem,) = load(path, columns={"solutions": "", "gold": ""}).problems
    assert (problem.text, problem.gold, problem.given) == ("a", None, ())


def test_a_wrong_column_name_is_told_with_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path, {"question": "a", "answer": "1"})
    told = refused(path, columns={"problem": "qestion"})
    assert "no column 'qestion' (for problem); did you mean 'question'? there are: question, answer" in told
    assert "did you mean 'gold'?" in refused(path, columns={"golds": "answer"})
    assert "no column looks like a problem" in refused(write(tmp_path, {"a": 1, "b": 2}))


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (["a", "b"], [Given("a", "m"), Given("b", "m")]),
        ("a", [Given("a", "m")]),
        ([{"response": "a"}, {"solution": "b", "model": "x"}], [Given("a", "m"), Given("b", "x")]),
        ({"text": "a"}, [Given("a", "m")]),
        ("", [Given("", "m")]),
    ],
)
def test_given_solutions_may_be_text_lists_or_objects(tmp_path: Path, cell: Any, expected: list[Given]) -> None:
    path = write(tmp_path, {"problem": "p", "out": cell, "generator": "m"})
    assert given(load(path, columns={"solutions": "out"})) == expected


def test_a_solution_that_is_no_text_is_told_and_the_others_stay(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, {"problem": "p", "id": "x", "responses": ["a", None, 3, "b"]}))
    assert [one.text for one in given(loaded)] == ["a", "b"]
    assert [(one.row, one.reason, one.id) for one in loaded.rejects] == [
        (1, "solution 1 of responses is not text", "x"),
        (1, "solution 2 of responses is not text", "x"),
    ]


@pytest.mark.parametrize("steps", [[{"text": "a"}, {"text": "b"}], [1, 2], ["a", None]])
def test_steps_that_are_no_texts_are_no_solutions_each(tmp_path: Path, steps: list[Any]) -> None:
    path = write(tmp_path, {"problem": "p", "steps": steps, "response": "c"})
    assert "row 1: steps: a list of steps holds texts alone" in refused(path)
    assert given(load(path, columns={"solutions": "response"})) == [Given("c")]


def test_a_row_without_its_solution_is_told(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, {"problem": "p", "response": "a"}, {"problem": "q", "response": None}))
    assert [(one.row, one.reason) for one in loaded.rejects] == [(2, "no solution given")]


@pytest.mark.parametrize(
    ("cell", "gold", "how"),
    [
        ("2 + 2 = 4\n#### 1,234 ", "1,234", "after ####"),
        ("#### 1\n#### 2", "2", "after ####"),
        ("So 4.\nA: 18", "18", "after A:"),
        ("A:B", "A:B", "as it stands"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}", "in the last \\boxed"),
        (r"\boxed{1", r"\boxed{1", "as it stands"),
        (27.0, "27", "as it stands"),
        (Decimal("4.50"), "4.50", "as it stands"),
        (0, "0", "as it stands"),
        (0.5, "0.5", "as it stands"),
        (0.00002, "0.00002", "as it stands"),
        (-1.5e-7, "-0.00000015", "as it stands"),
        (1e22, "10000000000000000000000", "as it stands"),
        (Decimal("1E+3"), "1000", "as it stands"),
        (["3", "4"], "3, 4", "as it stands"),
        ("  ", None, None),
        (None, None, None),
        (float("nan"), None, None),
        (float("inf"), "inf", "as it stands"),
        ([], None, None),
        ({"a": 1}, None, None),
        ("####", "####", "as it stands"),
    ],
)
def test_gold_answers(cell: Any, gold: str | None, how: str | None) -> None:
    assert gold_answer(cell) == (gold, how)


def test_a_worked_solution_without_a_box_has_no_gold_answer() -> None:
    assert gold_answer("It is 4.", worked=True) == (None, None)
    assert gold_answer(r"It is $\boxed 4$.", worked=True) == ("4", "in the last \\boxed")


@pytest.mark.parametrize(
    "hostile", ["\\boxed{" * 20_000, "{" * 100_000, "\\boxed{" + "{}" * 500_000, "\\boxed{" + "{" * 1_000_000]
)
def test_boxes_that_never_close_are_none(hostile: str) -> None:
    assert boxed(hostile) is None


# Rows -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [None, "", " \n", 3, ["a"], {"a": 1}])
def test_a_row_without_a_problem_is_rejected_and_the_rest_goes_on(tmp_path: Path, text: Any) -> None:
    loaded = load(write(tmp_path, {"problem": "p", "answer": "1"}, {"problem": text, "answer": "2"}))
    assert len(loaded.problems) == 1
    assert [(one.row, one.reason) for one in loaded.rejects] == [(2, "no problem text in problem")]
    assert "left out: no problem text in problem (1, the first in row 2)" in loaded.notes


def test_a_source_of_which_no_row_can_be_used_is_an_error(tmp_path: Path) -> None:
    assert "no row can be used; the first: row 1: no problem text" in refused(write(tmp_path, {"problem": None}))


def test_a_gold_answer_inside_an_object_is_asked_for_by_its_name(tmp_path: Path) -> None:
    path = write(tmp_path, {"problem": "p", "answer": {"value": 4}})
    (reject,) = load(path).rejects
    assert reject.reason == "answer is no text or number; what lies in an object is named OBJECT.FIELD"
    assert load(path, columns={"gold": "answer.value"}).problems[0].gold == "4"


def test_a_missing_gold_answer_keeps_the_problem(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, {"problem": "p", "answer": "1"}, {"problem": "q", "answer": None}, {"problem": "r"}))
    assert [problem.gold for problem in loaded.problems] == ["1", None, None]
    assert any(note.startswith("2 problems have no gold answer") for note in loaded.notes)


def test_missing_ids_are_hashes_of_the_text_alone(tmp_path: Path) -> None:
    one = load(write(tmp_path, {"problem": "p"}, {"problem": "q", "id": ""})).problems
    two = load(write(tmp_path, {"problem": "q", "level": 3}, {"problem": "p", "id": None})).problems
    assert {problem.id for problem in one} == {problem.id for problem in two}
    assert one[0].id.startswith("toy-")
    assert len(one[0].id) == len("toy-") + 12


def test_repeated_ids(tmp_path: Path) -> None:
    loaded = load(
        write(
            tmp_path,
            {"id": 1, "problem": "p", "answer": "1", "response": "a"},
            {"id": 1, "problem": "p", "answer": "1", "response": "a"},
            {"id": 1, "problem": "p", "answer": "1", "response": "b"},
            {"id": 1, "problem": "p", "answer": "2", "response": "c"},
            {"id": 1, "problem": "x", "answer": "1", "response": "d"},
        )
    )
    assert loaded.problems == (Problem("1", "toy", "p", "1", given=(Given("a"), Given("b"))),)
    assert "1 rows repeat an earlier one and count once" in loaded.notes
    assert [(one.row, one.id) for one in loaded.rejects] == [(4, "1"), (5, "1")]
    assert {one.reason for one in loaded.rejects} == {"the id stands for another problem in an earlier row"}


def test_the_limit_counts_problems_and_ends_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, *({"problem": f"p{i // 2}", "response": f"r{i}"} for i in range(8)))
    with Path(path).open("a") as file:
        file.write("not JSON\n")
    monkeypatch.setattr(gather, "PEEK", 2)
    loaded = load(path, 2)
    assert [len(problem.given) for problem in loaded.problems] == [2, 2]
    assert "line 9: not JSON" in refused(path)
    assert "limit=0" in refused(path, limit=0)


# By name, from the Hub, from a folder -----------------------------------------------------------------------------


def test_made_datasets_have_a_size_and_a_seed() -> None:
    assert len(load("arith").problems) == 500
    assert load("arith", 3).problems == load("arith", 5).problems[:3]
    assert load("scripted", 3, seed=1).problems != load("scripted", 3, seed=2).problems
    assert not {one.id for one in load("arith", 9).problems} & {one.id for one in load("arith", 9, seed=1).problems}


@pytest.mark.parametrize(
    ("setting", "given"),
    [
        ("columns", {"problem": "q"}),
        ("revision", "abc"),
        ("config", "main"),
        ("split", "test"),
        ("against", ["math500"]),
        ("select", Selection(pass_rate=(0.1, 0.9))),
        ("select", Selection(balance=2)),
        ("select", Selection(pick="random")),
    ],
)
def test_what_made_problems_would_ignore_is_refused(setting: str, given: Any) -> None:
    for name in ("arith", "scripted"):
        assert f": the problems of {name} are made, not read: leave it out" in refused(name, **{setting: given})


def test_what_a_file_or_a_folder_would_ignore_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {"problem": "a"})
    told = f"data.revision, data.config, data.split: {path} is a file: leave them out"
    assert told in refused(path, revision="abc", config="main", split="test")
    assert "data.revision: " in refused(str(tmp_path), revision="abc")


def test_every_hub_entry_is_pinned_to_a_commit() -> None:
    hubs = [entry for entry in sources.TABLE.values() if isinstance(entry, Hub)]
    assert len(hubs) == 15
    assert all(hub.revision and len(hub.revision) == 40 for hub in hubs)


def test_an_unknown_name_says_what_can_be_given() -> None:
    told = refused("gsm9k")
    assert "give one of arith, scripted, gsm8k, math, " in told
    assert all(name in told for name in sources.TABLE)


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(hub, "reachable", lambda: False)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["gsm8k", "math", "math500", "nobody/nothing"])
def test_without_a_network_a_hub_name_says_what_to_give_instead(name: str) -> None:
    before = datasets.config.HF_HUB_OFFLINE
    assert "DATASET=path/to/file.jsonl" in refused(name)
    assert before == datasets.config.HF_HUB_OFFLINE


@pytest.mark.usefixtures("no_network")
def test_a_local_folder_is_read_as_the_hub_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    write(folder, {"question": "one", "answer": "#### 1"}, {"question": "two", "answer": "#### 2"}, name="train.jsonl")
    write(folder, {"question": "three", "answer": "#### 3"}, name="test.jsonl")
    loaded = load(str(folder))
    assert [(problem.text, problem.gold, problem.dataset) for problem in loaded.problems] == [
        ("one", "1", "set"),
        ("two", "2", "set"),
    ]
    assert [problem.text for problem in load(str(folder), split="test").problems] == ["three"]
    assert "validation" in refused(str(folder), split="validation")
    monkeypatch.setitem(sources.TABLE, "toy", Hub(str(folder), columns={"problem": "question", "gold": "answer"}))
    assert [problem.dataset for problem in load("toy", 1).problems] == ["toy"]


def test_a_setting_error_is_no_source_error(tmp_path: Path) -> None:
    with pytest.raises(SettingError):
        load(write(tmp_path, {"problem": "a"}), limit=-1)
