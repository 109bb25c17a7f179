"""What an equality whose numbers disagree may mean otherwise, so that a reader finds it true.

Units are converted, a percentage is of what stands before it, a dash is no minus (pages 10-20, step 1 - ...), words
change what a number is worth (3 pairs). It is unclear then, not false; where the numbers agree nobody asks.
"""

# ruff: noqa: SIM905 - a list of words reads best as words

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import takewhile

from judges.notation import Token
from judges.quantities import LOOKAHEAD, QUANTITY, binds, calculates, plain

_ENDINGS = "es"  # of plurals, and an e that was there before; short words keep theirs: boxes, miles, mile
_SHORTEST = 4
_CONVERTIBLE = {
    (name if len(name) < _SHORTEST else name.rstrip(_ENDINGS)): kind
    for kind, names in {
        "time": "millisecond s sec secs second mins minute h hr hrs hour day weekday weekend wk wks week fortnight "
        "month yr yrs year decade century centuries millennium millennia hourly daily weekly monthly yearly mph kph "
        "kmph bpm rpm wpm fps",
        "length": "inch foot feet ft yd yds yard mile mm millimeter millimetre cm centimeter centimetre dm decimeter "
        "decimetre m meter metre km kilometer kilometre acre hectare",
        "amount": "ounce oz pound lb lbs stone ton tonne milligram mg gram g kilogram kilo kg kgs cup pint quart "
        "gallon gal milliliter millilitre ml cl dl l liter litre tablespoon tbsp teaspoon tsp",
        "coin": "penny pennies pence dollar",
        "data": "bit byte kb kilobyte mb megabyte gb gigabyte tb terabyte",
        "warmth": "celsius fahrenheit kelvin",
    }.items()
    for name in names.split()
}
_STEPS = frozenset({7, 12, 14, 16, 24, 30, 36, 52, 60, 100, 168, 365, 1000, 1440, 3600})  # from one unit to another
_MANY = frozenset(  # behind a number; in other places they are common
    "pair pairs couple couples twin twins triplets score scores ten tens dime dimes nickel nickels bn mil doubled "
    "tripled halved quadrupled north south east west noon midnight two three four five six seven eight nine eleven "
    "twelve twenty thirty forty fifty sixty seventy eighty ninety".split()
)
_DAYTIME = frozenset("morning afternoon evening night".split())
_LABELS = frozenset(  # a number behind them may be a name, and a bracket what they are of
    "age ages box car case cases chapter chapters class column columns cube day days eq equation equations example "
    "exercise figure game games grade grades group hour hours item items lesson lessons level levels line lines "
    "method month months option page pages part parts period phase player power problem question questions round "
    "rounds row rows section square stage step steps table team term terms test trial trip type unit units value "
    "version week weeks year years january february march april may june july august september october november "
    "december".split()
)
_BETWEEN = frozenset("with for per on off over less to costing containing holding".split())
_ARTICLES = frozenset("a an the his her its their".split())
_FILLERS = frozenset("more less left extra additional other others new remaining original".split())
_HOURS = frozenset("hours hour hrs hr".split())
_ROUND = (12, 24)  # hours on a clock, and of a day
_ADDED = re.compile(  # of a sum's shape: a % behind another term, or before one; of 1, or beside a %, it is no matter
    r"(?<=[1n)])(?<!^1)(?<!\(1)\+\(*[1n]%(?=$|[+)])|(?:^|[(+])[1n]%\)*\+(?!\(*[1n]%|1(?:$|[+)]))"
)


def otherwise(left: Sequence[Token], right: Sequence[Token], before: Sequence[Token], after: Sequence[Token]) -> bool:
    """Whether the words of two sides, or a percentage, leave another reading; `before`, `after`: their expressions."""
    start = next((i for i, token in enumerate(left) if token is before[0]), 0)
    end = next((i + 1 for i, token in enumerate(right) if token is after[-1]), 0)
    here, there = list(_behind(left[start:])), list(_behind(right[: end + LOOKAHEAD]))
    return (
        _converts((*left, *right))
        or _mixes(left[start:], right)
        or (calculates(after) and _trades(here, there))
        or any(map(_alters, (*here, *there)))
        or _bears(left[:start], left[start])
        or _compound(right[end:])
        or any(_ADDED.search(_shape(items)) for items in (before, after))
    )


def distant(
    left: Sequence[Token], right: Sequence[Token], before: Sequence[Token], one: Fraction, other: Fraction
) -> bool:
    """Whether two values are as far apart as units, or as the ends of a range and what is in it."""
    return _from_to(before, right, one + other) or (one != 0 and other != 0 and _scaled(left, right, one / other))


def _converts(side: Sequence[Token]) -> bool:
    """Whether two units of one kind are named (5 feet + 6 inches = 66 inches), so that numbers alone need not agree."""
    units = _units(side)
    return len(units) > len({_CONVERTIBLE[unit] for unit in units})


def _scaled(left: Sequence[Token], right: Sequence[Token], ratio: Fraction) -> bool:
    """Whether a unit only the right side names may explain a ratio: 45 + 15 = 1 hour, 2 * 3 = 360 minutes."""
    there, here = ({_CONVERTIBLE[unit] for unit in _units(side)} for side in (left, right))
    return bool(here - there) and not _STEPS.isdisjoint((ratio, 1 / ratio))


def _mixes(left: Sequence[Token], right: Sequence[Token]) -> bool:
    """Whether what is added has several units, or only some has one: 2 boxes + 3 pens = 27, 2 shirts + $8 = $50."""
    units = [_unit(term) for term in _terms(left)]
    named = [unit for unit in units if unit]
    several = any(unit.isdisjoint(named[0]) for unit in named)
    bare = 0 < len(named) < len(units) and not any(token.kind == "word" for token in right)
    return several or bare


def _trades(here: Sequence[Sequence[Token]], there: Sequence[Sequence[Token]]) -> bool:
    """Whether the sides are in other units, an equation that was worked on: 1200 lire / 1200 = 1.50 dollars / 1200."""
    one, other = ({_stem(word) for words in side for word in words} for side in (here, there))
    return bool(one and other) and one.isdisjoint(other)


def _from_to(before: Sequence[Token], right: Sequence[Token], together: Fraction) -> bool:
    """Whether N - M may be from N to M, given what both sides add up to: pages 10-20 = 11, 9 - 5 = 8 hours."""
    if _shape(before) not in {"n+n", "1+n", "n+1"} or before[1].text != "-":
        return False
    return together == 1 or (together in _ROUND and any(plain(token) in _HOURS for token in right))


def _alters(words: Sequence[Token]) -> bool:
    """Whether words right behind a number may change what it is worth: 3 pairs, 9 in the morning."""
    texts = [plain(word) for word in words]
    return not _MANY.isdisjoint(texts) or (texts[:1] in (["in"], ["at"]) and not _DAYTIME.isdisjoint(texts))


def _bears(lead: Sequence[Token], first: Token) -> bool:
    """Whether words before an expression may bear on it: step 1, f(7/2), 5 boxes with 12, 100 - discount 20."""
    said = list(takewhile(lambda token: token.kind == "word", reversed(lead)))
    words = [word for word in said if plain(word) not in _ARTICLES]  # the last one first
    rest = lead[: len(lead) - len(said)]
    counted = bool(rest) and rest[-1].kind in QUANTITY
    taken = len(rest) > 1 and rest[-1].text in ("+", "-", "*") and rest[-2].kind in QUANTITY
    called = bool(said) and first.kind == "open" and not first.spaced
    if taken or called or not words:
        return taken or called or counted
    linked = counted and plain(words[0]) in _BETWEEN and len(words) < LOOKAHEAD
    return linked or plain(words[0]) in _LABELS or binds(words[0])


def _compound(tail: Sequence[Token]) -> bool:
    """Whether a result goes on in another unit: 1 dollar and 25 cents."""
    unit = bool(tail) and _stem(tail[0]) in _CONVERTIBLE
    return unit and any(token.kind == "number" for token in tail[1:LOOKAHEAD])


def _stem(word: Token) -> str:
    text = plain(word)
    return text if len(text) < _SHORTEST else text.rstrip(_ENDINGS)


def _units(side: Sequence[Token]) -> set[str]:
    return {_stem(token) for token in side if token.kind == "word"} & _CONVERTIBLE.keys()


def _behind(side: Sequence[Token]) -> Iterator[list[Token]]:
    """Yield the first words behind each number."""
    for at, token in enumerate(side):
        if token.kind == "number":
            yield list(takewhile(lambda word: word.kind == "word", side[at + 1 : at + 1 + LOOKAHEAD]))


def _terms(side: Sequence[Token]) -> list[list[Token]]:
    """Return what + and - stand between; nothing where anything else is calculated, or brackets stand."""
    if any(token.kind in ("function", "factorial", "open") or token.text in ("*", "/", "^") for token in side):
        return []
    terms: list[list[Token]] = [[]]
    for token in side:
        if token.kind == "op":
            terms.append([])
        else:
            terms[-1].append(token)
    return [term for term in terms if term]


def _unit(term: Sequence[Token]) -> set[str]:
    """Return the words of a term's unit: red and boxes of `3 red boxes of pens`."""
    words = takewhile(lambda token: token.kind == "word" and plain(token) != "of", term[1:])
    return {_stem(word) for word in words if plain(word) not in _FILLERS}


def _shape(items: Sequence[Token]) -> str:
    """Return a letter for each token: n a number, 1 the number 1, + also a minus, x what else is calculated."""
    letters = {"number": "n", "percent": "%", "open": "(", "close": ")"}
    return "".join(
        token.text if token.text == "1" else "+" if token.text in ("+", "-") else letters.get(token.kind, "x")
        for token in items
    )
