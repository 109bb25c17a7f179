"""`evaluate` measures: how good predictions, labels or scores are, against truth that somebody else knows."""

from typing import Any

from pipeline.evaluate import bestofn, labels, processbench, selfprm

EXPERIMENTS = (processbench, bestofn, labels, selfprm)


def add(verbs: Any) -> None:
    """Declare the experiments, each with options of its own."""
    evaluated = verbs.add_parser("evaluate", help="measure predictions, labels or scores; see docs/evaluate.md")
    experiments = evaluated.add_subparsers(required=True, metavar="EXPERIMENT")
    for experiment in EXPERIMENTS:
        experiment.add(experiments)
