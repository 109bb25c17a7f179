"""The one Arrow schema of a shard, and how a record becomes a row and back.

Trainers read the first three columns as they are (TRL's stepwise format). Text is made valid UTF-8 here: a lone
surrogate becomes U+FFFD, NUL bytes stay. `SCHEMA_VERSION` is bumped by hand when a column changes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from data.records import Decision, Estimate, Labelled, Problem, StepEstimate, Task, Tokens, Trace, Verdict

SCHEMA_VERSION = 2

Row = dict[str, Any]

_STRINGS, _INTS, _BOOLS = pa.list_(pa.string()), pa.list_(pa.int32()), pa.list_(pa.bool_())
_TOKENS = pa.struct([(name, pa.int64()) for name in ("solve", "rollout", "judge", "prompt", "rollouts")])

SCHEMA = pa.schema(
    [
        ("prompt", pa.string()),
        ("completions", _STRINGS),
        ("labels", _BOOLS),
        ("id", pa.string()),
        ("problem_id", pa.string()),
        ("dataset", pa.string()),
        ("problem", pa.string()),
        ("gold_answer", pa.string()),
        ("level", pa.string()),
        ("policy", pa.string()),
        ("sample", pa.int32()),
        ("steps", _STRINGS),
        ("answer", pa.string()),
        ("cut", pa.bool_()),
        ("outcome", pa.string()),
        ("first_error", pa.int32()),
        ("mc_first_error", pa.int32()),
        ("judge_first_error", pa.int32()),
        ("judge_votes", _INTS),
        ("judge_reason", pa.string()),
        ("hits", _INTS),
        ("tries", _INTS),
        ("source", _STRINGS),
        ("stopped_early", _BOOLS),
        ("reachable", _BOOLS),
        ("mc_reason", pa.string()),
        ("violations", pa.int32()),
        ("posterior", pa.float64()),
        ("ratings", pa.list_(pa.float64())),
        ("rewards", pa.list_(pa.float32())),
        ("kept", pa.bool_()),
        ("agreement", pa.bool_()),
        ("reason", pa.string()),
        ("tokens", _TOKENS),
    ]
)

MEANING: Mapping[str, str] = {
    "prompt": "the problem, ending with a newline",
    "completions": "the steps that have a label, without the whitespace around them",
    "labels": "one a completion: is the step right; the first wrong one is the last",
    "id": "problem, policy and sample",
    "problem_id": "the problem's own",
    "dataset": "where the problem is from",
    "problem": "its text, to the byte",
    "gold_answer": "the known answer; null: none",
    "level": "its difficulty as the dataset says it",
    "policy": "who wrote the solution",
    "sample": "number of this solution among the policy's on the problem",
    "steps": "all steps; joined they are the solution, to the byte",
    "answer": "the answer the solution states; null: none was found",
    "cut": "whether the token limit ended the solution",
    "outcome": "the answer against gold_answer: equal, different or undecided",
    "first_error": "the label: first wrong step from 0, -1 none; null where rejected",
    "mc_first_error": "the same by rollouts alone; null: not known",
    "judge_first_error": "the same by the judge alone; null: not known",
    "judge_votes": "every reply as read, or each judge of a panel; null: could not be read",
    "judge_reason": "why the judge has no verdict",
    "hits": "rollouts from the prefix that ends with a step which reached gold_answer",
    "tries": "rollouts from it that were decided",
    "source": "where these numbers are from: rolled, inferred, graded or skipped",
    "stopped_early": "whether sampling ended on what it had seen: then hits/tries is no rate",
    "reachable": "whether gold_answer can be reached from the prefix; null: not known",
    "mc_reason": "why the rollouts tell no first error",
    "violations": "prefixes found reachable after one that was not",
    "posterior": "probability that the judge's first error is the true one, where the plan weighs that",
    "ratings": "the dataset's own values of the steps, from 0 (wrong) to 1 (right)",
    "rewards": "process rewards, where they were computed",
    "kept": "whether the rule kept the solution",
    "agreement": "whether judge and rollouts agree; null: cannot be said",
    "reason": "why it was rejected",
    "tokens": "tokens written to solve, roll out and judge, tokens of prompts, and the number of rollouts",
}
"""What each column of `SCHEMA` holds, in its order."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: str) -> str:
    """Return `text` as UTF-8 can hold it: each lone surrogate becomes U+FFFD."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def row(labelled: Labelled, rewards: Sequence[float] | None = None) -> Row:
    """Return one row of `SCHEMA`; `rewards` (one a step) where process rewards were computed.

    `prompt` is the problem ending with a newline; `completions` are the steps that have a label, without the
    whitespace around them, so a rejected solution without labels has none. `problem` and `steps` keep every byte.
    """
    trace, decision = labelled.trace, labelled.decision
    if len(decision.labels) > len(trace.steps):
        raise ValueError(f"{labelled.task.id}: {len(decision.labels)} labels for {len(trace.steps)} steps")
    problem = clean(trace.problem)
    steps = [clean(step) for step in trace.steps]
    return {
        "prompt": problem.rstrip() + "\n",
        **decided({"steps": steps}, decision),
        **_origin(labelled.task),
        "problem": problem,
        "steps": steps,
        "answer": _clean(trace.answer),
        "cut": trace.cut,
        "outcome": labelled.outcome,
        **_judged(labelled.verdict),
        **_estimated(labelled.estimate),
        "ratings": list(trace.ratings) or None,
        "rewards": None if rewards is None else list(rewards),
        "tokens": asdict(labelled.tokens),
    }


def record(row: Row) -> Labelled:
    """Return the record a row was made of.

    Not kept in a row, so not restored: the solutions a dataset gave (`Problem.given`, `Task.given`; the text itself is
    in the steps), and lone surrogates. Rows of schema version 1 have no `ratings`.
    """
    problem = Problem(row["problem_id"], row["dataset"], row["problem"], row["gold_answer"], row["level"])
    decision = Decision(row["kept"], row["first_error"], tuple(row["labels"]), row["agreement"], row["reason"])
    return Labelled(
        task=Task(problem, row["policy"], row["sample"]),
        trace=Trace(row["problem"], tuple(row["steps"]), row["answer"], row["cut"], tuple(row.get("ratings") or ())),
        outcome=row["outcome"],
        estimate=estimate(row),
        verdict=Verdict(row["judge_first_error"], tuple(row["judge_votes"]), row["judge_reason"]),
        decision=decision,
        tokens=Tokens(**row["tokens"]),
    )


def estimate(row: Row) -> Estimate:
    """Return the Monte Carlo evidence of a row."""
    columns = (row[name] for name in ("hits", "tries", "source", "stopped_early", "reachable"))
    steps = tuple(StepEstimate(*values) for values in zip(*columns, strict=True))
    return Estimate(steps, row["mc_first_error"], row["mc_reason"], row["violations"], row["posterior"])


def decided(row: Row, decision: Decision) -> Row:
    """Return the columns that a decision fills, for a row whose `steps` are known."""
    return {
        "completions": [step.strip() for step in row["steps"][: len(decision.labels)]],
        "labels": list(decision.labels),
        "first_error": decision.first_error,
        "kept": decision.kept,
        "agreement": decision.agreement,
        "reason": _clean(decision.reason),
    }


def table(rows: Iterable[Row], metadata: Mapping[str, str]) -> pa.Table:
    """Return rows as a table ordered by (problem, policy, sample), so that the same rows give the same bytes.

    `metadata` (recipe, fingerprint, versions: strings without times or paths) becomes the file's key-value metadata,
    with `schema_version`.
    """
    ordered = sorted(rows, key=lambda row: (row["problem_id"], row["policy"], row["sample"]))
    told = {"schema_version": str(SCHEMA_VERSION), **metadata}
    return pa.Table.from_pylist(ordered, schema=SCHEMA.with_metadata(dict(sorted(told.items()))))


def _clean(text: str | None) -> str | None:
    return None if text is None else clean(text)


def _origin(task: Task) -> Row:
    problem = task.problem
    return {
        "id": clean(task.id),
        "problem_id": clean(problem.id),
        "dataset": clean(problem.dataset),
        "gold_answer": _clean(problem.gold),
        "level": _clean(problem.level),
        "policy": clean(task.policy),
        "sample": task.sample,
    }


def _judged(verdict: Verdict) -> Row:
    return {
        "judge_first_error": verdict.first_error,
        "judge_votes": list(verdict.votes),
        "judge_reason": _clean(verdict.reason),
    }


def _estimated(estimate: Estimate) -> Row:
    steps = estimate.steps
    return {
        "mc_first_error": estimate.first_error,
        "hits": [step.hits for step in steps],
        "tries": [step.tries for step in steps],
        "source": [step.source for step in steps],
        "stopped_early": [step.stopped_early for step in steps],
        "reachable": [step.reachable for step in steps],
        "mc_reason": _clean(estimate.reason),
        "violations": estimate.violations,
        "posterior": estimate.posterior,
    }
