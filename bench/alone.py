"""math-verify alone, as it comes, in a process of its own: `python -m bench.alone MEMORY DEADLINE`.

JSON lines in: lists of pairs (answer, gold), put in boxes. JSON lines out: for each list the verdicts, null where there
is none in `DEADLINE` seconds of CPU, and the seconds that all of it took, by the clock and of CPU.
"""

import json
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Iterable

from math_verify import parse, verify


class Late(BaseException):
    """Not an Exception, which sympy would swallow."""


def alone(answer: str | None, gold: str, deadline: float) -> bool | None:
    """Return math-verify's verdict, None where there is none in time."""
    try:
        signal.setitimer(signal.ITIMER_PROF, deadline)
        theirs, ours = (parse(f"\\boxed{{{text}}}", parsing_timeout=None) for text in (gold, answer or ""))
        return bool(verify(theirs, ours, timeout_seconds=None))
    except (Late, MemoryError, RecursionError):
        return None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _late(*_: object) -> None:
    raise Late


def _serve(questions: Iterable[str], deadline: float) -> None:
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for question in questions:
        started, worked = time.perf_counter(), time.process_time()
        verdicts = [alone(answer, gold, deadline) for answer, gold in json.loads(question)]
        took = time.perf_counter() - started, time.process_time() - worked
        print(json.dumps([verdicts, *took]), file=replies, flush=True)


if __name__ == "__main__":
    logging.disable()
    signal.signal(signal.SIGPROF, _late)
    resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
    _serve(sys.stdin, float(sys.argv[2]))
