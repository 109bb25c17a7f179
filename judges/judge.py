"""The port of a judge without I/O: what to ask a model about a trace, and what its reply says.

Problem and solution text is untrusted: `fence` keeps it from closing or opening a prompt's tags, or from starting a
chat turn in the judge's voice, and `fill` puts it into a prompt in one pass, so that no text can pull in another.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from data import thoughts
from data.asks import Ask
from data.records import Trace


@dataclass(frozen=True, slots=True)
class Reading:
    """One reply as read: the first wrong step (-1: none), or None and the `reason` why it could not be read."""

    first_error: int | None
    reason: str | None = None


class Judge(Protocol):
    """An LLM judge. `ask` gives messages only; how often and how they are sampled is the caller's business."""

    @property
    def fingerprint(self) -> str:
        """Name and content hash of the wording: changes whenever the question does."""
        ...

    def ask(self, trace: Trace) -> Ask:
        """Question about all steps of a trace that has at least one."""
        ...

    def read(self, text: str, steps: int) -> Reading:
        """Verdict of a reply on a trace of `steps` steps; never raises, whatever the text."""
        ...


_TAGS = rf"paragraph|analysis|conclusion|problem|reference|solution|{thoughts.TAG}"
_FENCED = re.compile(
    rf"<(?=\s{{0,4}}/?\s{{0,4}}(?:{_TAGS})(?![A-Za-z])"  # the prompts' own tags, and the end of a model's reasoning
    r"|[|｜][^<>|｜\n]{2,60}[|｜]>"  # noqa: RUF001 - <|im_start|> and its kin; one family has full-width bars
    r"|/?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn|extra_(?:id_)?[0-9]{1,4})>"
    r"|<\s?/?SYS>>)"
    rf"|◁(?=/?think▷)|a(?={thoughts.FINAL[1:]})"
    r"|\[(?=/?(?:THINK|INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\])",
    re.IGNORECASE,
)
_ENTITIES = {"<": "&lt;", "[": "&#91;", "◁": "&#9665;", "a": "&#97;"}


def fence(text: str) -> str:
    """Text with the first character of every tag and chat control token written as an entity, all else unchanged."""
    return _FENCED.sub(lambda found: _ENTITIES[found.group().lower()], text)


_PLACE = re.compile(r"\{([a-z]{1,20})\}")


def fill(wording: str, values: Mapping[str, str]) -> str:
    """Replace `{name}` in one pass: braces inside a value are text. Raises KeyError for a name without a value."""
    return _PLACE.sub(lambda place: values[place.group(1)], wording)


def paragraphs(trace: Trace, first: int) -> str:
    """Put the steps in numbered tags, counted from `first`, a blank line after each."""
    return "".join(
        f"<paragraph_{k}>\n{fence(step).strip()}\n</paragraph_{k}>\n\n" for k, step in enumerate(trace.steps, first)
    )


def wording(name: str) -> str:
    """Text of a prompt beside this file."""
    return (Path(__file__).parent / "prompts" / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")


def fingerprint(name: str) -> str:
    """Name of a prompt and 16 hex digits of its sha256."""
    return f"{name}/{hashlib.sha256(wording(name).encode()).hexdigest()[:16]}"
