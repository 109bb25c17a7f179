"""Every setting of a run, typed, with a sentence each; `pipeline/recipe.py` reads them.

What decides labels is hashed into the recipe's fingerprint; where, how fast and how far a run goes is not (`cluster`,
`budget`, `data.limit`), nor what only its card says (`license`).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from data import asks
from data.schema import SCHEMA_VERSION
from judges.panel import Rule as PanelRule
from pipeline.engines.scripted import Script
from pipeline.memory import Paid
from stages import consensus, posterior, probes, solve

ENGINES = ("embedded", "scripted", "vllm:MODEL", "openai:MODEL@URL")
_PRIOR = posterior.DEFAULT


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


class Prior(_Settings):
    """What the plan `sequential` believes before it asks; `python -m bench.fit` learns it from a run."""

    exact: float = Field(_PRIOR.exact, description="if the judge names a step: how often that is the first error,")
    earlier: float = Field(_PRIOR.earlier, description="how often an earlier one is,")
    later: float = Field(_PRIOR.later, description="how often a later one is,")
    none: float = Field(_PRIOR.none, description="how often there is none; the four are relative weights")
    good: tuple[float, float] = Field(_PRIOR.good, description="Beta(a, b) of the hit rate of prefixes without error")
    bad: tuple[float, float] = Field(_PRIOR.bad, description="Beta(a, b) of the hit rate of prefixes with one")
    passed: float = Field(_PRIOR.passed, description="how often a right answer that the judge passes has no error")

    def made(self) -> posterior.Prior:
        """Return the same as the plan takes it."""
        return posterior.Prior(**self.model_dump())


class Completer(_Settings):
    """Who rolls prefixes out, and which ones."""

    engine: str = ""
    plan: Literal["confirm", "sequential", "bisect", "exhaustive", "none"] = "confirm"
    tries: int = Field(8, ge=1, description="decided rollouts needed to call a prefix unreachable")
    spare: int = Field(8, ge=0, description="rollouts that may replace ones that were cut off")
    wave: int = Field(
        1, ge=1, description="rollouts asked for at first where sampling may stop early; see stages/probes.py"
    )
    width: float | None = Field(
        None, description="exhaustive stops a prefix once the 95 % interval of its hit rate is as narrow"
    )
    truncate: bool = Field(default=False, description="exhaustive stops at the first unreachable prefix")
    give_up: float = Field(0.3, ge=0, description="sequential stops where the judge is right with this probability")
    prior: Prior = Prior()
    system: str | None = None
    sampling: Sampling = Sampling()


class Judge(_Settings):
    """Who judges; several judges make a panel."""

    kind: Literal["critique", "critique_brief", "first_error", "equations", "given"] = "critique"
    engine: str = Field("", description="not needed by equations and given, which ask no model")
    votes: int = Field(1, ge=1, description="replies asked for; the plurality counts")
    retries: int = Field(1, ge=0, description="times a reply that cannot be read is asked for again")
    sampling: Sampling = Sampling(temperature=0.0)

    @property
    def asks(self) -> bool:
        """Whether this judge asks a model."""
        return self.kind not in {"equations", "given"}


class Consensus(_Settings):
    """When judge and rollouts agree; see stages/consensus.py."""

    rule: consensus.Rule = "first_error"
    threshold: float = 0.0
    progress: float | None = None
    error: float = Field(0.02, description="rule posterior, plan sequential: a label may be wrong as often as this")

    @property
    def rates(self) -> bool:
        """Whether the label needs hit rates, not only hits."""
        return self.rule != "judge" and (self.threshold > 0 or self.progress is not None)

    def made(self) -> consensus.Settings:
        """Return the same as the stage takes it."""
        return consensus.Settings(**self.model_dump())


class VLLM(_Settings):
    """How vLLM runs a model; what decides its replies. Where and on how many GPUs is the cluster's part."""

    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    context: int | None = Field(None, ge=16, description="tokens of prompt and reply together; the model's own if None")
    quantization: str | None = Field(None, description="fp8, awq, gptq ...; what the model's files say if None")
    chat_template: str | None = Field(None, description="a Jinja file; the model's own if None")
    revision: str | None = Field(None, description="commit of a Hub model")
    tokenizer: str | None = Field(None, description="Hub id or folder of another tokenizer; the model's own if None")


class Cluster(_Settings):
    """Where and how fast; never what."""

    workers: int | None = Field(None, ge=1, description="processes that label solutions; one for 16 copies of vllm")
    in_flight: int | None = Field(
        None, ge=1, description="solutions a worker labels at the same time; 256, or what 128 for a copy of vllm make"
    )
    cpus: float = Field(0.5, ge=0, description="CPUs set aside for each copy of an engine")
    replicas: int | dict[str, int] = Field(1, description="copies of each engine, or of each specification")
    gpus: int | dict[str, int] | None = Field(
        None, description="GPUs of one copy of a vllm engine, its tensor parallel size; 1 where the cluster has any"
    )
    requests: int = Field(2048, ge=1, description="in flight to an endpoint, at most; how many it bears is found out")
    deadline: float = Field(900.0, gt=0, description="seconds one request to an endpoint may take")
    patience: float = Field(3600.0, ge=0, description="seconds to wait for an engine that is down")
    stall: float = Field(7200.0, gt=0, description="seconds without any progress after which a run ends")
    memory_share: float = Field(0.9, gt=0, le=1, description="of a GPU's memory that vllm may use")
    address: str | None = Field(None, description="a running Ray cluster; a local one is started where not given")

    def copies(self, specification: str) -> int:
        """Return how many copies an engine has; an endpoint one, since one limiter must see all its requests."""
        if specification.startswith("openai:"):
            return 1
        return self.replicas.get(specification, 1) if isinstance(self.replicas, dict) else self.replicas

    def gpus_of(self, specification: str, *, some: bool) -> int:
        """Return the GPUs of one copy of an engine: none but for vllm; where not set, one if the cluster has `some`."""
        if not specification.startswith("vllm:"):
            return 0
        if self.gpus is None:
            return int(some)
        return self.gpus.get(specification, 1) if isinstance(self.gpus, dict) else self.gpus


class Budget(_Settings):
    """What a run may cost, all its drivers together: used up, the run stops; with a larger one it goes on."""

    tokens: int | None = Field(None, ge=1, description="written by all models")
    money: float | None = Field(None, gt=0, description="in the currency of the prices")
    hours: float | None = Field(None, gt=0, description="of labelling, by the clock")
    prices: dict[str, tuple[float, float]] = Field(
        default_factory=dict, description="of a million tokens read, and of a million written, by specification"
    )

    def cost(self, engines: Mapping[str, Paid]) -> float:
        """Return what was paid; an engine without a price costs nothing."""
        priced = [(self.prices.get(name, (0.0, 0.0)), paid) for name, paid in engines.items()]
        return sum(read * paid.read + written * paid.written for (read, written), paid in priced) / 1e6

    def over(self, engines: Mapping[str, Paid], seconds: float) -> str | None:
        """Return which budget is used up, as words; None while all last."""
        written, money, hours = sum(p.written for p in engines.values()), self.cost(engines), seconds / 3600
        for name, limit, used in (
            ("tokens", self.tokens, written),
            ("money", self.money, money),
            ("hours", self.hours, hours),
        ):
            if limit is not None and used >= limit:
                return f"budget.{name}={limit:g} is used up ({used:,.6g})"
        return None


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
    budget: Budget = Budget()
    vllm: VLLM = VLLM()
    models: dict[str, VLLM] = Field(default_factory=dict, description="vllm settings of single models, by name")
    scripted: dict[str, float | int] = Field(default_factory=dict, description="knobs of the scripted engine")
    license: str | None = Field(None, description="of the rows, for the card, as the Hub names it (mit, cc-by-4.0 ...)")

    def policies(self) -> list[solve.Policy]:
        """Return the policies as the stage takes them."""
        return [
            solve.Policy(p.name or p.engine or "policy", p.samples, p.sampling.made(), p.system) for p in self.policy
        ]

    def script(self) -> Script:
        """Return the scripted engine's settings."""
        return Script(**self.scripted)  # type: ignore[arg-type]  # `build` has checked names and types

    def vllm_for(self, model: str) -> VLLM:
        """Return how vLLM runs a model: its own settings, and the general ones for what they leave open."""
        own = self.models.get(model, VLLM())
        return self.vllm.model_copy(update={name: getattr(own, name) for name in own.model_fields_set})

    def engines(self, *, sampled: bool) -> list[str]:
        """Return the engines that are asked; only where solutions are `sampled`, the policies."""
        roles = {p.engine for p in self.policy if sampled} | {j.engine for j in self.judge if j.asks}
        return sorted(roles | ({self.completer.engine} if self.completer.plan != "none" else set()))

    @property
    def workers(self) -> int:
        """Processes that label, as `bench.scale` found them needed where it is not said."""
        return self.cluster.workers or max(1, self._copies // 16)

    @property
    def in_flight(self) -> int:
        """Solutions in hand of each worker, likewise: fewer, and GPUs wait."""
        return self.cluster.in_flight or max(256, 128 * self._copies // self.workers)

    @property
    def _copies(self) -> int:
        return sum(self.cluster.copies(one) for one in self.engines(sampled=True) if one.startswith("vllm:"))

    def plan(self) -> probes.Settings:
        """Return the plan's settings."""
        asked = self.completer
        counts = asked.tries, asked.spare, asked.wave, asked.width, asked.truncate
        return probes.Settings(*counts, self.consensus.error, asked.give_up, asked.prior.made())

    def dump(self) -> dict[str, Any]:
        """Return all settings as plain values, for run.json and the shards' metadata."""
        return self.model_dump(mode="json")

    def fingerprint(self, wordings: Sequence[str] = ()) -> str:
        """Return 16 hex digits over all that decides labels, and their columns; `wordings` are prompts, by hash.

        Files with other columns beside each other could not be loaded.
        """
        body = self.dump()
        del body["cluster"], body["budget"], body["license"], body["data"]["limit"]
        return hashlib.sha256(json.dumps([body, SCHEMA_VERSION, *wordings], sort_keys=True).encode()).hexdigest()[:16]
