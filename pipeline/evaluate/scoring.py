"""The figures of first-error predictions, as values for JSON and as tables: one place for every experiment."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pipeline.evaluate.table import lines, share
from stages.metrics import wilson
from stages.processbench import Score, headline

_AWAY: Final = {"2 or more before": -2, "1 before": -1, "exact": 0, "1 after": 1, "2 or more after": 2}

Figures = Mapping[str, Any]


def figures(scores: Mapping[str, Score]) -> dict[str, Any]:
    """Return all figures of one predictor, by subset, and the headline: the mean of the subsets' F1."""
    mean, within = headline(scores.values())
    return {"f1": mean, "f1_95": within, "subsets": {name: _subset(one) for name, one in scores.items()}}


def _subset(one: Score) -> dict[str, Any]:
    return {
        "n": one.n,
        "f1": one.f1,
        "f1_95": one.within(),
        **_accuracy("error", one.wrong),
        **_accuracy("correct", one.passed),
        "coverage": one.coverage,
        "undecided": one.undecided,
        "named": one.named,
        "named_exact": one.exact,
        "named_exact_95": wilson(one.exact, one.named),
        "wrong_solutions": {
            "by_offset": {str(offset): count for offset, count in sorted(one.offsets.items())},
            "none": one.none_said,
            "undecided": one.undecided_wrong,
        },
        "right_answers": {"n": one.answers, "wrong_process": one.lucky, "noticed": one.noticed},
    }


def _accuracy(name: str, hits: list[float]) -> dict[str, Any]:
    right = int(sum(hits))
    return {f"{name}_n": len(hits), name: right / len(hits) if hits else None, f"{name}_95": wilson(right, len(hits))}


def tables(told: Mapping[str, Figures]) -> Iterator[str]:
    """Yield three tables of all predictors: accuracies, where first errors were seen, right answers by wrong steps."""
    subsets = [(name, subset, one) for name, all_ in told.items() for subset, one in all_["subsets"].items()]
    yield from lines([_accuracies(*one) for one in subsets])
    for name, all_ in told.items():
        if len(all_["subsets"]) > 1:
            yield f"{name}: mean F1 over {len(all_['subsets'])} subsets {share(all_['f1'], all_['f1_95'])}"
    yield from ("", "of the wrong solutions, the first error was named")
    yield from lines([_places(*one) for one in subsets])
    lucky = [_lucky(*one) for one in subsets if one[2]["right_answers"]["n"]]
    if lucky:
        yield from ("", "right answers by a wrong process")
        yield from lines(lucky)


def _accuracies(name: str, subset: str, one: Figures) -> dict[str, str]:
    return {
        "predictor": name,
        "subset": subset,
        "n": str(one["n"]),
        "F1 % (95 %)": share(one["f1"], one["f1_95"]),
        "errors found %": share(one["error"], one["error_95"]),
        "right ones passed %": share(one["correct"], one["correct_95"]),
        "decided %": share(one["coverage"]),
        "steps named": str(one["named"]),
        "of them right": f"{one['named_exact']}"
        + (f" ({one['named_exact'] / one['named']:.0%})" if one["named"] else ""),
    }


def _places(name: str, subset: str, one: Figures) -> dict[str, str]:
    offsets = {int(offset): count for offset, count in one["wrong_solutions"]["by_offset"].items()}
    counts = {
        told: sum(count for offset, count in offsets.items() if max(-2, min(2, offset)) == away)
        for told, away in _AWAY.items()
    }
    rest = {"no error": one["wrong_solutions"]["none"], "undecided": one["wrong_solutions"]["undecided"]}
    return {"predictor": name, "subset": subset, "wrong": str(one["error_n"])} | {
        told: str(count) for told, count in (counts | rest).items()
    }


def _lucky(name: str, subset: str, one: Figures) -> dict[str, str]:
    seen = one["right_answers"]
    return {
        "predictor": name,
        "subset": subset,
        "right answers": str(seen["n"]),
        "by a wrong process": f"{seen['wrong_process']} ({seen['wrong_process'] / seen['n']:.1%})",
        "of them noticed": str(seen["noticed"]),
    }
