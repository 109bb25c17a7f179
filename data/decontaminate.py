"""Which problems are also in an evaluation set, as they stand there, in other writing, or inside a longer text.

A problem is found where its normal form equals one of the set; or where runs of `RUN` words that both have cover, of
one of the set, at least `SHARE` of its words and at least `LEAST` (all, of a shorter one), and all its numbers are in
both. docs/datasets.md says what this finds and what it does not. Only the evaluation sets are kept in memory; a problem
costs time linear in its length.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from data import normal
from data.records import Problem

RUN: Final = 8
SHARE: Final = 0.7
LEAST: Final = 13
_PLAIN: Final = 20  # words without which a problem is nothing but its figure
_COMMON: Final = 50  # evaluation problems that share a run of words: more, and it is a phrase, which tells nothing
_SHOWN: Final = 60  # characters of a problem that is told of


@dataclass(slots=True)
class Held:
    """A problem of evaluation sets: their names, its id in the first, how it starts, its words, and its numbers."""

    sets: list[str]
    id: str
    start: str
    words: int
    numbers: Counter[str]

    def __str__(self) -> str:
        return f"{', '.join(self.sets)}: {self.id}: {self.start}"


@dataclass(slots=True)
class Index:
    """Evaluation sets, to look problems up in: whole ones by their normal form, and runs of words by their hash."""

    held: list[Held] = field(default_factory=list)
    _whole: dict[str, int] = field(default_factory=dict)
    _runs: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def add(self, name: str, problems: Iterable[Problem]) -> int:
        """Take in an evaluation set; return how many problems it has."""
        count = 0
        for problem in problems:
            self._take(name, problem)
            count += 1
        return count

    def find(self, text: str) -> Held | None:
        """Return the problem of an evaluation set that `text` is or holds."""
        tokens = normal.tokens(text)
        whole = self._whole.get(normal.joined(tokens))
        if whole is not None:
            return self.held[whole]
        bare = normal.without_figures(text)
        found = self._inside(normal.words(tokens))
        return found if found or bare is text else self._inside(normal.words(normal.tokens(bare)))

    def _inside(self, words: Sequence[str]) -> Held | None:
        """Return the problem that is most wholly among these words, with all its numbers."""
        near = sorted((-share, row) for row, share in self._covered(words))
        numbers = _numbers(words) if near else Counter[str]()
        return next((self.held[row] for _, row in near if self.held[row].numbers <= numbers), None)

    def _covered(self, words: Sequence[str]) -> Iterator[tuple[int, float]]:
        """Yield each problem of which enough is covered by runs of these words, and the share that is."""
        covered: dict[int, tuple[int, int]] = {}  # of each problem met: words covered, and where they end
        for start, run in enumerate(_runs(words)):
            rows = self._runs.get(run, ())
            for row in rows if len(rows) <= _COMMON else ():
                count, end = covered.get(row, (0, 0))
                covered[row] = count + start + RUN - max(start, end), start + RUN
        for row, (count, _) in covered.items():
            total = self.held[row].words
            if count >= max(min(LEAST, total), SHARE * total):
                yield row, count / total

    def _take(self, name: str, problem: Problem) -> None:
        tokens = normal.tokens(problem.text)
        known = self._whole.setdefault(normal.joined(tokens), len(self.held))
        if known < len(self.held):
            self.held[known].sets += [name] if name not in self.held[known].sets else []
            return
        bare = normal.words(normal.tokens(normal.without_figures(problem.text)))
        words = bare if len(bare) >= _PLAIN else normal.words(tokens)
        start = " ".join(problem.text[:_SHOWN].split())
        self.held.append(Held([name], problem.id, start, len(words), _numbers(words)))
        for run in set(_runs(words)):
            rows = self._runs.get(run, ())
            if len(rows) <= _COMMON:
                self._runs[run] = (*rows, known)


def _runs(words: Sequence[str]) -> Iterator[int]:
    return (hash(tuple(words[start : start + RUN])) for start in range(len(words) - RUN + 1))


def _numbers(words: Sequence[str]) -> Counter[str]:
    return Counter(word for word in words if word[0] in "0123456789.")
