"""How a bench tells its numbers: an aligned table to read, and a JSON file to compare with."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.evaluate.table import lines

__all__ = ["BUILD", "lines", "write"]

BUILD = Path(__file__).parents[1] / "build" / "bench"


def write(name: str, told: Mapping[str, Any]) -> Path:
    """Write what was measured to build/bench/NAME.json, and return where."""
    BUILD.mkdir(parents=True, exist_ok=True)
    file = BUILD / f"{name}.json"
    file.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file
