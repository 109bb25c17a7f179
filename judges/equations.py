"""A judge without a model: which equalities a step states that can be checked, and whether they hold.

Only an equality between closed numeric expressions can be called false; one with variables may be a condition, so it
is confirmed (identity) or left alone. Where a reading is in doubt (rounding, units, percentages, prose around the
numbers) there is no opinion: that a claim of error is right matters more than how many are made.
"""

# ruff: noqa: SIM905 - a list of words reads best as words

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import Literal

from data.records import NO_ERROR, Trace, Verdict
from judges.calculator import Interval, Unclear, Value, literal, worth
from judges.doubts import distant, otherwise
from judges.notation import Token, tokens
from judges.quantities import beginning, calculates, ending, per_unit, plain

NOTHING_TO_CHECK = "no checkable equality"
TOO_LONG = "too long to check"
OWN_SIGN = "the problem gives a sign a meaning of its own"
UNCHECKED_BEFORE = "a false equality, but steps before it are unchecked"

Finding = Literal["holds", "false", "unclear"]

_OWN_SIGN = re.compile(r"[a-zA-Z]\s?\*\s?[a-zA-Z]\s?=|\\boxed")  # a * b = 2a + 3b
_MARK = re.compile(r"<<([^<>\n]{0,200})>>")
_DOUBT = frozenset(
    "not false contradiction contradicts impossible incorrect wrong cannot doesn't isn't can't don't mod modulo "
    "\\mod \\pmod \\bmod \\equiv ≡ \\neq \\ne ≠ != congruent base binary octal hexadecimal approximately about roughly "
    "rounded rounding round nearest estimate estimated almost nearly digit digits".split()
)
_LONGEST = 50_000  # reading takes linear time, about 1 s for this much of the worst text
_WHOLE = 8 * _LONGEST  # of a solution
_APPROXIMATE = 3  # decimals from which a result is taken to 0.1 % only
_HUNDREDTH = Fraction(1, 100)


@dataclass(frozen=True, slots=True)
class Equality:
    """Two neighbouring sides of an equation, as read."""

    left: str
    right: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class Equations:
    """The symbolic judge."""

    fingerprint: str = "equations/5"

    def read(self, trace: Trace) -> Verdict:
        """First step with a false equality, where one was checked in every step before it; -1 where all checked hold.

        A false equality after unchecked steps leaves the first error open: its step is in `votes`, no more. A solution
        of more than 400,000 characters is not read, nor that of a problem which says what * or a box shall mean.
        """
        if _OWN_SIGN.search(trace.problem):
            return Verdict(None, (None,), OWN_SIGN)
        if sum(map(len, trace.steps)) > _WHOLE:
            return Verdict(None, (None,), TOO_LONG)
        checked = 0
        for index, step in enumerate(trace.steps):
            findings = {equality.finding for equality in equalities(step)}
            if "false" in findings:
                return Verdict(index, (index,)) if checked == index else Verdict(None, (index,), UNCHECKED_BEFORE)
            checked += "holds" in findings
        return Verdict(NO_ERROR, (NO_ERROR,)) if checked else Verdict(None, (None,), NOTHING_TO_CHECK)


def equalities(step: str) -> list[Equality]:
    """Every equality the text states; a GSM8K calculator mark `<<16-3=13>>` counts as one.

    None is called false in a text that tries out a condition, or speaks of remainders or rounding; none is read in
    a text of more than 50,000 characters.
    """
    if "=" not in step or len(step) > _LONGEST:
        return []
    prose, marks = tokens(_MARK.sub("", step)), tokens("\n".join(_MARK.findall(step)))
    pairs = [*_pairs(prose), *_pairs(marks)]
    found = [Equality(_text(left), _text(right), _compare(left, right)) for left, right in pairs]
    if _doubtful(prose) or any(_contradict(left, right) for left, right in pairs):
        return [replace(one, finding="unclear") if one.finding == "false" else one for one in found]
    return found


def _pairs(found: Sequence[Token]) -> Iterator[tuple[list[Token], list[Token]]]:
    for sentence in _split(found, "stop"):
        for clause in _split(sentence, "break"):
            yield from _neighbours(clause)


def _split(found: Sequence[Token], kind: str) -> Iterator[list[Token]]:
    part: list[Token] = []
    for token in found:
        if token.kind == kind:
            yield part
            part = []
        else:
            part.append(token)
    yield part


def _neighbours(clause: Sequence[Token]) -> Iterator[tuple[list[Token], list[Token]]]:
    """Pairs of sides with = between them; a chain a = b = c has two."""
    left: list[Token] = []
    right: list[Token] = []
    equated = False
    for token in (*clause, Token("relation", "")):
        if token.kind not in ("equals", "relation"):
            right.append(token)
            continue
        if equated:
            yield left, right
        left, right, equated = right, [], token.kind == "equals"


def _text(side: Sequence[Token]) -> str:
    return "".join(" " * token.spaced + token.text for token in side).strip()[:200]


def _doubtful(found: Sequence[Token]) -> bool:
    texts = (plain(token) for token in found if token.kind in ("word", "poison", "relation"))
    return any(text in _DOUBT for text in texts)


def _contradict(left: Sequence[Token], right: Sequence[Token]) -> bool:
    """Two different bare numbers set equal, as in -3 = 1: what came before was a condition, and it failed."""
    try:
        if calculates(left) or calculates(right) or any(token.kind == "word" for token in (*left, *right)):
            return False
        return not _meet(worth(left, _HUNDREDTH, {}).worth, worth(right, _HUNDREDTH, {}).worth)
    except Unclear:
        return False


def _compare(left: Sequence[Token], right: Sequence[Token]) -> Finding:
    try:
        before, after = ending(left), beginning(right)
        if any(token.kind == "symbol" for token in (*before, *after)):
            return _identity(before, after)
        finding = _closed(before, after)
        doubtful = finding == "false" and (otherwise(left, right, before, after) or _apart(left, right, before, after))
    except Unclear:
        return "unclear"
    return "unclear" if doubtful else finding


def _apart(left: Sequence[Token], right: Sequence[Token], before: Sequence[Token], after: Sequence[Token]) -> bool:
    """Whether the numbers of a false equality are apart in a way that another reading explains."""
    if _lone(after) == "1" and per_unit(left):
        return True
    one, other = worth(before, _HUNDREDTH, {}).worth.lo, worth(after, _HUNDREDTH, {}).worth.lo
    return _headed(before, after) or distant(left, right, before, one, other)


def _headed(left: Sequence[Token], right: Sequence[Token]) -> bool:
    """Whether all holds but for a number and a dash before it: 9 - 3 + 4 = 7, the ninth step."""
    begun = left[0].kind == "number" and left[1].text == "-" and _lone(right) is not None
    return begun and calculates(left[2:]) and _closed(left[2:], right) == "holds"


def _identity(left: Sequence[Token], right: Sequence[Token]) -> Finding:
    """Confirm an equality with variables at exact rational points (Schwartz-Zippel); never refute it."""
    names = sorted({token.text for token in (*left, *right) if token.kind == "symbol"})
    for shift in (2, 5, 11):
        point = {name: Fraction(7 * i + shift, 3 + i) for i, name in enumerate(names)}
        one, other = worth(left, _HUNDREDTH, point).worth, worth(right, _HUNDREDTH, point).worth
        if one != other or one.lo != one.hi:
            return "unclear"
    return "holds"


def _closed(left: Sequence[Token], right: Sequence[Token]) -> Finding:
    findings = {_same(left, right, *reading) for reading in product(_percents(left), _percents(right))}
    if "holds" in findings:
        return "holds"
    return "false" if findings == {"false"} and calculates(left) else "unclear"


def _percents(side: Sequence[Token]) -> tuple[Fraction, ...]:
    """List what a % may stand for: a hundredth, or a mere unit (20/50 * 100 = 40%)."""
    return (_HUNDREDTH, Fraction(1)) if any(token.kind == "percent" for token in side) else (Fraction(1),)


def _same(left: Sequence[Token], right: Sequence[Token], left_percent: Fraction, right_percent: Fraction) -> Finding:
    one, other = worth(left, left_percent, {}), worth(right, right_percent, {})
    if _meet(_rounded(left, one, left_percent), _rounded(right, other, right_percent)):
        return "holds"
    if any(_meet(one.worth, passed) for passed in other.running):
        return "unclear"  # 16 - 3 = 13 - 4 = 9: a slip of style, every value is right
    if _meet(one.worth, -other.worth):
        return "unclear"  # 1800 - 2000 = 200 less
    doubtful = one.doubtful or other.doubtful or _to_integer(left, one, other) or _to_integer(right, other, one)
    return "unclear" if doubtful else "false"


def _meet(one: Interval, other: Interval) -> bool:
    return one.lo <= other.hi and other.lo <= one.hi


def _lone(side: Sequence[Token]) -> str | None:
    """Text of the one number a side consists of, its sign, percent sign and box aside."""
    inner = [token for token in side if token.kind != "percent" and token.text not in ("-", "{", "}")]
    return inner[0].text if len(inner) == 1 and inner[0].kind == "number" else None


def _rounded(side: Sequence[Token], value: Value, percent: Fraction) -> Interval:
    """Widen a decimal standing alone, a result: rounded or cut at its last digit, and inexact where it is long."""
    number = _lone(side)
    places = literal(number)[1] if number else 0
    middle = (value.worth.lo + value.worth.hi) / 2
    slack = max(percent / 10**places, abs(middle) / 1000 if places >= _APPROXIMATE else 0)
    return Interval(middle - slack, middle + slack) if places else value.worth


def _to_integer(side: Sequence[Token], value: Value, other: Value) -> bool:
    """Whether a lone integer may be the other side, rounded: 100/3 = 33."""
    exact = other.worth.lo == other.worth.hi and other.worth.lo.denominator == 1
    near = Interval(other.worth.lo - 1, other.worth.hi + 1)
    return "." not in (_lone(side) or ".") and not exact and _meet(value.worth, near)
