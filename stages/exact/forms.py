"""What an answer can be: a value, a row of them, an equation, an inequality, digits in a base."""

from dataclasses import dataclass

from stages.exact import algebra
from stages.exact.algebra import INFINITY, ONE, Monomial, Unclear, Value, atoms, constant
from stages.exact.units import measured

EITHER = "\u00b1"  # an atom: plus or minus one


@dataclass(frozen=True, slots=True)
class Scalar:
    """A value without its unit; `rounded` where it is written with a decimal point."""

    value: Value
    unit: Monomial
    rounded: bool


@dataclass(frozen=True, slots=True)
class Row:
    """Forms in brackets, which are named by both ("()", "[)", "{}"), "" for a bare list, "matrix" or "union"."""

    brackets: str
    items: tuple["Form", ...]


@dataclass(frozen=True, slots=True)
class Equation:
    """Its left and its right side."""

    left: Scalar
    right: Scalar


@dataclass(frozen=True, slots=True)
class Chain:
    """Sides of an inequality, and the signs between them: all of "<" and "≤", or all of ">" and "≥"."""

    sides: tuple[Scalar, ...]
    signs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Based:
    """Digits and the base they are written in."""

    digits: str
    base: int


Form = Scalar | Row | Equation | Chain | Based


def has_units(value: Value) -> bool:
    """Whether a value has a unit anywhere."""
    return any(measured(name) for name in atoms(value))


def scalar(value: Value, *, rounded: bool) -> Scalar:
    """Take the unit off a value. Raises Unclear where its terms differ in it, and for infinity among other things."""
    if INFINITY in atoms(value) and (value.below != ONE or [*value.above] != [((INFINITY, 1),)]):
        raise Unclear
    if not has_units(value):
        return Scalar(value, (), rounded)
    found = {tuple(pair for pair in monomial if measured(pair[0])) for monomial in value.above}
    bare = {tuple(pair for pair in monomial if not measured(pair[0])): c for monomial, c in value.above.items()}
    if len(found) != 1 or has_units(Value(bare, value.below)):
        raise Unclear
    return Scalar(Value(bare, value.below), found.pop(), rounded)


def either(form: Form) -> list[Form]:
    """Read a plus-minus as both."""
    if isinstance(form, Equation):
        if EITHER in atoms(form.left.value):
            raise Unclear
        return [Equation(form.left, right) for right in either(form.right) if isinstance(right, Scalar)]
    if isinstance(form, Chain) and EITHER in atoms(*(side.value for side in form.sides)):
        raise Unclear
    if not isinstance(form, Scalar) or EITHER not in atoms(form.value):
        return [form]
    values = [algebra.put(form.value, EITHER, constant(sign)) for sign in (1, -1)]
    if EITHER in atoms(*values):
        raise Unclear
    return [Scalar(value, form.unit, form.rounded) for value in values]
