"""Every fault an endpoint can have, at 30 % of requests: what a run loses and what it costs (`python -m bench.faults`).

The same run is made against a server of ours (bench/endpoint.py) that is well, then against one with each fault, then
against one that is dead for a while in the middle. Rows lost or changed against the undisturbed run must be none, but
where the fault is an answer of its own (content filter): there the row must say so.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench import table
from bench.endpoint import Body, Fault, Server, served
from data import shards

ROOT = Path(__file__).parents[1]
SHARE, LATENCY, IN_FLIGHT = 0.3, 0.02, 64
Choice = dict[str, Any]


def _choices(change: Callable[[list[Choice]], list[Choice]]) -> Fault:
    return Fault(change=lambda answer: answer | {"choices": change(answer["choices"])})


FAULTS: dict[str, Fault] = {
    "429": Fault(429),
    "429 with Retry-After": Fault(429, headers={"retry-after": "0.1"}),
    "500": Fault(500),
    "503": Fault(503),
    "timeout": Fault(hang=30.0),
    "connection reset": Fault(cut=0),
    "half a response": Fault(cut=300),
    "invalid JSON": Fault(raw=b'{"choices": [{"mess'),
    "empty choices": _choices(lambda _: []),
    "wrong n": _choices(lambda choices: choices[:1]),
    "content filter": _choices(lambda choices: [choice | {"finish_reason": "content_filter"} for choice in choices]),
}


@dataclass(frozen=True, slots=True)
class Ran:
    """One run: its rows by id, how often the server was asked, and how long it took."""

    rows: dict[str, dict[str, Any]]
    requests: int
    peak: int
    seconds: float


def run(out: Path, server: Server, problems: int) -> Ran:
    """Label against a server. Raises CalledProcessError where the run does not complete."""
    engine = f"openai:scripted@{server.url}"
    roles = [f"--{role}={engine}" for role in ("policy", "completer", "judge")]
    sets = [f"--set=cluster.requests={IN_FLIGHT}", "--set=cluster.deadline=3"]
    command = [sys.executable, "-m", "pipeline", "synth", "--dataset=scripted", f"--limit={problems}", f"--out={out}"]
    started = time.monotonic()
    subprocess.run(  # noqa: S603 - our own program
        [*command, *roles, *sets],
        cwd=ROOT,
        check=True,
        capture_output=True,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
    )
    seconds = time.monotonic() - started
    rows = {row["id"]: row for side in shards.SIDES for row in shards.read(out, side).to_pylist()}
    for row in rows.values():
        del row["tokens"]  # what it cost may differ: a prompt read twice is paid for twice
    return Ran(rows, len(server.bodies), server.peak, seconds)


def sometimes(fault: Fault, number: int, body: Body) -> Fault | None:
    """Fail a fixed share of requests, drawn by number."""
    del body
    return fault if random.Random(number).random() < SHARE else None


def compared(name: str, well: Ran, ill: Ran) -> dict[str, Any]:
    """Return a row of the table."""
    same = sum(ill.rows.get(key) == row for key, row in well.rows.items())
    return {
        "fault": name,
        "rows lost": len(well.rows.keys() - ill.rows.keys()),
        "rows that differ": len(well.rows) - same,
        "requests": f"{ill.requests / well.requests:.2f} x",
        "seconds": f"{ill.seconds:.0f} ({ill.seconds - well.seconds:+.0f})",
        "peak in flight": ill.peak,
    }


def main() -> None:
    """Print the table, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--dead", type=float, default=60.0, help="seconds the server is dead")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        with served(latency=LATENCY) as server:
            port = server.port  # the same URL for all: it is part of what a row says
            well = run(folder / "well", server, options.problems)
        told = [compared("none", well, well)]
        for number, (fault, what) in enumerate(FAULTS.items()):
            with served(partial(sometimes, what), latency=LATENCY, port=port) as server:
                told.append(compared(fault, well, run(folder / str(number), server, options.problems)))
            print("\n".join(table.lines(told[-1:])[2:]), flush=True)
        told.append(compared(f"dead for {options.dead:g} s", well, dead(folder / "dead", port, options)))
    print("\n".join(table.lines(told)))
    print(f"written to {table.write('faults', {'rows': told})}")


def dead(out: Path, port: int, options: argparse.Namespace) -> Ran:
    """Label against a server that goes away after a while, and comes back."""
    gone, requests = threading.Event(), 0

    def serve() -> None:
        nonlocal requests
        with served(latency=LATENCY, port=port) as first:
            while len(first.bodies) < 5 * options.problems:
                time.sleep(0.05)
            requests = len(first.bodies)
        gone.set()

    before = threading.Thread(target=serve)
    before.start()
    after = Server(lambda *_: None, port=port)

    def again() -> None:
        gone.wait()
        time.sleep(options.dead)
        with served(latency=LATENCY, port=port) as second:
            while not done.is_set():
                time.sleep(0.05)
            after.bodies.extend(second.bodies)
            after.peak = second.peak

    done = threading.Event()
    rest = threading.Thread(target=again)
    rest.start()
    try:
        ran = run(out, after, options.problems)
    finally:
        done.set()
        before.join()
        rest.join()
    return Ran(ran.rows, requests + len(after.bodies), after.peak, ran.seconds)


if __name__ == "__main__":
    main()
