"""What a finished run teaches the plan `sequential`: `python -m bench.fit RUN` prints `[completer.prior]` for a recipe.

No truth is needed (stages/learning.py), but for `passed` (arith, or the ratings of step data such as ProcessBench): an
error that neither the judge nor the answer shows leaves no trace. It is left out where the truth is not known.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict

from bench import table
from data import schema, shards
from data.errors import PipelineError, RunError
from data.records import NO_ERROR
from data.schema import Row
from judges.given import Given
from pipeline import summary
from pipeline.run import find
from stages.learning import Seen, fit, seen
from stages.posterior import Prior


def solutions(run: str) -> Iterator[Seen]:
    """Yield what an exhaustive run teaches. Raises RunError for another: where it did not look it would make sure."""
    plan = find(run).recipe.completer.plan
    if plan != "exhaustive":
        raise RunError(f"{run} was rolled out by {plan!r}, which teaches a false certainty: give an exhaustive run")
    yield from seen(map(schema.record, shards.rows(run)))


def passed(rows: Iterable[Row]) -> dict[str, float]:
    """How often a right answer that the judge passes holds no error, by level ("" for none), where the truth is known.

    Jeffreys' estimate: few solutions make nobody certain.
    """
    right, all_of = Counter[str](), Counter[str]()
    for row in rows:
        truth = _truth(row)
        if row["outcome"] == "equal" and row["judge_first_error"] == NO_ERROR and truth is not None:
            all_of[row["level"] or ""] += 1
            right[row["level"] or ""] += truth == NO_ERROR
    return {level: (right[level] + 0.5) / (count + 1) for level, count in sorted(all_of.items())}


def _truth(row: Row) -> int | None:
    return Given().read(schema.record(row).trace).first_error if row["ratings"] else summary.truth(row)


def inline(prior: Prior, passed: Mapping[str, float] | None = None) -> str:
    """Return the prior as one setting."""
    return f"completer.prior={{ {', '.join(_toml(prior, passed))} }}"


def lines(prior: Prior, passed: Mapping[str, float] | None = None) -> Iterator[str]:
    """Yield the prior as TOML."""
    yield "[completer.prior]"
    yield from _toml(prior, passed)


def _toml(prior: Prior, passed: Mapping[str, float] | None) -> Iterator[str]:
    for name, value in asdict(prior).items():
        if isinstance(value, tuple):
            yield f"{name} = [{', '.join(f'{number:.4g}' for number in value)}]"
        elif value is not None and name != "missed":  # nobody learns it
            yield f"{name} = {value:.4g}"
    if passed:
        yield f"passed = {{ {', '.join(f'{json.dumps(level)} = {share:.4g}' for level, share in passed.items())} }}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the prior and write it down."""
    parser = argparse.ArgumentParser(prog="python -m bench.fit", description="Learn a prior from a finished run.")
    parser.add_argument("run", help="run directory: a path or a URI")
    try:
        run = parser.parse_args(arguments).run
        prior, known = fit(list(solutions(run))), passed(shards.rows(run))
    except PipelineError as error:
        parser.error(str(error))
    print("\n".join(lines(prior, known)))
    if not known:
        print("# passed: not known, since this run's truth is not; such rows are kept without a posterior")
    print(f"# written to {table.write('fit', {**asdict(prior), 'passed': known or prior.passed})}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
