"""How a solution's answer is graded: exactly where that is certain, else by math-verify in killable processes.

An outcome is "undecided" wherever nothing honest can be said: an answer or a gold answer is missing, too long or
unreadable, or the comparison ran out of time or memory or crashed.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import OrderedDict
from pathlib import Path
from types import TracebackType
from typing import Self

from data.errors import PipelineError
from data.records import Outcome
from stages.answers import LONGEST
from stages.exact.certain import decide

START = 120.0  # seconds for a worker to import sympy, on a crowded machine
STARTS = 5
CROWDED = 12  # seconds by the clock that a second of CPU may take there
LIFETIME = 5000  # comparisons by one worker: sympy's caches grow
_ROOT = Path(__file__).parents[1]
_Question = tuple[str, str]


class Grader:
    """Compares answers with gold answers in up to `workers` processes, started when first needed.

    Each comparison has `deadline` seconds of CPU, each process `memory` bytes of address space. The newest `remembered`
    outcomes are kept. Belongs to one event loop; use as an async context manager or call `aclose`.
    """

    def __init__(
        self, workers: int | None = None, deadline: float = 5.0, memory: int = 2 << 30, remembered: int = 1 << 14
    ) -> None:
        self._remembered = remembered
        self._outcomes: OrderedDict[_Question, Outcome] = OrderedDict()
        self._asked: dict[_Question, asyncio.Task[Outcome]] = {}
        self._idle: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()
        for _ in range(workers or min(4, os.cpu_count() or 1)):
            self._idle.put_nowait(_Worker(deadline, memory))

    async def grade(self, answer: str | None, gold: str | None) -> Outcome:
        """Compare raw answers, as `stages.answers.extract` gives them. Raises PipelineError where no worker starts."""
        if not answer or not gold:
            return "undecided"
        question = answer, gold
        if question in self._outcomes:
            self._outcomes.move_to_end(question)
            return self._outcomes[question]
        outcome = decide(answer, gold)
        if max(len(answer), len(gold)) > LONGEST:
            return outcome or "undecided"
        return self._keep(question, outcome) if outcome else await self._ask_once(question)

    def _keep(self, question: _Question, outcome: Outcome) -> Outcome:
        self._outcomes[question] = outcome
        if len(self._outcomes) > self._remembered:
            self._outcomes.popitem(last=False)
        return outcome

    async def _ask_once(self, question: _Question) -> Outcome:
        """Ask a question once, however many are waiting for its answer and whoever of them gives up."""
        if question not in self._asked:
            self._asked[question] = asyncio.create_task(self._ask(question))
        return await asyncio.shield(self._asked[question])

    async def _ask(self, question: _Question) -> Outcome:
        worker = await self._idle.get()
        try:
            return self._keep(question, await worker.ask(question))
        finally:
            self._idle.put_nowait(worker)
            del self._asked[question]

    async def aclose(self) -> None:
        """Cancel what is being compared and end all workers. A later `grade` starts them anew."""
        asked = list(self._asked.values())
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        workers = [self._idle.get_nowait() for _ in range(self._idle.qsize())]
        for worker in workers:
            await worker.stop()
            self._idle.put_nowait(worker)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class _Worker:
    """One seat for a process that compares; the process is replaced when it dies, overstays or grows old."""

    def __init__(self, deadline: float, memory: int) -> None:
        self._deadline = deadline
        self._memory = memory
        self._process: Process | None = None
        self._left = 0

    async def ask(self, question: _Question) -> Outcome:
        """Return the process's outcome; "undecided" where it gives none in time, and then it is killed."""
        process = await self._ready()
        reply = b""
        try:
            reply = await asyncio.wait_for(_exchange(process, question), CROWDED * self._deadline)
        except (TimeoutError, ConnectionError):
            return "undecided"
        finally:
            if not reply:
                await self.stop()
        outcome: Outcome = json.loads(reply) if reply else "undecided"
        return outcome

    async def stop(self) -> None:
        """End the process and wait until it is gone."""
        process, self._process = self._process, None
        if process is not None:
            await _end(process)

    async def _ready(self) -> Process:
        self._left -= 1
        if self._process is not None and self._process.returncode is None and self._left >= 0:
            return self._process
        await self.stop()
        self._process, self._left = await self._start(), LIFETIME - 1
        return self._process

    async def _start(self) -> Process:
        """Raise PipelineError where the process ends before it says that it is ready; it tells why on stderr.

        One that is merely slow to start is tried again: no row may be lost to a crowded machine.
        """
        for _ in range(STARTS):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "stages.comparing", str(self._memory), str(self._deadline)),
                stdin=PIPE,
                stdout=PIPE,
                cwd=_ROOT,
            )
            said = b""
            try:
                said = await asyncio.wait_for(_line(process), START)
            except TimeoutError:
                continue
            finally:
                if not said:
                    await _end(process)
            if not said:
                raise PipelineError("no process to compare answers could be started; its error is above")
            return process
        raise PipelineError(f"no process to compare answers was ready within {START:.0f} s: is this machine too busy?")


async def _exchange(process: Process, question: _Question) -> bytes:
    if process.stdin is not None:
        process.stdin.write(json.dumps(question).encode() + b"\n")
        await process.stdin.drain()
    return await _line(process)


async def _line(process: Process) -> bytes:
    """Return the next whole line, or nothing where the process has ended."""
    line = await process.stdout.readline() if process.stdout is not None else b""
    return line if line.endswith(b"\n") else b""


async def _end(process: Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
    if process.returncode is None:
        process.kill()
    await process.communicate()  # not wait: the pipes, too, must be gone before the loop may close
