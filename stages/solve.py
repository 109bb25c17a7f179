"""Decides what a policy is asked, and which solutions a run is made of.

A problem that brings its own solutions is not sampled: those are labelled instead.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from data.asks import Ask, Message, Sampling
from data.errors import SettingError
from data.records import Problem, Solution, Task, Tokens
from stages.engine import Engine


@dataclass(frozen=True, slots=True)
class Policy:
    """Who solves: `samples` solutions a problem, drawn with `sampling`, after an optional system prompt."""

    name: str
    samples: int = 1
    sampling: Sampling = field(default_factory=Sampling)
    system: str | None = None

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise SettingError(f"policy {self.name!r} needs samples >= 1, not {self.samples}")


def tasks(problems: Iterable[Problem], policies: Sequence[Policy]) -> Iterator[Task]:
    """Every solution to be made or taken, lazily, a problem's own ones together.

    Raises SettingError at once where two policies share a name: their tasks would share ids.
    """
    names = [policy.name for policy in policies]
    if len(set(names)) < len(names):
        raise SettingError(f"policies need names of their own, not {', '.join(names)}")
    return (
        task for problem in problems for task in (_given(problem) if problem.given else _sampled(problem, policies))
    )


def longest_first(tasks: Iterable[Task]) -> list[Task]:
    """Return tasks in the order in which to begin: what takes longest should not be what all else waits for.

    By the length of a given solution, else of the problem, which is all that is known of it; those keep their order.
    """
    return sorted(tasks, key=lambda task: len(task.problem.text if task.given is None else task.given), reverse=True)


def prompt(problem: str, system: str | None = None) -> tuple[Message, ...]:
    """Chat messages that ask for a solution; rollouts continue an assistant's turn after the same ones."""
    user = Message("user", problem)
    return (user,) if system is None else (Message("system", system), user)


async def solve(task: Task, engine: Engine, sampling: Sampling, system: str | None = None) -> tuple[Solution, Tokens]:
    """Sample the task's solution, or take the given one as it is. Raises as `Engine.reply` does."""
    if task.given is not None:
        return Solution(task.given), Tokens()
    ask = Ask(prompt(task.problem.text, system), first=task.sample, sampling=sampling)
    reply = await engine.reply(ask)
    (sample,) = reply.samples
    return Solution(sample.text, cut=sample.finish != "stop"), Tokens(solve=sample.tokens, prompt=reply.prompt_tokens)


def _sampled(problem: Problem, policies: Sequence[Policy]) -> Iterator[Task]:
    for policy in policies:
        for sample in range(policy.samples):
            yield Task(problem, policy.name, sample)


def _given(problem: Problem) -> Iterator[Task]:
    """Given solutions are numbered apart for each author, so that ids stay unique."""
    seen: Counter[str] = Counter()
    for given in problem.given:
        yield Task(problem, given.policy, seen[given.policy], given.text, given.steps, given.ratings)
        seen[given.policy] += 1
