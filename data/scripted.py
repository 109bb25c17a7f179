"""Decides what the scripted world is: problems without content, and solutions whose slips an oracle can see.

A problem names a number of steps. Step i carries the one token that a hash of the problem calls for; any other token
is a slip, after which the answer comes out wrong unless a later step mends it. All of it can be told from the text.
"""

import hashlib
import random
import re
from collections.abc import Sequence
from typing import Final

from data.records import NO_ERROR, Problem

LENGTH: Final = (8.8, 2.5)  # mean and spread of the steps of a response, answer included (ActPRM's statistics)
TOKENS: Final = 997  # different tokens a step may carry

_PROBLEM: Final = re.compile(r"Scripted problem [0-9a-f]{16}: carry the load through (\d{1,3}) steps\.")
_STEP: Final = re.compile(r"Step (\d{1,3}): (mend and )?carry q(\d{1,3})\.")
_ANSWER: Final = re.compile(r"The answer is \\boxed\{(\d{1,3})\}\.")


def problems(count: int, seed: int = 0) -> tuple[Problem, ...]:
    """Make `count` problems; the same seed gives the same ones, and more of them begin with the fewer."""
    rng = random.Random(seed)
    return tuple(_problem(f"{seed}-{index}", rng) for index in range(count))


def problem_in(text: str) -> tuple[str, int] | None:
    """Find a scripted problem in any text, such as a judge's prompt: its own text and its number of steps."""
    match = _PROBLEM.search(text)
    return (match[0], int(match[1])) if match else None


def gold(problem: str) -> str:
    """Return the right answer."""
    return str(_hash(problem, "answer") % TOKENS)


def step(problem: str, number: int, *, right: bool, mends: bool = False) -> str:
    """Write step `number` (from 1) with or without a slip."""
    token = _token(problem, number) + (0 if right else 1 + _hash(problem, f"slip {number}") % (TOKENS - 1))
    return f"Step {number}: {'mend and ' if mends else ''}carry q{token % TOKENS}."


def answer(problem: str, *, right: bool) -> str:
    """Write the last step."""
    return f"The answer is \\boxed{{{(int(gold(problem)) + (not right)) % TOKENS}}}."


def progress(problem: str, text: str) -> tuple[int, bool, bool]:
    """Read a solution so far: steps carried, whether it stands right (no slip, or mended), whether it is finished."""
    sound, carried = True, 0
    for match in _STEP.finditer(text):
        carried += 1
        sound = int(match[3]) == _token(problem, int(match[1])) and (sound or bool(match[2]))
    return carried, sound, _ANSWER.search(text) is not None


def truth(problem: str, steps: Sequence[str]) -> int:
    """Return the first wrong step, or `NO_ERROR`: the oracle, for measuring only."""
    return next((index for index, text in enumerate(steps) if _slips(problem, text)), NO_ERROR)


def _slips(problem: str, text: str) -> bool:
    """Whether a step itself slips; an answer that is wrong because of an earlier slip does too."""
    carried = (int(match[3]) != _token(problem, int(match[1])) for match in _STEP.finditer(text))
    return any(carried) or any(match[1] != gold(problem) for match in _ANSWER.finditer(text))


def _problem(name: str, rng: random.Random) -> Problem:
    steps = min(30, max(2, round(rng.gauss(*LENGTH))))
    text = f"Scripted problem {_hash(name, 'name'):016x}: carry the load through {steps} steps."
    return Problem(f"scripted-{name}", "scripted", text, gold(text))


def _token(problem: str, number: int) -> int:
    return _hash(problem, f"step {number}") % TOKENS


def _hash(text: str, purpose: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{purpose}\0{text}".encode()).digest()[:8])
