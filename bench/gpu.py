"""What a whole run on a GPU is of bare vLLM: `python -m bench.gpu`, for a machine with a GPU, vLLM and no weights.

vLLM runs the architecture of Qwen2.5-7B with random weights, so nothing is fetched: what they write means nothing, but
takes as long. Every prefix of every solution is rolled out, so that prompts share what they do in a real run. Where no
GPU is it says so and ends with 1; `--tiny` takes the same way on the CPU, through two small layers.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models

from bench import saturation, table
from data.arith import world
from pipeline import recipe

END = "<|end|>"
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
STEP = 64  # characters of a step, and tokens: the tokenizer's words are single characters
QWEN_7B = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "hidden_act": "silu",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "eos_token_id": 0,
}
TINY = {
    **QWEN_7B,
    "hidden_size": 128,
    "intermediate_size": 320,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "vocab_size": 2048,
    "torch_dtype": "float32",
}


def model(folder: Path, config: dict[str, Any]) -> Path:
    """Write a model without weights: its configuration, and a tokenizer with one word for each of many characters.

    So whatever random weights write is read again as the tokens it was.
    """
    folder.mkdir(parents=True)
    letters = (chr(code) for code in count(0x20) if not 0x7F <= code < 0xA1 and not 0xD800 <= code < 0xE000)
    words = [END, "\n", *islice(letters, config["vocab_size"] - 2)]
    tokenizer = Tokenizer(models.BPE({word: number for number, word in enumerate(words)}, []))
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([END])
    tokenizer.save(str(folder / "tokenizer.json"))
    named = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "chat_template": TEMPLATE}
    for name, told in (("config", config), ("tokenizer_config", named)):
        (folder / f"{name}.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


def problems(file: Path, number: int) -> Path:
    """Write arith problems as a file of anybody's, so that the usual recipe is taken."""
    rows = [{"problem": one.text, "answer": one.gold} for one in world.problems(None, number)]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return file


def settings(tokens: int, *, gpus: int) -> list[str]:
    """Return what makes random text go through every stage: steps of equal length, each rolled out."""
    return [
        "policy.samples=2",
        f"policy.sampling.max_tokens={tokens}",
        f"split=regex:(?s).{{{STEP}}}",
        "completer.plan=exhaustive",
        "completer.tries=4",
        "completer.spare=0",
        f"completer.sampling.max_tokens={tokens}",
        f"judge.sampling.max_tokens={tokens}",
        "judge.sampling.temperature=1.0",
        "vllm.load_format=dummy",
        f"vllm.context={4096 if gpus else 3072}",
        *(["vllm.dtype=float32"] if not gpus else ["cluster.memory_share=0.45"]),  # two engines on one GPU
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a row a turn and write them down; 1 where there is no GPU."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description="A whole run on a GPU beside bare vLLM.")
    parser.add_argument("--tiny", action="store_true", help="a small architecture on the CPU: does it work at all?")
    parser.add_argument("--problems", type=int, default=64, help="two solutions each (default: 64)")
    parser.add_argument("--tokens", type=int, default=512, help="of every reply (default: 512)")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args(arguments)
    if not options.tiny and not recipe.GPUS.is_dir():
        print(f"no GPU here ({recipe.GPUS} is absent): nothing measured; --tiny tries the same way on the CPU")
        return 1
    gpus = int(not options.tiny)
    with tempfile.TemporaryDirectory(prefix="gpu-") as folder:
        engine = f"vllm:{model(Path(folder) / 'dummy', TINY if options.tiny else QWEN_7B)}"
        dataset = problems(Path(folder) / "problems.jsonl", options.problems)
        told = saturation.compare(str(dataset), engine, settings(options.tokens, gpus=gpus), options.turns, gpus)
    name = "gpu_tiny" if options.tiny else "gpu"
    print(f"median ratio {told['ratio']:.2f}; written to {table.write(name, {**vars(options), **told})}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
