"""One labelled solution for the terminal, in colour: its steps, rollouts, votes and verdicts."""

from collections.abc import Iterator

from data import shards
from data.errors import RunError
from data.places import Place
from data.schema import Row

GREEN, RED, GREY, BOLD, PLAIN = "\033[32m", "\033[31m", "\033[90m", "\033[1m", "\033[0m"


def find(place: Place, wanted: str | None) -> Row:
    """Return the row of an id, of the first id that starts so, or the first kept one that holds an error."""
    first: Row | None = None
    alike: Row | None = None
    for row in _rows(place):
        if row["id"] == wanted or (not wanted and row["kept"] and row["first_error"] >= 0):
            return row
        first = first or row
        if wanted and alike is None and row["id"].startswith(wanted):
            alike = row
    if alike:
        return alike
    if first is None or wanted:
        raise RunError(f"{place} holds no solution {wanted or 'yet'}; ids look like {first['id'] if first else '-'!r}")
    return first


def _rows(place: Place) -> Iterator[Row]:
    for side in shards.SIDES:
        for table in shards.tables(place, side):
            yield from table.to_pylist()


def lines(row: Row, *, colour: bool) -> Iterator[str]:
    """Yield the lines; escape sequences in the text are shown, never sent to the terminal."""

    def paint(text: str, tone: str) -> str:
        return f"{tone}{text}{PLAIN}" if colour else text

    verdict = "kept" if row["kept"] else f"rejected: {row['reason']}"
    yield paint(printable(f"{row['id']}   {verdict}"), BOLD)
    yield printable(row["problem"].strip())
    yield ""
    for index, step in enumerate(row["steps"]):
        tone, mark = _label(index, row)
        yield f"{paint(f'{mark} {index:>3}', tone)} {_evidence(index, row):<12} {printable(step.strip())}"
    yield ""
    answer, gold = (printable(row[name] or "none") for name in ("answer", "gold_answer"))
    yield f"answer {answer}   gold {gold}   {row['outcome']}"
    label, rolled, judged = (_said(row[f"{who}first_error"]) for who in ("", "mc_", "judge_"))
    yield f"first error   label {label}   rollouts {rolled}   judge {judged}"
    votes = ", ".join(_said(vote) for vote in row["judge_votes"]) or "none"
    yield f"votes {votes}   rollouts {row['tokens']['rollouts']}   " + paint("steps count from 0", GREY)


def printable(text: str) -> str:
    """Return text without control characters but newlines and tabs: a solution must not drive the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in text)


def _label(index: int, row: Row) -> tuple[str, str]:
    if index >= len(row["labels"]):
        return GREY, "·"
    return (GREEN, "✓") if row["labels"][index] else (RED, "✗")


def _evidence(index: int, row: Row) -> str:
    """Return hits of tries where the prefix was rolled out, else where its number came from."""
    if row["source"][index] == "rolled":
        return f"{row['hits'][index]}/{row['tries'][index]}{'+' if row['stopped_early'][index] else ''}"
    return str(row["source"][index])


def _said(first_error: int | None) -> str:
    return {None: "unknown", -1: "none"}.get(first_error, f"step {first_error}")
