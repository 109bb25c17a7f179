from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import SettingError
from data.records import NO_ERROR, Outcome, StepEstimate, Tally
from stages.posterior import Prior
from stages.probes import (
    PLANS,
    Probe,
    Rolling,
    Settings,
    bisect,
    confirm,
    exhaustive,
    first_error,
    sequential,
    simulate,
    unknown,
)

Answer = Callable[[Probe], Tally]
NOTHING_HIDDEN = Prior(missed=0.0)


class World:
    """Rollouts with known results: each prefix has a string of h(it), m(iss), c(ut), the last one repeated."""

    def __init__(self, *results: str) -> None:
        self.results = dict(enumerate(results, 1))
        self.probes: list[Probe] = []

    def __call__(self, probe: Probe) -> Tally:
        self.probes.append(probe)
        drawn = [self._sample(probe.prefix, index) for index in range(probe.first, probe.first + probe.tries)]
        return Tally(drawn.count("h"), drawn.count("m"), drawn.count("c"))

    def _sample(self, prefix: int, index: int) -> str:
        results = self.results[prefix]
        return results[min(index, len(results) - 1)]

    @property
    def asked(self) -> list[tuple[int, int, int]]:
        return [(probe.prefix, probe.first, probe.tries) for probe in self.probes]

    @property
    def rollouts(self) -> int:
        return sum(probe.tries for probe in self.probes)


def never(_probe: Probe) -> Tally:
    raise AssertionError("no rollout was needed")


def reachable(estimate_steps: tuple[StepEstimate, ...]) -> list[bool | None]:
    return [step.reachable for step in estimate_steps]


def test_exhaustive_rolls_every_prefix_but_grades_the_last() -> None:
    world = World("hm", "hmmmmmmm", "m", "h")
    estimate = simulate(exhaustive(4, "different", None), world)
    assert world.asked == [(1, 0, 8), (2, 0, 8), (3, 0, 8)]
    assert [step.hits for step in estimate.steps] == [1, 1, 0, 0]
    assert [step.tries for step in estimate.steps] == [8, 8, 8, 1]
    assert [step.source for step in estimate.steps] == ["rolled", "rolled", "rolled", "graded"]
    assert not any(step.stopped_early for step in estimate.steps)
    assert (estimate.first_error, estimate.reason, estimate.violations) == (2, None, 0)


def test_exhaustive_counts_what_contradicts_monotony_and_still_takes_the_first_zero() -> None:
    estimate = simulate(exhaustive(4, "equal", None), World("h", "m", "h", "?"))
    assert estimate.first_error == 1
    assert estimate.violations == 2  # the third prefix, and the right answer itself
    assert reachable(estimate.steps) == [True, False, True, True]


def test_an_undecided_outcome_grades_nothing_so_the_last_prefix_is_rolled_too() -> None:
    world = World("h", "h")
    estimate = simulate(exhaustive(2, "undecided", None, Settings(tries=2)), world)
    assert world.asked == [(1, 0, 2), (2, 0, 2)]
    assert estimate.first_error == NO_ERROR


def test_cut_rollouts_are_replaced_and_count_neither_way() -> None:
    world = World("cccm")
    estimate = simulate(exhaustive(1, "undecided", None, Settings(tries=4, spare=4)), world)
    assert world.asked == [(1, 0, 4), (1, 4, 3)]
    assert estimate.steps[0] == StepEstimate(0, 4, "rolled", reachable=False)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_prefix_with_too_few_decided_rollouts_is_unknown_never_unreachable(plan: Callable[..., Rolling]) -> None:
    world = World(*["mccccc"] * 3)
    estimate = simulate(plan(3, "different", 1, Settings(tries=4, spare=4, prior=NOTHING_HIDDEN)), world)
    hopeless = 6 if plan is sequential else 8  # it sees earlier that the rest cannot decide
    assert max(probe.first + probe.tries for probe in world.probes) == hopeless
    assert estimate.first_error is None
    assert estimate.reason in {"cut", "posterior"}
    assert False not in reachable(estimate.steps)[:2]
    assert all(step.tries == 1 for step in estimate.steps if step.source == "rolled")


def test_one_hit_among_cut_rollouts_is_enough() -> None:
    estimate = simulate(exhaustive(1, "undecided", None), World("ccch" + "c" * 20))
    assert estimate.steps[0] == StepEstimate(1, 1, "rolled", reachable=True)


def test_a_later_hit_is_a_witness_for_an_undecided_prefix() -> None:
    estimate = simulate(exhaustive(3, "different", None), World("c", "h", "?"))
    assert reachable(estimate.steps) == [True, True, False]
    assert estimate.steps[0].source == "rolled"
    assert estimate.first_error == 2


def test_a_prefix_that_only_a_witness_settles_is_no_violation() -> None:
    estimate = simulate(exhaustive(4, "different", None), World("m", "c", "h", "?"))
    assert reachable(estimate.steps) == [False, True, True, False]
    assert (estimate.first_error, estimate.violations) == (0, 1)


def test_an_earlier_miss_says_nothing_of_an_undecided_prefix() -> None:
    estimate = simulate(exhaustive(3, "different", None), World("m", "c", "?"))
    assert reachable(estimate.steps) == [False, None, False]


@pytest.mark.parametrize("plan", [bisect, confirm])
@pytest.mark.parametrize("judged", [None, NO_ERROR, 0, 2])
def test_a_right_answer_is_its_own_witness(plan: Callable[..., Rolling], judged: int | None) -> None:
    estimate = simulate(plan(3, "equal", judged), never)
    assert estimate.first_error == NO_ERROR
    assert [step.source for step in estimate.steps] == ["inferred", "inferred", "graded"]
    assert all(step.reachable for step in estimate.steps)


@pytest.mark.parametrize("error", range(16))
def test_bisect_finds_any_first_error_in_logarithmic_time(error: int) -> None:
    world = World(*["h"] * error, *["m"] * (16 - error))
    estimate = simulate(bisect(16, "different", None), world)
    assert estimate.first_error == error
    assert len({probe.prefix for probe in world.probes}) <= 4
    assert reachable(estimate.steps) == [True] * error + [False] * (16 - error)
    assert estimate.steps[15].source == "graded"


def test_bisect_rolls_the_end_of_a_solution_without_an_answer() -> None:
    assert simulate(bisect(4, "undecided", None), World("h", "h", "h", "h")).first_error == NO_ERROR
    assert simulate(bisect(4, "undecided", None), World("h", "h", "m", "m")).first_error == 2


@pytest.mark.parametrize(
    ("judged", "reason"), [(None, "judge_undecided"), (NO_ERROR, "judge_none")], ids=["undecided", "none"]
)
@pytest.mark.parametrize("outcome", ["different", "undecided"])
def test_confirm_rolls_nothing_where_the_judge_names_no_step(outcome: Outcome, judged: int, reason: str) -> None:
    estimate = simulate(confirm(3, outcome, judged), never)
    assert (estimate.first_error, estimate.reason) == (None, reason)
    assert [step.source for step in estimate.steps[:2]] == ["skipped", "skipped"]
    assert reachable(estimate.steps) == [None, None, False if outcome == "different" else None]


def test_confirm_needs_only_misses_through_and_one_hit_before() -> None:
    world = World("?", "mh", "m", "?", "?")
    estimate = simulate(confirm(5, "different", 2), world)
    assert world.asked == [(3, 0, 1), (3, 1, 1), (3, 2, 2), (3, 4, 4), (2, 0, 1), (2, 1, 1)]
    assert (estimate.first_error, estimate.reason) == (2, None)
    assert estimate.steps == (
        StepEstimate(source="inferred", reachable=True),
        StepEstimate(1, 2, "rolled", stopped_early=True, reachable=True),
        StepEstimate(0, 8, "rolled", reachable=False),
        StepEstimate(source="inferred", reachable=False),
        StepEstimate(0, 1, "graded", reachable=False),
    )


def test_confirm_is_refuted_by_misses_before() -> None:
    world = World("?", "m", "m", "?", "?")
    estimate = simulate(confirm(5, "different", 2), world)
    assert world.rollouts == 16
    assert (estimate.first_error, estimate.reason) == (None, "error_earlier")
    assert reachable(estimate.steps) == [None, False, False, False, False]


def test_confirm_is_refuted_by_one_hit_through() -> None:
    world = World("?", "?", "mmh", "?", "?")
    estimate = simulate(confirm(5, "different", 2), world)
    assert world.rollouts == 4
    assert (estimate.first_error, estimate.reason) == (None, "error_later")
    assert reachable(estimate.steps) == [True, True, True, None, False]


def test_confirm_of_the_first_step_probes_nothing_before_it() -> None:
    world = World("m", "?")
    assert simulate(confirm(2, "different", 0), world).first_error == 0
    assert {probe.prefix for probe in world.probes} == {1}


def test_confirm_of_the_last_step_is_graded_not_rolled() -> None:
    world = World("?", "h", "?")
    assert simulate(confirm(3, "different", 2), world).first_error == 2
    assert world.asked == [(2, 0, 1)]


def test_one_wrong_step_needs_no_rollout() -> None:
    assert simulate(confirm(1, "different", 0), never).first_error == 0
    assert simulate(bisect(1, "different", None), never).first_error == 0


def test_refutation_that_leaves_one_place_names_it() -> None:
    assert simulate(confirm(4, "different", 1), World("m", "m", "?", "?")).first_error == 0
    assert simulate(confirm(4, "different", 2), World("?", "?", "h", "?")).first_error == 3


@pytest.mark.parametrize("judged", [3, 99, -2])
def test_confirm_of_no_step_is_an_error(judged: int) -> None:
    with pytest.raises(ValueError, match="step"):
        simulate(confirm(3, "different", judged), never)


def test_waves_may_be_one_round() -> None:
    world = World("h", "m", "?")
    simulate(confirm(3, "different", 1, Settings(tries=4, wave=4)), world)
    assert world.asked == [(2, 0, 4), (1, 0, 4)]


def test_a_hit_in_the_last_wave_was_not_stopped_early() -> None:
    estimate = simulate(confirm(3, "different", 1), World("mmmmmh", "m", "?"))
    assert (estimate.steps[0].tries, estimate.steps[0].stopped_early) == (8, False)


def test_exhaustive_may_stop_a_prefix_once_its_rate_is_known_well_enough() -> None:
    world = World("h", "hm", "?")  # always hit; hit once, then never
    estimate = simulate(exhaustive(3, "different", None, Settings(tries=64, wave=8, width=0.4)), world)
    assert world.asked == [(1, 0, 8), (2, 0, 8), (2, 8, 8)]
    assert [(step.hits, step.tries, step.stopped_early) for step in estimate.steps[:2]] == [(8, 8, True), (1, 16, True)]
    world = World("h", "hmhmmhhmhhmhmmhmm", "?")
    wide = simulate(exhaustive(3, "different", None, Settings(tries=64, wave=8, width=0.3)), world)
    assert [(step.tries, step.stopped_early) for step in wide.steps] == [(16, True), (32, True), (1, False)]


def test_a_narrow_interval_without_a_hit_is_enough_to_call_a_prefix_unreachable() -> None:
    estimate = simulate(exhaustive(2, "different", None, Settings(tries=64, wave=8, width=0.4)), World("m", "?"))
    assert estimate.steps[0] == StepEstimate(0, 8, "rolled", stopped_early=True, reachable=False)


def test_exhaustive_may_end_at_the_first_unreachable_prefix() -> None:
    world = World("h", "m", "h", "h")
    estimate = simulate(exhaustive(4, "different", None, Settings(truncate=True)), world)
    assert {probe.prefix for probe in world.probes} == {1, 2}
    assert estimate.first_error == 1
    assert [step.source for step in estimate.steps] == ["rolled", "rolled", "inferred", "graded"]


@pytest.mark.parametrize(
    "bad",
    [
        {"tries": 0},
        {"wave": 0},
        {"spare": -1},
        {"width": 0.0},
        {"width": 1.0},
        {"error": 0.0},
        {"error": 0.5},
        {"give_up": -0.1},
        {"give_up": 0.98},
    ],
)
def test_settings_are_checked(bad: dict[str, int]) -> None:
    with pytest.raises(SettingError):
        Settings(**bad)


SURE = Prior(exact=0.8, earlier=0.05, later=0.05, none=0.1, good=(9.0, 1.0), bad=(0.1, 9.9))


def test_sequential_stops_as_soon_as_the_judge_is_right_with_the_probability_asked_for() -> None:
    world = World("?", "h", "m", "?", "?")
    estimate = simulate(sequential(5, "different", 2, Settings(prior=SURE)), world)
    assert {probe.prefix for probe in world.probes} == {2, 3}
    assert world.rollouts == 2
    assert estimate.posterior is not None
    assert estimate.posterior >= 0.98
    assert (estimate.first_error, estimate.reason) == (None, "posterior")  # two rollouts are no proof
    assert estimate.steps[1] == StepEstimate(1, 1, "rolled", stopped_early=True, reachable=True)
    assert estimate.steps[2] == StepEstimate(0, 1, "rolled", stopped_early=True)


def test_sequential_asks_the_longer_for_a_lower_error() -> None:
    counts = []
    for error in (0.2, 0.05, 0.02, 0.001):
        world = World("?", "h", "m", "?", "?")
        simulate(sequential(5, "different", 2, Settings(error=error, prior=NOTHING_HIDDEN)), world)
        counts.append(world.rollouts)
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


@pytest.mark.parametrize("results", [("h", "h"), ("m", "m")], ids=["later", "earlier"])
def test_sequential_gives_up_where_the_judge_is_refuted(results: tuple[str, str]) -> None:
    world = World("?", *results, "?", "?")
    estimate = simulate(sequential(5, "different", 2, Settings(prior=SURE)), world)
    assert estimate.posterior is not None
    assert estimate.posterior <= 0.3
    assert world.rollouts < 10


def test_sequential_asks_nothing_that_cannot_reach_the_bound() -> None:
    few = Settings(tries=1, spare=0, error=0.001, prior=NOTHING_HIDDEN)
    estimate = simulate(sequential(5, "different", 2, few), never)
    assert estimate.posterior == pytest.approx(0.7 / 0.9)
    assert estimate.reason == "posterior"


def test_sequential_asks_before_the_named_step_until_a_mended_error_is_improbable_enough() -> None:
    known = Prior(good=(4.0, 1.0))
    sure = simulate(sequential(5, "different", 4, Settings(tries=100, error=0.01, prior=known)), World(*"???h?"))
    assert sure.posterior is not None
    assert sure.posterior >= 0.99
    assert sure.steps[3].tries > 1
    loose = simulate(sequential(5, "different", 4, Settings(tries=100, error=0.05, prior=known)), World(*"???h?"))
    assert loose.steps[3].tries < sure.steps[3].tries
    early = simulate(sequential(5, "different", 1, Settings(tries=100, error=0.01)), World("h", "m", "?", "?", "?"))
    assert early.posterior is not None
    assert early.posterior >= 0.99


def test_misses_say_little_where_even_good_prefixes_are_rarely_hit() -> None:
    rare = Prior(good=(1.0, 20.0), bad=(0.2, 20.0))
    estimate = simulate(sequential(5, "different", 0, Settings(prior=rare)), World(*["m"] * 5))
    assert estimate.posterior is not None
    assert estimate.posterior < 0.98
    easy = simulate(sequential(5, "different", 0, Settings(prior=SURE)), World(*["m"] * 5))
    assert easy.posterior is not None
    assert easy.posterior >= 0.98


def test_sequential_may_confirm_an_error_in_a_solution_with_a_right_answer() -> None:
    keen = Prior(exact=0.9, earlier=0.01, later=0.01, none=0.08, good=(9.0, 1.0), bad=(1.0, 3.0))
    estimate = simulate(sequential(4, "equal", 1, Settings(prior=keen)), World("h", "m", "?", "?"))
    assert estimate.posterior is not None
    assert estimate.posterior >= 0.98
    assert estimate.first_error == NO_ERROR  # by hits alone: the answer is its own witness


@pytest.mark.parametrize(
    ("outcome", "judged", "posterior", "reason"),
    [
        ("equal", NO_ERROR, None, None),
        ("different", NO_ERROR, 0.0, "judge_none"),
        ("undecided", NO_ERROR, None, "judge_none"),
        ("different", None, None, "judge_undecided"),
    ],
)
def test_sequential_asks_nothing_where_no_step_is_named(
    outcome: Outcome, judged: int | None, posterior: float | None, reason: str | None
) -> None:
    estimate = simulate(sequential(3, outcome, judged), never)
    assert (estimate.posterior, estimate.reason) == (posterior, reason)


def test_a_right_answer_that_the_judge_passes_is_as_sure_as_the_judge_was_measured_to_be() -> None:
    estimate = simulate(sequential(3, "equal", NO_ERROR, Settings(prior=Prior(passed=0.93))), never)
    assert (estimate.posterior, estimate.first_error) == (0.93, NO_ERROR)


def test_a_wrong_answer_of_one_step_is_certain() -> None:
    assert simulate(sequential(1, "different", 0), never).posterior == 1.0


def test_sequential_asks_wave_by_wave() -> None:
    world = World("?", "h", "m", "?", "?")
    simulate(sequential(5, "different", 2, Settings(error=0.001, wave=4, prior=NOTHING_HIDDEN)), world)
    assert {probe.tries for probe in world.probes} == {4}
    with pytest.raises(ValueError, match="step 5 of 5"):
        simulate(sequential(5, "different", 5), never)


def test_unknown_says_nothing_of_any_step() -> None:
    estimate = unknown(2, "no_gold")
    assert estimate.steps == (StepEstimate(), StepEstimate())
    assert (estimate.first_error, estimate.reason) == (None, "no_gold")


def test_first_error_is_three_valued() -> None:
    assert first_error([True, True]) == NO_ERROR
    assert first_error([True, False, None]) == 1
    assert first_error([True, None, False]) is None


@st.composite
def worlds(draw: st.DrawFn) -> World:
    return World(*draw(st.lists(st.text("hmc", min_size=1, max_size=20), min_size=1, max_size=12)))


@pytest.mark.parametrize("name", PLANS)
@settings(deadline=None)
@given(world=worlds(), outcome=st.sampled_from(["equal", "different", "undecided"]), data=st.data())
def test_every_plan_ends_within_its_budget_and_tells_only_what_it_saw(
    name: str, world: World, outcome: Outcome, data: st.DataObject
) -> None:
    world.probes.clear()
    steps = len(world.results)
    judged = data.draw(st.one_of(st.none(), st.integers(NO_ERROR, steps - 1)))
    asking = Settings(tries=data.draw(st.integers(1, 9)), spare=data.draw(st.integers(0, 9)))
    estimate = simulate(PLANS[name](steps, outcome, judged, asking), world)
    drawn = [(probe.prefix, i) for probe in world.probes for i in range(probe.first, probe.first + probe.tries)]
    assert len(set(drawn)) == len(drawn)  # no sample is asked for twice
    assert all(index < asking.tries + asking.spare for _, index in drawn)
    assert all(1 <= probe.prefix <= steps and probe.tries > 0 for probe in world.probes)
    assert len(estimate.steps) == steps
    assert (estimate.reason is None) == (estimate.first_error is not None)
    assert sum(step.tries for step in estimate.steps if step.source == "rolled") <= len(drawn)
    for step in estimate.steps:
        assert step.hits <= step.tries
        assert not (step.hits and step.reachable is not True)
        assert not (step.source == "rolled" and step.reachable is False and step.tries < asking.tries)
    if estimate.first_error not in {None, NO_ERROR}:
        assert estimate.steps[estimate.first_error or 0].reachable is False
