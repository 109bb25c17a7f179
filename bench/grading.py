"""Grading beside math-verify alone, side by side in one run: `python -m bench.grading [--data FOLDER]`.

How often each agrees with the flags of four files, how many pairs exact arithmetic decides and whether ever wrongly,
how many pairs a second each grades; then what hostile answers cost. Both have one process and 5 seconds of CPU a pair.
"""

import argparse
import asyncio
import json
import math
import resource
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench import table
from bench.pairs import HOSTILE, WRONG_FLAGS
from bench.real import ROOT, SHARED
from data.records import Outcome
from pipeline.grading import Grader
from stages.answers import extract
from stages.exact import algebra
from stages.exact.certain import decide
from stages.exact.reading import readings

FILES = {
    "unit_tests": "equivalence/unit_tests.jsonl",
    "math500_real_outputs": "equivalence/math500_real_outputs.jsonl",
    "prime_qwen_grader": "equivalence/prime_qwen_grader.jsonl",
    "math500_samples": "bon/strictprm_math500_n32.jsonl",
}
DEADLINE = 5.0  # seconds of CPU for one comparison
MEMORY = 2 << 30  # bytes
WARM = (  # on first use math-verify's grammar and sympy make tables, for either of the two
    ("x=1", "1"),
    ("1,2", "3"),
    ("[1,2]", "(3,4)"),
    ("x<3", "(4,5)"),
    (r"\frac{\sqrt{2}}{\pi} + x^{2}", r"\sin(y)"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "5"),
)
TURNS = 10  # the two take turns, so that a busy machine is as busy for both


@dataclass(frozen=True, slots=True)
class Flagged:
    """An answer and a gold answer, and whether the file says that they are equal."""

    answer: str | None
    gold: str
    equal: bool

    @property
    def corrected(self) -> bool:
        """What the flag should be."""
        return self.equal != any((self.answer, self.gold) in pairs for pairs in WRONG_FLAGS.values())


@dataclass(slots=True)
class Measured:
    """What was found on one file; counts of pairs, seconds by the clock and of CPU."""

    name: str
    pairs: list[Flagged]
    ours: list[Outcome] = field(default_factory=list)
    theirs: list[bool | None] = field(default_factory=list)  # None: no verdict in time
    seconds: float = 0.0
    their_seconds: float = 0.0
    cpu: float = 0.0  # seconds
    their_cpu: float = 0.0

    def agree(self, verdicts: Sequence[bool], *, corrected: bool = False) -> float:
        """Share of flags that verdicts agree with."""
        flags = [one.corrected if corrected else one.equal for one in self.pairs]
        return sum(map(bool.__eq__, verdicts, flags)) / len(flags)

    def told(self) -> dict[str, Any]:
        """Return everything as JSON."""
        certain = [decide(one.answer, one.gold) if one.answer else None for one in self.pairs]
        decided = [
            (one, outcome, verdict) for one, outcome, verdict in zip(self.pairs, certain, self.theirs, strict=True)
        ]
        ours, theirs = [outcome == "equal" for outcome in self.ours], [verdict is True for verdict in self.theirs]
        return {
            "pairs": len(self.pairs),
            "certain": sum(outcome is not None for outcome in certain),
            "undecided": self.ours.count("undecided"),
            "agree": self.agree(ours),
            "math_verify_agrees": self.agree(theirs),
            "agree_corrected": self.agree(ours, corrected=True),
            "math_verify_agrees_corrected": self.agree(theirs, corrected=True),
            "per_second": len(self.pairs) / self.seconds,
            "math_verify_per_second": len(self.pairs) / self.their_seconds,
            "times_as_fast": self.their_seconds / self.seconds,
            "times_less_cpu": None if math.isnan(self.cpu) else self.their_cpu / self.cpu,
            "wrong_flags": _distinct(one for one in self.pairs if one.corrected != one.equal),
            "certain_and_wrong": _distinct(
                one for one, outcome, _ in decided if outcome and (outcome == "equal") != one.corrected
            ),
            "certain_and_math_verify_says_otherwise": _distinct(
                one for one, outcome, verdict in decided if outcome and verdict not in {None, outcome == "equal"}
            ),
        }


def load(name: str, folder: Path) -> list[Flagged]:
    """Read the pairs of a file; of solutions, the answers that are extracted from them."""
    rows = [json.loads(line) for line in (folder / FILES[name]).read_text(encoding="utf-8").split("\n") if line]
    if "candidates" in rows[0]:
        made = ((one, row["answer"]) for row in rows for one in row["candidates"])
        return [Flagged(extract(one["response"]), gold, one["correct"]) for one, gold in made]
    return [Flagged(row["prediction"], row["gold"], row["equal"]) for row in rows]


async def measure(name: str, pairs: list[Flagged], alone: Process) -> Measured:
    """Grade a file's pairs in turns, ours with nothing remembered but with its process started."""
    found = Measured(name, pairs)
    async with Grader(workers=1, deadline=DEADLINE, memory=MEMORY) as grader:
        for pair in WARM:
            await grader._ask_once(pair)
        readings.cache_clear()
        algebra._join.cache_clear()
        worker = _worker(grader)
        for turn in _turns(pairs):
            started, worked = time.perf_counter(), _cpu(worker)
            found.ours += [await grader.grade(one.answer, one.gold) for one in turn]  # one by one, as the other does
            found.seconds += time.perf_counter() - started
            found.cpu += _cpu(worker) - worked
            verdicts, seconds, cpu = await _asked(alone, [(one.answer, one.gold) for one in turn])
            found.theirs += verdicts
            found.their_seconds += seconds
            found.their_cpu += cpu
    return found


def _worker(grader: Grader) -> psutil.Process:
    worker = grader._idle.get_nowait()
    grader._idle.put_nowait(worker)
    assert worker._process is not None  # noqa: S101 - it was warmed
    return psutil.Process(worker._process.pid)


def _cpu(worker: psutil.Process) -> float:
    """Return the seconds of CPU that this process and the grader's have had; nan where that was replaced."""
    try:
        times = worker.cpu_times()
    except psutil.NoSuchProcess:
        return math.nan
    return time.process_time() + float(times.user) + float(times.system)


async def _asked(alone: Process, pairs: list[tuple[str | None, str]]) -> tuple[list[bool | None], float, float]:
    assert alone.stdin is not None  # noqa: S101 - it was started with pipes
    assert alone.stdout is not None  # noqa: S101 - likewise
    alone.stdin.write(json.dumps(pairs).encode() + b"\n")
    await alone.stdin.drain()
    verdicts, seconds, cpu = json.loads(await alone.stdout.readline())
    return verdicts, seconds, cpu


async def compared(folder: Path) -> dict[str, dict[str, Any]]:
    """Measure the files that are there."""
    command = (sys.executable, "-m", "bench.alone", str(MEMORY), str(DEADLINE))
    alone = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, cwd=ROOT, limit=1 << 24)
    await _asked(alone, [*WARM])
    measured = {}
    for name, file in FILES.items():
        if (folder / file).is_file():
            measured[name] = (await measure(name, load(name, folder), alone)).told()
        else:
            print(f"{name}: not measured, {folder / file} is absent; give --data FOLDER")
    alone.kill()
    await alone.communicate()
    return measured


async def endure() -> dict[str, Any]:
    """Grade what is hostile, either way round."""
    slowest, slowest_exact, outcomes, wrong = 0.0, 0.0, list[Outcome](), []
    async with Grader(workers=1, deadline=1.0, memory=MEMORY) as grader:
        await grader.grade("sin", "cos")
        for answer, gold, right in HOSTILE:
            for pair in ((answer, gold), (gold, answer)):
                started = time.perf_counter()
                decide(*pair)
                slowest_exact = max(slowest_exact, time.perf_counter() - started)
                outcomes.append(await grader.grade(*pair))
                slowest = max(slowest, time.perf_counter() - started)
                if outcomes[-1] not in {"undecided", right}:
                    wrong.append([text[:60] for text in pair])
    return {
        "pairs": len(outcomes),
        "undecided": outcomes.count("undecided"),
        "wrong": wrong,
        "slowest_exact_seconds": round(slowest_exact, 3),
        "slowest_seconds": round(slowest, 1),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the files that are there, and what is hostile; 1 where anything certain is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bench.grading", description="Grading beside math-verify alone.")
    parser.add_argument("--data", type=Path, default=SHARED, metavar="FOLDER", help=f"default: {SHARED}")
    folder = parser.parse_args(arguments).data
    measured = asyncio.run(compared(folder))
    hostile = asyncio.run(endure())
    print("\n".join(table.lines([_row(name, told) for name, told in measured.items()])))
    for name, told in measured.items():
        for kind in ("certain_and_wrong", "certain_and_math_verify_says_otherwise"):
            print("\n".join([f"\n{name}: {kind.replace('_', ' ')}", *(f"  {pair}" for pair in told[kind])]))
    print(f"\nhostile: {hostile}")
    print(f"written to {table.write('grading', {**measured, 'hostile': hostile})}")
    return int(bool(hostile["wrong"]) or any(told["certain_and_wrong"] for told in measured.values()))


def _turns(pairs: list[Flagged]) -> Iterator[list[Flagged]]:
    size = -(-len(pairs) // TURNS)
    return (pairs[start : start + size] for start in range(0, len(pairs), size))


def _distinct(pairs: Iterator[Flagged]) -> list[str]:
    return sorted({f"{one.answer}  against  {one.gold}" for one in pairs})


def _row(name: str, told: dict[str, Any]) -> dict[str, str]:
    less = told["times_less_cpu"]
    return {
        "pairs": name,
        "number": f"{told['pairs']:,}",
        "certain": f"{told['certain']:,} ({told['certain'] / told['pairs']:.1%})",
        "certain and wrong": str(len(told["certain_and_wrong"])),
        "agree": f"{told['agree']:.2%}",
        "math-verify": f"{told['math_verify_agrees']:.2%}",
        "agree, flags corrected": f"{told['agree_corrected']:.2%}",
        "math-verify, corrected": f"{told['math_verify_agrees_corrected']:.2%}",
        "pairs/s": f"{told['per_second']:,.0f}",
        "math-verify pairs/s": f"{told['math_verify_per_second']:,.0f}",
        "times as fast (CPU)": f"{told['times_as_fast']:.0f} ({'-' if less is None else format(less, '.0f')})",
    }


if __name__ == "__main__":
    sys.exit(main())
