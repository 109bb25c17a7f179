"""Self-PRM (arXiv 2505.11227): whether a policy that judges its own samples chooses better than their majority.

A sample's score is the share of the judge's votes that find no error in it. The best scored of k samples is chosen,
among equals the answer that most of them give, and then by lot; a sample without an answer comes last. Also: how often
a solution that the judge passes is right, and a right one is passed, by difficulty.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from data.errors import RunError
from data.records import NO_ERROR
from data.schema import Row
from pipeline import recipe, run, summary
from pipeline.evaluate import sealed, table
from pipeline.run import Run
from pipeline.verbs import synth
from stages import metrics
from stages.alike import alike
from stages.reliability import Share

MAKING: Final = ("policy", "recipe", "limit", "ledger", "set")
KS: Final = (1, 2, 4, 8, 16, 32)
GAIN: Final = "self-PRM - majority"
WAYS: Final = ("majority", "self-PRM", "pass@k")
RATES: Final = (
    ("pass rate 0", 0.0),
    ("pass rate to 0.25", 0.25),
    ("pass rate to 0.5", 0.5),
    ("pass rate to 0.75", 0.75),
    ("pass rate below 1", 0.999),
)
COLUMNS: Final = [
    *("dataset", "problem", "gold_answer", "level", "steps", "answer", "outcome", "judge_first_error", "judge_votes"),
]


def add(experiments: Any) -> None:
    """Declare the options."""
    measured = experiments.add_parser("selfprm", help="a policy that judges and re-ranks its own samples")
    measured.set_defaults(verb=evaluate)
    measured.add_argument("--run", required=True, help="run directory; made, or gone on with, where --dataset is given")
    measured.add_argument("--dataset", help="make the run first: problems with gold answers")
    measured.add_argument("--policy", help="engine that solves and judges (default: the recipe's policy)")
    measured.add_argument("--recipe", type=Path, help="a TOML file instead of the dataset's preset")
    measured.add_argument("--limit", type=int, help="problems")
    measured.add_argument("--samples", type=int, default=16, help="solutions a problem (default: 16)")
    measured.add_argument("--votes", type=int, default=8, help="of the judge; 1 is greedy (default: 8)")
    measured.add_argument("--ledger", help="another run's ledger, to re-use what was paid for")
    measured.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any setting of the recipe")
    measured.add_argument("--json", type=Path, help="file to write the figures to")


def evaluate(options: argparse.Namespace) -> int:
    """Make the run where that is asked for, and print the tables."""
    if not options.dataset:
        synth.unused(options, MAKING, "without --dataset no run is made")
    elif status := _make(options):
        return status
    made = run.find(options.run)
    if not _judges_itself(made):
        print("the judge of this run is not its policy: what follows is re-ranking by another model")
    found = measure(made)
    for title, rows in tables(found):
        print("\n".join(["", title, "", *table.lines(rows)]))
    table.write(options.json, told(found))
    return 0


def _make(options: argparse.Namespace) -> int:
    """Label by the judge alone, who is the policy. Return the exit status of `synth`."""
    named = recipe.usual(recipe.read(options.dataset, options.recipe))
    policy = options.policy or named.policy[0].engine
    settings = ["completer.plan=none", "consensus.rule=judge", f"judge.votes={options.votes}"]
    settings.append(f"judge.sampling.temperature={float(options.votes > 1)}")
    chosen = {"dataset": options.dataset, "recipe": options.recipe, "out": options.run}
    chosen |= {"ledger": options.ledger, "new_ledger": None}
    roles = {"policy": policy, "completer": None, "judge": policy, "solutions": "sample"}
    sizes = {"limit": options.limit, "samples": options.samples, "again": False}
    return synth.synth(argparse.Namespace(**chosen, **roles, **sizes, set=[*settings, *options.set]))


def _judges_itself(made: Run) -> bool:
    policies = {policy.engine for policy in made.recipe.policy}
    return made.recipe.solutions != "given" and {j.engine for j in made.recipe.judge if j.asks} == policies


@dataclass(slots=True)
class Judged:
    """The judge's verdicts on graded solutions: those passed that are right, and those right that are passed.

    `sound`: those passed without any wrong step, where the truth is known.
    """

    precision: Share = field(default_factory=Share)
    recall: Share = field(default_factory=Share)
    sound: Share = field(default_factory=Share)
    silent: int = 0


@dataclass(slots=True)
class Found:
    """What was counted: chances of a right answer by level and k, one a problem for each of `WAYS`; verdicts."""

    chances: dict[tuple[str, int], list[tuple[float, ...]]] = field(default_factory=dict)
    judged: dict[str, Judged] = field(default_factory=dict)
    ungraded: int = 0


def measure(made: Run) -> Found:
    """Count over all sealed shards. Raises RunError where no problem has a gold answer."""
    found = Found()
    for rows in sealed.problems(made.place, COLUMNS):
        for name in dict.fromkeys(row["policy"] for row in rows):
            count(found, [row for row in rows if row["policy"] == name])
    if not found.chances:
        raise RunError(f"{made.place} holds no problem with a gold answer: nothing tells which solutions are right")
    found.chances = dict(sorted(found.chances.items(), key=lambda item: (item[0][0] != "all", item[0])))
    return found


def count(found: Found, rows: Sequence[Row]) -> None:
    """Count one problem's solutions by one policy; one without a gold answer tells nothing."""
    if rows[0]["gold_answer"] is None:
        return
    graded = [row for row in rows if row["outcome"] != "undecided"]
    found.ungraded += len(rows) - len(graded)
    levels = ["all", *([rows[0]["level"]] if rows[0]["level"] else [])]
    for k in (k for k in KS if k <= len(rows)):
        chances = _chances(rows, k)
        for level in levels:
            found.chances.setdefault((level, k), []).append(chances)
    for name in [*levels, _rate(fmean(row["outcome"] == "equal" for row in rows))]:
        _judge(found.judged.setdefault(name, Judged()), graded)


def _chances(rows: Sequence[Row], k: int) -> tuple[float, ...]:
    """Return the chance that k of these samples end in a right answer, by each of `WAYS`."""
    right = [row["outcome"] == "equal" for row in rows]
    answers = alike([row["answer"] for row in rows])
    scores = [score(row["judge_votes"]) if row["answer"] is not None else -1.0 for row in rows]
    return (
        metrics.vote(k, answers, right),
        metrics.best_vote(k, scores, answers, right),
        metrics.pass_at(k, right),
    )


def score(votes: Sequence[int | None]) -> float:
    """Return the share of a judge's votes that find no error; a half where none could be read, which says nothing."""
    read = [vote for vote in votes if vote is not None]
    return read.count(NO_ERROR) / len(read) if read else 0.5


def _judge(judged: Judged, rows: Sequence[Row]) -> None:
    """Add the verdicts on one problem's graded solutions; one that cannot be read is neither passed nor failed."""
    spoken = [row for row in rows if row["judge_first_error"] is not None]
    judged.silent += len(rows) - len(spoken)
    passed = [row for row in spoken if row["judge_first_error"] == NO_ERROR]
    right = [row for row in spoken if row["outcome"] == "equal"]
    both = sum(row["outcome"] == "equal" for row in passed)
    truths = [summary.truth(row) for row in passed]
    if passed:
        judged.precision = judged.precision.cluster(len(passed), both)
    if right:
        judged.recall = judged.recall.cluster(len(right), both)
    if passed and None not in truths:
        judged.sound = judged.sound.cluster(len(passed), truths.count(NO_ERROR))


def _rate(rate: float) -> str:
    """Name the bin of a problem's pass rate."""
    return next((name for name, most in RATES if rate <= most), "pass rate 1")


def tables(found: Found) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Yield each table with its title."""
    yield "a right answer from k samples, %, with 95 % intervals over problems", [_chosen(*at) for at in _rows(found)]
    title = f"the policy as judge of its own solutions ({found.ungraded:,} could not be graded and are left out here)"
    names = sorted(found.judged, key=_order)
    yield title, [_verdicts(name, found.judged[name]) for name in names]


def _order(name: str) -> tuple[int, str]:
    rates = [*(rate for rate, _ in RATES), "pass rate 1"]
    return (rates.index(name) + 2 if name in rates else int(name != "all")), name


def _rows(found: Found) -> Iterator[tuple[str, int, dict[str, list[float]]]]:
    """Yield each level and k, with every way's chances, one a problem."""
    for (level, k), chances in found.chances.items():
        yield level, k, dict(zip(WAYS, map(list, zip(*chances, strict=True)), strict=True))


def _gains(ways: dict[str, list[float]]) -> list[float]:
    """Return by how much self-PRM is better than the majority, problem by problem."""
    return [one - other for one, other in zip(ways["self-PRM"], ways["majority"], strict=True)]


def _chosen(level: str, k: int, ways: dict[str, list[float]]) -> dict[str, str]:
    told = {"level": level, "problems": f"{len(ways['pass@k']):,}", "k": str(k)}
    return told | {name: table.share(*_mean(chances)) for name, chances in {**ways, GAIN: _gains(ways)}.items()}


def _mean(values: Sequence[float]) -> tuple[float, metrics.Range | None]:
    return fmean(values), metrics.bootstrap([values], lambda means: means[0])


def _verdicts(name: str, judged: Judged) -> dict[str, str]:
    told = {"problems": name, "passed": f"{judged.precision.cases:,.0f}"}
    told["of them right, % (precision)"] = table.share(judged.precision.value, judged.precision.range)
    told["right"] = f"{judged.recall.cases:,.0f}"
    told["of them passed, % (recall)"] = table.share(judged.recall.value, judged.recall.range)
    told["passed without a wrong step, %"] = table.share(judged.sound.value, judged.sound.range)
    return {**told, "no verdict": f"{judged.silent:,}"}


def told(found: Found) -> dict[str, Any]:
    """Return all figures as plain values."""
    chosen = []
    for level, k, ways in _rows(found):
        means = {name: _mean(chances) for name, chances in {**ways, GAIN: _gains(ways)}.items()}
        plain = {name: {"share": mean, "range": within} for name, (mean, within) in means.items()}
        chosen.append({"level": level, "k": k, "problems": len(ways["pass@k"]), **plain})
    names = ("precision", "recall", "sound")
    judged = {name: {n: _plain(getattr(one, n)) for n in names} for name, one in found.judged.items()}
    return {"chosen": chosen, "judged": judged, "ungraded": found.ungraded}


def _plain(share: Share) -> dict[str, Any]:
    return {"cases": share.cases, "right": share.right, "share": share.value, "range": share.range}
