"""A run's settings, read from TOML presets and overridden by name.

An unknown, mistyped or contradictory setting is an error before anything starts, with the nearest name.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from data.errors import SettingError, nearest
from pipeline.engines.address import address
from pipeline.engines.scripted import Script
from pipeline.settings import ENGINES, Prior, Recipe
from stages import split

PRESETS = Path(__file__).parent / "recipes"
USUAL = "vllm:Qwen/Qwen2.5-7B-Instruct"  # solves, and keeps to the judge's form; fits one GPU
GPUS = Path("/proc/driver/nvidia/gpus")


def read(source: str | None = None, file: Path | None = None, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe of a preset (by dataset name), or of a TOML file, with `name=value` overrides on top.

    Names are dotted ("judge.votes"); a name of a list's entries sets it in all of them, "judge.0.votes" in one. Values
    are TOML, or else taken as text. Raises SettingError.
    """
    values = _preset(source) if file is None else _toml(file)
    if source:
        values.setdefault("data", {})["source"] = source
    for override in overrides:
        _override(values, override)
    return build(values)


def build(values: Mapping[str, Any]) -> Recipe:
    """Return a recipe of plain values. Raises SettingError naming the setting and the nearest name there is."""
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        faults = [fault for fault in error.errors() if fault["type"] != "too_short"] or error.errors()
        raise SettingError("; ".join(_told(fault) for fault in faults)) from None
    _check_knobs(recipe.scripted)
    (
        recipe.consensus.made(),
        recipe.script(),
        recipe.plan(),
        split.named(recipe.split),
        recipe.data.selection(given=True),
    )
    return recipe


def changed(recipe: Recipe, overrides: Sequence[str]) -> Recipe:
    """Return a recipe with `name=value` overrides on top. Raises SettingError."""
    values = recipe.dump()
    for override in overrides:
        _override(values, override)
    return build(values)


def usual(recipe: Recipe) -> Recipe:
    """Return the recipe with engines for the roles that need and name none, where this machine has a GPU for them."""
    values = recipe.dump()
    asked = [*(values["policy"] if recipe.solutions != "given" else []), *values["judge"], values["completer"]]
    for role in asked if GPUS.is_dir() else []:
        if not role["engine"] and role.get("plan") != "none" and role.get("kind") not in {"equations", "given"}:
            role["engine"] = USUAL
    return build(values)


def _check_knobs(scripted: Mapping[str, float]) -> None:
    kinds = {knob.name: knob.type for knob in fields(Script)}
    for name, value in scripted.items():
        if name not in kinds:
            raise SettingError(f"scripted.{name}: there is no such setting{_near(name, list(kinds))}")
        if kinds[name] is int and not isinstance(value, int):
            raise SettingError(f"scripted.{name}: give a whole number, not {value}")


def check(recipe: Recipe, *, sampled: bool) -> None:
    """Refuse settings that contradict each other; `sampled`: some problem brings no solution of its own."""
    roles = {"completer": (recipe.completer.engine, recipe.completer.plan != "none")}
    roles |= {f"judge.{i}": (j.engine, j.asks) for i, j in enumerate(recipe.judge)}
    roles |= {f"policy.{i}": (p.engine, sampled) for i, p in enumerate(recipe.policy)}
    roles |= _scoring(recipe)
    missing = dict.fromkeys(role.partition(".")[0] for role, (engine, needed) in roles.items() if needed and not engine)
    if missing:
        raise SettingError(_missing(list(missing)))
    for role, (engine, needed) in roles.items():
        kind = engine.partition(":")[0]
        if engine:
            _check_name(f"{role}.engine", engine)
        file = recipe.solutions == "given" and Path(recipe.data.source).suffix  # it may be one of arith's solutions
        if kind == "embedded" and recipe.data.source != "arith" and needed and not file:
            raise SettingError(f"{role}.engine={engine} knows only DATASET=arith, not {recipe.data.source!r}")
    if recipe.by_rate and sampled and sum(p.samples for p in recipe.policy) < 2:
        raise SettingError("skip and completer.harder go by a problem's pass rate: set policy.samples=2 or more")
    _check_tables(recipe)
    _check_prior(recipe)
    check_rule(recipe)


def _check_prior(recipe: Recipe) -> None:
    """Refuse a prior that would be learnt over."""
    if recipe.learns and recipe.completer.prior != Prior(**recipe.completer.prior.untaught):
        raise SettingError(
            "completer.learn learns completer.prior from the run's own problems: leave out either it or the prior (of "
            "which only `passed` and `missed` can be given with it)"
        )


def _check_name(setting: str, engine: str) -> None:
    """Refuse what is no engine's specification."""
    kind, _, model = engine.partition(":")
    if kind == "openai":
        address(engine)
    elif (kind, bool(model)) not in {(known.partition(":")[0], ":" in known) for known in ENGINES}:
        raise SettingError(f"{setting}={engine!r}: there is no such engine{_near(engine, ENGINES)}")


def _check_tables(recipe: Recipe) -> None:
    """Refuse tables by engine that name none, and a budget of money that nothing is paid from."""
    prices = recipe.budget.prices
    for setting, table in (
        ("cluster.replicas", recipe.cluster.replicas),
        ("cluster.gpus", recipe.cluster.gpus),
        ("budget.prices", prices),
    ):
        for name in table if isinstance(table, dict) else ():
            _check_name(setting, name)
    for name in recipe.models:
        if name.startswith("vllm:"):
            raise SettingError(f"models.{name}: write the model's name alone, {name.removeprefix('vllm:')}")
    if recipe.budget.money is not None and not prices.keys() & set(recipe.engines(sampled=True)):
        raise SettingError("budget.money counts by budget.prices, and no engine of this recipe has a price: give one")


def _scoring(recipe: Recipe) -> dict[str, tuple[str, bool]]:
    """Return the roles of credit. Raises SettingError where they cannot give rewards that mean anything."""
    asked, scorers = recipe.credit, recipe.scorers
    if not asked.reference:
        if asked.policy:
            raise SettingError("credit.policy is compared with credit.reference: name that, too")
        return {}
    if "" in scorers:
        raise SettingError("credit.reference needs a model to compare with it: set POLICY or credit.policy")
    if scorers == {asked.reference}:
        raise SettingError(f"credit.reference={asked.reference!r} is the policy itself: every log-ratio would be 0")
    for engine in scorers:
        if engine.startswith("openai:") and address(engine).continuing == "shown":
            raise SettingError(f"{engine} cannot score a solution, which credit needs: see docs/credit.md")
    return {"credit.reference": (asked.reference, True), "credit.policy": (asked.policy, bool(asked.policy))}


def check_rule(recipe: Recipe) -> None:
    """Refuse a rule that the plan gathers no evidence for."""
    if recipe.completer.plan == "none" and recipe.consensus.rule != "judge":
        raise SettingError("completer.plan=none makes no rollouts: set consensus.rule=judge, or another plan")
    if recipe.consensus.rates and (recipe.completer.plan != "exhaustive" or recipe.completer.width):
        raise SettingError(
            "consensus.threshold and consensus.progress compare hit rates, which only completer.plan=exhaustive gives "
            f"(not {recipe.completer.plan!r}), without completer.width: set that, or leave both out"
        )
    if recipe.completer.plan != "exhaustive" and (recipe.completer.width or recipe.completer.truncate):
        raise SettingError("completer.width and completer.truncate are for completer.plan=exhaustive: leave them out")
    if recipe.consensus.rule == "judge" and (recipe.consensus.threshold or recipe.consensus.progress is not None):
        raise SettingError("consensus.rule=judge looks at no rollouts: leave out consensus.threshold and .progress")
    for name, idle in _idle(recipe):
        if idle:
            raise SettingError(f"{name} is for completer.plan=sequential (not {recipe.completer.plan!r}): leave it out")
    if recipe.panel != "majority" and len(recipe.judge) < 2:
        raise SettingError(f"panel={recipe.panel} is about several judges, and there is one: see docs/judges.md")
    if (recipe.completer.plan == "sequential") != (recipe.consensus.rule == "posterior"):
        raise SettingError(
            "completer.plan=sequential weighs how probably the judge is right and consensus.rule=posterior keeps by "
            f"that: set both or neither (not {recipe.completer.plan!r} with {recipe.consensus.rule!r})"
        )


def _idle(recipe: Recipe) -> Iterator[tuple[str, bool]]:
    """Which settings of `sequential` are given that nothing reads; `make plan` does, from an exhaustive pilot."""
    usual, given = Recipe(), recipe.completer.plan not in {"sequential", "exhaustive"}
    yield "completer.give_up", given and recipe.completer.give_up != usual.completer.give_up
    yield "completer.prior", given and recipe.completer.prior != usual.completer.prior
    yield "completer.learn", given and recipe.completer.learn > 0
    yield "consensus.error", given and recipe.consensus.error != usual.consensus.error


def _missing(roles: Sequence[str]) -> str:
    instead = {
        "completer": "set completer.plan=none and consensus.rule=judge to label by the judge alone",
        "judge": "set judge.kind=equations, which asks no model",
        "policy": "give a dataset that brings solutions",
    }
    asked = ", ".join(f"{role.upper()}=..." for role in roles)
    others = "; or ".join(f"without a {role}, {instead[role]}" for role in roles)
    return f"no engine for the {' and the '.join(roles)}: set {asked} ({' | '.join(ENGINES)}); or {others}"


def _preset(source: str | None) -> dict[str, Any]:
    presets = {file.stem: file for file in PRESETS.glob("*.toml")}
    return _toml(presets.get(source or "arith", presets["default"]))


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingError(f"recipe {file}: there is no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingError(f"recipe {file}: {error}") from None


def _override(values: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    if not equals:
        raise SettingError(f"{override!r}: write name=value, such as judge.votes=3")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *path, last = name.strip().split(".")
    tables = list(_tables([values], path))
    if not tables or not all(isinstance(table, dict) for table in tables):
        listed = any(part.isdecimal() for part in path)
        more = ", or no such entry: list more as [[judge]] or [[policy]] in a RECIPE (docs/judges.md)" if listed else ""
        raise SettingError(f"{name}: there is no such setting{more}")
    for table in tables:
        table[last] = value


def _tables(tables: list[Any], path: list[str]) -> Iterator[Any]:
    """Follow a dotted path; a list of tables is followed into all of them, or into one by its number."""
    if not path:
        yield from (entry for table in tables for entry in (table if isinstance(table, list) else [table]))
        return
    head, *rest = path
    for table in tables:
        if isinstance(table, list):
            chosen = table[int(head) : int(head) + 1] if head.isdecimal() else table
            yield from _tables(chosen, rest if head.isdecimal() else path)
        elif isinstance(table, dict):
            listed = head in ("policy", "judge")
            yield from _tables([table.setdefault(head, [{}] if listed else {})], rest)


def _told(fault: Any) -> str:
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "tuple_type":
        return f'{where}: give a list, such as [1, 2] or ["a"] (given: {fault["input"]!r})'
    if fault["type"] != "extra_forbidden":
        return f"{where}: {fault['msg']} (given: {fault['input']!r})"
    model: Any = Recipe
    for part in fault["loc"][:-1]:
        model = _inside(model, part)
    return f"{where}: there is no such setting{_near(str(fault['loc'][-1]), list(model.model_fields))}"


def _inside(model: Any, part: str | int) -> Any:
    """Return the settings class behind one part of a fault's place; a list's number or a key stays in its class."""
    if isinstance(part, int) or part not in model.model_fields:
        return model
    kind = model.model_fields[part].annotation
    return kind if isinstance(kind, type) else next(one for one in kind.__args__ if hasattr(one, "model_fields"))


def _near(name: str, names: Sequence[str]) -> str:
    meant = nearest(name, names)
    return f"; did you mean {meant!r}?" if meant else f"; there are {', '.join(names)}"
