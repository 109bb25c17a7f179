"""Whether an engine ever waits for Python, and what a whole run's tokens per second are of the bare engine's.

`python -m bench.saturation [--engine vllm]`: a first run of the arith world notes every ask it makes; the bare engine
then answers the same asks (vLLM: its offline `LLM`, all at once), and a run of the same problems with new samples goes
through Ray, workers, grading, ledger and shards. In turns, on the same cores. "vllm" is vLLM with the small model.
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
from collections.abc import Callable, Sequence
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
from pipeline.engines.embedded import FOLDER
from pipeline.engines.make import make
from pipeline.grading import Grader
from pipeline.settings import Recipe
from stages import solve
from stages.engine import Engine, Scores

ROOT = Path(__file__).parents[1]
AT_ONCE = 256
ROLES = ("policy", "completer", "judge")
SMALL = ("vllm.dtype=float32",)  # as the small model was made


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
    problems = load(chosen.data.source, chosen.data.limit).problems
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


def offline(engine: Any, asks: list[Ask], model: str, chosen: Recipe, gpus: int) -> Callable[[], float]:
    """Return what measures the tokens per second of vLLM's offline inference, with nothing in its prefix cache.

    As it comes, given all prompts at once: what whoever needs no pipeline would run. `engine` only spells the prompts.
    """
    from vllm import LLM, TokensPrompt  # noqa: PLC0415 - vllm may not be installed

    from pipeline.engines.vllm import settings  # noqa: PLC0415 - likewise

    prompts, params = zip(*map(engine.request, asks), strict=True)
    alone: Any = LLM(**settings(model, chosen.vllm_for(model), gpus, chosen.cluster.memory_share))

    def pace() -> float:
        alone.reset_prefix_cache()
        started = time.perf_counter()
        ends = alone.generate([TokensPrompt(prompt_token_ids=one) for one in prompts], list(params), use_tqdm=False)
        return sum(len(one.token_ids) for end in ends for one in end.outputs) / (time.perf_counter() - started)

    return pace


def whole(out: Path, options: Sequence[str]) -> dict[str, float]:
    """Make a run; return its tokens per second from the engine's start on, its idle share, the worst loop's lag.

    Of vLLM also the share of prompt tokens that the prefix cache held.
    """
    command = [sys.executable, "-m", "pipeline", "synth", "--out", str(out), *options]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)  # noqa: S603 - our own program
    log = [json.loads(line) for line in (out / logs.FILE).read_text().splitlines()]
    up = max(one["time"] for one in log if one["message"].startswith("engine "))
    end = max(one["time"] for one in log if one["message"] == "finished")
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(up)).total_seconds()
    told = json.loads((out / progress.FILE).read_text())
    written = sum(paid["written"] for paid in told["engines"].values())
    idle = max(state["idle"] for state in told["health"].values())
    hits = [state["prefix_hits"] for state in told["health"].values() if "prefix_hits" in state]
    late = 1000 * max(told["lag"], *(state["lag"] for state in told["health"].values()))
    return {"tokens/s": written / seconds, "idle": idle, "lag ms": late, "hits": min(hits, default=0.0)}


def compare(dataset: str, engine: str, sets: Sequence[str], turns: int, gpus: int = 0) -> dict[str, Any]:
    """Let the bare engine and whole runs take turns; print a row a turn, and return all with the median ratio.

    A run is compared with the mean of the bare engine before and after it: the machine's speed drifts.
    """
    sets = [*sets, *(f"{role}.engine={engine}" for role in ROLES)]
    chosen = recipe.read(dataset, None, sets)
    rows: list[dict[str, Any]] = []
    folder = Path(tempfile.mkdtemp(prefix="saturation-"))
    with asyncio.Runner() as runner:

        async def start() -> Engine:
            return make(engine, chosen, gpus)

        loaded: Any = runner.run(start())
        asks = runner.run(noted(chosen, loaded))
        kind, _, model = engine.partition(":")
        if kind == "vllm":
            runner.run(loaded.close())
            alone = offline(loaded, asks, model, chosen, gpus)
        else:

            def alone() -> float:
                return runner.run(bare(loaded, asks))

        before = alone()
        for turn in range(turns):
            run = whole(folder / str(turn), [f"--dataset={dataset}", *(f"--set={one}" for one in sets)])
            after = alone()
            mean, before = (before + after) / 2, after
            rows.append(
                {
                    "turn": turn,
                    "bare tokens/s": round(mean),
                    "a whole run's": round(run["tokens/s"]),
                    "ratio": round(run["tokens/s"] / mean, 3),
                    "engine idle": f"{run['idle']:.2%}",
                    "loop lag p99, ms": round(run["lag ms"], 1),
                    "prefix cache": f"{run['hits']:.1%}",
                }
            )
            print("\n".join(table.lines(rows[-1:])[2 * (turn > 0) :]), flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    return {"engine": engine, "asks": len(asks), "rows": rows, "ratio": statistics.median(row["ratio"] for row in rows)}


def main() -> None:
    """Print both, turn by turn, and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="embedded", help="embedded, vllm (the small model) or vllm:MODEL")
    parser.add_argument("--limit", type=int, default=400, help="problems, two solutions each")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    small = options.engine == "vllm"
    engine = f"vllm:{FOLDER}" if small else options.engine
    told = compare("arith", engine, [f"data.limit={options.limit}", *(SMALL if small else ())], options.turns)
    name = "saturation_vllm" if small else "saturation"
    print(f"median ratio {told['ratio']:.2f}; written to {table.write(name, told)}")


if __name__ == "__main__":
    main()
