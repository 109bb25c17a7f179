"""Whether an engine ever waits for Python, and what a whole run's tokens per second are of the bare engine's.

`python -m bench.saturation [--engine vllm:FOLDER]`: a first run of the arith world notes every ask it makes; the bare
engine then answers the same asks in this process, as many at once as it likes, and a run of the same problems with new
samples goes through Ray, workers, grading, ledger and shards. In turns, on the same cores.
"""

import argparse
import asyncio
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bench import table
from data.asks import Ask, Reply
from data.records import Labelled, Task
from data.sources import load
from pipeline import logs, progress, recipe, synth
from pipeline.crew import Crew
from pipeline.engines.make import make
from pipeline.grading import Grader
from pipeline.settings import Recipe
from stages import solve
from stages.engine import Engine, Scores

ROOT = Path(__file__).parents[1]
AT_ONCE = 256


@dataclass
class Noting:
    """Engine that keeps what it was asked."""

    engine: Engine
    asks: list[Ask] = field(default_factory=list)

    @property
    def model(self) -> str:
        """The engine's identity."""
        return self.engine.model

    async def reply(self, ask: Ask) -> Reply:
        """Reply as the engine does; what it refuses is not kept."""
        reply = await self.engine.reply(ask)
        self.asks.append(ask)
        return reply

    async def score(self, ask: Ask, text: str) -> Scores:
        """Score as the engine does."""
        return await self.engine.score(ask, text)


async def noted(chosen: Recipe, engine: Engine) -> list[Ask]:
    """Label the recipe's problems in this process, and return all that was asked."""
    noting, room = Noting(engine), asyncio.Semaphore(AT_ONCE)
    problems = load("arith", chosen.data.limit).problems
    async with Grader(workers=1) as grader:
        crew = Crew(chosen, dict.fromkeys(chosen.engines(sampled=True), noting), grader.grade)

        async def one(task: Task) -> Labelled:
            async with room:
                return await synth.label(task, crew)

        await asyncio.gather(*(one(task) for task in solve.tasks(problems, chosen.policies())))
    return noting.asks


async def bare(engine: Engine, asks: list[Ask]) -> float:
    """Return the tokens per second of the engine alone."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(ask: Ask) -> int:
        async with room:
            return sum(sample.tokens for sample in (await engine.reply(ask)).samples)

    started = time.perf_counter()
    return sum(await asyncio.gather(*map(one, asks))) / (time.perf_counter() - started)


def whole(out: Path, options: list[str]) -> dict[str, float]:
    """Make a run; return its tokens per second from the engine's start on, the engine's idle share, the loops' lag."""
    command = [sys.executable, "-m", "pipeline", "synth", "--out", str(out), *options]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)  # noqa: S603 - our own program
    log = [json.loads(line) for line in (out / logs.FILE).read_text().splitlines()]
    up = max(one["time"] for one in log if one["message"].startswith("engine "))
    end = max(one["time"] for one in log if one["message"] == "finished")
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(up)).total_seconds()
    told = json.loads((out / progress.FILE).read_text())
    written = sum(paid["written"] for paid in told["engines"].values())
    idle = max(state["idle"] for state in told["health"].values())
    return {"tokens/s": written / seconds, "idle": idle, "lag ms": 1000 * told["lag"]}


def main() -> None:
    """Print both, turn by turn, and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="embedded")
    parser.add_argument("--limit", type=int, default=400, help="problems, two solutions each")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    roles = dict.fromkeys(("policy", "completer", "judge"), options.engine)
    sets = [f"data.limit={options.limit}", *(f"{role}.engine={engine}" for role, engine in roles.items())]
    chosen = recipe.read("arith", None, sets)
    rows: list[dict[str, Any]] = []
    folder = Path(tempfile.mkdtemp(prefix="saturation-"))
    with asyncio.Runner() as runner:

        async def start() -> Engine:
            return make(options.engine, chosen)

        engine = runner.run(start())
        asks = runner.run(noted(chosen, engine))
        for turn in range(options.turns):
            alone = runner.run(bare(engine, asks))
            flags = [f"--{role}={engine}" for role, engine in roles.items()]
            run = whole(folder / str(turn), [f"--limit={options.limit}", *flags])
            rows.append(
                {
                    "turn": turn,
                    "bare tokens/s": round(alone),
                    "a whole run's": round(run["tokens/s"]),
                    "ratio": round(run["tokens/s"] / alone, 3),
                    "engine idle": f"{run['idle']:.2%}",
                    "loop lag p99, ms": round(run["lag ms"], 1),
                }
            )
            print("\n".join(table.lines(rows[-1:])[2 * (turn > 0) :]), flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    ratio = statistics.median(row["ratio"] for row in rows)
    print(f"median ratio {ratio:.2f}; written to {table.write('saturation', {'rows': rows, 'ratio': ratio})}")


if __name__ == "__main__":
    main()
