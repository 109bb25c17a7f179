"""Whether two values are equal or different beyond doubt, with their units and roundings.

Two readings that would decide otherwise leave it open: a rounding, a unit left out, a letter that may be a unit.
"""

import math
from dataclasses import replace
from fractions import Fraction

from data.records import Outcome
from stages.exact import algebra
from stages.exact.algebra import (
    INFINITY,
    ONE,
    PI,
    Function,
    Monomial,
    Rational,
    Value,
    atoms,
    constant,
    independent,
    letters,
)
from stages.exact.bounds import bounds
from stages.exact.circular import identical
from stages.exact.forms import Scalar
from stages.exact.units import MARK, PERCENT, SIZES

NEAR = Fraction(1, 1000)  # relative: a rounded number this close to the other may mean the same
Decision = Outcome | None

_UNIT_LETTERS = set("ACFJKLNVWdghlms")
_COUNTERS = set("KNZklmn")  # with pi: a family of solutions, which can be written in many ways
_POINTS = (3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0, 23.0, 29.0, 31.0)


def compare(ours: Scalar, theirs: Scalar) -> Decision:
    """Compare two values with their units. Raises Unclear.

    A word of scale is a factor, unless it may be understood on the other side: 2 million, where millions are asked for.
    """
    if not (_scaled(ours) or _scaled(theirs)):
        return _measures(ours, theirs)
    outcome = _measures(_multiplied(ours), _multiplied(theirs))
    if outcome == "different" and _measures(_unscaled(ours), _unscaled(theirs)) != "different":
        return None
    return outcome


def _scaled(scalar: Scalar) -> list[str]:
    return [name for name, _ in scalar.unit if SIZES.get(name.removeprefix(MARK), "")[:1] == ("scale",)]


def _unscaled(scalar: Scalar) -> Scalar:
    scales = _scaled(scalar)
    return replace(scalar, unit=tuple(pair for pair in scalar.unit if pair[0] not in scales))


def _multiplied(scalar: Scalar) -> Scalar:
    factors = [SIZES[name.removeprefix(MARK)][1] ** power for name, power in scalar.unit if name in _scaled(scalar)]
    return replace(_unscaled(scalar), value=scalar.value * constant(math.prod(factors)))


def _measures(ours: Scalar, theirs: Scalar) -> Decision:
    rounded = ours.rounded or theirs.rounded
    if ours.unit == theirs.unit:
        return _values(ours.value, theirs.value, rounded=rounded)
    if not _known(ours.unit) or not _known(theirs.unit):
        return None
    if ours.unit and theirs.unit:
        left, right = _measured(ours), _measured(theirs)
        return _values(left[0], right[0], rounded=True) if left[1] == right[1] else None
    return _unitless(ours, theirs, rounded=rounded)


def _unitless(ours: Scalar, theirs: Scalar, *, rounded: bool) -> Decision:
    """Compare where one has a unit: it may be understood, unless a conversion of it would change the outcome."""
    with_unit, bare = (ours, theirs) if ours.unit else (theirs, ours)
    outcome = _values(ours.value, theirs.value, rounded=rounded)
    if with_unit.unit == ((PERCENT, 1),) and algebra.same(_measured(with_unit)[0], bare.value):
        return "equal"
    if outcome != "different":
        return outcome
    if len(with_unit.unit) > 1 or PI in atoms(ours.value, theirs.value):
        return None
    return None if convertible(with_unit, bare) else outcome


def convertible(ours: Scalar, theirs: Scalar) -> bool:
    """Whether only one value has a unit that is known, and a conversion of it may give the other. Raises Unclear."""
    with_unit, bare = (ours, theirs) if ours.unit else (theirs, ours)
    if bare.unit or len(with_unit.unit) != 1 or not _known(with_unit.unit):
        return False
    ((name, power),) = with_unit.unit
    kind, size = SIZES[name.removeprefix(MARK)]
    factors = {factor for other, factor in SIZES.values() if other == kind} | {Fraction(1)}
    converted = (with_unit.value * constant(size / factor) ** power for factor in factors - {size})
    return any(_values(value, bare.value, rounded=True) != "different" for value in converted)


def understood(ours: Scalar, theirs: Scalar) -> bool:
    """Whether a value is the other but for letters that may be units, or thousands."""
    with_letters, bare = (ours, theirs) if letters(atoms(ours.value)) else (theirs, ours)
    found = unit_letters(with_letters.value)
    if found is None or ours.unit or theirs.unit or letters(atoms(bare.value)):
        return False
    size, names = found
    sizes = [size, size * 1000] if names == {"k"} else [size]
    return any(_values(constant(one), bare.value, rounded=True) != "different" for one in sizes)


def unit_letters(value: Value) -> tuple[Rational, set[str]] | None:
    """Return the number before letters that all may be units, and the letters."""
    if value.below != ONE or len(value.above) != 1:
        return None
    ((monomial, c),) = value.above.items()
    names = {name for name, _ in monomial}
    if monomial == (("k", 1),) and isinstance(c, int) and abs(c) > 1:
        return c, names
    return (c, names) if names <= _UNIT_LETTERS and any(power > 0 for _, power in monomial) else None


def _known(unit: Monomial) -> bool:
    return all(name.removeprefix(MARK) in SIZES for name, _ in unit)


def _measured(scalar: Scalar) -> tuple[Value, dict[str, int]]:
    """Return a value in the basic units of what it measures, and what that is."""
    value, kinds = scalar.value, dict[str, int]()
    for name, power in scalar.unit:
        kind, size = SIZES[name.removeprefix(MARK)]
        value *= constant(size) ** power
        kinds[kind] = kinds.get(kind, 0) + power
    return value, kinds


def _values(ours: Value, theirs: Value, *, rounded: bool) -> Decision:
    if algebra.same(ours, theirs):
        return "equal"
    names = atoms(ours, theirs)
    if free := letters(names):
        differ = not _open(ours, theirs, names) and (_unlike if rounded else _unequal)(ours, theirs, names, free)
        return "different" if differ else None
    if (_beyond_rounding(ours, theirs) and INFINITY not in names) if rounded else _unequal(ours, theirs, names, set()):
        return "different"
    return "equal" if identical(ours, theirs) else None


def _unequal(ours: Value, theirs: Value, names: set[str], free: set[str]) -> bool:
    """Whether values that are not identical certainly differ, at one point at least."""
    return independent(names) or _apart(ours, theirs, dict(zip(sorted(free), _POINTS, strict=False)))


def _beyond_rounding(ours: Value, theirs: Value) -> bool:
    left, right = ours.rational(), theirs.rational()
    if left is None or right is None:
        return _apart(ours, theirs, {}, float(NEAR))
    return not _near(left, right)


def _near(left: Rational, right: Rational) -> bool:
    first, second = Fraction(left), Fraction(right)
    return abs(first - second) <= NEAR * max(abs(first), abs(second))


def _apart(ours: Value, theirs: Value, points: dict[str, float], near: float = 0.0) -> bool:
    """Whether two values certainly differ, and by more than a rounding."""
    left, right = bounds(ours, points), bounds(theirs, points)
    return max(left[0] - right[1], right[0] - left[1]) > near * max(map(abs, left + right))


def _unlike(ours: Value, theirs: Value, names: set[str], free: set[str]) -> bool:
    """Whether a coefficient differs by more than a rounding between polynomials in letters alone."""
    if ours.below != ONE or theirs.below != ONE or names != free:
        return False
    return not all(_near(ours.above.get(key, 0), theirs.above.get(key, 0)) for key in {*ours.above, *theirs.above})


def _open(ours: Value, theirs: Value, names: set[str]) -> bool:
    """Whether unlike expressions in letters may mean the same: by other letters, as units, choices or families."""
    left, right = letters(atoms(ours)), letters(atoms(theirs))
    if len(left) == len(right) and left != right:
        return True
    free = left | right
    if not (left and right) and any(map(unit_letters, (ours, theirs))):
        return True
    if any((sole_letter(value) or "a").isupper() for value in (ours, theirs)):
        return True
    arbitrary = "Cc" if any(isinstance(name, Function) for name in names) else "C"
    return any(name[0] in arbitrary for name in free) or (PI in atoms(ours) & atoms(theirs) and bool(free & _COUNTERS))


def sole_letter(value: Value) -> str | None:
    """Return the letter that is the whole value."""
    if value.below != ONE or len(value.above) != 1:
        return None
    ((monomial, c),) = value.above.items()
    return monomial[0][0] if len(monomial) == 1 and c == 1 and monomial[0][1] == 1 else None
