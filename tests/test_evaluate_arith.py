"""The whole command on a small ProcessBench of the arith world: a real judge, the exact truth, and going on."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from launching import STARTS, TOO_BUSY

from data.arith import oracle, world
from data.asks import Ask, Sampling
from pipeline.engines.embedded import FOLDER, Embedded
from stages.solve import prompt
from stages.split import named, split

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
COUNT = 90


async def rows() -> list[dict[str, Any]]:
    """Solutions sampled from the small model, labelled by the oracle."""
    engine, made = Embedded(), []
    for problem in world.problems(None, COUNT, start=5000):
        reply = await engine.reply(Ask(prompt(problem.text), sampling=Sampling(temperature=1.0, max_tokens=400)))
        steps = list(split(reply.samples[0].text, named("blank")))
        label = oracle.first_error(problem.text, steps)
        told = {"id": problem.id, "problem": problem.text, "steps": steps, "label": label, "gold_answer": problem.gold}
        made.append({**told, "between": "", "generator": "embedded"})
    return made


def evaluated(*arguments: str) -> str:
    for _ in range(STARTS):
        command = [sys.executable, "-m", "pipeline", "evaluate", "processbench", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)  # noqa: S603 - our own program
        if TOO_BUSY not in done.stderr:
            break
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def test_the_small_judge_s_f1_is_what_its_card_lets_expect(tmp_path: Path) -> None:
    if not (FOLDER / "ct2" / "model.bin").is_file():
        pytest.skip("the arith world's model is not here: `make model` trains it")
    made = asyncio.run(rows())
    data, out, told = tmp_path / "small.jsonl", str(tmp_path / "runs"), tmp_path / "told.json"
    data.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")
    judge = ["--judge", "embedded", "--set", "judge.kind=critique_brief"]
    arguments = ["--data", str(data), "--out", out, "--json", str(told), *judge]
    assert re.search(r"^embedded +[1-9]", evaluated(*arguments), re.MULTILINE)  # asked of it
    figures = json.loads(told.read_text(encoding="utf-8"))["judge"]["subsets"]["small"]
    wrong = sum(row["label"] >= 0 for row in made)
    assert (figures["n"], figures["error_n"], figures["correct_n"]) == (COUNT, wrong, COUNT - wrong)
    assert figures["error"] > 0.6  # its card: 0.85
    assert figures["correct"] > 0.85  # its card: 0.97
    again = evaluated(*arguments)
    assert "nothing to do" in again
    assert json.loads(told.read_text(encoding="utf-8"))["judge"]["subsets"]["small"] == figures
