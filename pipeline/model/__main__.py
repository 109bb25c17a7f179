"""`python -m pipeline.model`: train the small model, export it, measure it. Interrupted, the same command goes on."""

import argparse
import asyncio
import json
from pathlib import Path

from data.arith import world
from pipeline.engines.embedded import FOLDER, Embedded
from pipeline.model import card, sampled, vocabulary
from pipeline.model.export import export
from pipeline.model.train import Training

STEPS = 11_000  # in all, beside looking up: under two hours of two cores (docs/decisions/002)
ROUND = 400  # steps between exports, and between looks at the model's own solutions
READY = 0.6  # of the steps: before, its solutions are not worth judging
SENSIBLE = 0.2  # of its solutions must be right: judging babble teaches nothing
SHARES = {"easy": 200, "medium": 300, "hard": 200}


def main() -> None:
    """Train for `--steps` in all, then write the model's files and its card to `--out`."""
    options = _options()
    options.build.mkdir(parents=True, exist_ok=True)
    training = Training(options.build, vocabulary.tokenizer(), options.steps)
    while training.progress < 1:
        training.look_up()
        told = refresh(training, options.build / "export") if training.progress > READY else {}
        told |= training.run(ROUND)
        told |= {"progress": round(training.progress, 3), "looked": training.looked}
        print(json.dumps(told), flush=True)  # noqa: T201 - the log
    export(training.model, training.tokenizer, options.out)
    card.write(options.out, Embedded(options.out), steps=training.done)


def refresh(training: Training, exported: Path) -> dict[str, float]:
    """Sample train problems with the model as it is now: its own slips are what its judge must learn to see."""
    start = training.done * 1000
    export(training.model, training.tokenizer, exported)
    problems = [p for level, count in SHARES.items() for p in world.problems(level, count, "train", start)]
    engine = Embedded(exported)
    fresh = asyncio.run(sampled.solutions(engine, problems))
    said = asyncio.run(sampled.judged(engine, fresh[::5]))
    if sum(s.right for s in fresh) > SENSIBLE * len(problems):
        training.sampled = [s.solved for s in fresh] + training.sampled[: 3 * len(fresh)]
    wrong, right = sampled.exact(fresh[::5], said, wrong=True), sampled.exact(fresh[::5], said, wrong=False)
    solved = {level: [s.right for s in fresh if s.problem.level == level] for level in SHARES}
    rates = {level: round(sum(rights) / max(1, len(rights)), 3) for level, rights in solved.items()}
    return {**rates, "judge_wrong": wrong[0] / max(1, wrong[1]), "judge_right": right[0] / max(1, right[1])}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pipeline.model", description=__doc__)
    parser.add_argument("--steps", type=int, default=STEPS, help="to train for, all runs together")
    parser.add_argument("--build", type=Path, default=Path("build/model"), help="where the checkpoint is kept")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where the finished model goes")
    return parser.parse_args()


main()
