"""Where intervals end, and which interval an inequality says that a letter lies in."""

import math

from stages.exact.algebra import INFINITY, Unclear, atom, atoms, letters
from stages.exact.bounds import Bounds, bounds
from stages.exact.forms import Chain, Form, Row, Scalar
from stages.exact.scalars import sole_letter


def end(part: Row, side: int) -> Bounds:
    """Enclose one end of an interval."""
    one = part.items[side]
    if len(part.items) != 2 or part.brackets == "{}" or not isinstance(one, Scalar) or one.unit:
        raise Unclear
    if INFINITY in atoms(one.value):
        end = math.copysign(math.inf, next(iter(one.value.above.values())))
        return end, end
    return bounds(one.value, {})


def interval(chain: Chain) -> tuple[str, Row] | None:
    """Return the one letter of an inequality, and between which numbers it lies. Raises Unclear."""
    sides, signs = chain.sides, chain.signs
    if signs[0] in ">\u2265":
        sides, signs = sides[::-1], tuple("<" if sign == ">" else "\u2264" for sign in signs[::-1])
    names = [None if side.unit else sole_letter(side.value) for side in sides]
    at = next((at for at, name in enumerate(names) if name and name in letters({name})), None)
    if at is None or len(sides) > 3 or (len(sides) == 3 and at != 1):
        return None
    endless = Scalar(atom(INFINITY), (), rounded=False), Scalar(-atom(INFINITY), (), rounded=False)
    low, below = (sides[at - 1], signs[at - 1]) if at else (endless[1], "<")
    high, above = (sides[at + 1], signs[at]) if at + 1 < len(sides) else (endless[0], "<")
    row = Row(("(" if below == "<" else "[") + (")" if above == "<" else "]"), (low, high))
    if letters(atoms(low.value, high.value)) or end(row, 0)[1] >= end(row, 1)[0]:
        raise Unclear
    return str(names[at]), row


def plain(form: Form) -> Scalar:
    """Return a form that is a value. Raises Unclear for others."""
    if not isinstance(form, Scalar):
        raise Unclear
    return form
