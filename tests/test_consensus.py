from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from data.errors import SettingError
from data.records import NO_ERROR, Decision, Estimate, Outcome, StepEstimate, Tally, Trace, Verdict
from stages.consensus import UNDECIDED, Reason, Rule, Settings, agree, hit_rate
from stages.probes import Reason as ProbeReason
from stages.probes import Settings as Plan
from stages.probes import bisect, confirm, exhaustive, sequential, simulate, unknown


def trace(steps: int) -> Trace:
    return Trace("?", tuple(f"{index}\n\n" for index in range(steps)), "5")


def rolled(*hits: int, tries: int = 8) -> Estimate:
    """An exhaustive estimate with these hits."""
    steps = tuple(StepEstimate(hit, tries, "rolled", reachable=hit > 0) for hit in hits)
    return Estimate(steps, next((i for i, hit in enumerate(hits) if not hit), NO_ERROR))


def decide(
    estimate: Estimate, judged: int | None, outcome: Outcome = "different", settings: Settings | None = None
) -> Decision:
    return agree(trace(len(estimate.steps)), outcome, estimate, Verdict(judged), settings or Settings())


def test_agreement_on_a_step_labels_the_steps_up_to_it() -> None:
    assert decide(rolled(4, 2, 0, 0), 2) == Decision(True, 2, (True, True, False), True)


def test_agreement_on_the_first_and_on_the_last_step() -> None:
    assert decide(rolled(0, 0), 0).labels == (False,)
    assert decide(rolled(3, 0), 1).labels == (True, False)


def test_agreement_on_no_error_labels_every_step() -> None:
    assert decide(rolled(4, 2, 8), NO_ERROR, "equal") == Decision(True, NO_ERROR, (True, True, True), True)


@pytest.mark.parametrize(
    ("hits", "judged", "outcome", "reason"),
    [
        ((4, 2, 0, 0), 1, "different", "judge_earlier"),
        ((4, 2, 0, 0), 3, "different", "judge_later"),
        ((4, 2, 0, 0), NO_ERROR, "different", "judge_none_wrong_answer"),
        ((4, 2, 4, 8), 1, "equal", "judge_error_right_answer"),
        ((4, 0, 4, 8), NO_ERROR, "equal", "judge_later"),
        ((4, 0, 4, 8), 2, "equal", "judge_later"),
        ((4, 2, 4, 8), 1, "undecided", "judge_earlier"),
        ((4, 0, 0, 0), NO_ERROR, "undecided", "judge_later"),
    ],
)
def test_disagreement_is_rejected_with_its_kind(
    hits: tuple[int, ...], judged: int, outcome: Outcome, reason: str
) -> None:
    assert decide(rolled(*hits), judged, outcome) == Decision(False, None, (), False, reason)


def test_a_right_answer_by_a_wrong_process_is_kept_where_both_see_it() -> None:
    assert decide(rolled(4, 0, 1, 8), 1, "equal").first_error == 1


def test_a_judge_without_a_verdict_decides_nothing() -> None:
    assert decide(rolled(4, 0), None) == Decision(False, None, (), None, "judge_undecided")


@pytest.mark.parametrize("reason", ["no_gold", "refused"])
def test_rollouts_that_could_not_be_are_told_as_such(reason: Reason) -> None:
    estimate = unknown(3, reason)  # type: ignore[arg-type]
    assert decide(estimate, 1, "undecided") == Decision(False, None, (), None, reason)
    assert decide(estimate, 1, "undecided", Settings("mc")).reason == reason
    assert decide(estimate, 1, "undecided", Settings("judge")).kept


@pytest.mark.parametrize("rule", get_args(Rule))
def test_an_empty_solution_is_rejected_by_every_rule(rule: Rule) -> None:
    decision = decide(unknown(0, "empty"), NO_ERROR, "undecided", Settings(rule))
    assert decision == Decision(False, None, (), None, "empty")


def test_cut_rollouts_leave_it_undecided_not_wrong() -> None:
    steps = (StepEstimate(0, 3, "rolled"), StepEstimate(0, 1, "graded", reachable=False))
    for rule in ("first_error", "every_step", "mc"):
        assert decide(Estimate(steps, None, "cut"), 0, settings=Settings(rule)).reason == "mc_undecided"
    assert decide(Estimate(steps, None, "cut"), 1).reason == "mc_undecided"


def test_what_is_known_refutes_the_judge_even_where_the_first_error_is_not() -> None:
    hits_through = simulate(confirm(5, "different", 1), lambda _: Tally(hits=1))
    assert hits_through.first_error is None
    assert decide(hits_through, 1).reason == "judge_earlier"
    misses_before = simulate(confirm(5, "different", 3), lambda probe: Tally(misses=probe.tries))
    assert decide(misses_before, 3).reason == "judge_later"
    assert decide(misses_before, 3).agreement is False


def test_the_evidence_serves_another_judge_too() -> None:
    estimate = simulate(confirm(5, "different", 1), lambda _: Tally(hits=1))  # reachable through step 1
    assert decide(estimate, 0).reason == "judge_earlier"
    assert decide(estimate, 3).reason == "mc_undecided"


def test_a_wrong_answer_that_the_judge_passes_is_a_disagreement_without_any_rollout() -> None:
    estimate = simulate(confirm(3, "different", NO_ERROR), lambda _: Tally())
    assert decide(estimate, NO_ERROR).reason == "judge_none_wrong_answer"


def test_no_answer_and_no_rollouts_is_an_undecided_outcome() -> None:
    estimate = simulate(confirm(3, "undecided", NO_ERROR), lambda _: Tally())
    assert decide(estimate, NO_ERROR, "undecided") == Decision(False, None, (), None, "outcome_undecided")


def test_mc_and_judge_rules_trust_one_alone_and_still_tell_agreement() -> None:
    estimate = rolled(4, 0, 0)
    assert decide(estimate, 2, settings=Settings("mc")) == Decision(True, 1, (True, False), False)
    assert decide(estimate, 2, settings=Settings("judge")) == Decision(True, 2, (True, True, False), False)
    assert decide(estimate, None, settings=Settings("mc")) == Decision(True, 1, (True, False), None)
    assert decide(estimate, 1, settings=Settings("judge")).agreement is True


@pytest.mark.parametrize("rule", ["first_error", "every_step", "judge"])
def test_a_wrong_answer_is_never_labelled_right_throughout(rule: Rule) -> None:
    unasked = unknown(3, "no_plan")
    assert decide(unasked, NO_ERROR, "different", Settings(rule)) == Decision(
        False, None, (), False, "judge_none_wrong_answer"
    )


def test_the_judge_alone_is_trusted_where_the_answer_refutes_nothing() -> None:
    unasked, alone = unknown(3, "no_plan"), Settings("judge")
    assert decide(unasked, NO_ERROR, "equal", alone).labels == (True, True, True)
    assert decide(unasked, NO_ERROR, "undecided", alone).labels == (True, True, True)
    assert decide(unasked, 1, "different", alone).labels == (True, False)
    assert decide(unasked, 1, "equal", alone).labels == (True, False)
    assert decide(unasked, None, "different", alone).reason == "judge_undecided"


@pytest.mark.parametrize(
    ("posterior", "reason"),
    [(0.98, None), (0.979, "mc_undecided"), (0.021, "mc_undecided"), (0.02, "judge_unlikely"), (None, "mc_undecided")],
)
def test_a_posterior_keeps_what_is_wrong_rarely_enough(posterior: float | None, reason: str | None) -> None:
    estimate = replace(unknown(3, "posterior"), posterior=posterior)
    decision = decide(estimate, 1, settings=Settings("posterior"))
    assert (decision.kept, decision.reason, decision.agreement) == (reason is None, reason, None)
    assert decision.labels == ((True, False) if reason is None else ())


def test_the_bound_can_be_moved_after_the_run() -> None:
    estimate = replace(unknown(3, "posterior"), posterior=0.96)
    assert decide(estimate, 1, settings=Settings("posterior", error=0.05)).kept
    assert not decide(estimate, 1, settings=Settings("posterior", error=0.01)).kept


def test_a_posterior_of_zero_tells_how_the_judge_is_contradicted() -> None:
    passed = simulate(sequential(3, "different", NO_ERROR), lambda _: Tally())
    assert decide(passed, NO_ERROR, settings=Settings("posterior")).reason == "judge_none_wrong_answer"
    unjudged = simulate(sequential(3, "different", None), lambda _: Tally())
    assert decide(unjudged, None, settings=Settings("posterior")).reason == "judge_undecided"
    assert decide(unknown(3, "no_gold"), 1, "undecided", Settings("posterior")).reason == "no_gold"


def test_a_right_answer_that_the_judge_passes_is_its_own_witness_unless_the_judges_misses_are_known() -> None:
    passed = simulate(sequential(3, "equal", NO_ERROR), lambda _: Tally())
    assert decide(passed, NO_ERROR, "equal", Settings("posterior")).labels == (True, True, True)
    measured = replace(passed, posterior=0.93)
    assert decide(measured, NO_ERROR, "equal", Settings("posterior")).reason == "mc_undecided"
    assert decide(measured, NO_ERROR, "equal", Settings("posterior", error=0.1)).kept
    cut_off = simulate(sequential(3, "undecided", NO_ERROR), lambda _: Tally())
    assert decide(cut_off, NO_ERROR, "undecided", Settings("posterior")).reason == "mc_undecided"


@pytest.mark.parametrize("reason", ["all_right", "all_wrong"])
@pytest.mark.parametrize("rule", get_args(Rule))
def test_a_problem_that_is_left_out_is_rejected_as_such_by_every_rule(reason: ProbeReason, rule: Rule) -> None:
    assert decide(unknown(3, reason), None, settings=Settings(rule)) == Decision(False, None, (), None, reason)


def test_an_error_behind_a_right_answer_is_kept_where_it_is_probable_though_hits_disagree() -> None:
    estimate = replace(rolled(8, 0, 8), first_error=NO_ERROR, posterior=0.99)
    steps = (*estimate.steps[:1], StepEstimate(source="inferred", reachable=True), estimate.steps[2])
    decision = decide(replace(estimate, steps=steps), 1, "equal", Settings("posterior"))
    assert decision == Decision(True, 1, (True, False), False)


def test_every_step_drops_what_only_the_first_error_agrees_on() -> None:
    rule = Settings("every_step")
    assert decide(rolled(4, 0, 0), 1, settings=rule).kept
    assert decide(rolled(4, 0, 2), 1, settings=rule) == Decision(False, None, (), True, "steps_differ")
    assert decide(rolled(4, 0, 2), 1).kept
    assert decide(rolled(4, 4, 8), NO_ERROR, "equal", rule).labels == (True, True, True)
    unsure = Estimate((*rolled(4, 0).steps, StepEstimate()), 1)
    assert decide(unsure, 1, settings=rule).reason == "mc_undecided"


def test_a_threshold_calls_weak_steps_wrong() -> None:
    estimate = rolled(8, 3, 2, 0)
    assert decide(estimate, 2, settings=Settings(threshold=0.25)).kept
    assert decide(estimate, 1, settings=Settings(threshold=0.375)).kept
    assert decide(estimate, 1, settings=Settings(threshold=0.25)).reason == "judge_earlier"
    assert decide(estimate, 3).kept


def test_relative_progress_compares_neighbours_exactly() -> None:
    progress = Settings("mc", progress=0.8)
    assert decide(rolled(5, 4, 4, tries=6), None, settings=progress).first_error == NO_ERROR  # 4/5 is not below 0.8
    assert decide(rolled(8, 6, 6), None, settings=progress).first_error == 1
    assert decide(rolled(1, 1, 8), None, settings=progress).first_error == NO_ERROR
    assert decide(rolled(0, 4), None, settings=progress).first_error == 0
    assert decide(rolled(4, 0, 4), None, settings=progress).first_error == 1


@pytest.mark.parametrize("judged", [1, 2], ids=["stopped", "inferred"])
@pytest.mark.parametrize("settings", [Settings(threshold=0.125), Settings("mc", progress=0.8)])
def test_rates_are_not_read_from_rollouts_that_were_stopped_early(settings: Settings, judged: int) -> None:
    estimate = simulate(
        confirm(4, "different", judged),
        lambda probe: Tally(hits=probe.tries) if probe.prefix <= judged else Tally(misses=probe.tries),
    )
    assert decide(estimate, judged).kept
    assert decide(estimate, judged, settings=settings) == Decision(False, None, (), None, "mc_stopped_early")


def test_a_prefix_that_the_interval_ended_has_no_rate_though_nothing_was_hit() -> None:
    estimate = simulate(exhaustive(2, "different", None, Plan(width=0.5)), lambda probe: Tally(misses=probe.tries))
    assert (estimate.steps[0].reachable, estimate.steps[0].stopped_early) == (False, True)
    assert hit_rate(estimate.steps[0]) is None
    assert decide(estimate, 0, settings=Settings("mc", threshold=0.5)).reason == "mc_stopped_early"
    assert decide(estimate, 0, settings=Settings("mc")).first_error == 0


def test_no_hit_in_full_tries_is_a_zero_rate_for_every_threshold() -> None:
    estimate = simulate(confirm(3, "different", 0), lambda probe: Tally(misses=probe.tries))
    assert decide(estimate, 0, settings=Settings(threshold=0.5)).labels == (False,)


@pytest.mark.parametrize("settings", [Settings("mc", 0.25), Settings("mc", progress=0.8)])
def test_a_hit_from_a_longer_prefix_makes_no_rate_of_too_few_misses(settings: Settings) -> None:
    cut_short = {2: Tally(misses=1, cut=15)}
    estimate = simulate(exhaustive(3, "equal", None), lambda probe: cut_short.get(probe.prefix, Tally(hits=8)))
    assert decide(estimate, None, "equal", Settings("mc")).labels == (True, True, True)
    assert decide(estimate, None, "equal", settings).reason == "mc_undecided"


@pytest.mark.parametrize(
    "bad",
    [
        {"threshold": 1.0},
        {"threshold": -0.1},
        {"threshold": float("nan")},
        {"progress": 0.0},
        {"progress": 1.5},
        {"progress": 0.8, "threshold": 0.1},
        {"progress": 0.8, "rule": "every_step"},
        {"error": 0.0},
        {"error": 0.5},
    ],
)
def test_contradictory_settings_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(SettingError):
        Settings(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("judged", [3, -2])
def test_a_verdict_on_no_step_is_an_error(judged: int) -> None:
    with pytest.raises(ValueError, match="verdict"):
        decide(rolled(1, 1, 0), judged)


def test_evidence_on_another_solution_is_an_error() -> None:
    with pytest.raises(ValueError, match="estimates"):
        agree(trace(2), "different", rolled(1, 1, 0), Verdict(1))


steps = st.builds(
    lambda hits, cut, early: StepEstimate(hits, 8 - cut, "rolled", early, True if hits else (None if cut else False)),
    st.integers(0, 4),
    st.integers(0, 4),
    st.booleans(),
)


@pytest.mark.parametrize(("outcome", "kept"), [("equal", True), ("different", False), ("undecided", False)])
def test_without_a_posterior_only_a_right_answer_is_its_own_witness(outcome: Outcome, *, kept: bool) -> None:
    evidence = Estimate(rolled(1, 1).steps, None)
    assert decide(evidence, NO_ERROR, outcome, Settings("posterior")).kept is kept


@limits(deadline=None)
@given(
    evidence=st.lists(steps, min_size=1, max_size=6),
    outcome=st.sampled_from(["equal", "different", "undecided"]),
    rule=st.sampled_from(get_args(Rule)),
    threshold=st.sampled_from([0, 0.25]),
    data=st.data(),
)
def test_every_decision_is_sound(
    evidence: list[StepEstimate], outcome: Outcome, rule: Rule, threshold: float, data: st.DataObject
) -> None:
    judged = data.draw(st.one_of(st.none(), st.integers(NO_ERROR, len(evidence) - 1)))
    decision = decide(Estimate(tuple(evidence), None), judged, outcome, Settings(rule, threshold))
    assert decision.kept == (decision.reason is None) == (decision.first_error is not None) == bool(decision.labels)
    assert decision.reason is None or decision.reason in get_args(Reason)
    assert False not in decision.labels[:-1]
    if decision.kept:
        clean = decision.first_error == NO_ERROR
        assert len(decision.labels) == (len(evidence) if clean else (decision.first_error or 0) + 1)
        assert decision.labels[-1] is clean
        assert not (clean and outcome == "different" and rule != "mc")
    if rule == "first_error":
        assert decision.agreement is (None if decision.reason in UNDECIDED else decision.kept)


@pytest.mark.parametrize("judged", [None, *range(NO_ERROR, 5)])
@pytest.mark.parametrize("error", range(5))
def test_with_perfect_rollouts_every_plan_leads_to_the_same_decision(error: int, judged: int | None) -> None:
    def answer(probe: object) -> Tally:
        prefix, tries = probe.prefix, probe.tries  # type: ignore[attr-defined]
        return Tally(hits=tries) if prefix <= error else Tally(misses=tries)

    decisions = {
        decide(simulate(plan(5, "different", judged), answer), judged) for plan in (exhaustive, bisect, confirm)
    }
    assert len(decisions) == 1
    assert decisions.pop().kept == (judged == error)
