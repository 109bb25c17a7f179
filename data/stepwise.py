"""Which rows are step data of others (PRM800K, Math-Shepherd, MATH-APS, ProcessBench, TRL, our exports), and its steps.

Steps stay as the dataset cut them, their labels as its own values: 1 right, 0 wrong, between them a hit rate or
PRM800K's "neutral" (0.5), None where it does not say. A row that is not what its neighbours are is left as it is.
"""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from data import trees
from data.records import Given
from data.steps import BETWEEN, OPINIONS, Row, blank, doubted, given, said, whole

TAG: Final = "ки"  # ends a step in Math-Shepherd's texts
STEP_ONE: Final = re.compile("step 1:", re.IGNORECASE)  # begins the first one there


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of step data: which rows are of it, and how they read: as columns whose `solutions` are `Given`s.

    `doubts` says, with the column, which labels of a row cannot be meant.
    """

    name: str
    fits: Callable[[Row], bool]
    read: Callable[[Row], Row]
    doubts: Callable[[Row], Iterator[str]]

    def plain(self, row: Row) -> Row:
        """Return a row with the usual columns beside its own; one that does not fit as it is."""
        return {**row, **self.read(row)} if self.fits(row) else row

    def faults(self, row: Row) -> tuple[str, ...]:
        """Return what is wrong with the labels of a row that fits; it is used without them."""
        return tuple(self.doubts(row)) if self.fits(row) else ()


def recognise(row: Row) -> Kind | None:
    """Return the kind of step data a row is, if it is any."""
    return next((kind for kind in KINDS if kind.fits(row)), None)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(step, str) for step in value)


def _is_listed(row: Row) -> bool:
    others = {"solutions", "candidates", "responses", "generations"}  # several a row, of which `steps` tells nothing
    return isinstance(row.get("problem"), str) and _texts(row.get("steps")) and not others & row.keys()


def _listed(row: Row) -> Row:
    """Read ProcessBench (`label`: the first wrong step, what follows is unknown) and our JSON Lines (`labels`)."""
    steps, label, between = row["steps"], whole(row.get("label")), row.get("between")
    labels = row["labels"] if isinstance(row.get("labels"), list) else ()
    if label is not None and -1 <= label < len(steps):
        labels = [1] * len(steps) if label < 0 else [*[1] * label, 0, *[None] * (len(steps) - label - 1)]
    return {"solutions": [given(steps, labels, between if isinstance(between, str) else BETWEEN)]}


def _listed_doubts(row: Row) -> Iterator[str]:
    labels, label, steps = row.get("labels"), row.get("label"), len(row["steps"])
    if isinstance(labels, list):
        yield from doubted("labels", labels, steps)
    first = whole(label)
    if not blank(label) and (first is None or not -1 <= first < steps):
        yield f"label: {said(label)} is none of the {steps} steps (from 0; -1: no error)"


def _is_trl(row: Row) -> bool:
    return isinstance(row.get("prompt"), str) and _texts(row.get("completions")) and isinstance(row.get("labels"), list)


def _trl(row: Row) -> Row:
    return {"problem": row["prompt"].rstrip(), "solutions": [given(row["completions"], row["labels"])]}


def _trl_doubts(row: Row) -> Iterator[str]:
    return doubted("labels", row["labels"], len(row["completions"]))


def _is_shepherd(row: Row) -> bool:
    text, label = row.get("input"), row.get("label")
    return isinstance(text, str) and isinstance(label, str) and TAG in text and _shepherd_start(text) >= 0


def _shepherd(row: Row) -> Row:
    """Read `input`, with a tag after each step, and `label`, the same with + or - in the tag's place."""
    text, start = row["input"], _shepherd_start(row["input"])
    pieces = text.split(TAG)[:-1]
    steps = [piece.strip() for piece in [pieces[0][start:], *pieces[1:]]]
    task = {"dataset": row["task"]} if isinstance(row.get("task"), str) else {}
    return {"problem": text[:start].rstrip(), "solutions": [given(steps, _signs(row), "\n")], **task}


def _signs(row: Row) -> list[int | None]:
    """Return what stands in `label` where each tag of `input` does."""
    lengths = itertools.accumulate(len(piece) for piece in row["input"].split(TAG)[:-1])
    return [{"+": 1, "-": 0}.get(row["label"][end + n : end + n + 1]) for n, end in enumerate(lengths)]


def _shepherd_doubts(row: Row) -> Iterator[str]:
    return (f"label: no + or - after step {n} (from 0)" for n, sign in enumerate(_signs(row)) if sign is None)


def _shepherd_start(text: str) -> int:
    """Return where the first step starts, or -1: the problem before it is marked off by nothing else."""
    first = STEP_ONE.search(text.partition(TAG)[0])
    return first.start() if first else -1


def _is_prm800k(row: Row) -> bool:
    question, label = row.get("question"), row.get("label")
    if not isinstance(question, Mapping) or not isinstance(label, Mapping) or not isinstance(label.get("steps"), list):
        return False
    return all(isinstance(step, Mapping) and _are_rated(step) for step in label["steps"])


def _are_rated(step: Row) -> bool:
    candidates, chosen, human = (
        step.get("completions") or [],
        step.get("chosen_completion"),
        step.get("human_completion"),
    )
    texts = isinstance(candidates, list) and all(isinstance(_text(one), str) for one in candidates)
    reached = chosen is None or (isinstance(chosen, int) and 0 <= chosen < len(candidates))
    return texts and reached and (human is None or isinstance(_text(human), str))


def _text(candidate: Any) -> Any:
    return candidate.get("text") if isinstance(candidate, Mapping) else None


def _prm800k(row: Row) -> Row:
    question = row["question"]
    answer = {"answer": question.get("ground_truth_answer")}
    return {"problem": question.get("problem"), **answer, "solutions": list(_paths(row["label"]["steps"]))}


def _paths(steps: Iterable[Row]) -> Iterator[Given]:
    """Yield every way through the rated candidates: each that was not gone on from, and the one that was to its end."""
    texts: list[str] = []
    ratings: list[float | None] = []
    for step in steps:
        candidates, chosen = step.get("completions") or [], step.get("chosen_completion")
        for index, one in enumerate(candidates):
            if index != chosen:
                yield given([*texts, one["text"]], [*ratings, _opinion(one)])
        taken = step.get("human_completion") if chosen is None else candidates[chosen]
        if taken is None:
            if candidates:
                return
            break
        texts.append(taken["text"])
        ratings.append(_opinion(taken))
    if texts:
        yield given(texts, ratings)


def _opinion(candidate: Row) -> float | None:
    return OPINIONS.get(candidate["rating"]) if isinstance(candidate.get("rating"), int) else None


def _prm800k_doubts(row: Row) -> Iterator[str]:
    steps = row["label"]["steps"]
    ratings = [one.get("rating") for step in steps for one in step.get("completions") or []]
    known = (None, -1, 0, 1)
    return (
        f"rating: {said(one)} is none of -1, 0, 1" for one in ratings if not any(one is x or one == x for x in known)
    )


KINDS: Final = (
    Kind("PRM800K", _is_prm800k, _prm800k, _prm800k_doubts),
    Kind("trees of rated steps", trees.is_rated, trees.rated, trees.rated_doubts),
    Kind("Math-Shepherd", _is_shepherd, _shepherd, _shepherd_doubts),
    Kind("MATH-APS", trees.is_aps, trees.aps, trees.aps_doubts),
    Kind("TRL stepwise supervision", _is_trl, _trl, _trl_doubts),
    Kind("lists of steps", _is_listed, _listed, _listed_doubts),
)
