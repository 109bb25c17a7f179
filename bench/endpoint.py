"""An OpenAI-compatible server on loopback that answers as the scripted engine does, and fails as it is told to.

`with served(faults) as server` runs it in a thread of its own. A fault is a function of the request's number; what is
None is answered properly; `outage` takes the server away for a while. `python -m bench.endpoint PORT LATENCY LOG` runs
it as a process that can be killed, with a line in LOG for each sample that was asked for.
"""

import asyncio
import hashlib
import json
import socket
import struct
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.asks import Ask, Message, Sample, Sampling
from pipeline import garbage
from pipeline.engines.chat import seed
from pipeline.engines.scripted import Scripted

Body = Mapping[str, Any]
FIRSTS = {seed(Sampling(), first): first for first in range(512)}  # the request's seed tells which samples it asks for


@dataclass(frozen=True)
class Fault:
    """What goes wrong: a status with a message, or `raw` bytes for an answer, `hang` seconds before it, a `reset`."""

    status: int = 200
    message: str = "trouble"
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    cut: int | None = None
    hang: float = 0.0
    reset: bool = False
    change: Callable[[dict[str, Any]], dict[str, Any] | None] | None = None


@dataclass
class Server:
    """What it has seen: requests' bodies and keys, the most at one time, how many of each status it gave.

    `latency` in seconds; `outage`: after how many requests it goes away, and for how many seconds.
    """

    fault: Callable[[int, Body], Fault | None]
    owner: str = "vllm"
    models: tuple[str, ...] = ("scripted",)
    latency: float = 0.0
    port: int = 0
    bodies: list[Body] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    given: Counter[int] = field(default_factory=Counter)
    now: int = 0
    peak: int = 0
    engine: Scripted = field(default_factory=Scripted)
    log: Path | None = None
    outage: tuple[int, float] | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _listening: asyncio.Server | None = None
    _away: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """What an engine's specification takes."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def listen(self) -> None:
        """Take connections, at the port it had if it had one."""
        self._listening = await asyncio.start_server(self.talk, "127.0.0.1", self.port, limit=2**24)
        self.port = self._listening.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Take no more connections, and break those that are open."""
        if self._listening:
            self._listening.close()
        for writer in self._open:
            writer.transport.abort()

    async def vanish(self, seconds: float) -> None:
        """Be dead for a while."""
        self.close()
        await asyncio.sleep(seconds)
        await self.listen()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request, until either side has enough."""
        self._open.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                while await self.exchange(reader, writer):
                    pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; False where the connection is to be closed."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        raw = await reader.readexactly(int(headers.get("content-length", 0)))
        self.headers.append(headers)
        if method == "GET":
            listed = {
                "object": "list",
                "data": [{"id": m, "object": "model", "owned_by": self.owner} for m in self.models],
            }
            found = path == "/v1/models" and bool(self.models)
            return await self.send(writer, Fault() if found else Fault(404), json.dumps(listed).encode())
        self.now += 1
        self.peak = max(self.peak, self.now)
        try:
            stays = await self.complete(reader, writer, json.loads(raw))
            return stays and headers.get("connection", "").lower() != "close"
        finally:
            self.now -= 1

    async def complete(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: Body) -> bool:
        """Answer a completion, or fail as told."""
        number = len(self.bodies)
        self.bodies.append(body)
        if self.log:
            self._note(body)
        if self.outage and number == self.outage[0]:
            self._away = asyncio.create_task(self.vanish(self.outage[1]))
        fault = self.fault(number, body) or Fault()
        if not await _waited(reader, max(fault.hang, self.latency)):
            return False
        if fault.reset:  # what was not sent is dropped, so that the client sees a reset and not an end
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        if fault.status != 200:
            return await self.send(writer, fault, b"")
        answer: dict[str, Any] | None = await self.answer(body)
        if fault.change and answer:
            answer = fault.change(answer) or answer
        return await self.send(writer, fault, json.dumps(answer).encode() if fault.raw is None else fault.raw)

    def _note(self, body: Body) -> None:
        ask = asked(body)
        name = hashlib.sha256(repr((ask.messages, ask.prefix, ask.sampling.temperature)).encode()).hexdigest()[:24]
        with (self.log or Path()).open("a") as file:
            file.writelines(f"{name}/{index}\n" for index in range(ask.first, ask.first + ask.n))

    async def send(self, writer: asyncio.StreamWriter, fault: Fault, body: bytes) -> bool:
        """Send an answer, or an error in OpenAI's form; cut off after `cut` bytes where the fault says so."""
        self.given[fault.status] += 1
        if fault.status != 200:
            body = json.dumps({"error": {"message": fault.message, "code": fault.code, "type": "x"}}).encode()
        lines = [f"HTTP/1.1 {fault.status} X", "content-type: application/json", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in fault.headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + body[: fault.cut])
        await writer.drain()
        return fault.cut is None

    async def answer(self, body: Body) -> dict[str, Any]:
        """Return what the scripted engine replies to the same ask."""
        reply = await self.engine.reply(asked(body))
        return {
            "object": "chat.completion",
            "choices": [choice(index, sample, plain="prompt" in body) for index, sample in enumerate(reply.samples)],
            "usage": {
                "prompt_tokens": reply.prompt_tokens,
                "completion_tokens": sum(sample.tokens for sample in reply.samples),
            },
        }


async def _waited(reader: asyncio.StreamReader, seconds: float) -> bool:
    """Wait; False as soon as the client has hung up, who sends nothing more before it is answered."""
    try:
        return bool(await asyncio.wait_for(reader.read(1), seconds))
    except TimeoutError:
        return True


def asked(body: Body) -> Ask:
    """Return the ask a request was made of."""
    if "prompt" in body:
        text, _, prefix = body["prompt"].partition("\n\n")
        messages = [Message("user", text)]
    else:
        messages = [Message(message["role"], message["content"]) for message in body["messages"]]
        prefix = messages.pop().content if body.get("continue_final_message") else ""
    limit = body.get("max_tokens") or body.get("max_completion_tokens") or Sampling().max_tokens
    sampling = Sampling(body["temperature"], body["top_p"], max(0, body.get("top_k", 0)), limit)
    first = FIRSTS[body["seed"]] if "seed" in body else 0
    return Ask(tuple(messages), prefix, body.get("n", 1), first, sampling)


def choice(index: int, sample: Sample, *, plain: bool = False) -> dict[str, Any]:
    """Return a sample as the protocol writes it; `plain`, as completions do."""
    if plain:
        return {"index": index, "text": sample.text, "finish_reason": sample.finish}
    message = {"role": "assistant", "content": sample.text}
    return {"index": index, "message": message, "finish_reason": sample.finish}


@contextmanager
def served(fault: Callable[[int, Body], Fault | None] = lambda *_: None, **settings: Any) -> Iterator[Server]:
    """Serve from a thread until the end of the block."""
    server = Server(fault, **settings)
    loop = asyncio.new_event_loop()
    ready, stop = threading.Event(), asyncio.Event()

    async def run() -> None:
        await server.listen()
        ready.set()
        await stop.wait()
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


if __name__ == "__main__":
    garbage.seldom()  # it keeps every request: to look through them takes ever longer, and its clients pay for that
    with served(port=int(sys.argv[1]), latency=float(sys.argv[2]), log=Path(sys.argv[3])):
        threading.Event().wait()
