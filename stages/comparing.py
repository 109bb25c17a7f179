"""Whether two answers are the same piece of mathematics, by math-verify; may hang or exhaust memory.

So it runs as a process of its own (`python -m stages.comparing`), which `pipeline/grading.py` starts and kills.
Only math-verify's LaTeX grammar reads answers: its plain-text reader would hand them to Python's evaluator. JSON
lines in (`[answer, gold]`), JSON lines out (the outcome; first a line that says "ready").
"""

import json
import logging
import os
import re
import resource
import signal
import sys
from functools import lru_cache
from pathlib import Path
from typing import TextIO

from math_verify import LatexExtractionConfig, parse, verify

from data.records import Outcome
from stages import wording
from stages.answers import matched, normal
from stages.exact import words
from stages.exact.certain import understood
from stages.exact.tokens import raised

_AMBIGUOUS = re.compile(r"\A\s*-?[0-9]+[eE][-+][0-9]+\s*\Z|[0-9] x [0-9]")  # 2e-3 may be 2e less 3, 2 x 3 be 6
_CLOCK = re.compile(r"(?<![0-9])[0-9]{1,2}:[0-9]{2}(?![0-9])")
_READER = (LatexExtractionConfig(boxed_match_priority=0),)


def compare(answer: str, gold: str) -> Outcome:
    """Compare two raw answers.

    Where neither can be read as mathematics their spelling decides; where only one can, one is torn (a brace has no
    partner) or the letter of a choice that may say the other, or the comparison fails, the outcome is "undecided". The
    gold comes first: `x = 5` matches `5` either way, but an equation that is itself the gold answer does not match its
    right-hand side. What words may change (stages/wording.py) is undecided, too.
    """
    if not (matched(answer) and matched(gold)):  # of `5} + {3` the reader would take the 5
        return "equal" if _alike(answer, gold) else "undecided"
    if words.lettered(answer, gold):
        return "undecided"
    answer, gold = (words.marked(text)[1] or text for text in (answer, gold))
    ours, theirs = (wording.worded(wording.plainly(text)) for text in (answer, gold))
    if wording.loose(ours) or wording.loose(theirs):
        return "equal" if _alike(answer, gold) else "undecided"
    outcome, hedged = _verified(ours, theirs), (wording.worded(answer), wording.worded(gold))
    doubtful = outcome != "undecided" and _DOUBTS[outcome](*hedged)
    return "undecided" if doubtful else outcome


def _verified(answer: str, gold: str) -> Outcome:
    theirs, ours = list(_read(gold)), list(_read(answer))
    if not theirs and not ours:
        return "equal" if _alike(answer, gold) else "different"
    if not theirs or not ours:
        return "undecided"
    try:
        same = verify(theirs, ours, allow_set_relation_comp=True, timeout_seconds=None, raise_on_error=True)
    except Exception:  # noqa: BLE001 - math-verify and sympy raise whatever they meet, and any of it leaves this open
        return "undecided"
    return "equal" if same else "different"


def _coincidence(answer: str, gold: str) -> bool:
    """Whether "equal" rests on letters alone: silent is no product of those of listen, 12 apples are no 12 oranges."""
    spelled = all(map(wording.only_words, (answer, gold))) and not _alike(answer, gold)
    return spelled or wording.other_things(answer, gold)


def _misread(answer: str, gold: str) -> bool:
    """Whether "different" may rest on words taken for products of letters, or on what one side leaves out."""
    ours, theirs = wording.words(answer), wording.words(gold)
    if bool(ours) != bool(theirs) or (
        wording.shared(ours, theirs) and (ours != theirs or not re.search("[0-9]", answer + gold))
    ):
        return True
    if any(wording.in_degrees(text) or _AMBIGUOUS.search(text) for text in (answer, gold)):
        return True
    if bool(_CLOCK.search(answer)) != bool(_CLOCK.search(gold)):
        return True
    return (
        (words.nothing(answer) and words.nothing(gold))
        or understood(answer, gold)
        or understood(wording.brief(answer), wording.brief(gold))
    )


_DOUBTS = {"equal": _coincidence, "different": _misread}


def _alike(answer: str, gold: str) -> bool:
    return normal(answer).casefold() == normal(gold).casefold()


@lru_cache(maxsize=64)  # a problem's solutions come together, and share its gold answer
def _read(answer: str) -> tuple[object, ...]:
    return tuple(parse(f"\\boxed{{{raised(answer)}}}", _READER, fallback_mode="no_fallback", parsing_timeout=None))


def _serve(questions: TextIO, replies: TextIO, memory: int, deadline: float) -> None:
    """Answer questions until they end. A question that takes more than `deadline` seconds of CPU ends the process.

    Of CPU, not by the clock: how busy the machine is must not decide what is undecided.

    Where memory grew past a quarter of the limit, "different" may be a MemoryError that sympy swallowed: no reply.
    """
    print('"ready"', file=replies, flush=True)
    for question in questions:
        signal.setitimer(signal.ITIMER_PROF, deadline)
        outcome = compare(*json.loads(question))
        signal.setitimer(signal.ITIMER_PROF, 0)
        if outcome == "different" and _peak() > memory // 4:
            return
        print(json.dumps(outcome), file=replies, flush=True)


def _peak() -> int:
    """Return the most memory this process has had, in bytes.

    Not by `getrusage` where there is another way: its figure survives exec, so it may be that of a large parent.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM:")) * 1024


def _main(memory: int, deadline: float) -> None:
    """Give up what a comparison needs least: memory beyond `memory` bytes, files, Ctrl-C, and the reply channel."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    logging.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    _serve(sys.stdin, replies, memory, deadline)


if __name__ == "__main__":
    _main(int(sys.argv[1]), float(sys.argv[2]))
