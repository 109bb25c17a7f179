r"""Which words after a number are units, and what they measure.

A unit becomes an atom of its value (`15\text{ cm}^2` is fifteen times the square of one), spelled with a leading mark.
"""

import re
from fractions import Fraction

from stages.exact.algebra import Unclear

MARK = "\u00a7"

_SIZES: dict[str, dict[str, str]] = {
    "length": {
        "m meter metre": "1",
        "mm millimeter millimetre": "0.001",
        "cm centimeter centimetre": "0.01",
        "km kilometer kilometre": "1000",
        "in inch inche": "0.0254",
        "ft foot feet": "0.3048",
        "yd yard": "0.9144",
        "mi mile": "1609.344",
    },
    "time": {
        "s sec second": "1",
        "min minute": "60",
        "h hr hour": "3600",
        "day": "86400",
        "week": "604800",
    },
    "calendar": {"month": "1", "year yr": "12"},
    "mass": {
        "g gram": "1",
        "mg milligram": "0.001",
        "kg kilogram": "1000",
        "oz ounce": "28.349523125",
        "lb pound": "453.59237",
    },
    "volume": {"L l liter litre": "1", "mL ml milliliter millilitre": "0.001"},
    "count": {"unit": "1"},
    "money": {"dollar usd": "1", "cent": "0.01"},
    "angle": {"\u00b0 deg degree": "1"},
    "warmth": {"celsius": "1"},
    "heat": {"fahrenheit": "1"},  # another kind: what the one is in the other is no factor
    "share": {"% percent": "0.01"},
    "scale": {
        "dozen": "12",
        "hundred": "100",
        "thousand": "1000",
        "million": "1000000",
        "billion": "1000000000",
        "trillion": "1000000000000",
    },
}
_NAMES = {name: names.split()[0] for sizes in _SIZES.values() for names in sizes for name in names.split()}
SIZES = {
    names.split()[0]: (kind, Fraction(size)) for kind, sizes in _SIZES.items() for names, size in sizes.items()
}  # unit -> (what it measures, how much)
DEGREE, PERCENT, DOLLAR = f"{MARK}\u00b0", f"{MARK}%", f"{MARK}dollar"
_WORDS = re.compile(r"(?:(square|sq|cubic|cu)\.? )?([A-Za-z]+(?:[ /-][A-Za-z]+){0,3})")
_POWERS = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}


def unit(words: str) -> tuple[str, int]:
    """Return the atom that words after a number stand for, and its power. Raises Unclear where they are no words."""
    match = _WORDS.fullmatch(words.strip().rstrip("."))
    if not match:
        raise Unclear
    name = match[2] if len(match[2]) < 3 else match[2].lower()  # Mg is not mg
    known = _NAMES.get(name) or (len(name) > 3 and _NAMES.get(name.removesuffix("s")))
    return MARK + (known or name), _POWERS.get(match[1] or "", 1)


def named(words: str) -> bool:
    """Whether words are names of units and no other letters: sq units, km/h; a letter alone may be anything."""
    parts = re.findall("[A-Za-z]+", words)
    known = all(part in _POWERS or part == "per" or unit(part)[0].removeprefix(MARK) in SIZES for part in parts)
    return known and (max(map(len, parts), default=0) > 1 or (len(parts) == 2 and "/" in words))


def is_unit(word: str) -> bool:
    """Whether a word in plain text can only be a unit."""
    return len(word) > 1 and unit(word)[0].removeprefix(MARK) in SIZES


def measured(name: str) -> bool:
    """Whether an atom is a unit."""
    return name[0] == MARK
