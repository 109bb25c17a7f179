"""Best-of-n: does a scorer choose a right solution among n samples of a problem?"""

import argparse
from typing import Any

from data.errors import SettingError


def add(experiments: Any) -> None:
    """Declare the options."""
    measured = experiments.add_parser("bestofn", help="best-of-n, majority and pass@k of scored samples")
    measured.set_defaults(verb=evaluate)


def evaluate(_options: argparse.Namespace) -> int:
    """Measure a scorer."""
    raise SettingError("not yet")
