"""Who does what: a recipe's settings and engines, bound to the stages that `synth.label` names."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

from data.records import Credit, Estimate, Outcome, Solution, Task, Tokens, Trace, Verdict
from judges import panel
from judges.critique import Critique
from judges.equations import Equations
from judges.first_error import FirstError
from judges.given import Given
from judges.judge import Judge
from pipeline import settings
from pipeline.settings import Recipe
from stages import consensus, credit, judging, probes, solve, split
from stages.engine import Engine
from stages.rollout import Grade, rollout

PROMPTED: Mapping[str, Callable[[], Judge]] = {
    "critique": partial(Critique, "critique"),
    "critique_brief": partial(Critique, "critique_brief"),
    "critique_reference": partial(Critique, "critique_reference"),
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
        chosen = self._policy(task)
        return await solve.solve(task, self.engines[chosen.engine], chosen.sampling.made(), chosen.system)

    async def judge(self, trace: Trace, rate: float | None = None) -> tuple[Verdict, Tokens]:
        """Ask every judge; a panel's verdict holds each judge's as its votes. `rate`: the problem's pass rate."""
        if left_out := self._left_out(rate):
            return Verdict(None, reason=left_out), Tokens()
        opinions = [await self._opinion(trace, one) for one in self.recipe.judge]
        if len(opinions) == 1:
            return opinions[0]
        verdicts, spent = zip(*opinions, strict=True)
        tokens = Tokens(judge=sum(t.judge for t in spent), prompt=sum(t.prompt for t in spent))
        return panel.decide(verdicts, self.recipe.panel), tokens

    async def rollout(
        self, task: Task, trace: Trace, outcome: Outcome, verdict: Verdict, rate: float | None = None
    ) -> tuple[Estimate, Tokens]:
        """Run the recipe's plan, if it has one, as far as it goes for a problem with that pass rate."""
        completer = self.recipe.completer
        unasked = self._left_out(rate) or ("no_plan" if completer.plan == "none" else None)
        if unasked:
            return probes.unknown(len(trace.steps), unasked), Tokens()
        plan = partial(probes.PLANS[completer.plan], settings=self.recipe.plan(task.problem.level, rate))
        engine, sampling = self.engines[completer.engine], completer.sampling.made()
        return await rollout(task, trace, outcome, verdict, plan, engine, self.grade, sampling, completer.system)

    async def credit(self, task: Task, trace: Trace, outcome: Outcome) -> tuple[Credit, Tokens]:
        """Score the solution under its policy and the reference, if the recipe names one."""
        chosen, own = self.recipe.credit, self._policy(task)
        if not chosen.reference:
            return Credit(), Tokens()
        policy, reference = self.engines[chosen.policy or own.engine], self.engines[chosen.reference]
        return await credit.credit(task, trace, outcome, policy, reference, chosen.eta, own.system)

    def _policy(self, task: Task) -> settings.Policy:
        """Return the policy that wrote a solution; the first for one that a dataset gave."""
        policies = self.recipe.policy
        return next((p for p in policies if (p.name or p.engine or "policy") == task.policy), policies[0])

    def _left_out(self, rate: float | None) -> probes.Reason | None:
        """Return why a problem with that pass rate is not labelled; None where it is."""
        reason: probes.Reason | None = "all_right" if rate == 1 else "all_wrong" if rate == 0 else None
        return reason if reason in self.recipe.skip else None

    async def _opinion(self, trace: Trace, judge: settings.Judge) -> tuple[Verdict, Tokens]:
        if judge.kind == "given":
            return Given().read(trace), Tokens()
        if judge.kind == "equations":
            return await asyncio.to_thread(Equations().read, trace), Tokens()  # seconds where the text is hostile
        return await ask(trace, judge, self.engines[judge.engine])


async def ask(trace: Trace, judge: settings.Judge, engine: Engine) -> tuple[Verdict, Tokens]:
    """Ask a judge that is a model, in its wording; one that refers to its own solution, for that first."""
    asked, sampling = PROMPTED[judge.kind](), judge.sampling.made()
    if isinstance(asked, Critique) and asked.refers:
        return await judging.refer(trace, asked, engine, judge.votes, sampling, judge.retries)
    return await judging.judge(trace, asked, engine, judge.votes, sampling, judge.retries)


def wordings(recipe: Recipe) -> list[str]:
    """Return the judges' fingerprints: a prompt that is reworded makes another recipe."""
    silent = {"equations": Equations().fingerprint, "given": Given().fingerprint}
    return [silent.get(j.kind) or PROMPTED[j.kind]().fingerprint for j in recipe.judge]
