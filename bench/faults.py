"""Every fault an endpoint can have, at 30 % of requests: what a run loses and what it costs (`python -m bench.faults`).

The same run is made against a server of ours (bench/endpoint.py) that is well, then against one with each fault, then
against one that is dead for a while in the middle. Rows lost or changed against the undisturbed run must be none, but
where the fault is an answer of its own (content filter): there a solution may become undecided.
Beside it: what peers make of the same server (bench/peers.py), asked for less: prompts, two samples each, no labels.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import peers, table
from bench.cases import DEADLINE, IN_FLIGHT, NONE, Case, cases
from bench.endpoint import Server
from data import shards

ROOT = Path(__file__).parents[1]
PER_PROBLEM = 6  # requests, about: an outage comes half-way through them


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
    sets = [f"--set=cluster.requests={IN_FLIGHT}", f"--set=cluster.deadline={DEADLINE}"]
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


def compared(name: str, well: Ran, ill: Ran) -> dict[str, Any]:
    """Return a row of the table."""
    pairs = [(row, ill.rows[key]) for key, row in well.rows.items() if key in ill.rows]
    return {
        "fault": name,
        "rows lost": len(well.rows) - len(pairs),
        "rows that differ": sum(one != other for one, other in pairs),
        "labels that differ": sum(
            one["labels"] != other["labels"] for one, other in pairs if one["kept"] and other["kept"]
        ),
        "requests": f"{ill.requests / well.requests:.2f} x",
        "seconds": f"{ill.seconds:.0f} ({ill.seconds - well.seconds:+.0f})",
        "peak in flight": ill.peak,
    }


def measure(folder: Path, problems: int, wrong: list[Case]) -> list[dict[str, Any]]:
    """Make all runs of ours, and print what is found as it is found."""
    told: list[dict[str, Any]] = []
    well, port = None, 0
    for number, case in enumerate([NONE, *wrong]):
        with case.served(PER_PROBLEM * problems, port) as server:
            port = server.port  # the same URL for all: it is part of what a row says
            ran = run(folder / str(number), server, problems)
        well = well or ran
        told.append(compared(case.name, well, ran))
        print("\n".join(table.lines(told[-1:])[0 if ran is well else 2 :]), flush=True)
    return told


def main() -> None:
    """Print the table, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--dead", type=float, default=60.0, help="seconds the server is dead")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="measure the peers, too")
    options = parser.parse_args()
    wrong = cases(options.dead)
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        ours = measure(Path(name) / "ours", options.problems, wrong)
        theirs = peers.measure(Path(name) / "peers", wrong) if options.peers else {}
    print("\n" + "\n".join(table.lines(ours)) + "\n")
    print("\n".join(table.lines([beside(row, theirs) for row in ours] if theirs else [])))
    print(f"written to {table.write('faults', {'rows': ours, 'peers': peers.plain(theirs)})}")


def beside(row: dict[str, Any], theirs: dict[str, dict[str, peers.Told]]) -> dict[str, str]:
    """Return one line of the table that has everybody in it."""
    what = f"{row['rows lost']} lost, {row['rows that differ']} differ; {row['requests']}, {row['seconds']} s"
    return {
        "fault": row["fault"],
        "ours": f"done; {what}",
        **{peer: str(told[row["fault"]]) for peer, told in theirs.items()},
    }


if __name__ == "__main__":
    main()
