import asyncio
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.grading import load
from bench.pairs import HOSTILE
from data.records import Outcome
from pipeline import grading
from pipeline.grading import Grader
from stages.answers import normal
from stages.exact.certain import decide
from stages.exact.reading import read

quickly = settings(max_examples=50, deadline=None)

EQUAL = [
    ("\\textbf{(B)}\\ \\frac{7}{54}", "B"),
    ("(B)", "\\text{(B) } \\left(\\frac12, \\frac23\\right]"),
    ("\\textbf{(B)}~7", "7"),
    ("1/2", "$\\mathrm{(C)}\\ \\frac{1}{2}$"),
    ("\\textbf{(D)}~3", "\\textbf{(D)}"),
    ("1,000", "1000"),
    ("1{,}000", "1,000"),
    ("11,\\! 111,\\! 111", "11111111"),
    ("1 000", "1000"),
    ("$26$", "26"),
    ("\\$18.00", "18"),
    ("$18", "\\$18"),
    ("0.5", "\\frac{1}{2}"),
    ("1/2", "\\dfrac12"),
    ("1 1/2", "1.5"),
    ("\\frac{-2}{4}", "-\\frac{1}{2}"),
    ("26.", "26"),
    ("50\\%", "50%"),
    ("50\\%", "0.5"),
    ("10\\%", "10"),
    ("\u22123", "-3"),
    (".5", "0.50"),
    ("3\\times10^8", "3e8"),
    ("0.001", "1e-3"),
    ("2^{10}", "1024"),
    ("2^3", "8"),
    ("3!", "6"),
    ("\\binom{5}{2}", "10"),
    ("\\sqrt{8}", "2\\sqrt2"),
    ("\\frac{1}{\\sqrt{3}}", "\\frac{\\sqrt{3}}{3}"),
    ("\\frac{1}{1+\\sqrt2}", "\\sqrt2-1"),
    ("\\sqrt[3]{27}", "3"),
    ("\\frac{\\pi}{2}", "\\pi/2"),
    ("\\frac{104^\\circ}{4}", "26^{\\circ}"),
    ("90\u00b0", "90"),
    ("\\sin 30^\\circ", "1/2"),
    ("\\cos 15^\\circ", "\\frac{\\sqrt6+\\sqrt2}{4}"),
    ("4\\sin 80^\\circ-\\tan 80^\\circ", "-\\sqrt3"),
    ("\\frac{1+i}{1-i}", "i"),
    ("x^2-1", "(x-1)(x+1)"),
    ("\\frac{x^2-1}{x+1}", "x-1"),
    ("\\frac{1}{x+1}+\\frac{1}{x-1}", "\\frac{2x}{x^2-1}"),
    ("2ab", "2ba"),
    ("e^{2t}/3", "\\frac{1}{3}e^{2t}"),
    ("x=5", "5"),
    ("5", "x=5"),
    ("\\frac{3}{20} = 0.15", "0.15"),
    ("5x - 7y = 4", "10x - 14y - 8 = 0"),
    ("5 cm", "5"),
    ("12\\text{ cm}^2", "12 \\text{ square centimeters}"),
    ("1 hour", "60 minutes"),
    ("5 \\text{ cents}", "\\$0.05"),
    ("12\\text{th}", "12"),
    ("\\left( 3, \\frac{\\pi}{2} \\right)", "(3,\\frac{\\pi}{2})"),
    ("\\{2, 1\\}", "\\{1,2\\}"),
    ("3+\\sqrt2, 3-\\sqrt2", "3 \\pm \\sqrt{2}"),
    ("1, 2 \\text{ and } 3", "1,2,3"),
    ("[2,\\infty]", "[2,\\infty)"),
    ("(-\\infty, 2) \\cup (3, 4]", "(3,4]\\cup(-\\infty,2)"),
    ("\\begin{pmatrix} 0.5 \\\\ -3 \\end{pmatrix}", "\\begin{bmatrix} 1/2 \\\\ -3 \\end{bmatrix}"),
    ("11_3", "11_{3}"),
    ("\\text{Evelyn}", "evelyn"),
    ("(C)", "\\text{C}"),
    ("C", "(C) Cecile"),
    ("5 p.m.", "5 PM"),
    ("\\boxed{2}, \\boxed{3}", "2,3"),
    ("2\\frac{3}{4}", "2\\frac{3}{4} "),
    ("f(x)=x^2-1", "f(x) = (x-1)(x+1)"),
    ("9^{9^{9}}", "9^{387420489} + 1 - 1"),
    ("1^{(2^{235423523})} = 1", "1"),
    ("x^{100}+1", "1+x^{100}"),
    ("x \\le 5", "5 \\geq x"),
    ("-2 < x \\leq 3", "(-2, 3]"),
    ("x > 4", "(4, \\infty)"),
    ("x \\geq \\frac12", "[0.5, \\infty)"),
    ("x<=2", "x \\leq 2"),
]
DIFFERENT = [
    ("5", "-5"),
    ("1/3", "0.33"),
    ("1,000", "1.000"),
    ("2.5", "2"),
    ("9" * 40, "9"),
    ("\\sqrt2", "\\sqrt3"),
    ("\\frac{17+\\sqrt{177}}{2}", "4"),
    ("\\sqrt{\\frac{17+\\sqrt{177}}{2}}", "4"),
    ("\\frac{12}{\\sqrt[3]{52}}", "6"),
    ("\\pi", "22/7"),
    ("3.2", "\\pi"),
    ("2-3i", "6-5i"),
    ("3R^2", "R^2+\\frac{a^2+b^2}{4}"),
    ("2^n", "2n"),
    ("\\frac{1-\\sin x}{\\cos x}", "\\cot x"),
    ("y=2x+3", "y=3x+2"),
    ("x=5", "6"),
    ("\\sin(\\frac{1}{2x/3+1})", "\\sin(\\frac{1/2}{3x+1})"),
    ("\\frac{1}{x+1}+\\frac{1}{x-1}", "\\frac{2}{2x}"),
    ("5x - 7y = 4", "5x - 7y = -4"),
    ("40 \\text{ miles}", "36"),
    ("1 hour", "61 minutes"),
    ("90^\\circ", "30"),
    ("\\$5", "5 \\text{ cents}"),
    ("10\\%", "20"),
    ("(1,2)", "(2,1)"),
    ("(1,2)", "(1,2,3)"),
    ("(0,1]", "(0,1)"),
    ("[-\\sqrt3,\\sqrt3]", "(-\\sqrt3,\\sqrt3)"),
    ("\\frac{\\pi(k^2+1)}{8k}", "\\frac12"),
    ("(-\\infty, 2) \\cup (2, 3)", "(-\\infty, 3)"),
    ("\\{1,2\\}", "\\{1,3\\}"),
    ("1,2", "1,2,3"),
    ("5", "3, 5, 7"),
    ("2", "(3,4]"),
    ("\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}", "\\begin{pmatrix} 2 \\\\ 1 \\end{pmatrix}"),
    ("11_3", "11_4"),
    ("12", "11_3"),
    ("5pm", "5am"),
    ("A", "(B)"),
    ("\\textbf{(A)}\\ \\frac{7}{54}", "B"),
    ("\\textbf{(A)}~\\sqrt{7}", "\\textbf{(C)}~\\sqrt{7}"),
    ("\\textbf{(A)}~7", "8"),
    ("odd", "\\text{even}"),
    ("\\text{No solution}", "1, 2"),
    ("\\infty", "76"),
    ("2\\frac{3}{4}", "137 \\frac{1}{2}"),
    ("f(x) = x^2", "f(x) = x^3"),
    ("f(x) = 2", "3"),
    ("x^{100}", "x^{101}"),
    ("0 \\leq \\lambda \\leq 4", "(3,4]"),
    ("0 \\leq \\lambda \\leq 4", "(0,4)"),
    ("x < 2", "x > 2"),
    ("x < 2", "y \\leq 2"),
    ("x^2 + y^2 + z^2 \\leq 36", "288 \\pi"),
    ("\\text{A sphere with radius 6}", "288 \\pi"),
    ("ellipsoid", "\\sqrt{2}"),
]
OPEN = [
    ("0.333333", "1/3"),  # may be a rounding
    ("1/0", "5"),
    ("1/2x", "x/2"),  # read both ways
    ("\\sin x/2", "\\frac{\\sin x}{2}"),
    ("x^10", "10"),
    ("2e-3", "0.002"),
    ("1\\frac12", "3/2"),
    ("f(2)", "2f"),
    ("f(2)", "x"),
    ("f(x, 2)", "5"),
    ("2\\frac{3}{4}", "\\frac{3}{2}"),
    ("2\\frac{5}{3}", "\\frac{10}{3}"),
    ("1\\frac12 f(2)", "7"),  # too many ways to read
    ("x \\geq 5", "5"),
    ("0 < x < 1", "(0,1)"),  # which may be a point
    ("0 < x < 1", "0 < y < 1"),
    ("x < 3, x > 1", "(1,3)"),
    ("0 < x > 1", "(1,\\infty)"),
    ("1 < x = y", "y"),
    ("\\pm x < 1", "(-1,1)"),
    ("3 < x < 1", "\\{\\}"),
    ("9^{9^{9}}", "9^{387420488}"),
    ("\\text{two pi}", "2\\pi"),
    ("\\text{about 905 cubic}", "288\\pi"),
    ("\\text{golden ratio}", "\\frac{1+\\sqrt5}{2}"),
    ("\\text{A}", "\\sqrt2"),  # may be a choice
    ("\\textbf{(A)}", "\\sqrt2"),
    ("ellipsoid", "2"),
    ("2**3", "23"),
    ("1 2", "12"),
    ("1, 234", "1234"),  # commas of several kinds
    ("1,23", "123"),
    ("0,5", "0.5"),
    ("(1,234)", "1234"),
    ("1,2", "2,1"),  # the order may matter
    ("[2,1]", "(2,1)"),
    ("5 m", "5"),  # letters may be units, choices, other letters or any integer
    ("5\\text{ apples}", "5"),
    ("500 \\text{ cm}", "5"),
    ("5 \\text{ million}", "5"),
    ("39", "C"),
    ("2n", "2k"),
    ("\\frac{\\pi}{6}+k\\pi", "\\frac{7\\pi}{6}+k\\pi"),
    ("Ce^{2t}", "2Ce^{2t}"),
    ("12", "12_5"),
    ("\\text{no solution}", "0"),
    ("e\\pi", "8.5397342"),
    ("\\pm 1 \\pm 2", "\\pm 3"),
    ("", ""),
    ("$", "."),
    ("\u0665", "5"),
    ("5\u200b", "5"),
    ("nan", "5"),
    ("\\infty-\\infty", "0"),
    ("2x = 10", "5"),
    ("x = 2, y = 3", "2"),
    ("42 \\text{ baps} = 40 \\text{ daps}", "40"),
]


@pytest.mark.parametrize(("ours", "theirs"), EQUAL)
def test_certainly_equal(ours: str, theirs: str) -> None:
    assert decide(ours, theirs) == decide(theirs, ours) == "equal"


@pytest.mark.parametrize(("ours", "theirs"), DIFFERENT)
def test_certainly_different(ours: str, theirs: str) -> None:
    assert decide(ours, theirs) == decide(theirs, ours) == "different"


@pytest.mark.parametrize(("ours", "theirs"), OPEN)
def test_what_is_not_certain_is_left_open(ours: str, theirs: str) -> None:
    assert decide(ours, theirs) is None
    assert decide(theirs, ours) is None


def test_an_equation_that_is_the_gold_answer_is_not_its_right_side() -> None:
    assert decide("y=2x+3", "2x+3") == "equal"
    assert decide("2x+3", "y=2x+3") is None
    assert decide("f(x) = 2x + 3", "2x+3") == "equal"
    assert decide("2x+3", "f(x) = 2x + 3") is None
    assert decide("P(x) = (x-1)(x-4)Q_1(x) + x - 7", "15") == "different"


@quickly
@given(st.fractions(), st.fractions())
def test_fractions_compare_exactly(ours: Fraction, theirs: Fraction) -> None:
    assert decide(str(ours), str(theirs)) == ("equal" if ours == theirs else "different")


@quickly
@given(st.text(max_size=40))
def test_spelling_twice_changes_nothing_of_the_verdict(text: str) -> None:
    assert decide(text, text) in ({"equal"} if normal(text) else {"equal", None})


@quickly
@given(st.text(alphabet="0123456789xyz+-*/^_(){}[],.=!%\\ frac sqrt{}pi cup text{cm}", max_size=60))
def test_no_text_breaks_the_reader_or_differs_from_itself_spaced(text: str) -> None:
    assert decide(text, f" {text} ") != "different"


numbers = st.fractions(-50, 50, max_denominator=12)


def combined(children: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.tuples(st.sampled_from(["+", "-", "*", "/"]), children, children)


leaves = st.one_of(numbers, st.sampled_from(["x", "y", "\\pi", "\\sqrt{2}", "\\sqrt{12}"]))
trees = st.recursive(leaves, combined, max_leaves=6)
rational_trees = st.recursive(numbers, combined, max_leaves=6)


def latex(tree: object, style: Callable[[int], int]) -> str:
    """One of many spellings; `style(n)` chooses one of n."""
    if isinstance(tree, Fraction):
        sign, size = "-" if tree < 0 else "", abs(tree)
        times = style(3) + 1
        above, below = size.numerator * times, size.denominator * times
        spellings = (rf"\frac{{{above}}}{{{below}}}", f"{above}/{below}", rf"\dfrac {{{above}}} {{{below}}}")
        return f"({sign}{spellings[style(3)]})"
    if isinstance(tree, str):
        return tree
    assert isinstance(tree, tuple)
    sign, left, right = tree[0], latex(tree[1], style), latex(tree[2], style)
    if sign in "+*" and style(2):
        left, right = right, left
    if sign == "/":
        return rf"\frac{{{left}}}{{{right}}}" if style(2) else f"({left})/({right})"
    if sign == "*":
        return (f"({left})({right})", rf"\left({left}\right) \cdot \left({right}\right)", rf"({left})\times({right})")[
            style(3)
        ]
    return (f"({left}{sign}({right}))", rf"\left[{left} {sign} \left({right}\right)\right]")[style(2)]


def first(_: int) -> int:
    return 0


def last(n: int) -> int:
    return n - 1


POINTS = {"x": 1.7320508, "y": -0.57721566, "\\pi": 3.141592653589793, "\\sqrt{2}": 2**0.5, "\\sqrt{12}": 12**0.5}


def value(tree: object) -> float | Fraction:
    if isinstance(tree, Fraction):
        return tree
    if isinstance(tree, str):
        return POINTS[tree]
    assert isinstance(tree, tuple)
    left, right = value(tree[1]), value(tree[2])
    return {"+": lambda: left + right, "-": lambda: left - right, "*": lambda: left * right, "/": lambda: left / right}[
        tree[0]
    ]()


@quickly
@given(trees, st.data())
def test_two_spellings_of_the_same_are_never_different(tree: object, data: st.DataObject) -> None:
    style = data.draw(st.functions(like=lambda n: n, returns=st.integers(0, 5)))
    one, other = latex(tree, first), latex(tree, lambda n: style(n) % n)
    outcome = decide(one, other)
    assert outcome == "equal" or (outcome is None and (read(one) is None or read(other) is None))


@quickly
@given(trees, trees)
def test_spellings_of_different_values_are_never_equal(ours: object, theirs: object) -> None:
    try:
        left, right = value(ours), value(theirs)
    except ZeroDivisionError:
        return
    outcome = decide(latex(ours, first), latex(theirs, last))
    if abs(left - right) > 1e-6 * max(1, abs(left), abs(right)):
        assert outcome != "equal"


@quickly
@given(rational_trees, rational_trees)
def test_rational_arithmetic_is_decided_exactly(ours: object, theirs: object) -> None:
    try:
        left, right = value(ours), value(theirs)
    except ZeroDivisionError:
        return
    expected = "equal" if left == right else "different"
    assert decide(latex(ours, first), latex(theirs, last)) == expected


@pytest.mark.parametrize(("answer", "gold", "right"), HOSTILE)
def test_hostile_answers_are_decided_rightly_or_not_at_all(answer: str, gold: str, right: str) -> None:
    assert decide(answer, gold) in {None, right}
    assert decide(gold, answer) in {None, right}


PIECES = [
    "\\frac{",
    "\\sqrt{",
    "(",
    "{",
    "[",
    "\\{",
    "x+",
    "1,",
    "\\sin",
    "^",
    "_",
    "\\text{",
    "9",
    "(x+1)",
    "-",
    "\\pm",
]


@pytest.mark.parametrize("piece", PIECES)
def test_a_hostile_300_kilobytes_ends(piece: str) -> None:
    for size in (300_000, 590):
        text = piece * (size // len(piece))
        decide(text, "5")
        decide(text + "1", text + "2")


PARTS = [
    *("1", "12", "0", "1.5", "3e8", "1,000", "x", "y", "n", "i", "e", "C", "\\pi", "\\infty"),
    *("<", "\\leq", "\\geq", ">=", "f", "Q_1", "\\frac12", "\\text{words}"),
    *("+", "-", "*", "/", "^", "_", "_3", "{", "}", "(", ")", "[", "]", "\\{"),
    *("\\}", ",", ";", "=", "!", "%", "$", "&", "\\\\", "\\pm", "\\cup", "\\frac", "\\frac{", "}{"),
    *(
        "\\sqrt",
        "\\sqrt{",
        "\\sin",
        "\\ln",
        "\\binom",
        "^\\circ",
        "\\text{cm}",
        "\\text{th}",
        "cm",
        "th",
        "and",
        "\\boxed{",
        "\\$",
        "\\begin{pmatrix}",
    ),
    *("\\end{pmatrix}"),
]
torn = st.lists(st.sampled_from(PARTS), max_size=9).map(" ".join)


@quickly
@given(torn, torn)
def test_torn_latex_breaks_nothing_and_is_itself(ours: str, theirs: str) -> None:
    assert decide(ours, theirs) in {"equal", "different", None}
    assert decide(ours, ours) != "different"


def test_every_real_gold_is_its_own_equal(shared_data: Path) -> None:
    lines = (shared_data / "math" / "math500.jsonl").read_text(encoding="utf-8").splitlines()
    golds = [json.loads(line)["answer"] for line in lines]
    assert {decide(gold, gold) for gold in golds} == {"equal"}
    assert sum(read(gold) is not None for gold in golds) / len(golds) > 0.9


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("unit_tests", 0.4),
        ("math500_real_outputs", 0.99),
        ("prime_qwen_grader", 0.85),
        pytest.param("math500_samples", 0.99, marks=pytest.mark.slow),
    ],
)
def test_what_is_certain_agrees_with_every_flag_that_is_right(name: str, least: float, shared_data: Path) -> None:
    pairs = [one for one in load(name, shared_data) if one.answer]
    outcomes = [decide(one.answer or "", one.gold) for one in pairs]
    wrong = [
        one for one, outcome in zip(pairs, outcomes, strict=True) if outcome and (outcome == "equal") != one.corrected
    ]
    assert wrong == []
    assert sum(outcome is not None for outcome in outcomes) / len(pairs) >= least


OTHERWISE = {  # where math-verify is mistaken
    ("1 000", "1000"),
    ("1 1/2", "1.5"),
    ("D", "(D) Alina"),
    ("4 \\sin 80^\\circ - \\tan 80^\\circ", "-\\sqrt{3}"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unit_tests", "math500_real_outputs"])
def test_math_verify_says_the_same_of_what_is_certain(
    name: str, shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certain = {(one.answer or "", one.gold): decide(one.answer or "", one.gold) for one in load(name, shared_data)}
    pairs = [pair for pair, outcome in certain.items() if outcome]
    monkeypatch.setattr(grading, "decide", lambda *_: None)

    async def ask() -> list[Outcome]:
        async with Grader(workers=2) as grader:
            return await asyncio.gather(*(grader.grade(*pair) for pair in pairs))

    asked = zip(pairs, asyncio.run(ask()), strict=True)
    assert {pair for pair, outcome in asked if outcome not in {"undecided", certain[pair]}} <= OTHERWISE
