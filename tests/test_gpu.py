"""The bench of a GPU where there is none: it says so, and what it makes up can be read again."""

import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from bench import gpu
from data import sources
from pipeline import recipe
from stages.split import named, split


def test_without_a_gpu_nothing_is_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(recipe, "GPUS", Path("/nowhere"))
    assert gpu.main([]) == 1
    assert "no GPU here" in capsys.readouterr().out


@pytest.mark.parametrize("config", [gpu.TINY, gpu.QWEN_7B], ids=["tiny", "7b"])
def test_whatever_is_written_is_read_again_as_the_tokens_it_was(tmp_path: Path, config: dict[str, int]) -> None:
    tokenizer = Tokenizer.from_file(str(gpu.model(tmp_path / "model", config) / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == config["vocab_size"]
    written = random.Random(0).choices(range(1, config["vocab_size"]), k=1000)
    assert tokenizer.encode(tokenizer.decode(written), add_special_tokens=False).ids == written
    assert len(split(tokenizer.decode(written[:512]), named(f"regex:(?s).{{{gpu.STEP}}}"))) == 512 / gpu.STEP


def test_its_problems_and_settings_are_those_of_a_run(tmp_path: Path) -> None:
    file = gpu.problems(tmp_path / "problems.jsonl", 3)
    assert len(sources.load(str(file)).problems) == 3
    roles = [f"{role}.engine=vllm:dummy" for role in ("policy", "completer", "judge")]
    chosen = recipe.read(str(file), None, [*gpu.settings(64, gpus=1), *roles])
    recipe.check(chosen, sampled=True)
    assert chosen.vllm_for("dummy").load_format == "dummy"
