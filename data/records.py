"""The nouns of a solution's life, from a problem to a labelled row: frozen, slotted, picklable.

Steps count from 0. A first error of -1 (`NO_ERROR`) means "no step is wrong"; None means "not known". A thing that
is missing or undecided is None with a reason, never "incorrect".
"""

from dataclasses import dataclass
from typing import Literal

NO_ERROR = -1

Outcome = Literal["equal", "different", "undecided"]
Source = Literal["rolled", "inferred", "graded", "skipped"]


@dataclass(frozen=True, slots=True)
class Given:
    """A solution that came with the dataset. `policy` names who wrote it.

    `steps` join to the text where the dataset cut it itself; `ratings` are its own values of the steps, from 0 (wrong)
    to 1 (right), None where it does not say. `right` is its flag of the whole, None where it has none.
    """

    text: str
    policy: str = "given"
    steps: tuple[str, ...] = ()
    ratings: tuple[float | None, ...] = ()
    right: bool | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with its gold answer (None: the dataset has none) and any solutions the dataset gave."""

    id: str
    dataset: str
    text: str
    gold: str | None
    level: str | None = None
    given: tuple[Given, ...] = ()


@dataclass(frozen=True, slots=True)
class Task:
    """One solution to be made and labelled: sample number `sample` of `policy` on `problem`.

    `given` is its text where the dataset brought it, with `steps` and `ratings` as in `Given`.
    """

    problem: Problem
    policy: str
    sample: int
    given: str | None = None
    steps: tuple[str, ...] = ()
    ratings: tuple[float | None, ...] = ()

    @property
    def id(self) -> str:
        """Unique in a run."""
        return f"{self.problem.id}/{self.policy}/{self.sample}"


@dataclass(frozen=True, slots=True)
class Solution:
    """A solution's text as it was sampled or given; `cut` where the token limit ended it."""

    text: str
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Trace:
    """A solution split into steps: `"".join(steps)` is its text, to the byte. `answer` is None where none was found.

    `ratings` are the dataset's own values of the steps, as in `Given`; empty where it has none.
    """

    problem: str
    steps: tuple[str, ...]
    answer: str | None
    cut: bool = False
    ratings: tuple[float | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's opinion: the first wrong step, by majority of `votes` (None: a reply that could not be read)."""

    first_error: int | None
    votes: tuple[int | None, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the rollouts from one prefix; `cut` ones (truncated, incomparable) count neither way."""

    hits: int = 0
    misses: int = 0
    cut: int = 0

    @property
    def decided(self) -> int:
        """Number of rollouts that count."""
        return self.hits + self.misses

    @property
    def drawn(self) -> int:
        """Number of all rollouts."""
        return self.decided + self.cut

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.hits + other.hits, self.misses + other.misses, self.cut + other.cut)


@dataclass(frozen=True, slots=True)
class StepEstimate:
    """Monte Carlo evidence on the prefix that ends with one step.

    `hits` of `tries` decided rollouts reached the gold answer. `source` says where the numbers came from: rolled,
    inferred (from another prefix), graded (from the solution's own answer) or skipped (nobody asked). Where
    `stopped_early`, sampling ended on what it had seen, so hits/tries is not an unbiased rate. `reachable` is what
    the evidence says of the prefix: None where it says nothing.
    """

    hits: int = 0
    tries: int = 0
    source: Source = "skipped"
    stopped_early: bool = False
    reachable: bool | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Monte Carlo evidence on a whole solution, one entry a step, and the first error it implies (any-hit rule).

    `posterior` is the probability that the judge's first error is the true one, where the plan weighs that.
    """

    steps: tuple[StepEstimate, ...]
    first_error: int | None
    reason: str | None = None
    violations: int = 0
    posterior: float | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens spent on one solution, prompt and completion apart, and how many rollouts were sampled."""

    solve: int = 0
    rollout: int = 0
    judge: int = 0
    prompt: int = 0
    rollouts: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What a consensus rule made of the evidence.

    `first_error` is the label (None where rejected); `labels` has one value a step up to and including the first
    error, all steps where there is none; `reason` is None where the solution is kept.
    """

    kept: bool
    first_error: int | None
    labels: tuple[bool, ...]
    agreement: bool | None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Credit:
    """Process rewards, one a step (`stages/credit.py`); None where nobody asked, or for a `reason`. Never evidence."""

    rewards: tuple[float, ...] | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Labelled:
    """One finished row: the task, all evidence, the decision, and what no decision sees."""

    task: Task
    trace: Trace
    outcome: Outcome
    estimate: Estimate
    verdict: Verdict
    decision: Decision
    tokens: Tokens
    credit: Credit = Credit()
