"""A run's own processes keep off the cores an engine computes on, with all their threads, where enough are left."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pipeline import cores
from pipeline.host import EngineActor
from pipeline.settings import Recipe

ROOT = Path(__file__).parents[1]
MOVED = """
import os, sys, threading
from pipeline import cores
threading.Thread(target=threading.Event().wait, daemon=True).start()
cores.keep_off(set(map(int, sys.argv[1:])))
print(sorted({tuple(sorted(os.sched_getaffinity(int(thread)))) for thread in os.listdir("/proc/self/task")}))
"""


def moved(*computing: int) -> str:
    """Return the cores on which the threads of a process are that was told to keep off some."""
    command = [sys.executable, "-c", MOVED, *map(str, computing)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603 - ours


linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says on which cores a process may run")


@linux
def test_all_threads_keep_off_where_enough_cores_are_left() -> None:
    ours = sorted(os.sched_getaffinity(0))
    if len(ours) < 2:
        pytest.skip("one core only: there is no other")
    first, *others = ours
    assert moved(first) == str([tuple(others)])
    assert moved() == moved(max(ours) + 1) == moved(*ours) == str([tuple(ours)])


@linux
def test_one_core_has_to_be_left_for_each_three_that_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[set[int]] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(5)), raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, left: told.append(left), raising=False)
    cores.keep_off(range(4))
    assert not told
    cores.keep_off(range(3))
    assert {frozenset(left) for left in told} == {frozenset({3, 4})}


def test_an_engine_says_which_cores_of_its_own_machine_it_computes_on() -> None:
    actor, binding = EngineActor("scripted", Recipe(), 0), EngineActor("scripted", Recipe(), 0)
    binding.__dict__["_engine"] = SimpleNamespace(cores=frozenset({3}))  # as vllm's CPU build has
    assert asyncio.run(actor.computing(cores.machine())) == frozenset()
    assert asyncio.run(binding.computing(cores.machine())) == {3}
    assert asyncio.run(binding.computing("another")) == frozenset()
