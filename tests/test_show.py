"""One solution for the terminal: which one is meant, what is said of its steps, and what no text may do."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from data import schema, shards
from data.errors import RunError
from data.places import Place, at
from data.records import (
    Decision,
    Estimate,
    Labelled,
    Outcome,
    Problem,
    StepEstimate,
    Task,
    Tokens,
    Trace,
    Verdict,
)
from data.schema import Row
from pipeline import show
from pipeline.pick import Wanted, pick
from pipeline.replies import Heard

HOSTILE = "\x1b[31mred\x1b]0;title\x07 \x9b2J \r over \x08\x00 \u202ertl \u2028 line"


def row(
    name: str = "p",
    sample: int = 0,
    text: str = "Ann has 3 eggs. How many?",
    steps: tuple[str, ...] = ("Three.\n\n", "Four.\n\n", "The answer is 4."),
    reason: str | None = None,
    **changes: Any,
) -> Row:
    """A hand-made row: the second step is wrong, by judge and rollouts, unless it is rejected."""
    problem = Problem(name, "made", text, "3")
    estimates = (
        StepEstimate(3, 8, "rolled", True, True),
        StepEstimate(0, 8, "rolled", False, False),
        StepEstimate(0, 0, "inferred", False, False),
    )
    outcome: Outcome = "different"
    labels = () if reason else (True, False)
    labelled = Labelled(
        Task(problem, "policy", sample),
        Trace(text, steps, "4"),
        outcome,
        Estimate(estimates[: len(steps)], 1),
        Verdict(1, (1, None)),
        Decision(reason is None, None if reason else 1, labels, reason is None, reason),
        Tokens(10, 20, 30, 40, 16),
    )
    return {**schema.row(labelled), **changes}


def sealed(tmp_path: Path, *rows: Mapping[str, Any]) -> Path:
    kept, rejected = ([dict(r) for r in rows if r["kept"] is side] for side in (True, False))
    shards.enter(
        tmp_path, shards.seal(tmp_path, shards.pack("p", schema.table(kept, {}), schema.table(rejected, {}), "digest"))
    )
    return tmp_path


def shown(some: Row, *heard: Heard, colour: bool = False, width: int | None = None) -> str:
    return "\n".join(show.lines(some, heard or None, colour=colour, width=width))


def test_steps_stand_with_their_evidence_and_marks() -> None:
    text = shown(row())
    assert "p/policy/0   kept" in text
    assert re.search(r"^✓   0     █▌·· 3/8\+ +Three\.$", text, re.MULTILINE)  # the plus: stopped early
    assert re.search(r"^✗   1 jr  ···· 0/8 +Four\.$", text, re.MULTILINE)
    assert re.search(r"^·   2     inferred +The answer is 4\.$", text, re.MULTILINE)  # after the first error: no label
    assert "answer 4   gold 3   different" in text
    assert "first error   label step 1   rollouts step 1   judge step 1" in text
    assert "votes step 1, unknown   rollouts 16" in text
    assert all(line in text for line in show.LEGEND)
    assert show.FROM_ONE not in text  # nobody's words are shown


def test_what_is_missing_is_said_to_be_so() -> None:
    text = shown(
        row(
            reason="judge_undecided",
            answer=None,
            gold_answer=None,
            mc_first_error=-1,
            judge_first_error=None,
            judge_votes=[],
        )
    )
    assert "rejected: judge_undecided" in text
    assert "answer none   gold none" in text
    assert "first error   label unknown   rollouts none   judge unknown" in text
    assert "votes not asked" in text  # a vote of "none" is one for no error


def test_a_solution_without_steps_can_be_shown() -> None:
    assert "rejected: refused" in shown(row(reason="refused", steps=()))


def test_colour_is_only_where_it_is_asked_for() -> None:
    assert "\x1b" not in shown(row())
    painted = shown(row(), colour=True)
    assert show.GREEN in painted
    assert show.RED in painted
    assert painted.count("\x1b[0m") == len(re.findall(r"\x1b\[(?:32|31|90|1)m", painted))


def test_no_text_drives_the_terminal() -> None:
    hostile = row(
        name=HOSTILE,
        text=HOSTILE,
        steps=(HOSTILE,),
        reason=f"failed: {HOSTILE}",
        answer=HOSTILE,
        gold_answer=HOSTILE,
    )
    text = shown(hostile)
    assert all(c.isprintable() or c in "\n\t" for c in text)
    assert text.count("\\x1b[31mred") == 6
    assert all(c.isprintable() or c in "\n\t" for c in re.sub(r"\x1b\[\d+m", "", shown(hostile, colour=True)))


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x7f\x85", "\\x7f\\x85"),
        ("é 数 ∑", "é 数 ∑"),
        ("\u202e", "\\x202e"),
    ],
)
def test_control_characters_are_written_out(text: str, safe: str) -> None:
    assert show.printable(text) == safe


@pytest.mark.parametrize(
    ("hits", "tries", "blocks"),
    [(0, 0, "····"), (0, 8, "····"), (8, 8, "████"), (4, 8, "██··"), (1, 1000, "▏···"), (999, 1000, "███▉")],
)
def test_a_share_is_a_bar_in_which_any_hit_and_any_miss_shows(hits: int, tries: int, blocks: str) -> None:
    assert show.bar(hits, tries) == blocks


def test_long_steps_hang_below_their_beginning() -> None:
    words = " ".join(f"word{number}" for number in range(40))
    text = shown(row(steps=(f"{words}\n  indented\n\n", "Four.")), width=60)
    step = text.partition("✓   0")[2].partition("✗   1")[0].splitlines()
    assert max(map(len, text.splitlines())) <= 60
    assert len(step) > 5
    assert all(line.startswith(" " * show.MARGIN) for line in step[1:])
    assert step[-1] == " " * show.MARGIN + "  indented"
    assert " ".join(" ".join(step).split()).endswith(f"{words} indented")
    assert max(map(len, shown(row(text="x" * 500), width=60).splitlines())) <= 60


def test_where_no_width_is_known_lines_stay_as_they_are() -> None:
    assert "x " * 300 + "y" in shown(row(text="x " * 300 + "y"))


def test_judges_words_are_shown_and_drive_nothing() -> None:
    text = shown(row(), Heard(0, f"It is wrong.\n{HOSTILE}", 1), Heard(1, "?", None, "no conclusion"), colour=True)
    assert "judge 0: step 1" in text
    assert "It is wrong." in text
    assert "judge 1: no conclusion" in text
    assert show.FROM_ONE in text
    assert "\x1b[2J" not in text
    assert all(c.isprintable() or c in "\n\t" for c in re.sub(r"\x1b\[\d+m", "", text))


def test_words_that_are_not_to_be_found_are_said_to_be_missing() -> None:
    assert "no reply of a judge" in "\n".join(show.lines(row(), [], colour=False))
    assert "no reply of a judge" not in shown(row())


def test_level_and_posterior_are_told_where_there_are_any() -> None:
    text = shown(row(level="hard", posterior=0.9876))
    assert "kept   level hard" in text
    assert "judge right with probability 0.988" in text


def picked(place: Place, **wanted: Any) -> str:
    return str(pick(place, Wanted(**wanted))["id"])


def test_an_id_is_found_whole_or_by_its_start(tmp_path: Path) -> None:
    place = at(sealed(tmp_path, row("p1", 10), row("p1", 1, reason="judge_later"), row("p2")))
    assert picked(place, id="p1/policy/1") == "p1/policy/1"  # not p1/policy/10, which starts so and is kept
    assert picked(place, id="p2") == "p2/policy/0"
    assert picked(place, id="p1") == "p1/policy/10"  # kept ones first


def test_without_an_id_a_kept_solution_with_an_error_is_shown(tmp_path: Path) -> None:
    clean = row("p1", first_error=-1, labels=[True] * 3, completions=["a", "b", "c"])
    place = at(sealed(tmp_path, clean, row("p2"), row("p0", reason="judge_later")))
    assert picked(place) == "p2/policy/0"


def test_without_such_a_one_any_solution_is_shown(tmp_path: Path) -> None:
    assert picked(at(sealed(tmp_path, row("p0", reason="judge_later")))) == "p0/policy/0"


def test_an_unknown_id_is_told_what_ids_look_like(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no solution 'zzz'; ids look like 'p/policy/0'"):
        picked(at(sealed(tmp_path, row())), id="zzz")


@pytest.mark.parametrize("wanted", [None, "p"])
def test_a_run_without_solutions_says_so(tmp_path: Path, wanted: str | None) -> None:
    with pytest.raises(RunError, match="holds no solution"):
        picked(at(tmp_path), id=wanted)


def some(tmp_path: Path) -> Place:
    rows = [row("p0"), row("p1", level="hard"), row("p2", reason="judge_later", agreement=False)]
    rows += [row("p3", reason="judge_undecided", level="hard", agreement=None)]
    return at(sealed(tmp_path, *rows))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"kept": True}, "p0"),
        ({"kept": True, "level": "hard"}, "p1"),
        ({"kept": False}, "p2"),
        ({"kept": False, "reason": "judge_u"}, "p3"),
        ({"disagree": True}, "p2"),
        ({"level": "hard", "kept": False}, "p3"),
        ({"id": "p", "kept": False}, "p2"),
    ],
)
def test_a_solution_is_found_by_what_became_of_it(tmp_path: Path, wanted: dict[str, Any], found: str) -> None:
    assert picked(some(tmp_path), **wanted) == f"{found}/policy/0"


def test_chance_finds_every_one_that_fits_and_the_same_again(tmp_path: Path) -> None:
    place = some(tmp_path)
    found = {seed: picked(place, seed=seed) for seed in range(40)}
    assert set(found.values()) == {f"p{number}/policy/0" for number in range(4)}
    assert {seed: picked(place, seed=seed) for seed in range(40)} == found
    assert {picked(place, seed=seed, level="hard", kept=True) for seed in range(9)} == {"p1/policy/0"}


def test_where_none_fits_the_reasons_there_are_are_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no solution such as this; rejected are: judge_later 1, judge_undecided 1"):
        picked(some(tmp_path), kept=False, reason="judge_sooner")
    with pytest.raises(RunError, match=r"judge_undecided 1; levels are: hard"):
        picked(at(tmp_path), level="middling")
