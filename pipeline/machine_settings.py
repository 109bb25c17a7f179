"""Settings of the machines: how vLLM runs a model, the cluster, and what a run may spend."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from pipeline.data_settings import Settings
from pipeline.memory import Paid


class VLLM(Settings):
    """How vLLM runs a model; what decides its replies. Where and on how many GPUs is the cluster's part."""

    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    context: int | None = Field(None, ge=16, description="tokens of prompt and reply together; the model's own if None")
    quantization: str | None = Field(None, description="fp8, awq, gptq ...; what the model's files say if None")
    chat_template: str | None = Field(None, description="a Jinja file; the model's own if None")
    revision: str | None = Field(None, description="commit of a Hub model")
    tokenizer: str | None = Field(None, description="Hub id or folder of another tokenizer; the model's own if None")
    load_format: str = Field("auto", description="safetensors, gguf, runai_streamer ...; dummy: random weights")


class Cluster(Settings):
    """Where and how fast; never what."""

    workers: int | None = Field(None, ge=1, description="processes that label solutions; one for 16 copies of vllm")
    in_flight: int | None = Field(
        None, ge=1, description="solutions a worker labels at the same time; 256, or 320 for each copy of vllm"
    )
    cpus: float = Field(0.5, ge=0, description="CPUs set aside for each copy of an engine")
    replicas: PositiveInt | dict[str, PositiveInt] = Field(
        1, description="copies of each engine, or of each specification"
    )
    gpus: NonNegativeInt | dict[str, NonNegativeInt] | None = Field(
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


class Budget(Settings):
    """What a run may cost, all its drivers together: used up, the run stops; with a larger one it goes on."""

    tokens: int | None = Field(None, ge=1, description="written by all models")
    money: float | None = Field(None, gt=0, description="in the currency of the prices")
    hours: float | None = Field(None, gt=0, description="of labelling, by the clock")
    prices: dict[str, tuple[NonNegativeFloat, NonNegativeFloat]] = Field(
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
