import json
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import SettingError
from stages.split import BLANK, NAMED, Tokens, named, split

SPECS = ["blank", "newline", "sentence", "marker", "tokens:3", "regex:,\\s*"]
PIECES = [
    "a",
    "B. ",
    "e.g. ",
    "3.5",
    "\n",
    "\n\n",
    " ",
    "\t",
    "```",
    "\n```py\n",
    "\n~~~\n",
    "$$",
    "$",
    "\\[",
    "\\]",
    "\\(",
]
PIECES += [
    "\\)",
    "\\begin{align}",
    "\\end{align}",
    "\\\\",
    "Step 1: ",
    "\n### Step 2\n",
    "...",
    "! ",
    "\x00",
    "\u2028",
    "\r\n",
]
HOSTILE = [
    "\n",
    " ",
    "`",
    "```x\n",
    "```\n",
    "$",
    "$a ",
    "\\[",
    "\\(",
    "\\begin{a}",
    "\\end{a}",
    ".",
    ". ",
    "a. ",
    "\\",
]
HOSTILE += ["~~~~", "x", '"', "Step 1: ", "\n \n", "#", "\x00", ".)", "\t", "{", "1. "]


def lossless(text: str, spec: str) -> tuple[str, ...]:
    steps = split(text, named(spec))
    assert "".join(steps) == (text if text.strip() else "")
    assert all(step.strip() for step in steps)
    return steps


@pytest.mark.parametrize("spec", SPECS)
@given(text=st.one_of(st.text(), st.lists(st.sampled_from(PIECES)).map("".join)))
@settings(deadline=None, max_examples=60)
def test_steps_join_to_the_text_and_none_is_blank(spec: str, text: str) -> None:
    lossless(text, spec)


def rows(file: Path) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line)


def solutions(folder: Path) -> Iterator[str]:
    for row in rows(folder / "gsm8k" / "example_model_solutions.jsonl"):
        yield from (made["solution"] for made in row.values() if isinstance(made, dict))
    for name in ("math/math500.jsonl", "math/train.jsonl"):
        yield from (row["solution"] for row in rows(folder / name))
    for name in ("gsm8k", "olympiadbench"):
        yield from ("\n\n".join(row["steps"]) for row in rows(folder / f"processbench/{name}.jsonl"))
    for row in rows(folder / "bon" / "strictprm_math500_n32.jsonl"):
        yield from (made["response"] for made in row["candidates"])


@pytest.mark.slow
@pytest.mark.parametrize("spec", SPECS)
def test_every_real_solution_joins_again(shared_data: Path, spec: str) -> None:
    cut = [len(lossless(text, spec)) for text in solutions(shared_data)]
    assert len(cut) > 20000
    assert max(cut) > 1


def test_some_real_solutions_join_again(shared_data: Path) -> None:
    for text in list(solutions(shared_data))[::100]:
        for spec in SPECS:
            lossless(text, spec)


def test_processbench_steps_come_back_from_blank_lines(shared_data: Path) -> None:
    given = [row["steps"] for row in rows(shared_data / "processbench" / "gsm8k.jsonl")]
    same = sum([step.strip() for step in split("\n\n".join(steps))] == steps for steps in given)
    assert same / len(given) > 0.95


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_line_of_20_kilobytes_ends(spec: str, piece: str) -> None:
    lossless(piece * (20_000 // len(piece)) + " end", spec)


@pytest.mark.parametrize("spec", ["blank", "sentence"])
@pytest.mark.parametrize("piece", ["$$", "```x\n", "~"])
def test_a_hostile_megabyte_ends(spec: str, piece: str) -> None:
    lossless(piece * (1_000_000 // len(piece)) + "` end", spec)


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("text", ["", " ", "\n\n", " \t\r\n \n"])
def test_a_blank_text_has_no_steps(spec: str, text: str) -> None:
    assert split(text, named(spec)) == ()


@pytest.mark.parametrize("spec", SPECS)
def test_a_text_without_separators_is_one_step(spec: str) -> None:
    assert split("  one ", named(spec)) == ("  one ",)


def test_five_hundred_steps() -> None:
    text = "".join(f"Line {number}\n\n" for number in range(500))
    assert len(split(text)) == 500


def test_separators_end_the_step_they_follow() -> None:
    assert split("\n\n a\n \n\n b\r\n\r\nc\n\n") == ("\n\n a\n \n\n", " b\r\n\r\n", "c\n\n")
    assert split("a\n\n b\nc", NAMED["newline"]) == ("a\n\n", " b\n", "c")


@pytest.mark.parametrize(
    "guarded",
    [
        "```python\nx\n\ny\n```",
        "~~~\nx\n\n```\n~~~",
        "````\n```\n\n```\n````",
        "\\[\nx.\n\nStep 1: y\n\\]",
        "$$\nx. y\n\nz\n$$",
        "\\begin{align*}\na &= b\n\n\\end{align*}",
        "\\begin{array}{c}\n\n\\begin{array}{c}\n\n\\end{array}\n\n\\end{array}",
    ],
)
@pytest.mark.parametrize("spec", ["blank", "newline", "sentence", "marker"])
def test_closed_code_and_display_maths_stay_whole(spec: str, guarded: str) -> None:
    steps = split(f"Step 1: before\n\n{guarded}\n\nStep 2: after", named(spec))
    assert sum(guarded in step for step in steps) == 1
    assert len(steps) > 1


@pytest.mark.parametrize("opener", ["```", "\\[", "$$", "\\begin{align}", "\\begin{itemize}\\end{itemize}"])
def test_what_is_never_closed_protects_nothing(opener: str) -> None:
    assert split(f"a\n\n{opener}\nx\n\ny") == ("a\n\n", f"{opener}\nx\n\n", "y")


def test_an_unclosed_bracket_does_not_reach_into_the_next_one() -> None:
    assert split("\\[ a\n\nb \\[ c\n\n\\] d\n\ne") == ("\\[ a\n\n", "b \\[ c\n\n\\] d\n\n", "e")


def test_line_breaks_of_latex_open_nothing() -> None:
    assert split("a \\\\[2ex]\n\nb \\]") == ("a \\\\[2ex]\n\n", "b \\]")


@pytest.mark.parametrize(
    "sentence",
    [
        "It is 3.14 exactly.",
        "Use primes, e.g. 2 or 3.",
        "The rest, i.e. five, is odd.",
        "Ask Dr. A. B. Smith et al.",
        "Wait ... what?",
        "So $a. b! c$ holds.",
        "So \\(a. b\\) holds!",
        "As 5! = 120, we stop.",
        "1. Take the first.",
    ],
)
def test_a_sentence_is_not_cut_inside(sentence: str) -> None:
    steps = split(f"We begin. {sentence} We end.", NAMED["sentence"])
    assert steps == ("We begin. ", f"{sentence} ", "We end.")


def test_prices_are_not_inline_maths() -> None:
    assert split("It costs $5. He paid $6. Done.", NAMED["sentence"]) == ("It costs $5. ", "He paid $6. ", "Done.")


def test_sentences_keep_their_closing_quotes_and_end_at_blank_lines() -> None:
    assert split('He said "Yes." Why?! No stop\n\nEnd', NAMED["sentence"]) == (
        'He said "Yes." ',
        "Why?! ",
        "No stop\n\n",
        "End",
    )


def test_numbered_lists_stay_with_their_text() -> None:
    assert split("1. One. 2. Two.\n3. Three.", NAMED["sentence"]) == ("1. One. ", "2. Two.\n", "3. Three.")


def test_markers_start_steps_in_every_dress_but_not_in_a_sentence() -> None:
    text = "Intro\nStep 1: a\nby Step 1: b\nstep 2. c\n### Step 3\nd\n**Step 4:** e\n## **Step 5** f\nStep by step\n"
    assert split(text, NAMED["marker"]) == (
        "Intro\n",
        "Step 1: a\nby Step 1: b\n",
        "step 2. c\n",
        "### Step 3\nd\n",
        "**Step 4:** e\n",
        "## **Step 5** f\nStep by step\n",
    )


def test_tokens_are_counted() -> None:
    assert split("a b, c d", named("tokens:2")) == ("a b", ", c ", "d")
    assert split("abcdef", Tokens(2, lambda text: range(len(text)))) == ("ab", "cd", "ef")


def test_a_callers_tokenizer_may_repeat_and_overshoot() -> None:
    assert split("abcd", named("tokens:1", lambda _: [0, 2, 2, 1, 9])) == ("ab", "cd")


def test_a_pattern_of_no_width_cuts_where_it_stands() -> None:
    assert split("a;b;c", named("regex:;")) == ("a;", "b;", "c")
    assert split("Aa Bb Cc", named("regex:(?=[A-Z])")) == ("Aa ", "Bb ", "Cc")


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("blnk", "'blank'"),
        ("Sentence", "'sentence'"),
        ("token:5", "'tokens'"),
        ("newlines", "'newline'"),
        ("", "there are blank, newline"),
        ("paragraph", "there are blank, newline"),
        ("tokens:0", "above 0"),
        ("tokens:-1", "above 0"),
        ("tokens:\u0663", "above 0"),
        ("tokens", "above 0"),
        ("regex:", "takes a pattern"),
        ("regex:(", "not a regular expression"),
        ("blank:2", "'blank'"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_nearest_right_one(spec: str, told: str) -> None:
    with pytest.raises(SettingError, match=re.escape(told)):
        named(spec)


@pytest.mark.parametrize("spec", SPECS)
def test_splitters_travel_between_processes(spec: str) -> None:
    assert pickle.loads(pickle.dumps(named(spec))) == named(spec)  # noqa: S301 - our own bytes


def test_blank_lines_are_the_default() -> None:
    assert split("a\n\nb") == split("a\n\nb", BLANK) == split("a\n\nb", named("blank"))
