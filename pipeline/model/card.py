"""Measures a trained model on held-out problems, on solutions it sampled itself, and writes its card."""

import asyncio
import math
from collections import Counter
from pathlib import Path

from safetensors import safe_open

from data.arith import world
from data.records import NO_ERROR
from pipeline.model import sampled
from pipeline.model.sampled import Solution
from stages.engine import Engine

EACH = 300  # held-out problems a level, one solution each at temperature 1

TEMPLATE = """---
license: apache-2.0
tags: [process-reward-model, synthetic, arithmetic]
---
# The small model of the arith world

A Qwen2-architecture language model with {parameters:,} parameters that solves arith problems and judges solutions of
them. It was trained from scratch on problems made on the fly ({steps:,} steps). How is told in
`docs/decisions/002-small-model.md`. It knows the words of its world and nothing else.

Measured on held-out problems, solutions sampled from the model itself at temperature 1, the judge greedy, the truth
from the oracle (95 % intervals by Wilson):

| what | cases | figure |
|---|---|---|
{rows}
"""


def write(folder: Path, engine: Engine, steps: int) -> None:
    """Write `folder/README.md` with what was measured."""
    problems = [p for level in world.LEVELS for p in world.problems(level, EACH, "test", start=10_000_000)]
    shown = asyncio.run(sampled.solutions(engine, problems))
    said = asyncio.run(sampled.judged(engine, shown))
    rows = "\n".join(
        f"| {what} | {n} | {k / max(1, n):.3f} ({_wilson(k, n)}) |" for what, (k, n) in _figures(shown, said).items()
    )
    with safe_open(folder / "model.safetensors", "np") as file:
        parameters = sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 - no dict
    text = TEMPLATE.format(parameters=parameters, steps=steps, rows=rows)
    (folder / "README.md").write_text(text, encoding="utf-8")


def _figures(shown: list[Solution], said: list[int | None]) -> dict[str, tuple[int, int]]:
    """Return what was measured as (cases that hold, cases)."""
    solved = {level: [s.right for s in shown if s.problem.level == level] for level in world.LEVELS}
    right = [s for s in shown if s.right]
    votes = Counter("unreadable" for vote in said if vote is None)
    return {
        **{f"solved, {level}": (sum(rights), len(rights)) for level, rights in solved.items()},
        "solved, all levels": (len(right), len(shown)),
        "a wrong step among right answers": (sum(s.first_error != NO_ERROR for s in right), len(right)),
        "judge: exact position, wrong solutions": sampled.exact(shown, said, wrong=True),
        "judge: says none, right solutions": sampled.exact(shown, said, wrong=False),
        "judge: unreadable replies": (votes["unreadable"], len(said)),
    }


def _wilson(hits: int, tries: int, z: float = 1.96) -> str:
    """Return the Wilson interval of a share, as text."""
    if not tries:
        return "no cases"
    rate, square = hits / tries, z * z
    middle = (rate + square / (2 * tries)) / (1 + square / tries)
    half = z * (rate * (1 - rate) / tries + square / (4 * tries * tries)) ** 0.5 / (1 + square / tries)
    return f"{middle - half:.3f} to {middle + half:.3f}"
