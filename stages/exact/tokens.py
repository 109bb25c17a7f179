"""Of which tokens an answer consists: numbers, letters, commands, units, signs.

One pass of one regular expression without nested repetition. Unknown signs, and letters that may be words, are Unclear.
"""

# ruff: noqa: RUF001 - the signs of mathematics look like letters and hyphens

import re

from stages.exact.algebra import INFINITY, PI, Unclear
from stages.exact.units import is_unit

Token = tuple[str, str]  # kind, text

_SPACE = (
    r"\s+|~|\$|\\[,!;:()\[\] ]"
    r"|\\(?:left|right|[bB]ig+[lr]?|displaystyle|textstyle|quad|qquad)(?![a-zA-Z])"
)
_NUMBER = (
    r"[1-9][0-9]{0,2}(?:(?:,|\{,\}|,\\! ?)[0-9]{3})+(?![0-9])(?:\.[0-9]+)?"
    r"|[1-9][0-9]{0,2}(?: 000)+(?![0-9])"
    r"|(?:(?:1|[0-9]+\.[0-9]+)[eE][-+]?|[0-9]+[eE]|[0-9]+[eE][-+](?=0))[0-9]{1,3}(?![0-9.])"
    r"|(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?![eE][-+][0-9])"  # 2e-3 may be 2e less 3
)
_TOKEN = re.compile(
    rf"(?P<box>\\boxed\{{)|(?P<row>\\\\)|(?P<space>{_SPACE})|(?P<number>{_NUMBER})|(?P<word>[a-zA-Z]+)"
    r"|\\begin\{(?P<begin>[pb]matrix)\}|\\end\{(?P<end>[pb]matrix)\}"
    r"|\\(?:text|textbf|textit|textrm|mathrm|mbox)\s?\{(?P<text>[^{}]*)\}"
    r"|(?P<warmth>(?:\^\s?\{?\s?\\circ\s?\}?|\^?\{?°\}?)\s*(?:\\(?:text|mathrm)\s?\{\s?)?[CF](?![A-Za-z])\}?)"
    r"|\\(?P<command>[a-zA-Z]+)|(?P<sign>\\[{}%$]|[<>]=|[-+*/^_=<>≤≥(){}\[\],;!%&−×·°π∞±])"
)
_PLAIN = {
    "cdot": "*", "times": "*", "×": "*", "·": "*", "div": "/", "−": "-", ";": ",", "±": "pm", "lbrace": "\\{",
    "rbrace": "\\}", "\\%": "%", "\\$": "currency", "°": "circ", "dfrac": "frac", "tfrac": "frac", "cfrac": "frac",
    "tbinom": "binom", "dbinom": "binom", "pi": PI, "π": PI, "infty": INFINITY,
    "lt": "<", "gt": ">", "le": "≤", "leq": "≤", "leqslant": "≤", "<=": "≤", "ge": "≥", "geq": "≥", "geqslant": "≥",
    ">=": "≥",
}  # fmt: skip
_GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu",
    "nu", "xi", "rho", "sigma", "tau", "upsilon", "phi", "varphi", "chi", "psi", "omega", "Gamma", "Delta", "Theta",
    "Lambda", "Xi", "Sigma", "Phi", "Psi", "Omega",
}  # fmt: skip
_FUNCTIONS = {"sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arctan", "sinh", "ln"}
ORDINAL = re.compile(r"\s*(?:th|st|nd|rd)(?: [a-z]+)?\s*")  # and what there are so many of: 12th grade
_AND = {"and", "or"}
_WORDS = {
    "am", "an", "as", "at", "be", "by", "do", "go", "he", "hr", "hz", "if", "in", "is", "it", "me", "my", "no",
    "of", "oh", "on", "pm", "so", "st", "th", "nd", "rd", "to", "up", "us", "we",
}  # fmt: skip
_DEPTH = {"(": 1, "[": 1, "\\{": 1, ")": -1, "]": -1, "\\}": -1}


def raised(text: str) -> str:
    """Return a text with its squares and cubes in LaTeX."""
    return text.replace("²", "^{2}").replace("³", "^{3}")


def tokens(text: str) -> list[Token]:
    """Return the tokens of an answer. Raises Unclear."""
    if text.count("$") - text.count(r"\$") & 1:
        text = text.replace("$", r"\$")  # one alone is no delimiter
    text = raised(text)
    found: list[Token] = []
    at = depth = 0
    boxes: list[bool] = []  # for every open brace, whether it is that of a box, which changes nothing
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise Unclear
        at, kind = match.end(), str(match.lastgroup)
        spelling = match[kind]
        if kind == "box" or spelling == "{":
            boxes.append(kind == "box")
        if kind in {"space", "box"} or (spelling == "}" and boxes and boxes.pop()):
            continue
        if kind == "number" and depth and "," in spelling:
            raise Unclear  # (1,234) may be a pair
        token = _read(kind, spelling)
        if found and found[-1][0] == "frac" and kind == "number" and len(spelling) == 2 and spelling.isdigit():
            token = [(kind, digit) for digit in spelling]
        depth += _DEPTH.get(token[0][0], 0)
        found += token
    return found


def _read(kind: str, spelling: str) -> list[Token]:
    if kind == "number":
        return [(kind, spelling if spelling.isdigit() else re.sub(r"[^-+.0-9eE]", "", spelling))]
    if kind == "word":
        return _word(spelling)
    if kind == "warmth":
        return [("text", "celsius" if "C" in spelling else "fahrenheit")]
    if kind in {"text", "begin", "end", "row"}:
        return [(",", "")] if kind == "text" and spelling.strip() in _AND else [(kind, spelling)]
    plain = _PLAIN.get(spelling, spelling)
    if plain in _FUNCTIONS:
        return [("function", plain)]
    return [("letter" if plain in _GREEK else plain, plain)]


def _word(word: str) -> list[Token]:
    """Read a run of letters: a product of at most two, unless it may be a word."""
    if len(word) == 1:
        return [("letter", word)]
    if word in _AND:
        return [(",", "")]
    if word in {"pi", "sqrt"}:
        return [(_PLAIN.get(word, word),) * 2]
    if is_unit(word) or ORDINAL.fullmatch(word):
        return [("text", word)]
    if len(word) > 2 or word.lower() in _WORDS:
        raise Unclear
    return [("letter", letter) for letter in word]
