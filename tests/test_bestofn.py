"""Best-of-n: which answers are one, figures by hand, and input that does not fit."""

import json
from pathlib import Path
from typing import Any

import pytest

from data.errors import SourceError
from pipeline.cli import main
from pipeline.evaluate import samples
from pipeline.evaluate.bestofn import measure
from pipeline.evaluate.samples import Sample, scored
from stages.alike import alike


def test_answers_are_grouped_by_what_they_are_worth() -> None:
    assert alike(["1/2", r"\frac{1}{2}", "0.5", "2", None, "2.0", ""]) == [0, 0, 0, 1, None, 1, None]
    assert alike([r"\text{yes}", "yes", "no"]) == [0, 0, 1]
    assert alike([]) == []


def test_what_is_in_doubt_is_another_answer() -> None:
    assert alike(["the left one", "the one on the left"]) == [0, 1]
    assert alike(["x" * 3000, "x" * 3000, "x" * 3001]) == [0, 0, 1]


def sample(answer: str, right: bool, *steps: float) -> Sample:
    return Sample(answer, right, *scored(steps))


GROUPS = [
    [
        sample("1", True, 0.9, 0.8),
        sample("1", True, 0.5, 0.9),
        sample("2", False, 0.6, 0.7),
        sample("3", False, 0.1, 0.1),
    ],
    [
        sample("5", False, 0.9, 0.2),
        sample("5", False, 0.9, 0.3),
        sample("7", True, 0.3, 0.9),
        sample("8", False, 0.2, 0.2),
    ],
]


def test_the_figures_of_two_problems_by_hand() -> None:
    told = measure(GROUPS)
    shares = {name: [figure["share"] for figure in one.values()] for name, one in told["methods"].items()}
    assert list(told["methods"]["pass@k"]) == [1, 2, 4]
    assert shares["average@k"] == pytest.approx([3 / 8] * 3)
    assert shares["pass@k"] == pytest.approx([3 / 8, (5 / 6 + 1 / 2) / 2, 1.0])
    assert shares["maj@k"][-1] == 0.5
    assert shares["prm@k, min"] == pytest.approx([3 / 8, (4 / 6 + 2.5 / 6) / 2, 0.75])  # pairs counted; two tie at 0.3
    assert shares["prm@k, last"][-1] == 1.0
    assert shares["prm@k, product"][-1] == 0.75  # .9 x .8 is right; .9 x .3 and .3 x .9 tie, one of them right
    assert shares["vote weighted by min"][-1] == 0.5
    assert told["last_lowest"] == 5 / 8


def test_a_tie_is_worth_its_average() -> None:
    told = measure([[sample("1", True, 0.5), sample("2", False, 0.5), sample("3", False, 0.5)]])
    assert told["methods"]["prm@k, min"][3]["share"] == pytest.approx(1 / 3)
    assert told["methods"]["maj@k"][3]["share"] == pytest.approx(1 / 3)


def test_k_goes_to_what_all_problems_have() -> None:
    told = measure([GROUPS[0], GROUPS[1][:3]])
    assert list(told["methods"]["maj@k"]) == [1, 2, 3]
    assert told["most"] == 4


def test_without_scores_there_is_no_prm() -> None:
    told = measure([[Sample("1", right=True), Sample("2", right=False)]])
    assert list(told["methods"]) == ["average@k", "pass@k", "maj@k"]
    assert told["unscored"] == 2


def candidate(**changed: Any) -> dict[str, Any]:
    return {"response": r"So \boxed{5}.", "correct": True, "scores": [0.9, 0.7]} | changed


def written(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path


def test_three_ways_to_write_samples(tmp_path: Path) -> None:
    prm = candidate(scores=None, prm={"some": [0.7, 0.9, 0.8]})
    rows = [
        {"problem_id": "many", "candidates": [candidate(), candidate(response="no answer", answer="6")]},
        {"problem_id": "kept", "candidates": [prm]},
        {"problem": "one", **candidate()},
        {"problem": "one", **candidate(correct=False)},
    ]
    groups = samples.from_file(written(tmp_path / "samples.jsonl", *rows))
    assert {name: len(group) for name, group in groups.items()} == {"many": 2, "kept": 1, "one": 2}
    assert [one.answer for one in groups["many"]] == ["5", "6"]
    assert groups["kept"][0].scores == {"min": 0.7, "last": 0.9, "mean": 0.8}
    assert groups["kept"][0].last_lowest is False
    assert groups["one"][1].last_lowest is True


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"candidates": [candidate()]}, "no problem_id and no problem"),
        ({"problem_id": "a", "candidates": [candidate(correct=None)]}, "correct is None"),
        ({"problem_id": "a", "candidates": [candidate(correct=1)]}, "correct is 1"),
        ({"problem_id": "a", "candidates": [candidate(scores=[])]}, "a list of numbers"),
        ({"problem_id": "a", "candidates": [candidate(scores=[0.5, float("nan")])]}, "a list of numbers"),
        ({"problem_id": "a", "candidates": [candidate(scores=[True])]}, "a list of numbers"),
        ({"problem_id": "a", "candidates": [candidate(scores=None)]}, "neither scores"),
        ({"problem_id": "a", "candidates": [candidate(scores=None, prm={"x": [0.5]})]}, "have to be 3 numbers"),
        ({"problem_id": "a", "candidates": [candidate(scores=None, prm={"x": [1], "y": [1]})]}, "prm with one scorer"),
        ({"problem_id": "a", "candidates": ["text"]}, "no list of objects"),
        ({"problem_id": "first", "candidates": [candidate()]}, "'first' comes a second time"),
    ],
)
def test_samples_that_do_not_fit_are_refused_with_their_line(tmp_path: Path, row: object, told: str) -> None:
    first = {"problem_id": "first", "candidates": [candidate()]}
    with pytest.raises(SourceError, match=rf"line 2: .*{told}"):
        samples.from_file(written(tmp_path / "samples.jsonl", first, row))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no rows"):
        samples.from_file(written(tmp_path / "samples.jsonl"))


def test_the_real_file_gives_the_figures_it_is_known_for(shared_data: Path, tmp_path: Path) -> None:
    rows = (shared_data / "bon" / "strictprm_math500_n32.jsonl").read_text(encoding="utf-8").splitlines()[:40]
    (tmp_path / "part.jsonl").write_text("\n".join(rows), encoding="utf-8")
    arguments = ["--data", str(tmp_path / "part.jsonl"), "--json", str(tmp_path / "out.json")]
    assert main(["evaluate", "bestofn", *arguments]) == 0
    methods = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["methods"]
    at = {name: one["32"]["share"] for name, one in methods.items()}
    flags = [[one["correct"] for one in json.loads(row)["candidates"]] for row in rows]
    assert at["pass@k"] == sum(map(any, flags)) / 40
    assert at["average@k"] == pytest.approx(sum(map(sum, flags)) / 40 / 32)
    assert at["average@k"] < at["maj@k"] <= at["pass@k"]
    assert at["average@k"] < at["prm@k, min"] <= at["pass@k"]
