"""`synth` makes a run, or goes on with the one that lies in `--out`."""

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from data import places, shards, sources
from data.errors import RunError, SettingError
from data.ledger import held
from data.records import Task
from data.sources import Loaded
from pipeline import pilot, progress, recipe, run
from pipeline.engines import make
from pipeline.publish import card
from pipeline.run import Run
from pipeline.settings import Recipe
from pipeline.summary import summarise
from pipeline.verbs import report
from pipeline.watch import alone
from stages import solve

SELF_JUDGED = (
    "the policy judges its own solutions, and no rollouts take part: on hard problems most of what such a judge passes "
    "may be wrong (below 10 % right in arXiv 2505.11227); `evaluate selfprm` measures it"
)
STOPPED = 130  # exit status of a run that was asked to stop: it is not finished


def add(verbs: Any) -> None:
    """Declare the options."""
    made = verbs.add_parser("synth", help="make a run, or go on with one")
    made.set_defaults(verb=synth)
    made.add_argument("--dataset", help="a known name, a file, or a Hub id (default: the recipe's, or arith)")
    made.add_argument("--out", help="run directory, a path or a URI (default: runs/DATASET)")
    made.add_argument("--samples", type=int, help="solutions a problem")
    made.add_argument("--solutions", choices=["sample", "given"], help="sample solutions, or take the dataset's")
    made.add_argument("--policy", help="engine specification")
    shared(made)


def shared(made: argparse.ArgumentParser) -> None:
    """Declare the options of whatever labels given solutions."""
    made.add_argument("--recipe", type=Path, help="a TOML file instead of the dataset's preset")
    shares = made.add_mutually_exclusive_group()
    shares.add_argument("--ledger", help="another run's ledger, to re-use what was paid for")
    shares.add_argument("--new-ledger", help="the same, where it may be one that is still to be begun")
    made.add_argument("--again", action="store_true", help="label a run again under a changed recipe, from its ledger")
    made.add_argument("--limit", type=int, help="so many problems")
    for role in ("completer", "judge"):
        made.add_argument(f"--{role}", help="engine specification")
    made.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any setting of the recipe")


def unused(options: argparse.Namespace, names: Sequence[str], why: str) -> None:
    """Refuse options that are given where nothing would look at them."""
    given = [f"--{name.replace('_', '-')}" for name in names if getattr(options, name) not in (None, False, [])]
    if given:
        raise SettingError(f"{', '.join(given)}: {why}: leave {'it' if len(given) == 1 else 'them'} out")


def synth(options: argparse.Namespace) -> int:
    """Make a run, or go on with the one that lies in `--out`."""
    named = recipe.read(options.dataset, options.recipe, _overrides(options))
    chosen = recipe.usual(named)
    if chosen != named:
        print(f"a GPU is here: {recipe.USUAL} for every role that names no engine (POLICY, COMPLETER, JUDGE)")
    for name in (chosen.data.source, *(chosen.data.against or ())):
        sources.known(name)  # these before a dataset is fetched: what is missing is told at once
    recipe.check(chosen, sampled=False)
    if options.ledger:
        run.check_ledger(options.ledger)
    out = options.out or f"runs/{Path(chosen.data.source).stem}"
    if options.again or not run.told(places.at(out)):  # a run that is there may be owed nothing, and need no engine
        _check_engines(chosen, sampled=chosen.solutions == "sample")
    loaded = load(chosen)
    sampled = any(task.given is None for task in solve.tasks(loaded.problems, chosen.policies()))
    recipe.check(chosen, sampled=sampled)
    if sampled and chosen.self_judged:
        print(SELF_JUDGED)
    with shards.lock(out):
        made, stopped = _run(out, chosen, loaded, options)
    held = summarise(made.place)
    print("\n".join(["", str(made.place), *held.lines(), *progress.spent(made.place)]))
    if stopped:
        print(f"stopped before the end: {stopped}")
        return STOPPED
    report.at_end(made, held.solutions)
    return 0


def _run(out: str, chosen: Recipe, loaded: Loaded, options: argparse.Namespace) -> tuple[Run, str | None]:
    """Label all there is, and before it the pilot that the run learns from; return the run, and why it stopped."""
    ledger = options.ledger or options.new_ledger
    if chosen.learns:
        taught = None if options.again else pilot.taught(out, chosen)
        if taught is None:
            print(f"a pilot of {chosen.completer.learn:,} problems comes first, with every prefix rolled out")
            drawn = replace(loaded, problems=tuple(pilot.problems(chosen, loaded.problems)))
            where = places.within(out, run.PILOT)
            made, stopped = _labelled(where, pilot.recipe(chosen), drawn, options, ledger or run.ledger(out))
            if stopped:
                return made, stopped
            taught = pilot.learnt(chosen, shards.rows(made.place))
            print(pilot.lesson(taught.completer.prior))
        chosen = taught
    return _labelled(out, chosen, loaded, options, ledger)


def _labelled(
    out: str, chosen: Recipe, loaded: Loaded, options: argparse.Namespace, ledger: str | None
) -> tuple[Run, str | None]:
    """Open a run and label what is owed; return it, and where it was stopped before the end, why and how to go on."""
    tasks = list(solve.tasks(loaded.problems, chosen.policies()))
    made = run.start(out, chosen, len(tasks), again=options.again, ledger=ledger, data=loaded.facts)
    run.sweep(made.place)
    stopped = _label(made, made.plan(tasks), loaded, options.new_ledger)
    if not stopped:
        run.finish(made)
    card.write(made)
    return made, stopped


def load(chosen: Recipe) -> Loaded:
    """Return the problems of a recipe, and print what the user should know of them."""
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
        select=data.selection(given=chosen.solutions != "sample"),
        against=data.against,
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


def _label(made: Run, plan: dict[str, tuple[Task, ...]], loaded: Loaded, new_ledger: str | None) -> str | None:
    """Label what is owed; where it was stopped before the end, return why and how to go on."""
    from pipeline.cluster import connection, driver  # noqa: PLC0415 - ray takes seconds to import; nothing else here needs it

    for fault in shards.settle(made.place, plan):
        print(f"{fault}: its shard is made again, from the ledger")
    run.leave_out(made, loaded)
    card.write(made)
    owed = {part: plan[part] for part in shards.owed(plan, shards.sealed(made.place), made.fingerprint)}
    if not owed:
        print("nothing to do: every solution of this recipe is labelled")
        return None
    if not new_ledger:
        _check_ledger(made)
    _check_engines(made.recipe, sampled=any(task.given is None for tasks in owed.values() for task in tasks))
    total, left = (sum(map(len, some.values())) for some in (plan, owed))
    with _stopping() as stopping, progress.display(made.place, total, total - left, made.recipe.budget) as shown:
        if not shown.over:
            with connection.connected(made.recipe.cluster.address):
                finished = driver.Driver(made, owed, lambda: stopping() or bool(shown.over), shown.show).work()
            shards.settle(made.place, plan)
            if finished:
                return None
    return f"{shown.over}; the same command with a larger one goes on" if shown.over else "the same command goes on"


def _check_ledger(made: Run) -> None:
    """Refuse to pay again for what a run has lost without knowing: its ledger, after shards were sealed from it."""
    paid = any(one.written for one in progress.paid(made.place).values())
    if paid and shards.sealed(made.place) and not held(made.ledger):
        raise RunError(
            f"the ledger {made.ledger} of {made.place} is gone, and with it what was paid for and is in no shard yet: "
            f"bring it back, or pay again into a new one (NEW_LEDGER={made.ledger}, --new-ledger)"
        )


def _check_engines(chosen: Recipe, *, sampled: bool) -> None:
    """Refuse engines that cannot be made here, where no other machine makes them."""
    for one in chosen.engines(sampled=sampled) if alone(chosen.cluster.address) else ():
        make.check(one, chosen)


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
