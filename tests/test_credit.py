"""PRL credit: the formula, tokens that fit no step, every reason for none, and that no rule ever sees it."""

import asyncio
import inspect
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from launching import said

from bench import credit as measured
from data import shards, sources
from data.arith import oracle, world
from data.asks import Ask, Reply
from data.errors import Refused, SettingError, Unavailable
from data.ledger import Ledger
from data.records import Credit, Outcome, Problem, Task, Tokens, Trace
from data.schema import Row
from pipeline import host, recipe, run
from pipeline.engines.embedded import FOLDER, Embedded, found
from pipeline.engines.make import make
from pipeline.engines.scripted import Script, Scripted
from pipeline.limiter import Limited
from pipeline.memory import Remembering
from pipeline.run import Run
from pipeline.settings import Recipe
from pipeline.summary import summarise
from pipeline.worker import Worker
from stages import consensus, credit, solve
from stages.engine import Engine, Scores

STEPS = ("First.\n\n", "Then.\n\n", "End.")
TASK = Task(Problem("p", "toy", "1 + 1?", "2"), "small", 0)
TRACE = Trace(TASK.problem.text, STEPS, "2")


def scores(*pairs: tuple[str, float]) -> Scores:
    return Scores(tuple(text for text, _ in pairs), tuple(value for _, value in pairs))


@dataclass
class Fixed:
    """Engine that gives these scores, or raises."""

    given: Scores | Exception
    model: str = "fixed"
    asked: list[tuple[Ask, str]] = field(default_factory=list)

    async def reply(self, ask: Ask) -> Reply:
        raise NotImplementedError

    async def score(self, ask: Ask, text: str) -> Scores:
        self.asked.append((ask, text))
        if isinstance(self.given, Exception):
            raise self.given
        return self.given


# The formula


def test_a_step_is_worth_the_outcome_less_the_later_log_ratios() -> None:
    policy = scores(("First.", -1.0), ("\n\n", -0.5), ("Then.\n\n", -2.0), ("End", -0.25), (".", -0.125))
    reference = scores(("First.\n\n", -3.0), ("Then.", -3.5), ("\n\n", 0.0), ("End.", -1.375))
    assert credit.rewards(1.0, STEPS, policy, reference, eta=2.0) == (1 - (1.5 + 1.0) / 2, 1 - 1.0 / 2, 1.0)


def test_the_last_step_has_the_outcomes_reward_and_differences_are_the_steps_ratios() -> None:
    policy, reference = (scores(*zip(STEPS, values, strict=True)) for values in ((-1, -2, -3), (-4, -4, -4)))
    for worth in (0.0, 1.0):
        values = credit.rewards(worth, STEPS, policy, reference, eta=10.0)
        assert values[-1] == worth
        assert [round(10 * (b - a), 9) for a, b in pairwise(values)] == [2, 1]


def test_equal_models_give_every_step_the_outcome() -> None:
    same = scores(*((step, -1.5) for step in STEPS))
    assert credit.rewards(1.0, STEPS, same, same, eta=1.0) == (1.0, 1.0, 1.0)


texts = st.lists(st.text("ab\n é", min_size=1, max_size=5), min_size=1, max_size=6)


def cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


@settings(deadline=None)
@given(texts, st.lists(st.integers(0, 100), max_size=9), st.lists(st.integers(0, 100), max_size=9), st.booleans())
def test_any_split_and_any_tokens_agree_with_the_definition(
    steps: list[str], ours: list[int], theirs: list[int], right: bool
) -> None:
    """The definition, token by token: after the end of a step come the tokens that begin there or later."""
    text, eta = "".join(steps), 3.0
    models = [[(token, -float(at)) for at, token in enumerate(cut(text, places), 1)] for places in (ours, theirs)]
    values = credit.rewards(float(right), steps, *(scores(*model) for model in models), eta=eta)
    end = 0
    for step, value in zip(steps, values, strict=True):
        end += len(step)
        sums = []
        for model in models:
            starts = [sum(len(token) for token, _ in model[:at]) for at in range(len(model))]
            sums.append(sum(v for (_, v), start in zip(model, starts, strict=True) if end <= start < len(text)))
            sums[-1] += sum(v for (_, v), s in zip(model, starts, strict=True) if s == len(text) and end < len(text))
        assert value == pytest.approx(right - (sums[0] - sums[1]) / eta)


def test_a_token_across_a_boundary_belongs_to_the_step_in_which_it_begins() -> None:
    assert credit.owners(STEPS, ["First", ".\n\nThen", ".", "\n\n", "End", "."]) == [0, 0, 1, 1, 2, 2]


def test_a_token_without_text_belongs_where_the_next_one_begins_and_at_the_end_to_the_last_step() -> None:
    assert credit.owners(("a", "é", "b"), ["a", "", "é", "b", ""]) == [0, 1, 1, 2, 2]


def test_a_step_without_text_has_no_tokens() -> None:
    assert credit.by_step(("a", "", "b"), scores(("a", -1.0), ("b", -2.0))) == [-1.0, 0.0, -2.0]


# Reasons for none


def credited(
    ours: Scores | Exception, theirs: Scores | Exception, outcome: Outcome = "equal", trace: Trace = TRACE
) -> tuple[Credit, Tokens]:
    return asyncio.run(credit.credit(TASK, trace, outcome, Fixed(ours), Fixed(theirs), 1.0))


WHOLE = replace(scores(*((step, -1.0) for step in STEPS)), prompt_tokens=7)


@pytest.mark.parametrize(("outcome", "worth"), [("equal", 1.0), ("different", 0.0)])
def test_both_models_score_the_solution_behind_the_policys_prompt(outcome: Outcome, worth: float) -> None:
    ours, theirs = Fixed(WHOLE), Fixed(WHOLE)
    told, spent = asyncio.run(credit.credit(TASK, TRACE, outcome, ours, theirs, 1.0, "Be brief."))
    assert told == Credit((worth, worth, worth))
    assert spent == Tokens(prompt=2 * (7 + 3))
    assert ours.asked == theirs.asked == [(Ask(solve.prompt("1 + 1?", "Be brief.")), "".join(STEPS))]


def test_what_is_missing_has_a_reason_and_no_reward() -> None:
    other, never = scores(("First.", -1.0)), scores((STEPS[0], -1.0), (STEPS[1], -math.inf), (STEPS[2], -1.0))
    short = Scores(STEPS, (-1.0,))
    for ours, theirs, reason in (
        (other, WHOLE, "unaligned"),
        (WHOLE, other, "unaligned"),
        (short, WHOLE, "unaligned"),
        (Refused("too long"), WHOLE, "refused"),
        (WHOLE, Refused("unknown word"), "refused"),
        (never, WHOLE, "infinite"),
        (never, never, "infinite"),
    ):
        told, _ = credited(ours, theirs)
        assert told == Credit(None, reason)


def test_nobody_is_asked_about_what_has_no_outcome_or_no_steps() -> None:
    silent = Unavailable("must not be asked")
    assert credited(silent, silent, "undecided") == (Credit(None, "undecided"), Tokens())
    assert credited(silent, silent, "equal", Trace("p", (), None)) == (Credit(None, "empty"), Tokens())


def test_an_engine_that_may_answer_later_is_no_reason() -> None:
    with pytest.raises(Unavailable):
        credited(WHOLE, Unavailable("later"))


def test_no_rule_can_see_rewards() -> None:
    """A rule is given the trace, the outcome, the estimate and the verdict: nowhere in these is there a reward."""
    seen = set(inspect.signature(consensus.agree).parameters)
    assert seen == {"trace", "outcome", "estimate", "verdict", "settings"}
    assert not [name.name for name in fields(consensus.Settings) if "reward" in name.name or "credit" in name.name]


# Settings


def made(*overrides: str) -> Recipe:
    chosen = recipe.read("arith", overrides=overrides)
    recipe.check(chosen, sampled=True)
    return chosen


def test_credit_is_off_until_a_reference_is_named() -> None:
    assert made().scorers == set()
    assert made("credit.reference=embedded:earlier").engines(sampled=True) == ["embedded", "embedded:earlier"]
    assert made("credit.reference=vllm:x", "credit.policy=vllm:y").scorers == {"vllm:x", "vllm:y"}


def test_credit_makes_another_recipe() -> None:
    told = [made(*some).fingerprint() for some in ((), ("credit.reference=vllm:x",), ("credit.reference=vllm:y",))]
    told.append(made("credit.reference=vllm:y", "credit.eta=1").fingerprint())
    assert len(set(told)) == 4


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["credit.policy=vllm:y"], "name that, too"),
        (["credit.reference=embedded"], "is the policy itself"),
        (["credit.reference=gpt"], "no such engine; there are embedded"),
        (["credit.reference=openai:m@http://h/v1#shown"], "cannot score a solution"),
        (["credit.reference=embedded:earlier", "data.source=gsm8k", "policy.engine=vllm:x", "judge.engine=vllm:x",
          "completer.engine=vllm:x"], "knows only DATASET=arith"),
        (["credit.reference=vllm:x", "credit.eta=0"], "greater than 0"),
        (["credit.reference=vllm:x", "policy.engine="], "set POLICY or credit.policy"),
    ],
)  # fmt: skip
def test_what_would_mean_nothing_is_refused(overrides: list[str], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        made(*overrides)


def test_an_endpoint_that_cannot_score_ends_the_run_before_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Chat(Fixed):
        name: str = "openai:m"
        most: int | None = None

        async def connect(self) -> None:
            pass

    chat = Limited(Chat(Refused("openai:m cannot score a text")))
    monkeypatch.setattr(host, "make", lambda *_: chat)
    actor = host.EngineActor("openai:m", made("credit.reference=openai:m"), 0)
    with pytest.raises(SettingError, match=r"openai:m cannot score a text: name vllm:MODEL"):
        asyncio.run(actor.model())
    assert asyncio.run(host.EngineActor("openai:m", made(), 0).model()) == "fixed"


# The models that are here


def test_the_earlier_model_is_another_of_the_same_words() -> None:
    now, earlier = Embedded(FOLDER, threads=1), make("embedded:earlier", made())
    assert isinstance(earlier, Embedded)
    assert now.model != earlier.model
    assert now._tokenizer.to_str() == earlier._tokenizer.to_str()
    assert sum(file.stat().st_size for file in found("earlier").rglob("*")) < 3_000_000


def test_a_folder_may_be_named_anywhere(tmp_path: Path) -> None:
    assert found(str(tmp_path)) == tmp_path
    with pytest.raises(SettingError, match=f"no model at {tmp_path}"):
        make(f"embedded:{tmp_path}", made())


# What is measured of them


def test_steps_are_told_apart_by_the_truth_and_what_follows_an_error_is_neither() -> None:
    problem = world.problem("medium", 3, "test")
    steps = [*oracle.solve(world.read(problem.text))]
    assert len(steps) >= 5
    row = {"problem": problem.text, "steps": steps, "rewards": [float(at * at) for at in range(len(steps))]}
    wrong = {**row, "steps": [*steps[:2], steps[2].replace(".", "1."), *steps[3:]]}
    assert measured.parted([row], 2.0) == ([2.0 * (2 * at + 1) for at in range(len(steps) - 1)], [])
    assert measured.parted([wrong], 1.0) == ([1.0], [3.0])
    assert measured.auroc([1.0, 2.0], [2.0, 3.0]) == 7 / 8
    assert math.isnan(measured.auroc([], [1.0]))


# Whole runs in this process


def labelled(out: Path, engines: Mapping[str, Engine], *overrides: str, again: bool = False) -> Run:
    chosen = recipe.read("scripted", overrides=["data.limit=12", "scripted.truncated=0.2", *overrides])
    loaded = sources.load("scripted", chosen.data.limit)
    tasks = list(solve.tasks(loaded.problems, chosen.policies()))
    opened = run.start(str(out), chosen, len(tasks), again=again)
    plan = opened.plan(tasks)

    async def work() -> None:
        worker = Worker(opened, engines)
        for part in shards.owed(plan, shards.sealed(opened.place), opened.fingerprint):
            packed = await worker.label(part, plan[part], shards.digest(plan[part], opened.fingerprint))
            assert packed
            shards.enter(opened.place, shards.seal(opened.place, packed))

    asyncio.run(work())
    return opened


def rows(out: Path) -> Iterator[Row]:
    both = [row for side in shards.SIDES for row in shards.read(out, side).to_pylist()]
    yield from sorted(both, key=lambda row: row["id"])


@dataclass
class Counting:
    """Engine in front of another that counts."""

    engine: Scripted
    replies: int = 0
    scored: int = 0

    @property
    def model(self) -> str:
        return self.engine.model

    async def reply(self, ask: Ask) -> Reply:
        self.replies += 1
        return await self.engine.reply(ask)

    async def score(self, ask: Ask, text: str) -> Scores:
        self.scored += 1
        return await self.engine.score(ask, text)


def crew() -> tuple[Counting, Counting, dict[str, Engine]]:
    policy, reference = Counting(Scripted(Script(truncated=0.2))), Counting(Scripted(Script(seed=5)))
    return policy, reference, {"scripted": policy, "vllm:ref": reference}


def test_a_finished_run_is_credited_by_scores_alone_and_nothing_else_changes(tmp_path: Path) -> None:
    policy, _, engines = crew()
    labelled(tmp_path, engines)
    before = list(rows(tmp_path))
    assert {row["rewards"] for row in before} == {row["rewards_reason"] for row in before} == {None}
    policy, reference, engines = crew()
    labelled(tmp_path, engines, "credit.reference=vllm:ref", "credit.eta=2", again=True)
    after = list(rows(tmp_path))
    assert (policy.replies, reference.replies) == (0, 0)
    distinct = {(row["problem"], *row["steps"]) for row in after if row["rewards"]}
    assert policy.scored == reference.scored == len(distinct) > 10
    for old, new in zip(before, after, strict=True):
        assert {name for name in old if old[name] != new[name]} <= {"rewards", "rewards_reason", "tokens"}
        assert {name for name in old["tokens"] if old["tokens"][name] != new["tokens"][name]} <= {"prompt"}
        if new["outcome"] == "undecided":
            assert (new["rewards"], new["rewards_reason"]) == (None, "undecided")
        else:
            assert new["rewards_reason"] is None
            assert len(new["rewards"]) == len(new["steps"])
            assert new["rewards"][-1] == float(new["outcome"] == "equal")
    assert {row["outcome"] for row in after} == {"equal", "different", "undecided"}
    told = "\n".join(summarise(run.find(str(tmp_path)).place).lines())
    none = sum(row["outcome"] == "undecided" for row in after)
    assert f"process rewards: credited {len(after) - none}, undecided {none}" in told


def test_labelled_once_more_nothing_is_scored_again_and_files_are_the_same(tmp_path: Path) -> None:
    _, _, engines = crew()
    labelled(tmp_path / "one", engines, "credit.reference=vllm:ref")
    whole = list(rows(tmp_path / "one"))
    policy, reference, engines = crew()
    labelled(tmp_path / "one", engines, "credit.reference=vllm:ref", "credit.eta=7", again=True)
    assert (policy.replies, policy.scored, reference.scored) == (0, 0, 0)
    for old, new in zip(whole, rows(tmp_path / "one"), strict=True):
        if old["rewards"]:
            assert [7 * (new["rewards"][-1] - value) for value in new["rewards"]] == pytest.approx(
                [100 * (old["rewards"][-1] - value) for value in old["rewards"]], abs=1e-4
            )


def test_a_killed_run_pays_for_no_score_twice(tmp_path: Path) -> None:
    """A torn tail costs the record that was being written and no other."""
    engine, text = Counting(Scripted()), "".join(STEPS)
    asks = [Ask(solve.prompt(f"{number}?")) for number in range(4)]

    async def scored() -> list[Scores]:
        with Ledger(tmp_path, "p") as ledger:
            memory = Remembering(engine, engine.model, ledger)
            return [await memory.score(ask, text) for ask in asks]

    first = asyncio.run(scored())
    (segment,) = (tmp_path / "p").iterdir()
    segment.write_bytes(segment.read_bytes()[:-5])
    assert asyncio.run(scored()) == first == [asyncio.run(engine.engine.score(ask, text)) for ask in asks]
    assert engine.scored == len(asks) + 1


def test_scores_are_exact_in_the_ledger_and_apart_by_model_prompt_and_text(tmp_path: Path) -> None:
    odd = replace(scores(("\ud800é", -0.1), ("", -math.inf), ("\0", 1 / 3)), prompt_tokens=4)

    async def scene() -> None:
        for _ in range(2):
            with Ledger(tmp_path, "p") as ledger:
                for model in ("one", "other"):
                    memory = Remembering(Fixed(odd, model), model, ledger)
                    for prefix in ("", "So"):
                        for text in ("x", "y"):
                            assert await memory.score(Ask((), prefix), text) == odd
                assert len(ledger) == 8

    asyncio.run(scene())


def test_the_public_recipe_tells_of_credit(tmp_path: Path) -> None:
    _, _, engines = crew()
    opened = labelled(tmp_path, engines, "credit.reference=vllm:ref")
    assert json.loads(opened.metadata()["recipe"])["credit"] == {"reference": "vllm:ref", "policy": "", "eta": 100.0}


@pytest.mark.slow
def test_a_finished_run_of_the_small_model_is_credited_from_its_ledger(tmp_path: Path) -> None:
    """The command line, on Ray: models write nothing, the labels stay, a reference that is not there is told."""
    options = ("--dataset", "arith", "--limit", "3", "--samples", "1")
    said("synth", tmp_path / "run", *options)
    before, known = list(rows(tmp_path / "run")), (tmp_path / "run" / "run.json").read_text()
    told = said("synth", tmp_path / "run", *options, "--again", "--set", "credit.reference=embedded:none", code=2)
    assert "no model at none" in told
    assert (tmp_path / "run" / "run.json").read_text() == known
    told = said("synth", tmp_path / "run", *options, "--again", "--set", "credit.reference=embedded:earlier")
    after = list(rows(tmp_path / "run"))
    decided = [row for row in after if row["outcome"] != "undecided"]  # the small model may end in no answer
    assert f"process rewards: credited {len(decided)}" in told
    assert all(len(row["rewards"]) == len(row["steps"]) for row in decided)
    told_apart = {name for old, new in zip(before, after, strict=True) for name in old if old[name] != new[name]}
    assert told_apart == {"rewards", "tokens"}
    paid = json.loads((tmp_path / "run" / "progress.json").read_text())
    assert set(paid["engines"]) == {"embedded", "embedded:earlier"}
    assert paid["engines"]["embedded:earlier"]["written"] == 0
