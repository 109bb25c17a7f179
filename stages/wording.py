r"""What the words beside a number change, and what they leave open.

math-verify reads prose as products of letters, and `\text{...}` as nothing. So a number followed by words alone gets
them as `\text{}`, and a comparison in which words may matter says less than it would.
"""

# ruff: noqa: RUF001 - the signs of mathematics look like letters and hyphens

import re
from collections.abc import Iterator
from itertools import pairwise

from stages.exact.units import named, unit

NEAR = 16  # characters before a number that are looked at
SHORT = 200  # characters: what is longer is not one number and its words
ALPHABET = "abcdefghijklmnopqrstuvwxyz"  # a run of it (abc, xyz) is a product of letters

_TEXT = r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox)\s?\{"
_SPACE = r"(?:\s|~|\\[ ,;:])"
_NUMBER = (
    r"[-+−]?(?:\\?\$)?[-−]?"
    r"(?:[0-9]*\\[dt]?frac\{[0-9]+\}\{[0-9]+\}|(?:[0-9]+ )?[0-9]+/[0-9]+|[0-9](?:[0-9,]*[0-9])?(?:\.[0-9]+)?)(?:\\?%)?"
)
_UNWRAPPED = re.compile(rf"\s*{_TEXT}([^{{}}]*[0-9][^{{}}]*)\}}\.?\s*")
_COUNTED = re.compile(
    rf"({_NUMBER}),?(?:{_SPACE}+|(?={_TEXT}))(?:{_TEXT}{_SPACE}*)?"
    r"((?!(?:and|or)\b)[A-Za-z][A-Za-z'’,. -]*(?:/[A-Za-z'’,./ -]+(?:\^\{?[23]\}?|[²³])?)?)\}?"
)
_SILENT = re.compile(
    rf"{_TEXT}[^{{}}]*\}}|\\(?:operatorname\*?|begin|end)\s?\{{[^{{}}]*\}}|_\{{[^{{}}]*\}}|\\[a-zA-Z]+"
)
_ALONE = re.compile(rf"[\s$]*{_TEXT}([^{{}}]*)\}}[\s$.]*")
_HEDGE = re.compile(
    r"^\s*(?:approximately|about|roughly|around|nearly|exactly|precisely|only|just|simply)\s+(?=\S)", re.IGNORECASE
)
_FIRST = re.compile(rf"({_TEXT}\s*[A-Za-z]+)[ ,][^{{}}]*\}}")
_WORD = re.compile(
    r"(?<![A-Za-z])[A-Z]?[a-z]{2,}(?<=[A-Za-z]{3})(?![A-Za-z])|(?<!\S)(?:of|is|to|in|by|at|as|if|on|we|he|it)(?!\S)"
    r"|(?<![A-Za-z])(?:USD|EUR|GBP|INR|Rs)(?![A-Za-z])"
)
_NAMES = {
    *("sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh"),
    *("log", "exp", "lim", "max", "min", "mod", "gcd", "lcm", "sqrt", "det", "and"),
}  # words of formulas
_CHANGES = (  # a number that stands beside them may be another one
    r"(?:hundred|thousand|million|billion|trillion|dozen|pair|couple|score|half|halves|third|quarter"
    r"|(?:four|fif|six|seven|eigh|nin|ten|eleven|twelf|[a-z]+teen|[a-z]+tie|hundred|thousand)th"
    r"|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|[a-z]+teen|twenty|thirty|forty|fifty"
    r"|(?:six|seven|eigh|nine)ty|squared|cubed|factorial|modulo?|choose|pi|root|plus|minus|negative|below|debt|loss|than"
    r"|(?:or|at) (?:more|less|fewer|least|most)|(?:times|over|by|of) [b-z])s?(?![A-Za-z])"
)
_CHANGING = re.compile(rf"(?<![\\A-Za-z]){_CHANGES}", re.IGNORECASE)
_CHANGED = re.compile(rf"[\s-]+(?!(?:more|less|fewer) than)(?:and (?:a|one|three) |[a-z]+ )?{_CHANGES}", re.IGNORECASE)
_SIGNED = re.compile(
    r"(?:(?:[+^√<>≤≥|±/×·]|[\w)]\s?\*|[A-Za-z0-9)]\s*[-−–])\s*|\b(?:negative|minus|root|sqrt|log) )\Z", re.IGNORECASE
)
_FOLLOWED = re.compile(
    r"[\s]*(?:[√^<>≤≥±×·π]|[-−–+*/]\s*(?:[0-9\\(√π]|[A-Za-z](?![a-z])))|[(/*_²³½¼¾]|\\(?!%)|!(?!\s*\Z|\s+[A-Z])"
)
_LETTERS = re.compile(r"[^\W\d_]+")
_PART = re.compile(rf"[0-9.,]*[0-9]{_SPACE}*(?:{_TEXT}{_SPACE}*)?([A-Za-z]+)")
_BETWEEN = re.compile(r"(?:[A-Za-z\s~{},=]|\\text\w*|\\[ ,;:$]|\$)*")
_NEXT = re.compile(r"[\s,]*(?:and\s+)?")
_TIMES = frozenset("dhms")
_CIRCULAR = re.compile(r"(?:sin|cos|tan|cot|sec|csc)(?![a-z])")


def worded(answer: str) -> str:
    r"""Return an answer that is a number and words with the words in `\text{}`, any other as it is."""
    if len(answer) > SHORT:
        return answer
    bare = answer.strip().strip("*").strip()
    if inside := _UNWRAPPED.fullmatch(bare):
        bare = inside[1].strip()
    match = _COUNTED.fullmatch(bare.rstrip(".!"))
    if not match or not (words(match[2]) or named(match[2])):
        return answer
    number = re.sub(r"([0-9]) ([0-9]+)/([0-9]+)", r"\1\\frac{\2}{\3}", match[1])
    return rf"{number}\text{{ {match[2].strip()}}}"


def plainly(answer: str) -> str:
    """Return an answer without a leading "about": what it says if it says the other exactly."""
    return _HEDGE.sub("", answer)


def brief(answer: str) -> str:
    r"""Return an answer with the first word alone of every `\text{}`: 12 feet tall are 12 feet."""
    return _FIRST.sub(r"\1}", answer)


def words(answer: str) -> set[str]:
    r"""Return the words of an answer, no commands and no names of functions; those in `\text{}` only of that alone.

    Capitals in a row are no word: SRAC is a cost, and of CLs nobody knows.
    """
    alone = _ALONE.fullmatch(answer)
    found = _WORD.findall(alone[1] if alone else _SILENT.sub(" ", answer))
    return {word.lower() for word in found if word not in _NAMES and word.lower() not in ALPHABET}


def only_words(answer: str) -> bool:
    """Whether an answer is words and nothing else."""
    return bool(words(answer)) and re.search(r"[^A-Za-z\s.,'’-]", answer) is None


def shared(ours: set[str], theirs: set[str]) -> bool:
    """Whether two answers have a word in common, or the beginning of one: Tue, Tuesday."""
    return any(one.startswith(other) or other.startswith(one) for one in ours for other in theirs)


def other_things(ours: str, theirs: str) -> bool:
    """Whether two numbers with words count different things: apples and oranges, miles per hour and km per hour."""
    matches = _COUNTED.fullmatch(ours), _COUNTED.fullmatch(theirs)
    if not (matches[0] and matches[1]):
        return False
    left, right = (match[2].replace("/", " ").split() for match in matches if match)
    if all(named(word) or word in ALPHABET for word in (left[0], right[0])):
        return unit(left[0]) != unit(right[0])
    return all(map(words, (matches[0][2], matches[1][2]))) and not shared(words(matches[0][2]), words(matches[1][2]))


def loose(answer: str) -> bool:
    """Whether the number of an answer may be another one for the words beside it: 12 million, 3 hours 20 minutes.

    Sentences are not looked into: where they say something, it is in a formula.
    """
    return not words(answer) and (_CHANGING.search(answer) is not None or compound(answer))


def compound(answer: str) -> bool:
    """Whether an answer is a quantity in two units, as 3 hours 20 minutes or 1 m = 100 cm, or counts of two things."""
    return len(answer) <= SHORT and any(_unlike(*pair) for pair in _neighbours(answer))


def two_units(text: str) -> bool:
    """Whether a text tells one quantity in two known units: 3 hours 20 minutes, but not 5 boys and 3 girls."""
    pairs = ((one, other) for one, other, between in _neighbours(text) if _NEXT.fullmatch(between))
    return any(_unlike(*pair, "") and all(map(named, pair)) for pair in pairs)


def alone(text: str, start: int, end: int) -> bool:
    """Whether a number that stands there in plain text is all of its expression: not so in 25π, n^2, 2 million."""
    before = text[max(0, start - NEAR) : start]
    if before.count("(") > before.count(")") or _SIGNED.search(before) or _FOLLOWED.match(text, end):
        return False
    letters = _LETTERS.match(text, end)
    return not (letters and not named(letters[0])) and not _CHANGED.match(text, end)


def changed(rest: str) -> bool:
    """Whether what follows a number makes another one of it: million, and a half."""
    return _CHANGED.match(rest) is not None


def in_degrees(answer: str) -> bool:
    """Whether an answer has the sine or so of an angle in degrees, which math-verify takes for radians."""
    return _CIRCULAR.search(answer) is not None and re.search(r"\\circ|°", answer) is not None


def _neighbours(text: str) -> Iterator[tuple[str, str, str]]:
    """Give the names behind two numbers that stand side by side, and what stands between."""
    for one, other in pairwise(_PART.finditer(text)):
        if _BETWEEN.fullmatch(between := text[one.end() : other.start()]):
            yield one[1], other[1], between


def _unlike(one: str, other: str, between: str) -> bool:
    """Whether two names are of different units; single letters are only where nothing stands between them."""
    both = {name.lower().removesuffix("s") for name in (one, other)}
    closely = _TIMES if between.isspace() or not between else frozenset[str]()
    return len(both) == 2 and all(words(name) or named(name) or name in closely for name in (one, other))
