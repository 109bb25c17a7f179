"""Learns the prior of the plan `sequential` during the run, from some of its own problems: its pilot.

The pilot is a run of its own, in `pilot/` of the run directory, in which every prefix is rolled out; it shares the
ledger, so that the run pays for none of it again. What it taught becomes a setting of the run, thus part of `run.json`,
of the fingerprint and of every shard, and is not learnt anew: whatever is killed, the same labels come out.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from data import places, schema
from data.errors import SettingError
from data.records import Problem
from data.schema import Row
from pipeline import run
from pipeline.settings import Prior, Recipe
from stages import learning

DIGITS = 4  # of what is learnt: sums of logarithms differ between machines in the last ones


def recipe(whole: Recipe) -> Recipe:
    """Return how the pilot of a run is labelled."""
    completer = whole.completer.model_copy(update={"plan": "exhaustive", "learn": 0})
    consensus = whole.consensus.model_copy(update={"rule": "first_error"})
    data = whole.data.model_copy(update={"limit": whole.completer.learn})
    return whole.model_copy(update={"completer": completer, "consensus": consensus, "data": data})


def problems(whole: Recipe, loaded: Sequence[Problem]) -> list[Problem]:
    """Draw the pilot's problems from all of them: a source is often ordered by subject or level.

    Raises SettingError where there are no more of them than that.
    """
    count = whole.completer.learn
    if len(loaded) <= count:
        raise SettingError(
            f"completer.learn={count} takes so many problems to learn from, and there are {len(loaded)}: give a larger "
            "LIMIT, or leave it out"
        )
    return random.Random(whole.data.seed).sample(loaded, count)


def taught(out: str, whole: Recipe) -> Recipe | None:
    """Return the recipe with what the run in `out` has learnt before; None where nothing was begun there.

    As it is where the run was another: `run.start` tells the difference.
    """
    place = places.at(out)
    if not run.begun(place):
        return None
    before = run.find(out).recipe.completer
    return with_prior(whole, before.prior.model_dump()) if before.learn == whole.completer.learn else whole


def learnt(whole: Recipe, pilot: Iterable[Row]) -> Recipe:
    """Return the recipe with the prior that the rows of its finished pilot teach."""
    seen = learning.seen(map(schema.record, pilot))
    return with_prior(whole, asdict(learning.fit(list(seen))))


def lesson(prior: Prior) -> str:
    """Say what was learnt."""
    good, bad = (rate[0] / sum(rate) for rate in (prior.good, prior.bad))
    return (
        f"learnt: where the judge names a step, that is the first error with {prior.exact:g}, an earlier one with "
        f"{prior.earlier:g}, a later one with {prior.later:g}, or there is none with {prior.none:g}; rollouts hit with "
        f"{good:.2g} before an error and with {bad:.2g} after it"
    )


def with_prior(whole: Recipe, values: Mapping[str, object]) -> Recipe:
    """Return the recipe with another prior; but for what no rollout teaches."""
    untaught = whole.completer.prior.untaught
    rounded = {name: _rounded(value) for name, value in values.items() if name not in untaught}
    prior = Prior.model_validate(rounded | untaught)
    return whole.model_copy(update={"completer": whole.completer.model_copy(update={"prior": prior})})


def _rounded(value: object) -> object:
    if isinstance(value, tuple | list):
        return tuple(map(_rounded, value))
    return float(f"{value:.{DIGITS}g}")
