"""Which part of an equation's side is its expression, and which part is units, remarks and prose.

`5 apples * 2` loses its unit, `so she has 16 - 3` its prose. Words that change a value (half, dozen, times, of) make
the side `Unclear`, as does everything else that is not certainly a unit.
"""

# ruff: noqa: RUF001, SIM905 - apostrophes are typographic in real text; a list of words reads best as words

from collections.abc import Sequence
from string import ascii_lowercase

from judges.calculator import Unclear
from judges.notation import Token

_SHIFT_VALUE = frozenset(
    "am arccos arccot arcsin arctan base billion by cbrt cent cents choose cis clock cos cosh cot csc cubed det "
    "difference divided double dozen dozens eighth eighths factorial fifth fifths fourth fourths gcd half halves "
    "hundred hundreds hundredth hundredths lcm ln log max million millions min minus mod modulo multiplied o'clock "
    "over percent percentage plus pm product quarter quarters remainder root sin sinh sixth sixths sqrt squared sum "
    "tan tanh tenth tenths third thirds thousand thousands times trillion triple twice".split()
)
_BIND_BEFORE = frozenset("and or of than between negative from to through in at each every until".split())
_BIND_AFTER = frozenset("and or of".split())
_JOINS = frozenset("and or".split())
_APPLIED = frozenset("abs average avg ceil ceiling exp floor int mean median mode round trunc".split())
_GLUED = frozenset("kg mg cm mm km ml lb lbs oz ft mph hrs hr mins min miles".split())
_PROSE = frozenset(
    "is are was were has have had so then which because that we she he they it if since therefore thus hence get gets "
    "gives makes make".split()
)
_SHORT = frozenset(
    "ad am an as at be by cm do ea ft gm go he hr id if in is it kg km lb me mg mi ml mm my nd no of oh ok on or oz pc "
    "pm pt qt rd so sq st th to tv up us vs we yd".split()
)
QUANTITY = ("number", "close", "percent")  # kinds of token that may end one
LOOKAHEAD = 3  # words after a number that may still belong to it: "13 and a half"


def ending(side: Sequence[Token]) -> list[Token]:
    """Expression at the end of a side. Raises `Unclear` where the words before it may belong to its value."""
    items = _without_units(side)
    start = max((i + 1 for i, token in enumerate(items) if token.kind == "word"), default=0)
    found = items[start:]
    if start and (binds(items[start - 1]) or _applied(items[start - 1], found)):
        raise Unclear
    if start and (not calculates(found) or found[0].kind == "op"):
        raise Unclear  # a number alone may belong to a name: savings after 20 years = 5 * 20
    return found


def beginning(side: Sequence[Token]) -> list[Token]:
    """Expression at the start of a side. Raises `Unclear` where the words after it may belong to its value."""
    items = _without_units(side)
    end = next((i for i, token in enumerate(items) if token.kind == "word"), len(items))
    after = items[end : end + LOOKAHEAD]
    if any(map(_shifts, after)) or (after and (after[0].text.lower() in _BIND_AFTER or _named(after[0]))):
        raise Unclear
    return items[:end]


def plain(token: Token) -> str:
    """Return a word as it is listed."""
    return token.text.lower().replace("’", "'")


def binds(word: Token) -> bool:
    """Whether a word right before an expression may belong to its value."""
    return _shifts(word) or plain(word) in _BIND_BEFORE or _named(word)


def per_unit(side: Sequence[Token]) -> bool:
    """Whether a side divides by something with a unit: 7 knicks / 2 knacks = 1 says how much is as much."""
    start = next((i for i, token in enumerate(side) if token.text in ("/", "frac")), len(side))
    return any(token.kind == "word" for token in side[start:])


def calculates(items: Sequence[Token]) -> bool:
    """Whether there is anything to work out: an operation (a sign is none), a function or a factorial."""
    unsigned = items[1:] if items and items[0].kind == "op" else items
    return any(token.kind in ("op", "function", "factorial") for token in unsigned)


def _applied(word: Token, found: Sequence[Token]) -> bool:
    """Whether a word is a function of the bracket behind it: floor(7/2), average (3 + 5)."""
    return plain(word) in _APPLIED and bool(found) and found[0].kind == "open"


def _named(token: Token) -> bool:
    r"""Whether a word names points or letters, so that it may be a factor: `AB\sqrt{3}`, `\frac{1}{2} ab`, `xyz`."""
    if token.kind != "word" or not 1 < len(token.text) < 5:
        return False
    return token.text.isupper() or (token.text not in _SHORT if len(token.text) == 2 else token.text in ascii_lowercase)


def _shifts(token: Token) -> bool:
    return token.kind == "word" and plain(token) in _SHIFT_VALUE


def _without_units(side: Sequence[Token]) -> list[Token]:
    items: list[Token] = []
    at = 0
    while at < len(side):
        end = _run(side, at) if items and items[-1].kind in QUANTITY else at
        if end == at:
            items.append(_article(side, at))
            at += 1
        else:
            items.extend(_unit(side[at:end], side[end : end + 1]))
            at = end
    return items


def _unit(run: Sequence[Token], after: Sequence[Token]) -> Sequence[Token]:
    """Keep what stays of words that follow a quantity: nothing of a unit, all of prose, poison where they change it."""
    if not run[0].spaced and run[0].kind == "word" and run[0].text not in _GLUED:
        return [Token("poison", run[0].text)]  # 2ab, 5th
    if after and after[0].text == "^":
        return [Token("poison", "^")]
    if (after and after[0].kind not in ("op", "close")) or any(token.text.lower() in _PROSE for token in run):
        return [token for token in run if token.kind == "word"]
    bound = run[0].text.lower() in _BIND_AFTER or run[-1].text.lower() in _BIND_BEFORE
    bound = bound or any(map(_shifts, run[: 2 * LOOKAHEAD])) or any(map(_named, run))
    joined = bool(after) and any(token.text.lower() in _JOINS for token in run)  # 169 inside, and subtract -5 * 169
    return [Token("poison", "")] if bound or joined else []


def _article(side: Sequence[Token], at: int) -> Token:
    """Return the token, its letter read as a word in `a day`."""
    token = side[at]
    article = token.kind == "symbol" and token.text in "aAI" and at + 1 < len(side) and side[at + 1].kind == "word"
    return Token("word", token.text, token.spaced) if article else token


def _run(side: Sequence[Token], at: int) -> int:
    """End of the words at `at`, with their `/word`, `^2` and `(remarks)`; `at` itself where there are none."""
    start = -1
    while start != at:
        start = at
        at = _one(side, at)
    return at


def _one(side: Sequence[Token], at: int) -> int:
    kinds = [token.kind for token in side[at : at + 3]]
    texts = [token.text for token in side[at : at + 3]]
    if kinds[:1] == ["open"]:
        return _remark(side, at)
    if at < len(side) and _article(side, at).kind == "word":
        return at + 3 if texts[1:2] == ["^"] and kinds[2:] == ["number"] else at + 1
    return at + 2 if texts[:1] == ["/"] and kinds[1:2] == ["word"] else at


def _remark(side: Sequence[Token], at: int) -> int:
    """End of a bracket that holds nothing but words, none of them a name; right behind a number it may be a factor."""
    end = at + 1 if side[at].spaced else len(side)
    while end < len(side) and side[end].kind == "word" and not _named(side[end]):
        end += 1
    closed = at + 1 < end < len(side) and side[end].kind == "close"
    return end + 1 if closed else at
