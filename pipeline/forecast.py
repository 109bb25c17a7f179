"""What a data set will cost and give, from a finished pilot: tokens, money, rows, for every plan, with intervals.

Each plan is run again on the pilot's own evidence (`probes.simulate`), its probes answered from the hits and misses
that were recorded of the same prefix, in a random order. So a pilot that rolled every prefix out tells of all plans,
another of its own alone. A rollout is taken to cost tokens in proportion to the text that is still to come.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from data import schema, shards
from data.errors import RunError
from data.records import Tally, Trace, Verdict
from data.schema import Row
from pipeline import progress
from pipeline.pilot import learnt
from pipeline.run import Run
from pipeline.settings import Recipe
from stages import consensus, probes

LEARNT = "sequential, with a prior that is learnt (completer.learn)"
RESAMPLES, TAIL = 1000, 0.05  # bootstrap over problems; what lies outside the interval on each side
ROLES = ("solve", "judge", "rollout")
Amounts = dict[str, float]  # of one problem: solutions, kept, tokens by role


@dataclass(frozen=True, slots=True)
class Range:
    """An estimate and its 90 % interval."""

    low: float
    middle: float
    high: float

    def __str__(self) -> str:
        middle, low, high = (f"{x:,.0f}" if x >= 99.5 else f"{x:.2g}" for x in (self.middle, self.low, self.high))
        return f"{middle} ({low} to {high})"


def forecast(pilot: Run, problems: int, rate: float | None = None) -> list[dict[str, str]]:
    """Return a line for each plan that the pilot tells of, for so many problems; `rate`: tokens a second of a GPU.

    Raises RunError where the pilot holds no finished solution.
    """
    rows = list(shards.rows(pilot.place))
    if not rows:
        raise RunError(f"{pilot.place} has no finished shard: a forecast needs a pilot")
    own = pilot.recipe.completer.plan
    price, again = _price(pilot), partial(_again, rates=_rates(rows))
    told: dict[str, Callable[[Row], tuple[float, bool]]] = {own: _recorded}
    if own == "exhaustive":
        told |= {plan: partial(again, plan=plan, recipe=pilot.recipe) for plan in probes.PLANS if plan != own}
        told[LEARNT] = partial(again, plan="sequential", recipe=learnt(pilot.recipe, rows))
    return [_line(plan, _amounts(rows, seen), problems, price, rate) for plan, seen in told.items()]


def _line(plan: str, amounts: Sequence[Amounts], problems: int, price: Amounts, rate: float | None) -> dict[str, str]:
    def tokens(of: Amounts) -> float:
        return sum(of[role] for role in ROLES)

    scaled = partial(_range, amounts, problems)
    told = {
        "plan": plan,
        "rollout tokens a solution": str(_range(amounts, 1, lambda of: of["rollout"], by="solutions")),
        "million tokens": str(scaled(lambda of: tokens(of) / 1e6)),
        "rows kept": str(scaled(lambda of: of["kept"])),
        "kept of the solutions, %": str(_range(amounts, 100, lambda of: of["kept"], by="solutions")),
    }
    if rate:
        told["GPU hours"] = str(scaled(lambda of: tokens(of) / rate / 3600))
    if any(price.values()):
        told["money"] = str(scaled(lambda of: sum(of[role] * price[role] for role in ROLES)))
    return told


def _range(
    amounts: Sequence[Amounts], scale: float, measure: Callable[[Amounts], float], by: str | None = None
) -> Range:
    """Estimate a mean over problems, or what there is of something for each of another, by the percentile bootstrap."""
    values = [(measure(of), of[by] if by else 1.0) for of in amounts]
    draw = random.Random(0)
    means = sorted(_ratio(draw.choices(values, k=len(values))) for _ in range(RESAMPLES))
    cut = int(TAIL * RESAMPLES)
    return Range(means[cut] * scale, _ratio(values) * scale, means[-cut - 1] * scale)


def _ratio(values: Sequence[tuple[float, float]]) -> float:
    return sum(above for above, _ in values) / sum(below for _, below in values)


def _amounts(rows: Iterable[Row], seen: Callable[[Row], tuple[float, bool]]) -> list[Amounts]:
    """Sum up each problem's solutions; `seen` gives rollout tokens, and whether the solution is kept."""
    totals: dict[str, Amounts] = {}
    for row in rows:
        total = totals.setdefault(row["problem_id"], dict.fromkeys(("solutions", "kept", *ROLES), 0.0))
        rollout, kept = seen(row)
        gained = {"solutions": 1.0, "kept": float(kept), "rollout": rollout}
        gained |= {role: float(row["tokens"][role]) for role in ("solve", "judge")}
        for name, amount in gained.items():
            total[name] += amount
    return list(totals.values())


def _rates(rows: Iterable[Row]) -> dict[str, float | None]:
    """Return each problem's pass rate, as a run knows it (`synth.pass_rate`): its tries go by that."""
    decided: dict[str, list[bool]] = {}
    for row in rows:
        known = decided.setdefault(row["problem_id"], [])
        known += [row["outcome"] == "equal"] if row["outcome"] != "undecided" else []
    return {name: sum(known) / len(known) if len(known) > 1 else None for name, known in decided.items()}


def _recorded(row: Row) -> tuple[float, bool]:
    return float(row["tokens"]["rollout"]), row["kept"]


def _again(row: Row, plan: str, recipe: Recipe, rates: Mapping[str, float | None]) -> tuple[float, bool]:
    """Run another plan on a row's evidence, with the rule that goes with it."""
    steps = row["steps"]
    if not steps or row["mc_reason"] in {"no_gold", "refused"}:
        return 0.0, row["kept"]
    decks, left = _decks(row), [sum(map(len, steps[prefix:])) for prefix in range(len(steps) + 1)]
    paid = sum(len(decks[prefix]) * left[prefix] for prefix in decks)
    spent = 0.0

    def answer(probe: probes.Probe) -> Tally:
        nonlocal spent
        deck = decks.get(probe.prefix, [])
        drawn = [deck[i % len(deck)] for i in range(probe.first, probe.first + probe.tries)] if deck else []
        spent += probe.tries * left[probe.prefix]
        return Tally(drawn.count(True), drawn.count(False), probe.tries - len(drawn))

    settings = recipe.plan(row["level"], rates[row["problem_id"]])
    rolling = probes.PLANS[plan](len(steps), row["outcome"], row["judge_first_error"], settings)
    estimate = probes.simulate(rolling, answer)
    verdict = Verdict(row["judge_first_error"], tuple(row["judge_votes"]), row["judge_reason"])
    trace = Trace(row["problem"], tuple(steps), row["answer"])
    decision = consensus.agree(trace, row["outcome"], estimate, verdict, _rule(plan, recipe))
    return spent * row["tokens"]["rollout"] / paid if paid else 0.0, decision.kept


def _rule(plan: str, recipe: Recipe) -> consensus.Settings:
    """Return the rule that goes with a plan: rates need every rollout, the posterior its own plan."""
    if plan == "sequential":
        return consensus.Settings(rule="posterior", error=recipe.consensus.error)
    return recipe.consensus.made() if plan == recipe.completer.plan else consensus.Settings()


def _decks(row: Row) -> dict[int, list[bool]]:
    """Return what the rollouts from each prefix came to, in a random order that is always the same."""
    draw = random.Random(row["id"])
    decks = {}
    for prefix, step in enumerate(schema.estimate(row).steps, start=1):
        if step.source == "rolled" and step.tries:
            decks[prefix] = draw.sample([True] * step.hits + [False] * (step.tries - step.hits), step.tries)
    return decks


def _price(pilot: Run) -> Amounts:
    """Return what a written token of each role costs, what was read for it included, as in the pilot."""
    recipe, paid = pilot.recipe, progress.paid(pilot.place)
    engines = {"solve": recipe.policy[0].engine, "judge": recipe.judge[0].engine, "rollout": recipe.completer.engine}
    each: Mapping[str, Any] = {
        name: recipe.budget.cost({name: one}) / max(one.written, 1) for name, one in paid.items()
    }
    return {role: each.get(engine, 0.0) for role, engine in engines.items()}
