"""The truth about a solution of the embedded world: which of its steps is the first wrong one.

A step is right iff it is a sentence of the world ("So Ben: Ann 14 + 5 = Ben 19." or "The answer is 19.") and every
claim in it is true of the problem: the rule used, the quantities put in, the result. So a step left out, repeated or
not needed is no error; a slip repaired later is one; a line that is no such sentence is one. For measuring only.
"""

import re
from collections.abc import Mapping, Sequence

from data.arith.world import Fact, Story, read
from data.records import NO_ERROR

_OP = r"(\+|-|\*|/|mod|max)"
_NUMBER = r"([0-9]{1,9})"
_NAME = r"([A-Z][a-z]+)"
_STEP = re.compile(rf"So {_NAME}: (?:{_NAME} )?{_NUMBER} {_OP} (?:{_NAME} )?{_NUMBER} = {_NAME} {_NUMBER}\.")
_ANSWER = re.compile(rf"The answer is {_NUMBER}\.")
_SUBJECT = re.compile(rf"So {_NAME}:|The answer is ")
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


def line(name: str, fact: Fact, values: Mapping[str, int | str]) -> str:
    """Return the sentence that works out `name` with the quantities in `values`."""
    a, b = (f"{who} {values[who]}" if who in values else who for who in (fact.a, fact.b))
    return f"So {name}: {a} {fact.op} {b} = {name} {values[name]}."


def mended(problem: str, steps: Sequence[str], index: int) -> str | None:
    """Return what step `index` should say: the true sentence about what it is about, or None where that is nothing.

    A quantity that neither the problem tells nor an earlier step states (those are right) is "?", and so is what
    would follow from it: nobody can look it up. A right step is returned as it is.
    """
    story, step = read(problem), steps[index].strip()
    values, about = story.values(), _SUBJECT.match(step)
    if about is None:
        return None
    if _right(step, story, values):
        return step
    stated = {found[1] for earlier in steps[:index] if (found := _SUBJECT.match(earlier.strip()))}
    known: dict[str, int | str] = {who: v if who in story.told or who in stated else "?" for who, v in values.items()}
    name = about[1]
    if name is None:
        return f"The answer is {known[story.asked]}."
    if name not in story.facts:
        return f"So {name}: ?."
    fact = story.facts[name]
    known[name] = "?" if "?" in (known.get(fact.a), known.get(fact.b)) else values[name]
    return line(name, fact, known)


def _right(step: str, story: Story, values: dict[str, int]) -> bool:
    if answer := _ANSWER.fullmatch(step):
        return int(answer[1]) == values[story.asked]
    claim = _STEP.fullmatch(step)
    if claim is None or claim[1] not in story.facts:
        return False
    name, a, x, op, b, y, again, result = claim.groups()
    fact, used = story.facts[name], [(a, int(x)), (b, int(y))]
    rule = [(who, values[who]) if who in values else (None, int(who)) for who in (fact.a, fact.b)]
    orders = [rule, rule[::-1]] if fact.op in _COMMUTES else [rule]
    return op == fact.op and used in orders and again == name and int(result) == values[name]
