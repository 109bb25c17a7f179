"""The small model of the arith world, in this process, through CTranslate2 (imported here alone): no GPU, no torch.

Each core works on a batch of its own; what arrives meanwhile waits for the next. Many cores on one batch were slower:
most of a step is copying the attention's cache (bench/engine.py). The model knows the words of its world alone, so an
ask with any other word is refused rather than guessed at.
"""

import asyncio
import hashlib
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import ctranslate2
from tokenizers import Tokenizer

from data import arith
from data.asks import Ask, Reply, Sample, Sampling
from data.errors import Refused, SettingError
from data.schema import clean
from stages.engine import Scores

FOLDER = Path(arith.__file__).parent / "model"
CONTEXT = 1024  # tokens, prompt and reply together
END, UNKNOWN = "<|end|>", "<unk>"


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An ask in line: its prompt's tokens, and where its reply goes."""

    ask: Ask
    prompt: tuple[str, ...]
    reply: asyncio.Future[Reply]

    @property
    def room(self) -> int:
        """Tokens its reply may have."""
        return min(self.ask.sampling.max_tokens, CONTEXT - len(self.prompt))


class Embedded:
    """Engine over the committed model, or another of the same vocabulary in `folder`.

    `threads` batches (0: one a core) of up to `batch` sequences each are generated at once.
    """

    def __init__(self, folder: Path = FOLDER, threads: int = 0, batch: int = 48) -> None:
        weights = folder / "ct2" / "model.bin"
        if not weights.is_file():
            raise SettingError(f"no model at {folder}: expected ct2/model.bin; `make model` trains it")
        self.model = f"embedded:{hashlib.sha256(weights.read_bytes()).hexdigest()[:12]}"
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._end = self._tokenizer.token_to_id(END)
        self._threads = threads or os.cpu_count() or 1
        self._generator = ctranslate2.Generator(
            str(folder / "ct2"), compute_type="float32", inter_threads=self._threads, intra_threads=1
        )
        self._batch = batch
        self._line: deque[_Waiting] = deque()
        self._pool = ThreadPoolExecutor(self._threads, "embedded")
        self._workers: set[asyncio.Task[None]] = set()

    async def reply(self, ask: Ask) -> Reply:
        """Return `ask.n` samples. The seed is not honoured: samples of one batch share one random state."""
        waiting = _Waiting(ask, self._prompt(ask), asyncio.get_running_loop().create_future())
        self._line.append(waiting)
        if len(self._workers) < self._threads:
            worker = asyncio.create_task(self._work())
            self._workers.add(worker)
            worker.add_done_callback(self._workers.discard)
        return await waiting.reply

    async def score(self, ask: Ask, text: str) -> Scores:
        """Return the log-probabilities of `text`'s tokens after the ask's prompt and prefix."""
        prompt = self._prompt(ask)
        tokens = self._tokenize(text)
        whole = [[*prompt, *tokens]]
        scored = (await asyncio.get_running_loop().run_in_executor(self._pool, self._generator.score_batch, whole))[0]
        return Scores(tokens, tuple(scored.log_probs[len(prompt) - 1 :]))

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

    async def _work(self) -> None:
        while self._line:
            batch = self._take()
            try:
                replies = await asyncio.get_running_loop().run_in_executor(self._pool, self._generate, batch)
            except Exception as error:  # noqa: BLE001 - whatever broke the batch must reach those who wait for it
                for waiting in batch:
                    if not waiting.reply.done():  # whoever gave up meanwhile has cancelled it
                        waiting.reply.set_exception(error)
            else:
                for waiting, reply in zip(batch, replies, strict=True):
                    if not waiting.reply.done():
                        waiting.reply.set_result(reply)

    def _take(self) -> list[_Waiting]:
        """Take the oldest ask and those sampled alike whose prompts are nearest in length, as many as fit in a batch.

        Of prompts of unequal length, what is longer than the shortest is read one token a step.
        """
        oldest, room = self._line[0], self._batch
        alike = [w for w in self._line if (w.ask.sampling, w.room) == (oldest.ask.sampling, oldest.room)]
        alike.sort(key=lambda w: (w is not oldest, abs(len(w.prompt) - len(oldest.prompt))))
        taken: list[_Waiting] = []
        for waiting in alike:
            if waiting.ask.n <= room or not taken:
                taken.append(waiting)
                room -= waiting.ask.n
        gone = set(map(id, taken))
        self._line = deque(w for w in self._line if id(w) not in gone)
        return taken

    def _generate(self, batch: list[_Waiting]) -> list[Reply]:
        sampling = batch[0].ask.sampling
        prompts = [list(w.prompt) for w in batch for _ in range(w.ask.n)]
        results = self._generator.generate_batch(
            prompts,
            max_length=batch[0].room,
            sampling_temperature=sampling.temperature or 1.0,
            sampling_topk=sampling.top_k if sampling.temperature else 1,
            sampling_topp=sampling.top_p,
            end_token=END,
            suppress_sequences=[[UNKNOWN]],
            include_prompt_in_result=False,
            return_end_token=True,
        )
        samples = iter([self._sample(result.sequences_ids[0], sampling) for result in results])
        return [Reply(tuple(next(samples) for _ in range(w.ask.n)), len(w.prompt)) for w in batch]

    def _sample(self, ids: list[int], sampling: Sampling) -> Sample:
        """Decode one sequence; without an end token or a stop string it was cut off."""
        ended = bool(ids) and ids[-1] == self._end
        text = self._tokenizer.decode(ids, skip_special_tokens=True)
        stops = [place for stop in sampling.stop if (place := text.find(stop)) >= 0]
        return Sample(text[: min(stops)] if stops else text, "stop" if ended or stops else "length", len(ids))
