"""What words beside a number change: neither a hit nor a miss is made of what cannot be read for sure."""

import pytest

from data.records import Outcome
from stages import wording
from stages.comparing import compare
from stages.exact.certain import decide


def outcome(answer: str, gold: str) -> Outcome:
    return decide(answer, gold) or compare(answer, gold)


def both_ways(answer: str, gold: str) -> set[Outcome]:
    return {outcome(answer, gold), outcome(gold, answer)}


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("12 eggs", "12"),
        ("12 points.", "12"),
        ("12 miles per hour", "12"),
        ("12 km/h", "12"),
        ("12 m/s", "12"),
        ("12 m/s^2", "12"),
        ("12 sq units", "12"),
        ("12 people/day", "12"),
        ("18 dollars per day", "18"),
        ("$18 per day", "18"),
        ("12 left over", "12"),
        ("12, as required", "12"),
        ("12 cm\u00b2", "12"),
        ("x\u00b2 + 1", "1 + x^2"),
        ("1,200 eggs", "1200"),
        ("12.0 eggs", "12"),
        ("**12 eggs**", "12"),
        ("\\text{12 eggs}", "12"),
        ("12~\\text{eggs}", "12"),
        ("12\\,eggs", "12"),
        ("12 degrees Celsius", "12"),
        ("12^\\circ C", "12"),
        ("12\u00b0F", "12"),
        ("2 1/2 cups", "2.5"),
        ("10% increase", "10"),
        ("12 eggs", "x = 12"),
        ("12 eggs", "12 eggs per day"),
        ("12 egg", "12 eggs"),
        ("12 USD", "12"),
        ("2 million", "2000000"),
        ("$1.2 million", "1,200,000"),
        ("2\\text{ dozen}", "24"),
        ("2000 thousand", "2 million"),
        ("\\sin 30^\\circ", "0.5"),
        ("approximately 12", "12"),
        ("exactly $12", "12"),
        ("about 12 eggs", "12"),
        ("2e-05", "0.00002"),
        ("option B", "B"),
        ("Choice (C)", "\\text{C}"),
        ("B) 7", "B"),
        ("(B) 7", "7"),
        ("(C) 5 eggs", "5"),
        ("2 pi", "2\\pi"),
        ("1/2 of a cup", "0.5"),
        ("50 km per hour", "50 km/h"),
        ("(b) 7", "7"),
        ("B: 7", "7"),
        ("(B) -7", "-7"),
        ("yes, since 3 > 2", "yes"),
        ("no", "No, they are not parallel"),
    ],
)
def test_a_number_with_words_is_that_number(answer: str, gold: str) -> None:
    assert both_ways(answer, gold) == {"equal"}


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("13 eggs", "12"),
        ("13 eggs", "12 eggs"),
        ("13 miles per hour", "12"),
        ("13 m/s", "12"),
        ("13 years old", "12"),
        ("-5 degrees", "5"),
        ("12 million", "13"),
        ("-1.8 billion", "2"),
        ("12\u00b0C", "13"),
        ("35\\%", "\\frac{1}{3}"),
        ("\\sin 30^\\circ", "0.6"),
        ("no solution", "5"),
        ("John", "Mary"),
        ("Monday", "\\text{Tuesday}"),
        ("option B", "C"),
        ("(B) 7", "(C) 7"),
        ("(B) 7", "8"),
        ("(A) 3, (B) 4", "(A) 3, (B) 5"),
        ("(a) + 3", "3"),
        ("yes, since 3 > 2", "no"),
    ],
)
def test_a_miss_stays_a_miss(answer: str, gold: str) -> None:
    assert both_ways(answer, gold) == {"different"}


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("approximately 12", "12.3"),
        ("exactly $13", "12"),
        ("about 12 million", "12"),
        ("2e-3", "0.002"),
        ("She has 12 apples", "12"),
        ("12, which is less than 20", "12"),
        ("USD 12", "12"),
        ("12 of 20", "12"),
        ("12 (eggs)", "12"),
        ("x = 12 eggs", "12"),
        ("10+John's age", "50"),
        ("12k", "12"),
        ("12k", "12000"),
        ("12 N m", "12"),
        ("12m/s", "12"),
        ("12 m\u00b2", "12"),
        ("12 apples", "12 oranges"),
        ("listen", "silent"),
        ("a circle", "\\text{circle}"),
        ("no solution", "none"),
        ("yes because 3 > 2", "yes"),
        ("true, false", "true"),
        ("2 hours", "120"),
        ("2\\text{ hours}", "120"),
        ("2 hours of work", "120"),
        ("12 feet tall", "144"),
        ("1 year", "12"),
        ("6 inches", "0.5"),
        ("33.33\\%", "\\frac{1}{3}"),
        ("66.67\\%", "\\frac{2}{3}"),
        ("14.29\\%", "\\frac{1}{7}"),
        ("\\sin 60^\\circ", "0.866"),
        ("12\\text{ million}", "12"),
        ("2 million people", "2"),
        ("12\\text{ dozen}", "12"),
        ("12 dozen eggs", "12"),
        ("12 and a half", "12"),
        ("2\\text{ and a half}", "2"),
        ("half", "\\frac12"),
        ("5 twelfths", "5"),
        ("12 squared", "12"),
        ("12 times x", "12"),
        ("12, not thirteen", "12"),
        ("12 or more", "12"),
        ("5 degrees below zero", "5"),
        ("minus 5", "5"),
        ("3\\text{ hours }20\\text{ minutes}", "3"),
        ("3\\text{ hours }20\\text{ minutes}", "200"),
        ("3 hours and 20 minutes", "200"),
        ("3 hours, 20 minutes", "200"),
        ("3h 20m", "200"),
        ("12 minutes and thirty seconds", "12"),
        ("3 mod five", "3"),
        ("5 choose two", "10"),
        ("50 miles per hour", "50 km per hour"),
        ("50 km/h", "50 m/s"),
        ("Tuesday", "Tue"),
        ("2 x 3", "6"),
        ("7:30", "7.5"),
        ("3 h 20 min", "3"),
        ("12\\text{ feet }6\\text{ inches}", "12"),
        ("5 boys and 3 girls", "5"),
        ("42 \\text{ baps} = 40 \\text{ daps}", "40"),
    ],
)
def test_what_words_may_change_is_undecided(answer: str, gold: str) -> None:
    assert both_ways(answer, gold) == {"undecided"}


@pytest.mark.parametrize(
    "answer", ["2 xyz", "3x", "x + 2 y", "2 sin x", "1 and 2", "5 cm, 6 cm", "3 \\text{ or } 4", "7"]
)
def test_formulas_are_no_prose(answer: str) -> None:
    assert wording.worded(answer) == answer
    assert not wording.words(answer) - {"cm"}
    assert not wording.loose(answer)


def test_letters_in_a_row_are_products() -> None:
    assert both_ways("abc", "ab") == both_ways("xyz", "xy") == both_ways("SRAC", "SRMC") == {"different"}
    assert both_ways("2 xyz", "2zyx") == {"equal"}


@pytest.mark.parametrize(
    "piece", ["1 ", "1 a ", "1 eggs ", "\\text{", "\\text{a1}", "1 and ", "1 a,", "(A) ", "yes, ", "sin \u00b0 "]
)
def test_a_hostile_300_kilobytes_ends(piece: str) -> None:
    text = piece * (300_000 // len(piece))
    wording.worded(text)
    wording.words(text)
    wording.loose(text)
    wording.in_degrees(text)
    decide(text, "5")
