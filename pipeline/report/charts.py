"""The overview's figures: counts become tables and Vega-Lite charts; colours are named here, and given by the page.

A colour is a word such as `@right`, which the page replaces by what the theme has. Every figure carries its counts.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.report.counts import BINS, Counts, named

Spec = dict[str, Any]
Values = list[dict[str, Any]]

_WHO = {"label": "label (kept)", "rollouts": "rollouts", "judge": "judge"}
_ANSWERS = {"equal": "right answer", "different": "wrong answer", "undecided": "answer undecided"}
_STEP = "step (from 0)"
_SIZES = "the larger a point, the more of them it stands for."


def charts(counts: Counts) -> list[dict[str, Any]]:
    """Return the charts that have something to show: id, title, note, Vega-Lite."""
    made = [_reasons(counts), _firsts(counts), _rates(counts), _rewards(counts), _posteriors(counts)]
    return [one for one in made if one]


def _chart(name: str, title: str, note: str, spec: Spec) -> dict[str, Any]:
    return {"id": name, "title": title, "note": note, "spec": {"width": "container", "height": 220, **spec}}


def _reasons(counts: Counts) -> dict[str, Any] | None:
    """Say what became of the solutions: kept, and each reason of the others."""
    found = [("kept", counts.kept, "kept"), *((name, n, "rejected") for name, n in counts.reasons.most_common())]
    values = [_shared(what=name, side=side, count=n, of=counts.solutions) for name, n, side in found]
    rows = {"field": "what", "type": "nominal", "sort": [name for name, *_ in found], "title": None}
    length: Spec = {"field": "count", "type": "quantitative", "axis": None}
    length["scale"] = {"range": [0, {"expr": "width - 95"}], "nice": False}  # room for the text behind the longest bar
    bars: Spec = {
        "mark": {"type": "bar", "cornerRadiusEnd": 2},
        "encoding": {
            "color": _colours("side", {"kept": "@right", "rejected": "@wrong"}, legend=False),
            "tooltip": _tips(what="", count="solutions", share="share"),
        },
    }
    text = {"mark": {"type": "text", "align": "left", "dx": 5}, "encoding": {"text": {"field": "told"}}}
    spec: Spec = {
        "data": {"values": values},
        "encoding": {"y": {**rows, "axis": {"labelLimit": 190, "ticks": False, "domain": False}}, "x": length},
        "layer": [bars, text],
        "height": 28 * len(found),
    }
    rejected = counts.solutions - counts.kept
    note = f"{counts.solutions:,} solutions: {counts.kept:,} kept, {rejected:,} rejected, each with its reason."
    return _chart("reasons", "What became of the solutions", note, spec)


def _firsts(counts: Counts) -> dict[str, Any] | None:
    found = {name: firsts.steps for name, firsts in counts.firsts.items() if firsts.steps}
    if not found:
        return None
    order = _order(step for steps in found.values() for step in steps)
    values = [
        _shared(who=_WHO[name], step=named(step), count=n, of=steps.total())
        for name, steps in found.items()
        for step, n in sorted(steps.items())
    ]
    encoding = {
        "x": _steps(order),
        "xOffset": {"field": "who", "sort": list(_WHO.values())},
        "y": _quantity("count", "solutions"),
        "color": _colours("who", {_WHO[name]: f"@{name}" for name in found}),
        "tooltip": _tips(who="", step="step", count="first errors", share="share"),
    }
    label = counts.firsts["label"]
    errors = label.steps.total()
    share = f"{label.last:,} of {errors:,} first errors ({label.last / max(errors, 1):.1%})"
    note = f"Of the labels, {share} are a solution's last step: where most are, a model learns to see the answer alone."
    spec = {"data": {"values": values}, "mark": {"type": "bar", "cornerRadiusEnd": 2}, "encoding": encoding}
    return _chart("firsts", "Where first errors fall", note, spec)


def _rates(counts: Counts) -> dict[str, Any] | None:
    if not counts.rates:
        return None
    values = [
        {"answer": _ANSWERS[outcome], "step": named(step), "rate": rate.hits / rate.tries, "count": rate.prefixes}
        | {"told": f"{rate.hits:,} of {rate.tries:,}"}
        for (outcome, step), rate in sorted(counts.rates.items())
    ]
    colours = {"right answer": "@right", "wrong answer": "@wrong", "answer undecided": "@unlabelled"}
    shown = {name: colour for name, colour in colours.items() if any(v["answer"] == name for v in values)}
    tips = _tips(answer="solution", step="step", rate="hit rate", told="hits of tries", count="prefixes")
    y = {"field": "rate", "type": "quantitative", "title": "hit rate", "scale": {"domain": [0, 1]}}
    y |= {"axis": {"format": "%"}}
    spec = _lines(values, y, "answer", shown, _order(step for _, step in counts.rates), tips)
    prefixes, tries = (sum(getattr(r, name) for r in counts.rates.values()) for name in ("prefixes", "tries"))
    note = (
        f"{tries:,} decided rollouts from {prefixes:,} prefixes, pooled by the step that ends the prefix; {_SIZES} "
        "A plan that stops early, or picks its prefixes, makes these no unbiased rates."
    )
    return _chart("rates", "Hit rate by step", note, spec)


def _rewards(counts: Counts) -> dict[str, Any] | None:
    if not counts.rewards:
        return None
    values = [
        {"label": label, "step": named(step), "reward": mean.total / mean.count, "count": mean.count}
        for (label, step), mean in sorted(counts.rewards.items())
    ]
    colours = {"right": "@right", "wrong": "@wrong", "unlabelled": "@unlabelled"}
    shown = {name: colour for name, colour in colours.items() if any(v["label"] == name for v in values)}
    tips = _tips(label="step is", step="step", reward="mean reward", count="steps")
    y = {"field": "reward", "type": "quantitative", "title": "mean reward"}
    spec = _lines(values, y, "label", shown, _order(step for _, step in counts.rewards), tips)
    total = sum(mean.count for mean in counts.rewards.values())
    note = (
        f"Mean process reward (PRL, log-ratio credit) of {total:,} steps; {_SIZES} It assigns credit; it is no label."
    )
    return _chart("rewards", "Process rewards by step", note, spec)


def _posteriors(counts: Counts) -> dict[str, Any] | None:
    if not counts.posteriors:
        return None
    values = [
        {"from": place / BINS, "to": (place + 1) / BINS, "count": n, "side": "kept" if kept else "rejected"}
        for (kept, place), n in sorted(counts.posteriors.items())
    ]
    encoding = {
        "x": {"field": "from", "type": "quantitative", "bin": {"binned": True, "step": 1 / BINS}, "title": "posterior"},
        "x2": {"field": "to"},
        "y": _quantity("count", "solutions"),
        "color": _colours("side", {"kept": "@right", "rejected": "@wrong"}),
        "tooltip": [*_tips(side="", count="solutions"), {"field": "from", "title": "posterior from", "format": ".2f"}],
    }
    spec = {"data": {"values": values}, "mark": "bar", "encoding": encoding}
    note = f"Probability that the judge's first error is the true one, over {counts.posteriors.total():,} solutions."
    return _chart("posteriors", "Posterior of the judge's first error", note, spec)


def _lines(  # noqa: PLR0917 - what differs between two charts of a kind
    values: Values, y: Spec, series: str, colours: Mapping[str, str], order: list[str], tips: Values
) -> Spec:
    """Return lines over the steps, with points whose areas are the counts that the values have as `count`."""
    size = {"field": "count", "type": "quantitative", "scale": {"range": [10, 220]}, "legend": None}
    shape = {"field": series, "scale": {"domain": list(colours)}, "title": None}
    points = {"mark": {"type": "point", "filled": True, "opacity": 1}, "encoding": {"size": size, "shape": shape}}
    return {
        "data": {"values": values},
        "encoding": {"x": _steps(order), "y": y, "color": _colours(series, colours), "tooltip": tips},
        "layer": [{"mark": {"type": "line", "strokeWidth": 1.5}}, points],
    }


def _shared(*, count: int, of: int, **told: Any) -> dict[str, Any]:
    share = count / max(of, 1)
    return {**told, "count": count, "share": share, "told": f"{count:,} ({share:.1%})"}


def _steps(order: list[str]) -> Spec:
    return {
        "field": "step",
        "type": "ordinal",
        "sort": order,
        "scale": {"domain": order},
        "title": _STEP,
        "axis": {"labelOverlap": "parity", "labelSeparation": 4},
    }


def _order(seen: Iterable[int]) -> list[str]:
    return [named(step) for step in range(max(seen, default=-1) + 1)]


def _quantity(field: str, title: str) -> Spec:
    return {"field": field, "type": "quantitative", "title": title, "axis": {"tickMinStep": 1, "format": "~s"}}


def _colours(field: str, colours: Mapping[str, str], *, legend: bool = True) -> Spec:
    scale = {"domain": list(colours), "range": list(colours.values())}
    return {"field": field, "type": "nominal", "scale": scale, "title": None, **({} if legend else {"legend": None})}


def _tips(**fields: str) -> Values:
    formats = {"share": ".1%", "rate": ".1%", "reward": ".3f", "count": ","}
    return [
        {"field": name, "title": title or name, **({"format": formats[name]} if name in formats else {})}
        for name, title in fields.items()
    ]
