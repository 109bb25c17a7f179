import asyncio
import re
import time
from dataclasses import dataclass
from typing import get_args

import pytest

from data.asks import Ask, Message, Reply, Sampling
from data.errors import Refused, SettingError, Unavailable
from data.records import NO_ERROR, Outcome, Problem, Task, Trace, Verdict
from data.scripted import answer, gold, problem_in, problems, progress, step, truth
from pipeline.engines.scripted import Script, Scripted
from stages.answers import extract
from stages.consensus import Rule, Settings, agree
from stages.engine import Engine
from stages.probes import PLANS, Plan
from stages.rollout import rollout
from stages.solve import Policy, prompt, solve, tasks

PROBLEM = problems(1)[0]
SAMPLING = Sampling()


def ask(prefix: str = "", n: int = 1, first: int = 0, problem: Problem = PROBLEM, **sampling: float) -> Ask:
    return Ask(prompt(problem.text), prefix, n, first, Sampling(**sampling))  # type: ignore[arg-type]


def reply(to: Ask, **script: float) -> Reply:
    return asyncio.run(Scripted(Script(**script)).reply(to))  # type: ignore[arg-type]


def split(text: str) -> tuple[str, ...]:
    return tuple(re.split(r"(?<=\n\n)", text))


def judge_ask(problem: Problem, steps: tuple[str, ...], base: int = 1) -> Ask:
    tagged = (f"<paragraph_{n}>\n{text}\n</paragraph_{n}>" for n, text in enumerate(steps, base))
    return Ask((Message("user", "\n".join(["[Math Problem]", problem.text, "[Solution]", *tagged])),))


def named(text: str) -> int | None:
    """What the critique says, read as the Lessons judge is: the last analysed paragraph, iff Incorrect."""
    if "<conclusion>\nIncorrect" in text:
        return text.count("<analysis_") - 1
    return NO_ERROR if "<conclusion>\nCorrect" in text else None


async def grade(given: str | None, right: str | None) -> Outcome:
    if given is None or right is None:
        return "undecided"
    return "equal" if given == right else "different"


def test_problems_are_reproducible_distinct_and_as_long_as_real_responses() -> None:
    made = problems(2000, seed=3)
    assert made == problems(2000, seed=3)
    assert made[:10] == problems(10, seed=3)
    assert len({problem.text for problem in (*made, *problems(2000, seed=4))}) == 4000
    lengths = [found[1] for problem in made if (found := problem_in(problem.text))]
    assert len(lengths) == 2000
    assert sum(lengths) / len(lengths) == pytest.approx(8.8, abs=0.2)
    assert min(lengths) >= 2


def test_gold_comes_from_the_text_alone() -> None:
    assert PROBLEM.gold == gold(PROBLEM.text) == gold(str(PROBLEM.text))


def test_a_solver_without_slips_is_right_and_one_with_only_slips_is_wrong() -> None:
    right = reply(ask(), right=1).samples[0].text
    assert extract(right) == PROBLEM.gold
    assert truth(PROBLEM.text, split(right)) == NO_ERROR
    wrong = reply(ask(), right=0, repair=0).samples[0].text
    assert extract(wrong) not in {None, PROBLEM.gold}
    assert truth(PROBLEM.text, split(wrong)) == 0
    assert len(split(right)) == len(split(wrong)) == (problem_in(PROBLEM.text) or ("", 0))[1]


def test_truth_is_the_first_slip_even_where_a_later_step_mends_it() -> None:
    text = PROBLEM.text
    steps = (
        step(text, 1, right=True),
        step(text, 2, right=False),
        step(text, 3, right=True, mends=True),
        answer(text, right=True),
    )
    assert truth(text, steps) == 1
    assert progress(text, "\n\n".join(steps)) == (3, True, True)
    assert progress(text, "\n\n".join(steps[:2])) == (2, False, False)


def test_truth_of_a_wrong_answer_after_right_steps_is_the_answer() -> None:
    assert truth(PROBLEM.text, (step(PROBLEM.text, 1, right=True), answer(PROBLEM.text, right=False))) == 1


def test_right_answers_by_a_wrong_process_occur_as_in_the_literature() -> None:
    rate = process_errors(Script(repair=0.04), 1500)
    assert 0.05 < rate < 0.3


def process_errors(script: Script, count: int) -> float:
    engine = Scripted(script)
    right = []
    for problem in problems(count):
        text = asyncio.run(engine.reply(ask(problem=problem))).samples[0].text
        if extract(text) == problem.gold:
            right.append(truth(problem.text, split(text)) != NO_ERROR)
    return sum(right) / len(right)


def test_replies_depend_on_ask_and_index_never_on_the_order_of_calls() -> None:
    engine = Scripted()
    eight = asyncio.run(engine.reply(ask(n=8))).samples
    assert len(set(eight)) > 1
    later = asyncio.run(engine.reply(ask(n=3, first=5))).samples
    assert later == eight[5:]
    assert asyncio.run(Scripted().reply(ask(n=8))).samples == eight
    assert reply(ask(n=8), seed=1).samples != eight
    assert len(set(reply(ask(n=8, temperature=0)).samples)) == 1


def test_a_prefix_is_continued_to_the_byte_and_a_finished_one_left_alone() -> None:
    whole = reply(ask(), right=1).samples[0].text
    steps = split(whole)
    for cut in range(1, len(steps)):
        prefix = "".join(steps[:cut])
        assert prefix + reply(ask(prefix), right=1).samples[0].text == whole
        assert prefix.rstrip() + reply(ask(prefix.rstrip()), right=1).samples[0].text == whole
    finished = reply(ask(whole)).samples[0]
    assert (finished.text, finished.finish, finished.tokens) == ("", "stop", 0)


def test_a_slip_in_the_prefix_is_seen_and_only_a_mend_undoes_it() -> None:
    slip = step(PROBLEM.text, 1, right=False) + "\n\n"
    assert extract(reply(ask(slip), right=1, repair=0).samples[0].text) != PROBLEM.gold
    mended = reply(ask(slip), right=1, repair=1).samples[0].text
    assert "mend" in mended
    assert extract(mended) == PROBLEM.gold


def test_tokens_are_counted_a_step_and_a_limit_cuts_at_one() -> None:
    whole = reply(ask()).samples[0]
    steps = len(split(whole.text))
    assert (whole.finish, whole.tokens) == ("stop", 71 * steps)
    cut = reply(ask(max_tokens=150)).samples[0]
    assert (cut.finish, cut.tokens, len(split(cut.text))) == ("length", 142, 2)
    assert reply(ask(max_tokens=1)).samples[0].text == ""


def test_truncation_is_told_by_the_finish() -> None:
    sample = reply(ask(), truncated=1).samples[0]
    assert sample.finish == "length"
    assert extract(sample.text) is None


@pytest.mark.parametrize("error", [0, 2, 4, NO_ERROR])
def test_a_perfect_judge_finds_the_first_slip_in_either_form(error: int) -> None:
    steps = tuple(step(PROBLEM.text, n + 1, right=n != error) for n in range(5))
    critique = reply(judge_ask(PROBLEM, steps), judge_hit=1, judge_alarm=0).samples[0].text
    assert named(critique) == error
    boxed = reply(judge_ask(PROBLEM, steps, base=0), judge_hit=1, judge_alarm=0).samples[0].text
    assert boxed == f"\\boxed{{{error}}}"


def test_judge_rates_are_those_of_the_script() -> None:
    engine = Scripted(Script(judge_hit=0.7, judge_alarm=0.2))

    def share(error: int) -> float:
        steps = tuple(step(PROBLEM.text, n + 1, right=n != error) for n in range(5))
        question = judge_ask(PROBLEM, steps)
        samples = asyncio.run(engine.reply(Ask(question.messages, n=2000))).samples
        return sum(named(sample.text) == error for sample in samples) / 2000

    assert share(2) == pytest.approx(0.7, abs=0.04)
    assert share(NO_ERROR) == pytest.approx(0.8, abs=0.04)


def test_a_garbled_judge_says_nothing_that_can_be_read() -> None:
    text = reply(judge_ask(PROBLEM, ("a", "b")), garbled=1).samples[0].text
    assert named(text) is None
    assert extract(text) is None


def test_faults_are_fixed_by_the_ask() -> None:
    asks = [ask(problem=problem) for problem in problems(200)]

    def failing(script: Script, engine: Scripted | None = None) -> list[int]:
        engine, failed = engine or Scripted(script), []
        for index, question in enumerate(asks):
            try:
                asyncio.run(engine.reply(question))
            except (Refused, Unavailable):
                failed.append(index)
        return failed

    refusing, busy = Scripted(Script(refused=0.3)), Scripted(Script(unavailable=0.3))
    refused = failing(refusing.script, refusing)
    assert 30 < len(refused) < 90
    assert failing(refusing.script, refusing) == refused  # for good
    unavailable = failing(busy.script, busy)
    assert 30 < len(unavailable) < 90
    assert failing(busy.script, busy) == []  # asking again helps
    assert failing(busy.script) == unavailable  # and so it was in another process


def test_unavailability_changes_no_reply() -> None:
    engine = Scripted(Script(unavailable=1))
    with pytest.raises(Unavailable):
        asyncio.run(engine.reply(ask()))
    assert asyncio.run(engine.reply(ask())) == reply(ask())


def test_the_model_names_every_setting_that_a_reply_depends_on() -> None:
    model = Scripted(Script(right=0.5)).model
    assert model.startswith("scripted:")
    assert "right=0.5" in model
    assert Scripted(Script(wait=1, token_wait=1, unavailable=1)).model == Scripted().model
    assert Scripted(Script(seed=1)).model != Scripted().model


def test_latency_grows_with_the_longest_reply() -> None:
    start = time.perf_counter()
    reply(ask(), wait=0.02, token_wait=0.0001)
    assert time.perf_counter() - start >= 0.015


def test_what_is_no_scripted_problem_is_refused() -> None:
    with pytest.raises(Refused):
        asyncio.run(Scripted().reply(Ask((Message("user", "What is 2 + 3?"),))))


@pytest.mark.parametrize("text", ["", " ", "two words", "Step 1: carry q17.\n\nThe answer", "\0 \ud800"])
def test_scores_cover_the_text_and_are_the_same_again(text: str) -> None:
    engine = Scripted()
    scores = asyncio.run(engine.score(ask(), text))
    assert "".join(scores.tokens) == text
    assert len(scores.logprobs) == len(scores.tokens)
    assert all(-2 <= logprob <= 0 for logprob in scores.logprobs)
    assert asyncio.run(engine.score(ask(), text)) == scores


@pytest.mark.parametrize("bad", [{"right": 1.1}, {"truncated": -0.1}, {"step_tokens": 0}, {"wait": -1}])
def test_a_script_is_checked(bad: dict[str, float]) -> None:
    with pytest.raises(SettingError):
        Script(**bad)  # type: ignore[arg-type]


def test_it_is_an_engine() -> None:
    engine: Engine = Scripted()
    assert engine.model


@dataclass
class Measured:
    """Sums over solutions: what a plan cost, and how a rule's labels compare with the truth."""

    solutions: int = 0
    rollouts: int = 0
    tokens: int = 0
    kept: int = 0
    right: int = 0

    @property
    def precision(self) -> float:
        return self.right / self.kept


async def life(task: Task, engine: Engine, plan: Plan, sums: dict[Rule, Measured]) -> None:
    """One solution, from its problem to its labels, without the stages that need no scripted engine."""
    solution, _ = await solve(task, engine, SAMPLING)
    trace = Trace(task.problem.text, split(solution.text), extract(solution.text))
    outcome = await grade(trace.answer, task.problem.gold)
    verdict = Verdict(named((await engine.reply(judge_ask(task.problem, trace.steps))).samples[0].text))
    estimate, tokens = await rollout(task, trace, outcome, verdict, plan, engine, grade, SAMPLING)
    for rule, sum_ in sums.items():
        decision = agree(trace, outcome, estimate, verdict, Settings(rule))
        sum_.solutions += 1
        sum_.rollouts += tokens.rollouts
        sum_.tokens += tokens.rollout
        sum_.kept += decision.kept
        sum_.right += decision.kept and decision.first_error == truth(task.problem.text, trace.steps)


def measure(plan: Plan, script: Script, count: int) -> dict[Rule, Measured]:
    engine, sums = Scripted(script), {rule: Measured() for rule in get_args(Rule)}

    async def everything() -> None:
        for task in tasks(problems(count), [Policy("scripted", 2)]):
            try:
                await life(task, engine, plan, sums)
            except Refused:  # to solve, or to judge: the run's business
                continue

    asyncio.run(everything())
    return sums


@pytest.fixture(scope="module")
def measured() -> dict[str, dict[Rule, Measured]]:
    return {name: measure(plan, Script(), 100) for name, plan in PLANS.items()}


def test_confirm_costs_a_fraction_of_exhaustive_and_of_bisect(measured: dict[str, dict[Rule, Measured]]) -> None:
    exhaustive, bisect, confirm = (measured[name]["mc"] for name in ("exhaustive", "bisect", "confirm"))
    assert confirm.rollouts * 10 < exhaustive.rollouts
    assert confirm.tokens * 10 < exhaustive.tokens
    assert confirm.rollouts < bisect.rollouts < exhaustive.rollouts


def test_consensus_is_more_precise_than_either_alone(measured: dict[str, dict[Rule, Measured]]) -> None:
    alone = max(measured["exhaustive"][rule].precision for rule in ("mc", "judge"))
    for sums in measured.values():
        assert sums["first_error"].precision > max(alone, 0.95)


def test_confirm_keeps_what_exhaustive_rollouts_would_keep(measured: dict[str, dict[Rule, Measured]]) -> None:
    exhaustive, confirm = (measured[name]["first_error"] for name in ("exhaustive", "confirm"))
    assert abs(confirm.kept - exhaustive.kept) <= 0.05 * exhaustive.kept
    assert confirm.kept > confirm.solutions / 2


def test_faults_cost_solutions_but_invent_no_errors() -> None:
    script = Script(truncated=0.2, garbled=0.2, refused=0.02, judge_hit=1, judge_alarm=0, repair=0)
    sums = measure(PLANS["confirm"], script, 80)["first_error"]
    assert 50 < sums.kept < sums.solutions
    assert sums.right >= sums.kept - 2
