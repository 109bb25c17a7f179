"""The overview's tables: how judge and rollouts agree, votes, the truth where it is known, tokens and cost."""

from collections.abc import Mapping
from typing import Any

from pipeline.machine_settings import Budget
from pipeline.memory import Paid
from pipeline.publish import public
from pipeline.report.counts import Counts
from pipeline.summary import Score

Table = dict[str, Any]


def tiles(counts: Counts, skipped: int, cost: float) -> list[dict[str, str]]:
    """Return the few numbers that stand above all: each a value, its name and what to say beside it."""
    solutions, right = counts.solutions, counts.outcomes["equal"]
    wrong, undecided = counts.outcomes["different"], counts.outcomes["undecided"]
    written = sum(counts.tokens[name] for name in ("solve", "rollout", "judge"))
    unused = f"; {skipped:,} input rows not used" if skipped else ""
    found = [
        ("problems", f"{counts.problems:,}", f"{counts.kept_problems:,} with a kept solution{unused}"),
        ("solutions", f"{solutions:,}", f"{right:,} right, {wrong:,} wrong, {undecided:,} undecided answers"),
        ("kept", f"{counts.kept:,}", f"{share(counts.kept, solutions)} of the solutions"),
        (
            "tokens written",
            short(written),
            f"{written / max(solutions, 1):,.0f} a solution, {short(counts.tokens['prompt'])} read",
        ),
    ]
    if cost:
        found.append(("cost", f"{cost:,.2f}", f"{cost / max(counts.kept, 1):,.4f} a kept solution"))
    return [{"name": name, "value": value, "note": note} for name, value, note in found]


def tables(counts: Counts, scores: Mapping[str, Score], paid: Mapping[str, Paid], budget: Budget) -> list[Table]:
    """Return the tables that have something to say, in order."""
    made = [_truth(scores), _firsts(counts), _votes(counts), _stages(counts), _sources(counts), _engines(paid, budget)]
    return [one for one in made if one["rows"]]


def matrix(counts: Counts) -> Table:
    """Return how judge and rollouts meet: a row for what the judge says, a cell for what the rollouts say to that.

    `tone` is same, other or unknown; `weight` how strong, from 0 to 1; `span` how many columns it takes.
    """
    total = counts.solutions

    def cell(judge: str, rollouts: str, tone: str, text: str = "") -> dict[str, Any]:
        count = counts.agreement[judge, rollouts]
        told = f"{text}: {share(count, total)}" if text else share(count, total)
        weight = round((count / max(total, 1)) ** 0.5, 3)
        return {"count": count, "told": told, "tone": tone, "weight": weight, "span": 3 if text else 1}

    named = [cell("step", "none", "other"), cell("step", "earlier", "other"), cell("step", "same", "same")]
    rows = {
        "no error": [
            cell("none", "none", "same"),
            cell("none", "step", "other", "a step"),
            cell("none", "unknown", "unknown"),
        ],
        "a step": [*named, cell("step", "later", "other"), cell("step", "unknown", "unknown")],
        "undecided": [
            cell("unknown", to, "unknown", "a step" if to == "step" else "") for to in ("none", "step", "unknown")
        ],
    }
    same = counts.agreement["none", "none"] + counts.agreement["step", "same"]
    either = sum(n for (judge, rollouts), n in counts.agreement.items() if "unknown" in {judge, rollouts})
    return {
        "title": "Do judge and rollouts agree?",
        "note": f"They agree on {same:,} of the {total - either:,} solutions ({share(same, total - either)}) on which "
        f"both have an opinion; {either:,} solutions are undecided by one or both.",
        "head": ["no error", "earlier step", "same step", "later step", "undecided"],
        "rows": [{"name": name, "cells": cells} for name, cells in rows.items()],
    }


def share(count: float, total: float) -> str:
    """Return a share in per cent; a dash of nothing."""
    return f"{count / total:.1%}" if total else "-"


def short(number: float) -> str:
    """Return a number in three or four digits."""
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e4, "k")):
        if number >= size:
            return f"{number / (1e3 if unit == 'k' else size):,.1f}{unit}"
    return f"{number:,.0f}"


def _table(title: str, note: str, head: list[str], rows: list[list[str]]) -> Table:
    return {"title": title, "note": note, "head": head, "rows": rows}


def _truth(scores: Mapping[str, Score]) -> Table:
    rows = [
        [name, f"{s.claimed:,}", share(s.claimed, s.total), share(s.right, s.claimed), f"{s.right:,}"]
        for name, s in scores.items()
    ]
    note = "Each way of labelling against the oracle, which knows the first error of every solution."
    return _table("First error against the truth", note, ["", "labelled", "of all", "of them right", "right"], rows)


def _firsts(counts: Counts) -> Table:
    rows = []
    for name, found in counts.firsts.items():
        errors = found.steps.total()
        if errors or found.none:
            rows.append(
                [
                    name,
                    f"{errors:,}",
                    f"{found.last:,}",
                    share(found.last, errors),
                    f"{found.none:,}",
                    f"{found.unknown:,}",
                ]
            )
    head = ["by", "a step", "the last one", "share", "none", "not known"]
    return _table(
        "Who finds how many first errors",
        "Label: of the solutions that were kept; not known of the others.",
        head,
        rows,
    )


def _votes(counts: Counts) -> Table:
    votes = counts.votes
    rows = [
        ["solutions with votes", f"{votes.solutions:,}", share(votes.solutions, counts.solutions)],
        ["votes", f"{votes.votes:,}", ""],
        ["that could not be read", f"{votes.unread:,}", share(votes.unread, votes.votes)],
    ]
    if votes.several:
        rows += [
            ["solutions with several readable votes", f"{votes.several:,}", share(votes.several, votes.solutions)],
            ["unanimous of them", f"{votes.unanimous:,}", share(votes.unanimous, votes.several)],
        ]
    return _table(
        "The judge's votes",
        "A reply that cannot be read is a missing vote.",
        ["", "count", "share"],
        rows if votes.votes else [],
    )


def _stages(counts: Counts) -> Table:
    names = {
        "solve": "solving, written",
        "rollout": "rollouts, written",
        "judge": "judge, written",
        "prompt": "prompts, read",
    }
    each = max(counts.solutions, 1)
    rows = [[told, f"{counts.tokens[name]:,}", f"{counts.tokens[name] / each:,.0f}"] for name, told in names.items()]
    rows.append(["rollouts", f"{counts.tokens['rollouts']:,}", f"{counts.tokens['rollouts'] / each:,.1f}"])
    used = any(counts.tokens.values())
    return _table(
        "Tokens by stage",
        "What the rows cost, also where it came from a ledger.",
        ["", "all", "a solution"],
        rows if used else [],
    )


def _sources(counts: Counts) -> Table:
    told = {
        "rolled": "rolled out",
        "inferred": "inferred from another prefix",
        "graded": "graded by the solution's own answer",
        "skipped": "nobody asked",
    }
    total = counts.sources.total()
    rows = [[text, f"{counts.sources[name]:,}", share(counts.sources[name], total)] for name, text in told.items()]
    return _table(
        "Where a step's evidence comes from", f"{total:,} steps.", ["", "steps", "share"], rows if total else []
    )


def _engines(paid: Mapping[str, Paid], budget: Budget) -> Table:
    rows = [
        [public.name(name), f"{p.asked:,}", f"{p.recalled:,}", f"{p.written:,}", f"{p.read:,}", _cost(name, p, budget)]
        for name, p in paid.items()
    ]
    head = ["engine", "asked", "recalled", "written", "read", "cost"]
    return _table("What each engine was paid", "Samples, and tokens; recalled ones came from the ledger.", head, rows)


def _cost(name: str, paid: Paid, budget: Budget) -> str:
    return f"{budget.cost({name: paid}):,.2f}" if name in budget.prices else "-"
