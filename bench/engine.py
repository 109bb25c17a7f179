"""What one ask a core gains the embedded engine over batches (`python -m bench.engine`).

The same rollouts, in the same order, through CTranslate2 with all cores on one batch of 128, and through `Embedded`, in
turns; tokens written per second, and their ratio.
"""

import asyncio
import os
import random
import statistics
import time

from bench import table
from data.arith import oracle, world
from data.asks import Ask, Message, Sampling
from pipeline.engines.embedded import END, FOLDER, Embedded

ASKS, TURNS, AT_ONCE = 512, 3, 256
SAMPLING = Sampling(temperature=1.0, max_tokens=400)


def asks(seed: int) -> list[Ask]:
    """Return rollouts from anywhere in a solution of held-out problems of all levels."""
    rng = random.Random(seed)
    made = []
    for problem in world.problems(None, ASKS, start=20_000_000):
        lines = oracle.solve(world.read(problem.text))
        prefix = "".join(f"{line}\n\n" for line in lines[: rng.randrange(len(lines))])
        made.append(Ask((Message("user", problem.text),), prefix, n=rng.choice((1, 1, 2, 4)), sampling=SAMPLING))
    rng.shuffle(made)
    return made


def plain(engine: Embedded, todo: list[Ask]) -> float:
    """Return tokens per second of one batch after another, all cores on each."""
    cores = os.cpu_count() or 1
    generator = type(engine._generator)(str(FOLDER / "ct2"), compute_type="float32", intra_threads=cores)
    prompts = [list(engine._prompt(ask)) for ask in todo for _ in range(ask.n)]
    started, tokens = time.perf_counter(), 0
    for first in range(0, len(prompts), 128):
        results = generator.generate_batch(
            prompts[first : first + 128],
            max_length=SAMPLING.max_tokens,
            sampling_topk=0,
            end_token=END,
            include_prompt_in_result=False,
            return_end_token=True,
        )
        tokens += sum(len(result.sequences_ids[0]) for result in results)
    return tokens / (time.perf_counter() - started)


async def scheduled(engine: Embedded, todo: list[Ask]) -> float:
    """Return tokens per second of `Embedded` with `AT_ONCE` asks waiting at a time."""
    room, tokens = asyncio.Semaphore(AT_ONCE), 0

    async def one(ask: Ask) -> int:
        async with room:
            return sum(sample.tokens for sample in (await engine.reply(ask)).samples)

    started = time.perf_counter()
    tokens = sum(await asyncio.gather(*map(one, todo)))
    return tokens / (time.perf_counter() - started)


def main() -> None:
    """Print the rates, turn by turn, and write them down."""
    rows = []
    for turn in range(TURNS):
        engine, todo = Embedded(), asks(turn)
        before, now = plain(engine, todo), asyncio.run(scheduled(engine, todo))
        rows.append(
            {"turn": turn, "batches": round(before), "an ask a core": round(now), "ratio": round(now / before, 2)}
        )
    print("\n".join(table.lines(rows)))
    ratio = statistics.median(row["ratio"] for row in rows)
    print(f"median ratio {ratio:.2f}; written to {table.write('engine', {'rows': rows, 'ratio': ratio})}")


if __name__ == "__main__":
    main()
