"""ProcessBench (arXiv 2412.06559): does a predictor find the first wrong step that people found?"""

import argparse
from typing import Any

from data.errors import SettingError


def add(experiments: Any) -> None:
    """Declare the options."""
    measured = experiments.add_parser("processbench", help="first errors against people's, as ProcessBench does")
    measured.set_defaults(verb=evaluate)


def evaluate(_options: argparse.Namespace) -> int:
    """Measure a predictor."""
    raise SettingError("not yet")
