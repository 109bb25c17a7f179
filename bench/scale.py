"""What 500,000 problems with 8 solutions each need on many GPUs, by simulation (`python -m bench.scale`).

The real worker, with ledger, memory, splitting, grading, plan and shards, labels scripted solutions while each reply
takes the virtual time that a GPU of `--rate` tokens a second would take. Its own work is measured in CPU seconds, and
set beside the virtual ones. The driver's cost a solution is what `bench.load` measured, if it ran.
"""

import argparse
import asyncio
import json
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import table
from bench.virtual import run
from data import scripted, shards
from data.asks import Ask, Reply
from data.records import Task
from pipeline import recipe
from pipeline import run as runs
from pipeline.engines.scripted import Scripted
from pipeline.routing import choose
from pipeline.worker import Worker
from stages import solve

SOLUTIONS = 500_000 * 8
STREAM = 60.0  # tokens a second of one reply, at most
SLOTS = 256  # replies that a GPU writes at the same time


@dataclass
class Gpu:
    """Writes `rate` tokens a second, shared by at most SLOTS replies; reading prompts is taken to be in the rate."""

    rate: float
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(SLOTS))
    active: int = 0
    written: int = 0

    async def write(self, tokens: int) -> None:
        """Take as long as so many tokens take among the replies there are."""
        async with self.slots:
            self.active += 1
            await asyncio.sleep(tokens / min(STREAM, self.rate / self.active))
            self.active -= 1
            self.written += tokens


@dataclass
class Farm:
    """The scripted engine on many GPUs, asked as a worker asks engine actors."""

    gpus: dict[str, Gpu]
    engine: Scripted = field(default_factory=Scripted)
    flying: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    samples: int = 0

    @property
    def model(self) -> str:
        """The scripted engine's identity."""
        return self.engine.model

    async def reply(self, ask: Ask) -> Reply:
        """Reply when the last sample is written."""
        name = choose(ask.messages[-1].content, tuple(self.gpus), self.flying)
        self.flying[name] += 1
        reply = await self.engine.reply(ask)
        await asyncio.gather(*(self.gpus[name].write(sample.tokens) for sample in reply.samples))
        self.flying[name] -= 1
        self.requests, self.samples = self.requests + 1, self.samples + ask.n
        return reply

    async def score(self, ask: Ask, text: str) -> Any:
        """Not asked here."""
        return await self.engine.score(ask, text)


@dataclass(frozen=True)
class Setting:
    """A cluster and its settings: `solutions` are simulated."""

    gpus: int
    workers: int
    in_flight: int
    solutions: int


async def simulate(setting: Setting, folder: Path, rate: float) -> dict[str, Any]:
    """Label, and return what it took; figures are taken between a quarter and half of the solutions."""
    sets = [f"cluster.in_flight={setting.in_flight}", "policy.samples=8"]
    chosen = recipe.read("scripted", None, sets)
    problems = scripted.problems(setting.solutions // 8)
    tasks = list(solve.tasks(problems, chosen.policies()))
    made = runs.start(str(folder), chosen, SOLUTIONS)
    farm = Farm({f"gpu {number}": Gpu(rate) for number in range(setting.gpus)})
    workers = [Worker(made, {"scripted": farm}) for _ in range(setting.workers)]
    waiting = iter(made.plan(tasks).items())
    jobs = [asyncio.create_task(_work(worker, waiting, setting)) for worker in workers]
    begin = await _at(workers, len(tasks) // 4, farm, folder)
    end = await _at(workers, 2 * len(tasks) // 4, farm, folder)
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    return _told(setting, rate, {name: end[name] - begin[name] for name in end}, end["waiting"])


async def _work(worker: Worker, waiting: Iterator[tuple[str, tuple[Task, ...]]], setting: Setting) -> None:
    """Give a worker shards as the driver does."""
    labelling: set[asyncio.Task[Any]] = set()
    while True:
        while (await worker.progress()).held < 2 * setting.in_flight and (new := next(waiting, None)):
            labelling.add(asyncio.create_task(worker.label(new[0], new[1], shards.digest(new[1]))))
            await asyncio.sleep(0)
        await asyncio.sleep(0.5)
        labelling = {one for one in labelling if not one.done()}


async def _at(workers: list[Worker], finished: int, farm: Farm, folder: Path) -> dict[str, float]:
    """Wait until so many solutions are finished, and read the meters."""
    while sum([(await worker.progress()).finished for worker in workers]) < finished:  # noqa: ASYNC110 - time leaps
        await asyncio.sleep(1.0)
    return {
        "seconds": asyncio.get_running_loop().time(),
        "cpu": time.process_time(),
        "solutions": sum([(await worker.progress()).finished for worker in workers]),
        "written": sum(gpu.written for gpu in farm.gpus.values()),
        "requests": farm.requests,
        "samples": farm.samples,
        "ledger": sum(file.stat().st_size for file in (folder / "ledger").rglob("*.seg")),
        "waiting": sum(gpu.active for gpu in farm.gpus.values()),
    }


def _told(setting: Setting, rate: float, meant: dict[str, float], active: float) -> dict[str, Any]:
    seconds, solutions = meant["seconds"], meant["solutions"]
    pace = solutions / seconds
    return {
        "GPUs": setting.gpus,
        "workers x in flight": f"{setting.workers} x {setting.in_flight}",
        "GPUs busy": f"{meant['written'] / (seconds * setting.gpus * rate):.0%}",
        "replies a GPU": round(active / setting.gpus),
        "solutions/s": round(pace, 1),
        "tokens a solution": round(meant["written"] / solutions),
        "hours": round(SOLUTIONS / pace / 3600, 1),
        "requests/s": round(meant["requests"] / seconds),
        "samples/s": round(meant["samples"] / seconds),
        "cores of workers": round(meant["cpu"] / seconds, 2),
        "driver core": _driver(pace),
        "ledger MB/s": round(meant["ledger"] / seconds / 1e6, 3),
        "ledger GB in all": round(meant["ledger"] / solutions * SOLUTIONS / 1e9, 1),
    }


def _driver(pace: float) -> str:
    """Share of a core that the driver needs at so many solutions a second, as `bench.load` measured it."""
    file = table.BUILD / "load.json"
    if not file.exists():
        return "run bench.load"
    return f"{pace * json.loads(file.read_text())['runs'][-1]['driver CPU ms'] / 1000:.1%}"


def main() -> None:
    """Print the table, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=3000, help="tokens a second that a GPU writes")
    parser.add_argument("--gpus", type=int, help="of this cluster alone")
    options = parser.parse_args()
    settings = [
        Setting(8, 1, 256, 4_000),
        Setting(8, 1, 1024, 8_000),
        Setting(8, 1, 2560, 20_000),  # as `Recipe.workers` and `Recipe.in_flight` would choose
        Setting(64, 1, 1024, 8_000),
        Setting(64, 4, 2048, 32_000),
        Setting(64, 4, 5120, 80_000),  # likewise
        Setting(1024, 64, 1024, 140_000),  # a fifth of it: more in hand would take longer to simulate
    ]
    settings = [one for one in settings if options.gpus in (None, one.gpus)]
    rows = []
    for setting in settings:
        folder = Path(tempfile.mkdtemp(prefix="scale-"))
        try:
            rows.append(run(simulate(setting, folder, options.rate)))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print("\n".join(table.lines(rows[-1:])[2 * (len(rows) > 1) :]), flush=True)
    print(f"written to {table.write('scale', {'rows': rows, 'rate': options.rate})}")


if __name__ == "__main__":
    main()
