"""Which rows are step data of others (PRM800K, Math-Shepherd, MATH-APS, ProcessBench, TRL, our exports), and its steps.

Steps stay as the dataset cut them, their labels as its own values: 1 right, 0 wrong, between them a hit rate or
PRM800K's "neutral" (0.5), None where it does not say. A row that is not what its neighbours are is left as it is.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from data.records import Given
from data.schema import clean

Row = Mapping[str, Any]

TAG: Final = "ки"  # ends a step in Math-Shepherd's texts
_OPINIONS: Final = {-1: 0.0, 0: 0.5, 1: 1.0}  # PRM800K's ratings
BETWEEN: Final = "\n\n"  # put between steps that a dataset lists without what stood between them


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of step data: which rows are of it, and how they read: as columns whose `solutions` are `Given`s."""

    name: str
    fits: Callable[[Row], bool]
    read: Callable[[Row], Row]

    def plain(self, row: Row) -> Row:
        """Return a row with the usual columns beside its own; one that does not fit as it is."""
        return {**row, **self.read(row)} if self.fits(row) else row


def recognise(row: Row) -> Kind | None:
    """Return the kind of step data a row is, if it is any."""
    return next((kind for kind in KINDS if kind.fits(row)), None)


def given(steps: Sequence[str], ratings: Iterable[Any] = (), between: str = BETWEEN) -> Given:
    """Return a solution of these steps; `between` is put after each but the last that does not end a line itself."""
    ends = (between if not step.endswith("\n") else "" for step in steps[:-1])
    pieces = tuple(clean(step) + end for step, end in zip(steps, [*ends, ""][: len(steps)], strict=True))
    values = tuple(rating(value) for value in ratings)
    known = len(values) == len(pieces) and any(value is not None for value in values)
    return Given("".join(pieces), steps=pieces, ratings=values if known else ())


def rating(value: Any) -> float | None:
    """Return a label as a value from 0 to 1; None for what is no such thing."""
    return float(value) if isinstance(value, bool | int | float) and 0 <= value <= 1 else None


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(step, str) for step in value)


def _is_listed(row: Row) -> bool:
    others = {"solutions", "candidates", "responses", "generations"}  # several a row, of which `steps` tells nothing
    return isinstance(row.get("problem"), str) and _texts(row.get("steps")) and not others & row.keys()


def _listed(row: Row) -> Row:
    """Read ProcessBench (`label`: the first wrong step, what follows is unknown) and our JSON Lines (`labels`)."""
    steps, label, between = row["steps"], row.get("label"), row.get("between")
    labels = row["labels"] if isinstance(row.get("labels"), list) else ()
    if isinstance(label, int) and -1 <= label < len(steps):
        labels = [1] * len(steps) if label < 0 else [*[1] * label, 0, *[None] * (len(steps) - label - 1)]
    return {"solutions": [given(steps, labels, between if isinstance(between, str) else BETWEEN)]}


def _is_trl(row: Row) -> bool:
    return isinstance(row.get("prompt"), str) and _texts(row.get("completions")) and isinstance(row.get("labels"), list)


def _trl(row: Row) -> Row:
    return {"problem": row["prompt"].rstrip(), "solutions": [given(row["completions"], row["labels"])]}


def _is_shepherd(row: Row) -> bool:
    text, label = row.get("input"), row.get("label")
    return isinstance(text, str) and isinstance(label, str) and TAG in text and _shepherd_start(text) >= 0


def _shepherd(row: Row) -> Row:
    """Read `input`, with a tag after each step, and `label`, the same with + or - in the tag's place."""
    text, label, start = row["input"], row["label"], _shepherd_start(row["input"])
    pieces = text.split(TAG)[:-1]
    ends = [sum(len(piece) for piece in pieces[: n + 1]) + n for n in range(len(pieces))]
    signs = [{"+": 1, "-": 0}.get(label[end : end + 1]) for end in ends]
    steps = [piece.strip() for piece in [pieces[0][start:], *pieces[1:]]]
    task = {"dataset": row["task"]} if isinstance(row.get("task"), str) else {}
    return {"problem": text[:start].rstrip(), "solutions": [given(steps, signs, "\n")], **task}


def _shepherd_start(text: str) -> int:
    """Return where the first step starts, or -1: the problem before it is marked off by nothing else."""
    return text.partition(TAG)[0].lower().find("step 1:")


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
    return _OPINIONS.get(candidate["rating"]) if isinstance(candidate.get("rating"), int) else None


def _is_tree(row: Row) -> bool:
    nodes = row.get("nodes")
    if not isinstance(row.get("problem"), str) or not isinstance(nodes, list) or not nodes:
        return False
    return all(isinstance(node, Mapping) and _is_node(node, place) for place, node in enumerate(nodes))


def _is_node(node: Row, place: int) -> bool:
    """Whether a node is numbered by its place, after its parent (-1: none)."""
    parent, ratings = node.get("parent"), node.get("ratings")
    rated = isinstance(ratings, list) and all(isinstance(one, int) for one in ratings)
    return (
        node.get("id") == place
        and isinstance(parent, int)
        and -1 <= parent < place
        and rated
        and isinstance(node.get("text"), str)
    )


def _tree(row: Row) -> Row:
    """Read every path from a root to a leaf; a step has a value where those who rated it agree."""
    nodes = row["nodes"]
    parents = {node["parent"] for node in nodes}
    return {"solutions": [_branch(nodes, node) for node in nodes if node["id"] not in parents]}


def _branch(nodes: Sequence[Row], leaf: Row) -> Given:
    path = [leaf]
    while path[-1]["parent"] >= 0:
        path.append(nodes[path[-1]["parent"]])
    path.reverse()
    opinions = ({_OPINIONS.get(one) for one in node["ratings"]} for node in path)
    return given([node["text"] for node in path], [next(iter(one)) if len(one) == 1 else None for one in opinions])


def _is_aps(row: Row) -> bool:
    prefixes = row.get("reasoning_steps")
    if not isinstance(row.get("question"), str) or not isinstance(prefixes, list):
        return False
    return all(isinstance(one, Mapping) and isinstance(one.get("solution_prefix"), str) for one in prefixes)


def _aps(row: Row) -> Row:
    """Read the prefixes of a tree of rollouts, each with its hit rate; every longest one is a solution."""
    question, prefixes = (
        row["question"],
        {one["solution_prefix"]: one.get("mc_value") for one in row["reasoning_steps"]},
    )
    rated = sorted((text[len(question) :], value) for text, value in prefixes.items() if text.startswith(question))
    paths = [zip(*path, strict=True) for path in _longest(rated)]
    solutions = [given(texts, values, "") for texts, values in paths]
    unnamed = {"question_id": None}  # numbers a row's place, and repeats over files
    return {"problem": question, "answer": row.get("final_answer"), "solutions": solutions, **unnamed}


def _longest(rated: Iterable[tuple[str, Any]]) -> Iterator[list[tuple[str, Any]]]:
    """Yield each sorted text that begins no other, as the pieces that the texts it begins with cut it into."""
    path: list[tuple[str, Any]] = []
    before = ""
    for text, value in rated:
        if not text.strip():
            continue
        if path and not text.startswith(before):
            yield list(path)
        while path and not text.startswith(before):
            before = before[: -len(path.pop()[0])]
        path.append((text[len(before) :], value))
        before = text
    if path:
        yield path


KINDS: Final = (
    Kind("PRM800K", _is_prm800k, _prm800k),
    Kind("trees of rated steps", _is_tree, _tree),
    Kind("Math-Shepherd", _is_shepherd, _shepherd),
    Kind("MATH-APS", _is_aps, _aps),
    Kind("TRL stepwise supervision", _is_trl, _trl),
    Kind("lists of steps", _is_listed, _listed),
)
