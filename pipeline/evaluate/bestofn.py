"""Best-of-n: how often a scorer chooses a right solution among n samples of a problem.

Beside it stand what it costs nothing to do without a scorer (the average sample, the majority), and what no choice can
pass (any of n). Every figure is the mean over problems of what k samples drawn from all give on average.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from statistics import fmean
from typing import Any

from data.errors import SettingError
from pipeline import run
from pipeline.evaluate import samples
from pipeline.evaluate.samples import Group
from pipeline.evaluate.table import lines, share, write
from stages.alike import alike
from stages.metrics import AGGREGATORS, best_of, bootstrap, pass_at, vote

Method = Callable[[int, Group, Sequence[int | None]], float]


def add(experiments: Any) -> None:
    """Declare the options."""
    measured = experiments.add_parser("bestofn", help="best-of-n, majority and pass@k of scored samples")
    measured.set_defaults(verb=evaluate)
    source = measured.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="JSON Lines: samples with correct, and scores or prm")
    source.add_argument("--run", help="a run with several samples a problem; its hit rates are the scores")
    measured.add_argument("--json", type=Path, help="write all figures to this file")


def evaluate(options: argparse.Namespace) -> int:
    """Measure a scorer."""
    groups = samples.from_file(options.data) if options.data else samples.from_run(run.there(options.run))
    if not groups:
        raise SettingError(f"{options.run} holds no finished solution: nothing can be measured")
    told = measure(list(groups.values()))
    print(f"{told['problems']} problems, {told['samples']} samples; % of problems (95 % by bootstrap over them), by k")
    print("\n".join(lines(list(_shown(told["methods"])))))
    print("\n".join(_notes(told)))
    write(options.json, told)
    return 0


def measure(groups: Sequence[Group]) -> dict[str, Any]:
    """Return all figures, as shares: of each method at k = 1, 2, 4 ... and the samples all problems have."""
    all_ = [sample for group in groups for sample in group]
    fewest = min(map(len, groups))
    ks = [*takewhile(lambda k: k < fewest, (2**i for i in range(fewest))), fewest]
    votes = [alike([sample.answer for sample in group]) for group in groups]
    figures = {
        name: {k: _figure([method(k, *one) for one in zip(groups, votes, strict=True)]) for k in ks}
        for name, method in _methods([name for name in AGGREGATORS if all(name in one.scores for one in all_)]).items()
    }
    lowest = [sample.last_lowest for sample in all_ if sample.last_lowest is not None]
    judged = [sample.wrong_process for sample in all_ if sample.right and sample.wrong_process is not None]
    return {
        "problems": len(groups),
        "samples": len(all_),
        "most": max(map(len, groups)),
        "methods": figures,
        "unanswered": sum(sample.answer is None for sample in all_),
        "undecided": sum(sample.undecided for sample in all_),
        "unscored": sum(not sample.scores for sample in all_),
        "last_lowest": fmean(lowest) if lowest else None,
        "right_answers_judged": len(judged),
        "right_answers_by_wrong_process": sum(judged),
    }


def _methods(aggregators: Sequence[str]) -> dict[str, Method]:
    methods: dict[str, Method] = {
        "average@k": lambda _k, group, _: fmean(_right(group)),
        "pass@k": lambda k, group, _: pass_at(k, _right(group)),
        "maj@k": lambda k, group, answers: vote(k, answers, _right(group)),
    }
    return methods | {
        name: method
        for aggregator in aggregators
        for name, method in (
            (f"prm@k, {aggregator}", _best(aggregator)),
            (f"vote weighted by {aggregator}", _weighted(aggregator)),
        )
    }


def _best(aggregator: str) -> Method:
    return lambda k, group, _: best_of(k, [one.scores[aggregator] for one in group], _right(group))


def _weighted(aggregator: str) -> Method:
    return lambda k, group, answers: vote(k, answers, _right(group), [one.scores[aggregator] for one in group])


def _right(group: Group) -> list[bool]:
    return [sample.right for sample in group]


def _figure(values: Sequence[float]) -> dict[str, Any]:
    return {"share": fmean(values), "within": bootstrap([values], lambda means: means[0])}


def _shown(methods: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> Iterator[dict[str, str]]:
    for name, figures in methods.items():
        cells = {f"k = {k}": share(one["share"], one["within"]) for k, one in figures.items()}
        yield {"method": name, **cells}


def _notes(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the table does not show."""
    yield "samples that tie are chosen between by lot: what is shown is what that gives on average"
    if told["unanswered"]:
        yield f"{told['unanswered']} samples state no answer: they have no vote"
    if told["undecided"]:
        yield f"{told['undecided']} samples could not be graded and count as not right"
    if told["unscored"]:
        yield f"{told['unscored']} samples have no score on every step (completer.plan=exhaustive gives one): no prm@k"
    if told["last_lowest"] is not None:
        yield f"the lowest score is the last step's in {told['last_lowest']:.1%} of the samples"
    if judged := told["right_answers_judged"]:
        wrong = told["right_answers_by_wrong_process"]
        yield f"right answers by a wrong process, as labelled: {wrong} of {judged} ({wrong / judged:.1%})"
