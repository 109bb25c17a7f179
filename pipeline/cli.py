"""The command line: `synth` makes a run or goes on with one, `status` and `show` look at it.

`export` writes it for a trainer, `refilter` decides it anew.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

from data import shards, sources
from data.errors import PipelineError, SettingError
from data.records import Task
from data.sources import Loaded
from pipeline import forecast, progress, recipe, refilter, run, show
from pipeline.exports import formats, lengths, writing
from pipeline.exports.labels import PROGRESS, Labels
from pipeline.run import Run
from pipeline.settings import Recipe
from pipeline.summary import summarise
from stages import solve

STOPPED = 130  # exit status of a run that was asked to stop: it is not finished


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; an expected error is a sentence on stderr and exit status 2."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.verb(options))
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def synth(options: argparse.Namespace) -> int:
    """Make a run, or go on with the one that lies in `--out`."""
    named = recipe.read(options.dataset, options.recipe, _overrides(options))
    chosen = recipe.usual(named)
    if chosen != named:
        print(f"a GPU is here: {recipe.USUAL} for every role that names no engine (POLICY, COMPLETER, JUDGE)")
    sources.known(chosen.data.source)  # both before a dataset is fetched: what is missing is told at once
    recipe.check(chosen, sampled=False)
    loaded = _load(chosen)
    tasks = list(solve.tasks(loaded.problems, chosen.policies()))
    recipe.check(chosen, sampled=any(task.given is None for task in tasks))
    out = options.out or f"runs/{Path(chosen.data.source).stem}"
    with shards.lock(out):
        made = run.start(out, chosen, len(tasks), again=options.again, ledger=options.ledger)
        stopped = _label(made, made.plan(tasks), loaded)
    print("\n".join(["", str(made.place), *summarise(made.place).lines(), *progress.spent(made.place)]))
    if stopped:
        print(f"stopped before the end: {stopped}")
    return STOPPED if stopped else 0


def status(options: argparse.Namespace) -> int:
    """Say how far a run has come, whether or not it is going on."""
    made = run.find(options.out)
    print("\n".join([str(made.place), *progress.told(made.place), *summarise(made.place).lines()]))
    return 0


def view(options: argparse.Namespace) -> int:
    """Show one labelled solution."""
    row = show.find(run.find(options.out).place, options.id)
    print("\n".join(show.lines(row, colour=sys.stdout.isatty() or options.colour)))
    return 0


def export(options: argparse.Namespace) -> int:
    """Write a run's rows in a consumer's format."""
    place, name = run.find(options.out).place, options.format
    form = formats.FORMATS[name]
    if (options.tokenizer is None) != (options.max_length is None):
        raise SettingError("--tokenizer and --max-length go together: labels beyond so many tokens are counted")
    checked = lengths.lengths(options.tokenizer, options.max_length, form) if options.tokenizer else None
    side = "" if options.side == "labelled" else f"-{options.side}"
    to = options.to or f"{options.out.rstrip('/')}/exports/{name}{side}.{form.suffix}"
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


def anew(options: argparse.Namespace) -> int:
    """Decide a finished run anew, as another run."""
    made = refilter.refilter(options.out, options.to, options.set)
    print("\n".join([f"{options.out} -> {made.place}", *summarise(made.place).lines()]))
    return 0


def plan(options: argparse.Namespace) -> int:
    """Forecast a whole dataset from a finished pilot."""
    pilot = run.find(options.out)
    data = pilot.recipe.data
    problems = options.problems
    if problems is None:
        if data.source in {"arith", "scripted"}:
            raise SettingError(f"{data.source} has as many problems as are asked for: give --problems")
        problems = len(
            _load(pilot.recipe.model_copy(update={"data": data.model_copy(update={"limit": None})})).problems
        )
    lines = forecast.forecast(pilot, problems, options.rate)
    print(f"{problems:,} problems, from the {len(shards.sealed(pilot.place))} shards of {pilot.place}; 90 % intervals")
    print(
        "\n".join(f"  {name:<26}{value}" if name != "plan" else value for line in lines for name, value in line.items())
    )
    if len(lines) == 1:
        print("a pilot with completer.plan=exhaustive tells of the other plans, too")
    return 0


def _load(chosen: Recipe) -> Loaded:
    data = chosen.data
    columns = {name: tuple(where) if isinstance(where, list) else where for name, where in data.columns.items()}
    loaded = sources.load(
        data.source,
        data.limit,
        columns=columns,
        revision=data.revision,
        config=data.config,
        split=data.split,
        seed=data.seed,
    )
    for note in loaded.notes:
        print(note)
    if chosen.solutions == "sample":
        return replace(loaded, problems=tuple(replace(problem, given=()) for problem in loaded.problems))
    if chosen.solutions == "given" and not all(problem.given for problem in loaded.problems):
        raise SettingError(
            f"solutions=given, but {data.source} has problems without one: name them in data.columns.solutions"
        )
    return loaded


def _label(made: Run, plan: dict[str, tuple[Task, ...]], loaded: Loaded) -> str | None:
    """Label what is owed; where it was stopped before the end, return why and how to go on."""
    from pipeline.cluster import connection, driver  # noqa: PLC0415 - ray takes seconds to import; nothing else here needs it

    for fault in shards.settle(made.place, plan):
        print(f"{fault}: its shard is made again, from the ledger")
    run.card(made, loaded)
    owed = {part: plan[part] for part in shards.owed(plan, shards.sealed(made.place), made.fingerprint)}
    if not owed:
        print("nothing to do: every solution of this recipe is labelled")
        return None
    total, left = (sum(map(len, some.values())) for some in (plan, owed))
    with _stopping() as stopping, progress.display(made.place, total, total - left, made.recipe.budget) as shown:
        if not shown.over:
            with connection.connected(made.recipe.cluster.address):
                finished = driver.Driver(made, owed, lambda: stopping() or bool(shown.over), shown.show).work()
            shards.settle(made.place, plan)
            if finished:
                return None
    return f"{shown.over}; the same command with a larger one goes on" if shown.over else "the same command goes on"


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a wish: what is in flight is finished and recorded, then the run stops."""
    asked: list[int] = []

    def ask(number: int, _: FrameType | None) -> None:
        asked.append(number)
        if len(asked) == 1:
            print("\nstopping when what is in flight has come back; once more to stop at once", file=sys.stderr)
        else:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _overrides(options: argparse.Namespace) -> list[str]:
    """Return the named options as settings, and after them the `--set` ones."""
    named = {
        "data.limit": options.limit,
        "policy.samples": options.samples,
        "solutions": options.solutions,
        "policy.engine": options.policy,
        "completer.engine": options.completer,
        "judge.engine": options.judge,
    }
    settings: list[str] = options.set
    return [f"{name}={value}" for name, value in named.items() if value is not None] + settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline", description="Step-labelled data for reward models.")
    verbs = parser.add_subparsers(required=True)
    made = verbs.add_parser("synth", help="make a run, or go on with one")
    made.set_defaults(verb=synth)
    made.add_argument("--dataset", default="arith", help="a known name, a file, or a Hub id owner/name")
    made.add_argument("--recipe", type=Path, help="a TOML file instead of the dataset's preset")
    made.add_argument("--out", help="run directory, a path or a URI (default: runs/DATASET)")
    made.add_argument("--ledger", help="another run's ledger, to re-use what was paid for")
    made.add_argument("--again", action="store_true", help="label a run again under a changed recipe, from its ledger")
    made.add_argument("--limit", type=int, help="the first so many problems")
    made.add_argument("--samples", type=int, help="solutions a problem")
    made.add_argument("--solutions", choices=["sample", "given"], help="sample solutions, or take the dataset's")
    for role in ("policy", "completer", "judge"):
        made.add_argument(f"--{role}", help="engine specification")
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any setting of the recipe")
    for name, verb, text in (("status", status, "how far a run has come"), ("show", view, "one labelled solution")):
        looked = verbs.add_parser(name, help=text)
        looked.set_defaults(verb=verb)
        looked.add_argument("--out", default="runs/arith", help="run directory")
    looked.add_argument("id", nargs="?", help="id of the solution, or how it starts")
    looked.add_argument("--colour", action="store_true", help="colour also where the output is no terminal")
    _add_export(verbs.add_parser("export", help="write a run for a trainer or a benchmark; see docs/exports.md"))
    foreseen = verbs.add_parser("plan", help="what a whole dataset would cost and give, from a finished pilot")
    foreseen.set_defaults(verb=plan)
    foreseen.add_argument("--out", default="runs/arith-pilot", help="the pilot's run directory")
    foreseen.add_argument("--problems", type=int, help="problems of the whole (default: all the dataset has)")
    foreseen.add_argument("--rate", type=float, help="tokens a second that a GPU writes, for GPU hours")
    decided = verbs.add_parser("refilter", help="decide a finished run anew from its evidence, as another run")
    decided.set_defaults(verb=anew)
    decided.add_argument("--out", default="runs/arith", help="run directory")
    decided.add_argument("--to", required=True, help="the new run directory")
    decided.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="such as consensus.rule=mc")
    return parser


def _add_export(wrote: argparse.ArgumentParser) -> None:
    wrote.set_defaults(verb=export)
    wrote.add_argument("--out", default="runs/arith", help="run directory")
    wrote.add_argument("--format", required=True, choices=list(formats.FORMATS))
    wrote.add_argument("--to", help="file to write, a path or a URI (default: OUT/exports/FORMAT)")
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
