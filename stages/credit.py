"""PRL credit (arXiv 2601.10201): one process reward a step, from log-ratios of a policy and a reference.

r_t = r(x, a) - (1 / eta) * sum over later tokens j of log[pi(a_j) / pi_ref(a_j)], read at step ends. It spreads what
the outcome was worth over the steps; it does not say whether a step is right, so it is no label and no vote.
"""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import isfinite

from data.asks import Ask
from data.errors import Refused
from data.records import Credit, Outcome, Task, Tokens, Trace
from stages.engine import Engine, Scores
from stages.solve import prompt

WORTH = {"equal": 1.0, "different": 0.0}
"""The outcome's reward r(x, a); one that is undecided has none."""


async def credit(  # noqa: PLR0917 - a stage takes what it needs
    task: Task,
    trace: Trace,
    outcome: Outcome,
    policy: Engine,
    reference: Engine,
    eta: float,
    system: str | None = None,
) -> tuple[Credit, Tokens]:
    """Score a solution twice, and give its rewards, or the reason why there are none. Raises Unavailable as engines do.

    Reasons: "empty", "undecided" (outcome), "refused" (by a model), "unaligned" (a model's tokens do not join to the
    text), "infinite" (a token is impossible for a model).
    """
    if not trace.steps or outcome not in WORTH:
        return Credit(reason="undecided" if trace.steps else "empty"), Tokens()
    ask, text = Ask(prompt(task.problem.text, system)), "".join(trace.steps)
    try:
        ours, theirs = await asyncio.gather(policy.score(ask, text), reference.score(ask, text))
    except Refused:
        return Credit(reason="refused"), Tokens()
    spent = Tokens(prompt=sum(scores.prompt_tokens + len(scores.tokens) for scores in (ours, theirs)))
    try:
        values = rewards(WORTH[outcome], trace.steps, ours, theirs, eta)
    except ValueError:
        return Credit(reason="unaligned"), spent
    return (Credit(values) if all(map(isfinite, values)) else Credit(reason="infinite")), spent


def rewards(worth: float, steps: Sequence[str], policy: Scores, reference: Scores, eta: float) -> tuple[float, ...]:
    """Return one value a step: `worth` less 1/eta of the log-ratios (nats) of all tokens after the step.

    The two models may cut the text into other tokens. Raises ValueError where those of one do not join to it.
    """
    ours, theirs = by_step(steps, policy), by_step(steps, reference)
    ratios = [a - b for a, b in zip(ours, theirs, strict=True)]
    later = list(accumulate(reversed(ratios[1:]), initial=0.0))
    return tuple(worth - ratio / eta for ratio in reversed(later))


def by_step(steps: Sequence[str], scores: Scores) -> list[float]:
    """Sum a text's log-probabilities step by step. Raises ValueError as `owners`."""
    sums = [0.0] * len(steps)
    for owner, logprob in zip(owners(steps, scores.tokens), scores.logprobs, strict=True):
        sums[owner] += logprob
    return sums


def owners(steps: Sequence[str], tokens: Sequence[str]) -> list[int]:
    """Return each token's step: the one in which it begins, since the step is not complete before it is said.

    A token without text (part of a character) begins where the next one does; at the text's end it is the last step's.
    Raises ValueError where the tokens do not join to the steps' text.
    """
    if "".join(tokens) != "".join(steps):
        raise ValueError("the tokens do not join to the text")
    ends = list(accumulate(map(len, steps)))
    starts = accumulate(map(len, tokens), initial=0)
    return [min(bisect_right(ends, start), len(steps) - 1) for start, _ in zip(starts, tokens, strict=False)]
