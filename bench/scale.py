"""What 500,000 problems with 8 solutions each need, from measured costs (`python -m bench.scale`, after `bench.load`).

`bench.load` measures what a solution costs driver, worker, engine actor, ledger and shards; this multiplies, and says
how full each part is when the GPUs write so many tokens a second. The table of docs/scale.md.
"""

import argparse
import json
from typing import Any

from bench import table

SOLUTIONS = 500_000 * 8
GPUS = (8, 64, 1024)


def needs(load: dict[str, Any], gpus: int, rate: float, tokens: float) -> dict[str, Any]:
    """Return what a cluster needs: `rate` tokens a second a GPU, `tokens` written for a solution."""
    solutions = gpus * rate / tokens
    workers = solutions * load["worker CPU ms"] / 1000
    return {
        "GPUs": gpus,
        "solutions/s": round(solutions, 1),
        "hours": round(SOLUTIONS / solutions / 3600, 1),
        "samples/s": round(solutions * load["samples asked a solution"], 1),
        "worker cores": round(workers, 2),
        "driver core": f"{solutions * load['driver CPU ms'] / 1000:.1%}",
        "engine actor core, each": f"{solutions / gpus * load['engine CPU ms'] / 1000:.1%}",
        "ledger MB/s": round(solutions * load["ledger bytes"] / 1e6, 2),
    }


def main() -> None:
    """Print the table, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=3000, help="tokens a second that a GPU writes")
    parser.add_argument("--tokens", type=float, default=5000, help="tokens written for a solution, by all roles")
    options = parser.parse_args()
    load = json.loads((table.BUILD / "load.json").read_text())["runs"][-1]
    rows = [needs(load, gpus, options.rate, options.tokens) for gpus in GPUS]
    print("\n".join(table.lines(rows)))
    kept = {name: round(load[name] * SOLUTIONS / 1e9, 1) for name in ("ledger bytes", "shard bytes")}
    print(f"in all: ledger {kept['ledger bytes']} GB, shards {kept['shard bytes']} GB")
    print(
        f"written to {table.write('scale', {'rows': rows, 'GB': kept, 'rate': options.rate, 'tokens': options.tokens})}"
    )


if __name__ == "__main__":
    main()
