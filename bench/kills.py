"""Kills everything a run consists of, at random moments, and looks what was lost (`python -m bench.kills`).

A run asks all its questions of a server of ours (bench/endpoint.py), which notes each. It is made once undisturbed, and
once while driver, worker, engine actor, raylet and that server are killed with SIGKILL, one after another; the driver
is started again with the same command. Then both must hold the same bytes, and what was asked twice must be no more
than what was in flight at the kills.
"""

import argparse
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import psutil

from bench import table
from data import shards

ROOT = Path(__file__).parents[1]
VICTIMS = {
    "driver": "-m pipeline synth",
    "worker": "ray::WorkerActor",
    "engine": "ray::EngineActor",
    "raylet": "/raylet ",
}
IN_FLIGHT = 16
WORKING = 0.8  # share of the kills that wait until the run works; the others may hit it while it starts
MINUTES = 40.0


@dataclass
class Outcome:
    """What a disturbed run came to, beside the undisturbed one."""

    solutions: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    drivers: int = 0
    identical: bool = False
    lost: int = 0
    duplicated: int = 0
    asked: int = 0
    asked_twice: int = 0
    most_in_flight: int = 0
    seconds: float = 0.0


class Harness:
    """One disturbed run in `folder`, with kills at moments drawn from `seed`."""

    def __init__(self, folder: Path, problems: int, latency: float, seed: int = 0) -> None:
        self.folder, self.latency, self.rng = folder, latency, random.Random(seed)
        self.port = free_port()
        engine = f"openai:scripted@http://127.0.0.1:{self.port}/v1"
        roles = [f"--{role}={engine}" for role in ("policy", "completer", "judge")]
        sets = [f"--set=cluster.in_flight={IN_FLIGHT}", "--set=cluster.requests=64"]
        self.options = ["--dataset=scripted", f"--limit={problems}", *roles, *sets]

    def run(self, kills: int) -> Outcome:
        """Make both runs and compare them."""
        with self._server("calm"):
            driver = self._driver("calm")
            if driver.wait() != 0:
                raise RuntimeError(self._told())
        outcome, started = Outcome(most_in_flight=kills * IN_FLIGHT), time.monotonic()
        self._disturb(outcome, kills)
        outcome.seconds = round(time.monotonic() - started, 1)
        calm, wild = self.folder / "calm", self.folder / "wild"
        outcome.identical = _files(calm) == _files(wild) and not shards.verify(wild)
        ids = Counter(row["id"] for side in shards.SIDES for row in shards.read(wild, side).to_pylist())
        wanted = {row["id"] for side in shards.SIDES for row in shards.read(calm, side).to_pylist()}
        outcome.solutions, outcome.lost = len(wanted), len(wanted - ids.keys())
        outcome.duplicated = sum(ids.values()) - len(ids)
        noted = Counter((self.folder / "wild.asked").read_text().split())
        outcome.asked, outcome.asked_twice = sum(noted.values()), sum(noted.values()) - len(noted)
        return outcome

    def _disturb(self, outcome: Outcome, kills: int) -> None:
        """Start the run again and again until it ends by itself, killing until `kills` are done."""
        end = time.monotonic() + MINUTES * 60
        with self._server("wild") as server:
            while time.monotonic() < end:
                driver = self._driver("wild")
                outcome.drivers += 1
                family, begun = _watch(driver), self._asked()
                while driver.poll() is None and outcome.kills.total() < kills:
                    if self.rng.random() < WORKING:
                        self._await_work(driver, begun)
                    time.sleep(self.rng.uniform(0.2, 3.0))
                    family |= _watch(driver)
                    victims = [one for one in (*VICTIMS, "server") if self._found(one, driver, family)]
                    victim = min(self.rng.sample(victims, len(victims)), key=lambda one: outcome.kills[one])
                    if driver.poll() is None and self._kill(victim, driver, family, server):
                        outcome.kills[victim] += 1
                code = _ended(driver)
                _bury(family)
                if code == 0:
                    return
        raise RuntimeError("the disturbed run came to no end: " + self._told())

    def _asked(self) -> int:
        """Bytes that the server has noted."""
        noted = self.folder / "wild.asked"
        return noted.stat().st_size if noted.exists() else 0

    def _await_work(self, driver: psutil.Popen, begun: int) -> None:
        """Wait until this driver's workers have asked for something."""
        while driver.poll() is None and self._asked() <= begun:
            time.sleep(0.1)

    def _found(self, victim: str, driver: psutil.Popen, family: set[psutil.Process]) -> list[psutil.Process]:
        if victim in {"driver", "server"}:
            return [driver]
        return [process for process in family if VICTIMS[victim] in _line(process)]

    def _kill(self, victim: str, driver: psutil.Popen, family: set[psutil.Process], server: "_Server") -> bool:
        if victim == "server":
            server.restart(self.rng.uniform(0.0, 1.0))
            return True
        with suppress(psutil.NoSuchProcess):
            self.rng.choice(self._found(victim, driver, family)).kill()
            return True
        return False

    def _driver(self, name: str) -> psutil.Popen:
        command = [sys.executable, "-m", "pipeline", "synth", "--out", str(self.folder / name), *self.options]
        with (self.folder / "log").open("ab") as log:
            return psutil.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)

    @contextmanager
    def _server(self, name: str) -> Iterator["_Server"]:
        server = _Server([str(self.port), str(self.latency), str(self.folder / f"{name}.asked")])
        try:
            yield server
        finally:
            server.process.kill()
            server.process.wait()

    def _told(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-3000:]


class _Server:
    def __init__(self, arguments: list[str]) -> None:
        self._command = [sys.executable, "-m", "bench.endpoint", *arguments]
        self.process = self._start()

    def restart(self, pause: float) -> None:
        self.process.kill()
        self.process.wait()
        time.sleep(pause)
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, cwd=ROOT)  # noqa: S603 - our own program


def _watch(driver: psutil.Popen) -> set[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return set(driver.children(recursive=True))
    return set()


def _ended(driver: psutil.Popen) -> int | None:
    """Wait for the driver's end; one whose raylet was killed may hang, and is killed then."""
    last = time.monotonic()
    while driver.poll() is None:
        time.sleep(0.2)
        children = _watch(driver)
        if any(VICTIMS["raylet"] in _line(child) for child in children):
            last = time.monotonic()
        elif time.monotonic() > last + 30:
            driver.kill()
    code: int | None = driver.wait()
    return code


def _bury(family: set[psutil.Process]) -> None:
    _, left = psutil.wait_procs(list(family), timeout=10)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _line(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _files(out: Path) -> dict[str, bytes]:
    return {f"{side}/{file.name}": file.read_bytes() for side in shards.SIDES for file in (out / side).iterdir()}


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def main() -> None:
    """Print what was killed and what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--problems", type=int, default=1500)
    parser.add_argument("--latency", type=float, default=0.1, help="seconds an answer takes")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    try:
        outcome = Harness(folder, options.problems, options.latency, options.seed).run(options.kills)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    told = asdict(outcome) | {"kills": dict(outcome.kills)}
    print("\n".join(table.lines([{"what": what, "figure": figure} for what, figure in told.items()])))
    print(f"written to {table.write('kills', told)}")


if __name__ == "__main__":
    main()
