"""ProcessBench's figures by hand; what does not fit is refused or counted."""

import json
from pathlib import Path
from typing import Any

import pytest

from data.errors import SourceError
from pipeline.cli import main
from pipeline.evaluate import benchmark
from stages.metrics import first_below
from stages.processbench import Case, headline, score, tuned

CASES = [
    Case("a", "gsm8k", 2, 4, right=False),
    Case("b", "gsm8k", 2, 4, right=False),
    Case("c", "gsm8k", 0, 4, right=True),
    Case("d", "gsm8k", 1, 4, right=False),
    Case("e", "gsm8k", -1, 3, right=True),
    Case("f", "gsm8k", -1, 3, right=True),
    Case("g", "gsm8k", -1, 3, right=True),
]
SAID = {"a": 2, "b": 0, "c": 3, "d": -1, "e": -1, "f": 1, "g": None}


def test_the_accuracies_and_f1_of_a_case_worked_out_by_hand() -> None:
    one = score(CASES, SAID)["gsm8k"]
    assert (one.error, one.correct) == (0.25, pytest.approx(1 / 3))
    assert one.f1 == pytest.approx(2 * 0.25 * (1 / 3) / (0.25 + 1 / 3))
    assert (one.n, one.undecided, one.coverage) == (7, 1, pytest.approx(6 / 7))
    assert one.offsets == {0: 1, -2: 1, 3: 1}
    assert (one.none_said, one.undecided_wrong) == (1, 0)
    assert (one.named, one.exact) == (4, 1)
    assert (one.answers, one.lucky, one.noticed) == (4, 1, 1)


def test_undecided_is_no_hit_and_told_apart_from_a_miss() -> None:
    nothing = score(CASES, {})["gsm8k"]
    assert (nothing.error, nothing.correct, nothing.f1, nothing.coverage) == (0.0, 0.0, 0.0, 0.0)
    assert (nothing.undecided, nothing.undecided_wrong, nothing.none_said) == (7, 4, 0)


def test_the_headline_is_the_plain_mean_of_the_subsets_however_large() -> None:
    small = [Case("x", "math", 0, 1), Case("y", "math", -1, 1)]
    scores = score([*CASES, *small], {**SAID, "x": 0, "y": -1})
    mean, within = headline(scores.values())
    assert mean == pytest.approx((1.0 + (scores["gsm8k"].f1 or 0)) / 2)
    assert within
    assert within[0] <= mean <= within[1]


def test_a_subset_without_right_solutions_has_no_f1() -> None:
    scores = score(CASES[:4], SAID)
    assert scores["gsm8k"].f1 is None
    assert scores["gsm8k"].within() is None
    assert headline(scores.values()) == (None, None)


def test_the_tuned_threshold_is_the_best_of_all() -> None:
    cases = [
        Case("a", "s", 1, 3),
        Case("b", "s", 0, 2),
        Case("c", "s", -1, 2),
        Case("d", "s", -1, 3),
        Case("e", "s", 2, 3),
    ]
    steps = {"a": [0.9, 0.3, 0.1], "b": [0.5, 0.9], "c": [0.6, 0.8], "d": [0.35, 0.9, 0.9], "e": [0.2, 0.9, 0.1]}

    def f1_at(threshold: float) -> float:
        return score(cases, {name: first_below(one, threshold) for name, one in steps.items()})["s"].f1 or 0.0

    best = max(f1_at(n / 1000) for n in range(1, 1100))
    found = tuned(cases, steps)
    assert found is not None
    assert f1_at(found) == pytest.approx(best)
    assert tuned([], {}) is None
    assert tuned(cases, {}) is None


def row(name: str = "a", **changed: Any) -> dict[str, Any]:
    told = {"id": name, "generator": "m", "problem": "1 + 1?", "steps": ["one", "two"], "label": 1}
    return told | {"final_answer_correct": False} | changed


def written(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (row("b", label=2), "line 2: label 2"),
        (row("b", label=-2), "label -2"),
        (row("b", label=None), "label None"),
        (row("b", label=True), "label True"),
        (row("b", steps=[]), "no ProcessBench row"),
        (row(None), "no ProcessBench row"),  # type: ignore[arg-type]
        (row("a"), "'a' was read before"),
    ],
)
def test_a_row_that_is_no_benchmark_row_is_refused(tmp_path: Path, bad: dict[str, Any], told: str) -> None:
    with pytest.raises(SourceError, match=told):
        benchmark.cases([written(tmp_path / "gsm8k.jsonl", row(), bad)])


def test_an_id_may_not_stand_in_two_files(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="read before"):
        benchmark.cases([written(tmp_path / f"{name}.jsonl", row()) for name in ("gsm8k", "math")])


KNOWN = {"a": Case("a", "gsm8k", 1, 2), "b": Case("b", "gsm8k", -1, 2)}


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"id": "z", "first_error": 0}], "line 1: no solution has the id 'z'"),
        ([{"first_error": 0}], "no solution has the id 'None'"),
        ([{"id": "a", "first_error": 0}, {"id": "a", "first_error": 0}], "line 2: the id 'a' comes a second time"),
        ([{"id": "a", "first_error": 2}], "first_error 2, but 'a' has 2 steps"),
        ([{"id": "a", "first_error": -2}], "first_error -2"),
        ([{"id": "a", "first_error": 0.5}], "first_error 0.5"),
        ([{"id": "a", "first_error": True}], "first_error True"),
        ([{"id": "a", "first_error": "1"}], "first_error '1'"),
        ([{"id": "a", "scores": [0.5]}], "1 scores, but 'a' has 2 steps"),
        ([{"id": "a", "scores": [0.5, None]}], "neither a first_error nor scores"),
        ([{"id": "a", "scores": [0.5, float("nan")]}], "neither a first_error nor scores"),
        ([{"id": "a"}], "neither a first_error nor scores"),
        ([{"id": "a", "scores": [0.5, 0.1]}, {"id": "b", "first_error": 0}], "some rows have first_error and some"),
        ([], "no predictions"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(tmp_path: Path, rows: list[object], told: str) -> None:
    with pytest.raises(SourceError, match=told):
        benchmark.predictions(written(tmp_path / "said.jsonl", *rows), KNOWN)


def test_missing_and_null_predictions_are_counted_as_undecided(tmp_path: Path) -> None:
    said = benchmark.predictions(written(tmp_path / "said.jsonl", {"id": "a", "first_error": None}), KNOWN)
    assert benchmark.missing(KNOWN, said) == "1 solutions have no prediction and count as undecided: b"
    assert score(KNOWN.values(), said.said)["gsm8k"].undecided == 2
    assert benchmark.missing({"a": KNOWN["a"]}, said) is None


def test_numbers_that_a_table_made_floats_are_read(tmp_path: Path) -> None:
    rows = {"id": "a", "first_error": 1.0}, {"id": "b", "first_error": float("nan")}
    assert benchmark.predictions(written(tmp_path / "said.jsonl", *rows), KNOWN).said == {"a": 1, "b": None}
    (case,) = benchmark.cases([written(tmp_path / "gsm8k.jsonl", row(label=1.0))]).values()
    assert case.truth == 1
    assert type(case.truth) is int


def measured(tmp_path: Path, rows: list[object], said: list[object], *more: str) -> dict[str, Any]:
    data = written(tmp_path / "gsm8k.jsonl", *rows)
    told = written(tmp_path / "mine.jsonl", *said)
    arguments = ["--data", str(data), "--predictions", str(told), "--json", str(tmp_path / "out.json"), *more]
    assert main(["evaluate", "processbench", *arguments]) == 0
    figures: dict[str, Any] = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    return figures["mine"]  # type: ignore[no-any-return]


def test_a_file_of_predictions_is_told_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row("a"), row("b", label=-1, final_answer_correct=True), row("c", final_answer_correct=True)]
    figures = measured(tmp_path, rows, [{"id": "a", "first_error": 1}, {"id": "b", "first_error": -1}])
    assert figures["subsets"]["gsm8k"]["f1"] == pytest.approx(2 / 3)
    assert figures["subsets"]["gsm8k"]["right_answers"] == {"n": 2, "wrong_process": 1, "noticed": 0}
    assert figures["f1"] == pytest.approx(2 / 3)
    shown = capsys.readouterr().out
    assert "1 solutions have no prediction" in shown
    assert "| mine      | gsm8k  | 3 | 66.7 (0.0 to 100.0) | 50.0 (9.5 to 90.5)" in shown


def test_scores_are_cut_at_a_threshold_tuned_on_one_subset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row("a"), row("b", label=-1), row("c", label=0)]
    said = [{"id": "a", "scores": [0.9, 0.2]}, {"id": "b", "scores": [0.7, 0.8]}, {"id": "c", "scores": [0.4, 0.1]}]
    figures = measured(tmp_path, rows, said)
    assert figures["threshold"] == 0.7
    assert figures["f1"] == 1.0
    assert "below 0.7 (the best on gsm8k" in capsys.readouterr().out
    assert measured(tmp_path, rows, said, "--threshold", "0.3")["subsets"]["gsm8k"]["error"] == 0.5
    assert "the last step in 66.7% of 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "give --data FILE"),
        (["--run", "nowhere"], "nowhere"),
        (["--data", "missing.jsonl"], "no such file"),
        (["--data", "DATA", "--predictions", "SAID", "--tune", "math"], "--tune one of gsm8k"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    data = written(tmp_path / "gsm8k.jsonl", row("a"))
    said = written(tmp_path / "said.jsonl", {"id": "a", "scores": [0.9, 0.2]})
    given = [{"DATA": str(data), "SAID": str(said)}.get(one, one) for one in arguments]
    assert main(["evaluate", "processbench", *given]) == 2
    assert told in capsys.readouterr().err
