"""Decides what a rollout was worth: drives a plan of `stages.probes` against an engine and grades what comes back.

A rollout continues the exact bytes of a prefix. One that was cut off, states no answer of its own, or whose answer
cannot be compared is "cut": neither a hit nor a miss.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from data.asks import Ask, Message, Sample, Sampling
from data.errors import Refused
from data.records import Estimate, Outcome, Tally, Task, Tokens, Trace, Verdict
from stages.answers import extract, gradable
from stages.engine import Engine
from stages.probes import Plan, Probe, Rolling, unknown
from stages.solve import prompt

Grade = Callable[[str | None, str | None], Awaitable[Outcome]]
"""`await grade(answer, gold)`: an answer that is missing or cannot be compared is "undecided"."""


async def rollout(  # noqa: PLR0917 - a stage takes what it needs, as PLR0913 in pyproject.toml
    task: Task,
    trace: Trace,
    outcome: Outcome,
    verdict: Verdict,
    plan: Plan,
    engine: Engine,
    grade: Grade,
    sampling: Sampling,
    system: str | None = None,
) -> tuple[Estimate, Tokens]:
    """Monte Carlo evidence on a solution, and what it cost. Where the engine refuses, the estimate is unknown.

    Raises Unavailable as the engine does: what was answered until then is in the ledger.
    """
    steps, gold = len(trace.steps), task.problem.gold
    if not steps:
        return unknown(0, "empty"), Tokens()
    if gold is None or (outcome == "undecided" and not gradable(gold)):
        return unknown(steps, "no_gold"), Tokens()
    roller = _Roller(prompt(task.problem.text, system), trace.steps, gold, engine, grade, sampling)
    try:
        estimate = await _drive(plan(steps, outcome, verdict.first_error), roller)
    except Refused:
        estimate = unknown(steps, "refused")
    return estimate, roller.spent


async def _drive(plan: Rolling, roller: "_Roller") -> Estimate:
    """Run a plan to its end; the asynchronous twin of `probes.simulate`."""
    try:
        probe = next(plan)
        while True:
            probe = plan.send(await roller.answer(probe))
    except StopIteration as end:
        estimate: Estimate = end.value
        return estimate


def stated(prefix: str, text: str) -> str | None:
    """Return the answer a continuation states itself, or completes; one that only the prefix states is not its own.

    Where both together state none, neither does the continuation: it ended in a thought that the prefix began.
    """
    own, whole = extract(text), extract(prefix + text)
    if whole is None:
        return None
    return own or (None if whole == extract(prefix) else whole)


@dataclass(slots=True)
class _Roller:
    """Answers one solution's probes and counts the tokens spent."""

    messages: tuple[Message, ...]
    steps: tuple[str, ...]
    gold: str
    engine: Engine
    grade: Grade
    sampling: Sampling
    spent: Tokens = field(default_factory=Tokens)

    async def answer(self, probe: Probe) -> Tally:
        prefix = "".join(self.steps[: probe.prefix])
        reply = await self.engine.reply(Ask(self.messages, prefix, probe.tries, probe.first, self.sampling))
        self.spent = Tokens(
            rollout=self.spent.rollout + sum(sample.tokens for sample in reply.samples),
            prompt=self.spent.prompt + reply.prompt_tokens,
            rollouts=self.spent.rollouts + len(reply.samples),
        )
        return await self._tally(prefix, reply.samples)

    async def _tally(self, prefix: str, samples: Iterable[Sample]) -> Tally:
        """Grade every distinct answer once."""
        answers = Counter(stated(prefix, sample.text) if sample.finish == "stop" else None for sample in samples)
        cut = answers.pop(None, 0)
        outcomes = await asyncio.gather(*(self.grade(answer, self.gold) for answer in answers))
        by_outcome: Counter[Outcome] = Counter()
        for outcome, count in zip(outcomes, answers.values(), strict=True):
            by_outcome[outcome] += count
        return Tally(by_outcome["equal"], by_outcome["different"], cut + by_outcome["undecided"])
