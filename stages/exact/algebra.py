"""Exact values of what answers are made of: quotients of polynomials with rational coefficients in atoms.

Letters, pi, i and the square roots of primes are independent of each other, so of two such quotients cross-multiplying
decides whether they are equal. A function of something (a sine, a cube root) is an atom too, about which only this is
known: the same function of the same is the same, and `bounds` says where it lies. Everything is bounded in size.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Self

TERMS = 48  # of a polynomial
DEGREE = 64  # of one of its terms
BITS = 4096  # of a coefficient's numerator or denominator
SPELLED = 2000  # characters of a function of something
TRIED = 1000  # primes up to here are looked for under a square root
PI, IMAGINARY, E, INFINITY = "\u03c0", "i", "e", "\u221e"
ROOT = "\u221a"

Rational = int | Fraction
Monomial = tuple[tuple[str, int], ...]  # atoms, sorted, with their exponents
Polynomial = dict[Monomial, Rational]

ONE: Polynomial = {(): 1}


class Unclear(Exception):
    """What was written cannot be read with certainty, or is too large."""


@dataclass(frozen=True, slots=True)
class Value:
    """The quotient of two polynomials; the lower one is never zero."""

    above: Polynomial
    below: Polynomial

    def __add__(self, other: "Value") -> "Value":
        if self.below == other.below:
            return Value(_sum(self.above, other.above), self.below)
        crossed = _sum(_product(self.above, other.below), _product(other.above, self.below))
        return Value(crossed, _product(self.below, other.below))

    def __neg__(self) -> "Value":
        return Value({monomial: -c for monomial, c in self.above.items()}, self.below)

    def __sub__(self, other: "Value") -> "Value":
        return self + -other

    def __mul__(self, other: "Value") -> "Value":
        return Value(_product(self.above, other.above), _product(self.below, other.below))

    def __truediv__(self, other: "Value") -> "Value":
        """Raise Unclear for a division by zero."""
        if len(other.above) == 1:
            ((monomial, c),) = other.above.items()
            inverse, scale = _join(tuple((atom, -power) for atom, power in monomial), ())
            return self * Value(_product(other.below, {inverse: scale / Fraction(c)}), ONE)
        if not other.above:
            raise Unclear
        return Value(_product(self.above, other.below), _product(self.below, other.above))

    def __pow__(self, power: int) -> "Value":
        if power < 0:
            return constant(1) / self**-power
        c = self.rational()
        if c is not None:
            return constant(_bounded(c, power) ** power)
        if power > DEGREE:
            raise Unclear
        result = constant(1)
        for _ in range(power):
            result *= self
        return result

    def rational(self) -> Rational | None:
        """Return the value where it is a rational number."""
        if self.below != ONE or len(self.above) > 1:
            return None
        return self.above.get((), None if self.above else 0)


class Function(str):
    """An atom that is a function of values; spelled by its name and theirs."""

    __slots__ = ("given", "name")
    name: str
    given: tuple[Value, ...]

    def __new__(cls, name: str, *given: Value) -> Self:
        """Raise Unclear where the spelling is too long."""
        spelling = f"{name}({','.join(map(spelled, given))})"
        if len(spelling) > SPELLED:
            raise Unclear
        function = super().__new__(cls, spelling)
        function.name, function.given = name, given
        return function


def constant(c: Rational) -> Value:
    """Return a rational number as a value."""
    return Value({(): c} if c else {}, ONE)


def atom(name: str) -> Value:
    """Return a letter, pi, i or a function as a value."""
    return Value({((name, 1),): 1}, ONE)


def same(ours: Value, theirs: Value) -> bool:
    """Whether the quotients are identical: then the values are equal."""
    if ours.below == theirs.below:
        return ours.above == theirs.above
    return _product(ours.above, theirs.below) == _product(theirs.above, ours.below)


def atoms(*values: Value) -> set[str]:
    """All atoms of values, those inside functions among them."""
    found: set[str] = set()
    left = [*values]
    while left:
        value = left.pop()
        for name in {name for part in (value.above, value.below) for monomial in part for name, _ in monomial}:
            if name not in found:
                found.add(name)
                left.extend(name.given if isinstance(name, Function) else ())
    return found


def letters(names: Iterable[str]) -> set[str]:
    """Those atoms that may stand for any number."""
    return {name for name in names if not isinstance(name, Function) and name not in _FIXED and name[0] != ROOT}


def independent(names: set[str]) -> bool:
    """Whether quotients in these atoms are equal only if identical. Of pi and e together nobody knows."""
    return not any(isinstance(name, Function) for name in names) and not {PI, E} <= names


def put(value: Value, name: str, other: Value) -> Value:
    """Put a value in the place of an atom, but not inside functions."""
    above, below = (
        sum(
            (
                Value({tuple(pair for pair in monomial if pair[0] != name): c}, ONE)
                * other ** dict(monomial).get(name, 0)
                for monomial, c in part.items()
            ),
            constant(0),
        )
        for part in (value.above, value.below)
    )
    return above / below


def root(value: Value, n: int = 2) -> Value:
    """Return the positive nth root. Raises Unclear for a root that has several readings, or has none."""
    c = value.rational()
    if c is None:
        return atom(Function("pow", value, constant(Fraction(1, n))))
    c = Fraction(c)
    if n == 2:
        size = _square_root(abs(c.numerator * c.denominator)) / constant(c.denominator)
        return size * atom(IMAGINARY) if c < 0 else size
    if c < 0 or not 1 < n <= DEGREE:
        raise Unclear
    above, below = (_whole_root(part, n) for part in (c.numerator, c.denominator))
    if above is None or below is None:
        return atom(Function("pow", value, constant(Fraction(1, n))))
    return constant(Fraction(above, below))


def power(base: Value, exponent: Value) -> Value:
    """Return base to the exponent: a product, a root, or a function of both where that is none or too large."""
    c = exponent.rational()
    if base == constant(1) or c is None:
        return base if base == constant(1) else atom(Function("pow", base, exponent))
    c = Fraction(c)
    if not base.above and c <= 0:
        raise Unclear
    if c.denominator == 1:
        try:
            return base**c.numerator
        except Unclear:
            return atom(Function("pow", base, exponent))
    return root(base, c.denominator) ** c.numerator


_FIXED = {PI, E, IMAGINARY, INFINITY}


def _sum(left: Polynomial, right: Polynomial) -> Polynomial:
    result = dict(left)
    for monomial, c in right.items():
        result[monomial] = result.get(monomial, 0) + c
    return _kept(result)


def _product(left: Polynomial, right: Polynomial) -> Polynomial:
    if left == ONE:
        return right
    if right == ONE:
        return left
    result: Polynomial = {}
    for ours, c in left.items():
        for theirs, d in right.items():
            monomial, scale = _join(ours, theirs)
            result[monomial] = result.get(monomial, 0) + c * d * scale
    return _kept(result)


def _kept(result: Polynomial) -> Polynomial:
    kept = {monomial: c for monomial, c in result.items() if c}
    if len(kept) > TERMS or any(
        max(c.numerator.bit_length(), c.denominator.bit_length()) > BITS for c in kept.values()
    ):
        raise Unclear
    return kept


@lru_cache(maxsize=1 << 12)
def _join(left: Monomial, right: Monomial) -> tuple[Monomial, Rational]:
    """Multiply two monomials: what is left of the squares of roots and of i is a factor."""
    powers = dict(left)
    for name, exponent in right:
        powers[name] = powers.get(name, 0) + exponent
    scale: Rational = 1
    for name, exponent in powers.items():
        if name[0] == ROOT:
            squares, powers[name] = divmod(exponent, 2)
            scale *= Fraction(int(name[1:])) ** squares
        elif name == IMAGINARY:
            halves, powers[name] = divmod(exponent, 2)
            scale *= -1 if halves % 2 else 1
    if sum(map(abs, powers.values())) > DEGREE:
        raise Unclear
    return tuple(sorted((name, exponent) for name, exponent in powers.items() if exponent)), scale


def _bounded(c: Rational, power: int) -> Rational:
    if max(c.numerator.bit_length(), c.denominator.bit_length()) * power > BITS and abs(c) not in (0, 1):
        raise Unclear
    return c


def _square_root(n: int) -> Value:
    """Split a square root into whole and prime parts. Raises Unclear where no small primes do."""
    outside, primes, p = 1, [], 2
    while p * p <= n and p < TRIED:
        while n % (p * p) == 0:
            n //= p * p
            outside *= p
        if n % p == 0:
            n //= p
            primes.append(p)
        p += 1
    whole = math.isqrt(n)
    if whole * whole == n:
        outside *= whole
    elif n < TRIED**2:
        primes.append(n)
    else:
        raise Unclear
    if outside == 0:
        return constant(0)
    return Value({tuple(sorted((f"{ROOT}{p}", 1) for p in primes)): outside}, ONE)


def _whole_root(n: int, degree: int) -> int | None:
    """Return the integer whose power is n, by bisection."""
    low, high = 0, 1 << (n.bit_length() // degree + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**degree <= n else (low, middle - 1)
    return low if low**degree == n else None


def spelled(value: Value) -> str:
    """Return a text that is the same for identical values alone."""
    return ":".join("+".join(sorted(map(_term, part.items()))) for part in (value.above, value.below))


def _term(item: tuple[Monomial, Rational]) -> str:
    return f"{item[1]}{''.join(f'*{name}^{exponent}' for name, exponent in item[0])}"
