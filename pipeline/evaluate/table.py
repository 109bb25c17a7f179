"""How an experiment tells its figures: an aligned Markdown table to read, and a JSON file to compare with."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.errors import RunError
from stages.metrics import Range


def lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a Markdown table of rows with the same columns; none for no rows."""
    if not rows:
        return []
    columns = list(rows[0])
    cells = [columns, *([str(row[name]) for name in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    head, *body = ("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in cells)
    return [head, "|-" + "-|-".join("-" * width for width in widths) + "-|", *body]


def share(value: float | None, within: Range | None = None, scale: int = 100, places: int = 1) -> str:
    """Return a figure as a percentage, with its interval; "-" where there is none."""
    if value is None:
        return "-"
    told = f"{value * scale:.{places}f}"
    return told if within is None else f"{told} ({within[0] * scale:.{places}f} to {within[1] * scale:.{places}f})"


def write(file: Path | None, told: Mapping[str, Any]) -> None:
    """Write what was measured as JSON, where a file is named. Raises RunError where it cannot be written."""
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise RunError(f"{file}: cannot be written: {error}") from error
    print(f"written to {file}")
