"""Where a solution's text is cut into steps; `"".join(split(text)) == text`, always.

A separator belongs to the end of the step it follows; no step is blank: whitespace joins the step before it, at the
start the first step. "blank", "newline", "sentence" and "marker" never cut inside closed code fences and closed
display maths ("sentence" nor inside inline maths). What is never closed protects nothing. All is linear in the text.
"""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from data.errors import SettingError, nearest

Tokenize = Callable[[str], Iterable[int]]


class Splitter(Protocol):
    """A way to split: frozen, picklable where its parts are."""

    def cuts(self, text: str) -> Iterable[int]:
        """Offsets, rising, at which a new step may start."""
        ...


@dataclass(frozen=True, slots=True)
class Separators:
    """Cuts after every match of a trusted pattern; a match of no width cuts where it stands."""

    pattern: re.Pattern[str]

    def cuts(self, text: str) -> Iterator[int]:
        """Give the end of every match."""
        return (match.end() for match in self.pattern.finditer(text))


@dataclass(frozen=True, slots=True)
class Sentences:
    """Cuts after sentences and blank lines, not after abbreviations, initials, list numbers and ellipses."""

    def cuts(self, text: str) -> Iterator[int]:
        """Give the start of every sentence but the first."""
        ends = (match for match in _SENTENCE.finditer(text) if match["stop"] is None or _ends(text, match))
        return (match.end() for match in ends)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Cuts before every `size`-th token; `tokenize` gives the offset at which each token starts (default: words)."""

    size: int
    tokenize: Tokenize | None = None

    def cuts(self, text: str) -> list[int]:
        """Give the starts of tokens number `size`, twice `size`, and so on."""
        starts = self.tokenize(text) if self.tokenize else (match.start() for match in _WORD.finditer(text))
        return list(starts)[self.size :: self.size]


@dataclass(frozen=True, slots=True)
class Guarded:
    """Another splitter's cuts, less those inside code fences and display maths; `inline`: inline maths, too."""

    inner: Splitter
    inline: bool = False

    def cuts(self, text: str) -> Iterator[int]:
        """Give the inner splitter's cuts that lie in no protected span, or at its edge."""
        spans = list(_protected(text, inline=self.inline))
        starts = [start for start, _ in spans]
        for cut in self.inner.cuts(text):
            span = bisect_right(starts, cut - 1) - 1
            if span < 0 or cut >= spans[span][1]:
                yield cut


_BLANK = re.compile(r"\n(?:[^\S\n]*\n)+")
_NEWLINE = re.compile(r"\n")
_MARKER = re.compile(
    r"^(?=[ \t]*(?:step[ \t]+\d+[ \t]*[:.)]|(?:\#{1,6}|\*\*|__)[ \t]*(?:\*\*|__)?[ \t]*step[ \t]+\d+\b))",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCE = re.compile(r"\n(?:[^\S\n]*\n)+|(?<![.!?])(?P<stop>[.!?]++)[\"'\u201d\u2019)\]*_]*+\s++(?![=+*/<>^,;)])")
_ABBREVIATED = re.compile(
    r"(?i:\b(?:e\.g|i\.e|etc|cf|vs|resp|approx|mr|mrs|ms|dr|prof|st|fig|eq|eqn|def|thm|w\.r\.t|a\.m|p\.m))$"
    r"|\b[A-Z]$|(?:^[ \t]*|(?<=[.!?;]\s))[*#_(]*\d{1,4}$",
    re.MULTILINE,
)
_WORD = re.compile(r"\w+|[^\w\s]")
_DELIMITER = re.compile(
    r"^[ \t]*+(?P<fence>`{3,}+|~{3,}+)(?P<info>[^`\n]*+)$"
    r"|\\(?P<edge>begin|end)\{(?!(?:document|proof|solution|center|enumerate|itemize)\})(?P<name>[^{}\s]{1,40})\}"
    r"|\\(?P<bracket>[\[\]()])|\\.|(?P<dollars>\$\$?)|\n",
    re.MULTILINE,
)

BLANK = Guarded(Separators(_BLANK))
NAMED: dict[str, Splitter] = {
    "blank": BLANK,
    "newline": Guarded(Separators(_NEWLINE)),
    "sentence": Guarded(Sentences(), inline=True),
    "marker": Guarded(Separators(_MARKER)),
}


def named(spec: str, tokenize: Tokenize | None = None) -> Splitter:
    """Parse "blank", "newline", "sentence", "marker", "tokens:N" or "regex:PATTERN". Raises SettingError."""
    kind, _, argument = spec.partition(":")
    if kind == "tokens" and argument.isascii() and argument.isdigit() and int(argument):
        return Tokens(int(argument), tokenize)
    if kind == "regex" and argument:
        return Separators(_compiled(argument))
    if kind in {"tokens", "regex"}:
        wanted = "a number above 0, as in tokens:64" if kind == "tokens" else "a pattern, as in regex:;\\s*"
        raise SettingError(f"split = {spec!r}: {kind} takes {wanted}")
    if spec not in NAMED:
        meant = nearest(kind, [*NAMED, "tokens", "regex"])
        there = f"did you mean {meant!r}?" if meant else f"there are {', '.join(NAMED)}, tokens:N, regex:PATTERN"
        raise SettingError(f"split = {spec!r} is unknown; {there}")
    return NAMED[spec]


def split(text: str, splitter: Splitter = BLANK) -> tuple[str, ...]:
    """Cut a text into steps that join to it again; a blank text has none."""
    edges = pairwise((0, *_between(splitter.cuts(text), len(text)), len(text)))
    starts = [start for start, end in edges if text[start:end].strip()]
    if not starts:
        return ()
    return tuple(text[start:end] for start, end in pairwise((0, *starts[1:], len(text))))


def _between(cuts: Iterable[int], length: int) -> Iterator[int]:
    """Keep the cuts that rise and lie inside the text: a caller's tokenizer may give others."""
    last = 0
    for cut in cuts:
        if last < cut < length:
            yield cut
            last = cut


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.MULTILINE)
    except re.error as error:
        raise SettingError(f"split = 'regex:{pattern}': not a regular expression: {error}") from error


def _ends(text: str, end: re.Match[str]) -> bool:
    """Whether a stop ends a sentence, judged by itself and by the word before it."""
    start = end.start("stop")
    if end["stop"] != ".":
        return ".." not in end["stop"]
    return _ABBREVIATED.search(text, max(0, start - 16), start) is None


@dataclass(frozen=True, slots=True)
class _Mark:
    """A delimiter: what would close it if it opens a span, what it closes if it closes one."""

    opens: str | None
    closes: str | None
    start: int
    end: int


def _protected(text: str, *, inline: bool) -> Iterator[tuple[int, int]]:
    """Give the outermost closed spans, in order."""
    marks = list(_marks(text, inline=inline))
    closers = _closers(marks)
    reach = 0
    for mark, closer in zip(marks, closers, strict=True):
        if closer is not None and mark.start >= reach:
            reach = marks[closer].end
            yield mark.start, reach


def _closers(marks: list[_Mark]) -> list[int | None]:
    """Give for each mark the index of the one that closes it: one walk from the end, nested pairs on stacks."""
    later: defaultdict[str, list[int]] = defaultdict(list)
    closers: list[int | None] = [None] * len(marks)
    for at in range(len(marks) - 1, -1, -1):
        mark = marks[at]
        if mark.opens and later[mark.opens]:
            closers[at] = later[mark.opens][-1] if mark.closes else later[mark.opens].pop()
        if mark.closes == "\n":
            later["$"].clear()
        elif mark.closes:
            later[mark.closes].append(at)
    return closers


def _marks(text: str, *, inline: bool) -> Iterator[_Mark]:
    for match in _DELIMITER.finditer(text):
        opens, closes = _roles(text, match)
        if (opens or closes) and (inline or not {opens, closes} & {"$", ")", "\n"}):
            yield _Mark(opens, closes, *match.span())


def _roles(text: str, match: re.Match[str]) -> tuple[str | None, str | None]:
    """Tell what closes the span that a delimiter opens, and what it closes itself."""
    if fence := match["fence"]:
        return fence, None if match["info"].strip() else fence
    if name := match["name"]:
        return (name, None) if match["edge"] == "begin" else (None, name)
    if bracket := match["bracket"]:
        return ({"[": "]", "(": ")"}.get(bracket), bracket if bracket in "])" else None)
    if match["dollars"] == "$":
        before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        opens = bool(after) and not after.isspace()
        closes = bool(before) and not before.isspace() and not after.isdigit()
        return "$" if opens else None, "$" if closes else None
    return match["dollars"], match["dollars"] or ("\n" if match[0] == "\n" else None)
