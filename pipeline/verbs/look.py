"""`status` and `show` look at a run, finished or not."""

import argparse
import sys
from typing import Any

from pipeline import progress, run, show
from pipeline.summary import summarise


def add(verbs: Any) -> None:
    """Declare the options."""
    for name, verb, text in (("status", status, "how far a run has come"), ("show", view, "one labelled solution")):
        looked = verbs.add_parser(name, help=text)
        looked.set_defaults(verb=verb)
        looked.add_argument("--out", default="runs/arith", help="run directory")
    looked.add_argument("id", nargs="?", help="id of the solution, or how it starts")
    looked.add_argument("--colour", action="store_true", help="colour also where the output is no terminal")


def status(options: argparse.Namespace) -> int:
    """Say how far a run has come, whether or not it is going on."""
    made = run.find(options.out)
    print("\n".join([str(made.place), *progress.told(made.place), *summarise(made.place).lines()]))
    return 0


def view(options: argparse.Namespace) -> int:
    """Show one labelled solution."""
    row = show.find(run.find(options.out).place, options.id)
    print("\n".join(show.lines(row, colour=sys.stdout.isatty() or options.colour)))
    return 0
