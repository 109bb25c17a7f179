"""Whether two values made of sines and cosines of known angles, and of square roots, are exactly equal.

Doubled, a sine or cosine of a rational multiple of pi is an algebraic integer of a real cyclotomic field, as is a
square root; its conjugates are at most 2. An integer of degree d whose conjugates are at most B is 0 or at least
B^(1-d) in size, since its norm is a whole number. So bounds that are small enough prove equality.
"""

import math
from fractions import Fraction

from stages.exact.algebra import ONE, PI, ROOT, Function, Monomial, Polynomial, Unclear, Value, atom, constant
from stages.exact.bounds import bounds

CIRCULAR = {"sin", "cos", "tan", "cot", "sec", "csc"}
ORDER = 2000  # of the largest cyclotomic field that is looked at


def written(name: str, given: Value) -> Value:
    """Write the circular functions by sine and cosine."""
    if name not in CIRCULAR:
        return atom(Function(name, given))
    sine, cosine, one = atom(Function("sin", given)), atom(Function("cos", given)), constant(1)
    return {
        "sin": sine,
        "cos": cosine,
        "tan": sine / cosine,
        "cot": cosine / sine,
        "sec": one / cosine,
        "csc": one / sine,
    }[name]


def identical(ours: Value, theirs: Value) -> bool:
    """Whether the values are certainly equal. Raises Unclear where their difference cannot be enclosed."""
    difference = (ours - theirs).above
    names = {name for monomial in difference for name, _ in monomial}
    orders = [_order(name) for name in names]
    if None in orders:
        return False
    order = math.lcm(4, *(one for one in orders if one is not None))
    if order > ORDER:
        return False
    try:
        return _vanishes(_without_quotients(difference, names), order)
    except (ArithmeticError, ValueError) as error:  # too large for a float
        raise Unclear from error


def _vanishes(whole: Polynomial, order: int) -> bool:
    """Whether a polynomial in atoms of that order is zero."""
    scale = math.lcm(*(Fraction(c).denominator for c in whole.values()))
    scale *= 2 ** max(sum(power for name, power in monomial if isinstance(name, Function)) for monomial in whole)
    largest = scale * sum(abs(float(c)) * _most(monomial) for monomial, c in whole.items())
    degree = sum(math.gcd(k, order) == 1 for k in range(order)) // 2
    low, high = bounds(Value(whole, ONE), {})
    return math.log(scale * max(-low, high)) < (1 - degree) * math.log(largest) - 1


def _order(name: str) -> int | None:
    """Return which roots of unity an atom is made of."""
    if name[0] == ROOT:
        return 4 * int(name[1:])
    if not isinstance(name, Function) or name.name not in {"sin", "cos"}:
        return None
    (angle,) = name.given
    if angle.below != ONE or list(angle.above) != [((PI, 1),)]:
        return None
    return Fraction(angle.above[((PI, 1),)] / Fraction(2)).denominator


def _without_quotients(part: Polynomial, names: set[str]) -> Polynomial:
    """Multiply by what stands below."""
    least = {name: min(dict(monomial).get(name, 0) for monomial in part) for name in names}
    return {
        tuple((name, power - least[name]) for name, power in _filled(monomial, names) if power > least[name]): c
        for monomial, c in part.items()
    }


def _filled(monomial: Monomial, names: set[str]) -> list[tuple[str, int]]:
    powers = dict(monomial)
    return [(name, powers.get(name, 0)) for name in sorted(names)]


def _most(monomial: Monomial) -> float:
    """Return how large the conjugates of a product can be."""
    return math.prod(math.sqrt(int(name[1:])) ** power for name, power in monomial if name[0] == ROOT) * 1.001
