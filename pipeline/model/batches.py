"""Examples as padded tensors: what to predict at each position and how much it counts.

Shapes: B examples, T tokens. `targets_BT`, `verdicts_BT` and `whose_BT` are -100 where nothing is asked.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

from data.arith import world
from pipeline.model import corpus
from pipeline.model.corpus import Example, Solved

IGNORED = -100
TOKENS = 5120  # a batch, padding included
COMPARING = 0.1
FACTS = 14  # of a drill in rules, at most
RULES = 0.2  # of the steps: before, it does not know the sentences well enough to look rules up
HASTE = 0.2  # of the solver's examples make something up, as real corpora do: else it hardly errs once it has learnt
_LEVELS = {"easy": (0.6, 0.34), "medium": (0.3, 0.38), "hard": (0.1, 0.28)}  # share at the start, at the end


@dataclass(frozen=True, slots=True)
class Batch:
    """One optimiser step's examples."""

    inputs_BT: torch.Tensor
    targets_BT: torch.Tensor
    weights_BT: torch.Tensor
    verdicts_BT: torch.Tensor
    whose_BT: torch.Tensor


Drill = Callable[[random.Random, int], Example]
Row = tuple[list[int], list[int], list[float], list[int], list[int]]


def batches(tokenizer: Tokenizer, rng: random.Random, progress: float, sampled: list[Solved]) -> Iterator[Batch]:
    """Yield a few dozen batches of fresh examples, of like length each; `sampled` are the model's own solutions."""
    yield from _batches(tokenizer, rng, [example(rng, progress, sampled) for _ in range(768)], TOKENS)


def lookups(tokenizer: Tokenizer, rng: random.Random, drill: Drill, size: int) -> Iterator[Batch]:
    """Yield a few small batches of looking up among so many people or facts, or one or two fewer."""
    drawn = [drill(rng, rng.randint(max(2, size - 2), size)) for _ in range(256)]
    yield from _batches(tokenizer, rng, drawn, TOKENS // 2)


def _batches(tokenizer: Tokenizer, rng: random.Random, examples: list[Example], tokens: int) -> Iterator[Batch]:
    rows = sorted((encode(tokenizer, one) for one in examples), key=lambda row: len(row[0]))
    cuts: list[list[Row]] = [[]]
    for row in rows:
        if (len(cuts[-1]) + 1) * len(row[0]) > tokens:
            cuts.append([])
        cuts[-1].append(row)
    rng.shuffle(cuts)
    yield from map(_pad, cuts)


def example(rng: random.Random, progress: float, sampled: list[Solved]) -> Example:
    """Draw one example: drills and practice at first, which give way to problems."""
    if rng.random() < COMPARING:
        return corpus.compare(rng, rng.randint(1, 1 + int(12 * min(1.0, progress * 3))))
    if rng.random() < max(0.45 - 0.25 * progress, 0.5 * (1 - progress * 4)):
        return _drill(rng, progress)
    if sampled and rng.random() < 0.5:
        return corpus.to_judge(rng.choice(sampled))
    text = world.practice(rng) if rng.random() < 0.6 - 0.5 * progress else _problem(rng, progress)
    if rng.random() < 0.35:
        haste = rng.random() < HASTE
        return corpus.to_solve(corpus.hasty(rng, text) if haste else corpus.solution(rng, text, 0.1), whole=haste)
    each = 0.33 if rng.random() < 0.6 - 0.3 * progress else 0.0
    return corpus.to_judge(corpus.solution(rng, text, slips=0.65, each=each))


def _drill(rng: random.Random, progress: float) -> Example:
    """Draw a drill; rules are asked for only once they are learnt."""
    if progress > RULES and rng.random() < 0.3:
        return corpus.rules(rng, rng.randint(2, FACTS))
    return corpus.recall(rng, rng.randint(2, 20)) if rng.random() < 0.1 else corpus.drill(rng)


def _problem(rng: random.Random, progress: float) -> str:
    """Draw a problem; hard ones fade in over the first half."""
    shares = [first + (last - first) * min(1.0, progress * 2) for first, last in _LEVELS.values()]
    level = rng.choices(list(_LEVELS), shares)[0]
    return world.problem(level, rng.getrandbits(40), "train").text


def encode(tokenizer: Tokenizer, pieces: Example) -> Row:
    """Return an example's ids, targets (the same ids, for the position before), weights, verdicts and names to know."""
    right, wrong = (tokenizer.encode(word).ids[0] for word in ("right", "wrong"))
    says = {True: right, False: wrong, None: IGNORED}
    ids: list[int] = []
    weights: list[float] = []
    verdicts: list[int] = []
    whose: list[int] = []
    for piece in pieces:
        if not piece.text:
            continue
        new = tokenizer.encode(piece.text, add_special_tokens=False).ids
        ids += new
        weights += [piece.weight] * len(new)
        verdicts += [IGNORED] * (len(new) - 1) + [says[piece.verdict]]
        whose += [IGNORED] * (len(new) - 1) + [tokenizer.encode(piece.whose).ids[0] if piece.whose else IGNORED]
    return ids, ids[1:], weights[1:], verdicts, whose


def _pad(rows: list[Row]) -> Batch:
    longest = max(len(row[0]) for row in rows)

    def full(column: int, fill: float, kind: torch.dtype) -> torch.Tensor:
        padded = [[*row[column], *[fill] * (longest - len(row[column]))] for row in rows]
        return torch.tensor(padded, dtype=kind)

    return Batch(
        full(0, 0, torch.long),
        full(1, IGNORED, torch.long),
        full(2, 0, torch.float),
        full(3, IGNORED, torch.long),
        full(4, IGNORED, torch.long),
    )
