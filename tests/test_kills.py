"""A short run of the kill harness: everything a run consists of is killed at random moments, and nothing is lost."""

from pathlib import Path

import pytest
from launching import called, going_on, said, sealed, wait_for, whole

from bench.kills import IN_FLIGHT, Harness

pytestmark = pytest.mark.slow
KILLS = 6


def test_nothing_is_lost_whatever_is_killed(tmp_path: Path) -> None:
    outcome = Harness(tmp_path, problems=150, latency=0.15, seed=1).run(KILLS)
    assert outcome.kills.total() == KILLS
    assert (outcome.solutions, outcome.lost, outcome.duplicated) == (300, 0, 0)
    assert set(outcome.kills.values()) == {1, 2}  # each of the five kinds, one twice
    assert outcome.identical
    assert outcome.asked_twice <= KILLS * IN_FLIGHT


def test_a_run_of_the_small_model_is_whole_whatever_is_killed(tmp_path: Path) -> None:
    out, options = tmp_path / "run", ["--limit", "60", "--set", "cluster.in_flight=8"]
    with going_on(out, tmp_path / "log", *options, shards_more=1) as run:
        for victim in ("ray::WorkerActor", "EngineActor"):
            (first, *_) = [child for child in run.children(recursive=True) if victim in called(child)]
            first.kill()
        before = len(sealed(out))
        wait_for(lambda: len(sealed(out)) > before)  # both have come back
        run.kill()
    said("synth", out, *options)
    whole(out, 120)
