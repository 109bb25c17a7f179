"""What is certain about two answers of which one is words: by spelling, and by what words cannot mean."""

import re
from typing import TypeGuard

from stages.answers import normal
from stages.exact.algebra import ONE, PI, ROOT, atoms
from stages.exact.bounds import bounds
from stages.exact.forms import Form, Scalar
from stages.exact.scalars import Decision

FAR = 0.01  # relative: a number in words that is so far from a value is no rounding of it

_CHOICE = re.compile(
    r"(?:[Oo]ption|[Cc]hoice|[Ll]etter)?(?:([A-Z])\)?|\(([A-Z])\)(?:(?:[A-Za-z]{2}|[0-9])(?:(?!\([A-Z]\)).)*)?)",
    re.DOTALL,
)
_MARKED = re.compile(
    r"[\s$]*(?:\\(?:text(?:bf|it|rm)?|math(?:bf|rm)|mbox)\s?\{\s*\(([A-Z])\)\s*\}(?:\\[,;:! ]|[\s~])*"
    r"|(?:\(([A-Ja-j])\)|([A-J])[).:]|([a-j])\))[\s~]+(?=-?[A-Za-z0-9$]|\\(?:[dt]?frac|sqrt|text|\$|\())"
    r"(?!.*(?:\([A-Ja-j]\)|\b[A-J][).:]|\b[a-j]\))))",
    re.DOTALL,
)
_LETTER = re.compile(r"(?:[Oo]ption|[Cc]hoice|[Ll]etter)?\(?([A-J])\)?")
_LED = re.compile(r"(yes|no|true|false)[,.;:\u2013\u2014](?!(?:yes|no|true|false)\b).+", re.IGNORECASE | re.DOTALL)
_EXCLUSIVE = (
    {"yes", "no"},
    {"true", "false"},
    {"odd", "even", "neither"},
    {"circle", "ellipse", "parabola", "hyperbola"},
)
_NOTHING = re.compile(
    r"(?:\\text\{)?\s*(?:none|no (?:real |such |integer )*(?:solutions?|integers?|numbers?|values?))\.?\s*\}?",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"([0-9]{1,2})(?::?([0-9]{2}))?([ap])\.?m", re.IGNORECASE)
_PHRASE = re.compile(r"\\text\{([A-Za-z0-9 ,.'-]+)\}|([A-Za-z ,.'-]+)")
_WORD = re.compile(r"[a-z]+")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_VALUED = re.compile(  # words that begin so may say a number
    r"\b(?:pi|root|square|cube|sqrt|ratio|number|constant|unit|infin|undefin|half|halv|third|quarter|fourth|fifth|sixth"
    r"|seventh|eighth|ninth|tenth|twice|thrice|doubl|tripl|times|plus|minus|over|divid|product|sum|differ|same|equal|zero"
    r"|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twel|thir|fift|twent|fort|hundred|thousand|million"
    r"|billion|dozen|value|answer|result|choice|option|irrational|real|golden|euler|imaginary)"
)


def spelled(ours: str, theirs: str) -> Decision:
    """Compare two answers in their canonical spelling; of "yes, since 3 > 2" the yes answers."""
    ours, theirs = (match[1] if (match := _LED.fullmatch(text)) else text for text in (ours, theirs))
    if ours.casefold() == theirs.casefold() and (ours == theirs or (len(ours) > 1 and ours.isalpha())):
        return "equal" if ours else None
    if (left := _CHOICE.fullmatch(ours)) and (right := _CHOICE.fullmatch(theirs)):
        return "equal" if (left[1] or left[2]) == (right[1] or right[2]) else "different"
    if any({ours.lower(), theirs.lower()} <= words for words in _EXCLUSIVE):
        return "different"
    left, right = _CLOCK.fullmatch(ours), _CLOCK.fullmatch(theirs)
    if left and right:
        return "equal" if _time(left) == _time(right) else "different"
    return None


def marked(answer: str) -> tuple[str | None, str]:
    r"""Return the letter that a choice is marked with, as in `\textbf{(B)}~7` and (B) 7, and what else is said."""
    match = _MARKED.match(answer)
    return (match[match.lastindex or 0].upper(), answer[match.end() :]) if match else (None, answer)


def lettered(ours: str, theirs: str) -> bool:
    """Whether one answer is the letter of a choice alone, and the other may be what that choice says."""
    letters = [match and match[1] for match in map(_LETTER.fullmatch, map(normal, (ours, theirs)))]
    if all(letters) or not any(letters):
        return False
    letter, other = (letters[0], theirs) if letters[0] else (letters[1], ours)
    return re.search(rf"(?<![A-Za-z]){letter}(?![A-Za-z])", other) is None


def nothing(text: str) -> bool:
    """Whether an answer says that there is none."""
    return _NOTHING.fullmatch(text.strip()) is not None


def other_than(text: str, form: Form) -> bool:
    """Whether an answer is words that cannot name a value, which only pi and roots do: no number among them is near."""
    match = _PHRASE.fullmatch(text.strip())
    if match is None or not _irrational(form):
        return False
    phrase = (match[1] or match[2]).lower()
    if max(map(len, _WORD.findall(phrase)), default=0) < 4 or _VALUED.search(phrase):
        return False
    low, high = bounds(form.value, {})
    near = FAR * max(-low, high)
    return all(not low - near <= float(number) <= high + near for number in _NUMBER.findall(phrase))


def _irrational(form: Form) -> TypeGuard[Scalar]:
    if not isinstance(form, Scalar) or form.unit or form.value.below != ONE:
        return False
    return form.value.rational() is None and all(name == PI or name[0] == ROOT for name in atoms(form.value))


def _time(clock: re.Match[str]) -> tuple[int, int, str]:
    return int(clock[1]) % 12, int(clock[2] or 0), clock[3].lower()
