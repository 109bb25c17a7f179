"""The dataset card of a run: README.md, with which `load_dataset` reads it, and which says where its rows are from.

Written when a run begins and when it ends, from what the run directory holds; names and reasons of others stand in it
as code, since nobody knows what is in them.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from data import files, schema, shards, sources
from data.places import Place
from pipeline import run
from pipeline.publish import caveats, making, public
from pipeline.publish.markdown import block, code, table
from pipeline.run import Run
from pipeline.settings import Recipe
from pipeline.summary import Summary, summarise

FILE = run.CARD
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
REASONS = 12  # a table's longest list of reasons


def write(made: Run) -> None:
    """Write the card of a run as it stands. Raises RunError."""
    (made.place / FILE).write(text(made).encode())


def text(made: Run) -> str:
    """Return the card of a run as it stands."""
    summary, told = summarise(made.place), run.told(made.place)
    parts = (
        _head(made, told, summary),
        _counts(made.place, summary),
        making.section(made, told),
        making.cost(made, summary),
        _columns(),
        _limits(made.recipe, told.get("data") or {}),
    )
    body = "\n\n".join("\n".join(part) for part in parts)
    return f"---\n{_front(made, summary)}\n---\n\n{body}\n"


def configs(place: Place) -> list[dict[str, Any]]:
    """Return the front matter's `configs`.

    With them `load_dataset(run)` gives the labelled rows and `load_dataset(run, "rejected")` the others. What they hold
    goes into the description: `datasets` keeps what it has loaded under the folder's name and these configs alone, and
    would give an older run's rows for those of a newer one of that name.
    """
    seals = sorted((seal.part, *map(seal.sha256, shards.SIDES)) for seal in shards.sealed(place).values())
    holding = f"shards {hashlib.sha256(json.dumps(seals).encode()).hexdigest()[:16]}"
    files = {side: [{"split": "train", "path": f"{side}/*.parquet"}] for side in shards.SIDES}
    kept, others = shards.SIDES
    return [
        {"config_name": kept, "default": True, "data_files": files[kept], "description": holding},
        {"config_name": others, "data_files": files[others], "description": holding},
    ]


def _front(made: Run, summary: Summary) -> str:
    from huggingface_hub import DatasetCardData  # noqa: PLC0415 - takes a while to import; only a card that is written needs it

    size = next((name for most, name in SIZES if summary.solutions < most), "n>10M")
    told = DatasetCardData(
        license=made.recipe.license,
        task_categories=["token-classification"],
        tags=["process-reward-model", "step-labels", "math"],
        size_categories=[size],
        source_datasets=_sources(made.recipe.data.source),
        configs=configs(made.place),
    )
    return str(told.to_yaml(line_break="\n"))


def _sources(source: str) -> list[str] | None:
    """Return the Hub's name of the dataset the problems are from; None where it has none."""
    entry = sources.TABLE.get(source)
    if isinstance(entry, sources.Made):
        return ["original"]
    named = entry.name if entry else source
    local = Path(named).suffix.lower() in files.SUFFIXES or public.name(named) != named
    return [named] if named.count("/") == 1 and not local else None


def _head(made: Run, told: Mapping[str, Any], summary: Summary) -> Iterator[str]:
    yield f"# Step-labelled solutions of {code(public.settings(made.recipe)['data']['source'])}"
    yield ""
    yield (
        "Solutions of problems with known answers, in steps, each step labelled right or wrong up to and including the "
        f"first wrong one: data for process reward models. {summary.kept:,} of {summary.solutions:,} solutions were "
        "kept; the others are there too, with the reason."
    )
    if not told.get("finished"):
        yield ""
        yield "**The run is not finished.** The counts are of the shards that were done when this was written."
    if origin := told.get("refiltered"):
        yield ""
        yield (
            f"Decided anew from the evidence of the run {code(origin['id'])} ({code(origin['fingerprint'])}), without "
            "asking a model."
        )
    yield ""
    yield block(
        "from datasets import load_dataset\n\n"
        'kept = load_dataset(PATH)["train"]  # PATH: this folder, or this dataset\'s name on the Hub\n'
        'others = load_dataset(PATH, "rejected")["train"]',
        "python",
    )


def _counts(place: Place, summary: Summary) -> Iterator[str]:
    yield "## What is in it"
    yield ""
    rejected: Counter[str] = Counter()
    for reason, count in summary.reasons.items():
        rejected[reason.partition(":")[0]] += count
    rows = [("kept (`labelled`)", summary.kept), ("rejected (`rejected`)", summary.solutions - summary.kept)]
    rows += [(f"… {code(reason)}", count) for reason, count in _most(rejected)]
    each = max(summary.solutions, 1)
    yield from table(("", "solutions", "share"), ((name, f"{count:,}", f"{count / each:.1%}") for name, count in rows))
    if summary.problems:
        yield ""
        yield f"The solutions are of {summary.problems:,} problems."
    if summary.weighed:
        yield ""
        share = f"{summary.wrong / summary.weighed:.1%} of the {summary.weighed:,}"
        yield f"By their posteriors, {share} labels kept that have one are expected to be wrong."
    if summary.overlooked is not None:
        yield ""
        yield (
            f"Of the right answers in which the judge finds no error {summary.overlooked:.1%} hold one if it misses "
            "errors there as often as in wrong answers; more if it trusts a right answer."
        )
    if skipped := _skipped(place):
        yield ""
        yield from table(
            ("left out of the source, since", "rows"), ((code(why), f"{n:,}") for why, n in _most(skipped))
        )


def _skipped(place: Place) -> Counter[str]:
    file = place / run.SKIPPED
    lines = file.read().splitlines() if file.exists() else []
    return Counter(str(json.loads(line).get("reason")) for line in lines)


def _most(counted: Counter[str]) -> list[tuple[str, int]]:
    first = counted.most_common(REASONS)
    rest = counted.total() - sum(count for _, count in first)
    return [*first, *([("other reasons", rest)] if rest else [])]


def _columns() -> Iterator[str]:
    yield "## Columns"
    yield ""
    yield "Steps count from 0. A first error of -1 is none, null is not known."
    yield ""
    kinds = ((field.name, _kind(field.type)) for field in schema.SCHEMA)
    yield from table(("column", "type", "what"), ((f"`{name}`", kind, schema.MEANING[name]) for name, kind in kinds))


def _limits(recipe: Recipe, data: Mapping[str, Any]) -> Iterator[str]:
    yield "## Known limits"
    yield ""
    yield from (f"- {caveat}" for caveat in caveats.of(recipe, data))
    if recipe.license is None:
        yield "- No licence is stated: those of the problems and of the models' outputs decide what may be done."


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list of {_kind(kind.value_type)}"
    return "struct" if pa.types.is_struct(kind) else str(kind)
