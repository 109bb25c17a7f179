"""A judge's own words on a row: found in the ledger by asking again what was asked then, of nobody.

What was asked can be told from the row and the recipe; under which name the model answered stands in the run directory.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from data import shards
from data.asks import Ask, Reply, Sample, key
from data.errors import Refused
from data.ledger import Ledger
from data.records import Trace
from data.schema import Row
from judges.critique import Critique
from judges.judge import Judge
from pipeline import crew, run, settings
from pipeline.crew import PROMPTED
from pipeline.run import Run
from stages.engine import Scores

OWN = "its own solution"  # what is heard first of a judge that refers to one


@dataclass(frozen=True, slots=True)
class Heard:
    """One reply of judge number `judge` of the recipe: its words, and the first error read in them, or why none was."""

    judge: int
    text: str
    first_error: int | None
    reason: str | None = None


class Replies:
    """The judges' replies on rows of a run. A shard's ledger is read once, for all its rows that come in a row."""

    def __init__(self, made: Run) -> None:
        self._run, self._models = made, run.models(made.place)
        self._part: str | None = None
        self._ledger: Ledger

    def of(self, row: Row) -> list[Heard]:
        """Return what was heard on a row, judge by judge; nothing of one whose replies are not in the ledger."""
        part = shards.part(row["problem_id"], self._run.bits)
        if part != self._part:
            self._part, self._ledger = part, Ledger(self._run.ledger, part)
        trace = Trace(row["problem"], tuple(row["steps"]), row["answer"], row["cut"])
        asking = ((number, judge) for number, judge in enumerate(self._run.recipe.judge) if judge.asks)
        return [heard for number, judge in asking for heard in self._heard(number, judge, trace)]

    def _heard(self, number: int, chosen: settings.Judge, trace: Trace) -> Iterator[Heard]:
        """Yield one judge's replies; where its specification stood for several models, those of the newest."""
        judge = PROMPTED[chosen.kind]()
        for model in reversed(self._models.get(chosen.engine, [])):
            memory = _Memory(model, self._ledger)
            asyncio.run(crew.ask(trace, chosen, memory))
            votes = memory.heard
            if votes and isinstance(judge, Critique) and judge.refers:
                yield Heard(number, votes[0].text, None, OWN)
                votes = votes[1:]
            yield from (_read(number, judge, sample, len(trace.steps)) for sample in votes)
            if memory.heard:
                return


@dataclass(slots=True)
class _Memory:
    """Engine that knows what is in the ledger and nothing else, and notes what it was asked for."""

    model: str
    ledger: Ledger
    heard: list[Sample] = field(default_factory=list)

    async def reply(self, ask: Ask) -> Reply:
        """Return the samples that are remembered, from the first. Raises Refused where it is not."""
        samples: list[Sample] = []
        for index in range(ask.first, ask.first + ask.n):
            entry = self.ledger.find(key(self.model, ask, index))
            if entry is None:
                raise Refused("not in the ledger")
            samples.append(entry.sample)
        self.heard += samples
        return Reply(tuple(samples), 0)

    async def score(self, ask: Ask, text: str) -> Scores:  # noqa: ARG002 - the port's signature
        """Scores are not remembered."""
        raise Refused("not in the ledger")


def _read(number: int, judge: Judge, sample: Sample, steps: int) -> Heard:
    if sample.finish == "error":
        return Heard(number, sample.text, None, "an error instead of a reply")
    reading = judge.read(sample.text, steps)
    return Heard(number, sample.text, reading.first_error, reading.reason)
