"""Formulas in text: found where they are meant, converted to what is allowed, and bounded whatever a model writes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from pipeline.report import maths
from pipeline.report.maths import ATTRIBUTES, DEEPEST, LONGEST, TAGS, Formulas, Tree, mathml


def read(text: str) -> tuple[list[str], list[str]]:
    """Plain pieces and sources of formulas."""
    formulas = Formulas()
    pieces = formulas.read(text)
    joined = "".join(piece if isinstance(piece, str) else formulas.found[piece].source for piece in pieces)
    assert joined == text
    return [piece for piece in pieces if isinstance(piece, str)], [
        formulas.found[piece].source for piece in pieces if isinstance(piece, int)
    ]


def nodes(tree: Tree) -> Iterator[tuple[str, dict[str, str], list[Any]]]:
    tag, *rest = tree
    told = [one for one in rest if isinstance(one, dict)]
    yield str(tag), told[0] if told else {}, [one for one in rest if isinstance(one, str)]
    for child in rest:
        if isinstance(child, list):
            yield from nodes(child)


def levels(tree: Tree) -> int:
    return 1 + max((levels(child) for child in tree if isinstance(child, list)), default=0)


@pytest.mark.parametrize(
    ("text", "formulas"),
    [
        ("If $x^2 = 4$, then", ["$x^2 = 4$"]),
        (r"so \(x\) and \[y\]", [r"\(x\)", r"\[y\]"]),
        ("$$a + b$$ is", ["$$a + b$$"]),
        (r"\begin{align*}a &= b\end{align*}", [r"\begin{align*}a &= b\end{align*}"]),
        ("costs $5 and $10 more", []),
        ("from $5-$6 a day, $7.", []),
        (r"it is \$5 or $x$", ["$x$"]),
        ("a lone $ and an unclosed $x", []),
        ("$a\n\nb$", []),
        (r"an unclosed \[ x", []),
        (r"a line\\[2pt] break \\(x\\)", []),
        (r"\begin{align}a\end{gather}", []),
        ("", []),
    ],
)
def test_formulas_are_found_and_money_is_not_one(text: str, formulas: list[str]) -> None:
    assert read(text)[1] == formulas


def test_a_formula_is_converted_once() -> None:
    formulas = Formulas()
    assert formulas.read("$x$ and $x$ and $$x$$") == [0, " and ", 0, " and ", 1]
    assert [(one.source, one.block) for one in formulas.found] == [("$x$", False), ("$$x$$", True)]


def test_an_answer_without_dollars_is_a_formula_where_it_looks_like_one() -> None:
    formulas = Formulas()
    assert formulas.answer(r"\frac{14}{3}") == [0]
    assert formulas.answer("$x$") == [1]
    assert formulas.answer("12 eggs") == ["12 eggs"]
    assert formulas.found[0].tree == ["mrow", ["mfrac", ["mrow", ["mn", "14"]], ["mrow", ["mn", "3"]]]]


@pytest.mark.parametrize(
    "latex",
    [
        r"\frac{1}{2} + \sqrt[3]{x}",
        r"\left(\begin{array}{cc} 1 & 2 \\ 3 & 4 \end{array}\right)",
        r"\boxed{\text{no}}",
        r"\begin{cases} x & y \\ 1 & 2 \end{cases}",
        r"\sum_{i=1}^{n} \binom{n}{i} \cdot \overline{AB} \leq \infty",
        r"\dfrac{\pi}{4}^\circ \% \$",
    ],
)
def test_what_solutions_write_is_converted(latex: str) -> None:
    tree = mathml(latex)
    assert tree
    for tag, told, _ in nodes(tree):
        assert tag in TAGS
        assert set(told) <= set(ATTRIBUTES)


@pytest.mark.parametrize(
    ("latex", "prefixes"), [("(-2) - 1", 1), ("x = -1", 1), ("a - b", 0), ("(a) - b", 0), ("n! - 1", 0)]
)
def test_a_sign_is_told_from_an_operation(latex: str, prefixes: int) -> None:
    assert sum(told.get("form") == "prefix" for _, told, _ in nodes(mathml(latex) or [""])) == prefixes


@pytest.mark.parametrize(
    "latex",
    [
        r"\href{javascript:bad()}{x}",
        r"\style{position:fixed}{x}",
        r"\class{a}{x}",
        r"\color{red} x",
        r"\text{<script>bad()</script>}",
        r"\text{&lt;img src=x onerror=bad()&gt;}",
        r"<mtext onclick='bad()'>",
        r"\hspace{9999em} x",
        r"\rule{9999em}{9999em}",
        r"\textcolor{url(x)}{y}",
    ],
)
def test_only_allowed_elements_and_attributes_come_out(latex: str) -> None:
    for tag, told, _ in nodes(mathml(latex) or [""]):
        assert tag in TAGS | {""}
        assert not set(told) & {"href", "style", "class", "id", "onclick", "mathcolor", "mathbackground"}
        assert "9999em" not in told.values()


def test_what_the_converter_might_make_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    def converted(*_: object, **__: object) -> Element:
        made = Element("math")
        made.append(Element("script", {"onload": "bad()", "width": "1em", "form": "x y", "accent": "true"}))
        made[0].text = "bad()"
        return made

    monkeypatch.setattr(maths, "convert_to_element", converted)
    assert mathml("x") == ["mrow", {"width": "1em", "accent": "true"}, "bad()"]


@pytest.mark.parametrize(
    "latex",
    [
        r"\notacommand{x}",
        r"\frac",
        r"\left( x",
        "x_y_z",
        "}{",
        r"\begin{array}",
        r"\newcommand{\a}{\a\a}\a",
        r"\def\a{xx}\a",
        "{" * (DEEPEST + 1) + "}" * (DEEPEST + 1),
        "x" * (LONGEST + 1),
        "\\sqrt " * 100 + "x",
        "x" * (LONGEST // 2) + "^{" * 12 + "}" * 12 + r"\\" * 300,
    ],
)
def test_what_cannot_be_converted_stays_as_it_was_written(latex: str) -> None:
    tree = mathml(latex)
    assert tree is None or "\\" not in json.dumps(tree)
    formulas = Formulas()
    formulas.read(f"${latex}$")
    assert all(one.source == f"${latex}$" for one in formulas.found)


@pytest.mark.parametrize(
    "unit",
    [
        "$",
        "$$",
        "$x$",
        "\\(",
        "\\[x\\]",
        "{",
        "\\left(",
        "\\begin{align}",
        "$\\frac{",
        "\\sqrt",
        "^",
        "$\\text{",
        "&",
        "\\\\",
    ],
)
def test_hostile_text_is_read_in_bounded_work(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    converted: list[int] = []
    convert = maths.convert_to_element

    def counted(latex: str, **options: Any) -> Element:
        converted.append(len(latex))
        return convert(latex, **options)

    monkeypatch.setattr(maths, "convert_to_element", counted)
    text = unit * (100_000 // len(unit))
    assert "".join(read(text)[0] + read(text)[1])
    for whole in (text[:LONGEST], text):
        tree = mathml(whole)
        assert tree is None or (len(list(nodes(tree))) <= maths.LARGEST and levels(tree) <= maths.LEVELS)
    assert max(converted, default=0) <= LONGEST
    assert sum(converted) < 4 * len(text)


def test_beyond_its_work_a_page_shows_sources() -> None:
    formulas = Formulas(work=10)
    formulas.read("$x$ $y$ $z$ $w$ $x$")
    assert [one.tree is not None for one in formulas.found] == [True, True, True, False]


def test_real_solutions_are_converted(shared_data: Path) -> None:
    formulas = Formulas()
    file = shared_data / "bon" / "strictprm_math500_n32.jsonl"
    with file.open(encoding="utf-8") as lines:
        for _, line in zip(range(20), lines, strict=False):
            problem = json.loads(line)
            formulas.read(problem["problem"])
            formulas.read(problem["candidates"][0]["response"])
    failed = [one.source for one in formulas.found if one.tree is None]
    assert len(formulas.found) > 200
    assert len(failed) <= len(formulas.found) / 100, failed
