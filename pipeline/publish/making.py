"""How a run was made and what it cost, for its card: roles, models, prompts, settings; tokens and money."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from data.places import Place
from pipeline import progress, run
from pipeline.crew import wordings
from pipeline.publish import public
from pipeline.publish.markdown import block, code, table
from pipeline.run import Run
from pipeline.settings import Policy, Recipe, Sampling
from pipeline.summary import Summary


def section(made: Run, told: Mapping[str, Any]) -> Iterator[str]:
    """Yield who did what, how, and under which settings; `told` is what run.json says."""
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
    if commit := (told.get("data") or {}).get("commit"):
        yield f"The problems are those of the commit {code(commit)} of their dataset."
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


def cost(made: Run, summary: Summary) -> Iterator[str]:
    """Yield tokens by stage, what was asked of each engine, and money where prices are known."""
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
    if money := made.recipe.budget.cost(paid):
        yield ""
        yield f"At these prices that cost {money:,.2f}."


def _roles(recipe: Recipe) -> Iterator[tuple[str, ...]]:
    for policy in _solvers(recipe):
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
    if credit := recipe.credit if recipe.credit.reference else None:
        whose = _engine(credit.policy) or "the policies"
        yield "process rewards", f"{whose} against {_engine(credit.reference)}", f"eta {credit.eta:g}", ""


def _solvers(recipe: Recipe) -> list[Policy]:
    """Return the policies that may have solved something: one without an engine left that to the dataset."""
    return [] if recipe.solutions == "given" else [policy for policy in recipe.policy if policy.engine]


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
    systems = [("policy", policy.system) for policy in _solvers(recipe)]
    systems += [("completer", recipe.completer.system)] if recipe.completer.plan != "none" else []
    for role, system in systems:
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
