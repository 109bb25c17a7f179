"""The figures against cases worked out by hand, and against counting every draw."""

from itertools import combinations, product
from statistics import fmean

import pytest

from stages.metrics import AGGREGATORS, best_of, bootstrap, f1, first_below, pass_at, vote, wilson


def test_the_wilson_interval_is_that_of_the_textbook() -> None:
    low, high = wilson(81, 263) or (0, 0)  # Newcombe 1998, table I: 0.2553 to 0.3662
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(0, 0) is None
    low, high = wilson(0, 20) or (1, 0)
    assert low == 0
    assert round(high, 4) == 0.1611


def test_a_bootstrap_interval_holds_the_figure_repeats_itself_and_narrows() -> None:
    few, many = [1.0] * 6 + [0.0] * 4, [1.0] * 600 + [0.0] * 400
    low, high = bootstrap([few], lambda means: means[0]) or (0, 0)
    assert 0.2 <= low <= 0.4  # binomial: 0.3 to 0.9
    assert 0.8 <= high <= 1.0
    assert bootstrap([few], lambda means: means[0]) == (low, high)
    low, high = bootstrap([many], lambda means: means[0]) or (0, 0)
    assert 0.56 < low < 0.6 < high < 0.64
    assert bootstrap([few, []], fmean) is None
    assert bootstrap([], fmean) is None


def test_each_stratum_is_drawn_from_itself() -> None:
    assert bootstrap([[1.0] * 5, [0.0] * 5], lambda means: means[0] - means[1]) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("one", "other", "mean"), [(0.5, 0.5, 0.5), (0.2, 0.8, 0.32), (0.0, 1.0, 0.0), (0.0, 0.0, 0.0)]
)
def test_f1_is_the_harmonic_mean(one: float, other: float, mean: float) -> None:
    assert f1((one, other)) == pytest.approx(mean)
    assert f1((other, one)) == pytest.approx(mean)


def test_the_first_step_below_a_threshold() -> None:
    assert first_below([0.9, 0.4, 0.1], 0.5) == 1
    assert first_below([0.9, 0.5], 0.5) == -1


def test_aggregators() -> None:
    assert {name: aggregate([0.5, 0.2, 0.8]) for name, aggregate in AGGREGATORS.items()} == pytest.approx(
        {"min": 0.2, "product": 0.08, "mean": 0.5, "last": 0.8}
    )


RIGHT = [True, False, False, True, False]


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_pass_at_k_is_the_share_of_draws_with_a_right_sample(k: int) -> None:
    draws = list(combinations(range(5), k))
    assert pass_at(k, RIGHT) == pytest.approx(fmean(any(RIGHT[i] for i in draw) for draw in draws))


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("scores", [(5, 4, 3, 2, 1), (1, 1, 1, 1, 1), (2, 2, 1, 1, 1), (0, 3, 3, 3, 9)])
def test_best_of_k_is_what_drawing_and_breaking_ties_by_lot_gives(k: int, scores: tuple[float, ...]) -> None:
    def won(draw: tuple[int, ...]) -> float:
        most = max(scores[i] for i in draw)
        return fmean(RIGHT[i] for i in draw if scores[i] == most)

    assert best_of(k, scores, RIGHT) == pytest.approx(fmean(map(won, combinations(range(5), k))))


def test_the_majority_wins_and_a_tie_is_by_lot() -> None:
    assert vote(5, [0, 1, 1, 0, 0], RIGHT) == pytest.approx(2 / 3)  # of answer 0, two of three are flagged right
    assert vote(4, [0, 0, 1, 1], [True, True, False, False]) == 0.5
    assert vote(3, [0, 1, 1], [True, False, False]) == 0.0
    assert vote(3, [0, None, None], [True, False, False]) == 1.0
    assert vote(2, [None, None], [True, True]) == 0.0


def test_weights_take_the_place_of_counts() -> None:
    assert vote(3, [0, 1, 1], [True, False, False], [0.9, 0.4, 0.4]) == 1.0
    assert vote(3, [0, 1, 1], [True, False, False], [0.8, 0.4, 0.4]) == 0.5


def test_a_vote_over_some_of_the_samples_is_the_mean_over_the_draws() -> None:
    answers, right = [0, 0, 1, 1, 1], [True, True, False, False, False]
    by_hand = fmean(float(sum(answers[i] for i in draw) <= 1) for draw in combinations(range(5), 3))
    assert vote(3, answers, right) == pytest.approx(by_hand)
    many = [0] * 20 + [1] * 12
    assert vote(8, many, [answer == 0 for answer in many]) == vote(8, many, [answer == 0 for answer in many])
    assert 0.75 < vote(8, many, [answer == 0 for answer in many]) < 0.9  # hypergeometric, ties halved: 0.83


def test_one_sample_is_the_average_by_every_method() -> None:
    for right in product([True, False], repeat=3):
        figures = pass_at(1, right), best_of(1, [3, 1, 2], right), vote(1, [0, 1, 2], right)
        assert figures == pytest.approx((fmean(right),) * 3)
