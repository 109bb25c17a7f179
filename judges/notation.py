"""Which tokens of arithmetic a text holds: plain text, markdown and LaTeX become one flat stream.

One regular expression without nested repetition reads the text once, so hostile text costs linear time. What is not
understood becomes a `poison` token, which makes the expression around it unreadable instead of wrong.
"""

# ruff: noqa: RUF001 - the signs of arithmetic look like letters and hyphens

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal[
    "number", "symbol", "word", "op", "open", "close", "percent", "factorial", "function", "equals", "relation",
    "break", "stop", "line", "poison",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `spaced` where white space stood before it. The text of an "op" is one of + - * / ^."""

    kind: Kind
    text: str
    spaced: bool = False


_END = r"(?![A-Za-z])"  # a LaTeX command ends where its letters end
_RULES: tuple[tuple[str, str], ...] = (
    ("quoted", r"\\(?:text|textbf|textit|textrm|mathrm|mbox|operatorname)\s?\{[^{}]{0,80}\}"),
    ("break", r"\\(?:begin|end)\{[a-z*]{1,20}\}(?:\{[lcr|]{0,10}\})?|\\[\[\]]|=>|->|[⟹⇒→∴]"),
    ("break", r"\\(?:implies|Rightarrow|iff|rightarrow|to|therefore|quad|qquad|Longrightarrow)" + _END),
    ("line", r"(?:\n|\\\\)(?:[\n\t &]{0,9}\\q?quad(?![A-Za-z])){0,9}"),
    ("space", r"\^\s?\{?\s?\\circ\s?\}?|°|[€£]"),
    ("op", r"(?<=[0-9])\*\*(?=[0-9])"),
    ("poison", r"\)\*\*(?=\()"),
    ("space", r"[ \t\r\f\v\u00a0$`&~]+|\\[,;:!> ()$]|\*\*"),
    ("joint", r"\\(?:left|bigl|Big|big)" + _END),
    ("space", r"\\(?:right|displaystyle|boxed|mathbf|bigr)" + _END),
    ("poison", r"0[0-9]+"),  # 0900 is a time of day
    ("number", r"[0-9]{1,3}(?:(?:,\\!|\{,\}|\\,|,)[0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+"),
    ("percent", r"\\?%"),
    ("poison", r"\.{2,}|\.(?=[0-9]|\\(?:overline|bar|dot)(?![A-Za-z]))|…|=\s?\?|\?\s?="),
    ("relation", r"!=|=/=|<=|>=|[≠≤≥<>≈≅≡]|~="),
    ("relation", r"\\(?:neq?|leq?|geq?|lt|gt|leqslant|geqslant|approx|simeq|sim|cong|equiv)" + _END),
    ("equals", r"==|:=|="),
    ("op", r"[-+*/^−–×·⋅∙÷]|\\(?:times|cdot|div)" + _END),
    ("square", r"[²³]"),
    ("function", r"\\(?:[dtc]?frac|[dt]?binom|sqrt|pi)" + _END + r"|√|π|sqrt(?=\()"),
    ("open", r"[(\[{]"),
    ("close", r"[)\]}]"),
    ("factorial", r"(?<=[0-9)}])!(?!\s*$|\s+[A-Z*])"),
    ("poison", r"(?<=[0-9)}])!"),
    ("stop", r"[.;](?=\s|$|[A-Z\\$*)\]])|[?!]"),
    ("break", r"[,:](?=\s|\\|\$|\*|$)"),
    ("word", r"[^\W\d_]+(?:['’][^\W\d_]+)?"),
    ("poison", r"\\[A-Za-z]+|."),
)
_TOKEN = re.compile("|".join(f"(?P<{kind}_{i}>{rule})" for i, (kind, rule) in enumerate(_RULES)), re.DOTALL)
_PLAIN = {
    "−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "∙": "*", "÷": "/", "**": "^", "\\times": "*", "\\cdot": "*",
    "\\div": "/", "\\dfrac": "frac", "\\tfrac": "frac", "\\cfrac": "frac", "\\frac": "frac", "\\dbinom": "binom",
    "\\tbinom": "binom", "\\binom": "binom", "\\sqrt": "sqrt", "√": "sqrt", "\\pi": "pi", "π": "pi",
}  # fmt: skip


def tokens(text: str) -> list[Token]:
    """Tokens of a text, line ends settled: a "line" is gone, or has become a "stop"."""
    return list(_lines_settled(_signs_settled(list(_raw(text)))))


def _raw(text: str) -> Iterator[Token]:
    spaced = True
    for match in _TOKEN.finditer(text):
        kind, found = str(match.lastgroup).rpartition("_")[0], match.group()
        if kind in ("space", "joint"):
            spaced = kind == "space"  # `2 \left(3\right)` is a product, `2 (3)` may be a remark
        elif kind == "quoted":
            yield from _quoted(found[found.index("{") + 1 : -1])
            spaced = True
        else:
            yield from _token(kind, found, spaced)
            spaced = False


def _quoted(text: str) -> Iterator[Token]:
    r"""Words set as text inside mathematics; a single letter there (`\text{m}`) is a unit, not a variable."""
    for token in _raw(text):
        yield replace(token, kind="word", spaced=True) if token.kind == "symbol" else token


def _token(kind: str, text: str, spaced: bool) -> Iterator[Token]:
    if kind == "square":
        yield Token("op", "^")
        yield Token("number", "2" if text == "²" else "3")
    elif kind == "word" and len(text) == 1:
        yield Token("symbol", text, spaced)
    else:
        yield Token(kind, _PLAIN.get(text, text), spaced)  # type: ignore[arg-type]  # the rules' names are the kinds


_LEFT_OF_TIMES = frozenset({"number", "close", "word", "percent"})
_RIGHT_OF_TIMES = frozenset({"number", "open", "function"})
_OPERAND = frozenset({"number", "open", "function", "symbol"})


def _signs_settled(found: list[Token]) -> Iterator[Token]:
    """Read an x between two quantities as a multiplication sign: `5 x 3`, `5x3`, but not `5x(3 + 1)`."""
    for i, token in enumerate(found):
        inner = token.text in ("x", "X") and token.kind == "symbol" and 0 < i < len(found) - 1
        if inner and found[i - 1].kind in _LEFT_OF_TIMES and found[i + 1].kind in _RIGHT_OF_TIMES:
            variable = not token.spaced and found[i + 1].kind != "number"
            yield token if variable else Token("op", "*", token.spaced)
        else:
            yield token


def _lines_settled(found: Iterator[Token]) -> Iterator[Token]:
    stream = [Token("stop", ""), Token("line", ""), *found, Token("stop", ""), Token("stop", "")]
    for before, token, after, beyond in zip(stream, stream[1:], stream[2:], stream[3:], strict=False):
        if token.kind == "line":
            yield from _line(before, after, beyond)
        else:
            yield token


def _line(before: Token, after: Token, beyond: Token) -> Iterator[Token]:
    """Continue an equation over a line end next to `=` or after an operator.

    An operator that begins a line may also be a list's bullet, so neither side of it can be trusted.
    """
    if before.kind in ("op", "equals") or after.kind == "equals":
        return
    doubtful = after.kind == "op" and beyond.kind in _OPERAND
    if doubtful:
        yield Token("poison", "")
    yield Token("stop", "")
    if doubtful:
        yield Token("poison", "")
