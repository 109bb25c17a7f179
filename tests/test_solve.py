import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from data.asks import Ask, Finish, Message, Reply, Sample, Sampling
from data.errors import Refused, SettingError
from data.records import Given, Problem, Solution, Task, Tokens
from stages.engine import Scores
from stages.solve import Policy, longest_first, prompt, solve, tasks

PROBLEM = Problem("p1", "hand", "What is 2 + 3?", "5")


@dataclass
class Echo:
    """Replies with one fixed sample and remembers what was asked."""

    finish: Finish = "stop"
    asks: list[Ask] = field(default_factory=list)
    model: str = "echo"

    async def reply(self, ask: Ask) -> Reply:
        self.asks.append(ask)
        return Reply((Sample("It is 5.", self.finish, 4),), prompt_tokens=7)

    async def score(self, ask: Ask, text: str) -> Scores:
        raise Refused(f"{ask} {text}")


def test_prompt_has_a_system_turn_only_where_there_is_one() -> None:
    assert prompt("2 + 3?") == (Message("user", "2 + 3?"),)
    assert prompt("2 + 3?", "Be brief.") == (Message("system", "Be brief."), Message("user", "2 + 3?"))


def test_solve_asks_for_the_sample_that_the_task_names() -> None:
    engine = Echo()
    solution, tokens = asyncio.run(solve(Task(PROBLEM, "a", 3), engine, Sampling(temperature=0.5), "Be brief."))
    assert solution == Solution("It is 5.")
    assert tokens == Tokens(solve=4, prompt=7)
    assert engine.asks == [Ask(prompt(PROBLEM.text, "Be brief."), n=1, first=3, sampling=Sampling(temperature=0.5))]


@pytest.mark.parametrize("finish", ["length", "error"])
def test_a_solution_that_did_not_stop_by_itself_is_cut(finish: Finish) -> None:
    solution, _ = asyncio.run(solve(Task(PROBLEM, "a", 0), Echo(finish), Sampling()))
    assert solution.cut


@pytest.mark.parametrize("text", ["2 + 3 = 5.\n\nSo 5.", "", " \n", "\0 \\boxed{"])
def test_a_given_solution_is_taken_to_the_byte_and_asks_nobody(text: str) -> None:
    engine = Echo()
    assert asyncio.run(solve(Task(PROBLEM, "book", 0, text), engine, Sampling())) == (Solution(text), Tokens())
    assert engine.asks == []


def test_policies_have_their_own_counts() -> None:
    made = list(tasks([PROBLEM], [Policy("a", 2), Policy("b")]))
    assert [task.id for task in made] == ["p1/a/0", "p1/a/1", "p1/b/0"]
    assert all(task.given is None for task in made)


def test_given_solutions_replace_sampled_ones_and_keep_ids_unique() -> None:
    given = (Given("x", "175b"), Given("y", "175b"), Given("x", "6b"))
    problem = Problem("p2", "hand", "?", "5", given=given)
    made = list(tasks([problem, PROBLEM], [Policy("a")]))
    assert [task.id for task in made] == ["p2/175b/0", "p2/175b/1", "p2/6b/0", "p1/a/0"]
    assert [task.given for task in made] == ["x", "y", "x", None]


def test_tasks_are_lazy() -> None:
    def endless() -> Iterator[Problem]:
        while True:
            yield PROBLEM

    assert next(tasks(endless(), [Policy("a")])).id == "p1/a/0"


def test_two_policies_of_one_name_are_refused_before_the_run() -> None:
    with pytest.raises(SettingError, match="a, a"):
        tasks([PROBLEM], [Policy("a"), Policy("a", 2)])


def test_a_policy_without_samples_is_refused() -> None:
    with pytest.raises(SettingError, match="samples"):
        Policy("a", 0)


def test_the_longest_begin_first_and_equal_ones_keep_their_order() -> None:
    given = Problem("p2", "hand", "?", "5", given=(Given("short", "a"), Given("a long solution, longer than all", "a")))
    long = Problem("p3", "hand", "What is 2 + 3 + 4?", "9")
    ordered = longest_first(tasks([PROBLEM, given, long], [Policy("one", 2)]))
    assert [(task.problem.id, task.sample) for task in ordered] == [
        *(("p2", 1), ("p3", 0), ("p3", 1)),
        *(("p1", 0), ("p1", 1), ("p2", 0)),
    ]
