"""Curves, bins and intervals, against figures worked out by hand."""

import pytest

from stages.metrics import wilson
from stages.reliability import Claims, Share, bins, calibration_error, count, curve, everything


def claims(*problems: list[tuple[float, bool]]) -> Claims:
    made: Claims = {}
    for cases in problems:
        count(made, cases)
    return made


FOUR = claims([(0.9, True)], [(0.8, True)], [(0.8, False)], [(0.2, False)])


def test_the_most_confident_come_first_and_equals_by_lot() -> None:
    points = curve(FOUR, 4, (0.25, 0.5, 0.75, 1.0))
    assert [(p.confidence, p.right.cases, p.right.right) for p in points] == [
        (0.9, 1, 1),
        (0.8, 2, 1.5),  # one of two equals, of which one is right
        (0.8, 3, 2),
        (0.2, 4, 2),
    ]


def test_a_curve_ends_where_nothing_more_is_claimed() -> None:
    assert [p.retained for p in curve(FOUR, 8, (0.25, 0.5, 0.75))] == [0.25, 0.5]
    assert curve({}, 8) == []


def test_bins_hold_what_is_claimed_and_what_is_true() -> None:
    low, high = bins(FOUR, (0.0, 0.5, 1.0))
    assert (low.claimed, low.right.value, low.right.cases) == (0.2, 0, 1)
    assert (high.claimed, high.right.value) == (pytest.approx(2.5 / 3), pytest.approx(2 / 3))
    assert calibration_error([low, high]) == pytest.approx((0.2 + 0.5) / 4)
    assert calibration_error([]) is None


def test_edges_belong_to_the_bin_above_but_the_last() -> None:
    edges = claims([(0.5, True), (1.0, True), (0.0, False)])
    assert [(one.low, one.right.cases) for one in bins(edges, (0.0, 0.5, 1.0))] == [(0.0, 1), (0.5, 2)]


def test_independent_cases_have_wilsons_interval() -> None:
    many = everything(claims(*([(1.0, n % 4 > 0)] for n in range(40))))
    assert (many.cases, many.right, many.value) == (40, 30, 0.75)
    assert many.effective == pytest.approx(39)  # the spread is estimated, at the cost of one
    assert many.range == pytest.approx(wilson(0.75 * 39, 39))


def test_cases_that_always_agree_count_once() -> None:
    together = everything(claims(*([(1.0, n % 4 > 0)] * 5 for n in range(40))))
    assert (together.cases, together.value) == (200, 0.75)
    assert together.effective == pytest.approx(39)


def test_a_share_of_all_or_nothing_is_as_sure_as_there_are_clusters() -> None:
    sure = everything(claims(*[[(1.0, True)] * 5] * 8))
    assert (sure.value, sure.effective) == (1, 8)
    assert sure.range == pytest.approx(wilson(8, 8))
    assert everything({}).range is None
    assert Share().value is None
    assert everything(claims([(1.0, True), (1.0, False)])).effective == 1
