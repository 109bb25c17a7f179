"""Puts the page together: one file that holds all it needs, fetches nothing, and runs no script but its own.

What a run says goes in as JSON, and from there into the page as text alone; a content policy names the page's scripts
by their hashes, so that nothing else would run.
"""

import base64
import hashlib
import html
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata
from itertools import islice
from math import isfinite
from pathlib import Path
from string import Template
from typing import Any

import pyarrow as pa

from data import places, shards
from data.errors import RunError
from data.places import Place
from data.schema import Row
from pipeline import progress, summary
from pipeline.publish import public
from pipeline.replies import Heard
from pipeline.report import charts, overview, words
from pipeline.report.counts import Counts
from pipeline.report.maths import ATTRIBUTES, TAGS, Formula, Formulas
from pipeline.report.sample import Sample
from pipeline.run import SKIPPED, Run

FILE = "report.html"
SHOWN = 300  # solutions in the reader
BYTES = 3_500_000  # of solutions and formulas; with the rest, a page is below 5 MB
TEXT, STEPS = 6_000, 150  # characters of a problem, a step or all replies, and steps of a solution, that are shown

_FOLDER = Path(__file__).parent
_SCRIPTS = ("dom.js", "overview.js", "reader.js", "main.js")
_AS_THEY_ARE = ("id", "level", "kept", "reason", "outcome", "cut", "posterior", "judge_reason", "mc_reason", "tokens")
_BY_STEP = ("labels", "hits", "tries", "source", "stopped_early", "rewards", "ratings")


def write(run: Run, shown: int = SHOWN) -> Place:
    """Write a run's report into its directory; return where it lies. Raises RunError where no solution is labelled."""
    counts, sample = Counts(), Sample(shown)
    for seal in shards.sealed(run.place).values():
        both = pa.concat_tables([shards.table(run.place, seal, side) for side in shards.SIDES])
        counts.add(both)
        sample.offer(both)
    if not counts.solutions:
        raise RunError(f"{run.place} holds no labelled solution yet: `make synth` goes on with it")
    file = run.place / FILE
    file.write(page(_told(run, counts, sample)).encode())
    return file


def page(told: Mapping[str, Any]) -> str:
    """Return the page that shows what is `told`."""
    scripts = {"library": _library(), "script": "".join(_file(name) for name in _SCRIPTS)}
    return Template(_file("page.html")).substitute(
        policy=_policy(scripts.values()),
        title=html.escape(told["title"]),
        style=_file("style.css"),
        data=_json(told),
        **scripts,
    )


def _told(run: Run, counts: Counts, sample: Sample) -> dict[str, Any]:
    paid, budget = progress.paid(run.place), run.recipe.budget
    scores = summary.summarise(run.place).scores
    formulas = Formulas()
    solutions = _solutions(run, list(islice(sample.rows(), sample.size)), formulas)
    return {
        "title": public.name(run.recipe.data.source),
        "facts": _facts(run),
        "tiles": overview.tiles(counts, _skipped(run.place), budget.cost(paid)),
        "charts": charts.charts(counts),
        "matrix": None if run.recipe.completer.plan == "none" else overview.matrix(counts),
        "tables": overview.tables(counts, scores, paid, budget),
        "solutions": solutions,
        "formulas": [_formula(one) for one in formulas.found],
        "sampled": _sampled(len(solutions), sample.size, counts.solutions),
        "mathml": {"tags": sorted(TAGS), "attributes": sorted(ATTRIBUTES)},
    }


def _sampled(shown: int, wanted: int, total: int) -> str:
    if shown == total:
        return "all of the run"
    return f"a sample of the run's {total:,}" + (", as many as fit" if shown < min(wanted, total) else "")


def _solutions(run: Run, rows: Sequence[Row], formulas: Formulas) -> list[dict[str, Any]]:
    """Return the solutions to show: as many of the first ones as there is room for."""
    made: list[dict[str, Any]] = []
    room, known, heard = BYTES, 0, words.heard(run, rows)
    for row in rows:
        one = solution(row, formulas, heard.get(row["id"], []))
        room -= len(_json(one)) + sum(len(_json(_formula(new))) for new in formulas.found[known:])
        known = len(formulas.found)
        if room < 0 and made:
            break
        made.append(one)
    return made


def solution(row: Row, formulas: Formulas, heard: Sequence[Heard] = ()) -> dict[str, Any]:
    """Return what the reader shows of a row; text is taken apart into plain pieces and formulas."""
    steps = row["steps"]
    omitted = f"{len(steps) - STEPS:,} more steps are not shown." if len(steps) > STEPS else None
    return {
        **{name: row[name] for name in _AS_THEY_ARE},
        **{name: _finite(row[name]) for name in _BY_STEP},
        "problem": formulas.read(_short(row["problem"])),
        "steps": [formulas.read(_short(step)) for step in steps[:STEPS]],
        "answer": formulas.answer(_short(row["answer"] or "none")),
        "gold": formulas.answer(_short(row["gold_answer"] or "none")),
        "label": row["first_error"],
        "rollouts": row["mc_first_error"],
        "judge": row["judge_first_error"],
        "votes": row["judge_votes"],
        "omitted": omitted,
        "replies": [
            {"judge": one.judge, "first_error": one.first_error, "reason": one.reason}
            | {"text": formulas.read(_short(one.text, TEXT // len(heard)))}
            for one in heard
        ],
    }


def _short(text: str, most: int = TEXT) -> str:
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} more characters)"


def _finite(values: list[Any] | None) -> list[Any] | None:
    """Return a value a step as JSON has them, which knows no infinities; null where there are none."""
    return values and [None if isinstance(one, float) and not isfinite(one) else one for one in values[:STEPS]]


def _formula(one: Formula) -> dict[str, Any]:
    return {"source": one.source, "tree": one.tree, "block": one.block}


def _facts(run: Run) -> str:
    recipe = run.recipe
    solved = ", ".join(public.name(one.name or one.engine) for one in recipe.policy)
    solved = "given" if recipe.solutions == "given" else solved or "given"
    judged = ", ".join(f"{one.kind} {public.name(one.engine) if one.asks else ''}".strip() for one in recipe.judge)
    plan, engine = recipe.completer.plan, public.name(recipe.completer.engine)
    rolled = plan if plan == "none" else f"{plan} {engine}".strip()
    return f"solutions: {solved} · rollouts: {rolled} · judge: {judged} · rule: {recipe.consensus.rule}"


def _skipped(place: Place) -> int:
    file = place / SKIPPED
    return len(file.read().splitlines()) if file.exists() else 0


def _json(told: Any) -> str:
    """Return JSON that cannot end the script element it stands in, nor a line of JavaScript."""
    text = json.dumps(told, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _policy(scripts: Iterable[str]) -> str:
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()}'" for s in scripts)
    others = "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
    return f"default-src 'none'; script-src {hashes}; {others}"


@cache
def _library() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script, which can stand in a page.

    Bundling takes seconds, so that each version's bundle is remembered where the user's caches are.
    """
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cached = caches / "stepwise" / f"vega-{metadata.version('vl-convert-python')}.js"
    with suppress(OSError):
        return cached.read_text(encoding="utf-8")
    import vl_convert  # noqa: PLC0415 - starts a JavaScript engine

    text: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    text = text.replace("\r", "").replace("</script", "<\\/script").replace("<!--", "<\\!--")
    with suppress(RunError):
        places.at(cached).write(text.encode())
    return text


def _file(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")
