"""What process rewards say of steps whose truth is known: `python -m bench.credit RUN` on an arith run with credit.

A step's own log-ratio is what the rewards rise by, times eta; the first step's is in none of them. The table sets that
of first wrong steps beside that of right ones: docs/credit.md.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from itertools import pairwise
from statistics import mean
from typing import Any

from bench import table
from data import shards
from data.arith import oracle
from data.records import NO_ERROR
from data.schema import Row
from pipeline import run

RESAMPLES = 500


def ratios(row: Row, eta: float) -> list[float]:
    """Return the log-ratio (nats) of every step but the first."""
    return [eta * (after - before) for before, after in pairwise(row["rewards"])]


def parted(rows: Sequence[Row], eta: float) -> tuple[list[float], list[float]]:
    """Return the log-ratios of right steps, and of first wrong steps; what follows an error is neither."""
    right, wrong = [], []
    for row in rows:
        error = oracle.first_error(row["problem"], row["steps"])
        own = ratios(row, eta)
        right += own if error == NO_ERROR else own[: max(error - 1, 0)]
        wrong += own[error - 1 : error] if error > 0 else []
    return right, wrong


def auroc(low: Sequence[float], high: Sequence[float]) -> float:
    """Return the chance that one of `high` is above one of `low`; ties count half. NaN where either is empty."""
    wins = sum((a < b) + (a == b) / 2 for a in low for b in high)
    return wins / (len(low) * len(high)) if low and high else float("nan")


def told(rows: Sequence[Row], eta: float) -> dict[str, Any]:
    """Return what was measured; the interval is a 95 % bootstrap over solutions."""
    right, wrong = parted(rows, eta)
    draw = random.Random(0)
    again = sorted(auroc(*parted(draw.choices(rows, k=len(rows)), eta)) for _ in range(RESAMPLES))
    low, high = again[int(0.025 * RESAMPLES)], again[int(0.975 * RESAMPLES)]
    return {
        "solutions": len(rows),
        "right steps": f"{len(right)}, {mean(right):+.2f} nats",
        "first wrong steps": f"{len(wrong)}, {mean(wrong):+.2f} nats",
        "AUROC, wrong above right": f"{auroc(right, wrong):.2f} ({low:.2f} to {high:.2f})",
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table and write the numbers."""
    parser = argparse.ArgumentParser(prog="python -m bench.credit", description="Process rewards beside the truth.")
    parser.add_argument("run", help="an arith run with credit.reference")
    place = run.find(parser.parse_args(arguments).run)
    rows = [row for side in shards.SIDES for row in shards.read(place.place, side).to_pylist() if row["rewards"]]
    found = told(rows, place.recipe.credit.eta)
    print("\n".join(table.lines([found])))
    print(f"written to {table.write('credit', found)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
