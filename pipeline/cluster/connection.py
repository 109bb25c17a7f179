"""Whether there is a cluster, and whether a run fits on it."""

import logging
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from inspect import signature

import ray
from ray._private import parameter

from data.errors import RunError, SettingError
from pipeline.machine_settings import Cluster
from pipeline.watch import alone, knock


def preflight(settings: Cluster, gpus: Mapping[str, int]) -> None:
    """Raise SettingError where a run would wait for ever: one copy of each engine must fit, on one node."""
    have = ray.cluster_resources()
    largest = max(node["Resources"].get("GPU", 0) for node in ray.nodes() if node["Alive"])
    if largest < (most := max(gpus.values(), default=0)) <= have.get("GPU", 0):
        raise SettingError(
            f"an engine wants {most} GPUs of one node, and no node has more than {largest:g}: lower cluster.gpus"
        )
    wanted = {"CPU": settings.cpus * len(gpus), "GPU": float(sum(gpus.values()))}
    for kind, needed in wanted.items():
        if needed > have.get(kind, 0):
            raise SettingError(
                f"{len(gpus)} engines want {needed:g} {kind}s, the cluster has {have.get(kind, 0):g}: "
                "lower cluster.cpus or cluster.gpus, or add nodes"
            )


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Connect to a cluster, a job to its own; else start one on this machine for as long as this lasts."""
    if address:
        knock(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    local = alone(address)  # said aloud: Ray would join any cluster it finds here
    before = signal.getsignal(signal.SIGTERM)
    try:
        with _any_port():
            ray.init(
                "local" if local else address,
                include_dashboard=False if local else None,
                logging_level=logging.ERROR,
            )
    except Exception as error:
        what = f"reached at {address}: check cluster.address" if address else "started: is this machine too busy?"
        raise RunError(f"Ray could not be {what} ({error})") from error
    signal.signal(signal.SIGTERM, before)  # Ray's own handler would end the run at once, and lose what is in flight
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _any_port() -> Iterator[None]:
    """Have a Ray that is started here take any port for its agent, as `ray start` can be told and `ray.init` cannot.

    The agent of a driver that was killed keeps the usual port for a minute, and the next one would try it for 4 s.
    """
    usual = parameter.RayParams
    if "dashboard_agent_listen_port" in signature(usual).parameters:
        parameter.RayParams = partial(usual, dashboard_agent_listen_port=0)
    try:
        yield
    finally:
        parameter.RayParams = usual
