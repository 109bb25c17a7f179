"""Votes, retries and refusals, against an engine that replies from a script."""

import asyncio
from dataclasses import dataclass, field

import pytest

from data.asks import Ask, Finish, Reply, Sample, Sampling
from data.errors import Refused, Unavailable
from data.records import Tokens, Trace, Verdict
from judges.critique import Critique
from judges.first_error import FirstError
from stages.engine import Scores
from stages.judging import NO_REFERENCE, judge, refer

TRACE = Trace("p", ("a\n\n", "b\n\n", "c"), None)
SAMPLING = Sampling(temperature=0.7, max_tokens=99)


@dataclass
class Scripted:
    """Gives the replies of its script in order; an exception in it is raised."""

    script: list[str | Exception]
    finish: Finish = "stop"
    asked: list[Ask] = field(default_factory=list)
    model: str = "scripted"

    async def reply(self, ask: Ask) -> Reply:
        self.asked.append(ask)
        samples = []
        for _ in range(ask.n):
            text = self.script.pop(0)
            if isinstance(text, Exception):
                raise text
            samples.append(Sample(text, self.finish, 10))
        return Reply(tuple(samples), 100)

    async def score(self, ask: Ask, text: str) -> Scores:
        raise NotImplementedError


def run(engine: Scripted, votes: int, retries: int = 1, trace: Trace = TRACE) -> tuple[Verdict, Tokens]:
    return asyncio.run(judge(trace, FirstError(), engine, votes, SAMPLING, retries))


def box(*indices: int | str) -> list[str | Exception]:
    return [f"\\boxed{{{index}}}" for index in indices]


def test_all_votes_in_one_request() -> None:
    engine = Scripted(box(1, 1, -1))
    assert run(engine, 3) == (Verdict(1, (1, 1, -1)), Tokens(judge=30, prompt=100))
    (ask,) = engine.asked
    assert (ask.n, ask.first, ask.sampling) == (3, 0, SAMPLING)


def test_only_unread_votes_are_asked_again_under_new_indices() -> None:
    engine = Scripted(box(1, "?", "?", 1, 2))
    assert run(engine, 3) == (Verdict(1, (1, None, None, 1, 2)), Tokens(judge=50, prompt=200))
    assert [(ask.n, ask.first) for ask in engine.asked] == [(3, 0), (2, 3)]


def test_retries_end() -> None:
    engine = Scripted(box("?", "?", "?"))
    assert run(engine, 1, retries=2) == (Verdict(None, (None, None, None), "unparsed"), Tokens(judge=30, prompt=300))


def test_without_retries_one_request() -> None:
    engine = Scripted(box("?", 2))
    assert run(engine, 2, retries=0)[0] == Verdict(2, (None, 2))
    assert len(engine.asked) == 1


def test_a_tie_is_undecided() -> None:
    assert run(Scripted(box(1, -1)), 2)[0] == Verdict(None, (1, -1), "tie")


def test_a_truncated_reply_is_not_read() -> None:
    assert run(Scripted(["thinking", "still"], finish="length"), 1)[0].reason == "unparsed"
    assert run(Scripted(box(0, 0), finish="length"), 1)[0].reason == "unparsed"  # boxed, perhaps, in a thought


def test_a_failed_sample_is_not_read() -> None:
    assert run(Scripted(box(0, 0), finish="error"), 1)[0] == Verdict(None, (None, None), "unparsed")


def test_a_refused_question_is_recorded() -> None:
    verdict, tokens = run(Scripted([Refused("prompt too long")]), 2)
    assert verdict == Verdict(None, (), "refused: prompt too long")
    assert tokens == Tokens()


def test_a_refused_retry_keeps_the_votes_there_are() -> None:
    assert run(Scripted([*box(2, "?"), Refused("no")]), 2)[0] == Verdict(2, (2, None))
    assert run(Scripted([*box("?"), Refused("no")]), 1)[0] == Verdict(None, (None,), "refused: no")


def test_an_unavailable_engine_is_the_callers_business() -> None:
    with pytest.raises(Unavailable):
        run(Scripted([Unavailable("busy")]), 1)


@pytest.mark.parametrize("steps", [(), ("",), ("  \n\n", "\t")])
def test_a_trace_without_steps_is_not_asked(steps: tuple[str, ...]) -> None:
    engine = Scripted([])
    assert run(engine, 3, trace=Trace("p", steps, None)) == (Verdict(None, (), "no steps"), Tokens())
    assert engine.asked == []


def referred(engine: Scripted, votes: int = 1, trace: Trace = TRACE) -> tuple[Verdict, Tokens]:
    return asyncio.run(refer(trace, Critique("critique_reference"), engine, votes, SAMPLING))


CORRECT = "<analysis_1>fine</analysis_1><conclusion>Correct</conclusion>"


def test_a_judge_that_refers_solves_first_and_once_for_all_votes() -> None:
    engine = Scripted(["My own way.", CORRECT, "?", CORRECT])
    assert referred(engine, votes=2) == (Verdict(-1, (-1, None, -1)), Tokens(judge=40, prompt=300))
    solving, *judging = engine.asked
    assert (solving.n, solving.first, solving.sampling) == (1, 0, SAMPLING)
    assert "<paragraph_1>" not in solving.messages[0].content
    assert all("<reference>\nMy own way.\n</reference>" in ask.messages[0].content for ask in judging)


def test_without_a_reference_there_is_no_verdict() -> None:
    cut = Scripted(["My own"], finish="length")
    assert referred(cut) == (Verdict(None, (), NO_REFERENCE), Tokens(judge=10, prompt=100))
    assert referred(Scripted([Refused("too long")])) == (Verdict(None, (), "refused: too long"), Tokens())


def test_a_trace_without_steps_needs_no_reference() -> None:
    engine = Scripted([])
    assert referred(engine, trace=Trace("p", (), None)) == (Verdict(None, (), "no steps"), Tokens())
    assert engine.asked == []
