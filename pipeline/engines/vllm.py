"""vLLM's asynchronous engine in this process, on its GPUs or (the CPU build) on none; the only file that imports vllm.

Requests are batched by vLLM as they come, and its prefix cache is on: the prefixes of one solution share their work. A
prefix is continued from its own tokens, put behind the chat template's opening of the assistant's turn.
"""

import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

# Before the import, which reads them: no usage report, quiet logs, and on the CPU a cache that leaves room for others.
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")

import psutil
from tokenizers import Tokenizer
from transformers import AutoTokenizer
from vllm import SamplingParams, TokensPrompt
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.exceptions import VLLMClientError, VLLMError
from vllm.sampling_params import RequestOutputKind
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError

from data.asks import Ask, Finish, Reply, Sample, Sampling
from data.errors import Died, Refused, SettingError, Unavailable
from data.schema import clean
from pipeline import machine_settings
from stages.engine import Scores

_ENDS = 1 << 20  # bytes at either end of a weights file that stand for all of it


class VLLM:
    """Engine over `model`, a Hub id or a folder, on `gpus` GPUs of this node (0: the CPU build).

    Belongs to one event loop. Loading takes a minute or more, and happens here. Raises SettingError where it fails.
    """

    def __init__(self, model: str, chosen: machine_settings.VLLM, gpus: int, memory_share: float = 0.9) -> None:
        self.model = identity(model, chosen)
        arguments = AsyncEngineArgs(**settings(model, chosen, gpus, memory_share))
        try:
            # How much it batches goes by who uses it: as offline inference up to 1,024 replies and 16,384 tokens at a
            # time, as the GPU has room; where nobody says so, 128 and 2,048 on any.
            self._engine = AsyncLLM.from_engine_args(arguments, usage_context=UsageContext.LLM_CLASS)
        except Exception as error:
            raise SettingError(f"vllm cannot load {model}: {error}") from error
        self.cores = frozenset[int]() if gpus else _bound()
        self._tokenizer: Any = self._engine.get_tokenizer()
        self._context: int = self._engine.model_config.max_model_len
        self._template = Path(chosen.chat_template).read_text(encoding="utf-8") if chosen.chat_template else None
        self._numbers = itertools.count()
        self._read = self._cached = 0

    @property
    def prefix_hits(self) -> float:
        """Share of all prompts' tokens that the prefix cache held; 0 before the first reply."""
        return self._cached / max(self._read, 1)

    async def reply(self, ask: Ask) -> Reply:
        """Return `ask.n` samples of one request. The seed is not honoured: batching changes what is drawn anyway."""
        prompt, params = self.request(ask)
        output = await self._generate(prompt, params)
        samples = [Sample(clean(one.text), _finish(one.finish_reason), len(one.token_ids)) for one in output.outputs]
        return Reply(tuple(samples * (ask.n // len(samples))), len(prompt))

    def request(self, ask: Ask) -> tuple[list[int], SamplingParams]:
        """Return what vllm is asked: the prompt's tokens, and how to sample. Raises Refused where it is too long."""
        prompt = self._prompt(ask)
        return prompt, _params(ask, self._context - len(prompt))

    async def score(self, ask: Ask, text: str) -> Scores:
        """Return the log-probabilities of `text`'s tokens after the ask's prompt and prefix."""
        before, tokens = self._prompt(ask), self._tokens(text)
        if not tokens:
            return Scores((), (), len(before))
        if len(before) + len(tokens) >= self._context:
            raise Refused(f"{len(before) + len(tokens)} tokens to score, the model's context has {self._context}")
        params = SamplingParams(max_tokens=1, prompt_logprobs=0, output_kind=RequestOutputKind.FINAL_ONLY)
        output = await self._generate([*before, *tokens], params)
        listed = output.prompt_logprobs[len(before) :]
        logprobs = tuple(float(table[token].logprob) for table, token in zip(listed, tokens, strict=True))
        return Scores(self._spelled(tokens), logprobs, len(before))

    async def close(self) -> None:
        """End vLLM's own processes."""
        self._engine.shutdown()

    async def _generate(self, prompt: list[int], params: SamplingParams) -> Any:
        """Return the finished output. Raises Died, Refused or Unavailable."""
        request = self._engine.generate(TokensPrompt(prompt_token_ids=prompt), params, str(next(self._numbers)))
        try:
            async for output in request:
                if output.finished:
                    self._read += len(prompt)
                    self._cached += output.num_cached_tokens or 0
                    return output
        except EngineDeadError as error:
            raise Died(f"vllm's engine for {self.model} has died") from error
        except (VLLMClientError, ValueError) as error:
            raise Refused(f"vllm refuses: {error}") from error
        except VLLMError as error:
            raise Unavailable(f"vllm failed: {error!r}") from error
        raise Unavailable("vllm ended a request without an answer")

    def _prompt(self, ask: Ask) -> list[int]:
        """Return the tokens of the chat and of the prefix. Raises Refused where no room is left for an answer."""
        chat = [{"role": message.role, "content": self._harmless(message.content)} for message in ask.messages]
        options = {"chat_template": self._template} if self._template else {}
        text = self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True, **options)
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False)
        tokens += self._tokens(ask.prefix)
        if len(tokens) >= self._context:
            raise Refused(f"the prompt has {len(tokens)} tokens, the model's context {self._context}")
        return tokens

    def _tokens(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(self._harmless(text), add_special_tokens=False))

    def _spelled(self, tokens: list[int]) -> tuple[str, ...]:
        """Return what each token adds to the text; a character of several tokens is added by the last of them."""

        def decoded(start: int, end: int) -> str:
            return str(self._tokenizer.decode(tokens[start:end], clean_up_tokenization_spaces=False))

        texts, start, read = [], 0, 0
        for end in range(1, len(tokens) + 1):
            known, now = decoded(start, read), decoded(start, end)
            whole = end == len(tokens) or not now.endswith("\ufffd")
            texts.append(now[len(known) :] if whole else "")
            start, read = (read, end) if whole else (start, read)
        return tuple(texts)

    def _harmless(self, text: str) -> str:
        """Return a text in which no control token stands: it would speak for the chat itself."""
        for control in self._tokenizer.all_special_tokens:
            text = text.replace(control, f"{control[0]} {control[1:]}")
        return text


def settings(model: str, chosen: machine_settings.VLLM, gpus: int, memory_share: float) -> dict[str, Any]:
    """Return vllm's arguments for a model."""
    place = {"tensor_parallel_size": gpus, "gpu_memory_utilization": memory_share} if gpus else {}
    return {
        "model": model,
        "dtype": chosen.dtype,
        "max_model_len": chosen.context,
        "quantization": chosen.quantization,
        "revision": chosen.revision,
        "tokenizer": chosen.tokenizer or _tokenizer(model),
        "load_format": chosen.load_format,
        "enable_prefix_caching": True,
        "enforce_eager": not gpus,
        "disable_log_stats": True,
        **place,
    }


def _bound() -> frozenset[int]:
    """Return the cores to which vllm's CPU build has bound its computing threads."""
    if not hasattr(os, "sched_getaffinity"):
        return frozenset()
    ours, bound = os.sched_getaffinity(0), frozenset[int]()
    for child in psutil.Process().children(recursive=True):
        with suppress(OSError):  # it has ended meanwhile
            bound |= os.sched_getaffinity(child.pid) if os.sched_getaffinity(child.pid) < ours else set()
    return bound


def _tokenizer(model: str) -> str | None:
    """Return a folder with a model's own tokenizer, where transformers would take another; else None.

    For some kinds of models (qwen2 among them) transformers 5 builds the family's tokenizer, whatever the folder's
    tokenizer.json says. Without a config.json beside it, it takes the file at its word.
    """
    file = Path(model) / "tokenizer.json"
    if not file.is_file():
        return None
    own = Tokenizer.from_file(str(file))
    words = own.decode(list(range(min(500, own.get_vocab_size()))))
    theirs = AutoTokenizer.from_pretrained(model).encode(words, add_special_tokens=False)
    if theirs == own.encode(words, add_special_tokens=False).ids:
        return None
    alone = Path(tempfile.mkdtemp(prefix="tokenizer-"))
    for part in (*file.parent.glob("*token*.json"), *file.parent.glob("chat_template*")):
        shutil.copy(part, alone)
    return str(alone)


def identity(model: str, chosen: machine_settings.VLLM) -> str:
    """Return the name under which replies are remembered: the model, and every setting that may change them."""
    told = [
        f"{name}={value}" for name, value in chosen.model_dump(exclude_defaults=True).items() if name != "chat_template"
    ]
    if chosen.chat_template:
        told.append(f"chat_template={_digest([Path(chosen.chat_template)])}")
    folder = Path(model)
    if folder.is_dir():  # a folder's name says nothing of what is in it
        files = sorted(file for file in folder.iterdir() if file.suffix in (".json", ".jinja", ".safetensors", ".bin"))
        told.append(f"files={_digest(files)}")
    return "|".join([f"vllm:{folder.name if folder.is_dir() else model}", *told])


def _digest(files: Sequence[Path]) -> str:
    """Return a hash over files: names, sizes, and the first and last MiB of each."""
    total = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        total.update(f"{file.name}/{size}/".encode())
        with file.open("rb") as opened:
            total.update(opened.read(_ENDS))
            opened.seek(max(0, size - _ENDS))
            total.update(opened.read(_ENDS))
    return total.hexdigest()[:12]


def _params(ask: Ask, room: int) -> SamplingParams:
    sampling: Sampling = ask.sampling
    return SamplingParams(
        n=ask.n if sampling.temperature else 1,  # greedy samples are all the same, and vllm refuses to draw several
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        max_tokens=min(sampling.max_tokens, room),
        stop=list(sampling.stop),
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


def _finish(reason: str | None) -> Finish:
    return "stop" if reason == "stop" else "length" if reason == "length" else "error"
