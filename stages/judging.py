"""Put a judge's question to a model: n votes, unparsed ones asked again, the plurality decides.

A reply that cannot be read is a missing vote, never a verdict; ties and refused questions leave the solution
undecided, with the reason. A judge that refers to a solution of its own is asked for that first. Only an engine that
may answer later (`Unavailable`) raises.
"""

from dataclasses import replace

from data.asks import Reply, Sample, Sampling
from data.errors import Refused
from data.records import Tokens, Trace, Verdict
from judges.critique import Critique
from judges.judge import Judge
from judges.panel import plurality
from stages.engine import Engine

NO_STEPS = "no steps"
NO_REFERENCE = "no reference: the judge's own solution was cut off or empty"


async def judge(  # noqa: PLR0917 - a stage takes what it needs
    trace: Trace, judge: Judge, engine: Engine, votes: int, sampling: Sampling, retries: int = 1
) -> tuple[Verdict, Tokens]:
    """Ask for `votes` samples in one request, then again for those that could not be read, `retries` times at most.

    The verdict's votes hold every reading in order, None for an unread one. Tokens: prompts once a request, and
    completions under `judge`. Raises `Unavailable` from the engine.
    """
    if not any(step.strip() for step in trace.steps):
        return Verdict(None, (), NO_STEPS), Tokens()
    ask = replace(judge.ask(trace), sampling=sampling)
    readings: list[int | None] = []
    spent = Tokens()
    for _ in range(1 + retries):
        owed = votes - sum(reading is not None for reading in readings)
        if owed == 0:
            break
        try:
            reply = await engine.reply(replace(ask, n=owed, first=len(readings)))
        except Refused as error:
            return _verdict(readings, f"refused: {error}"), spent
        readings += [_read(judge, sample, len(trace.steps)) for sample in reply.samples]
        spent = _added(spent, reply)
    return _verdict(readings, None), spent


async def refer(  # noqa: PLR0917 - as above
    trace: Trace, critic: Critique, engine: Engine, votes: int, sampling: Sampling, retries: int = 1
) -> tuple[Verdict, Tokens]:
    """Have the judge solve the problem, once for all votes, and judge as above with that beside the trace.

    All solutions of a problem ask for the same reference, so the ledger answers all but the first.
    """
    if not any(step.strip() for step in trace.steps):
        return Verdict(None, (), NO_STEPS), Tokens()
    try:
        reply = await engine.reply(replace(critic.solve(trace.problem), sampling=sampling))
    except Refused as error:
        return _verdict([], f"refused: {error}"), Tokens()
    solving, referring = _added(Tokens(), reply), critic.referring(reply.samples[0])
    if referring is None:
        return Verdict(None, (), NO_REFERENCE), solving
    verdict, spent = await judge(trace, referring, engine, votes, sampling, retries)
    return verdict, replace(spent, judge=spent.judge + solving.judge, prompt=spent.prompt + solving.prompt)


def _read(judge: Judge, sample: Sample, steps: int) -> int | None:
    """Read a reply that is whole: of one that was cut off, the last words may be a thought, not the conclusion."""
    return judge.read(sample.text, steps).first_error if sample.finish == "stop" else None


def _added(spent: Tokens, reply: Reply) -> Tokens:
    completion = sum(sample.tokens for sample in reply.samples)
    return replace(spent, judge=spent.judge + completion, prompt=spent.prompt + reply.prompt_tokens)


def _verdict(readings: list[int | None], refusal: str | None) -> Verdict:
    """Take the plurality of what was read; a refusal is the reason only where nothing was."""
    winner, reason = plurality(readings)
    return Verdict(winner, tuple(readings), refusal if refusal and reason == "unparsed" else reason)
