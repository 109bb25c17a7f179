"""Whether anybody is there: an address at which nobody listens, or that is none, is an error at once."""

import socket

import pytest

from data.errors import RunError
from pipeline.watch import alone, knock


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "ray://127.0.0.1:1", "[::1", "localhost:99999", "ray://localhost:x"]
)
def test_where_nobody_listens_is_told_with_the_setting(address: str) -> None:
    with pytest.raises(RunError, match=r"no Ray cluster answers at .*: check cluster\.address"):
        knock(address)


def test_somebody_is_there_or_ray_finds_out_itself() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        knock(f"127.0.0.1:{server.getsockname()[1]}")
    knock("auto")


def test_a_run_is_alone_unless_it_joins_a_cluster_or_its_job_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert (alone(None), alone("auto")) == (True, False)
    monkeypatch.setenv("RAY_ADDRESS", "there:6379")
    assert not alone(None)
