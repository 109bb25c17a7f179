"""Step data of others as a source: steps and labels stay what the dataset made them, and become what a run labels."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from bench.finished import finished
from data import shards, steps
from data.records import Given, Problem, Trace, Verdict
from data.schema import Row
from data.sources import Loaded, load
from judges import given as judge
from stages import solve
from stages.solve import Policy

PRM800K = {
    "question": {"problem": "P", "ground_truth_answer": "7"},
    "label": {
        "steps": [
            {"completions": [{"text": "a", "rating": 1}, {"text": "b", "rating": -1}], "chosen_completion": 0},
            {
                "completions": [{"text": "c", "rating": -1}],
                "chosen_completion": None,
                "human_completion": {"text": "d", "rating": None},
            },
            {"completions": [{"text": "e", "rating": 0}], "chosen_completion": 0, "human_completion": None},
        ]
    },
}
SHEPHERD = {"input": "P? Step 1: a ки\nStep 2: b ки", "label": "P? Step 1: a +\nStep 2: b -", "task": "GSM8K"}
APS = {
    "question": "P",
    "final_answer": "7",
    "question_id": "3",
    "reasoning_steps": [
        {"solution_prefix": text, "mc_value": value}
        for text, value in (("P", 0.5), ("P a", 0.75), ("P a b", 0.0), ("P a c", 1.0), ("P d", 0.25))
    ],
}
ROLLED = {
    "question": "P",
    "final_answer": "7",
    "question_id": "3",
    "reasoning_steps": {
        "text": "P",
        "mc_value": 0.5,
        "children": [
            {
                "text": "a",
                "mc_value": 0.75,
                "children": [
                    {"text": "b", "mc_value": 0.0, "children": []},
                    {"text": "c", "mc_value": 1.0, "children": []},
                ],
            },
            {"text": "d", "mc_value": 0.25, "children": []},
        ],
    },
}
BENCH = {"id": "x-1", "generator": "m", "problem": "P", "steps": ["a", "b", "c"], "label": 1}
TREE = {
    "problem": "P",
    "nodes": [
        {"id": 0, "parent": -1, "text": "a", "ratings": [1, 1]},
        {"id": 1, "parent": 0, "text": "b", "ratings": [-1]},
        {"id": 2, "parent": 0, "text": "c", "ratings": [], "human": True},
        {"id": 3, "parent": 2, "text": "d", "ratings": [0, -1]},
        {"id": 4, "parent": -1, "text": "e", "ratings": [0]},
    ],
}
TRL = {"prompt": "P\n", "completions": ["a", "b\n\nb"], "labels": [True, False]}


def write(folder: Path, *rows: Any) -> str:
    path = folder / "toy.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def solutions(loaded: Loaded) -> list[tuple[tuple[str, ...], tuple[float | None, ...]]]:
    return [(one.steps, one.ratings) for problem in loaded.problems for one in problem.given]


@pytest.mark.parametrize(
    ("row", "problem", "found"),
    [
        (
            PRM800K,
            Problem("", "toy", "P", "7"),
            [
                (("b",), (0.0,)),
                (("a\n\n", "c"), (1.0, 0.0)),
                (("a\n\n", "d\n\n", "e"), (1.0, None, 0.5)),
            ],
        ),
        (SHEPHERD, Problem("", "GSM8K", "P?", None), [(("Step 1: a\n", "Step 2: b"), (1.0, 0.0))]),
        (
            {"input": "İ? STEP 1: a ки\nStep 2: b ки", "label": "İ? STEP 1: a +\nStep 2: b -"},  # longer in lower case
            Problem("", "toy", "İ?", None),
            [(("STEP 1: a\n", "Step 2: b"), (1.0, 0.0))],
        ),
        (
            APS,
            Problem("", "toy", "P", "7"),
            [((" a", " b"), (0.75, 0.0)), ((" a", " c"), (0.75, 1.0)), ((" d",), (0.25,))],
        ),
        (
            ROLLED,
            Problem("", "toy", "P", "7"),
            [(("a\n\n", "b"), (0.75, 0.0)), (("a\n\n", "c"), (0.75, 1.0)), (("d",), (0.25,))],
        ),
        (
            TREE,
            Problem("", "toy", "P", None),
            [(("a\n\n", "b"), (1.0, 0.0)), (("a\n\n", "c\n\n", "d"), (1.0, None, None)), (("e",), (0.5,))],
        ),
        (BENCH, Problem("x-1", "toy", "P", None), [(("a\n\n", "b\n\n", "c"), (1.0, 0.0, None))]),
        (BENCH | {"label": 1.0}, Problem("x-1", "toy", "P", None), [(("a\n\n", "b\n\n", "c"), (1.0, 0.0, None))]),
        (BENCH | {"label": -1}, Problem("x-1", "toy", "P", None), [(("a\n\n", "b\n\n", "c"), (1.0, 1.0, 1.0))]),
        (TRL, Problem("", "toy", "P", None), [(("a\n\n", "b\n\nb"), (1.0, 0.0))]),
    ],
)
def test_every_kind_keeps_its_steps_and_labels(
    tmp_path: Path, row: Row, problem: Problem, found: list[tuple[Any, Any]]
) -> None:
    loaded = load(write(tmp_path, row))
    (only,) = loaded.problems
    assert loaded.notes[0].startswith("read as ")
    assert solutions(loaded) == found
    assert (only.dataset, only.text, only.gold) == (problem.dataset, problem.text, problem.gold)
    assert only.id == problem.id or not problem.id
    assert all("".join(one.steps) == one.text for one in only.given)


@pytest.mark.parametrize(
    "row",
    [
        PRM800K | {"label": {"steps": [{"completions": [{"rating": 1}]}]}},
        PRM800K | {"label": {"steps": [{"completions": [], "chosen_completion": 0}]}},
        PRM800K | {"label": {"steps": None}},
        SHEPHERD | {"input": "no first step ки"},
        SHEPHERD | {"label": None},
        TREE | {"nodes": [{"id": 0, "parent": 0, "text": "its own parent", "ratings": []}]},
        TREE | {"nodes": [{"id": 0, "parent": -1, "text": None, "ratings": []}]},
        TREE | {"nodes": [{"id": 1, "parent": -1, "text": "a", "ratings": []}]},
        APS | {"reasoning_steps": [{"mc_value": 1}]},
        APS | {"reasoning_steps": {"text": "P", "children": []}},
        TRL | {"completions": ["a", 1]},
    ],
)
def test_a_row_that_is_not_like_its_neighbours_is_left_out_with_a_reason(tmp_path: Path, row: Row) -> None:
    sound = next(one for one in (PRM800K, SHEPHERD, APS, TREE, TRL) if one.keys() == row.keys())
    loaded = load(write(tmp_path, sound, row))
    assert len(loaded.problems) == 1
    assert [reject.row for reject in loaded.rejects] == [2]


@pytest.mark.parametrize(
    ("row", "faults"),
    [
        (BENCH | {"label": 3}, ["label: 3 is none of the 3 steps (from 0; -1: no error)"]),
        (BENCH | {"label": float("nan")}, []),
        (BENCH | {"label": 1.5}, ["label: 1.5 is none of the 3 steps (from 0; -1: no error)"]),
        (BENCH | {"label": "1"}, ["label: '1' is none of the 3 steps (from 0; -1: no error)"]),
        (BENCH | {"label": True}, ["label: True is none of the 3 steps (from 0; -1: no error)"]),
        (BENCH | {"labels": [1, 0]}, ["labels: 2 values for 3 steps, so none is taken"]),
        (BENCH | {"labels": [1, 2, None]}, ["labels: 2 is no label from 0 to 1"]),
        (
            TREE | {"nodes": [{"id": 0, "parent": -1, "text": "a", "ratings": [1, 7]}]},
            ["ratings: 7 is none of -1, 0, 1"],
        ),
        (TRL | {"labels": [True]}, ["labels: 1 values for 2 steps, so none is taken"]),
        (
            TRL | {"labels": [True, "x" * 90]},
            ["labels: 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx is no label from 0 to 1"],
        ),
        (SHEPHERD | {"label": "P? Step 1: a +\nStep 2: b"}, ["label: no + or - after step 1 (from 0)"]),
        (
            APS | {"reasoning_steps": [{"solution_prefix": "P a", "mc_value": 3}]},
            ["mc_value: 3 is no label from 0 to 1"],
        ),
        (
            ROLLED | {"reasoning_steps": ROLLED["reasoning_steps"] | {"mc_value": -1}},
            ["mc_value: -1 is no label from 0 to 1"],
        ),  # type: ignore[operator]  # rows are of any shape
        (
            {"question": {"problem": "P"}, "label": {"steps": [{"completions": [{"text": "a", "rating": 5}]}]}},
            ["rating: 5 is none of -1, 0, 1"],
        ),
    ],
)
def test_labels_that_cannot_be_meant_are_told_with_row_and_column(tmp_path: Path, row: Row, faults: list[str]) -> None:
    loaded = load(write(tmp_path, row))
    assert [(reject.row, reject.reason) for reject in loaded.rejects] == [(1, fault) for fault in faults]
    assert len(loaded.problems) == 1


@pytest.mark.parametrize(
    "row", [PRM800K, SHEPHERD, APS, ROLLED, TREE, BENCH, TRL, BENCH | {"label": None}, BENCH | {"label": math.nan}]
)
def test_sound_labels_have_no_faults(tmp_path: Path, row: Row) -> None:
    assert load(write(tmp_path, row)).rejects == ()


def test_a_file_of_mixed_kinds_is_read_as_its_first_row(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, APS, ROLLED, PRM800K, SHEPHERD, BENCH | {"question": 5}, TRL))
    assert len(loaded.problems) == 1  # the tree is of the same problem
    assert len(loaded.problems[0].given) == 6
    assert [reject.row for reject in loaded.rejects] == [3, 4, 5, 6]


def test_a_deep_tree_is_read(tmp_path: Path) -> None:
    node: Row = {"text": "end", "mc_value": 1.0, "children": []}
    for _ in range(150):
        node = {"text": "a", "mc_value": 1.0, "children": [node]}
    (problem,) = load(write(tmp_path, ROLLED | {"reasoning_steps": node})).problems
    assert len(problem.given[0].steps) == 150


def test_columns_that_are_named_are_taken_at_their_word(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, BENCH), columns={"problem": "generator", "solutions": "problem"})
    assert [(p.text, p.given) for p in loaded.problems] == [("m", (Given("P", "m"),))]


def test_steps_beside_several_solutions_are_not_theirs(tmp_path: Path) -> None:
    (problem,) = load(write(tmp_path, {"problem": "P", "steps": ["x"], "solutions": ["a", "b"]})).problems
    assert [one.text for one in problem.given] == ["a", "b"]


def test_labels_that_do_not_fit_the_steps_are_no_labels() -> None:
    assert steps.given(["a", "b"], [1]).ratings == ()
    assert steps.given(["a", "b"], [None, 2]).ratings == ()
    assert steps.given(["a", "b"], [float("nan"), True]).ratings == (None, 1.0)
    assert steps.given([], []).text == ""


def test_line_ends_that_are_there_are_not_doubled() -> None:
    assert steps.given(["a\n\n", "b", "c\n"]).steps == ("a\n\n", "b\n\n", "c\n")


def test_given_steps_are_never_split_again(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, BENCH | {"steps": ["one\n\ntwo", "three"], "label": -1}))
    (task,) = solve.tasks(loaded.problems, [Policy("p")])
    assert (task.given, task.steps, task.ratings) == ("one\n\ntwo\n\nthree", ("one\n\ntwo\n\n", "three"), (1.0, 1.0))


def test_tasks_with_other_steps_or_labels_are_other_tasks(tmp_path: Path) -> None:
    digests = set()
    for row in (BENCH, BENCH | {"label": 2}, BENCH | {"steps": ["a\n\nb", "c"]}):
        digests.add(shards.digest(solve.tasks(load(write(tmp_path, row)).problems, [Policy("p")])))
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("ratings", "verdict"),
    [
        ((1.0, 0.0, None), Verdict(1, (1,))),
        ((1.0, 0.5, 1.0), Verdict(-1, (-1,))),
        ((None, 0.0, 1.0), Verdict(None, (None,), judge.UNRATED_BEFORE)),
        ((0.0, None, None), Verdict(0, (0,))),
        ((), Verdict(None, (None,), judge.NO_RATINGS)),
    ],
)
def test_the_dataset_judges(ratings: tuple[float | None, ...], verdict: Verdict) -> None:
    assert judge.Given().read(Trace("P", ("a", "b", "c"), None, ratings=ratings)) == verdict


def test_a_run_on_step_data_keeps_steps_and_labels(tmp_path: Path) -> None:
    source = write(tmp_path, BENCH, BENCH | {"id": "x-2", "label": -1, "steps": ["a\n\nb", "\\boxed{3}"]})
    alone = ("judge.kind=given", "completer.plan=none", "consensus.rule=judge", "solutions=given")
    finished(tmp_path / "run", source, *alone)
    rows = {row["problem_id"]: row for row in shards.read(tmp_path / "run").to_pylist()}
    assert rows["x-1"]["steps"] == ["a\n\n", "b\n\n", "c"]
    assert rows["x-1"]["labels"] == [True, False]
    assert rows["x-1"]["ratings"] == [1.0, 0.0, None]
    assert rows["x-2"]["completions"] == ["a\n\nb", "\\boxed{3}"]
    assert rows["x-2"]["first_error"] == -1


# Real rows ------------------------------------------------------------------------------------------------------------


def test_every_rating_of_prm800k_comes_in(shared_data: Path) -> None:
    path = shared_data / "rollout_samples" / "prm800k_raw_6.jsonl"
    loaded = load(str(path))
    assert (len(loaded.problems), loaded.rejects) == (6, ())
    for row, problem in zip(map(json.loads, path.read_text().splitlines()), loaded.problems, strict=True):
        rated = {
            (number, one["text"], {-1: 0.0, 0: 0.5, 1: 1.0}[one["rating"]])
            for number, step in enumerate(row["label"]["steps"])
            for one in step["completions"] or []
        }
        found = {
            (number, step.removesuffix("\n\n"), rating)
            for one in problem.given
            for number, (step, rating) in enumerate(zip(one.steps, one.ratings, strict=True))
            if rating is not None
        }
        assert found == rated


def test_every_prefix_of_math_aps_is_a_step_of_a_solution(shared_data: Path) -> None:
    path = shared_data / "rollout_samples" / "math_aps_3.jsonl"
    loaded = load(str(path))
    assert (len(loaded.problems), loaded.rejects) == (3, ())
    for row, problem in zip(map(json.loads, path.read_text().splitlines()), loaded.problems, strict=True):
        rates = {one["solution_prefix"]: one["mc_value"] for one in row["reasoning_steps"]}
        found = {
            problem.text + "".join(one.steps[: number + 1]): rating
            for one in problem.given
            for number, rating in enumerate(one.ratings)
        }
        assert found == {text: rate for text, rate in rates.items() if text != problem.text}


def test_every_leaf_of_a_math_aps_tree_is_a_solution(shared_data: Path) -> None:
    path = shared_data / "rollout_samples" / "math_aps_tree_3.jsonl"
    loaded = load(str(path))
    assert (len(loaded.problems), loaded.rejects) == (3, ())
    for row, problem in zip(map(json.loads, path.read_text().splitlines()), loaded.problems, strict=True):
        assert {one.text for one in problem.given} == set(leaves(row["reasoning_steps"], ()))
        assert all(len(one.ratings) == len(one.steps) for one in problem.given)


def leaves(node: Any, above: tuple[str, ...]) -> list[str]:
    if not node["children"]:
        return ["\n\n".join(above)]
    return [text for one in node["children"] for text in leaves(one, (*above, one["text"]))]


def test_math_shepherd_tells_problem_steps_and_signs_apart(shared_data: Path) -> None:
    loaded = load(str(shared_data / "rollout_samples" / "math_shepherd_7.jsonl"))
    assert len(loaded.problems) == 7
    assert all(problem.text.endswith(("?", ".")) for problem in loaded.problems)
    first = loaded.problems[0].given[0]
    assert first.ratings == (1.0, 1.0, 1.0, 1.0, 0.0)
    assert first.steps[-1].startswith("Step 5: ")
    assert first.steps[-1].endswith("The answer is: 13520")


def test_processbench_labels_are_first_errors(shared_data: Path) -> None:
    path = shared_data / "processbench" / "gsm8k.jsonl"
    loaded = load(str(path))
    for row, problem in zip(map(json.loads, path.read_text().splitlines()), loaded.problems, strict=True):
        (one,) = problem.given
        error = one.ratings.index(0.0) if 0.0 in one.ratings else -1
        assert (len(one.steps), error) == (len(row["steps"]), row["label"])
