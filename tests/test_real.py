"""Real solutions through the commands of docs/datasets.md: nothing is lost, and grading agrees with the flags."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import plans, real, table
from bench.real import Found, Source, compare, why
from data import scripted
from data.schema import Row

ROOT = Path(__file__).parents[1]
FILES = {"gsm8k": "gsm8k/example_model_solutions.jsonl", "math500": "bon/strictprm_math500_n32.jsonl"}
SPLITS = {"gsm8k": "newline", "math500": "blank"}
LIMITS = {"gsm8k": 60, "math500": 20}


def commands() -> dict[str, list[str]]:
    """The arguments of the two commands in docs/datasets.md, by the folder they write to."""
    text = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    found = re.findall(r"^python -m pipeline (synth .*?)\n```", text, re.MULTILINE | re.DOTALL)
    given = [shlex.split(command.replace("\\\n", " ")) for command in found]
    return {one[one.index("--out") + 1].removeprefix("runs/").removesuffix("-given"): one for one in given}


def put(arguments: list[str], option: str, value: str) -> list[str]:
    place = arguments.index(option) + 1
    return [*arguments[:place], value, *arguments[place + 1 :]]


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_the_documented_command_loses_nothing_and_grades_as_the_file_says(
    name: str, shared_data: Path, tmp_path: Path
) -> None:
    source = Source(name, shared_data / FILES[name], SPLITS[name])
    arguments = put(put(commands()[name], "--dataset", str(source.file)), "--out", str(tmp_path / "run"))
    assert sorted(arguments) == sorted(source.command(tmp_path / "run"))
    command = [sys.executable, "-m", "pipeline", *arguments, "--limit", str(LIMITS[name])]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=480)  # noqa: S603 - our own command line
    found = compare(tmp_path / "run", source.flags(LIMITS[name]))
    assert list(found.faults()) == []
    assert found.rows == LIMITS[name] * (4 if name == "gsm8k" else 32)
    assert found.judge["no opinion, answer right"] + found.judge["no opinion, answer wrong"] < found.rows / 2
    assert 0 < found.kept < found.rows


def test_a_file_that_is_absent_is_said_and_not_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "BUILD", tmp_path)
    absent = tmp_path / "absent.jsonl"
    assert real.main(["--gsm8k", str(absent), "--math500", str(absent)]) == 0
    assert capsys.readouterr().out.count(f"{absent} is absent; give --") == 2
    assert json.loads((tmp_path / "real.json").read_text(encoding="utf-8")) == {}


def row(outcome: str = "equal", ends: str = "", answer: str | None = None, **others: Any) -> Row:
    told = {"id": "a", "kept": True, "reason": None, "judge_first_error": None, "gold_answer": "5"}
    return told | {"outcome": outcome, "steps": [ends], "answer": answer} | others


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (row("undecided", r"Therefore, \(\sqrt{53}\) is in its simplest radical form."), "more is said"),
        (row("undecided", "So the graph is an ellipse."), "a word in a sentence"),
        (row("undecided", r"\(x = 5\) is an ellipse."), "a word in a sentence"),
        (row("undecided", "the answer remains 36 miles."), "not read"),
        (row("undecided", "Thus, the angle between"), "cut off"),
        (row("undecided", ""), "cut off"),
        (row("undecided", "...", "x"), "could not be compared"),
        (row("different", "...", "42 a = 40 b"), "compared as a whole"),
        (row("different", "...", "15"), "another value"),
    ],
)
def test_disagreements_are_told_apart(told: Row, reason: str) -> None:
    assert reason in why(told)


def test_what_is_undecided_agrees_only_with_a_flag_that_says_wrong() -> None:
    found = Found(4)
    for outcome, correct in (("equal", True), ("different", False), ("undecided", False), ("undecided", True)):
        found.count(row(outcome, "Thus"), correct=correct)
    assert (found.agree, len(found.disagreements)) == (3, 1)
    assert list(found.faults()) == ["only 3 of 4 outcomes agree with the flags"]


def test_lost_and_failed_rows_are_faults() -> None:
    found = Found(2)
    found.count(row(reason="failed: ValueError: x", kept=False), correct=True)
    assert list(found.faults()) == ["1 rows came out of 2 solutions", "1 rows failed"]


def test_a_table_lines_up_and_an_empty_one_is_nothing() -> None:
    assert table.lines([]) == []
    assert table.lines([{"a": 1, "long": "x"}]) == ["| a | long |", "|---|------|", "| 1 | x    |"]


def test_plans_are_measured_against_the_truth() -> None:
    def measure(plan: str) -> plans.Measured:
        rows = plans.label((0.9, 0.0), plans.PLANS[plan], seed=1, problems=8)
        return plans.measured(rows, lambda row: scripted.truth(row.trace.problem, row.trace.steps))

    exhaustive, confirm, sequential = map(measure, ("exhaustive", "confirm", "sequential, `error = 0.05`"))
    assert confirm.rollouts < exhaustive.rollouts
    assert confirm.precision == exhaustive.precision == 1.0
    assert confirm.expected is None
    assert sequential.expected is not None
    assert sequential.expected >= 0.95
    assert measure("exhaustive") == exhaustive
