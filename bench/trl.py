"""Whether TRL's PRM trainer trains on an export: as many label positions as steps counted, and a loss that falls.

`python -m bench.trl`. In an environment of its own, build/trl: TRL took the PRM trainer out after the version named
here. Labels beyond the maximal length are counted too, so that the length check is held against the trainer itself.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import table
from bench.finished import finished
from data.places import at
from pipeline.exports.formats import FORMATS
from pipeline.exports.labels import Labels
from pipeline.exports.lengths import lengths
from pipeline.exports.writing import export

ROOT = Path(__file__).parents[1]
VENV = ROOT / "build" / "trl"
PACKAGES = ("trl==1.13.0", "torch==2.13.0")
TOKENIZER = ROOT / "data" / "arith" / "model" / "tokenizer.json"


def installed() -> str | None:
    """Make the environment where it is not there; return why that cannot be done."""
    python = VENV / "bin" / "python"
    commands = [[sys.executable, "-m", "venv", str(VENV)]] if not python.exists() else []
    commands.append([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES])
    for command in commands:
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - our own command line
        if done.returncode:
            return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit status {done.returncode}"
    return None


def trained(file: Path, most: int, steps: int) -> dict[str, Any]:
    """Train on an exported file in the other environment, and return what bench/training.py saw."""
    command = [str(VENV / "bin" / "python"), "-m", "bench.training", str(file), str(TOKENIZER), str(most), str(steps)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)  # noqa: S603 - as above
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    seen: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return seen


def measure(folder: Path, most: int, steps: int) -> dict[str, Any]:
    """Export a run, train on it, and return the counts side by side."""
    finished(folder / "run", "scripted", "data.limit=100")
    counter = lengths(str(TOKENIZER), most, FORMATS["trl"])
    export(at(folder / "run"), str(folder / "trl.parquet"), "trl", Labels(), lengths=counter)
    seen = trained(folder / "trl.parquet", most, steps)
    own = {"max_length": most, "rows": counter.rows, "labels": counter.labels, "beyond": counter.beyond}
    return {**own, **seen, "as counted": seen["positions"] == counter.labels - counter.beyond}


def main() -> int:
    """Print the table; exit status 1 where the trainer saw other labels than were counted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=30, help="optimizer steps")
    options = parser.parse_args()
    if reason := installed():
        print(f"skipped: {' '.join(PACKAGES)} cannot be installed here: {reason}")
        return 0
    told = []
    for most in (1024, 100):
        with tempfile.TemporaryDirectory(prefix="trl-") as folder:
            told.append(measure(Path(folder), most, options.steps))
    print("\n".join(table.lines(told)))
    print(f"written to {table.write('trl', {'measured': told})}")
    return 0 if all(one["as counted"] for one in told) else 1


if __name__ == "__main__":
    raise SystemExit(main())
