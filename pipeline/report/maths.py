"""Text with LaTeX in it, as a page without network can show it: formulas become MathML of allowed elements alone.

A formula is a tree of lists, `[tag, {attribute: value}, child, ...]`, whose leaves are text; the page makes elements of
it one by one, and never parses markup. What cannot be converted, is too long or too deep, stays as it was written.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert_to_element

Tree = list["str | dict[str, str] | Tree"]
Piece = str | int  # text as it is, or the number of a formula

LONGEST = 1_500  # characters of a formula
DEEPEST = 24  # levels of braces, environments and \left within each other
LARGEST, LEVELS = (
    3_000,
    64,
)  # elements of a formula, and how deep they may lie: browsers and JSON go down them by recursion
WORK = 400_000  # characters of different formulas that a page converts

TAGS = frozenset(
    {"mrow", "mi", "mn", "mo", "ms", "mtext", "mspace", "mstyle", "mpadded", "mphantom", "menclose"}
    | {"mfrac", "msqrt", "mroot", "msub", "msup", "msubsup", "mover", "munder", "munderover"}
    | {"mtable", "mtr", "mtd", "mmultiscripts", "mprescripts", "none"}
)
_LENGTH = re.compile(r"[+-]?(?:[0-3](?:\.\d{1,4})?|\.\d{1,4})(?:em|ex)|0(?:px)?")
ATTRIBUTES = {
    "displaystyle": re.compile("true|false"),
    "scriptlevel": re.compile("[+-]?[0-3]"),
    "stretchy": re.compile("true|false"),
    "fence": re.compile("true|false"),
    "form": re.compile("prefix|infix|postfix"),
    "largeop": re.compile("true|false"),
    "movablelimits": re.compile("true|false"),
    "accent": re.compile("true|false"),
    "accentunder": re.compile("true|false"),
    "linethickness": re.compile("0"),
    "mathvariant": re.compile("normal|bold|italic|bold-italic|double-struck|script|fraktur|sans-serif|monospace"),
    "notation": re.compile("[a-z ]{1,40}"),
    "columnalign": re.compile("(?:left|right|center)(?: (?:left|right|center)){0,20}"),
    "width": _LENGTH,
    "height": _LENGTH,
    "depth": _LENGTH,
    "lspace": _LENGTH,
    "rspace": _LENGTH,
    "minsize": _LENGTH,
    "maxsize": _LENGTH,
}

_SIGNS, _ENDS = frozenset("+-\u2212\u00b1\u2213"), frozenset(")]}|!\u2032")
_REFUSED = re.compile(r"\\(?:newcommand|renewcommand|def|DeclareMathOperator|newenvironment|verb|unicode)(?![a-zA-Z])")
_OPENS = re.compile(
    r"(?P<escaped>\\[\\$])|(?P<double>\$\$)|(?P<single>\$)(?=\S)|(?P<bracket>\\\[)|(?P<paren>\\\()"
    r"|\\begin\{(?P<name>align|aligned|equation|gather|cases|array|[pbvBV]?matrix|multline|eqnarray)(?P<star>\*?)\}"
)
_CLOSES = {"double": "$$", "bracket": "\\]", "paren": "\\)"}
_DOLLAR = re.compile(r"(?<![\s\\])\$(?!\d)")
_NESTS = re.compile(r"\\(?:begin|end)(?=\{)|\\left(?![a-zA-Z])|\\right(?![a-zA-Z])|\\.|[{}]", re.DOTALL)
_IGNORED = re.compile(r"\\(?:label\{[^{}]{0,40}\}|nonumber|displaystyle|limits|!)(?![a-zA-Z])")


@dataclass(frozen=True, slots=True)
class Formula:
    """LaTeX as it was written, the tree it became (None: shown as it was written), and whether it has its own line."""

    source: str
    tree: Tree | None
    block: bool


@dataclass(slots=True)
class Formulas:
    """The different formulas of a page, each converted once; beyond `work` characters none is any more."""

    work: int = WORK
    found: list[Formula] = field(default_factory=list)
    _numbers: dict[tuple[str, bool], int] = field(default_factory=dict)

    def read(self, text: str) -> list[Piece]:
        """Take text apart; pieces of text and sources of formulas join to the text."""
        pieces: list[Piece] = []
        done = at = 0
        while opened := _OPENS.search(text, at):
            span = _span(text, opened)
            if span is None:
                at = opened.end()
                continue
            begin, end, at = span
            pieces += [text[done : opened.start()]] if opened.start() > done else []
            pieces.append(self._number(text[opened.start() : at], text[begin:end], opened.lastgroup or ""))
            done = at
        return [*pieces, text[done:]] if done < len(text) else pieces

    def answer(self, text: str) -> list[Piece]:
        """Take an answer apart, which is often LaTeX without dollar signs around it."""
        pieces = self.read(text)
        bare = pieces == [text] and any(sign in text for sign in "\\^_")
        return [self._number(text, text, "single")] if bare else pieces

    def _number(self, source: str, latex: str, kind: str) -> int:
        block = kind not in {"single", "paren"}
        known = self._numbers.get((source, block))
        if known is None:
            known = self._numbers[source, block] = len(self.found)
            self.work -= len(source)
            self.found.append(Formula(source, mathml(latex, block=block) if self.work >= 0 else None, block))
        return known


def _span(text: str, opened: "re.Match[str]") -> tuple[int, int, int] | None:
    """Return where a formula's LaTeX begins and ends, and where the text goes on; None where it is none."""
    kind, begin = opened.lastgroup, opened.end()
    limit = begin + LONGEST
    if kind in {"name", "star"}:
        close = f"\\end{{{opened['name']}{opened['star']}}}"
        end = text.find(close, begin, limit)
        return None if end < 0 else (opened.start(), end + len(close), end + len(close))
    if kind == "single":  # as Pandoc has it: "$5 and $10" is money
        found = _DOLLAR.search(text, begin + 1, limit)
        if found is None or "\n\n" in text[begin : found.start()]:
            return None
        return begin, found.start(), found.end()
    close = _CLOSES.get(kind or "", "")
    end = text.find(close, begin, limit) if close else -1
    return None if end <= begin else (begin, end, end + len(close))


def mathml(latex: str, *, block: bool = False) -> Tree | None:
    """Convert one formula; None where that fails, or where it is longer, deeper or larger than a formula is."""
    if len(latex) > LONGEST or _REFUSED.search(latex) or _depth(latex) > DEEPEST:
        return None
    try:
        made = convert_to_element(_IGNORED.sub(" ", latex).strip(), display="block" if block else "inline")
        tree = _allowed(made[0], iter(range(LARGEST)), LEVELS)
    except Exception:  # noqa: BLE001 - a converter fed by models may raise anything; the source is shown instead
        return None
    return None if _odd(tree) else tree


def _allowed(element: Element, left: Iterator[int], levels: int) -> Tree:
    """Emit an element again, of allowed tags and attributes alone; `left` runs out with what may still come."""
    if not levels or next(left, None) is None:
        raise ValueError("larger than a formula is")
    tag = element.tag if element.tag in TAGS else "mrow"
    for before, sign in pairwise(element):
        if _sign(before, sign):
            sign.set("form", "prefix")
    told = {
        name: value
        for name, value in element.attrib.items()
        if (allowed := ATTRIBUTES.get(name)) and allowed.fullmatch(value)
    }
    tree: Tree = [tag, told] if told else [tag]
    if element.text:
        tree.append(html.unescape(element.text))  # the converter leaves its characters as references
    tree.extend(_allowed(child, left, levels - 1) for child in element)
    return tree


def _sign(before: Element, operator: Element) -> bool:
    """Whether an operator is the sign of what follows: browsers go by its place in the row alone."""
    texts = [html.unescape(one.text or "") for one in (before, operator)]
    return before.tag == operator.tag == "mo" and texts[0] not in _ENDS and texts[1] in _SIGNS


def _odd(tree: Tree) -> bool:
    """Whether a command came through that the converter does not know."""
    return any(
        _odd(child) if isinstance(child, list) else isinstance(child, str) and child[:1] == "\\" for child in tree
    )


def _depth(latex: str) -> int:
    deepest = depth = 0
    for found in _NESTS.finditer(latex):
        token = found.group()
        depth += token in {"{", "\\begin", "\\left"}
        depth -= token in {"}", "\\end", "\\right"}
        deepest = max(deepest, depth)
    return deepest
