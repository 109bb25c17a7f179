"""What a run is said to hold: counts, cost, and the three ways of labelling against the truth."""

from pathlib import Path
from typing import Any

import pytest

from data import schema, shards
from data.arith import oracle, world
from data.places import at
from data.records import NO_ERROR, Decision, Estimate, Labelled, Problem, StepEstimate, Task, Tokens, Trace, Verdict
from data.schema import Row
from pipeline.summary import Score, Summary, counted, summarise

ARITH = next(world.problems("easy", 1))
RIGHT = oracle.solve(world.read(ARITH.text))
WRONG = [RIGHT[0].replace(" = ", " = 9", 1), *RIGHT[1:]]


def row(  # noqa: PLR0917 - the columns of a small table
    sample: int,
    steps: list[str],
    kept: int | None,
    mc: int | None,
    judge: int | None,
    problem: Problem = ARITH,
    reason: str = "judge_later",
    posterior: float | None = None,
) -> Row:
    """`kept` is the label; None where the solution is rejected."""
    count = len(steps)
    labels = () if kept is None else (True,) * (count if kept == NO_ERROR else kept) + (False,) * (kept != NO_ERROR)
    labelled = Labelled(
        Task(problem, "policy", sample),
        Trace(problem.text, tuple(steps), "1"),
        "different",
        Estimate((StepEstimate(),) * count, mc, posterior=posterior),
        Verdict(judge, (judge,)),
        Decision(kept is not None, kept, labels, None, None if kept is not None else reason),
        Tokens(solve=10, rollout=20, judge=30, prompt=1000, rollouts=4),
    )
    return schema.row(labelled)


def test_solutions_in_which_monotony_is_broken_are_counted_and_told() -> None:
    broken = summary(row(0, RIGHT, NO_ERROR, NO_ERROR, NO_ERROR) | {"violations": 2}, row(1, WRONG, None, 1, 0))
    assert broken.broken == 1
    assert any(line.startswith("monotony broken: in 1 solutions") for line in broken.lines())
    again = Summary()
    again.add(counted([row(0, RIGHT, NO_ERROR, NO_ERROR, NO_ERROR) | {"violations": 2}]))
    assert again.broken == 1


def test_what_the_judge_overlooks_in_right_answers_is_told_by_what_it_misses_in_wrong_ones() -> None:
    wrong = [row(0, WRONG, None, 0, judge) for judge in [0] * 18 + [NO_ERROR] * 2]
    right = [row(0, RIGHT, None, 0, judge) | {"outcome": "equal"} for judge in [0] * 9 + [NO_ERROR] * 50]
    silent = [row(0, WRONG, None, 0, None), row(0, WRONG, None, 0, NO_ERROR) | {"outcome": "undecided"}]
    made = summary(*wrong, *right, *silent)
    assert made.overlooked == pytest.approx(9.5 * 2.5 / 18.5 / 50)  # it misses 2 of 20, and names 9 of right answers
    (told,) = [line for line in made.lines() if line.startswith("right answers in which the judge finds no error")]
    assert "50; 2.6% of them hold one" in told
    assert "(2 of 20)" in told
    both = Summary()
    both.add(counted(wrong))
    both.add(counted([*right, *silent]))
    both.add({key: value for key, value in counted([]).items() if key != "spoken"})  # older
    assert both.overlooked == made.overlooked
    assert summary(*wrong[9:], *right).overlooked is None  # it found too few to tell from
    assert summary(*wrong, *wrong[-1:] * 17, *right).overlooked is None  # it misses more than it finds
    assert summary(*wrong).overlooked is None


def summary(*rows: Row) -> Summary:
    made = Summary()
    for one in rows:
        made.count(one)
    return made


def test_nothing_is_a_summary_too() -> None:
    assert next(summary().lines()) == "solutions 0   kept 0 (0.0%)"


def test_solutions_reasons_and_cost_are_counted() -> None:
    lines = list(
        summary(
            row(0, RIGHT, NO_ERROR, NO_ERROR, NO_ERROR),
            row(1, WRONG, None, 0, 1),
            row(2, WRONG, None, 0, 1),
            row(3, WRONG, None, None, None, reason="refused"),
        ).lines()
    )
    assert lines[0] == "solutions 4   kept 1 (25.0%)"
    assert lines[1].split() == ["rejected", "judge_later", "2", "(50.0%)"]
    assert lines[2].split() == ["rejected", "refused", "1", "(25.0%)"]
    assert lines[3] == "a solution: 60 tokens written (solving 10, rollouts 20, judge 30), 4.0 rollouts"


def test_each_way_of_labelling_is_held_against_the_truth() -> None:
    scores = summary(
        row(0, RIGHT, NO_ERROR, NO_ERROR, NO_ERROR),  # all right
        row(1, WRONG, 0, 0, 0),  # all right
        row(2, WRONG, None, 1, 0),  # rollouts wrong, judge right, nothing kept
        row(3, WRONG, NO_ERROR, None, NO_ERROR),  # judge and label wrong, rollouts silent
        row(4, RIGHT, None, NO_ERROR, None),
    ).scores
    assert scores == {
        "rollouts alone (mc)": Score(claimed=4, right=3, total=5),
        "judge alone": Score(claimed=4, right=3, total=5),
        "consensus (kept)": Score(claimed=3, right=2, total=5),
    }
    lines = list(summary(row(1, WRONG, 0, 0, 0), row(2, WRONG, None, 1, 0)).lines())
    assert lines[-3].split() == ["rollouts", "alone", "(mc)", "100.0%", "50.0%", "(1", "of", "2)"]
    assert lines[-1].split() == ["consensus", "(kept)", "50.0%", "100.0%", "(1", "of", "1)"]


def test_what_is_expected_to_be_wrong_is_told_of_kept_labels_that_were_weighed() -> None:
    rows = [
        row(0, WRONG, 0, 0, 0, posterior=0.99),
        row(1, WRONG, 0, 0, 0, posterior=0.97),
        row(2, WRONG, None, 0, 0, posterior=0.1),
    ]
    assert "expected to be wrong, by their posteriors: 2.0% of 2 labels kept" in list(summary(*rows).lines())
    assert not any("posterior" in line for line in summary(row(0, WRONG, 0, 0, 0)).lines())
    both = Summary()
    both.add(counted(rows[:2]))
    both.add({key: value for key, value in counted(rows[2:]).items() if key not in {"weighed", "wrong"}})  # older
    assert (both.weighed, round(both.wrong, 6)) == (2, 0.04)


def test_what_was_kept_without_a_posterior_is_told_apart() -> None:
    rows = [row(0, WRONG, 0, 0, 0, posterior=0.99), row(1, RIGHT, NO_ERROR, NO_ERROR, NO_ERROR)]
    (told,) = [line for line in summary(*rows).lines() if line.startswith("kept without a posterior")]
    assert told.startswith("kept without a posterior: 1 right answers in which the judge finds no error")
    both = Summary()
    both.add(counted(rows))
    assert list(both.lines()) == list(summary(*rows).lines())
    assert not any("posterior" in line for line in summary(rows[1]).lines())  # of a run whose plan weighs nothing


def test_a_rejected_row_claims_nothing_whatever_its_column_says() -> None:
    rejected = {**row(0, RIGHT, None, None, None), "first_error": NO_ERROR}
    assert summary(rejected).scores["consensus (kept)"] == Score(0, 0, 1)


@pytest.mark.parametrize(
    "problem",
    [
        Problem("p", "gsm8k", ARITH.text, "1"),
        Problem("p", "arith", "A file of this name may hold anything.", "1"),
        Problem("p", "arith", "Ann has 3 eggs. Ben has 4 more than Zed. How many does Ben have?", "1"),
    ],
)
def test_where_the_truth_is_not_known_none_is_told(problem: Problem) -> None:
    made = summary(row(0, RIGHT, NO_ERROR, NO_ERROR, NO_ERROR, problem))
    assert not made.scores
    assert len(list(made.lines())) == 2


def test_a_solution_without_steps_is_not_held_against_the_truth() -> None:
    assert not summary(row(0, [], None, None, None, reason="refused")).scores


def test_a_run_is_summarised_over_both_sides_and_all_shards(tmp_path: Path) -> None:
    def seal(part: str, *rows: dict[str, Any], counts: dict[str, Any] | None = None) -> None:
        kept, rejected = (schema.table([r for r in rows if r["kept"] is side], {}) for side in (True, False))
        shards.enter(tmp_path, shards.seal(tmp_path, shards.pack(part, kept, rejected, part, counts)))

    first = [row(0, RIGHT, NO_ERROR, NO_ERROR, NO_ERROR), row(1, WRONG, None, 0, 1)]
    seal("p0", *first, counts=counted(first))  # summed up from its seal
    seal("p1", row(2, WRONG, 0, 0, 0))  # by an older version: from its rows
    made = summarise(at(tmp_path))
    assert (made.solutions, made.kept, made.reasons["judge_later"]) == (3, 2, 1)
    assert made.tokens["prompt"] == 3000
    assert made.scores["consensus (kept)"] == Score(2, 2, 3)
