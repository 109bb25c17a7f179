"""READ ME FIRST: what happens to one solution, from a problem to a labelled row.

Everything else in this folder carries these functions to many solutions: `crew` puts engines behind the stages,
`memory` and the ledger remember every reply, `cluster` runs it on Ray, `run` looks after the directory.
"""

import asyncio
from dataclasses import astuple

from data.errors import Refused
from data.records import (
    Decision,
    Estimate,
    Labelled,
    Outcome,
    Problem,
    Solution,
    Task,
    Tokens,
    Trace,
    Verdict,
)
from pipeline.crew import Crew
from stages import solve
from stages.answers import extract
from stages.consensus import agree
from stages.split import split


async def label(task: Task, crew: Crew) -> Labelled:
    """Solve, split, grade, judge, roll out, decide; credit steps. Raises Unavailable or Drained as the engines do."""
    try:
        solution, solving = await crew.solve(task)
    except Refused:
        return unusable(task, "refused")
    trace = read(task, solution, crew)
    outcome = await crew.grade(trace.answer, task.problem.gold)
    rate = await pass_rate(task.problem, crew) if crew.recipe.by_rate else None
    verdict, judging = await crew.judge(trace, rate)
    estimate, rolling = await crew.rollout(task, trace, outcome, verdict, rate)
    decision = agree(trace, outcome, estimate, verdict, crew.consensus)
    credit, scoring = await crew.credit(task, trace, outcome)
    spent = total(solving, judging, rolling, scoring)
    return Labelled(task, trace, outcome, estimate, verdict, decision, spent, credit)


def read(task: Task, solution: Solution, crew: Crew) -> Trace:
    """Take a solution apart, unless the dataset has. One that was cut off states no answer, whatever it said before."""
    answer = None if solution.cut else extract(solution.text)
    steps = task.steps or split(solution.text, crew.splitter)
    return Trace(task.problem.text, steps, answer, solution.cut, task.ratings)


async def pass_rate(problem: Problem, crew: Crew) -> float | None:
    """Share of a problem's solutions that are right, of those that could be decided; None for less than two.

    Each solution asks for all of its problem's, which the engine's memory makes one request: the rate is the same
    whichever comes first, and after a restart.
    """
    tasks = solve.tasks([problem], crew.recipe.policies())
    outcomes = await asyncio.gather(*(_outcome(task, crew) for task in tasks))
    decided = [outcome for outcome in outcomes if outcome != "undecided"]
    return decided.count("equal") / len(decided) if len(decided) > 1 else None


async def _outcome(task: Task, crew: Crew) -> Outcome:
    try:
        solution, _ = await crew.solve(task)
    except Refused:
        return "undecided"
    return await crew.grade(read(task, solution, crew).answer, task.problem.gold)


def unusable(task: Task, reason: str) -> Labelled:
    """Return the row of a solution that could not be labelled at all; it is kept with its reason."""
    trace = Trace(task.problem.text, (), None)
    decision = Decision(kept=False, first_error=None, labels=(), agreement=None, reason=reason)
    return Labelled(task, trace, "undecided", Estimate((), None), Verdict(None), decision, Tokens())


def total(*spent: Tokens) -> Tokens:
    """Add up what the stages spent."""
    return Tokens(*(sum(values) for values in zip(*(astuple(one) for one in spent), strict=True)))
