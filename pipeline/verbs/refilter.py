"""`refilter` decides a finished run anew, as another run."""

import argparse
from typing import Any

from pipeline import refilter
from pipeline.summary import summarise


def add(verbs: Any) -> None:
    """Declare the options."""
    decided = verbs.add_parser("refilter", help="decide a finished run anew from its evidence, as another run")
    decided.set_defaults(verb=anew)
    decided.add_argument("--out", default="runs/arith", help="run directory")
    decided.add_argument("--to", required=True, help="the new run directory")
    decided.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="such as consensus.rule=mc")


def anew(options: argparse.Namespace) -> int:
    """Decide a finished run anew, as another run."""
    made = refilter.refilter(options.out, options.to, options.set)
    print("\n".join([f"{options.out} -> {made.place}", *summarise(made.place).lines()]))
    return 0
