"""A small process reward model: the committed language model with a scalar head at the end of each step.

It reads a solution as the solver writes it, in which form it was never asked for verdicts. The lower layers stay as
they are, so what they make of a solution is computed once for all trainings; the upper ones and the head are tuned.

Shapes: B solutions, T tokens, H hidden, S step ends of a whole batch.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch.nn import functional
from transformers import Qwen2Model

from pipeline.engines.embedded import FOLDER

SCORED = 6144  # tokens of a batch that is only scored, padding included
WARM = 10  # steps of the optimiser


@dataclass(frozen=True, slots=True)
class Read:
    """A solution as the lower layers leave it, and where its steps end."""

    hidden_TH: torch.Tensor
    ends: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a PRM is trained; `batch` is in tokens, padding included."""

    epochs: int = 5
    rate: float = 1e-3
    batch: int = 1024


class Reader:
    """Tokenizer, embeddings and the lower layers: what all PRMs share."""

    def __init__(self, tuned: int) -> None:
        self.tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
        self.model = Qwen2Model.from_pretrained(FOLDER, dtype=torch.float32).eval()
        self.tuned = tuned

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not type-checked
    def read(self, problem: str, steps: Sequence[str]) -> Read:
        """Return what the lower layers make of a solution."""
        ids, ends = encode(self.tokenizer, problem, steps)
        hidden_BTH = self.model.embed_tokens(torch.tensor([ids]))
        lower = self.model.layers[: len(self.model.layers) - self.tuned]
        return Read(through(lower, self.model.rotary_emb, hidden_BTH)[0], ends)


class Prm(torch.nn.Module):  # type: ignore[misc]  # torch is not type-checked
    """The upper layers and the head; a step's score is the sigmoid of what stands at its last token."""

    def __init__(self, tuned: int) -> None:
        super().__init__()
        whole = Qwen2Model.from_pretrained(FOLDER, dtype=torch.float32)
        self.layers, self.norm, self.rotary = whole.layers[-tuned:], whole.norm, whole.rotary_emb
        self.head = torch.nn.Linear(whole.config.hidden_size, 1)

    def forward(self, hidden_BTH: torch.Tensor, ends_S2: torch.Tensor) -> torch.Tensor:
        """Return the logits at the step ends, given as pairs of solution and token."""
        hidden_BTH = self.norm(through(self.layers, self.rotary, hidden_BTH))
        return self.head(hidden_BTH[ends_S2[:, 0], ends_S2[:, 1]]).squeeze(-1)


def encode(tokenizer: Tokenizer, problem: str, steps: Sequence[str]) -> tuple[list[int], tuple[int, ...]]:
    """Return a solution's ids, as the chat template has them, and the position of each step's last token."""
    ids = tokenizer.encode(f"<|user|>{problem}<|end|><|assistant|>").ids
    ends = []
    for step in steps:
        ids = ids + tokenizer.encode(step).ids
        ends.append(len(ids) - 1)
    return ids, tuple(ends)


def through(layers: torch.nn.ModuleList, rotary: torch.nn.Module, hidden_BTH: torch.Tensor) -> torch.Tensor:
    """Pass hidden states through some layers; causal, so padding at the end is seen by nothing before it."""
    places = rotary(hidden_BTH, torch.arange(hidden_BTH.shape[1])[None])
    for layer in layers:
        hidden_BTH = layer(hidden_BTH, position_embeddings=places)
    return hidden_BTH


def trained(reads: Sequence[Read], targets: Sequence[Sequence[float]], tuned: int, plan: Schedule, seed: int) -> Prm:
    """Train by cross-entropy on the steps that have a target, hard or soft."""
    torch.manual_seed(seed)
    prm, rng = Prm(tuned), random.Random(seed)
    optimiser = torch.optim.AdamW(prm.parameters(), lr=plan.rate, weight_decay=0.01)
    lengths = [len(read.hidden_TH) for read in reads]
    todo = [batch for _ in range(plan.epochs) for batch in _shuffled(batches(lengths, plan.batch), rng)]
    for number, batch in enumerate(todo):
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * min(1.0, (number + 1) / WARM) * (1 - number / len(todo))
        wanted_S = torch.tensor([target for one in batch for target in targets[one]])
        logits_S = prm(*_padded([reads[one] for one in batch], [len(targets[one]) for one in batch]))
        loss = functional.binary_cross_entropy_with_logits(logits_S, wanted_S)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(prm.parameters(), 1.0)
        optimiser.step()
    return prm


@torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not type-checked
def scores(prm: Prm, reads: Sequence[Read]) -> list[list[float]]:
    """Return the score of each step of each solution, in the order given."""
    found: list[list[float]] = [[] for _ in reads]
    for batch in batches([len(read.hidden_TH) for read in reads], SCORED):
        chosen = [reads[one] for one in batch]
        said = iter(torch.sigmoid(prm(*_padded(chosen, [len(read.ends) for read in chosen]))).tolist())
        for one in batch:
            found[one] = [next(said) for _ in reads[one].ends]
    return found


def batches(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Cut solutions, by number, into batches of like length and at most so many tokens, padding included."""
    batch: list[int] = []
    for one in sorted(range(len(lengths)), key=lengths.__getitem__):
        if (len(batch) + 1) * lengths[one] > most and batch:
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _shuffled(cut: Iterator[list[int]], rng: random.Random) -> list[list[int]]:
    order = list(cut)
    rng.shuffle(order)
    return order


def _padded(reads: Sequence[Read], counts: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return hidden states padded at the end, and the first so many step ends of each."""
    hidden_BTH = torch.nn.utils.rnn.pad_sequence([read.hidden_TH for read in reads], batch_first=True)
    ends = [
        (row, end) for row, (read, count) in enumerate(zip(reads, counts, strict=True)) for end in read.ends[:count]
    ]
    return hidden_BTH, torch.tensor(ends)
