"""Writes a trained model in the two forms that are committed: Hugging Face (float16) and CTranslate2."""

import subprocess
import sys
from pathlib import Path

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast, Qwen2ForCausalLM

from pipeline.model.vocabulary import CHAT_TEMPLATE


def export(weights: Qwen2ForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Write `folder` (config, safetensors, tokenizer with chat template) and its `ct2/`."""
    half = Qwen2ForCausalLM(weights.config)
    half.load_state_dict(weights.state_dict())
    half.half().save_pretrained(folder)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|end|>",  # noqa: S106 - the name of a token, not a password
        pad_token="<|end|>",  # noqa: S106 - as above
        unk_token="<unk>",  # noqa: S106 - as above
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)
    converter = Path(sys.executable).with_name("ct2-transformers-converter")
    command: list[str | Path] = [
        converter,
        "--model",
        folder,
        "--output_dir",
        folder / "ct2",
        "--quantization",
        "float16",
        "--force",
    ]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own environment's program
