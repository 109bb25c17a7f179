"""Whether anybody is there: an address at which nobody listens, or that is none, is an error at once."""

import socket

import pytest

from data.errors import RunError
from pipeline.watch import knock


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
