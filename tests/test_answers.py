import json
from pathlib import Path

import pytest

from stages.answers import extract, normal


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{5}.", "5"),
        (r"first \boxed{1}, then $\boxed{\frac{1}{2}}$", r"\frac{1}{2}"),
        (r"\boxed{x=5}", "x=5"),
        (r"\fbox{7}", "7"),
        (r"\boxed 5.", "5."),
        (r"\boxed {\{1,2\}}", r"\{1,2\}"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\boxed{\boxed{3}+\boxed{4}}", r"\boxed{3}+\boxed{4}"),
        (r"\boxed{4} and \boxed{\frac{1}{2", "4"),
        (r"\boxed{4} and \boxed{}", "4"),
        (r"\boxed{4} and \boxed{ }", "4"),
        (r"\boxed{a\}b}", r"a\}b"),
        (r"open { and \boxed{6} }}", "6"),
        (r"\boxed{1} #### 2", "1"),
        (r"\boxedsomething{3} The answer is 2.", "2"),
        ("\\boxed{5}\n\nNote: \\boxed, as asked", "5"),
        ("\\boxed{5}\n\nNote: \\boxed as asked", "5"),
        ("\\boxed x+1", "x+1"),
        ("\\boxed 5cm", "5cm"),
    ],
)
def test_the_last_closed_box_is_the_answer(text: str, answer: str) -> None:
    assert extract(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("work\n#### 1,234", "1,234"),
        ("#### 3\nThe answer is 4", "3"),
        ("#### Step 1\nfoo\n#### 12\nmore text", "12"),
        ("#### Step 1\nThe answer is 4.", "4"),
        ("#### \\frac{1}{2}\n", "\\frac{1}{2}"),
        ("a\nA: 26", "26"),
        ("A: 1\nA: 2", "2"),
        ("The answer is $\\frac{1}{2}$.", "\\frac{1}{2}"),
        ("The final answer is: 3.5. I hope it is correct.", "3.5"),
        ("**Answer:** 42", "42"),
        ("**Answer: (C)**", "(C)"),
        ("The answer is $18.", "18"),
        ("The answer is:\n\\[\nx = 5.\n\\]", "x = 5"),
        ("The answer is wrong. The answer is 6.", "6"),
        ("### Final Answer\n\n\\[\n(1, 2]\n\\]", "(1, 2]"),
        ("So x is 7.\n\n# Answer\n\n7", "7"),  # as PRM800K's solutions end
        ("**Answer**\r\n\r\n7\r\n", "7"),
        ("It is 3.\n\n## Answer\n\nIn interval notation:\n\n\\[ [3, 3] \\]\n\nDone.", None),
        ("The answer is 12.\n\nCheck: 7 + 5 = 12, so the answer is correct.", "12"),
        ("The answer is therefore $5$.", "5"),
        ("A: 3 dollars\nB: 4 dollars\nTherefore, both cost 7 dollars.", "7"),
        ("Answer: Verna received $7.00 in change.", "7.00"),
        ("The answer is that 3 of the 5 are left.", None),
        ("**Answer:** The smallest value of \\(n\\) is \\(n = 10\\).", "n = 10"),
        ("The answer is sqrt(5) + log(2)", "sqrt(5) + log(2)"),
    ],
)
def test_announced_answers_are_read(text: str, answer: str | None) -> None:
    assert extract(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Therefore, the sum is \\(2000\\) calories.", "2000"),
        ("Thus, the sum increased by 11 is **23**.", "23"),
        ("So 7 of them are left.", "7"),
        ("$$x = 9$$ So 9 people buy one that costs $2500.", "9"),
        ("Therefore,\n\n\\[\n\\frac{3}{20} = 0.15\n\\]", "\\frac{3}{20} = 0.15"),
        ("Hence the sum of 3 and 4 is 7.", "7"),
        ("Hence 3 and 4 remain odd.", None),
        ("Thus, \\(\\sqrt{53}\\) is already in its simplest radical form.", "\\sqrt{53}"),
        ("So, \\(\\sqrt{53}\\) is the simplest radical form of the expression.", "\\sqrt{53}"),
        ("So, \\(\\sqrt{53}\\) is irrational.", None),
        ("Thus \\(x\\) can be \\(-1\\), \\(2\\), and \\(-2\\).", None),
        ("Therefore, when \\(y = 3\\), \\(x = 600\\).", "x = 600"),
        ("Therefore, the graph of \\(x^2 + y^2 = 1\\) is a circle.", None),
        ("Therefore, 1 - 2 = 1 - 2 = 1 -", None),
        ("Therefore, the total is 15 +" + "x" * 2000 + ".", None),
        ("The sum of 3 and 4 is 7.", None),
    ],
)
def test_a_closing_sentence_is_read_only_where_it_states_one_thing(text: str, answer: str | None) -> None:
    assert extract(text) == answer


@pytest.mark.parametrize(
    "remark",
    [
        "Check: 40+2=42, so the answer is consistent with the conditions.",
        "So the answer is positive, as expected.",
        "The answer is positive since 42 > 0.",
        "This answer is an integer, as required.",
        "This answer is in the form a/b.",
        "So our answer is complete.",
        "The answer is also correct.",
    ],
)
def test_a_later_remark_replaces_no_answer(remark: str) -> None:
    assert extract(f"So the answer is 42.\n\n{remark}") == "42"
    assert extract(f"So the answer is $42$. {remark}") == "42"


def test_the_last_announcement_of_a_value_is_read_or_nothing() -> None:
    assert extract("The answer is yes. Why? The answer is no.") == "no"
    assert extract("The answer is 42, so the answer is (B).") == "(B)"
    assert extract("The answer is 2. The answer is negative 5.") == "negative 5"
    assert extract("The answer is 42. The answer is") is None
    assert extract("The answer is 42. The answer is that 3 of the 5 are left.") is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is $3$ or $4$.", "3 or 4"),
        ("The answer is \\(3\\) or 4.", "3 or 4"),
        ("Answer: $(-1, 2)$ and $(3, 4)$", "(-1, 2) and (3, 4)"),
        ("The answer is $x$ = $5$.", "x = 5"),
        ("The answer is $x=3$, $y=4$.", "x=3, y=4"),
        ("Answer: $10$ - $3$ = $7$", "10 - 3 = 7"),
        ("The answer is:\n\\[ x=3 \\]\nor\n\\[ x=4 \\]", "x=3\nor\nx=4"),
        ("The answer is $3$ if $n$ is even and $4$ if $n$ is odd.", "3 if n is even and 4 if n is odd"),
        ("The answer is $5$ dollars and $20$ cents.", "5 dollars and 20 cents"),
        ("The answer is $12$ million.", "12 million"),
        ("The answer is $50$%.", "50%"),
        ("The answer is $12$, since $3*4=12$.", "12"),
        ("The answer is $12$ (since $3*4=12$).", "12"),
        ("The answer is $12$ for $n=3$.", "12"),
        ("The answer is $12$ and it is unique.", "12"),
        ("The answer is $12.$ Note that $x=3$ and $y=4$.", "12"),
        ("The answer is **$12$** eggs.", "12"),
    ],
)
def test_an_announcement_of_several_formulas_is_read_whole(text: str, answer: str) -> None:
    assert extract(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("So the answer is 5!", "5"),
        ("**Answer: 42!**", "42"),
        ("The answer is 42! I hope it helps.", "42"),
        ("#### 5!", "5"),
        ("The answer is 5!.", "5!"),
        ("There are 5! = 120 ways. So the answer is 5!", "5!"),
        ("It is a factorial, so the answer is 5!", "5!"),
    ],
)
def test_an_exclamation_is_no_factorial(text: str, answer: str) -> None:
    assert extract(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("#### 1\nfoo\n#### 2\nbar\nThe answer is 42.", "42"),
        ("#### 2\nfoo\n#### 2\nbar", "2"),
        ("Final Answer:\n- 42", "42"),
        ("Final Answer:\n* 42", "42"),
        ("Final Answer:\n-42", "-42"),
        ("Answer: - 42", "- 42"),
        ("Final Answer:\n- x = 1\n- $x = 2$", "x = 1, x = 2"),
        ("**Final Answer:**\n* 42\n* 43", "42, 43"),
    ],
)
def test_headings_and_bullets_are_no_answers(text: str, answer: str) -> None:
    assert extract(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Therefore, the temperature is \u22125 degrees.", "-5"),
        ("Therefore, the temperature is \u20135 degrees.", "-5"),
        ("Therefore, the profit is -$20.", "-20"),
        ("Therefore, the profit is \u2212$20.", "-20"),
        ("Therefore, the profit is $-20.", "-20"),
        ("3 - 8 = -$5. So she has 2 debts, -$5 in all.", "-5"),
        ("So the length is 12cm.", "12"),
        ("So 4Z = 4 ounces of oil.", "4"),
        ("So they cost $50 more than ours.", "50"),
        ("So she walks 34 hours in all in 34 days.", "34"),
        ("Therefore the 5-digit number is 12345.", "12345"),
        ("So there are 10 (ten) of them.", "10"),
        ("So there are 5!", "5"),
        *(
            (f"Therefore, {said}.", None)
            for said in (
                "the area is 25\u03c0 square centimeters",
                "the area is **25\u03c0** for 5 circles",
                "the derivative is 6x",
                "x = sqrt(2)",
                "x = \u221a2",
                "the sum is n^2",
                "the vertex is (2, 2)",
                "x<5",
                "x \u2265 5",
                "x = \u00b15",
                "the population is 2 million",
                "there are 3 dozen eggs",
                "there are 3 and a half pies",
                "the temperature is negative 5",
                "it is 5 degrees below zero",
                "it takes 1 hour and 30 minutes",
                "90 - 60 = 30. So it takes 1 hour and 30 minutes",
                "it is 3 + 4i",
                "it is 3 + i",
            )
        ),
    ],
)
def test_a_number_is_never_cut_out_of_its_expression(text: str, answer: str | None) -> None:
    assert extract(text) == answer


@pytest.mark.parametrize(
    "text", ["", " \n", "no end", "#### ", "A:", "The answer is", "The answer is:\n\n\\[\n\\boxed", "\x00"]
)
def test_no_answer_is_none(text: str) -> None:
    assert extract(text) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>\\boxed{1}</think>The answer is 2.", "2"),
        ("<think>\\boxed{1}</think>", None),
        ("<think>\\boxed{1}", None),
        ("thoughts \\boxed{1}</think>\\boxed{2}", "2"),
        ("<think>a</think>\\boxed{2}<think>\\boxed{3}</think>\\boxed{4}", "4"),
    ],
)
def test_thoughts_are_not_read(text: str, answer: str | None) -> None:
    assert extract(text) == answer


def rows(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]


HOSTILE = [
    "\\boxed{",
    "{",
    "}",
    "{}",
    "answer is ",
    "answer:",
    "A: \n",
    "# answer\n",
    "answer is thus ",
    "answer is correct ",
    "Therefore \\(x\\) and ",
    "#### \n",
    "#### 5\n",
    " ",
    "\n",
    "Therefore \\(",
    "answer is $3$ or ",
    "answer is yes ",
    "answer is\n- ",
    "answer is 5! ",
]
HOSTILE += [
    "$",
    "**",
    "\\text{",
    "1 ",
    "1,",
    "1",
    "\\frac",
    "^{th",
    "=1",
    "\\left",
    "\\",
    "\x00",
    "<think>",
    "</think>",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_300_kilobytes_ends(piece: str) -> None:
    text = piece * (300_000 // len(piece))
    extract(text)
    normal(text)


def test_boxes_nested_by_the_thousand() -> None:
    assert extract("\\boxed{" * 20_000 + "5" + "}" * 20_000) == "5"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("**7**", "7"),
        ("\\text{Evelyn}", "Evelyn"),
        ("12^{\\text{th}}", "12"),
        ("(C)", "\\text{(C)}."),
        ("185", "185\\"),
        ("\\left( 3, \\frac{\\pi}{2} \\right)", "(3,\\dfrac{\\pi}{2})"),
    ],
)
def test_spellings_of_the_same_are_the_same(ours: str, theirs: str) -> None:
    assert normal(ours) == normal(theirs)


def test_math_solutions_end_in_their_answer(shared_data: Path) -> None:
    solved = rows(shared_data / "math" / "math500.jsonl")
    found = [normal(extract(row["solution"]) or "") == normal(row["answer"]) for row in solved]
    assert sum(found) / len(found) > 0.99


def test_every_gsm8k_gold_is_found(shared_data: Path) -> None:
    solved = rows(shared_data / "gsm8k" / "test.jsonl")
    assert all(extract(row["answer"]) == row["answer"].rpartition("#### ")[2] for row in solved)
