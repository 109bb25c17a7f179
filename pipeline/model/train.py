"""Trains the small model from scratch in a number of steps; interrupted, it goes on from its last checkpoint.

It learns to look up by itself, however long that takes: a person's quantity first of all, how one follows once it
knows the sentences (docs/decisions/002). One loss has three parts: the text of right steps and of replies; at the end
of each step shown to the judge, its verdict, read one layer below the top, so that the reply can look it up there;
and at a problem's operands and where steps ask for them, half-way up, whose they are.
"""

import itertools
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import AttentionInterface, Qwen2Config, Qwen2ForCausalLM

from data.arith import world
from data.errors import RunError
from pipeline.model import corpus
from pipeline.model.batches import FACTS, IGNORED, RULES, Batch, Drill, batches, lookups
from pipeline.model.corpus import Solved
from pipeline.model.muon import Muon

PEAK = {"matrices": 0.0045, "rest": 0.00225}
LEARNT = 0.15  # nats of what is looked up
IN_VAIN = 4_000  # steps of looking up: learnt, it took 1,130
VERDICT_WEIGHT = 0.3
WHOSE_WEIGHT = 1.5
HALFWAY = 3  # of the six layers


@dataclass(frozen=True, slots=True)
class Art:
    """An art of looking up, learnt by `drill` among `few`, then ever more, up to `most`, with nothing beside it.

    That begins once `due`, a share of the steps, is done.
    """

    drill: Drill
    few: int
    most: int
    due: float


ARTS = {"people": Art(corpus.recall, 2, len(world.NAMES), 0.0), "rules": Art(corpus.rules, 8, FACTS, RULES)}


def attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, **_: Any
) -> tuple[torch.Tensor, None]:
    """Attend in float32 whatever the products are in: on CPUs the backward pass takes half as long again in bfloat16.

    Rows are padded behind their ends only, so that what is causal needs no mask.
    """
    del module, mask
    with torch.autocast(query.device.type, enabled=False):
        wide = (query.float(), key.float(), value.float())
        attended = functional.scaled_dot_product_attention(*wide, is_causal=True)
    return attended.transpose(1, 2).contiguous(), None


AttentionInterface.register("float32", attention)


def halves(device: str) -> bool:
    """Whether the device multiplies in bfloat16 by itself; where that is only imitated, it takes longer."""
    able = torch.cpu.get_capabilities()
    return device != "cpu" or bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def config(vocabulary: int) -> Qwen2Config:
    """Return the shape of the model: about 1.1 million parameters."""
    return Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=320,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
        attn_implementation="float32",
    )


def losses(model: Qwen2ForCausalLM, batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the mean cross-entropies (nats) of the text (weighted), of the verdicts, and of whose a sentence is."""
    hidden = model.model(batch.inputs_BT, output_hidden_states=True).hidden_states
    said = batch.weights_BT > 0
    targets, weights = batch.targets_BT[said], batch.weights_BT[said]
    text = functional.cross_entropy(model.lm_head(hidden[-1][said]), targets, reduction="none")

    def known(layer: int, words_BT: torch.Tensor) -> torch.Tensor:
        asked = words_BT != IGNORED
        read = model.lm_head(model.model.norm(hidden[layer][asked]))
        return functional.cross_entropy(read, words_BT[asked]) if asked.any() else text.sum() * 0

    return (text * weights).sum() / weights.sum(), known(-2, batch.verdicts_BT), known(HALFWAY, batch.whose_BT)


class Training:
    """A model, its optimisers and how far they have come (`done` steps of `steps`), kept in `folder`.

    Beside these steps it learns to look up: `sizes` are how many of each of `ARTS` among which it learns that now,
    `looked` the steps that took so far.
    """

    def __init__(self, folder: Path, tokenizer: Tokenizer, steps: int) -> None:
        torch.manual_seed(0)
        self.file, self.tokenizer, self.steps = folder / "checkpoint.pt", tokenizer, steps
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = Qwen2ForCausalLM(config(tokenizer.get_vocab_size())).to(self.device)
        matrices = [p for n, p in self.model.named_parameters() if p.ndim == 2 and "embed" not in n]
        rest = [p for n, p in self.model.named_parameters() if p.ndim != 2 or "embed" in n]
        self.optimisers: list[tuple[str, Any]] = [
            ("matrices", Muon(matrices, weight_decay=0.05)),
            ("rest", torch.optim.AdamW(rest, betas=(0.9, 0.98), weight_decay=0.01)),
        ]
        self.halves = halves(self.device)
        self.sizes, self.looked = {name: art.few for name, art in ARTS.items()}, 0
        self.done = 0
        self.sampled: list[Solved] = []
        if self.file.exists():
            self._restore()

    @property
    def progress(self) -> float:
        """Share of the steps that are done, 0 to 1."""
        return min(1.0, self.done / self.steps)

    def look_up(self) -> None:
        """Train in those of `ARTS` that are due and not learnt, and save. Raises RunError where one is in vain.

        Each comes suddenly, people's from two first: mixed numbers of people had not shown it after 1,000 steps.
        """
        rng = random.Random(f"recall/{self.looked}")
        for name, art in ARTS.items():
            loss = math.inf
            while self.progress >= art.due and (size := self.sizes[name]) <= art.most:
                if self.looked > IN_VAIN:
                    told = f"looking up among {size} {name} is not learnt after {self.looked} steps"
                    raise RunError(f"{told}: see docs/decisions/002")
                for batch in lookups(self.tokenizer, rng, art.drill, size):
                    text, *_ = self._step(batch, rate=0.5)
                    self.looked += 1
                    loss = text if loss == math.inf else 0.9 * loss + 0.1 * text
                    if loss < LEARNT:
                        self.sizes[name], loss = size + 1, loss + 0.1
                        self._save()
                        break

    def run(self, steps: int) -> dict[str, float]:
        """Train for `steps` (or to the end), save, and return the mean losses and seconds a step.

        Whose a sentence is, is taught only once rules are looked up (docs/decisions/002: taught before, it did worse).
        """
        first, end, sums, started = self.done, min(self.done + steps, self.steps), [0.0, 0.0, 0.0], time.monotonic()
        whose = WHOSE_WEIGHT if self.sizes["rules"] > ARTS["rules"].few else 0.0
        rng = random.Random(f"corpus/{first}")
        while self.done < end:
            for batch in itertools.islice(batches(self.tokenizer, rng, self.progress, self.sampled), end - self.done):
                warm, decay = min(1.0, (self.done + 1) / 100), 0.5 * (1 + math.cos(math.pi * self.progress))
                lost = self._step(batch, warm * max(decay, 0.01), whose)
                sums = [a + b for a, b in zip(sums, lost, strict=True)]
                self.done += 1
        self._save()
        count = max(1, self.done - first)
        means = dict(zip(("text", "verdict", "whose"), (total / count for total in sums), strict=True))
        return {"steps": self.done, **means, "seconds": (time.monotonic() - started) / count}

    def _step(self, batch: Batch, rate: float, whose_weight: float = WHOSE_WEIGHT) -> tuple[float, float, float]:
        """Take one step at `rate` of the peak learning rates."""
        for name, optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = PEAK[name] * rate
        with torch.autocast(self.device, torch.bfloat16, enabled=self.halves):
            text, verdict, whose = losses(self.model, _to(batch, self.device))
        (text + VERDICT_WEIGHT * verdict + whose_weight * whose).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for _, optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad()
        return float(text.detach()), float(verdict.detach()), float(whose.detach())

    def _save(self) -> None:
        state = {
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for _, optimiser in self.optimisers],
            "steps": self.done,
            "sizes": self.sizes,
            "looked": self.looked,
        }
        torch.save(state, self.file.with_suffix(".tmp"))
        self.file.with_suffix(".tmp").replace(self.file)

    def _restore(self) -> None:
        state = torch.load(self.file, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        for (_, optimiser), saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.done, self.sizes, self.looked = state["steps"], state["sizes"], state["looked"]


def _to(batch: Batch, device: str) -> Batch:
    tensors = (batch.inputs_BT, batch.targets_BT, batch.weights_BT, batch.verdicts_BT, batch.whose_BT)
    return batch if device == "cpu" else Batch(*(t.to(device) for t in tensors))
