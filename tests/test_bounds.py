"""Bounds hold what they enclose, and equality of sines, cosines and roots is proved, not guessed."""

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.exact.algebra import Unclear, Value
from stages.exact.bounds import bounds
from stages.exact.circular import identical
from stages.exact.forms import Scalar
from stages.exact.reading import read

quickly = settings(max_examples=50, deadline=None)
NAMES = {"sin": mpmath.sin, "cos": mpmath.cos, "arctan": mpmath.atan, "sinh": mpmath.sinh, "ln": mpmath.log}


def value(answer: str) -> Value:
    form = read(answer)
    assert isinstance(form, Scalar)
    return form.value


@quickly
@given(st.sampled_from(sorted(NAMES)), st.fractions(-20, 20, max_denominator=99), st.integers(0, 9))
def test_bounds_hold_the_value(name: str, at: object, power: int) -> None:
    with mpmath.workdps(60):
        point = mpmath.mpf(at.numerator) / at.denominator  # type: ignore[attr-defined]
        try:
            low, high = bounds(value(rf"\{name}((10^{{{power}}}) \cdot ({at})) - \sqrt{{3}} + \frac{{1}}{{1+\pi}}"), {})
        except Unclear:  # too large, or no real logarithm
            return
        true = NAMES[name](point * 10**power) - mpmath.sqrt(3) + 1 / (1 + mpmath.pi)
        assert low <= true <= high
        assert high - low < 1e-3 * max(1, abs(true))


@quickly
@given(st.fractions(0, 99, max_denominator=9), st.integers(2, 6))
def test_bounds_hold_roots(of: object, degree: int) -> None:
    with mpmath.workdps(60):
        low, high = bounds(value(rf"\sqrt[{degree}]{{{of}+1}}"), {})
        true = mpmath.root(1 + mpmath.mpf(of.numerator) / of.denominator, degree)  # type: ignore[attr-defined]
        assert low <= true <= high


@pytest.mark.parametrize("answer", [r"\ln 0", r"\ln (-1)", r"\arcsin 2", r"e^{e^{e^9}}", "i", "x", r"\frac{1}{\ln 1}"])
def test_what_has_no_bounds_is_unclear(answer: str) -> None:
    with pytest.raises(Unclear):
        bounds(value(answer), {})


def test_letters_are_put_at_their_points() -> None:
    low, high = bounds(value("x^2+y/2"), {"x": 3.0, "y": 5.0})
    assert low < 11.5 < high
    assert high - low < 1e-12


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (r"\cos 60^\circ", r"\frac12", True),
        (r"\cos 36^\circ", r"\frac{1+\sqrt5}{4}", True),
        (r"\sin 10^\circ \sin 50^\circ \sin 70^\circ", r"\frac18", True),
        (r"\cos 60^\circ", r"\cos 61^\circ", False),
        (r"\cos 36^\circ", r"\frac{2+\sqrt5}{5}", False),
        (r"\cos 36^\circ", "0.809016994374947424", False),
        (r"\sin 1", r"\cos(\frac{\pi}{2})", False),
        (r"\cos(\frac{\pi}{1999})", r"\cos(\frac{\pi}{1999})+\cos 90^\circ", False),
    ],
)
def test_equality_is_proved(ours: str, theirs: str, same: bool) -> None:
    assert identical(value(ours), value(theirs)) is same
