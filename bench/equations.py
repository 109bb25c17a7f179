"""What the equations judge is worth on real text: `python -m bench.equations`, no model, a minute.

Four kinds of truth: people's first errors (ProcessBench), people's ratings of single steps (PRM800K), only whether the
final answer is right (GSM8K's example solutions, split at newlines), and that all is (MATH's, GSM8K's own solutions).
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench import table
from data.records import NO_ERROR, Trace
from judges.equations import Equations, equalities
from stages.metrics import wilson

SHARED = Path(__file__).parents[2] / "shared" / "data"
FILES = {
    "processbench gsm8k": "processbench/gsm8k.jsonl",
    "processbench olympiadbench": "processbench/olympiadbench.jsonl",
    "prm800k": "prm800k_phase1/test_trees.jsonl",
    "gsm8k examples": "gsm8k/example_model_solutions.jsonl",
    "own gsm8k train": "gsm8k/train.jsonl",
    "own gsm8k test": "gsm8k/test.jsonl",
    "own math train": "math/train.jsonl",
    "own math test": "math/test.jsonl",
}


def first_errors(rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Hold steps named, and any false equality, against people's first error."""
    counts: Counter[str] = Counter()
    for row in rows:
        verdict = Equations().read(Trace(row["problem"], tuple(row["steps"]), None))
        false = verdict.votes[0] if verdict.votes and verdict.votes[0] != NO_ERROR else None
        named, label = verdict.first_error not in {None, NO_ERROR}, row["label"]
        found = [_findings(step) for step in row["steps"]]
        counts.update({"rows": 1, "opinion": verdict.first_error is not None, "named": named})
        counts.update({"named right": named and false == label, "false": false is not None})
        if false is not None:
            counts.update({"false at": false == label, "false after": 0 <= label <= false})
        counts.update({"steps": len(found), "checked": sum(bool(one & {"holds", "false"}) for one in found)})
    return {
        "rows": str(counts["rows"]),
        "steps checked": f"{counts['checked']} of {counts['steps']}",
        "has an opinion": str(counts["opinion"]),
        "a step named": str(counts["named"]),
        "and right": _told(counts["named right"], counts["named"]),
        "a false equality": str(counts["false"]),
        "at the first error": _told(counts["false at"], counts["false"]),
        "there or after it": _told(counts["false after"], counts["false"]),
    }


def ratings(rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Hold single candidate steps against people's ratings of them; the lowest counts where there are several."""
    nodes = [node for row in rows for node in row["nodes"] if node["ratings"] and node["text"]]
    found = [(_findings(node["text"]), min(node["ratings"]) < 0) for node in nodes]
    false = [bad for one, bad in found if "false" in one]
    holds = [bad for one, bad in found if "holds" in one and "false" not in one]
    wrong = sum(bad for _, bad in found)
    return {
        "rated steps": str(len(nodes)),
        "rated -1": str(wrong),
        "a false equality": str(len(false)),
        "of them rated -1": _told(sum(false), len(false)),
        "equalities hold": str(len(holds)),
        "of those rated -1": _told(sum(holds), len(holds)),
    }


def answers(rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Hold steps named, and any false equality, against whether the final answer is right."""
    counts: Counter[tuple[str, bool]] = Counter()
    for one in (one for row in rows for one in row.values() if isinstance(one, dict)):
        verdict = Equations().read(Trace("", tuple(one["solution"].split("\n")), None))
        named = verdict.first_error not in {None, NO_ERROR}
        false = bool(verdict.votes) and verdict.votes[0] not in {None, NO_ERROR}
        for what, said in (("all", True), ("named", named), ("false", false)):
            counts[what, one["is_correct"]] += said
    told = {"wrong answers": "all", "a step named (answer wrong)": "named", "a false equality (answer wrong)": "false"}
    return {name: _told(counts[key, False], counts[key, False] + counts[key, True]) for name, key in told.items()}


def own(rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Count what is called false in a dataset's own solutions, split at newlines, or MATH's at blank lines."""
    counts: Counter[str] = Counter()
    for row in rows:
        steps = row["solution"].split("\n\n") if "solution" in row else row["answer"].split("\n")
        verdict = Equations().read(Trace(row.get("problem") or row["question"], tuple(steps), None))
        checked = sum("holds" in _findings(step) for step in steps)
        counts.update({"solutions": 1, "steps": len(steps), "checked": checked})
        counts["false"] += bool(verdict.votes) and verdict.votes[0] not in {None, NO_ERROR}
    return {
        "solutions": str(counts["solutions"]),
        "steps checked": f"{counts['checked']} of {counts['steps']}",
        "a false equality": str(counts["false"]),
    }


def _findings(step: str) -> set[str]:
    return {equality.finding for equality in equalities(step)}


def _told(hits: int, tries: int) -> str:
    within = wilson(hits, tries)
    return f"{hits} of {tries}" + (f" ({within[0]:.0%} to {within[1]:.0%})" if within else "")


def _read(file: Path) -> Iterator[dict[str, Any]]:
    yield from (json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line)


MEASURES = {"processbench": first_errors, "prm800k": ratings, "gsm8k": answers, "own": own}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every file that is there."""
    parser = argparse.ArgumentParser(prog="python -m bench.equations", description="The worth of the equations judge.")
    parser.add_argument("--shared", type=Path, default=SHARED, help=f"folder of the files; default: {SHARED}")
    shared = parser.parse_args(arguments).shared
    told: dict[str, dict[str, str]] = {}
    for name, file in FILES.items():
        if (shared / file).is_file():
            told[name] = MEASURES[name.partition(" ")[0]](_read(shared / file))
        else:
            print(f"{name}: not measured, {shared / file} is absent")
    for kind in MEASURES:
        print("\n".join(table.lines([{"data": name, **one} for name, one in told.items() if name.startswith(kind)])))
    print(f"written to {table.write('equations', told)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
