"""`report` writes a run as one page, `report.html` in its directory."""

import argparse
from typing import Any

from data.errors import SettingError
from pipeline import run
from pipeline.run import Run

QUICK = 20_000  # solutions up to which a run ends with its report, which takes seconds; for more, `make report`


def add(verbs: Any) -> None:
    """Declare the options."""
    written = verbs.add_parser("report", help="write a run as one page, report.html; see docs/report.md")
    written.set_defaults(verb=report)
    written.add_argument("--out", default="runs/arith", help="run directory")
    written.add_argument("--solutions", type=int, help="how many solutions the page holds (default: 300)")


def report(options: argparse.Namespace) -> int:
    """Write a run as one page."""
    from pipeline.report import page  # noqa: PLC0415 - nothing else needs what draws charts and formulas

    if options.solutions is not None and options.solutions < 1:
        raise SettingError(f"--solutions={options.solutions}: a page holds at least one")
    print(page.write(run.find(options.out), options.solutions or page.SHOWN))
    return 0


def at_end(made: Run, solutions: int) -> None:
    """Write the page where that is quick. A run does not fail because it cannot be shown."""
    from pipeline.report import page  # noqa: PLC0415 - as above

    if not 0 < solutions <= QUICK:
        return
    try:
        print(f"report: {page.write(made)}")
    except Exception as error:  # noqa: BLE001 - whatever it is, the rows are there
        print(f"no report ({error!r}): `make report` tries again")
