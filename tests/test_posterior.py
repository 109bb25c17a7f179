import math
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import SettingError
from data.records import Outcome, Tally
from stages.posterior import DEFAULT, Evidence, Prior, log_marginal, marginal, places

tallies = st.builds(Tally, st.integers(0, 8), st.integers(0, 8), st.integers(0, 3))
rates = st.tuples(st.floats(0.05, 20), st.floats(0.05, 20))


def test_a_marginal_is_the_chance_of_one_order_of_hits_and_misses() -> None:
    assert marginal(Tally(), (1.0, 1.0)) == 1
    assert marginal(Tally(hits=1), (3.0, 1.0)) == 0.75
    assert marginal(Tally(2, 1), (1.0, 1.0)) == pytest.approx(float(Fraction(1, 12)))  # the integral of p p (1 - p)


@given(seen=tallies, rate=rates)
def test_a_marginal_is_the_beta_functions_ratio(seen: Tally, rate: tuple[float, float]) -> None:
    def beta(a: float, b: float) -> float:
        return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)

    a, b = rate
    expected = math.exp(beta(a + seen.hits, b + seen.misses) - beta(a, b))
    assert marginal(seen, rate) == pytest.approx(expected, rel=1e-6)


@given(before=tallies, through=tallies, outcome=st.sampled_from(["equal", "different", "undecided"]))
def test_the_next_rollouts_results_are_weighed_to_what_is_believed_now(
    before: Tally, through: Tally, outcome: Outcome
) -> None:
    evidence = Evidence(DEFAULT, outcome, before, through)
    for side in (True, False):
        after = [evidence.add(tally, through=side) for tally in (Tally(hits=1), Tally(misses=1))]
        for now, *then in zip(evidence.weights, *(one.weights for one in after), strict=True):
            assert sum(then) == pytest.approx(now)
        assert evidence.gain(through=side) >= -1e-12


def test_hits_before_and_misses_through_speak_for_the_judge_and_the_opposite_against() -> None:
    start = Evidence(DEFAULT, "different")
    assert start.posterior == pytest.approx(0.7 / 0.9)  # no error at all is out of the question
    assert start.add(Tally(hits=1), through=False).posterior > start.posterior
    assert start.add(Tally(misses=1), through=True).posterior > start.posterior
    assert start.add(Tally(misses=3), through=False).posterior < start.posterior
    assert start.add(Tally(hits=1), through=True).posterior < start.posterior
    assert start.add(Tally(cut=5), through=True).posterior == start.posterior


def test_one_repaired_error_is_no_refutation_where_errors_are_often_repaired() -> None:
    seen = Tally(1, 7)
    seldom = Evidence(Prior(bad=(0.01, 0.99)), "different", Tally(8, 0), seen).posterior
    often = Evidence(Prior(bad=(2.0, 14.0)), "different", Tally(8, 0), seen).posterior
    assert seldom < often


def test_a_right_answer_speaks_for_no_error() -> None:
    posteriors = {outcome: Evidence(DEFAULT, outcome).posterior for outcome in ("equal", "undecided", "different")}
    assert posteriors["equal"] < posteriors["undecided"] < posteriors["different"]


def test_nothing_is_earlier_than_the_first_step_or_later_than_the_last() -> None:
    assert DEFAULT.at(0, 3).earlier == DEFAULT.at(2, 3).later == 0
    assert DEFAULT.at(1, 3) == DEFAULT
    assert Evidence(DEFAULT.at(0, 1), "different").posterior == 1


def test_a_mended_error_is_missed_in_proportion_to_the_steps_before_the_named_one() -> None:
    assert DEFAULT.mended(0, 4) == 0
    assert DEFAULT.mended(3, 4) == pytest.approx(0.75 * DEFAULT.missed)
    told = Prior(missed=0.04)
    assert [told.mended(judged, 4) for judged in (0, 2, 3)] == pytest.approx([0, 0.02, 0.03])
    assert Prior(missed=0.04, passed=0.99).mended(2, 4) == pytest.approx(0.02)
    assert Prior(missed=0.04, passed=0.90).mended(2, 4) == pytest.approx(0.05)  # right answers hold more of them
    start = Evidence(Prior(0.7, 0, 0, 0), "different", mended=0.02)
    assert start.posterior == pytest.approx(0.98)
    assert start.add(Tally(misses=9), through=True).posterior == pytest.approx(0.98)  # behind it they miss either way


def test_few_hits_before_the_named_step_speak_for_a_mended_error_and_many_against_it() -> None:
    start = Evidence(Prior(good=(4.0, 1.0)), "different", mended=0.02)
    some, all_hit = (start.add(tally, through=False) for tally in (Tally(2, 6), Tally(8, 0)))
    share = {one: one.weights[4] / (one.weights[0] + one.weights[4]) for one in (start, some, all_hit)}
    assert share[start] == pytest.approx(0.02)
    assert share[some] > 0.05
    assert share[all_hit] < 0.005


def test_prefixes_behind_one_error_may_differ_in_how_often_it_is_mended() -> None:
    evidence = Evidence(DEFAULT, "different", Tally(3, 5), Tally(0, 8))
    one_rate = DEFAULT.earlier * marginal(Tally(3, 13 + 1), DEFAULT.bad)
    assert evidence.weights[1] > 1.5 * one_rate


def test_many_rollouts_still_give_a_number() -> None:
    for before, through in product((Tally(128, 0), Tally(0, 128), Tally(64, 64)), repeat=2):
        assert 0 <= Evidence(DEFAULT, "equal", before, through).posterior <= 1


@pytest.mark.parametrize(
    "bad", [{"exact": 0.0}, {"later": -0.1}, {"good": (0.0, 1.0)}, {"passed": 1.1}, {"passed": -0.1}, {"missed": 1.1}]
)
def test_an_impossible_prior_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(SettingError):
        Prior(**bad)  # type: ignore[arg-type]


def test_places_are_weighed_by_what_each_would_make_of_the_rollouts() -> None:
    flat = Prior(good=(1.0, 1.0), bad=(1.0, 3.0))
    found = places([Tally(1, 0), Tally(0, 1)], "different", flat)
    own = 3 / 4  # a miss with an error
    weights = [0, (1 / 4) * (3 / 4) * own, (1 / 2) * (3 / 4) * own, (1 / 2) * (1 / 2) * own]
    last = places([Tally(1, 0), Tally(0, 1), Tally()], "different", flat)
    assert found == pytest.approx([weight / sum(weights[:3]) for weight in weights[:3]])
    assert last == pytest.approx([weight / sum(weights) for weight in weights])


def test_a_right_answer_may_hold_no_error_and_nothing_asked_tells_nothing() -> None:
    assert places([Tally(8, 0), Tally()], "equal")[0] > 0.9
    assert places([Tally(), Tally()], "undecided") == pytest.approx([1 / 3] * 3)


def test_thousands_of_rollouts_leave_no_zero() -> None:
    assert math.isfinite(log_marginal(Tally(3000, 3000), (1.0, 1.0)))
    assert sum(places([Tally(3000, 3000), Tally(0, 6000)], "different")) == pytest.approx(1)
