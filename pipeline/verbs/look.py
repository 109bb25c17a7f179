"""`status` and `show` look at a run, finished or not."""

import argparse
import os
import random
import shutil
import sys
from typing import Any

from pipeline import run, show, standing
from pipeline.pick import Wanted, pick
from pipeline.replies import Replies


def add(verbs: Any) -> None:
    """Declare the options."""
    for name, verb, text in (("status", status, "how far a run has come"), ("show", view, "one labelled solution")):
        looked = verbs.add_parser(name, help=text)
        looked.set_defaults(verb=verb)
        looked.add_argument("--out", default="runs/arith", help="run directory")
    looked.add_argument("id", nargs="?", help="id of the solution, or how it starts")
    sides = looked.add_mutually_exclusive_group()
    sides.add_argument("--kept", action="store_true", help="one that was kept")
    sides.add_argument("--rejected", nargs="?", const="", metavar="REASON", help="one that was not, or for that reason")
    looked.add_argument("--disagree", action="store_true", help="one on which judge and rollouts differ")
    looked.add_argument("--level", help="one of this difficulty")
    looked.add_argument("--random", action="store_true", help="any such one, not the first")
    looked.add_argument("--seed", type=int, help="the same one again")
    looked.add_argument("--judge", action="store_true", help="with the judge's own words, from the ledger")
    looked.add_argument("--colour", action="store_true", help="colour also where the output is no terminal")


def status(options: argparse.Namespace) -> int:
    """Say how far a run has come, whether or not it is going on."""
    print("\n".join(standing.lines(run.find(options.out))))
    return 0


def view(options: argparse.Namespace) -> int:
    """Show one labelled solution."""
    made = run.find(options.out)
    seed = random.randrange(10**6) if options.random and options.seed is None else options.seed
    kept = True if options.kept else (None if options.rejected is None else False)
    wanted = Wanted(options.id, kept, options.rejected or "", options.disagree, options.level, seed)
    row = pick(made.place, wanted)
    terminal = sys.stdout.isatty()
    colour = options.colour or (terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb")
    width = shutil.get_terminal_size().columns if terminal else None
    print("\n".join(show.lines(row, Replies(made).of(row) if options.judge else None, colour=colour, width=width)))
    if options.random:
        print(f"\nthis one again: --seed {seed}")
    return 0
