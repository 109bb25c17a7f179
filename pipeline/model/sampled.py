"""The model's own solutions and judgements, against the truth: to learn from (train problems), to measure (test)."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from data.arith import oracle
from data.asks import Ask, Message, Reply, Sampling
from data.errors import Refused
from data.records import NO_ERROR, Problem, Trace
from judges.critique import Critique
from pipeline.model.corpus import Solved
from stages.engine import Engine
from stages.split import split

SAMPLING = Sampling(temperature=1.0, max_tokens=400)


@dataclass(frozen=True, slots=True)
class Solution:
    """A sampled solution with its truth: the first wrong step, and whether its answer is right."""

    problem: Problem
    steps: tuple[str, ...]
    first_error: int
    right: bool

    @property
    def solved(self) -> Solved:
        """The same, as the corpus wants it."""
        known = len(self.steps) if self.first_error == NO_ERROR else self.first_error
        after = len(self.steps) - known - 1
        verdicts = (True,) * known + ((False, *(None,) * after) if after >= 0 else ())
        return Solved(self.problem.text, self.steps, self.first_error, verdicts)


async def solutions(engine: Engine, problems: Sequence[Problem], each: int = 1) -> list[Solution]:
    """Sample `each` solutions a problem; those cut off or empty are left out."""
    asks = [Ask((Message("user", p.text),), n=each, sampling=SAMPLING) for p in problems]
    replies: list[Reply] = await asyncio.gather(*map(engine.reply, asks))
    pairs = [(p, s.text) for p, r in zip(problems, replies, strict=True) for s in r.samples if s.finish == "stop"]
    return [solution(problem, text) for problem, text in pairs if text.strip()]


def solution(problem: Problem, text: str) -> Solution:
    """Return a solution's text with its truth."""
    steps = split(text)
    answer = re.search(r"The answer is (\d+)\.\s*$", text)
    right = answer is not None and answer[1] == problem.gold
    return Solution(problem, steps, oracle.first_error(problem.text, steps), right)


async def judged(engine: Engine, shown: Sequence[Solution]) -> list[int | None]:
    """Return the first error the model names in each solution, read greedily (None: not readable)."""
    judge, sampling = Critique("critique_brief"), Sampling(temperature=0.0, max_tokens=500)
    asks = [judge.ask(Trace(s.problem.text, s.steps, None)) for s in shown]
    asks = [replace(ask, sampling=sampling) for ask in asks]
    replies: list[Reply | BaseException] = await asyncio.gather(*map(engine.reply, asks), return_exceptions=True)
    return [_read(judge, r, len(s.steps)) for s, r in zip(shown, replies, strict=True)]


def _read(judge: Critique, reply: Reply | BaseException, steps: int) -> int | None:
    """Read a reply; a half-trained model writes words that are none, about which it cannot be asked."""
    if isinstance(reply, Refused):
        return None
    if isinstance(reply, BaseException):
        raise reply
    return judge.read(reply.samples[0].text, steps).first_error


def exact(shown: Sequence[Solution], said: Sequence[int | None], *, wrong: bool) -> tuple[int, int]:
    """Count (exactly right, all) positions the judge named on solutions with, or without, a wrong step."""
    cases = [(s.first_error, j) for s, j in zip(shown, said, strict=True) if (s.first_error != NO_ERROR) == wrong]
    return sum(truth == j for truth, j in cases), len(cases)
