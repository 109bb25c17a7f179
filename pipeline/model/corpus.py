"""What the small model learns from: solutions to continue, solutions to judge, and drills of bare equations.

Solver and judge share one skill, knowing what each step should say. So a solution shown to the judge is also learnt
from as text (each right step's tokens), and at the end of each shown step the model must already know the verdict;
without these two the judge only learns to say "right" (docs/decisions/002).
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from data.arith import oracle, world
from data.records import NO_ERROR

DRILLED = ("+", "+", "-", "-", "-", "*", "/", "mod", "mod", "mod", "mod", "max")  # remainders are learnt last
SHUFFLED = 0.3  # of the solutions go through the people in an order of their own
SKIPPED = 0.2  # of the people who do not matter are left out
_LINE = re.compile(r"(So (?P<who>\w+):)( \w+)( [\d?]+ \S+)( [^=]*=)( .*)", re.DOTALL)
ASK = "Which paragraph is wrong first?"  # the tail of judges/prompts/critique_brief.txt; a test holds the two together


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text. `weight`: of predicting its tokens; once its last is read, a `verdict` or `whose` to know."""

    text: str
    weight: float = 0.0
    verdict: bool | None = None
    whose: str | None = None


Example = list[Piece]


@dataclass(frozen=True, slots=True)
class Solved:
    """A solution's steps (each with what parts it from the next), the first wrong one, and what is known of each."""

    problem: str
    steps: tuple[str, ...]
    first_error: int
    verdicts: tuple[bool | None, ...]


def solution(rng: random.Random, problem: str, slips: float, each: float = 0.0) -> Solved:
    """Return a solution with one slip (with chance `slips`), or one in every step with chance `each`.

    A wrong quantity is carried on: a step is right if it follows from the steps shown before it. One slip in four is
    haste.
    """
    story = world.read(problem)
    used = {story.asked} | {who for fact in story.facts.values() for who in (fact.a, fact.b)}
    idle = [name for name in story.facts if name not in used]
    skip = frozenset(name for name in idle if rng.random() < SKIPPED)
    if not each and rng.random() < slips / 4:
        return hasty(rng, problem, dodges=0.5)
    count = len(story.facts) - len(skip) + 1
    spoiled = {index for index in range(count) if rng.random() < each}
    if not each and rng.random() < slips:
        spoiled = {rng.randrange(count)}
    return _solved(problem, *_written(rng, story, skip, spoiled))


def hasty(rng: random.Random, problem: str, dodges: float = 0.0) -> Solved:
    """Return a solution in which somebody was left out; who needs them makes up the quantity, or `dodges` it.

    To dodge is to use another rule, which needs only those who are known: a model that finds no rule does so.
    """
    story = world.read(problem)
    return _solved(problem, *_written(rng, story, frozenset({rng.choice(list(story.facts))}), set(), dodges))


def to_solve(solved: Solved, *, whole: bool = False) -> Example:
    """Make a solver's example: go on rightly, also after a slip, whose own step is learnt from only if `whole`."""
    pairs = zip(solved.steps, solved.verdicts, strict=True)
    shown = [piece for step, verdict in pairs for piece in _said(step, 1.0 if verdict or whole else 0.0)]
    return [*_told(solved.problem), Piece("<|end|><|assistant|>"), *shown, Piece("<|end|>", weight=1.0)]


def to_judge(solved: Solved) -> Example:
    """Make a judge's example: each shown step carries its verdict, and the reply goes up to the first wrong one."""
    shown: Example = [*_told(solved.problem), Piece("\n\n")]
    for number, (step, verdict) in enumerate(zip(solved.steps, solved.verdicts, strict=True), 1):
        shown += [
            Piece(f"<paragraph_{number}>\n"),
            *_said(step.strip(), 0.5 if verdict else 0.0),
            Piece(f"\n</paragraph_{number}>\n\n", verdict=verdict),
        ]
    return [*shown, Piece(f"{ASK}<|end|><|assistant|>"), *reply(solved), Piece("<|end|>", weight=0.5)]


def reply(solved: Solved) -> Example:
    """Return the judge's reply: what each step should say, worked out anew, then whether it does.

    Working it out first is what makes the small model see an error: it solves better than it doubts.
    """
    wrong = solved.first_error
    said: Example = []
    for index in range(len(solved.steps) if wrong == NO_ERROR else wrong + 1):
        own = oracle.mended(solved.problem, solved.steps, index)
        said += [
            Piece(f"<analysis_{index + 1}>\n", weight=0.5),
            *_said(f"{own}\n" if own else "", 1.0),
            Piece("wrong" if index == wrong else "right", weight=4.0),
            Piece(f"\n</analysis_{index + 1}>\n\n", weight=0.5),
        ]
    word = "Correct" if wrong == NO_ERROR else "Incorrect"
    return [*said, Piece("<conclusion>\n", weight=0.5), Piece(word, weight=1.0), Piece("\n</conclusion>", weight=0.5)]


def recall(rng: random.Random, people: int) -> Example:
    """Make a drill in looking up: people's quantities, asked for again in any order.

    The art is learnt suddenly, from two people after a few hundred steps, from many not in thousands; once learnt
    it holds for any number.
    """
    told = {name: rng.randint(1, world.LARGEST) for name in rng.sample(world.NAMES, people)}
    asked = [rng.choice(list(told)) for _ in range(2 * people + 2)]
    answers = [Piece(*half) for name in asked for half in ((f" {name}", 0.0), (f" {told[name]}", 1.0), (".", 0.0))]
    given = " ".join(f"{name} {number}." for name, number in told.items())
    return [Piece(f"<|user|>{given}<|end|><|assistant|>"), *answers]


def rules(rng: random.Random, count: int) -> Example:
    """Make a drill in looking up how a quantity follows: so many people's rules, half of them asked for in any order.

    In solutions the next line is nearly always about the text's next sentence, so that whoever learns from those alone
    goes on to it, whosever name stands there.
    """
    text = world.bush(rng, count)
    story = world.read(text)
    values, said = story.values(), list[Piece]()
    for name in rng.sample(list(story.facts), max(1, count // 2)):
        given, first, op, second, result = _said(oracle.line(name, story.facts[name], values), 0.5)
        result = Piece(f"{result.text}\n\n")
        said += [replace(given, weight=0.0), replace(first, weight=1.0), op, second, result]
    return [*_told(text), Piece("<|end|><|assistant|>"), *said]


def _told(problem: str) -> Example:
    """Return the prompt's beginning, in which each operand knows whose sentence it stands in.

    Who looks a person's rule up has to find the operands by the person's name, several words before them. A step asks
    for them at its beginning and at its operation, which know whose step it is, in the same place (`_said`).
    """
    said, start = [Piece("<|user|>")], 0
    for end, who in world.subjects(problem):
        said.append(Piece(problem[start:end], whose=who))
        start = end
    return [*said, Piece(problem[start:])]


def _said(step: str, weight: float) -> Example:
    """Return a step whose beginning and operation know whose it is, where it has them."""
    found = _LINE.fullmatch(step)
    if found is None:
        return [Piece(step, weight)]
    given, _, first, op, second, result = found.groups()
    parts = [Piece(part, weight) for part in (given, first, op, second, result)]
    parts[0], parts[2] = (replace(part, whose=found["who"]) for part in (parts[0], parts[2]))
    return parts


def compare(rng: random.Random, steps: int) -> Example:
    """Make a drill in comparing steps, half of them spoiled, with what they should say; only verdicts count."""
    cases = [_claim(rng) for _ in range(steps)]
    shown = [(_spoil(rng, *case) if rng.random() < 0.5 else oracle.line(*case), oracle.line(*case)) for case in cases]
    asked = [Piece(f"<paragraph_{k}>\n{step}\n</paragraph_{k}>\n\n") for k, (step, _) in enumerate(shown, 1)]
    said: Example = []
    for k, (step, own) in enumerate(shown, 1):
        said += [
            Piece(f"<analysis_{k}>\n{own}\n"),
            Piece("right" if step == own else "wrong", weight=1.0),
            Piece(f"\n</analysis_{k}>\n\n"),
        ]
    return [Piece("<|user|>"), *asked, Piece(f"{ASK}<|end|><|assistant|>"), *said]


def _claim(rng: random.Random) -> tuple[str, world.Fact, dict[str, int]]:
    """Draw a person, how their quantity follows, and the quantities that hold."""
    while True:
        name, a, b = rng.sample(world.NAMES, 3)
        op, kind = rng.choice(list(world.PHRASES))
        values = {a: rng.randint(1, world.LARGEST), b: rng.randint(1, world.LARGEST)}
        fact = world.Fact(op, a, b if kind == "person" else str(rng.randint(2, 30 if op in "+-" else 5)))
        values[name] = world.apply(op, values[a], values[b] if kind == "person" else int(fact.b))
        if 1 <= values[name] <= world.LARGEST:
            return name, fact, values


def drill(rng: random.Random) -> Example:
    """Make a drill in arithmetic: bare equations in the sentences' own tokens; only their results count."""
    said: Example = []
    for op in rng.sample(DRILLED, len(DRILLED)):
        a, b = _sum(rng, op)
        who, whose = rng.sample(world.NAMES, 2)
        equation, result = f"So {who}: {whose} {a} {op} {b} = {who}", f" {world.apply(op, a, b)}"
        said += [Piece(equation), Piece(result, weight=3.0), Piece(".\n\n")]
    return [Piece("<|assistant|>"), *said]


def _sum(rng: random.Random, op: str) -> tuple[int, int]:
    """Draw numbers that an operation can be done with."""
    while True:
        a, b = rng.randint(1, world.LARGEST), rng.randint(*((2, 9) if op in ("*", "/", "mod") else (1, world.LARGEST)))
        if 1 <= world.apply(op, a, b) <= world.LARGEST:
            return a, b


def _solved(problem: str, lines: Sequence[str], verdicts: Sequence[bool]) -> Solved:
    steps = (*(f"{line}\n\n" for line in lines[:-1]), lines[-1])
    return Solved(problem, steps, oracle.first_error(problem, lines), tuple(verdicts))


def _written(
    rng: random.Random, story: world.Story, skip: frozenset[str], spoiled: set[int], dodges: float = 0.0
) -> tuple[list[str], list[bool]]:
    """Return the solution's lines with slips in the `spoiled` ones, and which lines follow from those before.

    Of somebody in `skip` whom others need, the lines that follow make up the quantity, or some `dodges` it.
    """
    values = dict(story.told)
    made_up: set[str] = set()
    lines: list[str] = []
    verdicts: list[bool] = []
    for name, fact in _ordered(rng, story):
        values[name] = _value(fact, values)
        if name in skip:
            made_up.add(name)
            values[name] = _near(rng, values[name], values)
            continue
        right, needs = oracle.line(name, fact, values), {fact.a, fact.b} & made_up
        if needs and rng.random() < dodges:
            lines.append(_another(rng, name, fact, values, [who for who in values if who not in {name, *made_up}]))
        else:
            lines.append(_spoil(rng, name, fact, values) if len(lines) in spoiled else right)
        verdicts.append(lines[-1] == right and not needs)
        values[name] = int(re.findall(r"\d+", lines[-1])[-1])
    said = _near(rng, values[story.asked], values) if len(lines) in spoiled else values[story.asked]
    follows = said == values[story.asked] and story.asked not in made_up
    return [*lines, f"The answer is {said}."], [*verdicts, follows]


def _ordered(rng: random.Random, story: world.Story) -> list[tuple[str, world.Fact]]:
    """Return the facts in the text's order, or sometimes in any in which each stands after what it needs."""
    if rng.random() > SHUFFLED:
        return list(story.facts.items())
    rest, ordered = dict(story.facts), dict[str, world.Fact]()
    while rest:
        ready = [name for name, fact in rest.items() if not {fact.a, fact.b} & rest.keys()]
        name = rng.choice(ready)
        ordered[name] = rest.pop(name)
    return list(ordered.items())


def _value(fact: world.Fact, values: dict[str, int]) -> int:
    """Return what follows from possibly wrong quantities, kept in the range the sentences can say."""
    b = values[fact.b] if fact.b in values else int(fact.b)
    return abs(world.apply(fact.op, values[fact.a], b or 1)) % (world.LARGEST + 1)


def _spoil(rng: random.Random, name: str, fact: world.Fact, values: dict[str, int]) -> str:
    """Return one wrong line for `name`: a wrong result, a wrong quantity put in, or a wrong rule."""
    known = dict(values)
    match rng.choice(("result", "result", "put in", "put in", "person", "rule", "whom", "another", "another")):
        case "another":
            return _another(rng, name, fact, values, [who for who in values if who != name])
        case "result":
            known[name] = _near(rng, known[name], values)
        case "put in":
            known[fact.a] = _near(rng, known[fact.a], values)
            known[name] = _value(fact, known)
        case "person":
            fact = replace(fact, a=rng.choice([p for p in values if p != fact.a]))
            known[name] = _value(fact, known)
        case "rule":
            fact = replace(fact, op=rng.choice([op for op in "+-*" if op != fact.op]))
            known[name] = _value(fact, known)
        case "whom":
            fact = replace(fact, b=rng.choice([*values, str(rng.randint(2, 30))]))
            known[name] = _value(fact, known)
    return oracle.line(name, fact, known)


def _another(rng: random.Random, name: str, fact: world.Fact, values: dict[str, int], people: list[str]) -> str:
    """Return a line for `name` by a rule that is not theirs, among these people: somebody else's was looked up."""
    strangers = [who for who in people if who not in {fact.a, fact.b}]
    op, kind = rng.choice([rule for rule in world.PHRASES if strangers or rule[0] != fact.op])
    b = rng.choice(people) if kind == "person" else str(rng.randint(2, 30 if op in "+-" else 5))
    wrong = world.Fact(op, rng.choice(strangers or people), b)
    return oracle.line(name, wrong, {**values, name: _value(wrong, values)})


def _near(rng: random.Random, value: int, values: dict[str, int]) -> int:
    """Return a wrong quantity of the kind a small model says: a digit off, or somebody else's."""
    choices = [value + 1, value - 1, value + 10, value - 10, rng.randint(1, world.LARGEST), *values.values()]
    fit = [v for v in choices if v != value and 0 <= v <= world.LARGEST]
    return rng.choice(fit)
