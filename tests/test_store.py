"""A whole run in an object store (a real S3 server on loopback, moto's): killed midway, the same bytes as on disk."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from launching import files, going_on, recorded, said, sealed, whole
from pyarrow import fs

from data import places

pytestmark = pytest.mark.slow

PROBLEMS, SOLUTIONS = 40, 80
DATASET = ["--dataset", "scripted", "--limit", str(PROBLEMS), "--set", "scripted.wait=0.05"]


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Serve S3 until the end; give a URI with a gap for a run's name."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - takes a second

    with pytest.MonkeyPatch.context() as patched:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patched.setenv(name, "nobody")
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        _, port = server.get_host_and_port()
        options = f"endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
        store = fs.S3FileSystem(
            endpoint_override=f"127.0.0.1:{port}", scheme="http", region="us-east-1", allow_bucket_creation=True
        )
        store.create_dir("bucket")
        yield f"s3://bucket/{{}}?{options}"
        server.stop()


def test_a_run_in_a_store_survives_a_kill_and_equals_one_on_disk(bucket: str, tmp_path: Path) -> None:
    disk, out = tmp_path / "disk", bucket.format("run")
    said("synth", disk, *DATASET)
    with going_on(out, tmp_path / "log", *DATASET, "--set", "cluster.in_flight=4") as run:
        run.kill()
    assert 0 < len(sealed(out)) < len(sealed(disk))
    assert f"solutions {SOLUTIONS}" in said("synth", out, *DATASET)
    whole(out, SOLUTIONS)
    assert files(out) == files(disk)
    assert recorded(out) == recorded(disk)
    assert "nothing to do" in said("synth", out, *DATASET)
    assert f"{SOLUTIONS} of {SOLUTIONS} solutions" in said("status", out)


def test_a_bucket_that_is_not_there_is_a_clear_error(bucket: str) -> None:
    told = said("synth", bucket.format("run").replace("bucket", "nowhere", 1), *DATASET, code=2)
    assert "cannot be used" in told
    assert places.at(bucket.format("x")).local is False
