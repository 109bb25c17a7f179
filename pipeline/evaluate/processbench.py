"""ProcessBench (arXiv 2412.06559): whether a predictor finds the first wrong step that people found.

A predictor is a judge or a labeller, for which a run over the given solutions is made, or gone on with; a finished
run; or a file of predictions or step scores.
"""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data import places
from data.errors import SettingError
from pipeline import run
from pipeline.evaluate import benchmark, scoring
from pipeline.evaluate.benchmark import Predictions
from pipeline.evaluate.table import write
from pipeline.verbs import synth
from stages import processbench
from stages.metrics import first_below
from stages.processbench import Case

SILENT = ("completer.plan=none", "consensus.rule=judge")  # where no completer is named, nobody rolls out
TUNED_ON = "gsm8k"
MAKING = ("gold", "completer", "judge", "recipe", "ledger", "new_ledger", "again", "set")


def add(experiments: Any) -> None:
    """Declare the options."""
    measured = experiments.add_parser("processbench", help="first errors against people's, as ProcessBench does")
    measured.set_defaults(verb=evaluate)
    measured.add_argument("--data", type=Path, nargs="+", default=[], help="ProcessBench files, a subset each")
    measured.add_argument("--out", default="runs/processbench", help="folder of the runs, one a subset")
    other = measured.add_mutually_exclusive_group()
    other.add_argument("--run", help="a finished run instead; without --data, against its dataset's own labels")
    other.add_argument("--predictions", type=Path, help="a file instead: id, and first_error or scores (one a step)")
    other.add_argument("--prm", help="a process reward model instead: openai:MODEL@URL of a server with /pooling")
    measured.add_argument("--gold", type=Path, nargs="+", default=[], help="files with the problems' gold answers")
    measured.add_argument("--threshold", type=float, help="a step that scores below this is wrong")
    measured.add_argument("--tune", default=TUNED_ON, help="without --threshold: the best one on this subset")
    measured.add_argument("--json", type=Path, help="write all figures to this file")
    synth.shared(measured)


def evaluate(options: argparse.Namespace) -> int:
    """Measure a predictor, making its runs first where they are owed."""
    if not options.data and not options.run:
        raise SettingError("give --data FILE ... (ProcessBench's JSON Lines), or --run DIR")
    if given := options.run or options.predictions or options.prm:
        synth.unused(options, MAKING, f"{given} is measured as it is, and no run made")
    if not options.data:
        synth.unused(options, ["limit"], f"all that {options.run} holds is measured")
    if len({file.stem for file in options.data}) < len(options.data):
        raise SettingError("two files of one name: a subset is named as its file is")
    cases = benchmark.cases(options.data, options.limit) if options.data else benchmark.own(run.there(options.run))
    if options.predictions:
        said = {options.predictions.stem: benchmark.predictions(options.predictions, benchmark.cases(options.data))}
    elif options.prm:
        said = {options.prm: _rated(cases, options)}
    elif options.run:
        said = benchmark.labels([run.there(options.run)], cases, "problem_id" if options.data else "id")
    else:
        runs = {places.within(options.out, file.stem): file for file in options.data}
        for out, file in runs.items():
            if stopped := synth.synth(_labelling(file, out, options)):
                return stopped
        said = benchmark.labels([places.at(out) for out in runs], cases, "problem_id")
    tell(cases, said, options)
    return 0


def _rated(cases: Mapping[str, Case], options: argparse.Namespace) -> Predictions:
    """Have a reward model score all steps."""
    from pipeline.evaluate import prm  # noqa: PLC0415 - openai takes a second to import; nothing else here needs it

    file = Path(options.out) / f"scores-{re.sub(r'[^A-Za-z0-9.-]+', '_', options.prm)}.jsonl"
    refused = prm.rate(options.prm, benchmark.traces(options.data, options.limit), file)
    for reason in refused[:3]:
        print(f"not scored: {reason}")
    print(f"{file}: {len(cases) - len(refused)} solutions scored, {len(refused)} refused")
    return benchmark.predictions(file, benchmark.cases(options.data))


def tell(cases: Mapping[str, Case], said: Mapping[str, Predictions], options: argparse.Namespace) -> None:
    """Print the tables, and write the figures."""
    told = {}
    print()
    for name, one in said.items():
        threshold = _threshold(cases, one, options) if one.scores else None
        firsts = (
            {key: first_below(scores, threshold) for key, scores in one.scores.items()} if threshold is not None else {}
        )
        told[name] = scoring.figures(processbench.score(cases.values(), {**one.said, **firsts}))
        for note in (benchmark.missing(cases, one), *_scored(one, threshold, options)):
            if note:
                print(f"{name}: {note}")
        told[name] |= {"threshold": threshold} if one.scores else {}
    print("\n".join(scoring.tables(told)))
    write(options.json, told)


def _labelling(file: Path, out: str, options: argparse.Namespace) -> argparse.Namespace:
    """Return the options of `synth` that label one file."""
    chosen = argparse.Namespace(**vars(options))
    if options.gold:
        to = Path(options.out) / "data" / file.name
        print(benchmark.with_gold(file, options.gold, to))
        file = to
    chosen.dataset, chosen.out, chosen.solutions = str(file), out, "given"
    chosen.policy = chosen.samples = None
    chosen.set = [*([] if options.completer or options.recipe else SILENT), *options.set]
    return chosen


def _threshold(cases: Mapping[str, Case], said: Predictions, options: argparse.Namespace) -> float:
    if options.threshold is not None:
        return float(options.threshold)
    tuning = [case for case in cases.values() if case.subset == options.tune]
    found = processbench.tuned(tuning, said.scores)
    if found is None:
        there = ", ".join(sorted({case.subset for case in cases.values()}))
        raise SettingError(f"no threshold can be tuned on {options.tune!r}: give --threshold, or --tune one of {there}")
    return found


def _scored(said: Predictions, threshold: float | None, options: argparse.Namespace) -> list[str]:
    """Say what turned scores into first errors, and where their minima lie: at the end, an outcome was scored."""
    if threshold is None:
        return []
    last = sum(scores[-1] == min(scores) for scores in said.scores.values())
    how = "given" if options.threshold is not None else f"the best on {options.tune}, whose own F1 is thus too good"
    share = f"the lowest score is that of the last step in {last / len(said.scores):.1%} of {len(said.scores)}"
    return [f"a step is wrong below {threshold:g} ({how})", share]
