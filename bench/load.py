"""What a solution costs the machinery around the models, and whether that grows with the run (`python -m bench.load`).

The scripted engine answers at once, so what is left is driver, worker, ledger, shards and Ray. Each run is measured
from outside: CPU seconds and the largest resident memory of each kind of process, bytes left per solution, solutions a
second. Then `status` on the last run and on one of a million rows, and how soon a half-finished one asks again.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

from bench import table
from data import shards
from pipeline.summary import counted

ROOT = Path(__file__).parents[1]
KINDS = {"worker": "ray::WorkerActor", "engine": "ray::EngineActor", "grading": "stages.comparing", "ray": "ray"}


def measure(out: Path, problems: int, stop_at: float = 1.0) -> dict[str, Any]:
    """Run to the end, or kill at a share of the solutions, and return what it cost."""
    started = time.monotonic()
    driver = _start(out, problems)
    cpu: dict[tuple[str, int], float] = {}
    rss: dict[str, int] = defaultdict(int)
    while driver.poll() is None:
        time.sleep(0.5)
        for kind, process in _family(driver):
            with suppress(psutil.Error):
                times = process.cpu_times()
                cpu[kind, process.pid] = times.user + times.system
                rss[kind] = max(rss[kind], process.memory_info().rss)
        if stop_at < 1 and _finished(out) >= stop_at * 2 * problems:
            driver.kill()
    seconds = time.monotonic() - started
    told = json.loads((out / "progress.json").read_text())
    solutions = max(told["finished"], 1)
    spent: dict[str, float] = defaultdict(float)
    for (kind, _), used in cpu.items():
        spent[kind] += used
    labelling = told["at"] - told["started"]
    return {
        "solutions": solutions,
        "seconds": round(seconds, 1),
        "ms a solution": round(labelling / solutions * 1000, 2),
        **{f"{kind} CPU ms": round(used / solutions * 1000, 2) for kind, used in sorted(spent.items())},
        **{f"{kind} MiB": round(most / 2**20) for kind, most in sorted(rss.items())},
        "samples asked a solution": round(told["asked"] / solutions, 1),
        "ledger bytes": round(_size(out / "ledger") / solutions),
        "shard bytes": round(sum(_size(out / side) for side in shards.SIDES) / solutions),
    }


def asks_again(out: Path, problems: int) -> float:
    """Return the seconds from the command to the first new question of a run that was killed half-way."""
    time.sleep(10)  # for what the killed driver's actors still write
    before, started = _size(out / "ledger"), time.monotonic()
    driver = _start(out, problems)
    while driver.poll() is None and _size(out / "ledger") <= before:
        time.sleep(0.2)
    seconds = time.monotonic() - started
    driver.kill()
    driver.wait()
    return round(seconds, 1)


def status(out: Path) -> float:
    """Return the seconds `status` takes."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "pipeline", "status", "--out", str(out)], cwd=ROOT, check=True)  # noqa: S603 - ours
    return round(time.monotonic() - started, 1)


def grown(run: Path, out: Path, rows: int) -> Path:
    """Make a finished run of so many rows, of another's: as many shards as such a run has, all sealed."""
    out.mkdir()
    bits = shards.bits_for(rows)
    told = json.loads((run / "run.json").read_text()) | {"bits": bits}
    (out / "run.json").write_text(json.dumps(told))
    kept, rejected = (shards.read(run, side) for side in shards.SIDES)
    share = rows / 2**bits / (kept.num_rows + rejected.num_rows)
    kept, rejected = (side.slice(0, round(side.num_rows * share)) for side in (kept, rejected))
    counts = counted(row for side in (kept, rejected) for row in side.to_pylist())
    packed = shards.pack("p", kept, rejected, "digest", counts)
    for number in range(2**bits):
        seal = replace(packed.seal, part=f"p{number:0{bits}b}")
        shards.enter(out, shards.seal(out, replace(packed, seal=seal)))
    return out


def _start(out: Path, problems: int) -> psutil.Popen:
    command = [sys.executable, "-m", "pipeline", "synth", "--dataset", "scripted", "--limit", str(problems)]
    with out.with_suffix(".log").open("ab") as log:
        return psutil.Popen([*command, "--out", str(out)], cwd=ROOT, stdout=log, stderr=log)


def _family(driver: psutil.Popen) -> list[tuple[str, psutil.Process]]:
    found = [("driver", driver)]
    with suppress(psutil.Error):
        for process in driver.children(recursive=True):
            with suppress(psutil.Error):
                line = " ".join(process.cmdline())
                found.append((next((kind for kind, mark in KINDS.items() if mark in line), "other"), process))
    return found


def _finished(out: Path) -> int:
    with suppress(OSError, ValueError):
        return int(json.loads((out / "progress.json").read_text())["finished"])
    return 0


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.exists() else 0


def main() -> None:
    """Print the runs side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, nargs="+", default=[500, 5_000, 50_000], help="two solutions each")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="load-"))
    try:
        runs = [measure(folder / str(problems), problems) for problems in options.problems]
        last = options.problems[-1]
        told = {"runs": runs, "status seconds": status(folder / str(last))}
        million = grown(folder / str(last), folder / "million", 1_000_000)
        told["status seconds, 1,000,000 rows"] = status(million)
        shutil.rmtree(million)
        measure(folder / "half", last, stop_at=0.5)
        told["seconds until a killed run asks again"] = asks_again(folder / "half", last)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(table.lines([{"what": what, **{str(r["solutions"]): r[what] for r in runs}} for what in runs[0]])))
    print({name: value for name, value in told.items() if name != "runs"})
    print(f"written to {table.write('load', told)}")


if __name__ == "__main__":
    main()
