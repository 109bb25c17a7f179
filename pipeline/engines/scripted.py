"""Decides what a model that is no model replies: an engine for tests, benches and dry runs.

It solves and judges the problems of `data.scripted` with known probabilities. A reply depends on the settings, the
ask and the sample's index alone, never on the order of calls; only an `Unavailable` passes when asked again.
"""

import asyncio
import hashlib
import random
import re
from dataclasses import asdict, dataclass, field
from typing import Final

from data.asks import Ask, Finish, Reply, Sample, key
from data.errors import Died, Refused, SettingError, Unavailable
from data.records import NO_ERROR
from data.scripted import answer, problem_in, progress, step, truth
from stages.engine import Scores

_PARAGRAPH: Final = re.compile(r"<paragraph_(\d{1,4})>")
_FAULTS: Final = ("truncated", "garbled", "unavailable", "refused", "deadly")
_RATES: Final = ("right", "repair", "judge_hit", "judge_alarm", *_FAULTS)
_UNHEARD: Final = {"unavailable", "deadly", "wait", "token_wait"}  # change when a reply comes, if ever; not its words


@dataclass(frozen=True, slots=True)
class Script:
    """How the scripted model behaves: probabilities, unless said otherwise.

    `right`: a step is right; `repair`: a step after a slip mends it. `judge_hit`: the judge names the first error where
    there is one; `judge_alarm`: it names a step where there is none. `truncated`: a reply ends half-way; `garbled`: a
    judge's reply cannot be read. `unavailable`: an ask fails the first time; `refused`: it fails every time.
    `step_tokens`: tokens a step. `wait` and `token_wait`: seconds an ask takes, and each of its longest reply's tokens.
    """

    seed: int = 0
    right: float = 0.93
    repair: float = 0.02
    judge_hit: float = 0.75
    judge_alarm: float = 0.1
    truncated: float = 0.0
    garbled: float = 0.0
    unavailable: float = 0.0
    refused: float = 0.0
    deadly: float = 0.0
    step_tokens: int = 71
    wait: float = 0.0
    token_wait: float = 0.0

    def __post_init__(self) -> None:
        for name in _RATES:
            if not 0 <= getattr(self, name) <= 1:
                raise SettingError(f"{name} is a probability, not {getattr(self, name)}")
        if self.step_tokens < 1 or self.wait < 0 or self.token_wait < 0:
            raise SettingError("step_tokens must be at least 1, waits at least 0")


DEFAULT: Final = Script()


@dataclass(slots=True)
class Scripted:
    """The engine; `model` starts with "scripted:" and names every setting that a reply depends on."""

    script: Script = DEFAULT
    model: str = field(init=False)
    _failed: set[bytes] = field(init=False, default_factory=set)
    _dead: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        heard = (f"{name}={value}" for name, value in asdict(self.script).items() if name not in _UNHEARD)
        self.model = "scripted:" + ",".join(heard)

    async def reply(self, ask: Ask) -> Reply:
        """Solve, continue or judge. Refuses an ask that holds no scripted problem."""
        self._fail(ask)
        samples = tuple(self._sample(ask, index) for index in range(ask.first, ask.first + ask.n))
        seconds = self.script.wait + self.script.token_wait * max((sample.tokens for sample in samples), default=0)
        if seconds:
            await asyncio.sleep(seconds)
        if self._dead:
            raise Died(f"{self.model} has died")
        return Reply(samples, self._length(_prompt(ask)))

    async def score(self, ask: Ask, text: str) -> Scores:
        """Log-probabilities of the words of `text`: fixed by what precedes each, between -2 and 0."""
        words = tuple(re.findall(r"\s*\S+|\s+$", text))
        running = hashlib.sha256(key(self.model, ask, 0))
        logprobs = []
        for word in words:
            running.update(word.encode(errors="surrogatepass"))
            logprobs.append(-2 * int.from_bytes(running.digest()[:4]) / 2**32)
        return Scores(words, tuple(logprobs))

    def _fail(self, ask: Ask) -> None:
        """Raise what this ask is fated to, or die of it; one fate for all samples, so `first` and `n` play no part."""
        fate = key(self.model, ask, -1)
        rng = random.Random(fate)
        if rng.random() < self.script.refused:
            raise Refused(f"{self.model} refuses this ask")
        if rng.random() < self.script.unavailable and fate not in self._failed:
            self._failed.add(fate)
            raise Unavailable(f"{self.model} is not available, ask again")
        self._dead = self._dead or rng.random() < self.script.deadly

    def _sample(self, ask: Ask, index: int) -> Sample:
        """At temperature 0 all samples are the same."""
        rng = random.Random(key(self.model, ask, index if ask.sampling.temperature else 0))
        found = problem_in(_prompt(ask))
        if found is None:
            raise Refused(f"{self.model} knows only the problems of data/scripted.py")
        paragraphs = _paragraphs(_prompt(ask).partition(found[0])[2])
        pieces = self._judge(rng, found[0], paragraphs) if paragraphs else self._solve(rng, *found, ask.prefix)
        return self._limit(rng, pieces, ask.sampling.max_tokens)

    def _solve(self, rng: random.Random, problem: str, steps: int, prefix: str) -> list[str]:
        """Continue a solution, one string a step; nothing where it is finished."""
        carried, sound, finished = progress(problem, prefix)
        if finished:
            return []
        pieces = []
        for number in range(carried + 1, steps):
            right = rng.random() < self.script.right
            mends = not sound and rng.random() < self.script.repair
            pieces.append(step(problem, number, right=right or mends, mends=mends))
            sound = (right and sound) or mends
        pieces.append(answer(problem, right=sound))
        glue = "" if not prefix or prefix.endswith("\n") else "\n\n"
        return [glue + pieces[0], *("\n\n" + piece for piece in pieces[1:])]

    def _judge(self, rng: random.Random, problem: str, paragraphs: dict[int, str]) -> list[str]:
        """Give a verdict in the form asked for: paragraphs from 1 are criticised, from 0 answered by a boxed index."""
        if rng.random() < self.script.garbled:
            return ["I would rather not say."]
        named = self._verdict(rng, truth(problem, tuple(paragraphs.values())), len(paragraphs))
        if min(paragraphs) == 0:
            return [f"\\boxed{{{named}}}"]
        last = len(paragraphs) if named == NO_ERROR else named + 1
        analyses = [f"<analysis_{n}>\nParagraph {n} was read.\n</analysis_{n}>\n\n" for n in range(1, last + 1)]
        conclusion = "Correct" if named == NO_ERROR else "Incorrect"
        return [*analyses, f"<conclusion>\n{conclusion}\n</conclusion>"]

    def _verdict(self, rng: random.Random, error: int, steps: int) -> int:
        """Name the first error, or, where the dice say so, anything else with equal chance."""
        alarmed = rng.random() < (self.script.judge_alarm if error == NO_ERROR else 1 - self.script.judge_hit)
        return rng.choice([step for step in range(NO_ERROR, steps) if step != error]) if alarmed else error

    def _limit(self, rng: random.Random, pieces: list[str], tokens: int) -> Sample:
        """Cut a reply at whole steps, by the token limit or by the fault that `truncated` asks for."""
        room = tokens // self.script.step_tokens
        if rng.random() < self.script.truncated:
            room = min(room, len(pieces) // 2)
        finish: Finish = "stop" if len(pieces) <= room else "length"
        kept = pieces[:room]
        return Sample("".join(kept), finish, len(kept) * self.script.step_tokens)

    def _length(self, text: str) -> int:
        return self.script.step_tokens * (1 + text.count("\n\n"))


def _prompt(ask: Ask) -> str:
    return "\n".join([*(message.content for message in ask.messages), ask.prefix])


def _paragraphs(prompt: str) -> dict[int, str]:
    """Paragraphs of the solution that a judge is asked about, by number; empty where a solution is asked for."""
    marks = [*_PARAGRAPH.finditer(prompt)]
    ends = [*(mark.start() for mark in marks[1:]), len(prompt)]
    return {int(mark[1]): prompt[mark.end() : end] for mark, end in zip(marks, ends, strict=False)}
