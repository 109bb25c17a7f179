"""`make submit` to a real cluster of two nodes on this machine: a job stopped midway, a node killed, nothing lost."""

import json
import os
import secrets
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from launching import ROOT, called, files, recorded, said, sealed, wait_for, whole

from bench.kills import free_port

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
PROBLEMS, SOLUTIONS = 60, 120
DATASET = ["--dataset", "scripted", "--limit", str(PROBLEMS), "--set", "scripted.wait=0.1"]


@dataclass(frozen=True, slots=True)
class Head:
    """A cluster's first node: its ports, and the environment that its nodes and clients share."""

    port: int
    dashboard: int
    metrics: int
    env: dict[str, str]

    def submit(self, out: Path, *sets: str) -> subprocess.CompletedProcess[str]:
        wanted = ["scripted.wait=0.1", *sets]
        command = ["make", "-o", f"{BIN}/base", "submit", f"VENV={BIN.parent}", f"OUT={out}", "DATASET=scripted"]
        return subprocess.run(  # noqa: S603 - our own Makefile
            [*command, f"LIMIT={PROBLEMS}", f"SET={' '.join(wanted)}"],
            cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip


@contextmanager
def node(log: Path, env: dict[str, str], *options: str) -> Iterator[psutil.Popen]:
    """Start a node and wait until it is up; nothing of it is left at the end."""
    command = [
        str(BIN / "ray"),
        "start",
        "--block",
        "--num-cpus=2",
        f"--dashboard-agent-listen-port={free_port()}",
        *options,
    ]
    with log.open("wb") as file:
        started = psutil.Popen(command, env=env, stdout=file, stderr=file, start_new_session=True)
    try:
        wait_for(lambda: "Ray runtime started" in log.read_text() or started.poll() is not None, 90)
        assert started.poll() is None, log.read_text()
        yield started
    finally:
        kill(started)


def kill(started: psutil.Popen) -> None:
    """Kill a process and its children; some end by themselves meanwhile."""
    left = [*started.children(recursive=True), started] if started.is_running() else []
    for process in left:
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            process.kill()
    psutil.wait_procs(left, timeout=10)


def works(process: psutil.Process) -> bool:
    return called(process).startswith(("ray::WorkerActor", "ray::EngineActor"))


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    one = Head(free_port(), free_port(), free_port(), {**os.environ, **token, "PATH": f"{BIN}:{os.environ['PATH']}"})
    one.env["RAY_ADDRESS"] = f"http://127.0.0.1:{one.dashboard}"
    starting = {name: value for name, value in one.env.items() if name != "RAY_ADDRESS"}
    options = ["--head", f"--port={one.port}", f"--dashboard-port={one.dashboard}"]
    options.append(f"--metrics-export-port={one.metrics}")
    with node(tmp_path_factory.mktemp("head") / "log", starting, *options):
        trial = [str(BIN / "ray"), "job", "submit", "--", "true"]  # a node is up some time before it takes jobs
        wait_for(lambda: subprocess.run(trial, env=one.env, capture_output=True, check=False).returncode == 0)  # noqa: S603 - ours
        yield one


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    said("synth", out, *DATASET)
    return out


def drivers(out: Path) -> list[psutil.Process]:
    return [p for p in psutil.process_iter() if "-m pipeline synth" in called(p) and str(out) in called(p)]


def test_two_jobs_one_after_another_make_one_run(head: Head, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [str(BIN / "ray"), "job", "submit", "--no-wait", "--working-dir", ".", "--", "python", "-m", "pipeline"]
    slowly = [*DATASET, "--set", "cluster.in_flight=4", "--out", str(out)]
    started = subprocess.run([*command, "synth", *slowly], cwd=ROOT, env=head.env, check=False, capture_output=True)  # noqa: S603 - ours
    assert started.returncode == 0, started.stdout[-3000:] + started.stderr[-3000:]
    wait_for(lambda: len(sealed(out)) >= 2)
    for driver in drivers(out):
        driver.send_signal(signal.SIGKILL)
    wait_for(lambda: not drivers(out))
    assert 0 < len(sealed(out)) < len(sealed(undisturbed))
    done = head.submit(out)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert f"solutions {SOLUTIONS}" in done.stdout
    assert files(out) == files(undisturbed)
    assert recorded(out) == recorded(undisturbed)
    run = json.loads((out / "run.json").read_text())["id"]
    wait_for(lambda: f'run="{run}"' in prometheus(head), 60)
    assert "stepwise_solutions_kept" in prometheus(head)


def prometheus(head: Head) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{head.metrics}/metrics") as answer:
        return "\n".join(line for line in answer.read().decode().splitlines() if line.startswith("ray_stepwise"))


def test_a_node_that_is_killed_takes_nothing_along(head: Head, undisturbed: Path, tmp_path: Path) -> None:
    starting = {name: value for name, value in head.env.items() if name != "RAY_ADDRESS"}
    with node(tmp_path / "log", starting, f"--address=127.0.0.1:{head.port}") as second:
        for attempt in range(5):  # a run may be over before a crowded machine has the second node at work
            out = tmp_path / f"run{attempt}"
            with (tmp_path / "driver").open("wb") as log:
                run = psutil.Popen(over_both(head, out), cwd=ROOT, env=starting, stdout=log, stderr=log)
            wait_for(
                lambda out=out, run=run: (
                    (len(sealed(out)) >= 2 and any(map(works, second.children(recursive=True))))
                    or run.poll() is not None
                )
            )
            if run.poll() is None:
                break
        assert run.poll() is None, (tmp_path / "driver").read_text()[-3000:]
        kill(second)
        assert run.wait(200) == 0, (tmp_path / "driver").read_text()[-3000:]
    whole(out, SOLUTIONS)
    assert files(out) == files(undisturbed)
    assert recorded(out) == recorded(undisturbed)


def over_both(head: Head, out: Path) -> list[str]:
    """The command of a slow run with more actors than either node holds."""
    sets = ["cluster.in_flight=1", "cluster.workers=3", "cluster.cpus=1", f"cluster.address=127.0.0.1:{head.port}"]
    options = [option for one in sets for option in ("--set", one)]
    return [sys.executable, "-m", "pipeline", "synth", "--out", str(out), *DATASET, *options]
