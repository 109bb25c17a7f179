"""What a pilot foretells, held against runs of the whole, without Ray: the scripted world in one process."""

import asyncio
from functools import cache
from pathlib import Path

import pytest

from bench import fit
from data import schema, scripted, shards
from data.errors import RunError
from data.records import Outcome
from pipeline import forecast, progress, recipe, run, synth
from pipeline.crew import Crew
from pipeline.engines.scripted import Scripted
from pipeline.memory import Paid
from pipeline.progress import Progress
from pipeline.run import Run
from pipeline.settings import Recipe
from stages import learning, solve
from stages.exact.certain import decide

PRICED = "budget.prices={ scripted = [0.0, 10.0] }"


async def grade(answer: str | None, gold: str | None) -> Outcome:
    return (answer and gold and decide(answer, gold)) or "undecided"


@cache
def labelled(plan: str, problems: int, seed: int, *more: str) -> tuple[Recipe, list[schema.Row]]:
    rule = "posterior" if plan == "sequential" else "first_error"
    sets = [f"completer.plan={plan}", f"consensus.rule={rule}", f"data.limit={problems}", PRICED, *more]
    chosen = recipe.read("scripted", None, sets)
    crew = Crew(chosen, {"scripted": Scripted()}, grade)
    tasks = solve.tasks(scripted.problems(problems, seed), chosen.policies())

    async def main() -> list[schema.Row]:
        return [schema.row(await synth.label(task, crew)) for task in tasks]

    return chosen, asyncio.run(main())


def pilot(out: Path, plan: str, problems: int, *more: str) -> Run:
    chosen, rows = labelled(plan, problems, 0, *more)
    made = run.start(str(out), chosen, len(rows))
    sides = (schema.table([row for row in rows if row["kept"] is kept], {}) for kept in (True, False))
    shards.enter(made.place, shards.seal(made.place, shards.pack("p", *sides, "digest")))
    written = sum(row["tokens"][role] for row in rows for role in forecast.ROLES)
    with progress.display(made.place, len(rows), 0, chosen.budget) as shown:
        shown.show(Progress(len(rows), 0, {"scripted": Paid(1, 0, written, 1)}))
    return made


def test_one_pilot_tells_of_all_plans_what_runs_of_the_whole_come_to(tmp_path: Path) -> None:
    told = {line["plan"]: line for line in forecast.forecast(pilot(tmp_path, "exhaustive", 40), 200, rate=3000)}
    assert list(told) == ["exhaustive", "bisect", "confirm", "sequential", forecast.LEARNT]
    taught = fit.inline(learning.fit(list(learning.seen(map(schema.record, labelled("exhaustive", 40, 0)[1])))))
    for plan, more in {"bisect": (), "confirm": (), "sequential": (), forecast.LEARNT: (taught,)}.items():
        _, rows = labelled(plan.partition(",")[0], 200, 1, *more)  # other problems of the same world
        tokens = sum(row["tokens"][role] for row in rows for role in forecast.ROLES)
        assert inside(told[plan]["rows kept"], sum(row["kept"] for row in rows)), plan
        assert inside(told[plan]["million tokens"], tokens / 1e6), plan
        assert inside(told[plan]["kept of the solutions, %"], 100 * sum(row["kept"] for row in rows) / len(rows)), plan
        rolled = sum(row["tokens"]["rollout"] for row in rows)
        assert inside(told[plan]["rollout tokens a solution"], rolled / len(rows)), plan
        assert inside(told[plan]["money"], tokens / 1e5), plan
        assert inside(told[plan]["GPU hours"], tokens / 3000 / 3600), plan


def inside(told: str, value: float) -> bool:
    """Whether a value lies in an interval, widened by half: one of ten lies outside of a 90 % one."""
    low, high = (float(end.replace(",", "")) for end in told.partition("(")[2].rstrip(")").split(" to "))
    return low - (high - low) / 2 <= value <= high + (high - low) / 2


def test_the_bound_on_errors_is_the_pilots_own_under_every_plan(tmp_path: Path) -> None:
    bound = "consensus.error=0.1"
    told = {line["plan"]: line for line in forecast.forecast(pilot(tmp_path, "exhaustive", 40, bound), 40)}
    _, rows = labelled("sequential", 40, 0, bound)
    assert inside(told["sequential"]["rows kept"], sum(row["kept"] for row in rows))


def test_problems_that_are_solved_less_often_cost_their_own_tries_under_every_plan(tmp_path: Path) -> None:
    harder = "completer.tries=2", "completer.harder=[[0.9, 24]]"
    told = {line["plan"]: line for line in forecast.forecast(pilot(tmp_path, "exhaustive", 40, *harder), 100)}
    for plan in ("bisect", "confirm"):
        _, rows = labelled(plan, 100, 1, *harder)
        tokens = sum(row["tokens"][role] for row in rows for role in forecast.ROLES)
        assert inside(told[plan]["million tokens"], tokens / 1e6), plan
        assert inside(told[plan]["rows kept"], sum(row["kept"] for row in rows)), plan


def test_a_pilot_of_another_plan_tells_of_itself(tmp_path: Path) -> None:
    (line,) = forecast.forecast(pilot(tmp_path, "confirm", 40), 40)
    _, rows = labelled("confirm", 40, 0)
    assert line["plan"] == "confirm"
    assert line["rows kept"].partition(" ")[0] == str(sum(row["kept"] for row in rows))
    assert "GPU hours" not in line


def test_without_a_finished_solution_there_is_nothing_to_tell(tmp_path: Path) -> None:
    made = run.start(str(tmp_path), labelled("confirm", 40, 0)[0], 10)
    with pytest.raises(RunError, match="a forecast needs a pilot"):
        forecast.forecast(made, 10)
