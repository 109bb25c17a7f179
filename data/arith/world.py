"""Word problems of the embedded world, in three levels, and their structure read back from the text alone.

A problem is a chain of people who have things: some are told ("Ann 14."), the others follow from one or two
people before them. Some people do not matter for the question (distractors). All quantities lie in 1..99.
"""

# ruff: noqa: SIM905 - lists of words read best as words

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from data.records import Problem

Split = Literal["train", "test"]

NAMES = (
    "Abe Ann Bea Ben Cat Dan Eve Fay Gus Hal Ida Jim Joy Kim Leo Liv Mia Ned Ola Pam Quin Ray Sue Tom Una Vic Wes Zoe"
).split()
THINGS = "coins apples books cards shells stamps pens eggs".split()
LEVELS = {"easy": (2, 4), "medium": (5, 8), "hard": (9, 14)}  # operations on the way to the answer
LARGEST = 99

# symbol -> how a sentence says it; {a} is a person, {b} a person or a number
PHRASES = {
    ("+", "number"): "{x} has {b} more than {a}.",
    ("-", "number"): "{x} has {b} fewer than {a}.",
    ("*", "number"): "{x} has {b} times as many as {a}.",
    ("/", "number"): "{x} has one of {b} equal shares of what {a} has.",
    ("mod", "number"): "{x} has what is left when {a} fills bags of {b}.",
    ("+", "person"): "{x} has as many as {a} and {b} together.",
    ("-", "person"): "{x} has as many as {a} has beyond {b}.",
    ("max", "person"): "{x} has as many as the richer of {a} and {b}.",
}
_WEIGHTS = dict(zip(PHRASES, (4, 3, 2, 1, 1, 3, 2, 1), strict=True))
_WORD = {"x": r"(?P<x>[A-Z][a-z]+)", "a": r"(?P<a>[A-Z][a-z]+)", "b": r"(?P<b>\w+)"}
_READERS = tuple((op, re.compile(phrase.format(**_WORD))) for (op, _), phrase in PHRASES.items())
_TOLD = re.compile(r"(?P<x>[A-Z][a-z]+) (?P<n>\d{1,9})\.")
_QUESTION = re.compile(r"How many does (?P<x>[A-Z][a-z]+) have\?")


@dataclass(frozen=True, slots=True)
class Fact:
    """How a person's quantity follows: `a op b`, where b is a person's name or a number written out."""

    op: str
    a: str
    b: str


@dataclass(frozen=True, slots=True)
class Story:
    """A problem's structure: quantities told, quantities that follow (in order of the text), and who is asked for."""

    told: dict[str, int]
    facts: dict[str, Fact]
    asked: str

    def values(self) -> dict[str, int]:
        """Return everyone's quantity."""
        known = dict(self.told)
        for name, fact in self.facts.items():
            b = known[fact.b] if fact.b in known else int(fact.b)
            known[name] = apply(fact.op, known[fact.a], b)
        return known

    def needed(self) -> set[str]:
        """Return the people whose quantities the answer depends on."""
        need, todo = set[str](), [self.asked]
        while todo:
            name = todo.pop()
            need.add(name)
            fact = self.facts.get(name)
            todo += [p for p in (fact.a, fact.b) if p in self.facts or p in self.told] if fact else []
        return need


def apply(op: str, a: int, b: int) -> int:
    """Return `a op b`; a division that leaves a remainder gives 0, which no quantity is."""
    match op:
        case "+":
            return a + b
        case "-":
            return a - b
        case "*":
            return a * b
        case "/":
            return a // b if a % b == 0 else 0
        case "mod":
            return a % b
        case "max":
            return max(a, b)
    raise ValueError(f"unknown operation {op!r}")


def problems(level: str | None, count: int, split: Split = "test", start: int = 0) -> Iterator[Problem]:
    """Yield `count` problems of one level (None: the levels in turn); the same numbers give the same problems."""
    names = list(LEVELS)
    for index in range(start, start + count):
        yield problem(level or names[index % len(names)], index, split)


def problem(level: str, index: int, split: Split = "test") -> Problem:
    """Return problem number `index` of a level; train and test problems come from different seeds."""
    rng = random.Random(f"arith/{split}/{level}/{index}")
    story = _story(rng, rng.randint(*LEVELS[level]))
    text = _tell(rng, story)
    return Problem(f"arith-{split}-{level}-{index}", "arith", text, str(story.values()[story.asked]), level)


def practice(rng: random.Random) -> str:
    """Return a text whose facts hang on anybody, near or far: training material, too wide to be a good problem.

    In the levels' chains most quantities come from the line before; whoever learns from those alone never learns to
    look one up.
    """
    names = rng.sample(NAMES, len(NAMES))
    told = {names.pop(): rng.randint(2, 40) for _ in range(rng.randint(3, 9))}
    facts: dict[str, Fact] = {}
    known = dict(told)
    for _ in range(rng.randint(3, 8)):
        _grow(rng, names.pop(), known, facts, [rng.choice(list(known))])
    return _tell(rng, Story(told, facts, rng.choice(list(facts))))


def bush(rng: random.Random, count: int) -> str:
    """Return a text of so many facts that all hang on those who are told: what follows may be said in any order."""
    names = rng.sample(NAMES, len(NAMES))
    told = {names.pop(): rng.randint(2, 40) for _ in range(rng.randint(2, 6))}
    facts: dict[str, Fact] = {}
    for _ in range(count):
        _grow(rng, names.pop(), dict(told), facts, [rng.choice(list(told))])
    return _tell(rng, Story(told, facts, rng.choice(list(facts))))


def read(text: str) -> Story:
    """Return the structure of a problem's text. Raises ValueError where the text is not of this world."""
    told = {m["x"]: int(m["n"]) for m in _TOLD.finditer(text)}
    found = [(m.start(), m["x"], Fact(op, m["a"], m["b"])) for op, reader in _READERS for m in reader.finditer(text)]
    question = _QUESTION.search(text)
    if question is None or not found:
        raise ValueError("not a problem of the arith world")
    story = Story(told, {name: fact for _, name, fact in sorted(found, key=lambda f: f[0])}, question["x"])
    if not _follows(story):
        raise ValueError("not a problem of the arith world: somebody's quantity does not follow")
    return story


def subjects(text: str) -> list[tuple[int, str]]:
    """Return whose sentence it is behind each operand that a sentence names, with the offset of the operand's end."""
    found = [m for _, reader in _READERS for m in reader.finditer(text)]
    return sorted((m.end(operand), m["x"]) for m in found for operand in ("a", "b"))


def _follows(story: Story) -> bool:
    try:
        return story.asked in story.values()
    except (KeyError, ValueError, ZeroDivisionError):
        return False


def _story(rng: random.Random, operations: int) -> Story:
    """Grow a chain of exactly `operations` needed facts, then hang distractors on it."""
    while True:
        names = rng.sample(NAMES, len(NAMES))
        told = {names.pop(): rng.randint(2, 40) for _ in range(rng.randint(1, 2) + operations // 4)}
        facts: dict[str, Fact] = {}
        open_ends = list(told)
        known = dict(told)
        for _ in range(operations):
            _grow(rng, names.pop(), known, facts, open_ends)
        story = Story(told, facts, list(facts)[-1])
        if len(story.needed() & facts.keys()) == operations:
            return _distract(rng, story, names, operations)


def _grow(rng: random.Random, name: str, known: dict[str, int], facts: dict[str, Fact], ends: list[str]) -> None:
    """Add one fact that uses the newest loose end, so that chains rather than bushes come out."""
    while True:
        op, kind = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        a = ends[-1] if ends else rng.choice(list(known))
        b = (
            rng.choice([n for n in (ends[:-1] or list(known)) if n != a] or [a])
            if kind == "person"
            else _number(rng, op)
        )
        if kind == "person" and (a == b or rng.random() < 0.5):
            a, b = b, a
        value = apply(op, known[a], known[b] if kind == "person" else int(b))
        if a != b and 1 <= value <= LARGEST and not (op == "mod" and value == known[a]):
            break
    known[name], facts[name] = value, Fact(op, a, b)
    ends[:] = [e for e in ends if e not in (a, b)] + [name]


def _number(rng: random.Random, op: str) -> str:
    low, high = {"+": (2, 30), "-": (2, 30), "*": (2, 5), "/": (2, 5), "mod": (3, 9)}[op]
    return str(rng.randint(low, high))


def _distract(rng: random.Random, story: Story, names: list[str], operations: int) -> Story:
    """Add people nobody asks about: some told, some that follow; they stand anywhere after what they need."""
    told, facts = dict(story.told), dict(story.facts)
    for _ in range(rng.randint(0, 1) + operations // 7):
        told[names.pop()] = rng.randint(2, 40)
    for _ in range(rng.randint(0, 1 + operations // 5)):
        rows = list(facts.items())
        place = rng.randint(0, len(rows) - 1)
        known = Story(told, dict(rows[:place]), "").values()
        added: dict[str, Fact] = {}
        _grow(rng, names.pop(), known, added, [rng.choice(list(known))])
        facts = dict(rows[:place] + list(added.items()) + rows[place:])
    return Story(told, facts, story.asked)


def _tell(rng: random.Random, story: Story) -> str:
    """Write a story down; names stand right before their quantities, as in the solutions' lines."""
    told = [f"{name} {number}." for name, number in story.told.items()]
    rng.shuffle(told)
    facts = [_sentence(name, fact, story) for name, fact in story.facts.items()]
    opening, question = f"How many {rng.choice(THINGS)}?", f"How many does {story.asked} have?"
    return " ".join([opening, *told, *facts, question])


def _sentence(name: str, fact: Fact, story: Story) -> str:
    kind = "person" if fact.b in story.told or fact.b in story.facts else "number"
    return PHRASES[fact.op, kind].format(x=name, a=fact.a, b=fact.b)
