"""Fixtures every test file may use."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real datasets that may lie beside the checkout; tests that need it are skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real datasets beside the checkout ({folder.name}/ is absent)")
    return folder
