"""`export` writes a run's rows in a consumer's format."""

import argparse
from typing import Any

from data import places
from data.errors import SettingError
from pipeline import run
from pipeline.exports import formats, lengths, writing
from pipeline.exports.labels import PROGRESS, Labels


def add(verbs: Any) -> None:
    """Declare the options."""
    wrote = verbs.add_parser("export", help="write a run for a trainer or a benchmark; see docs/exports.md")
    wrote.set_defaults(verb=export)
    wrote.add_argument("--out", default="runs/arith", help="run directory")
    wrote.add_argument("--format", required=True, choices=list(formats.FORMATS))
    wrote.add_argument("--to", help="file to write, a path or a URI (default: OUT/exports/FORMAT[-SIDE].SUFFIX)")
    wrote.add_argument("--side", choices=["labelled", "rejected", "all"], default="labelled")
    labels = wrote.add_mutually_exclusive_group()
    labels.add_argument("--threshold", type=float, help="a step is right where its hit rate is above this; 0: any hit")
    labels.add_argument("--soft", action="store_true", help="hit rates instead of right and wrong")
    help_ = "right: the rate keeps at least this share of that before"
    labels.add_argument("--progress", type=float, nargs="?", const=PROGRESS, help=help_)
    help_ = "the labels that the dataset brought; right above this (0.5: PRM800K's neutral is wrong)"
    labels.add_argument("--given", type=float, nargs="?", const=0.0, help=help_)
    wrote.add_argument("--tokenizer", help="count what max-length cuts off: folder, tokenizer.json or Hub id")
    wrote.add_argument("--max-length", type=int, help="tokens the trainer takes")


def export(options: argparse.Namespace) -> int:
    """Write a run's rows in a consumer's format."""
    place, name = run.find(options.out).place, options.format
    form = formats.FORMATS[name]
    if (options.tokenizer is None) != (options.max_length is None):
        raise SettingError("--tokenizer and --max-length go together: labels beyond so many tokens are counted")
    checked = lengths.lengths(options.tokenizer, options.max_length, form) if options.tokenizer else None
    side = "" if options.side == "labelled" else f"-{options.side}"
    to = options.to or places.within(options.out, run.EXPORTS, f"{name}{side}.{form.suffix}")
    made = writing.export(place, to, name, _labels(options), side=options.side, lengths=checked)
    print("\n".join([to, *made.lines(), *([checked.told()] if checked else [])]))
    return 0


def _labels(options: argparse.Namespace) -> Labels:
    if options.threshold is not None:
        return Labels("threshold", options.threshold)
    if options.progress is not None:
        return Labels("progress", options.progress)
    if options.given is not None:
        return Labels("given", options.given)
    return Labels("soft" if options.soft else "recorded")
