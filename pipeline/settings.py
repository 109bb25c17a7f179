"""Every setting of a run, typed, with a sentence each (data_settings.py, machine_settings.py); recipe.py reads them.

What decides labels is hashed into the recipe's fingerprint; where, how fast and how far a run goes is not (`cluster`,
`budget`, `data.limit`), nor what only its card says (`license`).
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt

from data import asks
from data.schema import SCHEMA_VERSION
from judges.panel import Rule as PanelRule
from pipeline.data_settings import Data, Settings
from pipeline.engines.scripted import Script
from pipeline.machine_settings import VLLM, Budget, Cluster
from stages import consensus, posterior, probes, solve

ENGINES = ("embedded", "embedded:FOLDER", "scripted", "vllm:MODEL", "openai:MODEL@URL")
IN_HAND = 320  # solutions for each copy of vllm, which writes 256 replies or more at a time: some are between two asks
_PRIOR = posterior.DEFAULT
Share = Annotated[float, Field(ge=0, le=1)]


class Sampling(Settings):
    """How a role's tokens are drawn."""

    temperature: float = Field(1.0, ge=0, description="0 is greedy")
    top_p: float = Field(1.0, gt=0, le=1, description="only the likeliest tokens that make up this probability")
    top_k: int = Field(0, ge=0, description="0: all tokens")
    max_tokens: int = Field(2048, ge=1, description="a longer reply is cut off, and counts neither way")
    stop: tuple[str, ...] = Field((), description="texts at which a reply ends; they are not part of it")
    seed: int = Field(0, description="with the index of a sample it seeds that sample")

    def made(self) -> asks.Sampling:
        """Return the same as asks carry it."""
        return asks.Sampling(**self.model_dump())


class Policy(Settings):
    """Who solves; several policies may share a run."""

    engine: str = Field("", description=" | ".join(ENGINES))
    name: str = Field("", description="stands in every row; the engine's specification where not given")
    samples: int = Field(1, ge=1, description="solutions a problem")
    system: str | None = Field(None, description="system prompt")
    sampling: Sampling = Sampling()


class Prior(Settings):
    """What the plan `sequential` believes before it asks; with `completer.learn` the run itself learns it."""

    exact: float = Field(_PRIOR.exact, description="if the judge names a step: how often that is the first error,")
    earlier: float = Field(_PRIOR.earlier, description="how often an earlier one is,")
    later: float = Field(_PRIOR.later, description="how often a later one is,")
    none: float = Field(_PRIOR.none, description="how often there is none; the four are relative weights")
    good: tuple[float, float] = Field(_PRIOR.good, description="Beta(a, b) of the hit rate of prefixes without error")
    bad: tuple[float, float] = Field(_PRIOR.bad, description="Beta(a, b) of the hit rate of prefixes with one")
    passed: Share | dict[str, Share] | None = Field(
        None,
        description="how often a right answer that the judge passes holds no error, or so by level: measured where the "
        "truth is known; if None, such answers are not weighed",
    )
    missed: Share = Field(
        _PRIOR.missed,
        description="how often a judge misses, before the step it names, an error that rollouts mend: at least "
        "1 - passed; only the truth tells (docs/plans.md)",
    )

    @property
    def untaught(self) -> dict[str, Any]:
        """What no rollout teaches."""
        return self.model_dump(include={"passed", "missed"})

    def made(self, level: str | None = None) -> posterior.Prior:
        """Return the same as the plan takes it, for a problem of some level."""
        passed = self.passed.get(level or "") if isinstance(self.passed, dict) else self.passed
        return posterior.Prior(**{**self.model_dump(), "passed": passed})


class Completer(Settings):
    """Who rolls prefixes out, and which ones."""

    engine: str = Field("", description=" | ".join(ENGINES))
    plan: Literal["confirm", "sequential", "bisect", "exhaustive", "none"] = Field(
        "confirm", description="which prefixes are rolled out, and how often: docs/plans.md"
    )
    tries: int = Field(8, ge=1, description="decided rollouts needed to call a prefix unreachable")
    harder: tuple[tuple[Share, PositiveInt], ...] = Field(
        (), description="[pass rate, tries]: problems solved less often get these tries; [[0.1, 128], [0.9, 64]]"
    )
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
    learn: int = Field(0, ge=0, description="sequential rolls so many problems out in full first, and learns the prior")
    system: str | None = Field(None, description="system prompt")
    sampling: Sampling = Sampling()


class Judge(Settings):
    """Who judges; several judges make a panel."""

    kind: Literal["critique", "critique_brief", "critique_reference", "first_error", "equations", "given"] = Field(
        "critique", description="what is asked, and how the reply is read: docs/judges.md"
    )
    engine: str = Field("", description="not needed by equations and given, which ask no model")
    votes: int = Field(1, ge=1, description="replies asked for; the plurality counts")
    retries: int = Field(1, ge=0, description="times a reply that cannot be read is asked for again")
    sampling: Sampling = Sampling(temperature=0.0)

    @property
    def asks(self) -> bool:
        """Whether this judge asks a model."""
        return self.kind not in {"equations", "given"}


class Consensus(Settings):
    """When judge and rollouts agree; see stages/consensus.py."""

    rule: consensus.Rule = Field("first_error", description="what is kept: docs/plans.md")
    threshold: float = Field(0.0, description="a step is right where its hit rate exceeds this; 0: any hit")
    progress: float | None = Field(None, description="or where the rate is at least this share of the one before it")
    error: float = Field(
        0.02, description="rule posterior, plan sequential: a label with a posterior may be wrong so often"
    )

    @property
    def rates(self) -> bool:
        """Whether the label needs hit rates, not only hits."""
        return self.rule != "judge" and (self.threshold > 0 or self.progress is not None)

    def made(self) -> consensus.Settings:
        """Return the same as the stage takes it."""
        return consensus.Settings(**self.model_dump())


class Credit(Settings):
    """Process rewards from log-ratios, a column of their own that decides nothing; see docs/credit.md."""

    reference: str = Field("", description="the engine a policy is compared with; no rewards where not given")
    policy: str = Field("", description="the engine that is compared; each solution's own policy where not given")
    eta: float = Field(100.0, gt=0, description="how many nats of log-ratio weigh as much as the outcome")


class Recipe(Settings):
    """All settings of a run."""

    data: Data = Data()
    split: str = Field("blank", description="blank | newline | sentence | marker | tokens:N | regex:PATTERN")
    solutions: Literal["sample", "given"] | None = Field(
        None, description="given ones are used where a problem has any"
    )
    policy: tuple[Policy, ...] = Field((Policy(),), min_length=1)
    skip: tuple[Literal["all_right", "all_wrong"], ...] = Field(
        (), description="problems that are not labelled: those whose solutions all reach the gold answer, or none does"
    )
    completer: Completer = Completer()
    judge: tuple[Judge, ...] = Field((Judge(),), min_length=1)
    panel: PanelRule = Field("majority", description="how several judges become one verdict")
    consensus: Consensus = Consensus()
    credit: Credit = Credit()
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
        return sorted(roles | self.scorers | ({self.completer.engine} if self.completer.plan != "none" else set()))

    @property
    def scorers(self) -> set[str]:
        """The engines that score solutions for their credit."""
        own = {self.credit.policy} if self.credit.policy else {p.engine for p in self.policy}
        return own | {self.credit.reference} if self.credit.reference else set()

    @property
    def self_judged(self) -> bool:
        """Whether nobody but the policies themselves decides about what they sampled."""
        judges = {judge.engine for judge in self.judge}
        own = judges <= {policy.engine for policy in self.policy} and all(judge.asks for judge in self.judge)
        return own and self.consensus.rule == "judge"

    @property
    def workers(self) -> int:
        """Processes that label, as `bench.scale` found them needed where it is not said."""
        return self.cluster.workers or max(1, self._copies // 16)

    @property
    def in_flight(self) -> int:
        """Solutions in hand of each worker, likewise: fewer, and GPUs wait."""
        return self.cluster.in_flight or max(256, IN_HAND * self._copies // self.workers)

    @property
    def _copies(self) -> int:
        return sum(self.cluster.copies(one) for one in self.engines(sampled=True) if one.startswith("vllm:"))

    def plan(self, level: str | None = None, rate: float | None = None) -> probes.Settings:
        """Return the plan's settings for a problem of some level, whose samples are right at a known `rate`."""
        asked = self.completer
        harder = sorted(asked.harder) if rate is not None else []
        tries = next((tries for below, tries in harder if (rate or 0) < below), asked.tries)
        counts = tries, asked.spare, asked.wave, asked.width, asked.truncate
        return probes.Settings(*counts, self.consensus.error, asked.give_up, asked.prior.made(level))

    @property
    def learns(self) -> bool:
        """Whether the run begins with a pilot, from which it learns its prior."""
        return self.completer.plan == "sequential" and self.completer.learn > 0

    @property
    def by_rate(self) -> bool:
        """Whether what is done about a solution depends on how often its problem is solved."""
        return bool(self.skip or self.completer.harder)

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
