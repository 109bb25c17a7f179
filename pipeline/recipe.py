"""Every setting of a run, typed, with a sentence each; read from TOML presets and overridden by name.

An unknown, mistyped or contradictory setting is an error before anything starts, with the nearest name. What decides
labels is hashed into the recipe's fingerprint; where and how fast it runs (`cluster`, `data.limit`) is not.
"""

import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from data import asks
from data.errors import SettingError
from judges.panel import Rule as PanelRule
from pipeline.engines.address import address
from pipeline.engines.scripted import Script
from stages import consensus, probes, solve, split

PRESETS = Path(__file__).parent / "recipes"
ENGINES = ("embedded", "scripted", "openai:MODEL@URL")


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class Data(_Settings):
    """Which problems."""

    source: str = Field("arith", description="a known name, a file (.jsonl .json .csv .parquet), or a Hub owner/name")
    limit: int | None = Field(None, ge=1, description="the first so many problems; all where not given")
    columns: dict[str, str | list[str]] = Field(default_factory=dict, description="problem, gold, id, level, solutions")
    revision: str | None = Field(None, description="commit of a Hub dataset")
    config: str | None = Field(None, description="configuration of a Hub dataset")
    split: str | None = Field(None, description="split of a Hub dataset")
    seed: int = Field(0, ge=0, description="for problems that are made on the spot")


class Sampling(_Settings):
    """How a role's tokens are drawn."""

    temperature: float = Field(1.0, ge=0, description="0 is greedy")
    top_p: float = Field(1.0, gt=0, le=1)
    top_k: int = Field(0, ge=0, description="0: all tokens")
    max_tokens: int = Field(2048, ge=1, description="a longer reply is cut off, and counts neither way")
    stop: tuple[str, ...] = ()
    seed: int = 0

    def made(self) -> asks.Sampling:
        """Return the same as asks carry it."""
        return asks.Sampling(**self.model_dump())


class Policy(_Settings):
    """Who solves; several policies may share a run."""

    engine: str = Field("", description=" | ".join(ENGINES))
    name: str = Field("", description="stands in every row; the engine's specification where not given")
    samples: int = Field(1, ge=1, description="solutions a problem")
    system: str | None = Field(None, description="system prompt")
    sampling: Sampling = Sampling()


class Completer(_Settings):
    """Who rolls prefixes out, and which ones."""

    engine: str = ""
    plan: Literal["confirm", "bisect", "exhaustive", "none"] = "confirm"
    tries: int = Field(8, ge=1, description="decided rollouts needed to call a prefix unreachable")
    spare: int = Field(8, ge=0, description="rollouts that may replace ones that were cut off")
    wave: int = Field(1, ge=1, description="rollouts asked for at first where one hit is enough; then doubled")
    system: str | None = None
    sampling: Sampling = Sampling()


class Judge(_Settings):
    """Who judges; several judges make a panel."""

    kind: Literal["critique", "critique_brief", "first_error", "equations"] = "critique"
    engine: str = Field("", description="not needed by equations, which asks no model")
    votes: int = Field(1, ge=1, description="replies asked for; the plurality counts")
    retries: int = Field(1, ge=0, description="times a reply that cannot be read is asked for again")
    sampling: Sampling = Sampling(temperature=0.0)


class Consensus(_Settings):
    """When judge and rollouts agree; see stages/consensus.py."""

    rule: consensus.Rule = "first_error"
    threshold: float = 0.0
    progress: float | None = None

    @property
    def rates(self) -> bool:
        """Whether the label needs hit rates, not only hits."""
        return self.rule != "judge" and (self.threshold > 0 or self.progress is not None)

    def made(self) -> consensus.Settings:
        """Return the same as the stage takes it."""
        return consensus.Settings(**self.model_dump())


class Cluster(_Settings):
    """Where and how fast; never what."""

    workers: int = Field(1, ge=1, description="processes that label solutions")
    in_flight: int = Field(256, ge=1, description="solutions a worker labels at the same time")
    cpus: float = Field(0.5, ge=0, description="CPUs set aside for each worker and each engine")
    requests: int = Field(2048, ge=1, description="in flight to an endpoint, at most; how many it bears is found out")
    deadline: float = Field(900.0, gt=0, description="seconds one request to an endpoint may take")
    patience: float = Field(3600.0, ge=0, description="seconds to wait for an endpoint that is down")
    address: str | None = Field(None, description="a running Ray cluster; a local one is started where not given")


class Recipe(_Settings):
    """All settings of a run."""

    data: Data = Data()
    split: str = Field("blank", description="blank | newline | sentence | marker | tokens:N | regex:PATTERN")
    solutions: Literal["sample", "given"] | None = Field(
        None, description="given ones are used where a problem has any"
    )
    policy: tuple[Policy, ...] = Field((Policy(),), min_length=1)
    completer: Completer = Completer()
    judge: tuple[Judge, ...] = Field((Judge(),), min_length=1)
    panel: PanelRule = Field("majority", description="how several judges become one verdict")
    consensus: Consensus = Consensus()
    cluster: Cluster = Cluster()
    scripted: dict[str, float | int] = Field(default_factory=dict, description="knobs of the scripted engine")

    def policies(self) -> list[solve.Policy]:
        """Return the policies as the stage takes them."""
        return [
            solve.Policy(p.name or p.engine or "policy", p.samples, p.sampling.made(), p.system) for p in self.policy
        ]

    def script(self) -> Script:
        """Return the scripted engine's settings."""
        return Script(**self.scripted)  # type: ignore[arg-type]  # `build` has checked names and types

    def plan(self) -> probes.Settings:
        """Return the plan's settings."""
        return probes.Settings(self.completer.tries, self.completer.spare, self.completer.wave)

    def engines(self) -> set[str]:
        """Return the specifications of all engines named."""
        named = {p.engine for p in self.policy} | {j.engine for j in self.judge} | {self.completer.engine}
        return named - {""}

    def dump(self) -> dict[str, Any]:
        """Return all settings as plain values, for run.json and the shards' metadata."""
        return self.model_dump(mode="json")

    def fingerprint(self, wordings: Sequence[str] = ()) -> str:
        """Return 16 hex digits over all that decides labels; `wordings` are the judges' prompts, by hash."""
        body = self.dump()
        del body["cluster"], body["data"]["limit"]
        return hashlib.sha256(json.dumps([body, *wordings], sort_keys=True).encode()).hexdigest()[:16]


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
    recipe.consensus.made(), recipe.script(), recipe.plan(), split.named(recipe.split)
    return recipe


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
    roles |= {f"judge.{i}": (j.engine, j.kind != "equations") for i, j in enumerate(recipe.judge)}
    roles |= {f"policy.{i}": (p.engine, sampled) for i, p in enumerate(recipe.policy)}
    for role, (engine, needed) in roles.items():
        if needed and not engine:
            raise SettingError(_missing(role))
        kind = engine.partition(":")[0]
        if engine and kind not in {known.partition(":")[0] for known in ENGINES}:
            raise SettingError(f"{role}.engine={engine!r}: give one of {', '.join(ENGINES)}{_near(engine, ENGINES)}")
        if kind == "openai":
            address(engine)
        if engine == "embedded" and recipe.data.source != "arith" and needed:
            raise SettingError(f"{role}.engine=embedded knows only DATASET=arith, not {recipe.data.source!r}")
    if recipe.completer.plan == "none" and recipe.consensus.rule != "judge":
        raise SettingError("completer.plan=none makes no rollouts: set consensus.rule=judge, or another plan")
    if recipe.consensus.rates and recipe.completer.plan != "exhaustive":
        raise SettingError(
            "consensus.threshold and consensus.progress compare hit rates, which only completer.plan=exhaustive "
            f"gives (not {recipe.completer.plan!r}): set that plan, or leave both out"
        )


def _missing(role: str) -> str:
    variable = role.partition(".")[0].upper()
    without = {
        "COMPLETER": ", or set completer.plan=none and consensus.rule=judge to label by the judge alone",
        "JUDGE": ", or set judge.kind=equations, which asks no model",
        "POLICY": ", or give a dataset that brings solutions",
    }[variable]
    return f"no engine for the {variable.lower()}: set {variable}=... ({' | '.join(ENGINES)}){without}"


def _preset(source: str | None) -> dict[str, Any]:
    presets = {file.stem: file for file in PRESETS.glob("*.toml")}
    return _toml(presets.get(source or "arith", presets["default"]))


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
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
        raise SettingError(f"{name}: there is no such setting")
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
    if fault["type"] != "extra_forbidden":
        return f"{where}: {fault['msg']} (given: {fault['input']!r})"
    model: Any = Recipe
    for part in fault["loc"][:-1]:
        model = _inside(model, part)
    return f"{where}: there is no such setting{_near(str(fault['loc'][-1]), list(model.model_fields))}"


def _inside(model: Any, part: str | int) -> Any:
    """Return the settings class behind one part of a fault's place; a list's number stays in the same class."""
    if isinstance(part, int):
        return model
    kind = model.model_fields[part].annotation
    return kind if isinstance(kind, type) else kind.__args__[0]


def _near(name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}"
