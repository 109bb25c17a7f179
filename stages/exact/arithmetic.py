r"""Reads arithmetic in tokens: `1/2x` and `x^10` are Unclear, `1\frac12` and `f(2)` can be read in two ways.

Recursive descent, once over the tokens, bounded in depth.
"""

from collections.abc import Callable
from fractions import Fraction
from math import comb, factorial
from typing import ClassVar

from stages.exact import algebra
from stages.exact.algebra import INFINITY, PI, Unclear, Value, atom, constant
from stages.exact.circular import CIRCULAR, written
from stages.exact.forms import EITHER, has_units
from stages.exact.tokens import ORDINAL, Token
from stages.exact.units import DEGREE, DOLLAR, PERCENT, unit

DEEPEST = 24  # brackets in brackets
LARGEST = 300  # of which a factorial or a binomial coefficient is taken

_APPLIED = set("fghuvFGHPQRSTW")  # letters behind which a bracket may hold an argument
_FACTOR = {"(", "[", "{", "letter", "number", "frac", "sqrt", "binom", "function", PI, INFINITY}
_AFTER = {"%": PERCENT, "circ": DEGREE, "currency": DOLLAR}
_CLOSED_BY = {"(": ")", "[": "]", "{": "}"}


class Arithmetic:
    r"""Where in the tokens of an answer its reader is, and what it has met.

    `products`: what `1\frac12` and `f(2)` are, instead of a mixed number and a function; `doubts`: which were met.
    """

    def __init__(self, given: list[Token], *, products: bool = False) -> None:
        self.doubts: set[str] = set()
        self._products = products
        self._tokens = [*given, ("finish", "")]
        self._at = 0
        self._depth = 0
        self._rounded = False
        self._signs = 0  # plus-minus signs met

    @property
    def _next(self) -> str:
        return self._tokens[self._at][0]

    def _kinds(self, n: int) -> list[str]:
        return [kind for kind, _ in self._tokens[self._at : self._at + n]]

    def _take(self, *kinds: str) -> str:
        kind, text = self._tokens[self._at]
        if kind not in kinds:
            raise Unclear
        self._at += 1
        return text

    def _takes(self, kind: str) -> bool:
        if self._tokens[self._at][0] != kind:
            return False
        self._at += 1
        return True

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise Unclear

    def _sum(self) -> Value:
        self._deeper()
        total = self._signed(constant(0))
        while self._next in {"+", "-", "pm"}:
            total = self._signed(total)
        self._depth -= 1
        return total

    def _signed(self, total: Value) -> Value:
        if self._takes("-"):
            return total - self._product()
        if self._takes("pm"):
            self._signs += 1
            return total + atom(EITHER) * self._product()
        self._takes("+")
        return total + self._product()

    def _product(self) -> Value:
        """Read factors. After a slash, or a number, what follows without a sign of its own may be meant otherwise."""
        number = self._next == "number"
        result, divided = self._factor(), False
        while True:
            if self._takes("*"):
                result *= self._directed()
                divided = False
            elif self._takes("/"):
                result /= self._directed()
                divided = True
            elif self._next in _FACTOR:
                if divided or self._next == "number" or has_units(result):
                    raise Unclear
                result = self._beside(result) if number and self._next == "frac" else result * self._factor()
            else:
                return result
            number = False

    def _beside(self, whole: Value) -> Value:
        """Read a fraction behind a number, and doubt what they are together."""
        self.doubts.add("mixed")
        part = self._factor()
        c, rest = whole.rational(), part.rational()
        if self._rounded or c is None or c.denominator != 1 or rest is None or not 0 < rest < 1:
            raise Unclear
        return whole * part if self._products else whole + part

    def _directed(self) -> Value:
        return -self._factor() if self._takes("-") else self._factor()

    def _factor(self) -> Value:
        if self._takes("currency"):
            return self._factor() * atom(DOLLAR)
        plain = self._next == "number"
        value = self._mixed() if plain else self._atom()
        powered = False
        while True:
            if self._next in _AFTER:
                value *= atom(_AFTER[self._take(*_AFTER)])
            elif self._takes("^"):
                if powered:
                    raise Unclear
                value, powered = self._raised(value, plain=plain), True
            elif self._takes("!"):
                value = constant(factorial(_small(value)))
            elif plain and self._ordinal():
                self._take("text")
            elif self._next == "text":
                value *= self._unit()
            else:
                return value

    def _raised(self, value: Value, *, plain: bool) -> Value:
        """Read what stands above: an exponent, the sign of degrees, or the ending of an ordinal number."""
        braced = self._takes("{")
        if self._takes("circ"):
            result = value * atom(DEGREE)
        elif plain and self._ordinal():
            self._take("text")
            result = value
        else:
            result = algebra.power(value, self._sum() if braced else self._digit("number", "letter", PI))
        if braced:
            self._take("}")
        return result

    def _ordinal(self) -> bool:
        return self._next == "text" and ORDINAL.fullmatch(self._tokens[self._at][1]) is not None

    def _mixed(self) -> Value:
        """Read a number, and a fraction that stands right behind it: 1 1/2."""
        whole = self._atom()
        if self._kinds(3) != ["number", "/", "number"]:
            return whole
        above = self._atom()
        self._take("/")
        part = above / self._atom()
        if self._rounded or self._next in _FACTOR | {"/", "^", "!"} or not Fraction(part.rational() or 1) < 1:
            raise Unclear
        return whole + part

    def _unit(self) -> Value:
        name, power = unit(self._take("text"))
        if self._takes("^"):
            power *= _small(self._argument())
        return atom(name) ** power

    def _digit(self, *kinds: str) -> Value:
        """Read what a command takes without braces, which of a number is one digit."""
        if self._next not in kinds:
            raise Unclear
        if self._next == "number" and len(self._tokens[self._at][1]) > 1:
            raise Unclear
        return self._atom()

    def _argument(self) -> Value:
        if not self._takes("{"):
            return self._digit("number", "letter", PI)
        value = self._sum()
        self._take("}")
        return value

    def _atom(self) -> Value:
        kind, text = self._tokens[self._at]
        read = self._READERS.get(kind)
        if read is None:
            raise Unclear
        self._at += 1
        return read(self, text)

    def _number(self, digits: str) -> Value:
        self._rounded |= not digits.isdigit()
        return constant(int(digits) if digits.isdigit() else Fraction(digits))

    def _group(self, opening: str) -> Value:
        value = self._sum()
        self._take(_CLOSED_BY[opening])
        return value

    def _pi(self, name: str) -> Value:
        return atom(name)

    def _infinity(self, name: str) -> Value:
        """Read it as an end of an interval, or alone: nothing is calculated with it."""
        before = self._tokens[self._at - 2][0] if self._at > 1 else ","
        if before not in {",", "(", "[", "+", "-", "="} or self._next not in {",", ")", "]", "=", "finish"}:
            raise Unclear
        return atom(name)

    def _letter(self, name: str) -> Value:
        if self._takes("_"):
            braced = self._takes("{")
            name += "_" + self._take("number", "letter")
            if braced:
                self._take("}")
        if self._next == "(" and (name[0] in _APPLIED or self._kinds(3)[2:] == [")"]):
            return self._called(name)
        return atom(name)

    def _called(self, name: str) -> Value:
        """Read a letter before a bracket as the function it may be; where it is defined, it is one."""
        defined = name[0] in _APPLIED and self._kinds(4)[1:] == ["letter", ")", "="]
        if not defined:
            self.doubts.add("applied")
            if self._products:
                return atom(name)
        self._take("(")
        given = self._sum()
        self._take(")")
        if has_units(given) or len(name := f"{name}({algebra.spelled(given)})") > algebra.SPELLED:
            raise Unclear
        return atom(name)

    def _stacked(self, command: str) -> Value:
        above, below = self._argument(), self._argument()
        if command == "frac":
            return above / below
        return constant(comb(_small(above), _small(below)))

    def _root(self, _: str) -> Value:
        degree = 2
        if self._takes("["):
            degree = _small(self._sum())
            self._take("]")
        under = self._atom() if self._next == "(" else self._argument()
        return algebra.root(under, degree)

    def _applied(self, name: str) -> Value:
        """Read the argument of a function, which without brackets ends where nothing else can be meant."""
        power = _small(self._argument()) if self._takes("^") else 1
        given = self._atom() if self._next in {"(", "{"} else self._bare(circular=name in CIRCULAR)
        if self._next == "^":
            raise Unclear
        if name in CIRCULAR:
            given = algebra.put(given, DEGREE, atom(PI) / constant(180))
        return written(name, given) ** power

    def _bare(self, *, circular: bool) -> Value:
        if self._next not in {"number", "frac", "letter", PI}:
            raise Unclear
        value = self._atom()
        if circular and self._next in {"letter", PI}:
            value *= self._atom()
        if self._next == "circ" or self._kinds(2) == ["^", "circ"]:
            self._takes("^")
            self._take("circ")
            value *= atom(DEGREE)
        elif self._next in _FACTOR - {"function"}:
            raise Unclear
        if self._next in {"/", "^", "!", "%", "text"}:
            raise Unclear
        return value

    _READERS: ClassVar[dict[str, Callable[["Arithmetic", str], Value]]] = {
        "number": _number,
        "letter": _letter,
        "frac": _stacked,
        "binom": _stacked,
        "sqrt": _root,
        "function": _applied,
        PI: _pi,
        INFINITY: _infinity,
        **dict.fromkeys(_CLOSED_BY, _group),
    }


def _small(value: Value) -> int:
    c = value.rational()
    if c is None or c.denominator != 1 or not 0 <= c <= LARGEST:
        raise Unclear
    return int(c)
