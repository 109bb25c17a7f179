"""What our engine for endpoints leaves of a bare client's requests per second (`python -m bench.goodput`).

A server of ours (bench/endpoint.py, a process of its own) answers after 100 ms. The same asks are put to one just
started, as many in flight, by aiohttp alone, by the openai SDK alone and by our engine behind its limiter; each turn
begins with another; ours finds out by itself how many may be, up to that number. `--peers` adds datatrove and
distilabel (bench/peers.py), from the first request the server sees to the last. All share the cores.
"""

import argparse
import asyncio
import gc
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import openai

from bench import peers, table
from bench.kills import ROOT, free_port
from data import scripted
from data.asks import Ask, Message
from pipeline import garbage
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


async def pace(todo: list[Ask], at_once: int, one: Callable[[Ask], Awaitable[object]]) -> float:
    """Return the asks per second that come back, where so many are asked at once, as solutions in hand do."""
    left, started = iter(todo), time.perf_counter()

    async def hand() -> None:
        for ask in left:
            await one(ask)

    await asyncio.gather(*(hand() for _ in range(at_once)))
    return len(todo) / (time.perf_counter() - started)


async def bare(url: str, todo: list[Ask], in_flight: int) -> float:
    """Return the requests per second of aiohttp."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

        async def one(ask: Ask) -> None:
            async with client.post(f"{url}/chat/completions", json=chat.body("scripted", ask, DIALECT)) as answer:
                chat.samples(await answer.json(), ask, DIALECT)

        return await pace(todo, in_flight, one)


async def sdk(url: str, todo: list[Ask], in_flight: int) -> float:
    """Return the requests per second of the openai SDK with its aiohttp transport, without its models of answers."""
    unlimited = type(openai.DEFAULT_CONNECTION_LIMITS)(max_connections=0)
    transport = openai.DefaultAioHttpClient(limits=unlimited)
    async with openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0, http_client=transport) as client:

        async def one(ask: Ask) -> None:
            body = chat.body("scripted", ask, DIALECT)
            answer: Any = await client.post("/chat/completions", body=body, cast_to=object)
            chat.samples(answer, ask, DIALECT)

        return await pace(todo, in_flight, one)


async def ours(url: str, todo: list[Ask], in_flight: int) -> float:
    """Return the requests per second of our engine behind its limiter, of whom twice as much is asked at once.

    With garbage as in an engine's process.
    """
    usual = gc.get_threshold()
    garbage.seldom()
    engine = OpenAI(f"openai:scripted@{url}")
    limited = Limited(engine, Limits(most=in_flight))
    await limited.connect()
    rate = await pace(todo, 2 * in_flight, limited.reply)
    await engine.close()
    gc.set_threshold(*usual)
    gc.unfreeze()
    return rate


CLIENTS = (bare, sdk, ours)


def in_turn(turn: int, todo: list[Ask], in_flight: int, latency: float) -> list[float]:
    """Return what each client of `CLIENTS` reaches; another one begins each turn."""
    rates = [0.0] * len(CLIENTS)
    for place in range(turn, turn + len(CLIENTS)):
        with tempfile.TemporaryDirectory() as name, server(Path(name), latency) as url:
            rates[place % len(CLIENTS)] = asyncio.run(CLIENTS[place % len(CLIENTS)](url, todo, in_flight))
    return rates


def peer(one: peers.Peer, url: str, folder: Path, todo: list[Ask], in_flight: int) -> float:
    """Return the requests per second that reach the server, whose log is `folder`/asked; starting does not count."""
    peers.install(one)
    prompts, log = folder / "prompts.jsonl", folder / "asked"
    wanted = [{"id": str(number), "text": ask.messages[-1].content} for number, ask in enumerate(todo)]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in wanted))
    python, script = peers.BUILD / one.script / "bin" / "python", peers.HERE / f"peer_{one.script}.py"
    told = json.dumps({**peers.SETTINGS, "samples": 1, "in_flight": in_flight, "deadline": 60})
    seen: list[tuple[float, int]] = []
    with (folder / "log").open("wb") as output:
        command = [str(python), str(script), str(prompts), str(folder), url, told]
        running = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603 - our own script
        while running.poll() is None:
            lines = log.read_bytes().count(b"\n") if log.exists() else 0
            if lines and (not seen or lines > seen[-1][1]):
                seen.append((time.perf_counter(), lines))
            time.sleep(0.1)
    if running.returncode or len(seen) < 2:
        return 0.0
    return (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0])


def beside(todo: list[Ask], in_flight: int, latency: float) -> dict[str, float]:
    """Return each peer's requests per second, as a column of the table; 0 where it did not end well."""
    rates: dict[str, float] = {}
    for one in peers.PEERS:
        with tempfile.TemporaryDirectory() as name, server(Path(name), latency) as url:
            rates[one.name] = round(peer(one, url.replace("127.0.0.1", one.host), Path(name), todo, in_flight))
    return rates


def main() -> None:
    """Print all, number by number, and write them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[64, 512, 2048])
    parser.add_argument("--rounds", type=int, default=40, help="requests are so many times those in flight")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--peers", action="store_true", help="datatrove and distilabel, too")
    parser.add_argument(
        "--peer-requests", type=int, default=8192, help="at most so many for each of them: they are slow"
    )
    parser.add_argument("--latency", type=float, default=0.1, help="seconds until the server answers")
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for in_flight in options.in_flight:
        todo = asks(options.rounds * in_flight)
        turns = [in_turn(turn, todo, in_flight, options.latency) for turn in range(options.turns)]
        alone, theirs, mine = (round(statistics.median(side)) for side in zip(*turns, strict=True))
        of_bare, of_sdk = (round(statistics.median(turn[2] / turn[side] for turn in turns), 2) for side in (0, 1))
        others = beside(todo[: options.peer_requests], in_flight, options.latency) if options.peers else {}
        rates = {"aiohttp alone, requests/s": alone, "the SDK alone": theirs, "ours": mine}
        rows.append({"in flight": in_flight, **rates, "of aiohttp": of_bare, "of the SDK": of_sdk, **others})
        print("\n".join(table.lines(rows[-1:])[2 * (len(rows) > 1) :]), flush=True)
    print(f"written to {table.write('goodput', {'rows': rows, 'latency': options.latency})}")


if __name__ == "__main__":
    main()
