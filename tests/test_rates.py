"""What is done about a solution may depend on how often its problem is solved: the same whoever comes first."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from bench.plans import grade
from data import scripted
from data.asks import Ask, Reply
from data.errors import Refused, SettingError
from data.ledger import Ledger
from data.records import Given, Labelled, Problem, Task
from pipeline import recipe, synth
from pipeline.crew import Crew
from pipeline.engines.scripted import Scripted
from pipeline.memory import Remembering
from pipeline.settings import Recipe
from stages import solve
from stages.engine import Scores

PROBLEMS = scripted.problems(24)
SKIP = 'skip=["all_right", "all_wrong"]'
SOLVED = "scripted.right=0.9"


def chosen(*overrides: str) -> Recipe:
    return recipe.read("scripted", overrides=["policy.samples=3", SOLVED, "completer.plan=exhaustive", *overrides])


def labelled(made: Recipe, tasks: list[Task], ledger: Ledger, *, at_once: bool = True) -> dict[str, Labelled]:
    engine = Scripted(made.script())
    crew = Crew(made, {"scripted": Remembering(engine, engine.model, ledger)}, grade)

    async def all_of_them() -> list[Labelled]:
        if at_once:
            return await asyncio.gather(*(synth.label(task, crew) for task in tasks))
        return [await synth.label(task, crew) for task in tasks]

    return {row.task.id: row for row in asyncio.run(all_of_them())}


def tasks(made: Recipe) -> list[Task]:
    return list(solve.tasks(PROBLEMS, made.policies()))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger", "p")


def test_problems_that_are_always_or_never_solved_are_left_out_with_the_reason(ledger: Ledger) -> None:
    made = chosen(SKIP)
    rows = list(labelled(made, tasks(made), ledger).values())
    reasons = Counter(row.decision.reason for row in rows)
    assert reasons["all_right"] > 0 < reasons["all_wrong"]
    assert reasons.total() > reasons["all_right"] + reasons["all_wrong"]
    for problem in PROBLEMS:
        own = [row for row in rows if row.task.problem == problem]
        outcomes = {row.outcome for row in own}
        left_out = {"equal": "all_right", "different": "all_wrong"}[own[0].outcome] if len(outcomes) == 1 else None
        assert {row.estimate.reason for row in own if left_out} <= {left_out}
        assert all((row.tokens.judge == 0) == bool(left_out) for row in own)
        assert all(row.decision.kept <= (left_out is None) for row in own)


def test_what_is_seldom_solved_is_rolled_out_more_often(ledger: Ledger) -> None:
    made = chosen("completer.tries=1", "completer.harder=[[0.9, 3], [0.5, 6]]")
    rows = labelled(made, tasks(made), ledger).values()
    found = Counter[tuple[int, int]]()
    for problem in PROBLEMS:
        own = [row for row in rows if row.task.problem == problem]
        right = sum(row.outcome == "equal" for row in own)
        found.update((right, step.tries) for row in own for step in row.estimate.steps if step.source == "rolled")
    assert set(found) == {(0, 6), (1, 6), (2, 3), (3, 1)}


@pytest.mark.parametrize("setting", [SKIP, "completer.harder=[[0.9, 3]]"])
def test_order_and_what_is_in_the_ledger_change_nothing(tmp_path: Path, setting: str) -> None:
    made = chosen(setting)
    all_tasks = tasks(made)
    with Ledger(tmp_path / "a", "p") as ledger:
        calm = labelled(made, all_tasks, ledger)
    with Ledger(tmp_path / "b", "p") as ledger:
        assert labelled(made, all_tasks[::-1][:30], ledger, at_once=False).items() <= calm.items()
    with Ledger(tmp_path / "b", "p") as ledger:
        assert labelled(made, all_tasks, ledger) == calm


def test_siblings_cost_nothing_more(tmp_path: Path) -> None:
    made, plain = chosen(SKIP), chosen()
    counts = []
    for one in (made, plain):
        with Ledger(tmp_path / str(len(counts)), "p") as ledger:
            engine = Scripted(one.script())
            memory = Remembering(engine, engine.model, ledger)
            crew = Crew(one, {"scripted": memory}, grade)
            asyncio.run(_rates(crew) if one is made else _solved(crew, tasks(one)))
            counts.append(memory.paid.asked)
    assert counts == [3 * len(PROBLEMS)] * 2


async def _rates(crew: Crew) -> None:
    await asyncio.gather(*(synth.pass_rate(problem, crew) for problem in PROBLEMS for _ in range(3)))


async def _solved(crew: Crew, todo: list[Task]) -> None:
    await asyncio.gather(*map(crew.solve, todo))


def given(*texts: str) -> Problem:
    return Problem("p", "toy", "What is 2 + 3?", "5", given=tuple(Given(text, "book") for text in texts))


@pytest.mark.parametrize(
    ("answers", "rate"),
    [(("5", "5", "6"), 2 / 3), (("5", "", "6"), 0.5), (("5", ""), None), (("5",), None), (("6", "7"), 0.0)],
)
def test_the_rate_is_over_what_could_be_decided_and_needs_two(answers: tuple[str, ...], rate: float | None) -> None:
    problem = given(*(f"So \\boxed{{{answer}}}" if answer else "I do not know" for answer in answers))
    assert asyncio.run(synth.pass_rate(problem, Crew(chosen(), {}, grade))) == rate


class Refusing:
    """Solves nothing."""

    model = "refusing"

    async def reply(self, ask: Ask) -> Reply:
        raise Refused(str(ask)[:20])

    async def score(self, ask: Ask, text: str) -> Scores:
        raise Refused(f"{ask} {text}")


def test_a_solution_that_is_refused_counts_neither_way() -> None:
    assert asyncio.run(synth.pass_rate(PROBLEMS[0], Crew(chosen(), {"scripted": Refusing()}, grade))) is None


@pytest.mark.parametrize("setting", [SKIP, "completer.harder=[[0.1, 128]]"])
def test_one_solution_a_problem_has_no_rate(setting: str) -> None:
    alone = recipe.read("scripted", overrides=[setting, "policy.samples=1"])
    with pytest.raises(SettingError, match=r"policy\.samples=2"):
        recipe.check(alone, sampled=True)
    recipe.check(alone, sampled=False)
    recipe.check(chosen(setting), sampled=True)


def test_settings_out_of_range_are_refused() -> None:
    for wrong in ("completer.harder=[[1.5, 8]]", "completer.harder=[[0.5, 0]]", 'skip=["hard"]'):
        with pytest.raises(SettingError):
            chosen(wrong)
    assert chosen().plan(rate=0.05) == chosen().plan()
    assert chosen("completer.harder=[[0.1, 128], [0.9, 64]]").plan(rate=0.9) == chosen().plan()
    assert chosen("completer.harder=[[0.1, 128], [0.9, 64]]").plan(rate=None) == chosen().plan()
    assert chosen("completer.harder=[[0.1, 128], [0.9, 64]]").plan(rate=0.5) == replace(chosen().plan(), tries=64)
