"""`report` writes a run as one page, `report.html` in its directory."""

import argparse
from typing import Any

from pipeline import run


def add(verbs: Any) -> None:
    """Declare the options."""
    written = verbs.add_parser("report", help="write a run as one page, report.html; see docs/report.md")
    written.set_defaults(verb=report)
    written.add_argument("--out", default="runs/arith", help="run directory")
    written.add_argument("--solutions", type=int, help="how many solutions the page holds (default: 300)")


def report(options: argparse.Namespace) -> int:
    """Write a run as one page."""
    from pipeline.report import page  # noqa: PLC0415 - nothing else needs what draws charts and formulas

    print(page.write(run.find(options.out), options.solutions or page.SHOWN))
    return 0
