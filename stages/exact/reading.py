r"""What an answer says, by a small grammar of the LaTeX and plain text that answers are written in.

`readings` gives a form for each way to read an answer: two where `1\frac12` may be a product and `f(2)`, too.
"""

from functools import lru_cache

from stages.exact import algebra
from stages.exact.algebra import INFINITY, Unclear, Value, atoms, letters
from stages.exact.arithmetic import Arithmetic
from stages.exact.forms import EITHER, Based, Chain, Equation, Form, Row, Scalar, either, scalar
from stages.exact.tokens import Token, tokens

LONGEST = 600  # characters

_SIGNS = ("=", "<", "\u2264", ">", "\u2265")
_CLOSING = {"(": (")", "]"), "[": (")", "]"), "\\{": ("\\}",), "{": ("}",)}


@lru_cache(maxsize=1 << 10)
def readings(answer: str) -> tuple[Form, ...]:
    """Return what an answer may say, one way or two; nothing where there are more ways or none."""
    if len(answer) > LONGEST:
        return ()
    try:
        given = tokens(answer.strip(" \n*").rstrip(".,;: \\"))
        reader = _Reader(given)
        form = reader.answer()
        if len(reader.doubts) > 1:
            return ()
        return (form, _Reader(given, products=True).answer()) if reader.doubts else (form,)
    except Unclear:
        return ()


def read(answer: str) -> Form | None:
    """Return what an answer says where there is one way to read it."""
    forms = readings(answer)
    return forms[0] if len(forms) == 1 else None


def _rows(given: list[Token]) -> set[int]:
    """Where a bracket opens that holds a comma of its own."""
    found: set[int] = set()
    opened: list[int] = []
    for at, (kind, _) in enumerate(given):
        if kind in {"(", "[", "{", "\\{"}:
            opened.append(at)
        elif kind in {")", "]", "}", "\\}"} and opened:
            opened.pop()
        elif kind == "," and opened:
            found.add(opened[-1])
    return found


def _infinite(form: Form) -> bool:
    return isinstance(form, Scalar) and INFINITY in atoms(form.value)


class _Reader(Arithmetic):
    """What stands in brackets with a comma is a row; all else is arithmetic."""

    def __init__(self, given: list[Token], *, products: bool = False) -> None:
        super().__init__(given, products=products)
        self._rows = _rows(given)

    def answer(self) -> Form:
        items, both = self._items("finish")
        return items[0] if len(items) == 1 else Row("{}" if both else "", items)

    def _items(self, *ends: str) -> tuple[tuple[Form, ...], bool]:
        """Read forms to one of `ends`, one with a plus-minus as two of them; then say so."""
        items: list[Form] = []
        while True:
            signs = self._signs
            items.append(self._item())
            if self._signs > signs + 1:
                raise Unclear
            if self._next in ends:
                break
            self._take(",")
        signed = [form for item in items for form in either(item)]
        return tuple(signed), len(signed) > len(items)

    def _item(self) -> Form:
        if self._at in self._rows or self._next == "\\{":
            return self._union()
        if self._takes("begin"):
            return self._matrix()
        if self._next == "number" and self._tokens[self._at + 1][0] == "_":
            return self._based()
        self._rounded = False
        sides, signs = [self._sum()], list[str]()
        while self._next in _SIGNS:
            signs.append(self._take(*_SIGNS))
            sides.append(self._sum())
        if signs and "=" not in signs:
            return self._chain(sides, signs)
        if set(signs) > {"="}:
            raise Unclear
        if len(sides) == 1 or (not letters(atoms(*sides)) and all(algebra.same(side, sides[0]) for side in sides)):
            return scalar(sides[0], rounded=self._rounded)
        if len(sides) > 2:
            raise Unclear
        return Equation(scalar(sides[0], rounded=self._rounded), scalar(sides[1], rounded=self._rounded))

    def _chain(self, sides: list[Value], signs: list[str]) -> Chain:
        if not (set(signs) <= set("<\u2264") or set(signs) <= set(">\u2265")):
            raise Unclear
        return Chain(tuple(scalar(side, rounded=self._rounded) for side in sides), tuple(signs))

    def _union(self) -> Row:
        parts = [self._row()]
        while self._takes("cup"):
            parts.append(self._row())
        return parts[0] if len(parts) == 1 else Row("union", tuple(parts))

    def _row(self) -> Row:
        self._deeper()
        opening = self._take(*_CLOSING)
        items, both = self._items(*_CLOSING[opening])
        if both and opening != "\\{":
            raise Unclear
        self._depth -= 1
        closing = self._take(*_CLOSING[opening])
        if opening in {"(", "["}:  # at infinity both brackets mean the same
            opening = "(" if _infinite(items[0]) else opening
            closing = ")" if _infinite(items[-1]) else closing
        return Row("" if opening == "{" else (opening + closing).replace("\\", ""), items)

    def _matrix(self) -> Row:
        rows: list[Form] = []
        self._rounded = False
        while not self._takes("end"):
            cells = [self._sum()]
            while self._takes("&"):
                cells.append(self._sum())
            if EITHER in atoms(*cells):
                raise Unclear
            rows.append(Row("row", tuple(scalar(cell, rounded=self._rounded) for cell in cells)))
            if self._next != "end":
                self._take("row")
        return Row("matrix", tuple(rows))

    def _based(self) -> Based:
        digits = self._take("number")
        self._take("_")
        braced = self._takes("{")
        base = self._take("number")
        if braced:
            self._take("}")
        if base not in set("23456789") or not set(digits) <= set("0123456789"[: int(base)]):
            raise Unclear
        return Based(digits, int(base))
