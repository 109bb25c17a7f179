"""What PRMs are taught by each way of labelling, how they are measured, and that training them works."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from bench.lessons import figures, labels, tables
from bench.lessons.figures import Measured
from bench.lessons.labels import HARD, SOFT, THRESHOLDS, Held, Taught, Way
from data.arith import oracle, world
from data.records import (
    NO_ERROR,
    Decision,
    Estimate,
    Labelled,
    Outcome,
    StepEstimate,
    Task,
    Tokens,
    Trace,
    Verdict,
)
from pipeline.model import corpus
from stages.probes import first_error

PROBLEM = next(world.problems("hard", 1, start=50_000_000))
STEPS = tuple(oracle.solve(world.read(PROBLEM.text)))


def row(hits: tuple[int, ...], judged: int | None, outcome: Outcome, steps: tuple[str, ...] = STEPS) -> Labelled:
    """A solution with 8 rollouts from every step but the last, which is graded."""
    rolled = [StepEstimate(one, 8, "rolled", reachable=one > 0) for one in hits]
    last = StepEstimate(int(outcome == "equal"), 1, "graded", reachable=outcome == "equal")
    estimate = Estimate((*rolled, last), first_error(step.reachable for step in (*rolled, last)))
    rejected = Decision(False, None, (), None, "x")
    trace = Trace(PROBLEM.text, steps, None)
    return Labelled(Task(PROBLEM, "small", 0), trace, outcome, estimate, Verdict(judged), rejected, Tokens())


def hits(*early: int) -> tuple[int, ...]:
    return (*early, *(early[-1:] * (len(STEPS) - 1 - len(early))))


def test_each_way_believes_its_own() -> None:
    assert len(STEPS) >= 8
    sloppy = row(hits(8, 0), 0, "different")  # rollouts say step 1, the judge step 0, and nothing is wrong
    taught = {way.by: labels.targets(sloppy, way) for way in HARD}
    assert taught == {"mc": (1.0, 0.0), "judge": (0.0,), "consensus": None, "oracle": (1.0,) * len(STEPS)}
    agreed = row(hits(8, 0), 1, "different")
    assert labels.targets(agreed, HARD[2]) == (1.0, 0.0)
    undecided = replace(agreed, verdict=Verdict(None))
    assert [labels.targets(undecided, way) is None for way in HARD] == [False, True, True, False]


def test_soft_targets_are_hit_rates_up_to_the_first_error() -> None:
    wrong, right = row(hits(6, 0), 1, "different"), row(hits(6, 2), NO_ERROR, "equal")
    for way in SOFT:
        assert labels.targets(wrong, way) == (0.75, 0.0)
        assert labels.targets(right, way) == (0.75, *(0.25,) * (len(STEPS) - 2), 1.0)
    early = Estimate((replace(wrong.estimate.steps[0], stopped_early=True), *wrong.estimate.steps[1:]), 1)
    assert labels.targets(replace(wrong, estimate=early), SOFT[0]) is None
    assert labels.targets(replace(wrong, estimate=early), HARD[0]) == (1.0, 0.0)


def test_a_higher_threshold_finds_errors_earlier() -> None:
    falling = row(tuple(max(0, 7 - index) for index in range(len(STEPS) - 1)), None, "different")
    found = [labels.targets(falling, way) for way in (HARD[0], *THRESHOLDS)]
    lengths = [len(one) for one in found if one is not None]
    assert lengths == [8, 7, 5, 3, 1]
    assert labels.targets(falling, THRESHOLDS[-1]) == (0.0,)  # 7 of 8 are not more than 7


def test_names_of_ways_differ() -> None:
    ways = (*HARD, *SOFT, *THRESHOLDS)
    assert len({way.name for way in ways}) == len(ways)
    assert Way("mc", 3, soft=True).name == "mc-above-3-soft"


def test_what_is_taught_says_whether_it_is_true() -> None:
    spoilt = (*STEPS[:-1], "The answer is 0.")
    found = [
        row(hits(8), NO_ERROR, "equal"),
        row(hits(8), len(STEPS) - 1, "different", spoilt),
        row(hits(8, 0), 1, "different"),
    ]
    assert [one.exact for one in labels.taught(found, HARD[0])] == [True, True, False]


def test_equal_numbers_are_drawn_by_the_seed() -> None:
    kept = [Taught(str(number), ("a",), (1.0,), exact=True) for number in range(50)]
    first, again, other = (labels.equal(kept, 20, seed) for seed in (0, 0, 1))
    assert first == again != other
    assert len({one.problem for one in first}) == 20


def solutions() -> list[Held]:
    """Two problems, two solutions each: one wrong in its second step, one right."""
    wrong, right = (1, "3", False), (NO_ERROR, "4", True)
    return [Held(problem, ("a", "b", "c"), *kind) for problem in "pq" for kind in (wrong, right)]


def test_f1_is_that_of_the_exact_positions() -> None:
    found = solutions()
    within = figures.problems(found, lambda _: True)
    scores = [[0.9, 0.1, 0.9], [0.9, 0.9, 0.9], [0.2, 0.1, 0.9], [0.9, 0.9, 0.9]]  # the third is named a step too early
    sums = figures.exact(found, scores, 0.5, within)
    assert sums == [(1, 1, 1, 1), (0, 1, 1, 1)]
    assert figures.accuracies(figures.total(sums)) == (0.5, 1.0)
    assert figures.f1(figures.total(sums)) == pytest.approx(2 / 3)
    assert figures.last_lowest(scores, within) == 0.5  # a tie is one


def test_the_threshold_is_the_best_on_other_problems() -> None:
    found = solutions()
    scores = [[0.999, 0.99, 0.999], [0.999, 0.999, 0.999]] * 2
    within = figures.problems(found, lambda number: number == 0)
    assert list(within) == ["p"]
    below = figures.threshold(found, scores, within)
    assert 0.99 < below <= 0.999
    assert figures.f1(figures.total(figures.exact(found, scores, below, within))) == 1


def test_best_of_n_takes_the_highest_and_shares_ties() -> None:
    found = solutions()
    within = figures.problems(found, lambda _: True)
    scores = [[0.9, 0.2], [0.5, 0.6], [0.5, 0.5], [0.5, 0.5]]
    assert figures.chosen(found, scores, "product", within) == [(1.0, 1), (0.5, 1)]
    assert figures.chosen(found, scores, "last", within) == [(1.0, 1), (0.5, 1)]
    assert figures.mean(figures.total(figures.majority(found, within))) == 0.5
    assert figures.mean(figures.total(figures.passed(found, within))) == 1
    assert figures.mean(figures.total(figures.passed(found, within, 1))) == 0.5


def test_intervals_are_over_problems_and_differences_are_paired() -> None:
    worse = Measured(figures.mean, [[(float(number % 2), 1) for number in range(100)]] * 2)
    better = Measured(figures.mean, [[(float(number % 2 or number < 20), 1) for number in range(100)]] * 2)
    low, high = worse.interval()
    assert 0.35 < low < 0.5 < high < 0.65
    assert worse.spread == 0
    by, (least, most) = better.beyond(worse)
    assert by == pytest.approx(0.1)
    assert 0.03 < least < 0.1 < most < 0.17
    assert worse.beyond(worse) == (0, (0, 0))


def test_the_tables_hold_every_training_once() -> None:
    found = [row(hits(8), NO_ERROR, "equal"), row(hits(8, 0), 1, "different")] * 5
    held = [replace(one, problem=f"{number}") for number in range(8) for one in solutions()[:2]]
    names = [way.name for way in (*HARD, *SOFT, *THRESHOLDS)] + [tables.equal(HARD[0])]
    scores = [[0.9, 0.1, 0.9], [0.9, 0.8, 0.9]] * 8
    told = tables.told(found, held, [dict.fromkeys(names, scores)] * 2)
    assert [len(rows) for rows in told.values()] == [8, 5, 4, 5, 3 + 5 + 2]
    errors = list(told.values())[1]
    assert {row["F1"] for row in errors} == {"100.0 (100.0 to 100.0)"}
    assert {row["beyond mc"] for row in errors[1:]} == {"0.0 (0.0 to 0.0)"}


def learnt_from(count: int) -> list[Taught]:
    rng = random.Random(0)
    shown = [corpus.solution(rng, world.problem("easy", number, "train").text, 0.5) for number in range(count)]
    return [Taught(one.problem, one.steps, labels.marked(one.first_error, len(one.steps)), exact=True) for one in shown]


def test_a_prm_reads_as_the_whole_model_and_padding_changes_nothing_in_training() -> None:
    torch = pytest.importorskip("torch", reason="training needs the extra `train`")
    pytest.importorskip("transformers", reason="training needs the extra `train`")
    from bench.lessons import prm  # noqa: PLC0415 - needs torch

    reader, model = prm.Reader(tuned=2), prm.Prm(tuned=2).eval()
    short, long = (
        reader.read(one.problem, one.steps) for one in sorted(learnt_from(2), key=lambda one: len(one.steps))
    )
    text = learnt_from(1)[0]
    ids, ends = prm.encode(reader.tokenizer, text.problem, text.steps)
    whole = reader.model(torch.tensor([ids])).last_hidden_state[0, list(ends)]
    wanted = torch.sigmoid(model.head(whole)).squeeze(-1).tolist()
    assert prm.scores(model, [reader.read(text.problem, text.steps)])[0] == pytest.approx(wanted, abs=1e-4)
    alone = [prm.scores(model, [one])[0] for one in (short, long)]
    for one, other in zip(prm.scores(model, [short, long]), alone, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


@pytest.mark.slow
def test_a_little_training_tells_wrong_steps_from_right_ones(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="training needs the extra `train`")
    pytest.importorskip("transformers", reason="training needs the extra `train`")
    torch.set_num_threads(1)  # several that wait for each other on a busy machine take minutes
    from bench.lessons import __main__ as lessons  # noqa: PLC0415 - needs torch
    from bench.lessons import prm  # noqa: PLC0415 - needs torch

    kept = learnt_from(120)
    held = [Held(one.problem, one.steps, NO_ERROR, None, right=True) for one in kept]
    made = lessons.Lessons(tmp_path, held, prm.Schedule(epochs=3), tuned=2)
    scores = made.scored(lessons.Training("a", kept), 0)
    pairs = [
        (score, target)
        for said, one in zip(scores, kept, strict=True)
        for score, target in zip(said, one.targets, strict=False)
    ]
    right, wrong = ([score for score, target in pairs if target == side] for side in (1.0, 0.0))
    assert sum(right) / len(right) > sum(wrong) / len(wrong) + 0.2
    assert (
        lessons.Lessons(tmp_path, held, prm.Schedule(), 2).scored(lessons.Training("a", []), 0) == scores
    )  # remembered
