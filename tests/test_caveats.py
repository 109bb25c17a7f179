"""What a card says of benchmarks: what a source was freed of, what it was not, and that nobody looked."""

import pytest

from pipeline import recipe
from pipeline.publish import caveats


@pytest.mark.parametrize(
    ("source", "data", "said", "unsaid"),
    [
        ("gsm8k", {}, ["not looked up in any benchmark"], ["left out"]),
        (
            "gsm8k",
            {"against": {"math500": 500, "omnimath": None}, "contaminated": 1234},
            ["are in `math500` were left out (1,234 rows)", "**Nothing was left out for being in `omnimath`**"],
            ["not looked up"],
        ),
        ("mine.jsonl", {"against": {"omnimath": None}}, ["for being in `omnimath`"], ["were left out"]),
        ("arith", {}, [], ["benchmark"]),
    ],
)
def test_benchmarks(source: str, data: dict[str, object], said: list[str], unsaid: list[str]) -> None:
    told = "\n".join(caveats.of(recipe.read(source), data))
    assert all(part in told for part in said), told
    assert not any(part in told for part in unsaid), told
