"""Decontamination: what is also in an evaluation set is found, however it is written, and what is not is left."""

import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from data import normal
from data.decontaminate import LEAST, RUN, Index
from data.records import Problem
from data.sources import load

LONG = (
    r"Let $x$ and $y$ be real numbers with $x \le 1,000$ and $\frac{x}{y} = \frac{3}{4}$. What is the largest value "
    r"that \[\left( x + \frac{1}{2} \right)^{2} - \pi y\] can have? Give your answer as a fraction of two integers."
)
STORY = "Ann has 14 coins. Ben has 3 more than Ann, and half of them are gold. How many gold coins does Ben have?"
SHORT = r"Compute $\sin 45^\circ$."

WRITINGS: dict[str, Callable[[str], str]] = {
    "as it stands": str,
    "spaces": lambda text: "  " + re.sub(r" ", "  \n ", text) + "\n",
    "upper case": lambda text: re.sub(r"(?<![\\a-zA-Z])[a-zA-Z]+", lambda word: word[0].upper(), text),
    "other dollars": lambda text: re.sub(r"\$([^$]*)\$", r"\\(\1\\)", text),
    "no dollars": lambda text: text.replace("$", ""),
    "display style": lambda text: re.sub(r"\$([^$]*)\$", r"$\\displaystyle \1$", text),
    "dfrac": lambda text: text.replace(r"\frac", r"\dfrac"),
    "no left and right": lambda text: re.sub(r"\\(left|right)(?![a-z])", "", text),
    "spacing commands": lambda text: text.replace("=", r"\;=\,").replace("$$", "$$"),
    "other names": lambda text: re.sub(r"\\(le|ge|ne)(?![a-z])", r"\\\1q", text).replace(r"\le\q", r"\leq"),
    "signs": lambda text: re.sub(r"\\pi(?![a-z])", "π", re.sub(r"\\le(?![a-z])", "≤", text)).replace("-", "\u2212"),
    "full width": lambda text: text.translate({ord("0") + n: 0xFF10 + n for n in range(10)}),
    "no full stops": lambda text: re.sub(r"[.?!:;](?=\s|$)", "", text),
    "curly quotes": lambda text: text.replace("'", "\u2019").replace('"', "\u201d"),
    "ties": lambda text: text.replace(" ", "~"),
    "no braces": lambda text: re.sub(r"\^\{(\w)\}", r"^\1", text),
}
WRAPPED = "Solve the following problem with care.\n\n{}\n\nPut your final answer within \\boxed{{}}."


def index(*texts: str, name: str = "bench") -> Index:
    made = Index()
    made.add(name, [Problem(f"n{number}", name, text, None) for number, text in enumerate(texts)])
    return made


@pytest.mark.parametrize("writing", WRITINGS)
@pytest.mark.parametrize("text", [LONG, STORY, SHORT])
def test_another_writing_is_the_same_problem(text: str, writing: str) -> None:
    written = WRITINGS[writing](text)
    assert normal.form(written) == normal.form(text)
    found = index("Another one.", text).find(written)
    assert found
    assert found.id == "n1"


@pytest.mark.parametrize("text", [LONG, STORY])
def test_a_problem_inside_a_longer_text_is_found(text: str) -> None:
    assert index(text).find(WRAPPED.format(WRITINGS["spaces"](text)))


def test_a_word_changed_does_not_hide_a_long_problem() -> None:
    words = LONG.split()
    for number in range(len(words)):
        if not any(sign.isdigit() for sign in words[number]):
            changed = " ".join([*words[:number], "changed", *words[number + 1 :]])
            assert index(LONG).find(changed), words[number]


def test_other_numbers_make_another_problem() -> None:
    assert not index(STORY).find(STORY.replace("14", "15"))
    assert not index(LONG).find(LONG.replace(r"\frac{3}{4}", r"\frac{3}{5}"))


@pytest.mark.parametrize(
    ("held", "text"),
    [
        (SHORT, r"Compute $\sin 45^\circ + \cos 45^\circ$."),
        (r"What is $2 + 3$?", r"What is $2 - 3$?"),
        (STORY, "Ann has 14 coins. Ben has 3 more than Ann. How many do they have together?"),
        (LONG, "Give your answer as a fraction of two integers."),
        ("", ""),
    ],
)
def test_what_is_only_alike_is_left(held: str, text: str) -> None:
    assert not index(held or "x").find(text)


def test_phrases_that_many_problems_share_are_no_evidence() -> None:
    ending = "Enter all the solutions in increasing order and separated by commas as a list"
    made = index(*(f"Solve {'x' * n} for {'y' * n}. {ending}" for n in range(1, 60)))
    assert not made.find(f"Find all zeros of the function. {ending}")


def test_a_problem_of_several_sets_is_told_with_all() -> None:
    made = index(STORY)
    made.add("other", [Problem("o7", "other", WRITINGS["spaces"](STORY), None)])
    assert str(made.find(STORY)).startswith("bench, other: n0: Ann has 14 coins.")
    assert len(made.held) == 1


def test_a_figure_may_be_missing_where_enough_is_left() -> None:
    figure = "[asy] draw((0,0)--(3,4)--(5,6)); label((1,2)); [/asy]"
    assert index(f"{LONG} {figure}").find(LONG)
    assert index(LONG).find(f"{figure}{LONG}")
    assert not index(f"What is the area of the shaded part? {figure}").find("What is the area of the shaded part?")
    assert normal.without_figures("[asy]" * 50_000).count("[asy]") == 0


@pytest.mark.parametrize(
    "hostile",
    ["{" * 100_000, "\\" * 100_000, "\\frac1" * 20_000, "9" * 100_000, ",000" * 30_000, "ﷺ" * 10_000, "\ud800"],
)
def test_any_text_has_a_normal_form(hostile: str) -> None:
    assert not index(STORY).find(hostile)


def test_normal_forms_keep_what_makes_a_problem() -> None:
    pairs = [
        ("x+1", "x-1"),
        ("(a+b)c", "a+bc"),
        (r"\frac{11}{2}", r"\frac{1}{12}"),
        ("5!", "5"),
        (".5", "5"),
        ("1.5", "15"),
        ("Find f'(2).", "Find f(2)."),
        ("f'(2)", "f''(2)"),
        ("Find $y'$", "Find $y$"),
        ("line AA'", "line AA"),
        ("triangle A'B'C'", "triangle ABC"),
        (r"\alpha' + 1", r"\alpha + 1"),
        ("(fg)'", "(fg)"),
        ("a 6' pole", "a 6 pole"),
    ]
    for one, other in [*pairs, (r"\sin x", r"\cos x"), ("a \\le b", "a < b"), ("x_1", "x^1")]:
        assert normal.form(one) != normal.form(other), (one, other)
    same = [
        (r"\frac12", r"\tfrac{1}{2}"),
        ("1,000", "1{,}000"),
        ("1000", r"1\,000"),
        ("\u201cit\u201d", "``it''"),
        ("f'(2)", "f\u2019(2)"),
        ("f''(2)", "f\u2033(2)"),
        ("f'(2)", r"f^{\prime}(2)"),
        ("f''(2)", r"f^{\prime\prime} (2)"),
        ("f'(2)", r"f^{'}(2)"),
        ("the letter 'A'", '"the letter" "A"'),
        ("``the letter A''", "the letter \u2018A\u2019"),
        ("Ann's 3 x's, the boys' hats", "Ann s 3 x s, the boys hats"),
    ]
    for one, other in same:
        assert normal.form(one) == normal.form(other), (one, other)


# Real problems --------------------------------------------------------------------------------------------------------


def texts(path: Path, column: str) -> list[str]:
    return [json.loads(line)[column] for line in path.read_text(encoding="utf-8").strip().split("\n")]


def test_every_planted_problem_of_real_sets_is_found(shared_data: Path) -> None:
    """Each of 1,819 evaluation problems in another writing, and inside a longer text where it has words enough."""
    held = texts(shared_data / "math" / "math500.jsonl", "problem")
    held += texts(shared_data / "gsm8k" / "test.jsonl", "question")
    made = index(*held)
    writings = list(WRITINGS.values())
    missed = [text for n, text in enumerate(held) if not made.find(writings[n % len(writings)](text))]
    assert missed == []
    long = [text for text in held if len(normal.words(normal.tokens(text))) >= RUN]
    assert len(long) > 0.97 * len(held)
    assert [text for text in long if not made.find(WRAPPED.format(text))] == []


def test_what_is_planted_in_a_training_set_is_left_out_of_it(shared_data: Path, tmp_path: Path) -> None:
    benches = [shared_data / "math" / "math500.jsonl", shared_data / "gsm8k" / "test.jsonl"]
    held = texts(benches[0], "problem")[::5] + texts(benches[1], "question")[::13]
    writings = list(WRITINGS.values())
    rows = [{"id": f"planted-{n}", "problem": writings[n % len(writings)](text)} for n, text in enumerate(held)]
    rows += [{"id": f"own-{n}", "problem": text} for n, text in enumerate(train(shared_data)[:1000])]
    file = tmp_path / "mixed.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in random.Random(0).sample(rows, len(rows))))
    loaded = load(str(file), against=[str(bench) for bench in benches])
    assert not [problem.id for problem in loaded.problems if problem.id.startswith("planted")]
    assert len(loaded.problems) > 990
    left = {reject.id: reject.match for reject in loaded.rejects}
    assert all((left[f"planted-{n}"] or "").startswith(("math500.jsonl: ", "test.jsonl: ")) for n in range(len(held)))
    assert loaded.facts["contaminated"] == len(rows) - len(loaded.problems)


def train(shared_data: Path) -> list[str]:
    return texts(shared_data / "math" / "train.jsonl", "problem")


def test_training_sets_are_hardly_taken_for_evaluation_sets(shared_data: Path) -> None:
    """What docs/datasets.md says of them: none of GSM8K; of MATH, twins of problems in MATH-500."""
    gsm8k = index(*texts(shared_data / "gsm8k" / "test.jsonl", "question"))
    assert not any(gsm8k.find(text) for text in texts(shared_data / "gsm8k" / "train.jsonl", "question")[:2000])
    math500 = index(*texts(shared_data / "math" / "math500.jsonl", "problem"))
    found = [text for text in train(shared_data)[:2500] if math500.find(text)]
    assert len(found) < 0.004 * 2500
    assert LEAST == 13
