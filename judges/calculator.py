"""What a written expression is worth: tokens become an exact interval of fractions, or `Unclear`.

Decimals may have been rounded and roots are irrational, so a value is an interval that surely holds it. Nesting, size
and exponents are bounded; nothing here evaluates text as code.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from math import comb, factorial, isqrt

from judges.notation import Token

_LONGEST = 200
_DEEPEST = 30
_BITS = 4096
_HIGHEST = 64
_SCALE = 10**15
_ROUNDING = Fraction(1, 50)
_FACTORS = frozenset("abkmntxyzABR")  # letters that multiply a bracket; others, as in f(x), may be functions
_PI = Fraction(3141592653589793, 10**15)


class Unclear(Exception):
    """The tokens are not an expression that is certainly understood, or it is too large."""


@dataclass(frozen=True, slots=True)
class Interval:
    """All values from `lo` to `hi`; exact where they are equal."""

    lo: Fraction
    hi: Fraction

    def __post_init__(self) -> None:
        for end in (self.lo, self.hi):
            if end.numerator.bit_length() > _BITS or end.denominator.bit_length() > _BITS:
                raise Unclear

    def __add__(self, other: "Interval") -> "Interval":
        return Interval(self.lo + other.lo, self.hi + other.hi)

    def __neg__(self) -> "Interval":
        return Interval(-self.hi, -self.lo)

    def __mul__(self, other: "Interval") -> "Interval":
        ends = [a * b for a in {self.lo, self.hi} for b in {other.lo, other.hi}]
        return Interval(min(ends), max(ends))

    def __truediv__(self, other: "Interval") -> "Interval":
        if other.lo <= 0 <= other.hi:
            raise Unclear
        return self * Interval(1 / other.hi, 1 / other.lo)

    def __pow__(self, exponent: int) -> "Interval":
        if abs(exponent) > _HIGHEST:
            raise Unclear
        if exponent < 0:
            return exactly(1) / self**-exponent
        ends = [self.lo**exponent, self.hi**exponent]
        within = [Fraction(0)] if self.lo < 0 < self.hi else []
        return Interval(min(ends + within), max(ends))

    def integer(self) -> int:
        """Return the one integer this is. Raises `Unclear` where it is another number, or not exact."""
        if self.lo != self.hi or self.lo.denominator != 1:
            raise Unclear
        return self.lo.numerator

    def root(self) -> "Interval":
        """Square root, exact for squares of fractions. Raises `Unclear` below zero."""
        if self.lo < 0:
            raise Unclear
        return Interval(_floor_root(self.lo, 0), _floor_root(self.hi, 1))


def _floor_root(value: Fraction, up: int) -> Fraction:
    above, below = isqrt(value.numerator), isqrt(value.denominator)
    if above * above == value.numerator and below * below == value.denominator:
        return Fraction(above, below)
    return Fraction(isqrt(value.numerator * _SCALE**2 // value.denominator) + up, _SCALE)


def exactly(value: Fraction | int) -> Interval:
    """Return the interval that holds one value."""
    return Interval(Fraction(value), Fraction(value))


@lru_cache(4096)
def literal(text: str) -> tuple[Fraction, int]:
    """Value of a number as written, thousands separators included, and how many decimals it shows."""
    digits = "".join(c for c in text if c in "0123456789.")
    if len(digits) > _LONGEST:
        raise Unclear
    return Fraction(digits), len(digits.partition(".")[2])


@lru_cache(4096)
def operand(text: str) -> Interval:
    """Read a number inside an expression: an integer is exact, a decimal may have been rounded at its last digit."""
    value, places = literal(text)
    slack = min(Fraction(1, 2 * 10**places), value * _ROUNDING) if places else Fraction(0)
    return Interval(value - slack, value + slack)


@dataclass(frozen=True, slots=True)
class Value:
    """Worth of an expression; `running` holds the results on the way there from the left, as on a pocket calculator.

    `doubtful`: it holds what some write and mean otherwise, `2^33` (2^3 times 3) or `60 / 3/4` (60 / (3/4)).
    """

    worth: Interval
    running: tuple[Interval, ...]
    doubtful: bool


def worth(items: Sequence[Token], percent: Fraction, symbols: Mapping[str, Fraction]) -> Value:
    """Evaluate all of `items`, where a % multiplies by `percent`. Raises `Unclear` (also on an unknown symbol)."""
    if not 0 < len(items) <= _LONGEST:
        raise Unclear
    reader = _Reader(items, percent, symbols)
    result = reader.total(0)
    if reader.at < len(items):
        raise Unclear
    return Value(result, tuple(reader.running), reader.doubtful)


@dataclass(slots=True)
class _Reader:
    """Recursive descent over the tokens; `at` is the next one."""

    items: Sequence[Token]
    percent: Fraction
    symbols: Mapping[str, Fraction]
    at: int = 0
    running: list[Interval] = field(default_factory=list)
    doubtful: bool = False

    def sees(self, kind: str, texts: str = "") -> bool:
        if self.at >= len(self.items):
            return False
        token = self.items[self.at]
        return token.kind == kind and (not texts or token.text in texts)

    def take(self, kind: str) -> Token:
        if not self.sees(kind):
            raise Unclear
        self.at += 1
        return self.items[self.at - 1]

    def total(self, depth: int) -> Interval:
        if depth > _DEEPEST:
            raise Unclear
        result = self.product(depth, first=True)
        while self.sees("op", "+-"):
            self._passed(result, depth)
            minus = self.take("op").text == "-"
            term = self.product(depth, first=False)
            result = result + (-term if minus else term)
        return result

    def _passed(self, result: Interval, depth: int) -> None:
        if depth == 0:
            self.running.append(result)

    def product(self, depth: int, *, first: bool) -> Interval:
        result = self.signed(depth)
        divided = False
        while (explicit := self.sees("op", "*/")) or self._side_by_side():
            if first:
                self._passed(result, depth)
            if divided and not explicit:
                raise Unclear  # 6/2(3) is read both ways
            again, divided = divided, explicit and self.take("op").text == "/"
            self.doubtful |= again and divided
            factor = self.signed(depth) if explicit else self.power(depth)
            result = result / factor if divided else result * factor
        return result

    def _side_by_side(self) -> bool:
        """See a product without a sign: 2(3), 2x, 3√2; `2 (3)` may be a remark and `2 1/2` a mixed number."""
        if self.at >= len(self.items):
            return False
        before, token = self.items[self.at - 1], self.items[self.at]
        if token.kind == "open":
            return not token.spaced and token.text != "{" and (before.kind != "symbol" or before.text in _FACTORS)
        return token.kind == "symbol" or (token.kind == "function" and token.text in ("sqrt", "pi"))

    def signed(self, depth: int) -> Interval:
        if not self.sees("op", "-"):
            return self.power(depth)
        self.take("op")
        start = self.at
        result = self.power(depth)
        if any(t.text == "^" for t in self.items[start : self.at]):
            raise Unclear  # -2^2 is read both ways
        return -result

    def power(self, depth: int) -> Interval:
        base = self.atom(depth)
        while self.sees("percent") or self.sees("factorial"):
            base = base * exactly(self.percent) if self.sees("percent") else _factorial(base)
            self.at += 1
        if not self.sees("op", "^"):
            return base
        self.take("op")
        exponent = self.group(depth) if self.sees("open") else self.unbraced()
        if self.sees("op", "^"):
            raise Unclear
        return base ** exponent.integer()

    def unbraced(self) -> Interval:
        """Read the number after a ^ or a root: of its digits LaTeX takes the first alone, people mostly mean all."""
        digits = self.take("number").text
        self.doubtful |= len(digits) > 1
        return operand(digits)

    def atom(self, depth: int) -> Interval:
        if self.sees("number"):
            return operand(self.take("number").text)
        if self.sees("symbol"):
            return self._symbol(self.take("symbol").text)
        if self.sees("function"):
            return _APPLY[self.take("function").text](self, depth)
        return self.group(depth)

    def _symbol(self, name: str) -> Interval:
        if name not in self.symbols:
            raise Unclear
        return exactly(self.symbols[name])

    def group(self, depth: int) -> Interval:
        opening = self.take("open").text
        result = self.total(depth + 1)
        if self.take("close").text != {"(": ")", "[": "]", "{": "}"}[opening]:
            raise Unclear
        return result


def _factorial(value: Interval) -> Interval:
    if not 0 <= value.integer() <= _HIGHEST:
        raise Unclear
    return exactly(factorial(value.integer()))


def _binomial(reader: _Reader, depth: int) -> Interval:
    above, below = reader.group(depth).integer(), reader.group(depth).integer()
    if not 0 <= below <= above <= 4 * _HIGHEST:
        raise Unclear
    return exactly(comb(above, below))


def _root(reader: _Reader, depth: int) -> Interval:
    inside = reader.unbraced() if reader.sees("number") else reader.group(depth)
    if reader.items[reader.at - 1].text == "]":
        raise Unclear  # an index, as in a cube root
    return inside.root()


_APPLY: Mapping[str, Callable[[_Reader, int], Interval]] = {
    "frac": lambda reader, depth: reader.group(depth) / reader.group(depth),
    "binom": _binomial,
    "sqrt": _root,
    "pi": lambda _reader, _depth: Interval(_PI, _PI + Fraction(1, _SCALE)),
}
