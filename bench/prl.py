"""PRL in miniature: `python -m bench.prl` (extra `train`); docs/credit.md has the table and says what it shows.

The small model is trained further on its own solutions, once with the outcome as every token's advantage, once with
PRL's process rewards: the same problems, samples, steps and seeds. Shapes: B samples, T tokens.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import process_time

import torch
from tokenizers import Tokenizer
from transformers import DynamicCache, Qwen2ForCausalLM

from bench import table
from data.arith import world
from data.asks import Ask, Reply
from data.records import Problem
from pipeline.engines.embedded import END, FOLDER, UNKNOWN, Embedded
from pipeline.model import sampled
from pipeline.model.export import export
from stages import credit
from stages.engine import Scores
from stages.solve import prompt
from stages.split import split

GROUP, MOST = 8, 300  # samples a problem; tokens a sample
TRAIN, TEST = 50_000_000, 60_000_000  # numbers of the first problems: far from what anything else uses
AT_ONCE = 32  # samples in one forward pass
RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Settings:
    """How a model is trained: `problems` a step, `GROUP` samples each; without `eta`, on the outcome alone."""

    level: str
    steps: int
    problems: int
    rate: float
    eta: float | None

    @property
    def name(self) -> str:
        """What the table calls it."""
        return "outcome alone" if self.eta is None else f"PRL, eta = {self.eta:g}"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A sample: its prompt's tokens, its own (the end with them), its text, and whether it is right (None: cut off)."""

    prompt: list[int]
    ids: list[int]
    text: str
    right: bool | None


class Learner:
    """A copy of the small model that learns; `reference` is the model as it was."""

    def __init__(self, seed: int, settings: Settings) -> None:
        self.settings = settings
        self.tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
        self.model, self.reference = (Qwen2ForCausalLM.from_pretrained(FOLDER).float().eval() for _ in range(2))
        self._optimiser = torch.optim.AdamW(self.model.parameters(), lr=settings.rate, weight_decay=0.0)
        self._draw = torch.Generator().manual_seed(seed)
        self._end, self._unknown = (self.tokenizer.token_to_id(token) for token in (END, UNKNOWN))

    def step(self, problems: Sequence[Problem]) -> float:
        """Sample, reward, move once; return the share that is right of what was not cut off."""
        told = [pair for group in self.sample(problems) for pair in advantages(group)]
        total = sum(len(one.ids) for one, _ in told)
        moving = [
            (one, worth) for one, worth in told if worth or self.settings.eta
        ]  # alone, a worth of 0 moves nothing
        moving.sort(key=lambda pair: len(pair[0].prompt) + len(pair[0].ids))
        for start in range(0, len(moving), AT_ONCE):
            some = moving[start : start + AT_ONCE]
            logprobs = self.logprobs(self.model, [one for one, _ in some])
            rewards = self._rewards(some, logprobs)
            loss = -sum((own * value).sum() for own, value in zip(logprobs, rewards, strict=True)) / total
            loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimiser.step()
        self._optimiser.zero_grad()
        return sum(bool(one.right) for one, _ in told) / max(len(told), 1)

    def _rewards(self, some: Sequence[tuple[Drawn, float]], logprobs: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
        """Give each token its advantage: the outcome's, or its step's process reward."""
        eta = self.settings.eta
        if eta is None:
            yield from (torch.full((len(one.ids),), worth) for one, worth in some)
            return
        with torch.no_grad():
            reference = self.logprobs(self.reference, [one for one, _ in some])
        for (one, worth), ours, theirs in zip(some, logprobs, reference, strict=True):
            steps, tokens = split(one.text), self._texts(one)
            own, other = (Scores(tokens, tuple(values.tolist())) for values in (ours.detach(), theirs))
            values = credit.rewards(worth, steps, own, other, eta)
            yield torch.tensor([values[owner] for owner in credit.owners(steps, tokens)])

    def _texts(self, one: Drawn) -> tuple[str, ...]:
        """Return the tokens' texts; the end has none, and so belongs to the last step."""
        return tuple("" if i == self._end else str(self.tokenizer.id_to_token(i)) for i in one.ids)

    def logprobs(self, model: Qwen2ForCausalLM, some: Sequence[Drawn]) -> list[torch.Tensor]:
        """Return each sample's log-probabilities, token by token."""
        longest = max(len(one.prompt) + len(one.ids) for one in some)
        ids_BT = torch.zeros((len(some), longest), dtype=torch.long)
        for row, one in enumerate(some):
            ids_BT[row, : len(one.prompt) + len(one.ids)] = torch.tensor([*one.prompt, *one.ids])
        hidden = model.model(ids_BT).last_hidden_state  # padded on the right: what is causal sees none of it
        found = []
        for row, one in enumerate(some):
            at = slice(len(one.prompt) - 1, len(one.prompt) + len(one.ids) - 1)
            logits = torch.log_softmax(model.lm_head(hidden[row, at]), -1)
            found.append(logits.gather(-1, torch.tensor(one.ids)[:, None])[:, 0])
        return found

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not type-checked
    def sample(self, problems: Sequence[Problem]) -> list[list[Drawn]]:
        """Draw `GROUP` solutions a problem at temperature 1, all at once; who has ended leaves the batch."""
        turns = [f"<|user|>{problem.text}<|end|><|assistant|>" for problem in problems for _ in range(GROUP)]
        prompts = [self.tokenizer.encode(turn, add_special_tokens=False).ids for turn in turns]
        longest = max(map(len, prompts))
        new_BT = torch.tensor([[0] * (longest - len(ids)) + ids for ids in prompts])
        mask_BT = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts])
        cache, alive, drawn = DynamicCache(), list(range(len(prompts))), [list[int]() for _ in prompts]
        for _ in range(MOST):
            places = (mask_BT.cumsum(-1) - 1).clamp(min=0)[:, -new_BT.shape[1] :]
            seen = {"attention_mask": mask_BT, "position_ids": places, "past_key_values": cache}
            logits = self.model(new_BT, **seen, use_cache=True, logits_to_keep=1).logits[:, -1]
            logits[:, self._unknown] = -torch.inf
            new_BT = torch.multinomial(torch.softmax(logits, -1), 1, generator=self._draw)
            for row, token in zip(alive, new_BT[:, 0].tolist(), strict=True):
                drawn[row].append(token)
            going = [at for at, row in enumerate(alive) if drawn[row][-1] != self._end]
            if not going:
                break
            if len(going) < len(alive):
                alive, new_BT, mask_BT = [alive[at] for at in going], new_BT[going], mask_BT[going]
                cache.batch_select_indices(torch.tensor(going))
            mask_BT = torch.cat([mask_BT, torch.ones_like(new_BT)], -1)
        groups = [slice(at * GROUP, (at + 1) * GROUP) for at in range(len(problems))]
        pairs = [zip(prompts[group], drawn[group], strict=True) for group in groups]
        return [[self._drawn(p, *pair) for pair in some] for p, some in zip(problems, pairs, strict=True)]

    def _drawn(self, problem: Problem, asked: list[int], ids: list[int]) -> Drawn:
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        one = Drawn(asked, ids, text, None)
        ended = ids[-1] == self._end and bool(text.strip()) and "".join(self._texts(one)) == text
        return replace(one, right=sampled.solution(problem, text).right) if ended else one


def advantages(group: Sequence[Drawn]) -> Iterator[tuple[Drawn, float]]:
    """Give the decided samples of one problem, each with its reward less the group's mean, over its deviation."""
    decided = [one for one in group if one.right is not None]
    rewards = [float(bool(one.right)) for one in decided]
    mean = sum(rewards) / max(len(rewards), 1)
    spread = (sum((reward - mean) ** 2 for reward in rewards) / max(len(rewards), 1)) ** 0.5
    for one, reward in zip(decided, rewards, strict=True):
        yield one, (reward - mean) / (spread + 1e-6)


def train(seed: int, settings: Settings) -> Learner:
    """Train from the committed model."""
    torch.manual_seed(seed)
    learner = Learner(seed, settings)
    count = settings.steps * settings.problems
    told = list(world.problems(settings.level, count, "train", TRAIN + 1_000_000 * seed))
    for number in range(settings.steps):
        some = told[number * settings.problems : (number + 1) * settings.problems]
        print(f"  {settings.name}, seed {seed}, step {number + 1}: right {learner.step(some):.2f}", flush=True)
    return learner


@dataclass(frozen=True, slots=True)
class Measured:
    """Of each held-out problem how many of `GROUP` samples are right; `drift`: mean log-ratio of a solution (nats)."""

    right: list[int]
    drift: float


async def measure(engine: Embedded, before: Embedded, problems: Sequence[Problem]) -> Measured:
    """Sample held-out problems anew; a sample that was cut off solves nothing."""
    asks = [Ask(prompt(problem.text), n=GROUP, sampling=sampled.SAMPLING) for problem in problems]
    replies: list[Reply] = await asyncio.gather(*map(engine.reply, asks))
    texts = [[s.text for s in reply.samples if s.finish == "stop" and s.text.strip()] for reply in replies]
    right = [sum(sampled.solution(p, text).right for text in some) for p, some in zip(problems, texts, strict=True)]
    one_each = [(ask, some[0]) for ask, some in zip(asks, texts, strict=True) if some]
    ours, theirs = [
        await asyncio.gather(*(model.score(ask, text) for ask, text in one_each)) for model in (engine, before)
    ]
    ratios = [sum(a.logprobs) - sum(b.logprobs) for a, b in zip(ours, theirs, strict=True)]
    return Measured(right, sum(ratios) / len(ratios))


def exported(learner: Learner, before: Embedded, problems: Sequence[Problem]) -> Measured:
    """Measure a trained model behind the same engine as the one before it."""
    with tempfile.TemporaryDirectory() as folder:
        export(learner.model, learner.tokenizer, Path(folder))
        return asyncio.run(measure(Embedded(Path(folder)), before, problems))


def average(right: Sequence[int]) -> float:
    """Return average@8."""
    return sum(right) / (GROUP * len(right))


def passed(right: Sequence[int]) -> float:
    """Return pass@8."""
    return sum(count > 0 for count in right) / len(right)


def interval(
    runs: Sequence[Sequence[int]], less: Sequence[Sequence[int]], figure: Callable[[Sequence[int]], float]
) -> str:
    """Return a figure's mean over runs, or of its difference to other runs, with a 95 % bootstrap over problems."""
    draw, count = random.Random(0), len(runs[0])

    def mean(places: Sequence[int]) -> float:
        each = [[figure([run[at] for at in places]) for run in some] for some in (runs, less)]
        return sum(each[0]) / len(runs) - (sum(each[1]) / len(less) if less else 0)

    means = sorted(mean(draw.choices(range(count), k=count)) for _ in range(RESAMPLES))
    low, high = means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES)]
    sign = "+" if less else ""
    return f"{mean(range(count)):{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def rows(start: Measured, found: dict[str, list[Measured]]) -> list[dict[str, str]]:
    """Return the table's lines."""

    def line(name: str, runs: Sequence[Measured], less: Sequence[Measured] = ()) -> dict[str, str]:
        right, other = [one.right for one in runs], [one.right for one in less]
        drift = sum(one.drift for one in runs) / len(runs) - (sum(o.drift for o in less) / len(less) if less else 0)
        each = ", ".join(f"{average(one.right):.3f} / {passed(one.right):.3f}" for one in runs)
        told = {"model": name, "average@8": interval(right, other, average), "pass@8": interval(right, other, passed)}
        return told | {"each seed": "" if less else each, "log-ratio": f"{drift:{'+' if less else ''}.2f}"}

    alone, *others = found
    lines = [line("before", [start]), *(line(name, runs) for name, runs in found.items())]
    return [*lines, *(line(f"{name}, less {alone}", found[name], found[alone]) for name in others)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, measure, print the table and write the numbers, after each seed anew."""
    parser = argparse.ArgumentParser(prog="python -m bench.prl", description="PRL against the outcome alone.")
    parser.add_argument(
        "--level", choices=world.LEVELS, default="easy", help="of the problems learnt from (default: easy)"
    )
    parser.add_argument("--steps", type=int, default=8, help="updates (default: 8)")
    parser.add_argument("--problems", type=int, default=8, help="problems an update, 8 samples each (default: 8)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--held-out", type=int, default=100, help="problems, of all levels, to measure on (100)")
    parser.add_argument("--rate", type=float, default=3e-4, help="learning rate (default: 3e-4)")
    parser.add_argument("--eta", type=float, nargs="+", default=[1.0, 10.0], help="of PRL (default: 1 and 10)")
    options = parser.parse_args(arguments)
    shape = options.level, options.steps, options.problems, options.rate
    arms = [Settings(*shape, eta) for eta in (None, *options.eta)]
    problems, before = list(world.problems(None, options.held_out, "test", TEST)), Embedded()
    begun = process_time()
    start = asyncio.run(measure(before, before, problems))
    found: dict[str, list[Measured]] = {arm.name: [] for arm in arms}
    for seed in range(options.seeds):
        for arm in arms:
            found[arm.name].append(exported(train(seed, arm), before, problems))
        told, seconds = rows(start, found), round(process_time() - begun)
        print("\n".join(table.lines(told)))
        counts = {name: [asdict(one) for one in runs] for name, runs in {"before": [start], **found}.items()}
        written = table.write("prl", {"settings": vars(options), "rows": told, "runs": counts, "cpu_seconds": seconds})
        print(f"{seconds} s of CPU, less what exports took; written to {written}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
