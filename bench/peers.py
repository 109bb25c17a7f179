"""What peers make of the same faults (bench/cases.py): datatrove's inference runner and distilabel.

Compared: 200 prompts, two samples each, as many requests at once and the same deadline for one as our runs have; all
else are the peers' own defaults, retries too. Where a peer dies its command is run again, as its users would. Not
compared: speed, and the rest of our pipeline. A peer that cannot be installed is named with the reason.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.cases import DEADLINE, IN_FLIGHT, NONE, Case
from data import scripted

HERE = Path(__file__).parent
BUILD = HERE.parent / "build" / "peers"
PROMPTS, SAMPLES = 200, 2
STARTS, SECONDS = 10, 180.0  # a peer is started so often at most, and given so long for all of them together
SETTINGS = {"model": "scripted", "samples": SAMPLES, "in_flight": IN_FLIGHT, "deadline": DEADLINE, "max_tokens": 4096}
COMPLETE = "The answer is \\boxed{"  # how a whole reply of the scripted engine ends
_ERROR = re.compile(
    r"^(?:\w+\.)*(\w+(?:Error|Exception)): *(?:Failed to process document \?: )?((?:(?!\. Payload).)*)", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer: its script, what is installed for it, and how many requests a prompt takes.

    Its extras name more than it imports, such as two inference servers, or less; so what it needs is listed.
    """

    name: str
    script: str
    packages: tuple[str, ...]
    requests: int
    host: str = "127.0.0.1"

    @property
    def needed(self) -> int:
        """Requests of a run in which nothing goes wrong."""
        return PROMPTS * self.requests


DATATROVE = (
    "datatrove[io]==0.10.0",
    *("aiofiles==25.1.0", "aiosqlite==0.22.1", "httpx==0.28.1", "numpy==2.2.6", "openai==3.54.0"),
)
PEERS = (
    Peer("datatrove 0.10.0, server on this host", "datatrove", DATATROVE, SAMPLES),
    # It takes another client, with retries, for any host that is not called localhost or 127.0.0.1; this is one.
    Peer("datatrove 0.10.0, server elsewhere", "datatrove", DATATROVE, SAMPLES, host="127.1"),
    Peer("distilabel 1.5.3", "distilabel", ("distilabel[openai]==1.5.3", "openai==3.54.0", "requests==2.34.2"), 1),
)


@dataclass(frozen=True, slots=True)
class Told:
    """What a peer made of a case: how it went, rows not there, rows without whole replies, requests, seconds."""

    end: str
    lost: int = 0
    wrong: int = 0
    requests: float = 0.0
    seconds: float = 0.0

    def __str__(self) -> str:
        if not self.requests:
            return self.end
        return f"{self.end}; {self.lost} lost, {self.wrong} wrong; {self.requests:.2f} x, {self.seconds:.0f} s"


def measure(folder: Path, cases: Sequence[Case]) -> dict[str, dict[str, Told]]:
    """Run all peers on all cases, peers side by side: what is told by peer and case."""
    for script in {peer.script: peer for peer in PEERS}.values():
        install(script)
    with ThreadPoolExecutor() as pool:
        told = pool.map(lambda peer: _measured(peer, folder / peer.name, cases), PEERS)
        return {peer.name: one for peer, one in zip(PEERS, told, strict=True)}


def install(peer: Peer) -> None:
    """Make its environment, once; a file in it says what is installed, or why nothing could be."""
    home = BUILD / peer.script
    stamp, wanted = home / "installed", " ".join(peer.packages)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)  # noqa: S603 - our own Python
    pip = [str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *peer.packages]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)  # noqa: S603 - pinned above
    why = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
    stamp.write_text(wanted if done.returncode == 0 else f"not installed: {why[0]}")


def _measured(peer: Peer, folder: Path, cases: Sequence[Case]) -> dict[str, Told]:
    state = (BUILD / peer.script / "installed").read_text()
    if state != " ".join(peer.packages):
        return {case.name: Told(state) for case in (NONE, *cases)}
    return {case.name: run(peer, folder / str(number), case) for number, case in enumerate((NONE, *cases))}


def run(peer: Peer, folder: Path, case: Case) -> Told:
    """Start a peer until it is done, or may not be started again."""
    folder.mkdir(parents=True)
    wanted = [{"id": problem.id, "text": problem.text} for problem in scripted.problems(PROMPTS)]
    prompts, log, starts = folder / "prompts.jsonl", folder / "log", 0
    code: int | None = 1
    prompts.write_text("".join(json.dumps(one) + "\n" for one in wanted))
    with case.served(peer.needed) as server:
        url = f"http://{peer.host}:{server.port}/v1"
        command = [str(BUILD / peer.script / "bin" / "python"), str(HERE / f"peer_{peer.script}.py")]
        command += [str(prompts), str(folder), url, json.dumps(SETTINGS)]
        started = time.monotonic()
        while code and starts < STARTS and (left := started + SECONDS - time.monotonic()) > 0:
            starts += 1
            code = _started(command, folder, log, left)
        seconds = time.monotonic() - started
    lost, wrong = counted([one["id"] for one in wanted], folder / "rows")
    return Told(_end(code, starts, log), lost, wrong, len(server.bodies) / peer.needed, seconds)


def _started(command: Sequence[str], folder: Path, log: Path, seconds: float) -> int | None:
    """Start it once: its exit status, or None where it had to be killed."""
    quiet = {"NO_PROXY": "*", "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub"), "COLUMNS": "200"}
    with log.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - our own script
            command, stdout=file, stderr=file, env={**os.environ, **quiet}, start_new_session=True
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # it has children
            process.wait()
            return None


def _end(code: int | None, starts: int, log: Path) -> str:
    """Say how it went, with its last error."""
    if code == 0:
        return "done" if starts == 1 else f"done at start {starts}"
    if code is None:
        return f"killed after {SECONDS:.0f} s"
    kind, words = (_ERROR.findall(log.read_text(errors="replace")) or [("exit status", str(code))])[-1]
    return f"died {starts} times ({kind}: {words[:50].strip()})"


def counted(wanted: Sequence[str], rows: Path) -> tuple[int, int]:
    """Return how many of the ids have no row, and how many have one without `SAMPLES` whole replies."""
    texts: dict[str, list[Any]] = defaultdict(list)
    lines = (
        line for file in rows.glob("*.jsonl") for line in file.read_text(errors="replace").splitlines(keepends=True)
    )
    for row in (json.loads(line) for line in lines if line.endswith("\n")):  # the last of a file may be torn
        texts[row["id"]] += row["texts"] or [None]
    whole = {key: sum(COMPLETE in (text or "") for text in texts[key]) for key in wanted if key in texts}
    return len(wanted) - len(whole), sum(number != SAMPLES for number in whole.values())


def plain(told: dict[str, dict[str, Told]]) -> dict[str, Any]:
    """Return it as JSON takes it."""
    return {peer: {case: asdict(one) for case, one in cases.items()} for peer, cases in told.items()}
