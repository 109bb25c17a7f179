"""What our engine for endpoints leaves of a bare client's requests per second (`python -m bench.goodput`).

A server of ours (bench/endpoint.py, a process of its own) answers after 100 ms. The same asks are put to it, with the
same bodies and as many in flight, by aiohttp alone, by the openai SDK alone and by our engine (the SDK behind our
limiter), in turns; ours finds out by itself how many may be in flight, up to the same number. All share the cores.
"""

import argparse
import asyncio
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from bench import table
from bench.kills import ROOT, free_port
from data import scripted
from data.asks import Ask, Message
from pipeline.engines import chat
from pipeline.engines.openai import OpenAI
from pipeline.limiter import Limited, Limits

DIALECT = chat.Dialect("exact")


@contextmanager
def server(folder: Path, latency: float) -> Iterator[str]:
    """Serve until the end of the block; its URL."""
    port = free_port()
    command = [sys.executable, "-m", "bench.endpoint", str(port), str(latency), str(folder / "asked")]
    process = subprocess.Popen(command, cwd=ROOT)  # noqa: S603 - our own program
    url = f"http://127.0.0.1:{port}/v1"
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait()


def asks(count: int) -> list[Ask]:
    """Return questions that differ."""
    return [Ask((Message("user", problem.text),)) for problem in scripted.problems(count)]


async def bare(url: str, todo: list[Ask], in_flight: int) -> float:
    """Return the requests per second of aiohttp."""
    room, link = asyncio.Semaphore(in_flight), aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=link) as client:

        async def one(ask: Ask) -> None:
            async with room, client.post(f"{url}/chat/completions", json=chat.body("scripted", ask, DIALECT)) as answer:
                chat.samples(await answer.json(), ask, DIALECT)

        started = time.perf_counter()
        await asyncio.gather(*map(one, todo))
        return len(todo) / (time.perf_counter() - started)


async def sdk(url: str, todo: list[Ask], in_flight: int) -> float:
    """Return the requests per second of the openai SDK with its aiohttp transport, as our engine sets it up."""
    room, engine = asyncio.Semaphore(in_flight), OpenAI(f"openai:scripted@{url}#exact")

    async def one(ask: Ask) -> None:
        async with room:
            body = chat.body("scripted", ask, DIALECT)
            answer: Any = await engine._client.post("/chat/completions", body=body, cast_to=object)
            chat.samples(answer, ask, DIALECT)

    started = time.perf_counter()
    await asyncio.gather(*map(one, todo))
    rate = len(todo) / (time.perf_counter() - started)
    await engine.close()
    return rate


async def ours(url: str, todo: list[Ask], in_flight: int) -> float:
    """Return the requests per second of our engine behind its limiter."""
    engine = OpenAI(f"openai:scripted@{url}")
    limited = Limited(engine, Limits(most=in_flight))
    await limited.connect()
    started = time.perf_counter()
    await asyncio.gather(*map(limited.reply, todo))
    rate = len(todo) / (time.perf_counter() - started)
    await engine.close()
    return rate


def main() -> None:
    """Print both, turn by turn, and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[64, 512, 2048])
    parser.add_argument(
        "--rounds", type=int, default=40, help="requests are so many times those in flight, at most 20,000"
    )
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.1, help="seconds until the server answers")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for in_flight in options.in_flight:
        todo = asks(min(20_000, options.rounds * in_flight))
        turns = []
        for _ in range(options.turns):
            with tempfile.TemporaryDirectory() as name, server(Path(name), options.latency) as url:
                turns.append([asyncio.run(client(url, todo, in_flight)) for client in (bare, sdk, ours)])
        alone, theirs, mine = (round(statistics.median(side)) for side in zip(*turns, strict=True))
        of_bare, of_sdk = (round(statistics.median(turn[2] / turn[side] for turn in turns), 2) for side in (0, 1))
        rates = {"aiohttp alone, requests/s": alone, "the SDK alone": theirs, "ours": mine}
        rows.append({"in flight": in_flight, **rates, "of aiohttp": of_bare, "of the SDK": of_sdk})
        print("\n".join(table.lines(rows[-1:])[2 * (len(rows) > 1) :]), flush=True)
    print(f"written to {table.write('goodput', {'rows': rows, 'latency': options.latency})}")


if __name__ == "__main__":
    main()
