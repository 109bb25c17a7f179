"""`python -m bench.lessons`: labels solutions, trains PRMs on what each way of labelling keeps, and compares them.

In `--work` lie two ordinary runs and the scores of every trained PRM, so that a stopped bench goes on where it was.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import table
from bench.finished import finished
from bench.lessons import labels, prm, tables
from bench.lessons.labels import HARD, SOFT, THRESHOLDS, Held, Taught
from data import shards
from data.arith import world
from data.records import Labelled
from pipeline import recipe
from pipeline.engines.embedded import Embedded

PRESET = Path(recipe.__file__).parent / "recipes" / "arith.toml"
LEARNT, HELD = 40_000_000, 41_000_000  # numbers of the first problems: far from each other and from other benches
LABELLED = ("completer.plan=exhaustive", f"completer.tries={labels.TRIES}", "completer.truncate=true")
UNLABELLED = ("completer.plan=none", "judge.kind=equations", "consensus.rule=judge")


@dataclass(frozen=True, slots=True)
class Training:
    """What one PRM learns from; `name` tells it from the others."""

    name: str
    kept: Sequence[Taught]


def main() -> None:
    """Make the runs, train what is not trained yet, and print the tables."""
    options = _parser().parse_args()
    learnt = list(labels.problems(options.levels.split(","), options.problems, LEARNT))
    held_out = list(labels.problems(list(world.LEVELS), options.held, HELD))
    found = labelled(options.work / "labels", learnt, f"policy.samples={options.samples}", *LABELLED)
    held = labels.held(labelled(options.work / "held", held_out, "policy.samples=8", *UNLABELLED))
    plan = prm.Schedule(options.epochs, options.rate)
    digest = hashlib.sha256(repr((plan, options.tuned, len(found), found, held)).encode()).hexdigest()[:12]
    lessons = Lessons(options.work / f"scores-{digest}", held, plan, options.tuned)
    scored = [{one.name: lessons.scored(one, seed) for one in trainings(found, seed)} for seed in range(options.seeds)]
    told = tables.told(found, held, scored)
    print("\n\n".join(f"{title}\n\n" + "\n".join(table.lines(rows)) for title, rows in told.items()))
    print(f"written to {table.write('lessons', {'tables': told})}")


def labelled(out: Path, problems: Sequence[Mapping[str, Any]], *settings: str) -> list[Labelled]:
    """Label problems of any levels: `synth` gives the embedded model only to the whole of arith."""
    source = out.with_suffix(".jsonl")
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text("".join(f"{json.dumps(problem)}\n" for problem in problems), encoding="utf-8")
    print(f"labelling {len(problems)} problems into {out}, unless that was done before", flush=True)
    limit = f"data.limit={len(problems)}"
    with shards.lock(out):
        finished(out, str(source), limit, *settings, preset=PRESET, engines={"embedded": Embedded()})
    return list(labels.rows(out))


def trainings(found: Sequence[Labelled], seed: int) -> Iterator[Training]:
    """Yield each way with all it keeps; those with hard labels also with as many solutions as the sparsest has."""
    kept = {way.name: labels.taught(found, way) for way in (*HARD, *SOFT, *THRESHOLDS)}
    fewest = min(len(kept[way.name]) for way in HARD)
    for name, some in kept.items():
        yield Training(name, some)
    for way in HARD:
        if len(kept[way.name]) > fewest:
            yield Training(tables.equal(way), labels.equal(kept[way.name], fewest, seed))


class Lessons:
    """Trains PRMs, and keeps their scores of the held-out solutions in `folder`."""

    def __init__(self, folder: Path, held: Sequence[Held], plan: prm.Schedule, tuned: int) -> None:
        self.folder, self.held, self.plan, self.tuned = folder, held, plan, tuned
        self.reader = prm.Reader(tuned)
        self.reads: dict[tuple[str, tuple[str, ...]], prm.Read] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def scored(self, training: Training, seed: int) -> list[list[float]]:
        """Return the scores of each held-out solution by a PRM trained anew, where that was not done before."""
        file = self.folder / f"{training.name}-{seed}.json"
        if not file.exists():
            started = time.monotonic()
            found = self._scored(training.kept, seed)
            told = {"solutions": len(training.kept), "seconds": round(time.monotonic() - started, 1), "scores": found}
            file.with_suffix(".tmp").write_text(json.dumps(told), encoding="utf-8")
            file.with_suffix(".tmp").replace(file)
            print(f"{file.stem}: {told['solutions']} solutions, {told['seconds']} s", flush=True)
        scores: list[list[float]] = json.loads(file.read_text(encoding="utf-8"))["scores"]
        return scores

    def _scored(self, kept: Sequence[Taught], seed: int) -> list[list[float]]:
        reads = [self._read(one) for one in kept]
        model = prm.trained(reads, [one.targets for one in kept], self.tuned, self.plan, seed)
        different = list({(one.problem, one.steps): one for one in self.held}.values())
        said = prm.scores(model, [self._read(one) for one in different])
        known = {(one.problem, one.steps): scores for one, scores in zip(different, said, strict=True)}
        return [known[one.problem, one.steps] for one in self.held]

    def _read(self, one: Taught | Held) -> prm.Read:
        key = (one.problem, one.steps)
        if key not in self.reads:
            self.reads[key] = self.reader.read(*key)
        return self.reads[key]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.lessons", description=__doc__)
    parser.add_argument("--problems", type=int, default=160, help="problems to learn from")
    parser.add_argument("--samples", type=int, default=2, help="solutions of each")
    parser.add_argument(
        "--levels", default="easy,medium", help="levels to learn from; a hard solution costs four times"
    )
    parser.add_argument(
        "--held", type=int, default=160, help="problems held out, 8 solutions each; a quarter validates"
    )
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each kind")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--tuned", type=int, default=2, help="layers tuned, from the top; 6 are all")
    parser.add_argument(
        "--work", type=Path, default=table.BUILD.parent / "lessons", help="where the runs and scores lie"
    )
    return parser


if __name__ == "__main__":
    main()
