"""The public schema, pinned to the letter, and the way from a record to a row and back."""

from dataclasses import replace

import pyarrow as pa
import pytest
from pyarrow import parquet

from data import schema
from data.records import (
    Credit,
    Decision,
    Estimate,
    Given,
    Labelled,
    Problem,
    StepEstimate,
    Task,
    Tokens,
    Trace,
    Verdict,
)

PUBLIC = """\
prompt: string
completions: list<item: string>
labels: list<item: bool>
id: string
problem_id: string
dataset: string
problem: string
gold_answer: string
level: string
policy: string
sample: int32
steps: list<item: string>
answer: string
cut: bool
outcome: string
first_error: int32
mc_first_error: int32
judge_first_error: int32
judge_votes: list<item: int32>
judge_reason: string
hits: list<item: int32>
tries: list<item: int32>
source: list<item: string>
stopped_early: list<item: bool>
reachable: list<item: bool>
mc_reason: string
violations: int32
posterior: double
ratings: list<item: double>
rewards: list<item: float>
rewards_reason: string
kept: bool
agreement: bool
reason: string
tokens: struct<solve: int64, rollout: int64, judge: int64, prompt: int64, rollouts: int64>"""


def kept(sample: int = 0, policy: str = "small") -> Labelled:
    problem = Problem("p/1", "toy", "What is 2 + 3?\n\n", "5", "easy")
    steps = ("2 + 3 is 6.\n\n", "  So the answer\n is 6.\n\n", "The end.")
    return Labelled(
        task=Task(problem, policy, sample),
        trace=Trace(problem.text, steps, "6"),
        outcome="different",
        estimate=Estimate(
            (
                StepEstimate(3, 8, "rolled", stopped_early=True, reachable=True),
                StepEstimate(0, 8, "inferred", reachable=False),
                StepEstimate(),
            ),
            1,
            "looked closely",
            2,
            1 / 3,
        ),
        verdict=Verdict(1, (1, None, 1), "two of three"),
        decision=Decision(kept=True, first_error=1, labels=(True, False), agreement=True),
        tokens=Tokens(10, 200, 30, 40, 16),
    )


def rejected() -> Labelled:
    base = kept()
    return replace(
        base,
        task=replace(base.task, problem=replace(base.task.problem, gold=None, level=None)),
        trace=Trace(base.trace.problem, (), None, cut=True),
        outcome="undecided",
        estimate=Estimate((), None),
        verdict=Verdict(None),
        decision=Decision(kept=False, first_error=None, labels=(), agreement=None, reason="no steps"),
        tokens=Tokens(),
    )


def through_parquet(labelled: Labelled) -> schema.Row:
    sink = pa.BufferOutputStream()
    parquet.write_table(schema.table([schema.row(labelled)], {}), sink)
    rows = parquet.read_table(pa.BufferReader(sink.getvalue())).to_pylist()
    return dict(rows[0])


def test_the_public_schema_changes_only_on_purpose() -> None:
    assert "\n".join(f"{column.name}: {column.type}" for column in schema.SCHEMA) == PUBLIC
    assert schema.SCHEMA_VERSION == 3


def test_the_first_three_columns_are_what_the_stepwise_trainer_joins() -> None:
    row = schema.row(kept())
    assert list(row)[:3] == ["prompt", "completions", "labels"]
    assert row["prompt"] == "What is 2 + 3?\n"
    assert row["completions"] == ["2 + 3 is 6.", "So the answer\n is 6."]
    assert row["labels"] == [True, False]


def test_every_column_is_filled_from_the_record() -> None:
    assert set(schema.row(kept())) == set(schema.SCHEMA.names)


@pytest.mark.parametrize("labelled", [kept(), rejected()], ids=["kept", "rejected"])
def test_a_record_comes_back_from_parquet_as_it_was(labelled: Labelled) -> None:
    assert schema.record(through_parquet(labelled)) == labelled


def test_a_posterior_keeps_every_bit_and_is_null_where_nobody_weighed() -> None:
    assert through_parquet(kept())["posterior"] == 1 / 3
    assert through_parquet(rejected())["posterior"] is None


def test_given_solutions_stay_with_the_dataset() -> None:
    base = kept()
    given = replace(base, task=replace(base.task, given="x", problem=replace(base.task.problem, given=(Given("x"),))))
    assert schema.record(through_parquet(given)) == base


def test_not_known_and_no_error_stay_apart() -> None:
    none_wrong = replace(kept(), decision=Decision(kept=True, first_error=-1, labels=(True,) * 3, agreement=True))
    assert through_parquet(none_wrong)["first_error"] == -1
    assert through_parquet(rejected())["first_error"] is None
    assert through_parquet(rejected())["judge_first_error"] is None
    assert through_parquet(kept())["judge_votes"] == [1, None, 1]
    assert through_parquet(kept())["reachable"] == [True, False, None]


def test_a_rejected_row_has_no_completions_but_keeps_its_steps() -> None:
    row = schema.row(
        replace(kept(), decision=Decision(kept=False, first_error=None, labels=(), agreement=False, reason="x"))
    )
    assert row["completions"] == row["labels"] == []
    assert len(row["steps"]) == 3


def test_more_labels_than_steps_is_a_bug_told_at_once() -> None:
    broken = replace(kept(), decision=Decision(kept=True, first_error=-1, labels=(True,) * 4, agreement=True))
    with pytest.raises(ValueError, match="4 labels for 3 steps"):
        schema.row(broken)


def test_rewards_are_null_unless_they_were_computed() -> None:
    assert schema.row(kept())["rewards"] is schema.row(kept())["rewards_reason"] is None
    made = replace(kept(), credit=Credit((0.5, -1.0, 0.0)))
    assert schema.row(made)["rewards"] == [0.5, -1.0, 0.0]
    without = replace(kept(), credit=Credit(None, "undecided"))
    assert (schema.row(without)["rewards"], schema.row(without)["rewards_reason"]) == (None, "undecided")
    assert [schema.record(schema.row(one)) for one in (made, without)] == [made, without]


def test_nul_bytes_stay_and_lone_surrogates_are_replaced() -> None:
    assert schema.clean("a\0b") == "a\0b"
    assert schema.clean("½ \ud83d. \ude00 😀") == "½ \ufffd. \ufffd 😀"
    nasty = "a\0\ud800b"
    base = kept()
    task = Task(Problem(nasty, nasty, nasty, nasty, nasty), nasty, 0)
    row = through_parquet(
        replace(
            base,
            task=task,
            trace=Trace(nasty, (nasty,), nasty),
            verdict=Verdict(None, reason=nasty),
            estimate=Estimate((), None, nasty),
            decision=Decision(kept=False, first_error=None, labels=(True,), agreement=None, reason=nasty),
        )
    )
    texts = (
        "problem_id",
        "dataset",
        "problem",
        "gold_answer",
        "level",
        "policy",
        "answer",
        "judge_reason",
        "mc_reason",
    )
    assert {row[name] for name in texts} == {row["reason"]} == {"a\0\ufffdb"}
    assert row["steps"] == row["completions"] == ["a\0\ufffdb"]


def test_rows_are_ordered_and_the_metadata_tells_how_they_were_made() -> None:
    rows = [schema.row(kept(sample, policy)) for sample, policy in ((10, "b"), (2, "b"), (0, "a"))]
    made = schema.table(rows, {"recipe": "{}", "fingerprint": "f" * 64})
    assert [(row["policy"], row["sample"]) for row in made.to_pylist()] == [("a", 0), ("b", 2), ("b", 10)]
    assert made.schema.metadata == {b"fingerprint": b"f" * 64, b"recipe": b"{}", b"schema_version": b"3"}
    assert made.equals(schema.table(reversed(rows), {"fingerprint": "f" * 64, "recipe": "{}"}), check_metadata=True)


def test_no_rows_still_have_the_schema() -> None:
    assert schema.table([], {}).schema.equals(schema.SCHEMA)


def test_labels_that_the_dataset_brought_come_through() -> None:
    base = kept()
    rated = replace(base, trace=replace(base.trace, ratings=(1.0, 0.9375, None)))
    assert through_parquet(rated)["ratings"] == [1.0, 0.9375, None]
    assert schema.record(through_parquet(rated)).trace == rated.trace
    assert through_parquet(base)["ratings"] is None
    old = {name: value for name, value in schema.row(base).items() if name != "ratings"}  # of schema version 1
    assert schema.record(old) == schema.record(schema.row(base))
