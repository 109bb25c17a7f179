"""Between which two floating-point numbers a value certainly lies, so that two values may be told apart beyond doubt.

Interval arithmetic: every operation widens its result by more than it can be wrong.
"""

import math
from collections.abc import Callable, Mapping

from stages.exact.algebra import ONE, PI, ROOT, E, Function, Polynomial, Unclear, Value

Bounds = tuple[float, float]

_ULP = 2.0**-50  # relative, of one operation: eight times what IEEE promises, more than C libraries are wrong
_LEAST = 1e-300  # where floats lose digits
_ONE: Bounds = (1.0, 1.0)


def bounds(value: Value, at: Mapping[str, float]) -> Bounds:
    """Enclose a value, each letter at the point given for it. Raises Unclear where that cannot be done."""
    try:
        above = _polynomial(value.above, at)
        return above if value.below == ONE else _times(above, _inverse(_polynomial(value.below, at)))
    except (ArithmeticError, ValueError) as error:  # too large for a float, or outside a function's domain
        raise Unclear from error


def _polynomial(part: Polynomial, at: Mapping[str, float]) -> Bounds:
    total: Bounds = (0.0, 0.0)
    for monomial, c in part.items():
        term = _wide(float(c), float(c))
        for name, exponent in monomial:
            term = _times(term, _power(_atom(name, at), exponent))
        total = _wide(total[0] + term[0], total[1] + term[1])
    return total


def _atom(name: str, at: Mapping[str, float]) -> Bounds:
    if isinstance(name, Function):
        return _FUNCTIONS[name.name](*(bounds(value, at) for value in name.given))
    if name in _KNOWN:
        return _wide(_KNOWN[name], _KNOWN[name])
    if name[0] == ROOT:
        size = math.sqrt(int(name[1:]))
        return _wide(size, size)
    if name not in at:
        raise Unclear
    return at[name], at[name]


_KNOWN = {PI: math.pi, E: math.e}


def _wide(low: float, high: float) -> Bounds:
    if not (math.isfinite(low) and math.isfinite(high)):
        raise Unclear
    return low - abs(low) * _ULP - _LEAST, high + abs(high) * _ULP + _LEAST


def _times(left: Bounds, right: Bounds) -> Bounds:
    products = [a * b for a in left for b in right]
    return _wide(min(products), max(products))


def _inverse(of: Bounds) -> Bounds:
    if of[0] <= 0 <= of[1]:
        raise Unclear
    return _wide(1 / of[1], 1 / of[0])


def _power(base: Bounds, exponent: int) -> Bounds:
    result = _ONE
    for _ in range(abs(exponent)):
        result = _times(result, base)
    return result if exponent >= 0 else _inverse(result)


def _rising(function: Callable[[float], float]) -> Callable[[Bounds], Bounds]:
    return lambda x: _wide(function(x[0]), function(x[1]))


def _wave(function: Callable[[float], float]) -> Callable[[Bounds], Bounds]:
    """Sine or cosine, whose slope is at most 1."""

    def enclosed(x: Bounds) -> Bounds:
        middle = (x[0] + x[1]) / 2
        reach = (x[1] - x[0]) * (1 + _ULP) + _ULP
        return _wide(function(middle) - reach, function(middle) + reach)

    return enclosed


def _raised(base: Bounds, exponent: Bounds) -> Bounds:
    return _FUNCTIONS["exp"](_times(exponent, _FUNCTIONS["ln"](base)))


_FUNCTIONS: dict[str, Callable[..., Bounds]] = {
    "sin": _wave(math.sin),
    "cos": _wave(math.cos),
    "arcsin": _rising(math.asin),
    "arctan": _rising(math.atan),
    "sinh": _rising(math.sinh),
    "exp": _rising(math.exp),
    "ln": _rising(math.log),
    "pow": _raised,
}
