r"""The normal form of a problem's text, in which two ways of writing the same problem are equal.

Spacing, case, punctuation, Unicode variants and LaTeX that only changes the looks (`$`, `\left`, `\,`, `\dfrac`) do
not count; every letter, number, operator, prime and other command does. All of it takes time linear in the text.
"""

import re
import unicodedata
from typing import Final

FIGURE: Final = ("[asy]", "[/asy]")  # around the code of MATH's figures

_GREEK: Final = {
    chr(code): f"\\{unicodedata.name(chr(code)).rpartition(' ')[2].lower().replace('lamda', 'lambda')} "
    for code in [*range(0x3B1, 0x3C2), *range(0x3C3, 0x3CA)]
}
_SIGNS: Final = dict(
    zip(
        "≤≥≠·÷∞√∠△∈∩→±\N{MULTIPLICATION SIGN}\N{UNION}",
        (
            "le",
            "ge",
            "ne",
            "cdot",
            "div",
            "infty",
            "sqrt",
            "angle",
            "triangle",
            "in",
            "cap",
            "to",
            "pm",
            "times",
            "cup",
        ),
        strict=True,
    )
)
_LETTERS: Final = str.maketrans(
    _GREEK
    | {sign: f"\\{name} " for sign, name in _SIGNS.items()}
    | dict.fromkeys("\u2212\u2010\u2011\u2013\u2014", "-")
    | dict.fromkeys("\u2032\u2019", "'")
    | {"°": r"\circ ", "\u2018": "`"}
)
_SAME: Final = {
    other: name
    for name, others in (
        ("frac", ("dfrac", "tfrac", "cfrac")),
        ("binom", ("dbinom", "tbinom")),
        ("le", ("leq", "leqslant")),
        ("ge", ("geq", "geqslant")),
        ("ne", ("neq",)),
        ("to", ("rightarrow",)),
        ("dots", ("ldots", "cdots", "dotsc", "dotsb")),
        ("circ", ("degree",)),
        ("\u2032", ("prime",)),
        ("|", ("lvert", "rvert", "vert", "mid")),
    )
    for other in others
}
_LOOKS: Final = frozenset(
    (
        *("left", "right", "big", "bigl", "bigr", "bigg", "biggl", "biggr", "displaystyle", "textstyle", "limits"),
        *("text", "textbf", "textit", "textrm", "mathrm", "mathbf", "mathit", "mathsf", "operatorname", "mbox", "hbox"),
        *("rm", "bf", "it", "quad", "qquad", "thinspace", "hspace", "noindent"),
    )
)
_WIDE: Final = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"  # scripts that put no spaces between words: a sign is a word
_TOKENS: Final = re.compile(
    rf"\\?[^\W\d_{_WIDE}]+|\d+(?:,\d\d\d)*(?:\.\d+)?|\.\d+|[^\s{{}}$~&\\.,;:?'\"`\u201c\u201d\u2018\u2019«»]"
)
_SPACES: Final = re.compile(r"\\[,;:!>()\[\] \\]|~|\{,\}(?=\d)")
# What may be a prime stays (f'(2), AA', 6'); the apostrophe of Ann's, x's or boys' goes, as does a quotation mark.
_QUOTED: Final = re.compile(r"``([^`']*+)''|(?<![\w)\]}'`])['`]([^\s'`]++)'(?![\w'])")
_RAISED: Final = re.compile(r"\^\s*+(?:\{\s*+)?(?=\\prime|')")
_PRIMES: Final = re.compile(r"((?<![^\W\d_])[^\W\d_]{1,3}|\\[^\W\d_]++|[\d)\]}])('++)(?!s(?![^\W_']))")
_FRACTION: Final = re.compile(r"(frac)\s*(\d)\s*(?=\d)")


def tokens(text: str) -> list[str]:
    """Return the words, numbers, operators and LaTeX commands of a text, as they count."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_LETTERS)
    text = _FRACTION.sub(r"\1 \2 ", _SPACES.sub(_spacing, text.casefold()))
    return [token for token in map(_plain, _TOKENS.findall(_primed(text))) if token]


def form(text: str) -> str:
    """Return the normal form of a text."""
    return joined(tokens(text))


def joined(found: list[str]) -> str:
    """Return the normal form that a text's tokens make."""
    return " ".join(found)


def words(found: list[str]) -> list[str]:
    """Return, of tokens, words, numbers and commands alone."""
    return [token for token in found if token[-1].isalnum()]


def without_figures(text: str) -> str:
    """Return a text without the code of figures; the same one where it has none."""
    opening, closing = FIGURE
    if opening not in text:
        return text
    first, *rest = text.split(opening)
    return " ".join([first, *(_after(part, closing) for part in rest)])


def _spacing(match: re.Match[str]) -> str:
    return "," if match[0] == "{,}" else "" if match[0] in {r"\,", r"\!"} else " "


def _primed(text: str) -> str:
    r"""Return a text in which primes, also those written `^{\prime}`, stand apart from apostrophes and quotes."""
    if "'" not in text and r"\prime" not in text:
        return text
    bare = _RAISED.sub("", _QUOTED.sub(r"\1\2", text))
    return _PRIMES.sub(lambda match: match[1] + "\u2032" * len(match[2]), bare)


def _plain(token: str) -> str:
    """Return a token without what does not count; nothing where all of it does not."""
    if token[0] == "\\":
        name = token[1:]
        return "" if name in _LOOKS else _SAME.get(name, name)
    return token.replace(",", "") if token[0].isdigit() else token


def _after(part: str, closing: str) -> str:
    before, closed, after = part.partition(closing)
    return after if closed else before
