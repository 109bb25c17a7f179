import asyncio
from dataclasses import dataclass, field

import pytest

from data.asks import Ask, Finish, Reply, Sample, Sampling
from data.errors import Refused, Unavailable
from data.records import Estimate, Outcome, Problem, Task, Tokens, Trace, Verdict
from stages.engine import Scores
from stages.probes import Plan, Probe, Rolling, Settings, confirm, exhaustive, unknown
from stages.rollout import Grade, rollout, stated
from stages.solve import prompt

STEPS = ("Two and two.\n\n", "  That is 4. \n\n", "The answer is \\boxed{4}.")
TASK = Task(Problem("p", "hand", "What is 2 + 3?", "5"), "a", 0)
TRACE = Trace(TASK.problem.text, STEPS, "4")


@dataclass
class Canned:
    """Replies to every ask with samples of the texts, in index order."""

    texts: tuple[str, ...]
    finish: Finish = "stop"
    error: Exception | None = None
    asks: list[Ask] = field(default_factory=list)
    model: str = "canned"

    async def reply(self, ask: Ask) -> Reply:
        self.asks.append(ask)
        if self.error is not None and len(self.asks) > 1:
            raise self.error
        texts = (self.texts[index % len(self.texts)] for index in range(ask.first, ask.first + ask.n))
        return Reply(tuple(Sample(text, self.finish, 10) for text in texts), prompt_tokens=100)

    async def score(self, ask: Ask, text: str) -> Scores:
        raise Refused(f"{ask} {text}")


async def grade(answer: str | None, gold: str | None) -> Outcome:
    if answer is None or gold is None or "?" in answer + gold:
        return "undecided"
    return "equal" if answer == gold else "different"


def once(prefix: int, tries: int, first: int = 0) -> Plan:
    """A plan of one probe that shows its tally as the estimate's reason."""

    def plan(_steps: int, _outcome: Outcome, _judged: int | None) -> Rolling:
        tally = yield Probe(prefix, tries, first)
        return Estimate((), None, f"{tally.hits}/{tally.misses}/{tally.cut}")

    return plan


def run(
    engine: Canned,
    plan: Plan = exhaustive,
    outcome: Outcome = "different",
    *,
    task: Task = TASK,
    trace: Trace = TRACE,
    judged: int | None = None,
    system: str | None = None,
    grade: Grade = grade,
) -> tuple[Estimate, Tokens]:
    sampling = Sampling(temperature=0.7)
    return asyncio.run(rollout(task, trace, outcome, Verdict(judged), plan, engine, grade, sampling, system))


def test_a_probe_continues_the_bytes_of_the_prefix_after_the_policys_prompt() -> None:
    engine = Canned(("The answer is \\boxed{5}.",))
    run(engine, once(2, 3, 4), system="Be brief.")
    expected = Ask(prompt(TASK.problem.text, "Be brief."), STEPS[0] + STEPS[1], 3, 4, Sampling(temperature=0.7))
    assert engine.asks == [expected]


def test_hits_misses_and_cuts_are_told_apart_and_tokens_summed() -> None:
    texts = ("\\boxed{5}", "\\boxed{5}", "\\boxed{6}", "I give up.", "\\boxed{?}")
    estimate, tokens = run(Canned(texts), once(1, 5))
    assert estimate.reason == "2/1/2"
    assert tokens == Tokens(rollout=50, prompt=100, rollouts=5)


@pytest.mark.parametrize("finish", ["length", "error"])
def test_a_rollout_that_did_not_stop_by_itself_is_cut_whatever_it_says(finish: Finish) -> None:
    assert run(Canned(("\\boxed{5}",), finish), once(1, 2))[0].reason == "0/0/2"


def test_an_answer_inside_the_prefix_is_not_the_rollouts_own() -> None:
    trace = Trace("?", ("Surely \\boxed{5}.\n\n", "Or not."), None)
    assert run(Canned((" Who knows.",)), once(1, 1), trace=trace)[0].reason == "0/0/1"
    assert run(Canned(("The answer is 6.",)), once(1, 1), trace=trace)[0].reason == "0/1/0"


@pytest.mark.parametrize(
    ("prefix", "text", "answer"),
    [
        ("The answer is", " 42.", "42"),
        ("Thus \\boxed{4", "2}", "42"),
        ("\\boxed{7} or \\boxed{4", "2}", "42"),
        ("\\boxed{7}. ", "The answer is 8.", "8"),
        ("\\boxed{7}", "", None),
        ("\\boxed{7}", " That was it.", None),
        ("<think>\nTwo and two.\n\n", "So \\boxed{5}.", None),  # as a solution that ends in its thoughts states none
        ("<think>\nTwo and two.\n\n", "So \\boxed{5}.</think>It is \\boxed{4}.", "4"),
        ("", "", None),
    ],
)
def test_stated_takes_only_what_the_continuation_says_or_completes(prefix: str, text: str, answer: str) -> None:
    assert stated(prefix, text) == answer


def test_each_distinct_answer_is_graded_once() -> None:
    graded: list[str | None] = []

    async def count(answer: str | None, gold: str | None) -> Outcome:
        graded.append(answer)
        return await grade(answer, gold)

    estimate, _ = run(Canned(("\\boxed{5}", "\\boxed{6}")), once(1, 6), grade=count)
    assert estimate.reason == "3/3/0"
    assert sorted(map(str, graded)) == ["5", "6"]


def test_a_whole_plan_runs_to_its_estimate() -> None:
    estimate, tokens = run(Canned(("\\boxed{4}",)), confirm, judged=0)
    assert estimate.first_error == 0
    assert tokens == Tokens(rollout=80, prompt=400, rollouts=8)


@pytest.mark.parametrize("outcome", ["undecided", "different"])
def test_without_gold_nothing_is_asked(outcome: Outcome) -> None:
    engine = Canned(("\\boxed{5}",))
    task = Task(Problem("p", "hand", "What is 2 + 3?", None), "a", 0)
    assert run(engine, outcome=outcome, task=task) == (unknown(3, "no_gold"), Tokens())
    assert engine.asks == []


@pytest.mark.parametrize("gold", ["???", "\\frac{1}{", "$$", "\\begin{foo", "9" * 2_001])
def test_gold_that_nothing_but_its_spelling_could_equal_is_no_gold(gold: str) -> None:
    engine = Canned(("\\boxed{5}",))
    task = Task(Problem("p", "hand", "What is 2 + 3?", gold), "a", 0)
    assert run(engine, outcome="undecided", task=task) == (unknown(3, "no_gold"), Tokens())
    assert engine.asks == []


def test_a_solution_without_an_answer_is_rolled_to_its_end() -> None:
    estimate, tokens = run(Canned(("\\boxed{5}",)), outcome="undecided")
    assert tokens.rollouts == 24
    assert [step.hits for step in estimate.steps] == [8, 8, 8]


def test_an_empty_solution_is_told_as_such() -> None:
    assert run(Canned(()), trace=Trace("?", (), None), outcome="undecided") == (unknown(0, "empty"), Tokens())


def test_a_refusal_leaves_the_estimate_unknown_and_what_was_spent_counted() -> None:
    estimate, tokens = run(Canned(("\\boxed{5}",), error=Refused("too long")))
    assert estimate == unknown(3, "refused")
    assert tokens == Tokens(rollout=80, prompt=100, rollouts=8)


def test_an_engine_that_is_not_available_is_the_callers_business() -> None:
    with pytest.raises(Unavailable):
        run(Canned(("\\boxed{5}",), error=Unavailable("busy")))


def test_hostile_continuations_are_harmless() -> None:
    texts = ("{" * 100_000, "\0" * 1000, "\\boxed{" * 10_000, "</think>", "x" * 1_000_000)
    estimate, _ = run(Canned(texts), once(1, 5))
    assert estimate.reason == "0/0/5"


def test_settings_reach_the_plan_by_binding_them() -> None:
    engine = Canned(("\\boxed{5}",))
    run(engine, lambda steps, outcome, judged: exhaustive(steps, outcome, judged, Settings(tries=2)))
    assert [ask.n for ask in engine.asks] == [2, 2]
