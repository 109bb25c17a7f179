import asyncio
import builtins
import json
import os
import shutil
import signal
import sys
from asyncio.subprocess import Process
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bench.grading import load
from data.errors import PipelineError
from data.records import Outcome
from pipeline import grading
from pipeline.grading import Grader
from stages import comparing
from stages.answers import extract
from stages.comparing import compare

EQUAL = [
    ("\\frac{14}{3}", "14/3"),
    ("x=5", "5"),
    ("5", "x=5"),
    ("y=2x+3", "2x+3"),
    ("2^{10}", "1024"),
    ("(3, \\pi/2)", "\\left( 3, \\frac{\\pi}{2} \\right)"),
    ("5 \\text{ cm}", "5"),
    ("10", "10^\\circ"),
    ("50\\%", "0.5"),
    ("\\{2, 1\\}", "\\{1,2\\}"),
    ("x<3", "(-\\infty,3)"),
    ("1\\frac{1}{2}", "\\frac{3}{2}"),
    ("evelyn", "\\text{Evelyn}"),
    ("(m-1)(m+1)", "m^2-1"),
    ("0.3333333", "\\frac13"),
    ("3+\\sqrt2, 3-\\sqrt2", "3 \\pm \\sqrt{2}"),
]
DIFFERENT = [
    ("[1,2)", "(1,2]"),
    ("(2,1)", "(1,2)"),
    ("\\text{odd}", "\\text{even}"),
    ("\\text{no solution}", "5"),
    ("x^2+1", "x^2-1"),
    ("0.333", "\\frac13"),
    ("\\sqrt{2}", "1.41"),
]
HOSTILE = [
    ("9^{9^{9^9}}", "5"),
    ("10000000!", "5"),
    ("\\frac{" * 300 + "1" + "}{2}" * 20, "5"),
    ("{" * 50_000 + "1" + "}" * 50_000, "5"),
    ("5\x00", "5"),
    ("\x00", "5"),
    ("\n", "5"),
    ("\\frac{1}{", "5"),
    ("\\frac{\\frac{3}{2}", "3/2"),
    ("\ud800", "5"),
    ("__import__('os').system('exit 1')", "5"),
]


def grade(*questions: tuple[str | None, str | None], deadline: float = 20.0, workers: int = 1) -> list[Outcome]:
    async def run() -> list[Outcome]:
        async with Grader(workers=workers, deadline=deadline) as grader:
            return await asyncio.gather(*(grader.grade(*question) for question in questions))

    return asyncio.run(run())


def test_a_large_parent_changes_nothing() -> None:
    """A process's `ru_maxrss` is its parent's at first: with it, every "different" was taken for a lack of memory."""
    ballast = b"x" * (700 << 20)
    assert grade(("\\sqrt{26}", "5.1"), ("\\sqrt{25}", "5")) == ["different", "equal"]
    assert ballast


def test_equal_and_different_answers_are_told_apart() -> None:
    outcomes = grade(*EQUAL, *DIFFERENT)
    assert outcomes == ["equal"] * len(EQUAL) + ["different"] * len(DIFFERENT)


def test_hostile_answers_end_undecided_and_the_grader_works_on() -> None:
    async def run() -> None:
        async with Grader(workers=2, deadline=1.0) as grader:
            outcomes = await asyncio.gather(*(grader.grade(*question) for question in HOSTILE))
            assert set(outcomes) == {"undecided"}
            assert await grader.grade("1\\frac12", "3/2") == "equal"

    asyncio.run(run())


@pytest.mark.parametrize(("answer", "gold"), [(None, "5"), ("5", None), ("", "5"), ("5", ""), (None, None)])
def test_what_is_missing_is_undecided(answer: str | None, gold: str | None) -> None:
    assert grade((answer, gold)) == ["undecided"]


def test_long_answers_are_undecided_unless_they_are_spelled_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grading._Worker, "ask", None)
    long = "x+" * 5000
    assert grade((long, "5"), ("5", long), (long, f"$ {long}$")) == ["undecided", "undecided", "equal"]


def test_nothing_is_started_for_what_is_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "create_subprocess_exec", None)
    assert grade(("1,000", "1000"), ("7", "8")) == ["equal", "different"]


def test_what_is_certain_is_remembered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    decided: list[tuple[str, str]] = []
    monkeypatch.setattr(grading, "decide", lambda *pair: decided.append(pair) or "equal")
    long = "x" * 3000
    assert grade(("7", "7"), ("7", "7"), (long, "7"), (long, "7")) == ["equal"] * 4
    assert decided == [("7", "7"), (long, "7"), (long, "7")]


class Counting:
    """Stands in for a worker: counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def ask(self, question: tuple[str, str]) -> Outcome:
        self.asked.append(question)
        await asyncio.sleep(0.01)
        return "equal"

    async def stop(self) -> None:
        """Nothing to end."""


def counted(remembered: int = 100) -> tuple[Grader, Counting]:
    grader, worker = Grader(workers=1, remembered=remembered), Counting()
    grader._idle.get_nowait()
    grader._idle.put_nowait(worker)  # type: ignore[arg-type]
    return grader, worker


def test_a_question_is_asked_once_even_where_many_ask_it_at_once_or_give_up() -> None:
    async def run() -> None:
        grader, worker = counted()
        gives_up = asyncio.create_task(grader.grade("x", "y"))
        await asyncio.sleep(0)
        gives_up.cancel()
        assert await asyncio.gather(*(grader.grade("x", "y") for _ in range(5))) == ["equal"] * 5
        assert await grader.grade("x", "y") == "equal"
        assert worker.asked == [("x", "y")]

    asyncio.run(run())


def test_the_oldest_outcome_is_forgotten_first() -> None:
    async def run() -> None:
        grader, worker = counted(remembered=2)
        for answer in ("a", "b", "a", "c", "a", "b"):
            await grader.grade(answer, "y")
        assert [answer for answer, _ in worker.asked] == ["a", "b", "c", "b"]

    asyncio.run(run())


def test_a_process_that_is_killed_or_grows_old_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grading, "LIFETIME", 2)

    async def run() -> None:
        worker = grading._Worker(20.0, 2 << 30)
        assert await worker.ask(("x=5", "5")) == "equal"
        first = worker._process
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        assert await worker.ask(("x=5", "6")) in {"undecided", "different"}
        assert await worker.ask(("x=5", "5")) == "equal"
        second = worker._process
        await worker.ask(("x=5", "5"))
        await worker.ask(("x=5", "5"))
        assert first is not second is not worker._process
        await worker.stop()

    asyncio.run(run())


def test_a_process_that_had_to_wait_is_not_late() -> None:
    async def run() -> None:
        worker = grading._Worker(1.0, 2 << 30)
        assert await worker.ask(("x=5", "5")) == "equal"
        assert worker._process is not None
        os.kill(worker._process.pid, signal.SIGSTOP)
        asked = asyncio.create_task(worker.ask(("x=6", "6")))
        await asyncio.sleep(1.5)
        os.kill(worker._process.pid, signal.SIGCONT)
        assert await asked == "equal"
        await worker.stop()

    asyncio.run(run())


def test_a_process_ends_when_nobody_can_ask_it_any_more() -> None:
    async def run() -> None:
        worker = grading._Worker(20.0, 2 << 30)
        process = await worker._start()
        assert process.stdin is not None
        process.stdin.close()
        assert await asyncio.wait_for(process.wait(), 30) == 0
        busy = await grading._Worker(1.0, 2 << 30)._start()
        assert busy.stdin is not None
        busy.stdin.write(b'["9^{9^{9^9}}", "5"]\n')
        await busy.stdin.drain()
        busy.stdin.close()
        assert await asyncio.wait_for(busy.wait(), 30) == -signal.SIGPROF

    asyncio.run(run())


def test_an_outcome_that_lacked_memory_is_not_trusted() -> None:
    async def run() -> None:
        async with Grader(workers=1, memory=1, deadline=20.0) as grader:
            assert await grader.grade("\\log 8", "6") == "undecided"

    asyncio.run(run())


def test_a_worker_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(PipelineError, match="no process to compare"):
        grade(("\\log 8", "5"))


def test_answers_are_never_evaluated(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("evaluated")

    monkeypatch.setattr(builtins, "eval", forbidden)
    monkeypatch.setattr("math_verify.parser.parse_expr", forbidden)
    for answer in ("__import__('os').system('exit 1')", "1+1", "(1).__class__", "\\text{exit()}", "print(1)", "f(2)"):
        assert compare(answer, "5") in {"different", "undecided"}
        assert compare("\\sqrt{4}", answer) in {"equal", "different", "undecided"}
    comparing._read.cache_clear()  # what was read in here is not what is read elsewhere


def test_where_only_one_side_is_mathematics_nothing_is_decided() -> None:
    assert compare("\\frac{1}{", "5") == "undecided"
    assert compare("5", "\\frac{1}{") == "undecided"


def test_where_neither_side_is_mathematics_the_spelling_decides() -> None:
    assert compare("\\text{Evelyn}", "evelyn") == "equal"
    assert compare("\\text{odd}", "\\text{even}") == "different"


@pytest.mark.parametrize("pair", [("\\frac{7}{54}", "B"), ("E", "7"), ("x > -1", "\\text{(C)}"), ("yes", "(A)")])
def test_the_letter_of_a_choice_may_say_the_other_answer(pair: tuple[str, str]) -> None:
    assert compare(*pair) == "undecided"
    assert compare("2A", "A") == "different"


def test_a_torn_answer_is_only_ever_equal_by_its_spelling() -> None:
    assert compare("\\frac{a}{", "\\frac{A}{") == "equal"
    assert compare("\\frac{a}{", "\\frac{b}{") == "undecided"
    assert compare("5} + {3", "5") == compare("5", "5} + {3") == "undecided"


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]


def agreement(graded: list[tuple[Outcome, bool]]) -> float:
    """Share of flags that agree; "undecided" agrees with "not shown to be right", never with "right"."""
    return sum((outcome == "equal") == right for outcome, right in graded) / len(graded)


def test_gsm8k_solutions_are_graded_as_their_file_says(shared_data: Path) -> None:
    given = [
        (extract(made["solution"]), extract(row["ground_truth"]), made["is_correct"])
        for row in rows(shared_data / "gsm8k" / "example_model_solutions.jsonl")
        for made in row.values()
        if isinstance(made, dict)
    ]
    graded = list(zip(grade(*((answer, gold) for answer, gold, _ in given)), (flag for *_, flag in given), strict=True))
    assert len(graded) == 5276
    assert agreement(graded) == 1.0
    assert agreement([pair for pair in graded if pair[0] != "undecided"]) == 1.0
    assert sum(outcome == "undecided" for outcome, _ in graded) <= 12  # 11 state none, one states "10+John's age"


@pytest.mark.slow
def test_math500_samples_are_graded_as_their_file_says(shared_data: Path) -> None:
    given = [
        (extract(made["response"]), row["answer"], made["correct"])
        for row in rows(shared_data / "bon" / "strictprm_math500_n32.jsonl")
        for made in row["candidates"]
    ]
    outcomes = grade(*((answer, gold) for answer, gold, _ in given), workers=2, deadline=5.0)
    graded = list(zip(outcomes, (flag for *_, flag in given), strict=True))
    assert len(graded) == 8064
    assert agreement(graded) >= 0.998
    decided = [pair for pair in graded if pair[0] != "undecided"]
    assert agreement(decided) >= 0.999
    assert len(decided) / len(graded) >= 0.975


@pytest.mark.slow
def test_real_outputs_and_other_libraries_cases(shared_data: Path) -> None:
    for name, least in (("math500_real_outputs", 0.998), ("unit_tests", 0.84)):
        given = load(name, shared_data)
        outcomes = grade(*((one.answer, one.gold) for one in given), workers=2, deadline=5.0)
        graded = list(zip(outcomes, (one.corrected for one in given), strict=True))
        assert agreement(graded) >= least, Counter(graded)


def test_a_process_that_is_slow_to_start_costs_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    line, late = grading._line, iter([True, True])

    async def waited_for(process: Process) -> bytes:
        if next(late, False):
            raise TimeoutError
        return await line(process)

    monkeypatch.setattr(grading, "_line", waited_for)
    assert grade(("\\log 8", "5")) == ["different"]
    late = iter([True] * grading.STARTS)
    with pytest.raises(PipelineError, match="is this machine too busy"):
        grade(("\\log 8", "6"))
