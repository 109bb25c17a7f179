"""Which of a source's problems a run is about: by level, pass rate and sample, each once, none of an evaluation set.

Nothing here depends on the order of rows, but for which of several equal ones counts: the first.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from data import normal
from data.decontaminate import Index
from data.errors import SettingError
from data.records import Given, Problem

CONTAMINATED: Final = "in an evaluation set"
REPEATED: Final = "an earlier problem, written otherwise"

Pick = Literal["first", "random"]


@dataclass(frozen=True, slots=True)
class Selection:
    """What decides which problems, and which of the solutions they bring, are taken.

    No `levels`: all. `pass_rate` is the least and the highest. `balance`: so many right and so many wrong solutions a
    problem, at most. A `random` pick of `limit` problems follows from their texts and the seed, so that a larger one
    contains a smaller one. `given`: solutions that problems bring are taken, and such problems are never repeats.
    """

    levels: tuple[str, ...] = ()
    pass_rate: tuple[float, float] | None = None
    balance: int | None = None
    pick: Pick = "first"
    deduplicate: bool = True
    given: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        low, high = self.pass_rate or (0, 1)
        if not 0 <= low <= high <= 1:
            raise SettingError(f"data.pass_rate=[{low:g}, {high:g}]: give the least and the most, such as [0.1, 0.9]")
        if self.balance and not self.given:
            raise SettingError("data.balance is about solutions that a dataset brings: leave out solutions=sample")

    @property
    def whole(self) -> bool:
        """Whether all rows must be read before a limit can be counted off."""
        return self.pick == "random" or self.pass_rate is not None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a problem is left out, and which other one it is."""

    reason: str
    match: str


@dataclass(slots=True)
class Sieve:
    """Looks at each problem once, in the source's order, and counts what it leaves out without a `Refusal`."""

    selection: Selection = field(default_factory=Selection)
    index: Index | None = None
    levels: Counter[str] = field(default_factory=Counter)
    _rows: dict[int, int] = field(default_factory=dict)  # hash of a normal form -> the row it was first seen in

    def passes(self, problem: Problem) -> bool:
        """Whether the problem's level is wanted."""
        level = _level(problem.level)
        self.levels[level] += 1
        return not self.selection.levels or level in map(_level, self.selection.levels)

    def refusal(self, problem: Problem, row: int) -> Refusal | None:
        """Return why a problem may not be in the run."""
        once = self.selection.deduplicate and not (problem.given and self.selection.given)
        if not once and not self.index:
            return None
        held = self.index.find(problem.text) if self.index else None
        if held:
            return Refusal(CONTAMINATED, str(held))
        first = self._rows.setdefault(hash(normal.form(problem.text)), row) if once else row
        return Refusal(REPEATED, f"row {first}") if first != row else None

    def check(self, where: str) -> None:
        """Raise SettingError where no problem has any of the levels, naming those there are."""
        wanted = self.selection.levels
        if wanted and not any(self.levels[_level(one)] for one in wanted):
            there = ", ".join(f"{level} ({count})" for level, count in self.levels.most_common(12) if level)
            advice = f"there are: {there}" if there else "no problem has one; name its column: data.columns.level"
            raise SettingError(f"data.levels={', '.join(wanted)}: no such level in {where}; {advice}")


def chosen(
    problems: Sequence[Problem], rates: Mapping[str, float], selection: Selection, limit: int | None
) -> tuple[list[Problem], list[str]]:
    """Return the problems, in their order, after all that needs to see all of them; and what to tell of it.

    `rates`: pass rates that the data states, by problem. Raises SettingError where the data does not say what is asked.
    """
    left, notes = list(problems), []
    if selection.pass_rate is not None:
        left, note = _within(left, rates, *selection.pass_rate)
        notes.append(note)
    if selection.balance is not None:
        left, note = _balanced(left, selection.balance, selection.seed)
        notes.append(note)
    if selection.pick == "random" and limit is not None and len(left) > limit:
        notes.append(f"{limit} of {len(left)} problems, by chance (data.seed={selection.seed})")
        drawn = sorted(left, key=lambda one: (_lot(normal.form(one.text), selection.seed), one.id))[:limit]
        kept = {problem.id for problem in drawn}
        left = [problem for problem in left if problem.id in kept]
    return left if limit is None else left[:limit], notes


def right(given: Given) -> bool | None:
    """Return whether a given solution is right, as the data says: by its steps' labels, or else by its flag."""
    if any(value == 0 for value in given.ratings):
        return False
    return True if given.ratings and None not in given.ratings else given.right


def _within(
    problems: Sequence[Problem], rates: Mapping[str, float], low: float, high: float
) -> tuple[list[Problem], str]:
    known = {problem.id: rates.get(problem.id, _share(problem)) for problem in problems}
    unknown = sum(rate is None for rate in known.values())
    if unknown == len(problems):
        raise SettingError(
            "data.pass_rate: no problem has a pass rate: name its column (data.columns.pass_rate=COLUMN), or give data "
            "whose solutions say whether they are right (is_correct, or labelled steps)"
        )
    left = [one for one in problems if (rate := known[one.id]) is not None and low <= rate <= high]
    without = f"; {unknown} have none and are left out" if unknown else ""
    return left, f"{len(left)} of {len(problems)} problems have a pass rate from {low:g} to {high:g}{without}"


def _share(problem: Problem) -> float | None:
    """Return which share of a problem's solutions is right, of those of which the data says it."""
    known = [one for one in map(right, problem.given) if one is not None]
    return sum(known) / len(known) if known else None


def _balanced(problems: Sequence[Problem], most: int, seed: int) -> tuple[list[Problem], str]:
    flags = [right(given) for problem in problems for given in problem.given]
    unknown = flags.count(None)
    if unknown == len(flags):
        named = "does not say which solutions are right: name the column of the flags, data.columns.right=COLUMN"
        brings = named if flags else "brings no solutions"
        raise SettingError(f"data.balance={most}: the data {brings}; or leave data.balance out")
    left = [replace(problem, given=_some(problem.given, most, seed)) for problem in problems]
    counts = Counter(right(given) for problem in left for given in problem.given)
    without = f"; {unknown} of which it is not known are left out" if unknown else ""
    told = f"given solutions: {counts[True]} right and {counts[False]} wrong, of {len(flags)}{without}"
    return [problem for problem in left if problem.given], told


def _some(given: Sequence[Given], most: int, seed: int) -> tuple[Given, ...]:
    """Return at most so many right and so many wrong ones, drawn by their texts, in their order."""
    kept: set[int] = set()
    for kind in (True, False):
        ranked = sorted((_lot(one.text, seed), index) for index, one in enumerate(given) if right(one) is kind)
        kept.update(index for _, index in ranked[:most])
    return tuple(one for index, one in enumerate(given) if index in kept)


def _lot(text: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}\0{text}".encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _level(level: str | None) -> str:
    """Return a level as it counts: "Level 5" is 5."""
    return (level or "").strip().casefold().removeprefix("level").strip()
