"""How a bench tells its numbers: an aligned table to read, and a JSON file to compare with."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BUILD = Path(__file__).parents[1] / "build" / "bench"


def lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a Markdown table of rows with the same columns; none for no rows."""
    if not rows:
        return []
    columns = list(rows[0])
    cells = [columns, *([str(row[name]) for name in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    head, *body = ("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in cells)
    return [head, "|-" + "-|-".join("-" * width for width in widths) + "-|", *body]


def write(name: str, told: Mapping[str, Any]) -> Path:
    """Write what was measured to build/bench/NAME.json, and return where."""
    BUILD.mkdir(parents=True, exist_ok=True)
    file = BUILD / f"{name}.json"
    file.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file
