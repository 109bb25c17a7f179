"""`plan` forecasts a whole dataset from a finished pilot."""

import argparse
from typing import Any

from data import shards
from data.errors import SettingError
from pipeline import forecast, run
from pipeline.verbs import synth


def add(verbs: Any) -> None:
    """Declare the options."""
    foreseen = verbs.add_parser("plan", help="what a whole dataset would cost and give, from a finished pilot")
    foreseen.set_defaults(verb=plan)
    foreseen.add_argument("--out", default="runs/arith-pilot", help="the pilot's run directory")
    foreseen.add_argument("--problems", type=int, help="problems of the whole (default: all the dataset has)")
    foreseen.add_argument("--rate", type=float, help="tokens a second that a GPU writes, for GPU hours")


def plan(options: argparse.Namespace) -> int:
    """Forecast a whole dataset from a finished pilot."""
    for name, value in (("problems", options.problems), ("rate", options.rate)):
        if value is not None and value <= 0:
            raise SettingError(f"--{name}={value:g}: give more than 0")
    pilot = run.find(options.out)
    data = pilot.recipe.data
    problems = options.problems
    if problems is None:
        if data.source in {"arith", "scripted"}:
            raise SettingError(f"{data.source} has as many problems as are asked for: give PROBLEMS=N, or --problems N")
        problems = len(
            synth.load(pilot.recipe.model_copy(update={"data": data.model_copy(update={"limit": None})})).problems
        )
    lines = forecast.forecast(pilot, problems, options.rate)
    print(f"{problems:,} problems, from the {len(shards.sealed(pilot.place))} shards of {pilot.place}; 90 % intervals")
    print(
        "\n".join(f"  {name:<26}{value}" if name != "plan" else value for line in lines for name, value in line.items())
    )
    if "GPU hours" not in lines[0]:
        print("for GPU hours, give RATE=..., or --rate: the tokens a second that a GPU writes")
    if "money" not in lines[0]:
        print("for money, give the pilot's recipe budget.prices: of a million tokens read and written, by engine")
    if len(lines) == 1:
        print("a pilot with completer.plan=exhaustive tells of the other plans, too")
    return 0
