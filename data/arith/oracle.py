"""The truth about a solution of the embedded world: which of its steps is the first wrong one.

A step is right iff it is a sentence of the world ("So Ben: Ann + 5 = 14 + 5 = 19." or "The answer is 19.") and every
claim in it is true of the problem: the rule used, the quantities put in, the result. So a step left out, repeated or
not needed is no error; a slip repaired later is one; a line that is no such sentence is one. For measuring only.
"""

import re
from collections.abc import Sequence

from data.arith.world import Fact, Story, read
from data.records import NO_ERROR

_OP = r"(\+|-|\*|/|mod|max)"
_NUMBER = r"([0-9]{1,9})"
_STEP = re.compile(rf"So ([A-Z][a-z]+): ([A-Z][a-z]+) {_OP} (\w+) = {_NUMBER} {_OP} {_NUMBER} = {_NUMBER}\.")
_ANSWER = re.compile(rf"The answer is {_NUMBER}\.")
_COMMUTES = {"+", "max"}


def first_error(problem: str, steps: Sequence[str]) -> int:
    """Return the 0-based index of the first wrong step, or -1. Raises ValueError if `problem` is not of this world."""
    story = read(problem)
    values = story.values()
    for index, step in enumerate(steps):
        if not _right(step.strip(), story, values):
            return index
    return NO_ERROR


def solve(story: Story, skip: frozenset[str] = frozenset()) -> list[str]:
    """Return the lines of the plain solution, leaving out the people in `skip`."""
    values = story.values()
    lines = [line(name, fact, values) for name, fact in story.facts.items() if name not in skip]
    return [*lines, f"The answer is {values[story.asked]}."]


def line(name: str, fact: Fact, values: dict[str, int]) -> str:
    """Return the sentence that works out `name` with the quantities in `values`."""
    b = values.get(fact.b, fact.b)
    head = f"So {name}: {fact.a} {fact.op} {fact.b} = {values[fact.a]} {fact.op} {b}"
    return f"{head} = {values[name]}."


def _right(step: str, story: Story, values: dict[str, int]) -> bool:
    if answer := _ANSWER.fullmatch(step):
        return int(answer[1]) == values[story.asked]
    claim = _STEP.fullmatch(step)
    if claim is None or claim[1] not in story.facts:
        return False
    name, a, op, b, x, op_again, y, result = claim.groups()
    fact = story.facts[name]
    operands = [(fact.a, fact.b), (fact.b, fact.a)] if fact.op in _COMMUTES else [(fact.a, fact.b)]
    put_in = [values[p] if p in values else int(p) for p in (a, b)] if (a, b) in operands else None
    return op == op_again == fact.op and put_in == [int(x), int(y)] and int(result) == values[name]
