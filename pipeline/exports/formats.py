"""How a labelled solution is written for each consumer: one function each, and the table of them.

A function gets a `Stepped` and returns a row, or raises `Unfit` with the reason for which this solution has none.
docs/exports.md says for whom, in which version, and what becomes of steps after the first error.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from data.records import NO_ERROR
from data.schema import Row
from data.stepwise import STEP_ONE, TAG
from pipeline.exports.labels import Values

EXTRA: Final = "<extra_0>"  # Qwen2.5-Math-PRM's step token
SYSTEM: Final = "Please reason step by step, and put your final answer within \\boxed{}."  # as on that model's card

Pieces = list[tuple[str, ...]]
"""What a trainer tokenizes, piece by piece; the texts of a tuple are tokenized apart, too."""


class Unfit(Exception):
    """A solution that cannot be written in a format; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Stepped:
    """A solution to be written: `values` has one entry a step; `soft`: they stay numbers, else above 0 is right.

    Raises Unfit where it has no step.
    """

    row: Row
    values: Values
    soft: bool = False

    def __post_init__(self) -> None:
        if not self.row["steps"]:
            raise Unfit("it has no step")  # of none, "no step is wrong" would be true

    @property
    def problem(self) -> str:
        """The problem, without the whitespace around it."""
        return str(self.row["problem"]).strip()

    @property
    def steps(self) -> list[str]:
        """All steps, without the whitespace around them."""
        return [step.strip() for step in self.row["steps"]]

    def labelled(self, *, beyond: bool) -> list[tuple[str, float]]:
        """Return steps and values up to the first unknown one; unless `beyond`, to the first hard error. Never none."""
        pairs = []
        for step, value in zip(self.steps, self.values, strict=True):
            if value is None:
                break
            pairs.append((step, value))
            if not value and not beyond and not self.soft:
                break
        if not pairs:
            raise Unfit("no step has a label")
        return pairs

    def label(self, value: float) -> float | int:
        """Return a value as it is where soft, else 1 or 0."""
        return value if self.soft else int(value > 0)

    def first_error(self) -> int | None:
        """First step of value 0, where all before it are known."""
        for index, value in enumerate(self.values):
            if not value:
                return None if value is None else index
        return NO_ERROR


def trl(one: Stepped) -> Row:
    """Write the columns of stepwise supervision."""
    pairs = one.labelled(beyond=False)
    steps, values = [step for step, _ in pairs], [value > 0 for _, value in pairs]
    return {"prompt": one.row["prompt"], "completions": steps, "labels": values}


def qwen(one: Stepped) -> Row:
    """Write chat messages; the assistant's holds a step token after each step, `labels` one value a token."""
    pairs = one.labelled(beyond=False)
    _without(EXTRA, one.problem, *one.steps)
    turns = (("system", SYSTEM), ("user", one.problem), ("assistant", "".join(step + EXTRA for step, _ in pairs)))
    messages = [{"role": role, "content": text} for role, text in turns]
    return {"messages": messages, "labels": [one.label(value) for _, value in pairs]}


def shepherd(one: Stepped) -> Row:
    """Write the public dataset's three fields."""
    pairs = one.labelled(beyond=True)
    signs = ["+" if value > 0 else "-" for _, value in pairs]
    steps = _numbered(one, [step for step, _ in pairs])
    task = one.row["dataset"]
    return {"input": _tagged(one.problem, steps), "label": _tagged(one.problem, steps, signs), "task": task}


def er_prm(one: Stepped) -> Row:
    """Write Math-Shepherd's `input` with entropy-regularised values of the rates."""
    pairs = one.labelled(beyond=True)
    steps = _numbered(one, [step for step, _ in pairs])
    return {"text": _tagged(one.problem, steps), "value": [round(regularised(value), 3) for _, value in pairs]}


def regularised(rate: float, coefficient: float = 1.0) -> float:
    """Return ln(p e^c + 1 - p) / c of a rate p (ER-PRM, arXiv 2412.11006; its script rounds to three places)."""
    return math.log(rate * math.exp(coefficient) + 1 - rate) / coefficient


def rlhflow(one: Stepped) -> Row:
    """Write a conversation: a user's turn a step, the first with the problem before it, each answered by + or -."""
    pairs = one.labelled(beyond=True)
    turns = []
    for index, (step, value) in enumerate(pairs):
        turns.append({"role": "user", "content": step if index else f"{one.problem} {step}"})
        turns.append({"role": "assistant", "content": "+" if value > 0 else "-"})
    return {"conversations": turns}


def prm800k(one: Stepped) -> Row:
    """Write a row as of phase 2: one candidate a step up to the first wrong one, which ends it.

    Of a dataset's own ratings those that are missing are of steps that a person wrote; of others they end the row.
    """
    steps = [step.strip("\n") for step in one.row["steps"]]
    own = one.values == tuple(one.row.get("ratings") or ())
    known = len(steps) if own else len(one.labelled(beyond=False))
    error = one.values.index(0.0) if 0.0 in one.values[:known] else NO_ERROR
    question = {
        "problem": one.row["problem"],
        "ground_truth_solution": None,
        "ground_truth_answer": one.row["gold_answer"],
        "pre_generated_steps": steps,
        "pre_generated_answer": one.row["answer"],
        "pre_generated_verifier_score": None,
    }
    end = known if error == NO_ERROR else error + 1
    rated = [_candidate(*pair) for pair in zip(steps[:end], one.values, strict=False)]
    finish = "solution" if error == NO_ERROR else "found_error"
    return {
        "labeler": None,
        "timestamp": None,
        "generation": None,
        "is_quality_control_question": False,
        "is_initial_screening_question": False,
        "question": question,
        "label": {"steps": rated, "total_time": None, "finish_reason": finish},
    }


def _candidate(step: str, value: float | None) -> Row:
    """Return a rated step; one without a rating as PRM800K has those: written by a person."""
    if value is None:
        human = {"text": step, "rating": None, "source": "human", "flagged": False}
        return {"completions": [], "human_completion": human, "chosen_completion": None}
    rating = {0.0: -1, 1.0: 1}.get(value, 0)
    rated = {"text": step, "rating": rating, "flagged": False}
    return {"completions": [rated], "human_completion": None, "chosen_completion": 0 if rating >= 0 else None}


def processbench(one: Stepped) -> Row:
    """Write all steps, and the index of the first wrong one; -1 where there is none."""
    label = one.first_error()
    if label is None:
        raise Unfit("the first error is not known")
    row = one.row
    correct = {"equal": True, "different": False}.get(row["outcome"])
    told = {"id": row["id"], "generator": row["policy"], "problem": row["problem"]}
    steps = [step.strip("\n") for step in row["steps"]]
    return {**told, "steps": steps, "final_answer_correct": correct, "label": label}


def plain(one: Stepped) -> Row:
    """Write all that identifies a solution, every byte of its steps, and a value a step, null where not known."""
    names = ("id", "problem_id", "dataset", "problem", "gold_answer", "level", "policy", "sample", "steps", "outcome")
    if all(value is None for value in one.values):
        raise Unfit("no step has a label")
    hard = not one.soft and {0.0, 1.0, None}.issuperset(one.values)
    labels = [None if value is None else value > 0 for value in one.values] if hard else list(one.values)
    first = None if one.soft else one.first_error()
    return {name: one.row[name] for name in names} | {"between": "", "labels": labels, "first_error": first}


def _numbered(one: Stepped, steps: Sequence[str]) -> list[str]:
    """Return steps that say their number, as the public ones all do: readers find the problem's end by "Step 1:"."""
    _without(TAG, one.problem, *steps)
    if STEP_ONE.search(one.problem):
        raise Unfit('the problem itself says "Step 1:"')
    if "Step 1:" in steps[0][1:]:
        raise Unfit('its first step says "Step 1:" again')
    if STEP_ONE.match(steps[0]):
        return list(steps)
    return [f"Step {number}: {step}" for number, step in enumerate(steps, 1)]


def _tagged(problem: str, steps: Sequence[str], tags: Sequence[str] | None = None) -> str:
    lines = (f"{step} {tag}" for step, tag in zip(steps, tags or [TAG] * len(steps), strict=True))
    return f"{problem} " + "\n".join(lines)


def _without(mark: str, *texts: str) -> None:
    """Refuse a solution whose own text holds the mark: its labels would fall on other steps."""
    if any(mark in text for text in texts):
        raise Unfit(f"its text holds the step mark {mark}")


def _trl_pieces(row: Row) -> Pieces:
    return [(row["prompt"],), *((step, "\n") for step in row["completions"])]


def _qwen_pieces(row: Row) -> Pieces:
    system, user, assistant = (message["content"] for message in row["messages"])
    head = f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n"
    return [(head + assistant,)]


def _tagged_pieces(name: str) -> Callable[[Row], Pieces]:
    return lambda row: [(row[name],)]


def _rlhflow_pieces(row: Row) -> Pieces:
    turn = "<|start_header_id|>{role}<|end_header_id|>\n\n{content}<|eot_id|>"
    return [("".join(turn.format(**message) for message in row["conversations"]),)]


@dataclass(frozen=True, slots=True)
class Format:
    """A row of the table: how a solution is written, in which file, and where a trainer's tokens carry the labels.

    `soft`: numbers between 0 and 1 survive in it. `pieces`: what a trainer tokenizes, None where nobody says; `mark`:
    a pattern at whose end a label stands, None where it stands at the end of each piece but the first.
    """

    write: Callable[[Stepped], Row]
    suffix: Literal["jsonl", "json", "parquet"] = "jsonl"
    soft: bool = False
    pieces: Callable[[Row], Pieces] | None = None
    mark: str | None = None


FORMATS: Final[dict[str, Format]] = {
    "trl": Format(trl, "parquet", pieces=_trl_pieces),
    "qwen": Format(qwen, soft=True, pieces=_qwen_pieces, mark=re.escape(EXTRA)),
    "math-shepherd": Format(shepherd, pieces=_tagged_pieces("input"), mark=TAG),
    "rlhflow": Format(rlhflow, pieces=_rlhflow_pieces, mark=r"assistant<\|end_header_id\|>\n\n[+-]"),
    "prm800k": Format(prm800k),
    "processbench": Format(processbench),
    "er-prm": Format(er_prm, "json", soft=True, pieces=_tagged_pieces("text"), mark=TAG),
    "jsonl": Format(plain, soft=True),
}
