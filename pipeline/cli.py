"""The command line: its verbs are the modules of `pipeline/verbs`."""

import argparse
import sys
from collections.abc import Sequence

from data.errors import PipelineError
from pipeline.verbs import evaluate, export, look, plan, push, refilter, report, synth

VERBS = (synth, look, report, export, plan, refilter, push, evaluate)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; an expected error is a sentence on stderr and exit status 2."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.verb(options))
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline", description="Step-labelled data for reward models.")
    verbs = parser.add_subparsers(required=True)
    for verb in VERBS:
        verb.add(verbs)
    return parser
