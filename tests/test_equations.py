"""The symbolic judge: what it may call false, what it may confirm, and where it keeps silent."""

import json
import time
import timeit
from pathlib import Path

import pytest

from data.records import NO_ERROR, Trace, Verdict
from judges.equations import NOTHING_TO_CHECK, OWN_SIGN, TOO_LONG, UNCHECKED_BEFORE, Equations, equalities

TRUE = [
    "16 - 3 = 13",
    "5 apples * 2 = 10 apples",
    "$5 x 3 = $15",
    "so she has 5x3=15 left",
    r"\(1/3 \times 18 = 6\)",
    r"\[ \frac{\$3.20}{4} = \$0.80 \]",
    "10/3 = 3.33",
    "10/3 = 3.34",
    "2/3 = 0.66",
    "She walks 60 miles/hour * 2 hours = 120 miles",
    "20/50 * 100 = 40%",
    "20% * 50 = 10",
    r"100\% - 20\% = 80\%",
    "1,000 + 500 = 1,500",
    r"1{,}000 + 10\,000 = 11{,}000",
    "2(3+4) = 14",
    "(2 + 3)(4) = 20",
    r"2 \left( 3 + 4 \right) = 14",
    "2^10 = 1024",
    r"\sqrt16 = 4",
    "2**3 = 8",
    "5² = 25",
    "5! = 120 ways",
    r"\binom{5}{2} = 10",
    r"\sqrt{16} + \sqrt{9} = 7",
    r"\sqrt{50} = 5\sqrt{2}",
    r"180^\circ - 60^\circ = 120^\circ",
    "5 cm * 3 cm = 15 cm^2",
    r"3 \text{ m} \times 2 \text{ m} = 6 \text{ m}^2",
    "<<16-3=13>>",
    "580/110 = 5.2727272727272725",
    r"2/3 = \boxed{0.66}",
    "60/3/4 = 5",
    "Total: 5 + 3 =\n8",
    "10 (per day) * 3 (days) = 30",
    "**5 + 3 = 8**",
    "(x+1)^2 = x^2 + 2x + 1",
    r"x(x - y) = x^2 - x \cdot y",
    r"\frac{x^2 - 1}{x - 1} = x + 1",
    "5 + 3 = 8 apples and pears",
    "100 - 20% = 80%",
    "1 + 15% = 1.15",
    "There are 8 * 8 = 64 pairs",
    "On days 3 * 4 = 12",
    "3 couples * 2 = 6 people",
    "Then 8 pens cost 8 * 3 = 24",
]

FALSE = [
    "7 * 70 - 40 = 430",
    r"5000 + 10000 + 30000 = \boxed{43000}",
    r"\[ \$20 - \$13.00 = \$6.00 \]",
    "She has 6 * 48 = 289 cupcakes left",
    r"\frac{40}{5} = 3 \text{ dollars}",
    "20/50 * 100 = 45%",
    "10/3 = 3.5",
    "= 5 + 3 = 9",
    "x = 5 + 3 = 9",
    "<<520*(1+0.18)=500>>",
    r"\sqrt{16} = 5",
    "7995 (total cookies) - 2595 (rainbow cookies) = 4500",
    "520*(1+18%) = 500",
    "200 + 10% * 200 = 230",
    "3 red balls + 4 blue balls = 8 balls",
    "20 pounds of apples + 5 pounds of pears = 26 pounds",
    "3 dogs * 4 legs + 2 birds * 2 legs = 17 legs",
    "60 miles/hour * 2 hours = 130 miles",
    "5 * 20 miles = 1000 miles",
    "15 liters of pineapple drink is 15 * (3/5) = 12 liters of water",
    "1 mile + 2 miles = 4 miles",
    "1 - 2/5 = 2/5",
    "2 * 3 + 4 = 11",
    "2 apples * 3 = 5 pears",
    "That makes 6 * 48 = 289 in 3 days",
]

SILENT = [
    "",
    "There are 5 apples.",
    "2x + 3 = 7",
    "x = 5",
    "f(2) = 5",
    "4 = 6",
    "10/3 = 3",
    r"10/3 = \boxed{3}",
    "so their father is 60 / 3/4 = 80",
    "2 miles / 1/6 hour = 12 miles/hour",
    "16 - 3 = 13 - 4 = 9",
    "1800 - 2000 = 200",
    "half of 16 - 2 = 6",
    "3 times 5 + 2 = 17",
    "20% of 50 + 5 = 15",
    "5 + 7 = 1 dozen",
    "2 + 2 = 4 and a half",
    "2 1/2 + 1 = 3",
    "5 feet + 6 inches = 66 inches",
    "50 cents * 2 = 1",
    "7 + 8 = 3 (mod 12)",
    "17 mod 5 + 1 = 4",
    r"7 + 8 \equiv 3 \pmod{12}, 7 + 8 = 3",
    "101_2 + 1 = 6",
    "12:30 + 1 = 1:30",
    "1:2 + 1 = 3",
    "1 + 2 + ... + 10 = 56",
    r"1 + 2 + \cdots + 10 = 56",
    "gcd(12, 8) + 1 = 6",
    "(1, 2) + (3, 4) = (4, 7)",
    "log(100) + 1 = 4",
    "Time to heat up to 400 degrees = 20 + 8",
    "1/4 of the tank's capacity = 18000 / 4",
    "from -7 to -2+5 = 4",
    "5 + 3 = 15 (5 x 3)",
    "2ab + 3 = 6",
    "on the 5th + 2 = 8th",
    "- 5 + 3 = 8",
    "10 = 5 + 3\n+ 2",
    "Total - 5 + 2 = 10",
    "2 + 2 = 5 is false",
    "2 + 1 = 1\n3 = 1",
    "17/6 + 1 is about 4: 17/6 + 1 = 4",
    "6/2(3) = 1",
    r"\(2^33 = 24\)",  # as MATH's authors write 2^3 times 3
    r"V = \pi(\frac{3}{2})^24 = 9\pi",
    r"\sqrt42 = 4",
    "-2^2 = 4",
    "1/0 = 5",
    "0^{-1} = 5",
    "1 + 1 = 9^{9^{9^9}}",
    "1 + 1 = 1000!",
    r"\sqrt[3]{8} = 3",
    r"so $CD = FD\sqrt{3} = 18$",
    r"AD = AC \sqrt{2} = 4\sqrt{2}",
    r"XM = \frac{1}{2}(XY) = 3",
    r"2 \operatorname{cis} (60^\circ + 90^\circ) = 2 \operatorname{cis} 150^\circ",
    r"the units digit of $n$: $7 \cdot 3 = 1$",
    r"\sqrt{-4} = 3",
    r"a + b = \frac{4}{3} ab = 4",
    r"$210^2 mn = 210^3$",
    r"$QP = \sqrt{3} CP = 4\sqrt{3}$",
    r"$\frac{49}{21} = \frac{58}{3\,EF}$",
    r"$b = \frac{4\pi}{3}$ leads to $xy = -3$",
    r"we add 169 inside the parenthesis and subtract $-5\cdot169=-845$ outside",
    r"$\frac{23}{9} = 2+0.\overline{5}$",
    r"250 \cdot \frac{11}{6} = 250 + 125 + 83.\overline{3}",
    "80+79+81+85 \\\\&= 80 +(80-1) + (80+1) \\\\\n&\\qquad+ (80+5)",
    r"\operatorname{arccot} (-1) = \frac{3\pi}{4}",
    "0900 - 0130 = 0730 hours",
    "1 + .1(Number of Minutes) = 5",
    "1/2 a cup = 4 ounces",
    r"the factor $\frac{7\text{ knicks}}{2\text{ knacks}} = 1$",
    "2 kilometers + 500 meters = 2500 meters",  # units that are converted
    "1 liter + 200 milliliters = 1200 milliliters",
    "1 gram + 500 milligrams = 1500 milligrams",
    "1 hr + 30 minutes = 90 minutes",
    "1 lb + 4 oz = 20 oz",
    "1lb + 4oz = 20oz",
    "2 yrs + 3 months = 27 months",
    "2 yd + 1 ft = 7 ft",
    "1 cup + 2 tbsp = 18 tbsp",
    "1 second + 500 milliseconds = 1500 milliseconds",
    "1 fortnight + 2 days = 16 days",
    "2 centuries + 5 years = 205 years",
    "1 hour 20 minutes + 40 minutes = 2 hours",
    "60 mph * 30 minutes = 30 miles",
    "$15/hr * 30 minutes = $7.50",
    "25 degrees Celsius + 5 = 86 degrees Fahrenheit",
    "45 + 15 = 1 hour",
    "4 * 250 = 1 liter",
    "60 * 24 = 1 day",
    "2 * 3 = 360 minutes",
    "100 + 25 = 1 dollar and 25 cents",
    "2 boxes + 3 pens = 27 pens",
    "3 boxes of pens + 2 pens = 38",
    "3 apples + 2 oranges = $7",
    r"\frac{1200 \text{ lire}}{1200} = \frac{1.50 \text{ dollars}}{1200}",
    "2 apples * 3 = 5 pears * 3",
    "2 shirts + $10 = $50",
    "11 o'clock + 3 hours = 2 o'clock",  # times of day
    "11 o\u2019clock + 3 hours = 2",
    "12 noon + 3 hours = 3",
    "9 in the morning + 8 hours = 5 in the evening",
    "9 + 8 = 5 in the evening",
    "The shop is open 9-5 = 8 hours",
    "22-6 = 8 hours",
    "9-1 = 4 hours",
    "March 28 + 7 days = 4 April",
    "abs(3-10) + 1 = 8",  # words that change a value
    "2 + abs(3-10) = 9",
    "floor(7/2)*2 = 6",
    "floor (7/2) * 2 = 6",
    "ceil(7/2)*2 = 8",
    r"\text{floor}(7/2) * 2 = 6",
    "so cost(3 + 1) = 8",
    "sqrt 16 + 1 = 5",
    "average (3 + 5) = 4",
    r"\text{mean} (3 + 5) = 4",
    "half of the 20 - 4 = 6",
    "3 pairs of shoes + 2 shoes = 8 shoes",
    "3 pairs + 2 = 8",
    "2 couples + 3 people = 7 people",
    "6 tens + 5 = 65",
    "3 twenty dollar bills + 5 = 65",
    "4 dimes + 5 = 45",
    "3 miles east + 4 miles north = 5 miles",
    "5 boxes with 12 pens + 3 = 63",
    "$5 for 2 pounds * 4 pounds = $10",
    "20% off 50 + 5 = 45",
    "$100 - discount $20 + 5 = 85",
    "she adds 20 + 10 decorations to the 29 + 24 decorations = 83",
    "Pages 10-20 = 11 pages",  # a dash that is no minus
    "pages 10\u201320 = 11",
    "1-100 = 100 numbers",
    "Weeks 1-4 = 4 * 5 = 20 pages",
    "Days 1-5 * 8 = 40",
    "Step 1 - 3 + 4 = 7",
    "Step 9 - 3 + 4 = 7",
    "9 - 3 * 4 = 12",
    "Case 2 - 5 * 3 = 15",
    "Week 1 + 2 = 30 hours",
    "200 + 10% = 220",  # a percentage of what stands before it, or after
    "$50 - 20% = $40",
    r"\$50 - 20\% \text{ discount} = \$40",
    "50 + (8%) = 54",
    "50 + 30 + 10% = 88",
    "(200 + 10%) * 2 = 440",
    "8% tax + $50 = $54",
    "f(2x) = 2f(x)",
    "a b 3 + 4 5 = 9",
    "2 + 3 ≈ 5.5",
    "2 + 3 ≠ 6",
    "2 + 3 = ?",
    "2 + = 3",
    "== = 5 + 1 =",
]


def findings(text: str) -> set[str]:
    return {equality.finding for equality in equalities(text)}


@pytest.mark.parametrize("text", TRUE)
def test_confirmed(text: str) -> None:
    assert "holds" in findings(text)
    assert "false" not in findings(text)


@pytest.mark.parametrize("text", FALSE)
def test_refuted(text: str) -> None:
    assert "false" in findings(text)


@pytest.mark.parametrize("text", SILENT)
def test_no_claim_where_the_reading_is_in_doubt(text: str) -> None:
    assert "false" not in findings(text)


def test_every_equality_of_a_chain_is_checked() -> None:
    found = equalities("so 2 + 3 = 5 = 4 + 1 = 6")
    assert [(one.left, one.right, one.finding) for one in found] == [
        ("so 2 + 3", "5", "holds"),
        ("5", "4 + 1", "holds"),
        ("4 + 1", "6", "false"),
    ]


def read(*steps: str) -> Verdict:
    return Equations().read(Trace("p", steps, None))


def test_the_first_false_step_after_checked_ones_is_the_first_error() -> None:
    assert read("1 + 1 = 2", "2 + 2 = 5", "3 + 3 = 7") == Verdict(1, (1,))
    assert read("2 + 2 = 5") == Verdict(0, (0,))


def test_a_false_step_after_unchecked_ones_leaves_the_first_error_open() -> None:
    assert read("Let us think.", "2 + 2 = 5") == Verdict(None, (1,), UNCHECKED_BEFORE)


@pytest.mark.parametrize("problem", ["If $a * b = 2a + 3b$, what is $4 * 3$?", r"Let $\boxed{N}$ be its digits' sum."])
def test_a_sign_with_a_meaning_of_its_own_is_not_calculated_with(problem: str) -> None:
    assert Equations().read(Trace(problem, ("$4 * 3 = 2(4) + 3(3)$",), None)) == Verdict(None, (None,), OWN_SIGN)
    assert Equations().read(Trace("4 * x = 3", ("4 * 3 = 13",), None)).first_error == 0


def test_what_is_converted_is_no_first_error() -> None:
    steps = ("She ran 2 kilometers + 500 meters = 2500 meters.\n\n", "So the answer is 2500.")
    assert Equations().read(Trace("How far in meters?", steps, "2500")) == Verdict(None, (None,), NOTHING_TO_CHECK)


def test_no_error_only_where_something_was_checked() -> None:
    assert read("Let us think.", "2 + 2 = 4") == Verdict(NO_ERROR, (NO_ERROR,))
    for steps in ((), ("",), ("Let us think.", "x = 5")):
        assert read(*steps) == Verdict(None, (None,), NOTHING_TO_CHECK)


def test_a_solution_too_long_to_be_read_in_time_is_not_called_right() -> None:
    assert read(*["2 + 2 = 4\n" * 4000] * 11) == Verdict(None, (None,), TOO_LONG)


@pytest.mark.parametrize(
    "text",
    [
        "1+" * 500_000 + "1=3",
        "{" * 100_000 + "=1",
        "(" * 10_000 + "1" + ")" * 10_000 + "=2",
        "=" * 40_000,
        "1" * 40_000 + " + 1 = 2",
        "\0" * 40_000,
        "5 (a b " * 5_000 + "= 1",
        "<<" * 20_000,
        "9^" * 20_000 + "9 = 1 + 1",
        "*".join(["99999999"] * 3_000) + " = 2 + 2",
    ],
)
def test_hostile_text_is_survived(text: str) -> None:
    assert "false" not in findings(text)


@pytest.mark.parametrize(
    "unit",
    [
        "= 1 + 1 ",
        "(",
        "\\frac{",
        "5 a b c ",
        "(a ",
        "1,111",
        "1! ",
        "9^",
        "x = y + 1 ",
        "\n- 1",
        "1% = ",
        "<<1",
        "a bc ",
        "1 ab + ",
    ],
)
def test_reading_takes_time_in_proportion_to_the_text(unit: str) -> None:
    def seconds(size: int) -> float:
        text = "1 + 1 = 2 " + (unit * size)[:size] + " = 3"
        return min(timeit.repeat(lambda: equalities(text), time.process_time, number=1, repeat=3))

    assert seconds(8_000) < 4 * 8 * seconds(1_000)  # squared, it would be 64 times as long


REAL = [("gsm8k", 8, 8), pytest.param("olympiadbench", 4, 3, marks=pytest.mark.slow)]


@pytest.mark.parametrize(("name", "claims", "right"), REAL)
def test_real_claims_are_mostly_right(shared_data: Path, name: str, claims: int, right: int) -> None:
    found = []
    for line in (shared_data / "processbench" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if any("=" in step for step in row["steps"]):
            claimed = Equations().read(Trace(row["problem"], tuple(row["steps"]), None)).first_error
            found += [claimed == row["label"]] if claimed not in {None, NO_ERROR} else []
    assert (len(found), sum(found)) == (claims, right)  # together 11 of 12: at least 0.9
