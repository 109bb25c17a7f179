"""Runs that benches make without a cluster go on where they were stopped."""

import shutil
from pathlib import Path

from bench.finished import finished
from data import shards
from data.asks import Ask, Reply
from pipeline.engines.scripted import Scripted


class Silent(Scripted):
    """It must not be asked."""

    async def reply(self, ask: Ask) -> Reply:
        raise AssertionError(ask)


def test_what_is_sealed_is_not_asked_again(tmp_path: Path) -> None:
    out = tmp_path / "run"
    made = finished(out, "scripted", "data.limit=3")
    sealed = shards.sealed(out)
    shutil.rmtree(out / "ledger")
    finished(out, "scripted", "data.limit=3", engines={"scripted": Silent(made.recipe.script())})
    assert shards.sealed(out) == sealed
