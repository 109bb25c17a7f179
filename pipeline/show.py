"""One labelled solution for the terminal, in colour: its steps, rollouts, votes, verdicts, and the judge's words."""

import textwrap
from collections.abc import Callable, Iterator, Sequence

from data.schema import Row
from pipeline.replies import Heard

GREEN, RED, GREY, BOLD, PLAIN = "\033[32m", "\033[31m", "\033[90m", "\033[1m", "\033[0m"
BLOCKS = " ▏▎▍▌▋▊▉█"
BAR = 4  # cells
LEGEND = (
    "✓ right   ✗ first error   · no label   j, r: first error by the judge, by rollouts; steps count from 0",
    "3/8: so many rollouts from here reached the gold answer; +: sampling stopped early",
    "inferred: from another step's number; graded: by the solution's own answer; skipped: nobody asked",
)
FROM_ONE = "a critique's own words count steps from 1"
MARGIN = 24  # cells before a step's text
Paint = Callable[[str, str], str]


def lines(row: Row, heard: Sequence[Heard] | None = None, *, colour: bool, width: int | None = None) -> Iterator[str]:
    """Yield the lines, of `width` cells at most where that is given; with what was `heard` of judges, if anything.

    Escape sequences in the text are shown, never sent to the terminal.
    """

    def paint(text: str, tone: str) -> str:
        return f"{tone}{text}{PLAIN}" if colour else text

    verdict = "kept" if row["kept"] else f"rejected: {row['reason']}"
    level = f"   level {row['level']}" if row["level"] else ""
    yield paint(printable(f"{row['id']}   {verdict}{level}"), BOLD)
    yield from _wrapped(row["problem"], width)
    yield ""
    for index in range(len(row["steps"])):
        yield from _step(index, row, paint, width)
    yield from (paint(line, GREY) for legend in LEGEND for line in _wrapped(legend, width))
    yield ""
    for line in _verdicts(row):
        yield from _wrapped(line, width)
    if heard is not None:
        yield from _words(heard, paint, width)


def printable(text: str) -> str:
    """Return text without control characters but newlines and tabs: a solution must not drive the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def bar(hits: int, tries: int) -> str:
    """Return a share as blocks, an eighth of a cell fine; any hit shows, and any miss."""
    eighths = round(8 * BAR * hits / tries) if tries else 0
    eighths = min(max(eighths, hits > 0), 8 * BAR - (hits < tries))
    return ("█" * (eighths // 8) + BLOCKS[eighths % 8].strip()).ljust(BAR, "·")


def _step(index: int, row: Row, paint: Paint, width: int | None) -> Iterator[str]:
    tone, mark = _label(index, row)
    seen = ("j" if row["judge_first_error"] == index else "") + ("r" if row["mc_first_error"] == index else "")
    head = f"{paint(f'{mark} {index:>3}', tone)} {seen:<2}  {_evidence(index, row):<{MARGIN - 11}} "
    for line in _wrapped(row["steps"][index], width, MARGIN):
        yield f"{head}{line}".rstrip()
        head = " " * MARGIN


def _verdicts(row: Row) -> Iterator[str]:
    answer, gold = (" ".join((row[name] or "none").split()) for name in ("answer", "gold_answer"))
    yield f"answer {answer}   gold {gold}   {row['outcome']}"
    label, rolled, judged = (_said(row[f"{who}first_error"]) for who in ("", "mc_", "judge_"))
    yield f"first error   label {label}   rollouts {rolled}   judge {judged}"
    votes = ", ".join(_said(vote) for vote in row["judge_votes"]) or "not asked"
    posterior = "" if row["posterior"] is None else f"   judge right with probability {row['posterior']:.3f}"
    yield f"votes {votes}   rollouts {row['tokens']['rollouts']}{posterior}"


def _words(heard: Sequence[Heard], paint: Paint, width: int | None) -> Iterator[str]:
    if not heard:
        yield ""
        yield paint("no reply of a judge on this is in the ledger", GREY)
    for one in heard:
        yield ""
        yield paint(printable(f"judge {one.judge}: {one.reason or _said(one.first_error)}"), BOLD)
        yield from _wrapped(one.text, width)
    if heard:
        yield ""
        yield paint(FROM_ONE, GREY)


def _wrapped(text: str, width: int | None, margin: int = 0) -> Iterator[str]:
    """Yield a text's lines as they fit behind a margin; its own lines stay."""
    for line in printable(text.strip("\n").rstrip()).split("\n"):
        if width is None:
            yield line
        else:
            yield from textwrap.wrap(line, max(width - margin, 20), break_on_hyphens=False) or [""]


def _label(index: int, row: Row) -> tuple[str, str]:
    if index >= len(row["labels"]):
        return GREY, "·"
    return (GREEN, "✓") if row["labels"][index] else (RED, "✗")


def _evidence(index: int, row: Row) -> str:
    """Return hits of tries where the prefix was rolled out, else where its number came from."""
    if row["source"][index] == "rolled":
        hits, tries = row["hits"][index], row["tries"][index]
        return f"{bar(hits, tries)} {hits}/{tries}{'+' if row['stopped_early'][index] else ''}"
    return str(row["source"][index])


def _said(first_error: int | None) -> str:
    return {None: "unknown", -1: "none"}.get(first_error, f"step {first_error}")
