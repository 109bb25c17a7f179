"""How long deciding a finished run anew, and exporting it, take (`python -m bench.refilter`).

The run has as many rows as asked for, in as many shards as such a run has: those of a small one, made with the scripted
engine and every prefix rolled out, over and over. No model is there to be asked.
"""

import argparse
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench import table
from bench.finished import finished
from bench.load import grown
from data import shards
from data.places import at
from pipeline.exports.formats import FORMATS
from pipeline.exports.labels import Labels
from pipeline.exports.writing import export
from pipeline.refilter import refilter
from pipeline.summary import summarise

RULES = ("consensus.rule=mc", "consensus.rule=every_step", "consensus.threshold=0.5")


def measure(folder: Path, rows: int) -> list[dict[str, Any]]:
    """Refilter and export a run of so many rows, and return what each took."""
    finished(folder / "small", "scripted", "data.limit=400", "completer.plan=exhaustive")
    run = grown(folder / "small", folder / "run", rows)
    count = summarise(at(run)).solutions
    told = []
    for rule in RULES:
        spent = _timed(lambda rule=rule: refilter(str(run), str(folder / rule), [rule]))  # type: ignore[misc]
        kept = sum(seal.labelled for seal in shards.sealed(folder / rule).values())
        told.append({"what": f"refilter {rule}", "rows": count, **spent, "written": kept})
        shutil.rmtree(folder / rule)
    for name in FORMATS:
        to = folder / name
        made = _timed(lambda name=name, to=to: export(at(run), str(to), name, Labels()))  # type: ignore[misc]
        written = sum(seal.labelled for seal in shards.sealed(run).values())
        told.append({"what": f"export {name}", "rows": written, **made, "written": f"{to.stat().st_size / 1e6:.0f} MB"})
        to.unlink()
    return told


def _timed(work: Callable[[], object]) -> Mapping[str, Any]:
    started, before = time.monotonic(), os.times()
    work()
    seconds, after = time.monotonic() - started, os.times()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cpu = after.user + after.system - before.user - before.system
    return {"seconds": round(seconds, 1), "CPU seconds": round(cpu, 1), "peak MiB so far": peak // 1024}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="refilter-"))
    try:
        told = measure(folder, options.rows)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(table.lines(told)))
    print(f"written to {table.write('refilter', {'measured': told})}")


if __name__ == "__main__":
    main()
