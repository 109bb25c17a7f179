"""The datasets known by name: where they lie, at which commit, which columns they have, and what they are for.

Every Hub dataset is pinned. `evaluation` marks what models are measured on: nothing may be trained on it, and the
training sets here are freed of it. MATH-500 is a part of MATH's test split, as is ProcessBench's `math`; of `math`,
the train split, neither is a part.
"""

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from data.columns import Names
from data.records import Problem


@dataclass(frozen=True, slots=True)
class Hub:
    """A dataset of the Hub: several configurations are read one after another, several splits joined by a plus.

    A gold answer that is one of `blanks` is none.
    """

    name: str
    revision: str | None = None
    configs: tuple[str | None, ...] = (None,)
    split: str = "train"
    columns: Mapping[str, Names] = field(default_factory=dict)
    evaluation: bool = False
    blanks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Made:
    """Problems made on the spot by `make(count, seed)`; `count` where the user gives no limit."""

    make: Callable[[int, int], Iterable[Problem]]
    count: int


def _arith(count: int, seed: int) -> Iterable[Problem]:
    made: Iterable[Problem] = importlib.import_module("data.arith.world").problems(None, count, start=seed * 1_000_000)
    return made


def _scripted(count: int, seed: int) -> Iterable[Problem]:
    made: Iterable[Problem] = importlib.import_module("data.scripted").problems(count, seed)
    return made


_GSM8K: Final = "openai/gsm8k", "740312add88f781978c0658806c59bc2815b9866", ("main",)
_MATH: Final = "EleutherAI/hendrycks_math", "21a5633873b6a120296cce3e2df9d5550074f4a3"
_SUBJECTS: Final = (
    *("algebra", "counting_and_probability", "geometry", "intermediate_algebra"),
    *("number_theory", "prealgebra", "precalculus"),
)
_ASKED: Final = {"problem": "question", "gold": "answer"}
_PLAIN: Final = {"problem": "problem", "gold": "answer"}
_WORKED: Final = {"problem": "problem", "gold": "solution"}
_BENCHES: Final = "gsm8k+math+olympiadbench+omnimath"

TABLE: dict[str, Hub | Made] = {
    "arith": Made(_arith, 500),
    "scripted": Made(_scripted, 500),
    "gsm8k": Hub(*_GSM8K, "train", _ASKED),
    "math": Hub(*_MATH, _SUBJECTS, "train", {**_WORKED, "level": "level"}),
    "numinamath": Hub(
        "AI-MO/NuminaMath-1.5",
        "1b05109f9e5c1ad06c0663519502416c30b300f8",
        columns=_PLAIN,
        blanks=frozenset({"proof", "notfound"}),
    ),
    "numinamath_cot": Hub(
        "AI-MO/NuminaMath-CoT", "9d8d210c9f6a36c8f3cd84045668c9b7800ef517", columns={**_WORKED, "solutions": ""}
    ),
    "deepscaler": Hub(
        "agentica-org/DeepScaleR-Preview-Dataset", "b6ae8c60f5c1f2b594e2140b91c49c9ad0949e29", columns=_PLAIN
    ),
    "bigmath": Hub(
        "SynthLabsAI/Big-Math-RL-Verified",
        "c75d2f117cddfecb6bd08756e61e508e59732b21",
        columns={**_PLAIN, "pass_rate": "llama8b_solve_rate"},
    ),
    "gsm8k_test": Hub(*_GSM8K, "test", _ASKED, evaluation=True),
    "math_test": Hub(*_MATH, _SUBJECTS, "test", {**_WORKED, "level": "level"}, evaluation=True),
    "math500": Hub(
        "HuggingFaceH4/MATH-500",
        "6e4ed1a2a79af7d8630a6b768ec859cb5af4d3be",
        split="test",
        columns={**_PLAIN, "id": "unique_id", "level": "level"},
        evaluation=True,
    ),
    "olympiadbench": Hub(
        "Hothan/OlympiadBench",
        "91184b52131e7fc9455fef848035173aea8cc01a",
        ("OE_TO_maths_en_COMP",),
        columns={"problem": "question", "gold": "final_answer", "id": "id"},
        evaluation=True,
    ),
    "omnimath": Hub(
        "KbsdJames/Omni-MATH",
        "40ba231d8f16e29ecd40e6407e2c8640145a8f62",
        split="test",
        columns={**_PLAIN, "level": "difficulty"},
        evaluation=True,
    ),
    "aime24": Hub(
        "HuggingFaceH4/aime_2024",
        "2fe88a2f1091d5048c0f36abc874fb997b3dd99a",
        columns={**_PLAIN, "id": "id"},
        evaluation=True,
    ),
    "amc23": Hub(
        "math-ai/amc23",
        "80815d37005feb82cd7f8fbc6901d5d3eff43057",
        split="test",
        columns={**_ASKED, "id": "id"},
        evaluation=True,
    ),
    "processbench": Hub(
        "Qwen/ProcessBench", "3bdcd5371ed567559a78f559c01c13a6deee7604", split=_BENCHES, evaluation=True
    ),
    "prmbench": Hub(
        "hitsmy/PRMBench_Preview",
        "5cc7683d0ae5797f84d7aeac0607966f277c39e1",
        columns={"problem": "original_question", "id": "", "solutions": ""},
        evaluation=True,
    ),
}

EVALUATION: Final = tuple(name for name, entry in TABLE.items() if isinstance(entry, Hub) and entry.evaluation)
