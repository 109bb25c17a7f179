"""A small ProcessBench of the arith world: `python -m bench.benchmark_arith RUN FILE` labels a run's solutions exactly.

The oracle knows the first error of each, so any judge or labeller of arith can be measured by `evaluate processbench`
as one of mathematics is. Solutions that the oracle cannot read are left out, and counted.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data import places, shards
from data.arith import oracle
from data.schema import Row


def rows(place: Path) -> Iterator[dict[str, Any]]:
    """Yield a ProcessBench row, with the gold answer, for each solution; None in the label's place for one not read."""
    for side in shards.SIDES:
        for table in shards.tables(places.at(str(place)), side):
            for row in table.to_pylist():
                right = {"equal": True, "different": False}.get(row["outcome"])
                told = {"id": row["id"], "generator": row["policy"], "problem": row["problem"], "steps": row["steps"]}
                more = {"between": "", "gold_answer": row["gold_answer"], "label": _first_error(row)}
                yield told | more | {"final_answer_correct": right}


def _first_error(row: Row) -> int | None:
    try:
        return oracle.first_error(row["problem"], row["steps"]) if row["steps"] else None
    except ValueError:
        return None


def main(run: str, file: str) -> int:
    """Write the rows that have a label."""
    made = sorted(rows(Path(run)), key=lambda row: str(row["id"]))
    labelled = [row for row in made if row["label"] is not None]
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text("".join(json.dumps(row) + "\n" for row in labelled), encoding="utf-8")
    wrong = sum(row["label"] >= 0 for row in labelled)
    print(f"{file}: {len(labelled)} solutions, {wrong} with a wrong step; {len(made) - len(labelled)} left out")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
