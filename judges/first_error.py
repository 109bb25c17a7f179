"""The critic of ProcessBench (arXiv 2412.06559), in our own wording: one question, one index in a box.

Paragraphs are numbered from 0 and the answer is the first wrong one, or -1. The last box of a reply counts.
"""

import re
from dataclasses import dataclass

from data import thoughts
from data.asks import Ask, Message
from data.records import NO_ERROR, Trace
from judges import judge
from judges.judge import Reading

_WORDING = "first_error"
_BOX = "\\boxed"
_INDEX = re.compile(
    r"\\boxed\s{0,3}\{\s{0,9}(?:\\text\{)?\s{0,3}(?:<?paragraph[\s_\\]{0,4})?([-\u2212]?[0-9]{1,9})>?\s{0,9}\}{1,2}",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class FirstError:
    """Judge by the index of the earliest wrong paragraph."""

    @property
    def fingerprint(self) -> str:
        """Name and hash of the wording."""
        return judge.fingerprint(_WORDING)

    def ask(self, trace: Trace) -> Ask:
        """One user message: the problem and the numbered paragraphs."""
        values = {"problem": judge.fence(trace.problem), "paragraphs": judge.paragraphs(trace, first=0)}
        return Ask((Message("user", judge.fill(judge.wording(_WORDING), values)),))

    def read(self, text: str, steps: int) -> Reading:
        """Parse the last box; one that holds no index of a paragraph is unparsed, whatever stands before it."""
        said = thoughts.spoken(text)
        at = said.rfind(_BOX)
        if at < 0:
            return Reading(None, "no box")
        found = _INDEX.match(said, at)
        if found is None:
            return Reading(None, "no index in the box")
        index = int(found.group(1).replace("\u2212", "-"))
        return Reading(index) if NO_ERROR <= index < steps else Reading(None, "a paragraph that does not exist")
