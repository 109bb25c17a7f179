"""Rows made into problems: columns are told apart, rows of one problem joined, and what cannot be used is counted."""

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from data import selection, stepwise
from data.columns import Names, Parsed, match, parse, row_value
from data.errors import SourceError
from data.files import Numbered
from data.records import Problem
from data.selection import Sieve

PEEK: Final = 100  # rows from which the columns are told


@dataclass(frozen=True, slots=True)
class Reject:
    """A row, or one solution of it, that is not used: its number in the source, why, and what other problem it is."""

    row: int
    reason: str
    id: str | None = None
    match: str | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """Problems in the source's order, what the user should know about them, what was left out, and facts to record.

    `facts`: the `commit` of the Hub, `against` (evaluation sets and how many problems each has, None: could not be
    loaded), how many problems were `contaminated`, how many `repeated`.
    """

    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    rejects: tuple[Reject, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Gathered:
    """What the rows so far have given."""

    sieve: Sieve
    limit: int | None
    problems: dict[str, Problem] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    golds: Counter[str] = field(default_factory=Counter)
    repeated: int = 0
    unwanted: int = 0

    def full(self, problem: Problem | None) -> bool:
        """Whether there is no room for a further problem."""
        return bool(problem and self.limit and len(self.problems) >= self.limit and problem.id not in self.problems)

    def take(self, number: int, parsed: Parsed, faults: Sequence[str] = ()) -> None:
        """Take a row in: as a new problem, as more solutions of a known one, or not at all; `faults`: of its labels."""
        problem = parsed.problem
        name = problem.id if problem else None
        self.rejects += (Reject(number, reason, name) for reason in (*parsed.reasons, *faults))
        if problem is None:
            return
        known = self.problems.get(problem.id)
        if known is None:
            self._add(number, problem, parsed)
        elif (known.text, known.gold) != (problem.text, problem.gold):
            self.rejects.append(Reject(number, "the id stands for another problem in an earlier row", problem.id))
        else:
            self.problems[problem.id] = joined = _joined(known, problem)
            self.repeated += joined is known

    def _add(self, number: int, problem: Problem, parsed: Parsed) -> None:
        if not self.sieve.passes(problem):
            self.unwanted += 1
        elif refusal := self.sieve.refusal(problem, number):
            self.rejects.append(Reject(number, refusal.reason, problem.id, refusal.match))
        else:
            self.problems[problem.id] = problem
            self.golds[parsed.gold_from or "none"] += 1
            if parsed.pass_rate is not None:
                self.rates[problem.id] = parsed.pass_rate

    def count(self, reason: str) -> int:
        """Return how many rows were left out for a reason."""
        return sum(reject.reason == reason for reject in self.rejects)

    def notes(self) -> Iterator[str]:
        """Say it, a line each."""
        found = ", ".join(f"{how} ({count})" for how, count in self.golds.items() if how != "none")
        if found:
            yield f"gold answers found {found}"
        if self.golds.get("none"):
            yield f"{self.golds['none']} problems have no gold answer: they can be judged, not graded or rolled out"
        if self.repeated:
            yield f"{self.repeated} rows repeat an earlier one and count once"
        if self.unwanted:
            yield f"{self.unwanted} rows are of another level"
        reasons = Counter(reject.reason for reject in self.rejects)
        first = {reject.reason: reject.row for reject in reversed(self.rejects)}
        for reason, count in reasons.most_common(5):
            yield f"left out: {reason} ({count}, the first in row {first[reason]})"


def gather(
    rows: Iterable[Numbered],
    dataset: str,
    where: str,
    mapping: Mapping[str, Names],
    *,
    limit: int | None = None,
    sieve: Sieve | None = None,
    blanks: Collection[str] = (),
) -> Loaded:
    """Make problems of rows. Rows with the same id, text and gold answer are one problem with all their solutions.

    Reading stops at the limit. `dataset` is for problems that do not name theirs, `where` for messages; a gold answer
    among `blanks` is none. Raises SourceError, and SettingError where the selection asks what the data does not say.
    """
    stream = iter(rows)
    first = list(itertools.islice(stream, PEEK))
    if not first:
        raise SourceError(f"{where}: holds no rows")
    kind = None if {"problem", "solutions"} & mapping.keys() else stepwise.recognise(first[0][1])
    columns = match([kind.plain(row) if kind else row for _, row in first], mapping, where)
    sieve = sieve or Sieve()
    whole = sieve.selection.whole
    gathered = _Gathered(sieve, None if whole else limit)
    for number, raw in itertools.chain(first, stream):
        row = kind.plain(raw) if kind else raw
        parsed = parse(row, columns, (kind and row_value(row, "dataset")) or dataset, blanks)
        if gathered.full(parsed.problem):
            break
        gathered.take(number, parsed, kind.faults(raw) if kind else ())
    sieve.check(where)
    if not gathered.problems:
        raise SourceError(_nothing(where, gathered))
    problems, told = selection.chosen(list(gathered.problems.values()), gathered.rates, sieve.selection, limit)
    if not problems:
        raise SourceError(f"{where}: no problem is left; {'; '.join(told)}")
    read = (f"read as {kind.name}: steps and labels are the dataset's own",) if kind else ()
    repeats, caught = gathered.count(selection.REPEATED), gathered.count(selection.CONTAMINATED)
    facts = {"contaminated": caught, "repeated": repeats}
    notes = (*read, columns.told(), *gathered.notes(), *told)
    return Loaded(tuple(problems), notes, tuple(gathered.rejects), facts)


def _joined(known: Problem, again: Problem) -> Problem:
    """Return `known` with the solutions that `again` adds; `known` itself where there are none."""
    added = tuple(given for given in again.given if given not in known.given)
    return replace(known, given=known.given + added) if added else known


def _nothing(where: str, gathered: _Gathered) -> str:
    """Say why there is no problem; were all of an unwanted level, `check` has said it."""
    first = gathered.rejects[0]
    match = f" ({first.match})" if first.match else ""
    return f"{where}: no row can be used; the first: row {first.row}: {first.reason}{match}"
