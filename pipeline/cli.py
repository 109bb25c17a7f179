"""The command line: its verbs are the modules of `pipeline/verbs`."""

import argparse
import os
import select
import sys
from collections.abc import Sequence

from data.errors import PipelineError
from pipeline.verbs import evaluate, export, look, plan, push, refilter, report, synth

VERBS = (synth, look, report, export, plan, refilter, push, evaluate)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; an expected error is a sentence on stderr and exit status 2."""
    options = _parser().parse_args(arguments)
    try:
        status = int(options.verb(options))
        sys.stdout.flush()
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        if not _unread():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or what is left is tried again at exit
        return 0
    return status


def _unread() -> bool:
    """Whether nobody reads the output any more, such as behind `| head`."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline", description="Step-labelled data for reward models.")
    verbs = parser.add_subparsers(required=True)
    for verb in VERBS:
        verb.add(verbs)
    return parser
