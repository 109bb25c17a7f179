"""Who does what: a recipe's settings and engines, bound to the stages that `synth.label` names."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

from data.records import Estimate, Outcome, Solution, Task, Tokens, Trace, Verdict
from judges import panel
from judges.critique import Critique
from judges.equations import Equations
from judges.first_error import FirstError
from judges.given import Given
from judges.judge import Judge
from pipeline import settings
from pipeline.settings import Recipe
from stages import consensus, judging, probes, solve, split
from stages.engine import Engine
from stages.rollout import Grade, rollout

PROMPTED: Mapping[str, Callable[[], Judge]] = {
    "critique": partial(Critique, "critique"),
    "critique_brief": partial(Critique, "critique_brief"),
    "first_error": FirstError,
}


_splitter = cache(split.named)


@dataclass(frozen=True, slots=True)
class Crew:
    """The stages of one run; `engines` by specification, `grade` compares answers."""

    recipe: Recipe
    engines: Mapping[str, Engine]
    grade: Grade

    @property
    def consensus(self) -> consensus.Settings:
        """The rule that decides what is kept."""
        return self.recipe.consensus.made()

    @property
    def splitter(self) -> split.Splitter:
        """Where steps end."""
        return _splitter(self.recipe.split)

    async def solve(self, task: Task) -> tuple[Solution, Tokens]:
        """Sample the task's solution from its policy, or take the given one."""
        if task.given is not None:
            return Solution(task.given), Tokens()
        chosen = next(p for p in self.recipe.policy if (p.name or p.engine) == task.policy)
        return await solve.solve(task, self.engines[chosen.engine], chosen.sampling.made(), chosen.system)

    async def judge(self, trace: Trace) -> tuple[Verdict, Tokens]:
        """Ask every judge; a panel's verdict holds each judge's as its votes."""
        opinions = [await self._opinion(trace, one) for one in self.recipe.judge]
        if len(opinions) == 1:
            return opinions[0]
        verdicts, spent = zip(*opinions, strict=True)
        tokens = Tokens(judge=sum(t.judge for t in spent), prompt=sum(t.prompt for t in spent))
        return panel.decide(verdicts, self.recipe.panel), tokens

    async def rollout(self, task: Task, trace: Trace, outcome: Outcome, verdict: Verdict) -> tuple[Estimate, Tokens]:
        """Run the recipe's plan, if it has one."""
        completer = self.recipe.completer
        if completer.plan == "none":
            return probes.unknown(len(trace.steps), "no_plan"), Tokens()
        plan = partial(probes.PLANS[completer.plan], settings=self.recipe.plan())
        engine, sampling = self.engines[completer.engine], completer.sampling.made()
        return await rollout(task, trace, outcome, verdict, plan, engine, self.grade, sampling, completer.system)

    async def _opinion(self, trace: Trace, judge: settings.Judge) -> tuple[Verdict, Tokens]:
        if judge.kind == "given":
            return Given().read(trace), Tokens()
        if judge.kind == "equations":
            return await asyncio.to_thread(Equations().read, trace), Tokens()  # seconds where the text is hostile
        asked = PROMPTED[judge.kind]()
        engine, sampling = self.engines[judge.engine], judge.sampling.made()
        return await judging.judge(trace, asked, engine, judge.votes, sampling, judge.retries)


def wordings(recipe: Recipe) -> list[str]:
    """Return the judges' fingerprints: a prompt that is reworded makes another recipe."""
    silent = {"equations": Equations().fingerprint, "given": Given().fingerprint}
    return [silent.get(j.kind) or PROMPTED[j.kind]().fingerprint for j in recipe.judge]
