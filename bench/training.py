"""A few steps of TRL's PRM trainer on an exported file, with a tiny random Qwen2; run by bench/trl.py in build/trl.

`python -m bench.training FILE TOKENIZER MAX_LENGTH STEPS` prints one line of JSON: label positions that the trainer
made, how many are right, losses, versions. Imports nothing of this project, which is not installed there.
"""

import json
import sys
import tempfile

import datasets
import torch
import transformers
import trl
from trl.experimental.prm import PRMConfig, PRMTrainer


def main(file: str, tokenizer: str, most: int, steps: int) -> None:
    """Train, and print what was seen."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    words = transformers.PreTrainedTokenizerFast(tokenizer_file=tokenizer, eos_token="<|end|>", pad_token="<|end|>")  # noqa: S106 - names of tokens
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.Qwen2Config(
        vocab_size=len(words), num_key_value_heads=2, num_labels=2, pad_token_id=words.pad_token_id, **shape
    )
    model = transformers.AutoModelForTokenClassification.from_config(config)
    rows = datasets.Dataset.from_parquet(file)
    with tempfile.TemporaryDirectory() as out:
        settings = PRMConfig(
            output_dir=out,
            max_length=most,
            max_steps=steps,
            per_device_train_batch_size=8,
            learning_rate=3e-3,
            logging_steps=1,
            report_to=[],
            save_strategy="no",
            use_cpu=True,
            bf16=False,
            disable_tqdm=True,
        )
        trainer = PRMTrainer(model=model, args=settings, train_dataset=rows, processing_class=words)
        labels = [label for row in trainer.train_dataset for label in row["labels"] if label != -100]
        trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    share = max(len(losses) // 5, 1)
    told = {
        "positions": len(labels),
        "right": sum(labels),
        "loss, first fifth": round(sum(losses[:share]) / share, 3),
        "loss, last fifth": round(sum(losses[-share:]) / share, 3),
        "trl": trl.__version__,
        "transformers": transformers.__version__,
        "torch": torch.__version__,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
