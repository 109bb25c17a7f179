"""A short run of the kill harness: everything a run consists of is killed at random moments, and nothing is lost."""

from pathlib import Path

import pytest

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
