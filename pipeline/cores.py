"""Keeps a run's own processes off the cores that an engine computes on: what they take there, every reply waits for."""

import os
import platform
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

SPARE = 3  # of so many cores that compute, one has to be left for the rest: where fewer are, all stay where they were
_THREADS = Path("/proc/self/task")


def machine() -> str:
    """Return the name of this machine."""
    return platform.node()


def keep_off(computing: Collection[int]) -> None:
    """Run all threads of this process on other cores, where enough are left and the system can do so (Linux)."""
    if not computing or not hasattr(os, "sched_setaffinity"):
        return
    left = os.sched_getaffinity(0) - set(computing)
    if SPARE * len(left) < len(computing):
        return
    for thread in _THREADS.iterdir():
        with suppress(OSError):  # it has ended meanwhile
            os.sched_setaffinity(int(thread.name), left)
