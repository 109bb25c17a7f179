"""`push` uploads a run to the Hugging Face Hub as a dataset."""

import argparse
from typing import Any

from pipeline import run


def add(verbs: Any) -> None:
    """Declare the options."""
    pushed = verbs.add_parser("push", help="upload a run to the Hugging Face Hub; see docs/publish.md")
    pushed.set_defaults(verb=push)
    pushed.add_argument("--out", default="runs/arith", help="run directory")
    pushed.add_argument("--repo", required=True, help="owner/name; made, private, where it does not exist")
    pushed.add_argument("--public", action="store_true", help="a repository that is made is for everybody to read")
    pushed.add_argument("--partial", action="store_true", help="also a run that is not finished")
    pushed.add_argument("--ledger", action="store_true", help="with every reply of a model")


def push(options: argparse.Namespace) -> int:
    """Upload a run, and print where it is."""
    from pipeline.publish import push as hub  # noqa: PLC0415 - the Hub's client takes a while to import; nothing else needs it

    made = run.find(options.out)
    print(hub.push(made, options.repo, private=not options.public, partial=options.partial, ledger=options.ledger))
    return 0
