"""When two answers are equal or different beyond doubt, decided without math-verify.

By spelling, or by exact arithmetic on what both certainly say. Where an answer can be meant in two ways that would
decide otherwise (a list in another order, a comma that may be a decimal mark), the question stays open.
"""

import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from stages.answers import normal
from stages.exact import algebra, scalars, words
from stages.exact.algebra import INFINITY, ONE, Unclear, atoms, constant, letters
from stages.exact.forms import Based, Chain, Equation, Form, Row, Scalar
from stages.exact.intervals import end, interval, plain
from stages.exact.reading import readings
from stages.exact.scalars import Decision, sole_letter
from stages.wording import compound, worded

MANY = 40  # items of a collection


def decide(answer: str, gold: str) -> Decision:
    r"""Decide what is certain about two raw answers; None where nothing is. Of `\textbf{(B)}~7` both parts answer."""
    (ours, said), (theirs, asked) = words.marked(answer), words.marked(gold)
    letter = words.spelled(ours or normal(said), theirs or normal(asked)) if ours or theirs else None
    return letter or (_decide(worded(said), worded(asked)) if said and asked else None)


def understood(answer: str, gold: str) -> bool:
    """Whether what one side leaves out may make the two equal: a unit and its conversion, letters that may be units."""
    pairs = [(left, right) for left in readings(answer) for right in readings(gold)]
    return any(_understood(left, right) for left, right in pairs)


def _understood(ours: Form, theirs: Form) -> bool:
    if not isinstance(ours, Scalar) or not isinstance(theirs, Scalar):
        return False
    try:
        return scalars.convertible(ours, theirs) or scalars.understood(ours, theirs)
    except Unclear:
        return False


def _decide(answer: str, gold: str) -> Decision:
    if compound(answer) or compound(gold):
        return words.spelled(normal(answer), normal(gold))
    ours, theirs = readings(answer), readings(gold)
    outcomes = {
        None if _misprint(answer, left, gold, right) else _compare(left, right) for left in ours for right in theirs
    }
    if len(outcomes) == 1 and (outcome := outcomes.pop()):
        return outcome
    if _unsaid(ours, gold) or _unsaid(theirs, answer):
        return "different"
    return words.spelled(normal(answer), normal(gold))


def _unsaid(forms: tuple[Form, ...], text: str) -> bool:
    """Whether a text in words certainly says something else."""
    if len(forms) != 1:
        return False
    return _is_something(forms[0]) if words.nothing(text) else words.other_than(text, forms[0])


def _is_something(form: Form) -> bool:
    """Whether an answer is more than nothing, which zero may be."""
    return not (isinstance(form, Scalar) and not form.value.above)


def _misprint(answer: str, ours: Form, gold: str, theirs: Form) -> bool:
    """Whether a comma may be a decimal or thousands mark: 1,23 against 123 or 1.23."""
    listed = {isinstance(form, Row) and not form.brackets for form in (ours, theirs)}
    return len(listed) == 2 and re.sub(r"[^0-9]", "", answer) == re.sub(r"[^0-9]", "", gold)


def _compare(ours: Form, theirs: Form) -> Decision:
    try:
        return _BY_FORMS[type(ours), type(theirs)](ours, theirs)
    except Unclear:
        return None


def _swapped(compare: Callable[[Any, Any], Decision]) -> Callable[[Any, Any], Decision]:
    return lambda ours, theirs: compare(theirs, ours)


def _given(ours: Equation, theirs: Scalar) -> Decision:
    """Compare the value that an answer gives a letter. An equation in several letters gives none."""
    found = _assigned(ours)
    if found and found[0] not in atoms(theirs.value):
        return scalars.compare(found[1], theirs)
    outcomes = {scalars.compare(side, theirs) for side in (ours.left, ours.right)}
    several = len(letters(atoms(ours.left.value, ours.right.value))) > 1
    return "different" if several and outcomes == {"different"} else None


def _asked(ours: Scalar, theirs: Equation) -> Decision:
    """Compare with an equation, which only where it gives a letter a number does not have to be repeated."""
    found = _assigned(theirs)
    return scalars.compare(ours, found[1]) if found and not letters(atoms(ours.value, found[1].value)) else None


def _row_and_one(ours: Row, theirs: Form) -> Decision:
    return _against([_compare(item, theirs) for item in ours.items], ours, theirs)


def _one_and_row(ours: Form, theirs: Row) -> Decision:
    return _against([_compare(ours, item) for item in theirs.items], theirs, ours)


def _against(outcomes: list[Decision], row: Row, one: Form) -> Decision:
    """Compare a row with a single thing: a collection has more, and a point, an interval or a matrix is no number."""
    if row.brackets in {"", "{}"}:
        named = "equal" in outcomes and any(isinstance(item, Equation) for item in row.items)  # x = 2, y = 3
        return "different" if "different" in outcomes and not named else None
    closed = isinstance(one, Scalar) and not letters(atoms(one.value))
    return "different" if closed and len(row.items) > 1 else None


def _open(_: Form, __: Form) -> Decision:
    return None


def _assigned(equation: Equation) -> tuple[str, Scalar] | None:
    """Return the letter that an equation gives a value to, and that value."""
    for side, other in ((equation.left, equation.right), (equation.right, equation.left)):
        name = None if side.unit else sole_letter(side.value)
        if name and name in letters({name}) and name not in atoms(other.value):
            return name, other
    return None


def _equations(ours: Equation, theirs: Equation) -> Decision:
    left, right = _assigned(ours), _assigned(theirs)
    if left and right and left[0] == right[0]:
        return scalars.compare(left[1], right[1])
    if any(side.unit or side.rounded for one in (ours, theirs) for side in (one.left, one.right)):
        return None
    first, second = (one.left.value - one.right.value for one in (ours, theirs))
    names = atoms(first, second)
    if first.below != ONE or second.below != ONE or letters(atoms(first)) != letters(atoms(second)):
        return None
    if algebra.same(first, second):
        return "equal"
    shared = next((monomial for monomial in first.above if monomial and monomial in second.above), None)
    if shared and algebra.same(first * constant(second.above[shared]), second * constant(first.above[shared])):
        return "equal"
    linear = all(sum(power for _, power in monomial) <= 1 for one in (first, second) for monomial in one.above)
    return "different" if linear and shared and names == letters(names) else None


def _bounding(ours: Chain, theirs: Scalar) -> Decision:
    """Compare an inequality with a value: where it is about several letters it gives none, as of an equation."""
    several = len(letters(atoms(*(side.value for side in ours.sides)))) > 1
    outcomes = {scalars.compare(side, theirs) for side in ours.sides}
    return "different" if several and outcomes == {"different"} else None


def _within(ours: Chain, theirs: Row) -> Decision:
    """Compare an inequality with an interval; round brackets may be a point's."""
    found = interval(ours)
    if found is None or theirs.brackets in {"", "{}", "matrix"}:
        return None
    outcome = _unions(found[1], theirs)
    point = theirs.brackets == "()" and not any(INFINITY in atoms(plain(item).value) for item in theirs.items)
    return None if point and outcome == "equal" else outcome


def _chains(ours: Chain, theirs: Chain) -> Decision:
    left, right = interval(ours), interval(theirs)
    if left is None or right is None:
        return None
    outcome = _unions(left[1], right[1])
    return outcome if left[0] == right[0] or outcome == "different" else None


def _both_based(ours: Based, theirs: Based) -> Decision:
    if ours == theirs:
        return "equal"
    return "different" if ours.base == theirs.base or _worth(ours) != _worth(theirs) else None


def _based(ours: Based, theirs: Scalar) -> Decision:
    """Compare with a number without a base, which may be meant as it stands or as what the digits are worth."""
    value = theirs.value.rational()
    return "different" if value is not None and value not in {int(ours.digits), _worth(ours)} else None


def _worth(number: Based) -> int:
    return int(number.digits, number.base)


def _rows(ours: Row, theirs: Row) -> Decision:
    kinds = {ours.brackets, theirs.brackets}
    if kinds <= {"", "{}"}:
        return _collections(ours, theirs)
    if "union" in kinds:
        return _unions(ours, theirs) if not kinds & {"", "{}", "matrix"} else None
    if len(kinds) == 1:
        return _in_order(ours.items, theirs.items)
    if "matrix" in kinds:
        return None
    if kinds & {"", "{}"}:
        return "different" if _collections(ours, theirs) == "different" else None
    outcome = _in_order(ours.items, theirs.items)
    intervals = kinds & {"[)", "(]"} or (outcome == "equal" and _is_interval(ours))
    return "different" if intervals else outcome if outcome == "different" else None


def _is_interval(row: Row) -> bool:
    """Whether the items in brackets are a left and a right end; [1,2] is hardly the point (1,2)."""
    return len(row.items) == 2 and end(row, 0)[1] < end(row, 1)[0]


def _in_order(ours: Iterable[Form], theirs: Iterable[Form]) -> Decision:
    left, right = tuple(ours), tuple(theirs)
    if len(left) != len(right):
        return "different"
    outcomes = [_compare(*pair) for pair in zip(left, right, strict=True)]
    if "different" in outcomes:
        return "different"
    return None if None in outcomes else "equal"


def _collections(ours: Row, theirs: Row) -> Decision:
    """Compare as sets, but leave the order of a bare list open: it may matter."""
    if max(len(ours.items), len(theirs.items)) > MANY:
        return None
    table = [[_compare(one, other) for other in theirs.items] for one in ours.items]
    lines = [*table, *map(list, zip(*table, strict=True))]
    if any(set(line) == {"different"} for line in lines):
        return "different"
    if len(ours.items) != len(theirs.items) or not all("equal" in line for line in lines):
        return None
    ordered = all(table[i][i] == "equal" for i in range(len(table)))
    return "equal" if ordered or "{}" in {ours.brackets, theirs.brackets} else None


def _unions(ours: Row, theirs: Row) -> Decision:
    left, right = _parts(ours), _parts(theirs)
    if len(left) != len(right):
        return "different"
    outcomes = [_in_order(one.items, other.items) for one, other in zip(left, right, strict=True)]
    if "different" in outcomes or [one.brackets for one in left] != [other.brackets for other in right]:
        return "different"
    return None if None in outcomes else "equal"


def _parts(row: Row) -> list[Row]:
    """Return intervals from left to right. Raises Unclear where two of them touch."""
    parts = [part for part in (row.items if row.brackets == "union" else (row,)) if isinstance(part, Row)]
    parts.sort(key=lambda part: end(part, 0)[0])
    for before, after in pairwise(parts):
        gap = end(before, 1)[1] < end(after, 0)[0]
        point = _compare(before.items[1], after.items[0]) == "equal" and (before.brackets[1], after.brackets[0]) == (
            ")",
            "(",
        )
        if not gap and not point:
            raise Unclear
    return parts


# By the answer's form and the gold answer's: `x = 5` answers 5, but 5 an equation only where that gives a number.
_BY_FORMS: dict[tuple[type, type], Callable[[Any, Any], Decision]] = {
    (Scalar, Scalar): scalars.compare,
    (Scalar, Row): _one_and_row,
    (Scalar, Equation): _asked,
    (Scalar, Based): _swapped(_based),
    (Row, Scalar): _row_and_one,
    (Row, Row): _rows,
    (Row, Equation): _row_and_one,
    (Row, Based): _row_and_one,
    (Equation, Scalar): _given,
    (Equation, Row): _one_and_row,
    (Equation, Equation): _equations,
    (Equation, Based): _open,
    (Scalar, Chain): _swapped(_bounding),
    (Row, Chain): _swapped(_within),
    (Equation, Chain): _open,
    (Chain, Scalar): _bounding,
    (Chain, Row): _within,
    (Chain, Equation): _open,
    (Chain, Chain): _chains,
    (Chain, Based): _open,
    (Based, Chain): _open,
    (Based, Scalar): _based,
    (Based, Row): _one_and_row,
    (Based, Equation): _open,
    (Based, Based): _both_based,
}
