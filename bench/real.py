"""Real solutions through the whole pipeline without a model: `python -m bench.real [--gsm8k FILE] [--math500 FILE]`.

Two files of solutions with correctness flags go through the command a user would give, to shards. From the shards:
how often grading agrees with the flags (every disagreement is listed), what the equations judge says, time and memory.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import psutil

from bench import table
from data import shards
from data.records import NO_ERROR
from data.schema import Row

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared" / "data"
ENOUGH = 0.995  # share of outcomes that must agree with the file's flags

Key = tuple[str, str, int]  # problem, policy, sample
Flags = Mapping[Key, bool]


@dataclass(frozen=True, slots=True)
class Source:
    """A file of solutions that say whether they are correct, and how its steps are separated."""

    name: str
    file: Path
    split: str

    def command(self, out: Path, limit: int | None = None) -> list[str]:
        """Return the arguments that label the file's solutions by the equations they state."""
        settings = [f"split={self.split}", "judge.kind=equations", "completer.plan=none", "consensus.rule=judge"]
        chosen = [part for setting in settings for part in ("--set", setting)]
        limited = [] if limit is None else ["--limit", str(limit)]
        return ["synth", "--dataset", str(self.file), "--solutions", "given", *chosen, "--out", str(out), *limited]

    def flags(self, limit: int | None = None) -> dict[Key, bool]:
        """Return what the file says of each solution of its first `limit` problems."""
        rows = [json.loads(line) for line in self.file.read_text(encoding="utf-8").splitlines()[:limit]]
        return {key: correct for row in rows for key, correct in _flagged(row)}


@dataclass(slots=True)
class Found:
    """What the shards of a run hold, against the flags; counts of solutions."""

    expected: int
    rows: int = 0
    failed: int = 0
    agree: int = 0
    kept: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    judge: Counter[str] = field(default_factory=Counter)
    disagreements: list[dict[str, Any]] = field(default_factory=list)

    def count(self, row: Row, *, correct: bool) -> None:
        """Count one row. A solution flagged wrong agrees with "different" and with "undecided"."""
        self.rows += 1
        self.kept += row["kept"]
        self.failed += (row["reason"] or "").startswith("failed")
        self.outcomes[row["outcome"]] += 1
        self.judge[_opinion(row["judge_first_error"], correct=correct)] += 1
        if (row["outcome"] == "equal") is correct:
            self.agree += 1
            return
        told = {name: row[name] for name in ("id", "outcome", "answer", "gold_answer")}
        self.disagreements.append({**told, "correct": correct, "why": why(row), "ends": "".join(row["steps"])[-160:]})

    def faults(self) -> Iterator[str]:
        """Yield what must not be, one sentence each."""
        if self.rows != self.expected:
            yield f"{self.rows} rows came out of {self.expected} solutions"
        if self.failed:
            yield f"{self.failed} rows failed"
        if self.agree < ENOUGH * self.rows:
            yield f"only {self.agree} of {self.rows} outcomes agree with the flags"


def compare(out: Path, flags: Flags) -> Found:
    """Hold a run's rows, kept and rejected, against the flags. Raises KeyError for a row that no flag is about."""
    found = Found(len(flags))
    for side in shards.SIDES:
        for part in shards.tables(out, side):
            for row in part.to_pylist():
                found.count(row, correct=flags[row["problem"], row["policy"], row["sample"]])
    return found


def why(row: Row) -> str:
    """Say which of the kinds of disagreement in docs/grading.md a row looks like, judged by how its text ends."""
    if row["outcome"] == "different":
        return "an equation was compared as a whole" if "=" in row["answer"] else "it ends with another value"
    if row["answer"] is not None:
        return "the answers could not be compared"
    text = "".join(row["steps"]).rstrip()
    return next(reason for pattern, reason in _ENDINGS if pattern.search(text))


_ENDINGS = (
    (re.compile(r"(?:answer|result) remains[^\n]*\Z"), "announced by words that are not read"),
    (re.compile(r"(?:\\\)|\\\]|\$|\d)\*{0,2} is[^\n]*simpl[^\n]*\Z"), "more is said of the last formula"),
    (re.compile(r"[.!]\*{0,2}\Z"), "the answer is a word in a sentence"),
    (re.compile(r""), "cut off before a conclusion"),
)


@dataclass(slots=True)
class Spent:
    """What a command and all its processes took, as far as a look every quarter of a second sees.

    `memory` is the peak of their resident bytes; what they share counts once for each.
    """

    seconds: float = 0.0
    memory: int = 0
    cpu: dict[int, float] = field(default_factory=dict)

    def look(self, root: psutil.Process) -> None:
        """Look at a process and its children."""
        memory = 0
        for one in [root, *root.children(recursive=True)]:
            with suppress(psutil.Error):  # it ended in between
                memory += one.memory_info().rss
                self.cpu[one.pid] = sum(one.cpu_times()[:2])
        self.memory = max(self.memory, memory)


def run(arguments: Sequence[str]) -> Spent:
    """Run the pipeline and say what it took. Raises CalledProcessError where it fails."""
    started, spent = time.monotonic(), Spent()
    command = [sys.executable, "-m", "pipeline", *arguments]
    with psutil.Popen(command, cwd=ROOT) as process:
        while process.poll() is None:
            with suppress(psutil.Error):
                spent.look(process)
            time.sleep(0.25)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    spent.seconds = time.monotonic() - started
    return spent


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure both files, or those that are there; 1 where something is lost, failed, or graded too differently."""
    options = _parser().parse_args(arguments)
    sources = (Source("gsm8k", options.gsm8k, "newline"), Source("math500", options.math500, "blank"))
    measured = {}
    for source in sources:
        if source.file.is_file():
            measured[source.name] = _measure(source, options.limit)
        else:
            print(f"{source.name}: not measured, {source.file} is absent; give --{source.name} FILE")
    print("\n".join(table.lines([_row(name, told) for name, told in measured.items()])))
    for name, told in measured.items():
        print("\n".join(_listed(name, told)))
    print(f"written to {table.write('real', measured)}")
    return int(any(told["faults"] for told in measured.values()))


def _measure(source: Source, limit: int | None) -> dict[str, Any]:
    out = table.BUILD / "runs" / source.name
    shutil.rmtree(out, ignore_errors=True)
    spent = run(source.command(out, limit))
    found = compare(out, source.flags(limit))
    took = {"seconds": spent.seconds, "cpu_seconds": sum(spent.cpu.values()), "peak_mib": spent.memory / 2**20}
    rounded = {name: round(value) for name, value in took.items()}
    per_second = round(found.rows / spent.seconds, 1)
    counts = {one.name: getattr(found, one.name) for one in fields(found)}
    return {**counts, **rounded, "per_second": per_second, "faults": list(found.faults())}


def _flagged(row: Mapping[str, Any]) -> Iterator[tuple[Key, bool]]:
    """Yield the flags of one row: GSM8K's example solutions, or samples in `candidates`."""
    for number, one in enumerate(row.get("candidates", ())):
        yield (row["problem"], "given", number), one["correct"]
    for name, one in row.items():
        if isinstance(one, dict) and "is_correct" in one:
            yield (row["question"], name, 0), one["is_correct"]


def _opinion(first_error: int | None, *, correct: bool) -> str:
    said = {None: "no opinion", NO_ERROR: "no error"}.get(first_error, "names a step")
    return f"{said}, answer {'right' if correct else 'wrong'}"


def _row(name: str, told: Mapping[str, Any]) -> dict[str, str]:
    """Return one line of the table; the judge's coverage is the share of solutions it has an opinion on."""
    rows = max(told["rows"], 1)
    judge = Counter(told["judge"])
    named = judge["names a step, answer wrong"], judge["names a step, answer right"]
    silent = judge["no opinion, answer wrong"] + judge["no opinion, answer right"]
    return {
        "solutions": name,
        "rows": f"{told['rows']:,}",
        "agree": f"{told['agree'] / rows:.2%}",
        "undecided": str(told["outcomes"].get("undecided", 0)),
        "judge has an opinion": f"{1 - silent / rows:.1%}",
        "names a step (answer wrong)": f"{sum(named)} ({named[0]})",
        "kept": f"{told['kept'] / rows:.1%}",
        "seconds (CPU)": f"{told['seconds']} ({told['cpu_seconds']})",
        "solutions/s": str(told["per_second"]),
        "peak MiB": str(told["peak_mib"]),
    }


def _listed(name: str, told: Mapping[str, Any]) -> Iterator[str]:
    reasons = Counter((one["outcome"], one["correct"], one["why"]) for one in told["disagreements"])
    yield f"\n{name}: {len(told['disagreements'])} disagreements with the file's flags"
    for (outcome, correct, reason), count in reasons.most_common():
        yield f"  {count:>3}  {outcome}, flagged {'correct' if correct else 'not correct'}: {reason}"
    for one in told["disagreements"]:
        yield f"  {one['id']}: {one['answer']!r} / {one['gold_answer']!r} ... {one['ends'][-90:]!r}"
    yield from (f"  FAULT: {fault}" for fault in told["faults"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.real", description="Real solutions through the pipeline.")
    files = {
        "gsm8k": SHARED / "gsm8k" / "example_model_solutions.jsonl",
        "math500": SHARED / "bon" / "strictprm_math500_n32.jsonl",
    }
    for name, file in files.items():
        parser.add_argument(f"--{name}", type=Path, default=file, metavar="FILE", help=f"default: {file}")
    parser.add_argument("--limit", type=int, help="the first so many problems of each")
    return parser


if __name__ == "__main__":
    sys.exit(main())
