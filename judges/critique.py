"""The judge of "The Lessons of Developing Process Reward Models" (arXiv 2501.07301), in our own wording.

The model analyses paragraph after paragraph, numbered from 1, stops at the first error and concludes Correct or
Incorrect. The first error is the last paragraph it analysed, counted from 0 here. A reply that does not follow is
unparsed, never a verdict. With the wording `critique_reference` it sees a solution of its own beside the proposed one
(Self-PRM, arXiv 2505.11227), which it is asked for before.
"""

import re
from dataclasses import dataclass, replace
from typing import Literal

from data import thoughts
from data.asks import Ask, Message, Sample
from data.records import NO_ERROR, Trace
from judges import judge
from judges.judge import Reading

_SOLVE = "reference"
_ANALYSIS = re.compile(r"<\s{0,3}analysis_([0-9]{1,9})[0-9]*\s{0,3}>", re.IGNORECASE)
_CONCLUSION = re.compile(r"<\s{0,3}conclusion\s{0,3}>([^<]{0,200})", re.IGNORECASE)
_DECORATION = " \t\r\n*_`\"'.:"


@dataclass(frozen=True, slots=True)
class Critique:
    """Judge by critique; `critique_brief` is the terse wording the small embedded model was trained on.

    `reference` is the judge's own solution, for the wording that shows one.
    """

    wording: Literal["critique", "critique_brief", "critique_reference"] = "critique"
    reference: str = ""

    @property
    def refers(self) -> bool:
        """Whether the judge solves the problem itself first."""
        return self.wording == "critique_reference"

    @property
    def fingerprint(self) -> str:
        """Name and hash of the wording, and of the one that asks for a reference."""
        own = judge.fingerprint(self.wording)
        return f"{own}+{judge.fingerprint(_SOLVE)}" if self.refers else own

    def solve(self, problem: str) -> Ask:
        """One user message: the problem, to be solved."""
        return Ask((Message("user", judge.fill(judge.wording(_SOLVE), {"problem": judge.fence(problem)})),))

    def referring(self, sample: Sample) -> "Critique | None":
        """Return the judge with this solution as its reference; None where it was cut off, or says nothing."""
        said = thoughts.spoken(sample.text).strip()
        return replace(self, reference=said) if said and sample.finish == "stop" else None

    def ask(self, trace: Trace) -> Ask:
        """One user message: the problem and the numbered paragraphs."""
        values = {
            "problem": judge.fence(trace.problem),
            "paragraphs": judge.paragraphs(trace, first=1),
            "reference": judge.fence(self.reference),
        }
        return Ask((Message("user", judge.fill(judge.wording(self.wording), values)),))

    def read(self, text: str, steps: int) -> Reading:
        """Parse opening tags only (models close them with wrong numbers); the last conclusion counts."""
        said = thoughts.spoken(text)
        conclusions = list(_CONCLUSION.finditer(said))
        if not conclusions:
            return Reading(None, "no conclusion")
        last = conclusions[-1]
        analysed = [int(tag.group(1)) for tag in _ANALYSIS.finditer(said, 0, last.start())]
        if any(not 1 <= k <= steps for k in analysed):
            return Reading(None, "a paragraph that does not exist")
        return _concluded(last.group(1).strip(_DECORATION).lower(), analysed)


def _concluded(conclusion: str, analysed: list[int]) -> Reading:
    if conclusion == "correct":
        return Reading(NO_ERROR)
    if conclusion != "incorrect":
        return Reading(None, "the conclusion is neither Correct nor Incorrect")
    if not analysed:
        return Reading(None, "Incorrect without a paragraph")
    if analysed[-1] < max(analysed):  # begun anew, or the tag of an earlier paragraph named in a later one's analysis
        return Reading(None, "the paragraphs are out of order")
    return Reading(analysed[-1] - 1)
