"""The small model of the arith world, in this process, through CTranslate2 (imported here alone): no GPU, no torch.

Each core works on one ask at a time: the model is so small that batches gain nothing, and of prompts of unequal length
all but the shortest are read a token at a time (bench/engine.py). The model knows the words of its world alone, so an
ask with any other word is refused rather than guessed at.
"""

import asyncio
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ctranslate2
from tokenizers import Tokenizer

from data import arith
from data.asks import Ask, Reply, Sample, Sampling
from data.errors import Refused, SettingError
from data.schema import clean
from stages.engine import Scores

FOLDER = Path(arith.__file__).parent / "model"
FILES = ("ct2/model.bin", "ct2/config.json", "ct2/vocabulary.json", "tokenizer.json")
CONTEXT = 1024  # tokens, prompt and reply together
END, UNKNOWN = "<|end|>", "<unk>"


def found(model: str) -> Path:
    """Return the folder that `embedded:MODEL` names: one beside the committed model ("earlier"), or a path."""
    beside = FOLDER.parent / model
    return beside if beside.is_dir() else Path(model)


def check_files(folder: Path) -> None:
    """Raise SettingError where a file of the model is not there."""
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise SettingError(f"no model at {folder}: expected {', '.join(missing)}; `make model` trains it")


class Embedded:
    """Engine over the committed model, or another of the same vocabulary in `folder`, on `threads` cores (0: all)."""

    def __init__(self, folder: Path = FOLDER, threads: int = 0) -> None:
        check_files(folder)
        weights = (folder / "ct2" / "model.bin").read_bytes()
        self.model = f"embedded:{hashlib.sha256(weights).hexdigest()[:12]}"
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._end = self._tokenizer.token_to_id(END)
        threads = threads or os.cpu_count() or 1
        self._generator = ctranslate2.Generator(
            str(folder / "ct2"), compute_type="float32", inter_threads=threads, intra_threads=1
        )
        self._pool = ThreadPoolExecutor(threads, "embedded")

    async def reply(self, ask: Ask) -> Reply:
        """Return `ask.n` samples. The seed is not honoured: samples of one ask share one random state."""
        prompt = self._prompt(ask)
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._generate, ask, prompt)

    async def score(self, ask: Ask, text: str) -> Scores:
        """Return the log-probabilities of `text`'s tokens after the ask's prompt and prefix."""
        prompt, tokens = self._prompt(ask), self._tokenize(text)
        if len(prompt) + len(tokens) > CONTEXT:
            raise Refused(f"{len(prompt) + len(tokens)} tokens to score, the embedded model's context has {CONTEXT}")
        whole = [[*prompt, *tokens]]
        scored = (await asyncio.get_running_loop().run_in_executor(self._pool, self._generator.score_batch, whole))[0]
        return Scores(tokens, tuple(scored.log_probs[len(prompt) - 1 :]), len(prompt))

    def _prompt(self, ask: Ask) -> tuple[str, ...]:
        """Render the chat template and the prefix; control tokens come from here alone."""
        turns = [token for m in ask.messages for token in (f"<|{m.role}|>", *self._tokenize(m.content), END)]
        prompt = (*turns, "<|assistant|>", *self._tokenize(ask.prefix))
        if len(prompt) >= CONTEXT:
            raise Refused(f"the prompt has {len(prompt)} tokens, the embedded model's context {CONTEXT}")
        return prompt

    def _tokenize(self, text: str) -> tuple[str, ...]:
        encoded = self._tokenizer.encode(clean(text), add_special_tokens=False)
        if UNKNOWN in encoded.tokens or any(token.startswith("<|") for token in encoded.tokens):
            raise Refused(
                "the embedded model knows only the words of the arith world; name another engine for this text"
            )
        return tuple(encoded.tokens)

    def _generate(self, ask: Ask, prompt: tuple[str, ...]) -> Reply:
        sampling = ask.sampling
        results = self._generator.generate_batch(
            [list(prompt)] * ask.n,
            max_length=min(sampling.max_tokens, CONTEXT - len(prompt)),
            sampling_temperature=sampling.temperature or 1.0,
            sampling_topk=sampling.top_k if sampling.temperature else 1,
            sampling_topp=sampling.top_p,
            end_token=END,
            suppress_sequences=[[UNKNOWN]],
            include_prompt_in_result=False,
            return_end_token=True,
        )
        samples = [self._sample(result.sequences_ids[0], sampling) for result in results]
        return Reply(tuple(samples), len(prompt))

    def _sample(self, ids: list[int], sampling: Sampling) -> Sample:
        """Decode one sequence; without an end token or a stop string it was cut off."""
        ended = bool(ids) and ids[-1] == self._end
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        stops = [place for stop in sampling.stop if (place := text.find(stop)) >= 0]
        return Sample(text[: min(stops)] if stops else text, "stop" if ended or stops else "length", len(ids))
