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
from huggingface_hub import DatasetCardData

from data import files, schema, shards, sources
from data.places import Place
from pipeline import caveats, progress, public, run
from pipeline.crew import wordings
from pipeline.markdown import block, code, table
from pipeline.run import Run
from pipeline.settings import Recipe, Sampling
from pipeline.summary import Summary, summarise

FILE = "README.md"
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
        _making(made, told),
        _cost(made, summary),
        _columns(),
        _limits(made.recipe),
    )
    body = "\n\n".join("\n".join(part) for part in parts)
    return f"---\n{_front(made.recipe, summary).to_yaml(line_break=chr(10))}\n---\n\n{body}\n"


def configs() -> list[dict[str, Any]]:
    """Return the front matter's `configs`.

    With them `load_dataset(run)` gives the labelled rows and `load_dataset(run, "rejected")` the others.
    """
    files = {side: [{"split": "train", "path": f"{side}/*.parquet"}] for side in shards.SIDES}
    kept, others = shards.SIDES
    return [
        {"config_name": kept, "default": True, "data_files": files[kept]},
        {"config_name": others, "data_files": files[others]},
    ]


def _front(recipe: Recipe, summary: Summary) -> DatasetCardData:
    size = next((name for most, name in SIZES if summary.solutions < most), "n>10M")
    return DatasetCardData(
        license=recipe.license,
        task_categories=["token-classification"],
        tags=["process-reward-model", "step-labels", "math"],
        size_categories=[size],
        source_datasets=_sources(recipe.data.source),
        configs=configs(),
    )


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
        yield f"By their posteriors, {summary.wrong / summary.weighed:.1%} of the labels kept are expected to be wrong."
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


def _making(made: Run, told: Mapping[str, Any]) -> Iterator[str]:
    recipe, settings = made.recipe, public.settings(made.recipe)
    yield "## How it was made"
    yield ""
    yield from table(("role", "engine", "how", "sampling"), _roles(recipe))
    if models := list(_models(made.place)):
        yield ""
        yield from table(("engine", "answered as"), models)
    yield ""
    rule = recipe.consensus
    yield (
        f"Steps end by {code(recipe.split)}; the rule {code(rule.rule)} decides, at a threshold of {rule.threshold:g}"
        + (f" and a progress of {rule.progress:g}." if rule.progress is not None else ".")
    )
    if prompts := _prompts(recipe):
        yield ""
        yield from table(("prompt", "wording (SHA-256)"), prompts)
    yield ""
    versions = ", ".join(f"{name} {version}" for name, version in sorted(told.get("versions", {}).items()))
    yield f"Fingerprint of recipe and wordings: {code(made.fingerprint)}. Made with {code(versions)}."
    if changed := list(_changed(settings, public.settings(Recipe()))):
        yield ""
        yield from table(("setting", "not the default, but"), ((code(name), code(value)) for name, value in changed))
    yield ""
    yield "<details><summary>All settings</summary>"
    yield ""
    yield block(json.dumps(settings, indent=1), "json")
    yield ""
    yield "</details>"


def _roles(recipe: Recipe) -> Iterator[tuple[str, ...]]:
    for policy in recipe.policy if recipe.solutions != "given" else ():
        yield "policy", _engine(policy.engine), f"{policy.samples} a problem", _sampling(policy.sampling)
    completer = recipe.completer
    if completer.plan != "none":
        how = f"plan {code(completer.plan)}, {completer.tries} tries, up to {completer.spare} more"
        yield "completer", _engine(completer.engine), how, _sampling(completer.sampling)
    for judge in recipe.judge:
        if judge.asks:
            how = f"{code(judge.kind)}, votes {judge.votes}, retries {judge.retries}"
            yield "judge", _engine(judge.engine), how, _sampling(judge.sampling)
        else:
            yield "judge", "", code(judge.kind), ""
    if len(recipe.judge) > 1:
        yield "panel", "", code(recipe.panel), ""


def _engine(specification: str) -> str:
    return code(public.name(specification)) if specification else ""


def _models(place: Place) -> Iterator[tuple[str, ...]]:
    """Yield under which names engines answered, where these say more than the specifications."""
    for specification, names in run.models(place).items():
        if names != [specification]:
            yield _engine(specification), ", ".join(code(public.name(name)) for name in names)


def _sampling(sampling: Sampling) -> str:
    cuts = [f"top_p {sampling.top_p:g}"] * (sampling.top_p < 1) + [f"top_k {sampling.top_k}"] * (sampling.top_k > 0)
    return ", ".join([f"temperature {sampling.temperature:g}", *cuts, f"at most {sampling.max_tokens:,} tokens"])


def _prompts(recipe: Recipe) -> Iterator[tuple[str, ...]]:
    for one in wordings(recipe):
        yield "judge", code(one)
    systems = [("policy", policy.system) for policy in recipe.policy if recipe.solutions != "given"]
    for role, system in [*systems, ("completer", recipe.completer.system)]:
        if system:
            yield f"{role}, system", code(hashlib.sha256(system.encode()).hexdigest()[:16])


def _changed(chosen: Any, usual: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted names and values of the settings that are not the defaults."""
    if isinstance(chosen, dict) and isinstance(usual, dict) and (usual or not name):
        for key, value in chosen.items():
            yield from _changed(value, usual.get(key), f"{name}.{key}".lstrip("."))
    elif isinstance(chosen, list) and chosen and all(isinstance(one, dict) for one in chosen):
        for index, one in enumerate(chosen):
            yield from _changed(one, (usual or [{}])[0], f"{name}.{index}")
    elif chosen != usual:
        yield name, json.dumps(chosen)


def _cost(made: Run, summary: Summary) -> Iterator[str]:
    yield "## What it cost"
    yield ""
    each = max(summary.solutions, 1)
    stages = {"solve": "solving", "rollout": "rollouts", "judge": "judging", "prompt": "prompts read"}
    rows = [(stage, summary.tokens[name]) for name, stage in stages.items()]
    yield from table(("tokens", "all", "a solution"), ((s, f"{n:,}", f"{n / each:,.0f}") for s, n in rows))
    yield ""
    yield f"{summary.tokens['rollouts']:,} rollouts were sampled. This is what the labels rest on, whoever paid."
    paid, prices = progress.paid(made.place), made.recipe.budget.prices
    if paid:
        yield ""
        head = (
            "asked of",
            "samples",
            "recalled",
            "tokens written",
            "tokens read",
            "price of a million (read, written)",
        )
        yield from table(
            head,
            (
                (
                    code(public.name(name)),
                    *(f"{n:,}" for n in (one.asked, one.recalled, one.written, one.read)),
                    "{:g}, {:g}".format(*prices[name]) if name in prices else "not given",
                )
                for name, one in paid.items()
            ),
        )
    if cost := made.recipe.budget.cost(paid):
        yield ""
        yield f"At these prices that cost {cost:,.2f}."


def _columns() -> Iterator[str]:
    yield "## Columns"
    yield ""
    yield "Steps count from 0. A first error of -1 is none, null is not known."
    yield ""
    kinds = ((field.name, _kind(field.type)) for field in schema.SCHEMA)
    yield from table(("column", "type", "what"), ((f"`{name}`", kind, schema.MEANING[name]) for name, kind in kinds))


def _limits(recipe: Recipe) -> Iterator[str]:
    yield "## Known limits"
    yield ""
    yield from (f"- {caveat}" for caveat in caveats.of(recipe))
    if recipe.license is None:
        yield "- No licence is stated: those of the problems and of the models' outputs decide what may be done."


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list of {_kind(kind.value_type)}"
    return "struct" if pa.types.is_struct(kind) else str(kind)
