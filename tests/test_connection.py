from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from ray._private import parameter

from data.errors import SettingError
from pipeline.cluster import connection
from pipeline.cluster.connection import preflight
from pipeline.machine_settings import Cluster


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two nodes of 8 CPUs and 2 GPUs, and one that has gone."""
    one: dict[str, Any] = {"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}}
    gone: dict[str, Any] = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}
    ray = SimpleNamespace(nodes=lambda: [one, one, gone], cluster_resources=lambda: {"CPU": 16.0, "GPU": 4.0})
    monkeypatch.setattr(connection, "ray", ray)


@pytest.mark.usefixtures("nodes")
@pytest.mark.parametrize("gpus", [{}, {"a": 0}, {"a": 2}, {"a": 2, "b": 2}])
def test_what_fits_passes(gpus: Mapping[str, int]) -> None:
    preflight(Cluster(), gpus)


@pytest.mark.usefixtures("nodes")
@pytest.mark.parametrize(
    ("cpus", "gpus", "said"),
    [
        (1, {"a": 4}, "wants 4 GPUs of one node, and no node has more than 2"),
        (1, {"a": 2, "b": 2, "c": 1}, "want 5 GPUs, the cluster has 4"),
        (9, {"a": 0, "b": 0}, "want 18 CPUs, the cluster has 16"),
    ],
)
def test_what_would_wait_for_ever_is_refused(cpus: int, gpus: Mapping[str, int], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        preflight(Cluster(cpus=cpus), gpus)


def test_ray_knows_the_setting_that_has_its_agent_take_any_port() -> None:
    """Else a run that was killed starts 4 s later, without a word: see `_any_port`."""
    usual = parameter.RayParams
    with connection._any_port():
        assert parameter.RayParams().dashboard_agent_listen_port == 0
    assert parameter.RayParams is usual
