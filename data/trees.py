"""Trees of steps: people's ratings of every candidate, or MATH-APS's hit rates. Every way to a leaf is a solution.

No function here recurses: a tree may be as deep as it likes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from data.records import Given
from data.steps import OPINIONS, Row, doubted, given, said


def is_rated(row: Row) -> bool:
    """Whether a row is a problem with its rated candidate steps, each after the step it follows."""
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


def rated(row: Row) -> Row:
    """Read every path from a root to a leaf; a step has a value where those who rated it agree."""
    nodes = row["nodes"]
    parents = {node["parent"] for node in nodes}
    return {"solutions": [_branch(nodes, node) for node in nodes if node["id"] not in parents]}


def _branch(nodes: Sequence[Row], leaf: Row) -> Given:
    path = [leaf]
    while path[-1]["parent"] >= 0:
        path.append(nodes[path[-1]["parent"]])
    path.reverse()
    opinions = ({OPINIONS.get(one) for one in node["ratings"]} for node in path)
    return given([node["text"] for node in path], [next(iter(one)) if len(one) == 1 else None for one in opinions])


def rated_doubts(row: Row) -> Iterator[str]:
    """Yield which ratings cannot be meant."""
    ratings = (one for node in row["nodes"] for one in node["ratings"])
    return (f"ratings: {said(one)} is none of -1, 0, 1" for one in ratings if one not in OPINIONS)


def is_aps(row: Row) -> bool:
    """Whether a row is one of MATH-APS: prefixes with their hit rates, or the tree they are of."""
    steps = row.get("reasoning_steps")
    if not isinstance(row.get("question"), str):
        return False
    if isinstance(steps, Mapping):
        return all(isinstance(node, Mapping) and _is_branching(node) for node in _nodes(steps))
    if not isinstance(steps, list):
        return False
    return all(isinstance(one, Mapping) and isinstance(one.get("solution_prefix"), str) for one in steps)


def _is_branching(node: Row) -> bool:
    return isinstance(node.get("text"), str) and isinstance(node.get("children"), list)


def _nodes(root: Any) -> Iterator[Any]:
    """Yield the nodes of a tree, however deep it is, and what stands in a node's place."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        children = node.get("children") if isinstance(node, Mapping) else None
        waiting += children if isinstance(children, list) else []


def aps_doubts(row: Row) -> Iterator[str]:
    """Yield which hit rates cannot be meant."""
    steps = row["reasoning_steps"]
    values = [one.get("mc_value") for one in (_nodes(steps) if isinstance(steps, Mapping) else steps)]
    return doubted("mc_value", values, len(values))


def aps(row: Row) -> Row:
    """Read a tree of rollouts, each prefix with its hit rate; every longest one is a solution."""
    question, steps = row["question"], row["reasoning_steps"]
    solutions = list(_branches(steps) if isinstance(steps, Mapping) else _prefixes(question, steps))
    unnamed = {"question_id": None}  # numbers a row's place, and repeats over files
    return {"problem": question, "answer": row.get("final_answer"), "solutions": solutions, **unnamed}


def _branches(root: Row) -> Iterator[Given]:
    """Yield the way to each leaf of a tree; the root is the problem."""
    waiting: list[tuple[Row, tuple[str, ...], tuple[Any, ...]]] = [(root, (), ())]
    while waiting:
        node, texts, values = waiting.pop()
        if node is not root and node["text"].strip():
            texts, values = (*texts, node["text"]), (*values, node.get("mc_value"))
        waiting += ((child, texts, values) for child in reversed(node["children"]))
        if texts and not node["children"]:
            yield given(texts, values)


def _prefixes(question: str, steps: Sequence[Row]) -> Iterator[Given]:
    """Return each prefix that begins no other, cut where the prefixes that it begins with end."""
    prefixes = {one["solution_prefix"]: one.get("mc_value") for one in steps}
    rated = sorted((text[len(question) :], value) for text, value in prefixes.items() if text.startswith(question))
    paths = [zip(*path, strict=True) for path in _longest(rated)]
    return (given(texts, values, "") for texts, values in paths)


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
