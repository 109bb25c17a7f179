"""Label quality: claims, confidences and prefixes held against the truth, by hand and on scripted and real labels."""

import json
from argparse import Namespace
from pathlib import Path

import pytest
from launching import said
from test_summary import RIGHT, WRONG
from test_summary import row as solution

from bench.finished import finished
from data.errors import RunError
from data.records import NO_ERROR
from data.schema import Row
from pipeline.cli import main
from pipeline.evaluate import labels
from stages.reliability import everything


def row(judged: int | None, *votes: int | None, steps: list[str] = RIGHT, mc: int | None = None, **more: object) -> Row:
    made = solution(0, steps, None, mc, judged)
    return {**made, "judge_votes": list(votes), "outcome": "equal" if steps is RIGHT else "different", **more}


def rolled(*counts: tuple[int, int]) -> dict[str, object]:
    """Columns of prefixes that were rolled out, the last step graded."""
    hits, tries = ([count[i] for count in counts] for i in (0, 1))
    whole = len(RIGHT) - len(counts)
    assert whole == 1
    return {
        "hits": [*hits, 1],
        "tries": [*tries, 1],
        "source": ["rolled"] * len(counts) + ["graded"],
        "stopped_early": [False] * len(RIGHT),
        "reachable": [hit > 0 for hit in hits] + [True],
    }


def test_a_judge_is_as_confident_as_its_votes() -> None:
    assert labels.WAYS["judge"](row(1, 1, 1, None, 0)) == (1, 0.5)
    assert labels.WAYS["judge"](row(None, 1, 0)) is None


def test_a_posterior_is_about_the_judges_claim() -> None:
    assert labels.WAYS["posterior"](row(1, 1, posterior=0.75)) == (1, 0.75)
    assert labels.WAYS["posterior"](row(1, 1)) is None
    assert labels.WAYS["posterior"](row(None, None, posterior=0.0)) is None


def test_rollouts_are_surer_the_more_they_say() -> None:
    hits = [(8, 8)] * (len(RIGHT) - 1)
    few = [(1, 8)] * (len(RIGHT) - 1)
    sure = labels.WAYS["rollouts"](row(0, 0, mc=NO_ERROR, **rolled(*hits)))
    unsure = labels.WAYS["rollouts"](row(0, 0, mc=NO_ERROR, **rolled(*few)))
    assert sure is not None
    assert unsure is not None
    assert sure[0] == unsure[0] == NO_ERROR
    assert unsure[1] < sure[1] < 1
    assert labels.WAYS["rollouts"](row(0, 0)) is None


def test_what_was_kept_is_as_sure_as_both_together() -> None:
    evidence = rolled(*[(8, 8)] * (len(RIGHT) - 1))
    kept = row(NO_ERROR, NO_ERROR, 0, mc=NO_ERROR, kept=True, first_error=NO_ERROR, **evidence)
    alone = labels.WAYS["rollouts"](kept)
    assert alone is not None
    assert labels.WAYS["kept"](kept) == (NO_ERROR, alone[1] * 0.5)
    assert labels.WAYS["kept"]({**kept, "kept": False}) is None


def test_the_truth_is_the_oracles_or_else_the_datasets() -> None:
    assert labels.truth(row(0, 0, steps=WRONG)) == 0
    others = row(0, 0, steps=["a", "b"], problem="P", dataset="human")
    assert labels.truth(others) is None
    assert labels.truth({**others, "ratings": [1.0, 0.0]}) == 1
    assert labels.truth({**others, "ratings": [0.5, 1.0]}) == NO_ERROR
    assert labels.truth({**others, "ratings": [None, 0.0]}) is None


def test_a_rate_is_held_against_whether_its_prefix_is_right(tmp_path: Path) -> None:
    made = human(tmp_path, [{"problem": "2 + 2?", "steps": ["2 + 2 = 4", "So 5."], "label": 1}])
    found = labels.measure(made)
    assert found.rates == {}  # nothing was rolled out
    assert found.solutions == {"all": 1}


def human(folder: Path, rows: list[dict[str, object]], *settings: str) -> labels.Run:
    file = folder / "human.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    plain = ("judge.kind=equations", "completer.plan=none", "consensus.rule=judge", *settings)
    return finished(folder / "run", str(file), *plain)


def test_judges_are_held_against_people(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "problem": "P", "steps": ["2 + 2 = 5", "So 5."], "label": 0},
        {"id": "b", "problem": "Q", "steps": ["2 + 2 = 4", "3 + 3 = 7"], "label": 0},
        {"id": "c", "problem": "R", "steps": ["no sums here", "none"], "label": -1},
    ]
    found = labels.measure(human(tmp_path, rows))
    judged = everything(found.claims["judge", "all"])
    assert found.solutions == {"all": 3}
    assert (judged.cases, judged.right) == (2, 1)
    assert everything(found.claims["judge", labels.NAMED]) == judged
    assert not found.claims["posterior", "all"]


def test_people_are_not_held_against_themselves(tmp_path: Path) -> None:
    made = human(tmp_path, [{"problem": "P", "steps": ["a", "b"], "label": 0}], "judge.kind=given")
    assert {name for name, _ in labels.measure(made).claims} == {"rollouts"}
    with pytest.raises(RunError, match="nobody but its dataset labelled it"):
        labels.evaluate(Namespace(run=str(made.place), json=None))


def test_where_nothing_is_known_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished(tmp_path / "run", "scripted", "data.limit=2")
    assert main(["evaluate", "labels", "--run", str(tmp_path / "run")]) == 2
    assert "no solution whose first error is known" in capsys.readouterr().err
    assert main(["evaluate", "labels", "--run", str(tmp_path / "nowhere")]) == 2


@pytest.mark.slow
def test_the_small_models_labels_are_held_against_the_oracle(tmp_path: Path) -> None:
    """18 arith problems rolled out in full, then asked about in sequence from the same ledger."""
    options = ("--dataset", "arith", "--limit", "18")
    full = ("completer.plan=exhaustive", "completer.tries=2", "judge.votes=2", "judge.sampling.temperature=1.0")
    sequence = ("completer.plan=sequential", "consensus.rule=posterior")
    said("synth", tmp_path / "full", *options, *(f"--set={one}" for one in full))
    ledger = str(tmp_path / "full" / "ledger")
    said("synth", tmp_path / "sequence", *options, "--ledger", ledger, *(f"--set={one}" for one in sequence))
    for name, way in (("full", "rollouts"), ("sequence", "posterior")):
        told = tmp_path / f"{name}.json"
        assert main(["evaluate", "labels", "--run", str(tmp_path / name), "--json", str(told)]) == 0
        figures = json.loads(told.read_text())
        assert figures["solutions"]["all"] == 36
        assert figures["ways"][f"{way}, all"]["share"] > 0.5  # 0.85 and 0.96 in docs/quality.md, on 300 solutions
        assert figures["ways"]["judge, all"]["share"] > 0.7
        curve = figures["ways"][f"{way}, all"]["curve"]
        assert [point["confidence"] for point in curve] == sorted((p["confidence"] for p in curve), reverse=True)
    rolled_out, weighed = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("full", "sequence"))
    assert 0 < rolled_out["rates"]["ece"] < 0.5
    assert weighed["rates"]["bins"] == []  # rates where nothing was hit are no rates
