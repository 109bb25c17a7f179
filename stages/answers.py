"""Which part of a solution is its answer.

`extract` reads, in this order: the last closed box; the last `#### x`; the last "answer is x", "answer: x", "A: x" or
heading "# Answer"; the formula or number that a short closing sentence ("Therefore, ...") states. What a model
only thought (data/thoughts.py) is never read. `normal` gives an answer a canonical spelling.
"""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from data import thoughts
from stages import wording

LONGEST = 2000  # characters of an answer or gold answer that are worth a comparison
CLOSING = 400  # characters: a longer tail after "Therefore" is reasoning, not a conclusion
SENTENCE = 4  # words: an announced answer of so many is a sentence that states it

_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])\s*")
_BARE = re.compile(r"(?![A-Za-z]{2,}(?![^\s{}$\\]*[0-9]))(?=[^\s{}$\\]*[^\W_])[^\s{}$\\]+")  # no word, no comma
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_HASHES = re.compile(r"^####[ \t]*([^\n]+)", re.MULTILINE)
_ANNOUNCED = re.compile(
    r"(?:\banswer[*_]*[ \t]*(?:is\b|:)"  # the answer is, **Answer**:
    r"|^[ \t]*A:(?![^\n]*\n[ \t]*B:)"  # a line that begins A:, but not a list of choices
    r"|^[ \t]*[#*_]+[ \t]*(?:final[ \t]+)?answer[*_ \t\r]*$(?=\s*+[^\n]++\s*+\Z))"  # a heading above the last line
    r"(?:[\s:*_]|\b(?:therefore|thus|hence|then|simply|just|indeed|given by|equal to)\b)*+"
    r"(?!(?:not |in)?(?:correct|reasonable|plausible|verified|confirmed)\b)",  # says nothing but praise
    re.IGNORECASE | re.MULTILINE,
)
_REMARK = re.compile(  # what is said of an answer, not the answer: only read where nothing else is announced
    r"(?:(?:also|indeed|always|clearly|still|now|not|both|an?|in|the)\s+)*"
    r"(?:consistent|positive|negative(?! [0-9])|non-?negative|integers?|whole number|complete|unique|exact|valid"
    r"|sensible|realistic|accurate|acceptable|expected|required|rounded|expressed|written|based|because|since|obtained|found"
    r"|derived|supported|clear|obvious|agreement|line|form|range)\b"
)
_VALUE = re.compile(r"[0-9$\\\u03c0\u221a\u221e]|(?<![A-Za-z'\u2019])[A-HJ-Zb-hj-z](?![A-Za-z'\u2019])")
_WORDS = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}")
_SENTENCE_END = re.compile(r"\.(?:\s|$)")
_EXCLAIMED = re.compile(r"\.(?:\s|$)|!(?=\s+[A-Z]|[\s*_\"]*$)")
_FACTORIAL = re.compile(r"[0-9)]!|(?<![A-Za-z])[a-z]!|\bfactorial", re.IGNORECASE)
_BULLET = re.compile(r"[ \t]*[-*\u2022][ \t]+")
_ASIDE = re.compile(r"\b(?:since|because|as|which|where|so)\b|\((?!or|and)")
_OF = re.compile(r"\b(?:for|when|if|with|in|at|of|from|on)\s+(?:\$[^$]*\$|\\\(.*?\\\))")
_MORE = re.compile(r"\$|\\\(|\\\[|=|\b(?:and|or)\s+\S*[0-9]|^\s*(?:[-+/^%\u2212\u00b1\u03c0\u221a]|\*(?!\*))")
_BOTH = re.compile(r"\b(?:and|or)\b")
_LINK = re.compile(r"\s*(?:[,;=]|,?\s*\b(?:and|or)\b)\s*")
_FINAL = re.compile(
    r"\b(?:therefore|thus|hence|so|consequently|finally|final answer|in conclusion|in total)\b", re.IGNORECASE
)
_MATHS = re.compile(r"\\\((.+?)\\\)|\\\[(.+?)\\\]|\$\$(.+?)\$\$|(?<![\\$])\$(?!\s)([^$\n]+)(?<!\s)\$(?!\d)", re.DOTALL)
_BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
_IS = re.compile(r"\b(?:is|are|equals?|remains)\b")
_SIMPLEST = re.compile(r"\s+(?:is|are)(?: already)?(?: in)? (?:its|their|the) simplest (?:radical )?form\b")
_AND = re.compile(r"[\s,;]*(?:and|or)\s*")
_COUNT = re.compile(
    r"(?<![\w.])([-\u2212\u2013]?)\\?\$?([-\u2212\u2013]?)((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:/\d+)?%?)"
)
_RESULT = re.compile(
    r"=\s*([-\u2212]?)\\?\$?([-\u2212]?)((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?)(?![\d.]*\s*[-+*/^\\]\s*[\d({])"
)

_Replacement = str | Callable[[re.Match[str]], str]
_MARKUP: tuple[tuple[re.Pattern[str], _Replacement], ...] = (
    (re.compile(r"\\(?:left|right|displaystyle|textstyle|[bB]igg?[lr]?)(?![a-zA-Z])|\\[!,;:>]"), ""),
    (re.compile(r"\\?\$|^\s*\*\*|\*\*\s*$"), ""),
    (re.compile(r"\\(?:quad|qquad)(?![a-zA-Z])|\\ |[~\u00a0]"), " "),
    (re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox)[ ]*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"(?<=[0-9])\^\{?(?:th|st|nd|rd)(?![a-z])\}?"), ""),
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\frac[ ]*([0-9])[ ]*([0-9])(?![0-9])"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\(?=%)|\\[()\[\]]"), ""),
    (re.compile(r"\{,\}"), ","),
    (re.compile("\u2212"), "-"),
    (re.compile("\u00b2"), "^2"),
    (re.compile("\u00b3"), "^3"),
    (re.compile("\u00b0"), r"^\\circ"),
    (re.compile(r"((?<=[0-9,])\s(?=\s*[0-9]))|\s+"), lambda space: " " if space[1] else ""),
)
_PLAIN = re.compile(r"[-+]?(?:[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+|\\frac\{-?[0-9,]+\}\{[0-9,]+\}|[0-9]+/[0-9]+)%?")


def extract(text: str) -> str | None:
    r"""Return the raw text of a solution's answer (`\boxed{x=5}` gives `x=5`), or None. Linear in the text."""
    said = thoughts.spoken(text)
    return _boxed(said) or _hashed(said) or _phrased(said) or _concluded(said)


def normal(answer: str) -> str:
    """Return a canonical spelling; equal spellings mean equal answers, different ones mean nothing."""
    for pattern, replacement in _MARKUP:
        answer = pattern.sub(replacement, answer)
    return answer.strip().rstrip(".,;:\\").strip()


def matched(text: str) -> bool:
    """Whether every brace has its partner; escaped ones are text."""
    braces = [match[0] for match in _BRACE.finditer(text) if len(match[0]) == 1]
    return len(braces) == 2 * len(_closes(text))


def gradable(gold: str) -> bool:
    """Whether anything but the same spelling could equal a gold answer: it is no torn LaTeX, says something, is short.

    Graded with another, every rollout would be undecided, and all would be paid for.
    """
    if len(gold) > LONGEST or not matched(gold):
        return False
    return any(char.isalnum() or char in "{}" or not char.isascii() for char in gold)  # \{\} is the empty set


def _boxed(text: str) -> str | None:
    """Content of the last outermost closed box that is not blank; a box that holds only a box is peeled."""
    reach, inside = -1, (0, 0)
    for start, first, last, end in _boxes(text):
        if start >= reach:
            reach = end
        elif (start, end) != inside:
            continue
        inside = (first, last)
    return text[slice(*inside)].strip() or None


def _boxes(text: str) -> Iterator[tuple[int, int, int, int]]:
    """Give (start, content start, content end, end) of every closed box whose content is not blank."""
    closes = _closes(text)
    for box in _BOX.finditer(text):
        brace = box.end()
        if (close := closes.get(brace)) is not None:
            if not text[brace + 1 : close].isspace() and close > brace + 1:
                yield box.start(), brace + 1, close, close + 1
        elif bare := _BARE.match(text, brace):
            yield box.start(), brace, bare.end(), bare.end()


def _closes(text: str) -> dict[int, int]:
    """Map the offset of every closed brace to that of its closing one; escaped braces are text."""
    opened: list[int] = []
    closes: dict[int, int] = {}
    for match in _BRACE.finditer(text):
        if match[0] == "{":
            opened.append(match.start())
        elif match[0] == "}" and opened:
            closes[opened.pop()] = match.start()
    return closes


def _hashed(text: str) -> str | None:
    """Content of the last `#### x`, if it is the last line or the only plain number: other such lines are headings."""
    matches = list(_HASHES.finditer(text))
    if matches and not text[matches[-1].end() :].strip():
        return _calm(matches[-1][1].strip(), text[: matches[-1].start()]) or None
    plain = {m[1].strip() for m in matches if _PLAIN.fullmatch(normal(m[1]))}
    return plain.pop() if len(plain) == 1 else None


def _phrased(text: str) -> str | None:
    """Read the last announcement that holds a value; a remark, or words alone, only where there is no other."""
    phrases = list(_ANNOUNCED.finditer(text))
    for phrase in reversed(phrases):
        said = _line(text, phrase.end())
        if not said.strip(" \t\r$*"):
            return None
        if _VALUE.search(said) and not _REMARK.match(said):
            return _announced(text, phrase)
    return _announced(text, phrases[-1]) if phrases else None


def _announced(text: str, phrase: re.Match[str]) -> str | None:
    """Read what follows an announcement, to the end of its sentence, without its decoration."""
    start = phrase.end()
    if "\n" in phrase[0] and (items := _listed(text, start)):
        return ", ".join(items)
    if (formula := _MATHS.match(text, start, start + CLOSING)) and not _continued(text, formula):
        return _inside(formula)
    end = _linked(text, formula) if formula else start
    said = text[start:end] + _sentence(_line(text, end), text[:start])
    said = _MATHS.sub(lambda one: _inside(one) or "", said).replace("**", "").strip(" \t\r$*")
    if said[:1].isalpha() and any(map(str.isdigit, said)) and len(_WORDS.findall(said)) >= SENTENCE:
        return _stated(text[start:end] + _sentence(_line(text, end), text[:start]), text[:start])
    return said if normal(said) else None


def _line(text: str, start: int) -> str:
    return text[start : start + 2 * LONGEST].partition("\n")[0]


def _sentence(line: str, before: str) -> str:
    """Return a line to the end of its first sentence. After "5!" it ends, but where factorials are talked of."""
    ends = _SENTENCE_END if _FACTORIAL.search(before) else _EXCLAIMED
    return ends.split(line, maxsplit=1)[0]


def _calm(said: str, before: str) -> str:
    return said if _FACTORIAL.search(before) else re.sub(r"(?<=[0-9A-Za-z)*])!$", "", said)


def _listed(text: str, start: int) -> list[str]:
    """Return what stands behind the bullets of a list that begins there."""
    starred = text[max(0, start - 2) : start] == "* "
    items: list[str] = []
    for line in text[start : start + CLOSING].split("\n"):
        bullet = _BULLET.match(line)
        if not (bullet or (starred and not items)):
            break
        items.append(_MATHS.sub(lambda one: _inside(one) or "", line[bullet.end() if bullet else 0 :]).strip(" \t\r*."))
    return items


def _continued(text: str, formula: re.Match[str]) -> bool:
    """Whether a formula is not all that its sentence announces: $3$ or $4$, $x$ = $5$, $5$ million."""
    if (link := _LINK.match(text, formula.end())) and _MATHS.match(text, link.end(), link.end() + CLOSING):
        return True
    if formula[0].rstrip("$)]\\ \n").endswith("."):
        return False
    rest = _SENTENCE_END.split(_line(text, formula.end()), maxsplit=1)[0]
    if wording.changed(rest):
        return True
    rest = _ASIDE.split(rest, maxsplit=1)[0]
    return _MORE.search(rest if _BOTH.search(rest) else _OF.sub("", rest)) is not None


def _linked(text: str, formula: re.Match[str]) -> int:
    """Return where the last of formulas ends that are linked by commas, equals signs or "and", also across lines."""
    end = formula.end()
    while (link := _LINK.match(text, end)) and (other := _MATHS.match(text, link.end(), link.end() + CLOSING)):
        end = other.end()
    return end


def _concluded(text: str) -> str | None:
    """Read what a finished closing sentence states."""
    tail = text[-2 * CLOSING :].rstrip()
    words = list(_FINAL.finditer(tail, max(0, len(tail) - CLOSING)))
    if not words or not tail.endswith((".", "!", "*", "$", "\\]", "\\)")):
        return None
    return _stated(tail[words[-1].end() :], tail[: words[-1].start()])


def _stated(closing: str, before: str) -> str | None:
    """Read a sentence: its last formula, unless it ends a list or more is said of it; else its bold or only number."""
    formulas = list(_MATHS.finditer(closing))
    if formulas:
        more = _IS.search(closing, formulas[-1].end()) and not _SIMPLEST.match(closing, formulas[-1].end())
        listed = any(_AND.fullmatch(closing, one.end(), other.start()) for one, other in pairwise(formulas[-2:]))
        return None if more or listed else _inside(formulas[-1])
    if wording.two_units(closing):
        return None
    bold = _BOLD.findall(closing)[-1:]
    return _counted((bold if any(_COUNT.findall("".join(bold))) else [closing])[0], before)


def _counted(closing: str, before: str) -> str | None:
    """Return the number a closing sentence states: its only one, the last result again, or the one after "is".

    None where that is only a part of an expression (wording.alone).
    """
    closing = closing.replace("**", "")
    numbers = _numbers(closing)
    if len({number for number, _ in numbers}) == 1:
        return numbers[-1][0] if numbers[-1][1] else None
    result = [_signed(one) for one in _RESULT.finditer(before)][-1:]
    if result and (result[0], True) in numbers:
        return result[0]
    stated = _numbers(closing, max((verb.end() for verb in _IS.finditer(closing)), default=0))
    return stated[0][0] if len(stated) == 1 and numbers[-1:] == stated and stated[0][1] else None


def _numbers(text: str, start: int = 0) -> list[tuple[str, bool]]:
    """Return the numbers of a sentence, and whether each is all of its expression."""
    return [(_signed(one), wording.alone(text, one.start(), one.end())) for one in _COUNT.finditer(text, start)]


def _signed(number: re.Match[str]) -> str:
    return ("-" if number[1] or number[2] else "") + number[3]


def _inside(formula: re.Match[str]) -> str | None:
    return next(group for group in formula.groups() if group is not None).strip().rstrip(".") or None
