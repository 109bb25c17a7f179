"""PRL in miniature: advantages, what a token is rewarded with, samples and log-probabilities against CTranslate2."""

import asyncio
from dataclasses import replace

import pytest

from data.arith import world
from data.asks import Ask
from pipeline.engines.embedded import Embedded
from stages.solve import prompt
from stages.split import split

torch = pytest.importorskip("torch", reason="training needs the extra `train`")
pytest.importorskip("transformers", reason="training needs the extra `train`")
prl = pytest.importorskip("bench.prl")
pytestmark = pytest.mark.slow

PROBLEMS = list(world.problems("easy", 2, "train", prl.TRAIN))
SETTINGS = prl.Settings("easy", 1, 2, 1e-3, 2.0)


def drawn(right: bool | None) -> "prl.Drawn":
    return prl.Drawn([1], [2], "So", right)


def test_training_prefers_what_is_better_than_its_group_and_leaves_cut_off_samples_out() -> None:
    group = [drawn(True), drawn(False), drawn(None), drawn(True), drawn(False)]
    told = list(prl.advantages(group))
    assert [one.right for one, _ in told] == [True, False, True, False]
    assert [worth for _, worth in told] == pytest.approx([1, -1, 1, -1], abs=1e-4)
    assert [worth for _, worth in prl.advantages([drawn(True)] * 3)] == [0, 0, 0]
    assert list(prl.advantages([drawn(None)])) == []


@pytest.mark.filterwarnings("default")
def test_training_samples_and_rewards_tokens_by_their_steps() -> None:
    learner, again = prl.Learner(3, SETTINGS), prl.Learner(3, SETTINGS)
    alone = prl.Learner(3, replace(SETTINGS, eta=None))
    groups = learner.sample(PROBLEMS)
    assert groups == again.sample(PROBLEMS)
    assert [len(group) for group in groups] == [prl.GROUP] * 2
    some = [(one, worth) for group in groups for one, worth in ((one, 0.5) for one in group if one.right is not None)]
    assert sum(bool(one.right) for one, _ in some) >= 4
    engine = Embedded(threads=1)
    for group, problem in zip(groups, PROBLEMS, strict=True):
        for one in group[:2]:
            (ours,) = learner.logprobs(learner.model, [one])
            scores = asyncio.run(engine.score(Ask(prompt(problem.text)), one.text))
            ended = one.right is not None
            assert "".join(learner._texts(one)) == one.text
            assert (ours[:-1] if ended else ours).tolist() == pytest.approx(scores.logprobs, abs=2e-3)
    ones = [one for one, _ in some]
    with torch.no_grad():
        same = learner.logprobs(learner.model, ones)
        for arm in (learner, alone):  # before anything is learnt the models are one: PRL is the outcome alone
            for values, one in zip(arm._rewards(some, same), ones, strict=True):
                assert values.tolist() == [0.5] * len(one.ids)
        moved = [values + torch.linspace(-1, 1, len(values)) for values in same]
    for values, one, ours, theirs in zip(learner._rewards(some, moved), ones, moved, same, strict=True):
        starts = [sum(map(len, learner._texts(one)[:at])) for at in range(len(one.ids))]
        ends = [sum(map(len, split(one.text)[: at + 1])) for at in range(len(split(one.text)))]
        for value, start in zip(values.tolist(), starts, strict=True):
            end = next((e for e in ends if start < e), ends[-1])
            later = sum(float(a - b) for a, b, s in zip(ours, theirs, starts, strict=True) if s >= end != ends[-1])
            assert value == pytest.approx(0.5 - later / 2, abs=1e-3)


@pytest.mark.filterwarnings("default")
def test_training_moves_the_model_and_not_its_reference() -> None:
    for eta in (None, 1.0):
        learner = prl.Learner(0, replace(SETTINGS, eta=eta))
        before = [weight.clone() for weight in learner.reference.parameters()]
        assert 0 <= learner.step(PROBLEMS) <= 1
        moved = zip(learner.model.parameters(), learner.reference.parameters(), before, strict=True)
        assert any(not torch.equal(now, was) for now, _, was in moved)
        assert all(map(torch.equal, learner.reference.parameters(), before))


def test_intervals_of_training_are_over_problems_and_paired() -> None:
    assert prl.interval([[8, 0], [8, 0]], [], prl.average).startswith("0.500 (0.000 to 1.000")
    assert prl.interval([[8, 4]], [[4, 0]], prl.average) == "+0.500 (+0.500 to +0.500)"
    assert prl.interval([[1, 0]], [[0, 0]], prl.passed).startswith("+0.500")
