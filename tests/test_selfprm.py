"""Self-PRM: what is chosen among k samples, and what a policy's own verdicts are worth, by hand and by the command."""

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from launching import ROOT

from bench import plans
from bench.endpoint import served
from bench.finished import finished
from data import scripted
from data.errors import RunError
from data.ledger import Ledger
from data.records import Labelled, Task
from pipeline import recipe, synth
from pipeline.cli import main
from pipeline.crew import Crew
from pipeline.engines.openai import OpenAI
from pipeline.evaluate import selfprm
from pipeline.memory import Remembering
from stages import solve
from stages.metrics import best_vote, vote

HARD = "scripted={ right = 0.85, judge_hit = 0.6, judge_alarm = 0.3 }"
SELF = ("completer.plan=none", "consensus.rule=judge", "judge.sampling.temperature=1.0")


def test_the_best_scored_is_chosen_and_equals_vote() -> None:
    answers, right = [0, 1, 1, 2], [True, False, False, True]
    assert best_vote(4, [0.9, 0.5, 0.5, 0.1], answers, right) == 1  # the best alone, whatever most say
    assert best_vote(4, [0.5, 0.5, 0.5, 0.1], answers, right) == 0  # among equals, two of three say 1
    assert best_vote(4, [0.9, 0.9, 0.5, 0.1], answers, right) == 0.5  # a tie of the vote is broken by lot
    assert best_vote(1, [0.9, 0.5, 0.5, 0.1], answers, right) == 0.5  # of one sample there is no choice


def test_pairs_are_chosen_from_by_score() -> None:
    right = [True, False, False]
    assert best_vote(2, [1.0, 0.5, 0.0], [0, 1, 2], right) == pytest.approx(2 / 3)  # in two of three pairs
    assert best_vote(2, [0.0, 0.5, 1.0], [0, 1, 2], right) == 0
    assert best_vote(2, [0.5] * 3, [0, 1, 2], right) == pytest.approx(vote(2, [0, 1, 2], right))


def test_a_sample_without_an_answer_is_not_chosen_while_there_is_another() -> None:
    assert best_vote(2, [-1.0, 0.0], [None, 0], [False, True]) == 1
    assert best_vote(2, [-1.0, -1.0], [None, None], [False, False]) == 0


@pytest.mark.parametrize(
    ("votes", "expected"), [([-1, -1, 3, 0], 0.5), ([-1, None], 1.0), ([2, None], 0.0), ([None], 0.5), ([], 0.5)]
)
def test_a_score_is_the_share_of_votes_that_pass(votes: list[int | None], expected: float) -> None:
    assert selfprm.score(votes) == expected


def row(sample: int, answer: str | None, judged: int | None, *votes: int | None) -> dict[str, object]:
    outcome = "undecided" if answer is None else ("equal" if answer == "7" else "different")
    told = {"problem_id": "p", "policy": "m", "sample": sample, "dataset": "mine", "problem": "?", "steps": ["x"]}
    told |= {"gold_answer": "7", "level": "easy", "answer": answer, "outcome": outcome}
    return told | {"judge_first_error": judged, "judge_votes": list(votes)}


def test_a_problem_is_counted_by_hand() -> None:
    found = selfprm.Found()
    rows = [row(0, "7", -1, -1), row(1, "8", -1, -1), row(2, "8", 0, 0), row(3, None, None, None)]
    selfprm.count(found, rows)
    majority, chosen, passes = found.chances["all", 4][0]
    assert (majority, chosen, passes) == (0, 0.5, 1)  # 8 has two votes; the judge passes one 7 and one 8
    assert found.chances["easy", 2] == found.chances["all", 2]
    assert ("all", 8) not in found.chances
    judged = found.judged["pass rate to 0.25"]
    assert (judged.precision.cases, judged.precision.right) == (2, 1)
    assert (judged.recall.cases, judged.recall.right) == (1, 1)
    assert (judged.silent, judged.sound.cases, found.ungraded) == (0, 0, 1)


def test_without_a_gold_answer_nothing_is_counted() -> None:
    found = selfprm.Found()
    selfprm.count(found, [row(0, "7", -1, -1) | {"gold_answer": None}])
    assert found == selfprm.Found()


@pytest.mark.parametrize(("name", "judge"), [("perfect", "judge_hit = 1, judge_alarm = 0"), ("mute", "garbled = 1")])
def test_a_perfect_judge_comes_up_to_pass_at_k_and_a_mute_one_to_the_vote(
    tmp_path: Path, name: str, judge: str
) -> None:
    settings = (f"scripted={{ right = 0.85, repair = 0, {judge} }}", "policy.samples=8", "data.limit=16", *SELF)
    found = selfprm.measure(finished(tmp_path, "scripted", *settings))
    for majority, chosen, passes in found.chances["all", 8]:
        assert chosen == (passes if name == "perfect" else majority)
    assert len(set(found.chances["all", 2])) > 2
    judged = found.judged["all"]
    assert (judged.precision.value, judged.recall.value) == ((1, 1) if name == "perfect" else (None, None))
    assert judged.silent == (0 if name == "perfect" else 128)


def test_the_tables_and_the_file_tell_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished(tmp_path / "run", "scripted", HARD, "policy.samples=4", "data.limit=24", "judge.votes=3", *SELF)
    capsys.readouterr()
    assert main(["evaluate", "selfprm", "--run", str(tmp_path / "run"), "--json", str(tmp_path / "told.json")]) == 0
    shown = capsys.readouterr().out
    assert "re-ranking by another model" not in shown
    figures = json.loads((tmp_path / "told.json").read_text())
    (four,) = (one for one in figures["chosen"] if (one["level"], one["k"]) == ("all", 4))
    assert re.search(rf"\| all +\| 24 +\| 4 +\| {100 * four['majority']['share']:.1f} ", shown)
    shares = {name: four[name]["share"] for name in (*selfprm.WAYS, selfprm.GAIN)}
    assert shares[selfprm.GAIN] == pytest.approx(shares["self-PRM"] - shares["majority"])
    assert all(four[name]["range"][0] <= share <= four[name]["range"][1] for name, share in shares.items())


def test_over_http_each_problem_is_solved_once_by_a_judge_that_refers(tmp_path: Path) -> None:
    with served() as server:
        spec = f"openai:scripted@{server.url}"
        roles = (f"policy.engine={spec}", f"judge.engine={spec}", "judge.kind=critique_reference", "policy.samples=3")
        chosen = recipe.read("scripted", overrides=[*SELF, *roles])

        async def label(tasks: list[Task]) -> list[Labelled]:
            engine = OpenAI(spec)
            await engine.connect()
            with Ledger(tmp_path, "p") as ledger:
                crew = Crew(chosen, {spec: Remembering(engine, engine.model, ledger)}, plans.grade)
                made = await asyncio.gather(*(synth.label(task, crew) for task in tasks))
            await engine.close()
            return made

        rows = asyncio.run(label(list(solve.tasks(scripted.problems(2), chosen.policies()))))
    asked = [body["messages"][-1]["content"] for body in server.bodies]
    assert sum("Solve the mathematics problem" in text for text in asked) == 2
    shown = [text for text in asked if "<reference>\n" in text]
    assert len(shown) == len({(row.task.problem.id, row.trace.steps) for row in rows}) > 2  # equal ones are asked once
    assert len({text.partition("<solution>")[0] for text in shown}) == 2
    assert all(row.verdict.first_error is not None for row in rows)


def test_a_run_without_gold_answers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text(json.dumps({"problem": "2 + 2?", "response": "2 + 2 = 4"}) + "\n")
    settings = ("solutions=given", "judge.kind=equations", "completer.plan=none", "consensus.rule=judge")
    made = finished(tmp_path / "run", str(tmp_path / "mine.jsonl"), *settings)
    with pytest.raises(RunError, match="no problem with a gold answer"):
        selfprm.measure(made)


def test_who_judges_his_own_solutions_is_told_only_where_nothing_else_decides() -> None:
    def own(*settings: str) -> bool:
        return recipe.read("scripted", overrides=settings).self_judged

    assert own(*SELF)
    assert not own()  # rollouts take part
    assert not own(*SELF, "judge.engine=openai:m@http://h/v1")
    assert not own(*SELF, "judge.kind=equations")


@pytest.mark.slow
def test_the_command_makes_the_run_and_measures_it(tmp_path: Path) -> None:
    """The small model judges 4 samples each of 24 problems of its world."""
    out, told = tmp_path / "run", tmp_path / "told.json"
    options = ("--dataset", "arith", "--limit", "24", "--samples", "4", "--votes", "2", "--json", str(told))
    command = [sys.executable, "-m", "pipeline", "evaluate", "selfprm", "--run", str(out), *options]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=400)  # noqa: S603 - our own program
    assert "the policy judges its own solutions" in done.stdout
    figures = json.loads(told.read_text())
    (four,) = (one for one in figures["chosen"] if (one["level"], one["k"]) == ("all", 4))
    assert four["problems"] == 24
    assert 0.5 < four["majority"]["share"] <= four["pass@k"]["share"]
    assert four["self-PRM"]["share"] <= four["pass@k"]["share"]
    assert figures["judged"]["all"]["precision"]["share"] > 0.7
