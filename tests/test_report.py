"""The report's figures against rows counted by hand, which solutions it shows, and that no text becomes markup."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from reporting import opened, row

from bench.finished import finished
from data import places, schema
from data.errors import RunError
from data.schema import Row
from pipeline import recipe
from pipeline.cli import main
from pipeline.machine_settings import Budget
from pipeline.memory import Paid
from pipeline.report import charts, overview, page
from pipeline.report.counts import LAST, Counts, met
from pipeline.report.sample import Sample
from pipeline.summary import Score
from pipeline.verbs import report

HOSTILE = "</script><script>bad()</script><!-- & <img src=x onerror=bad()> \u2028 $</script>$ \x00"


def counted(*parts: Sequence[Row]) -> Counts:
    counts = Counts()
    for rows in parts:
        counts.add(table(rows))
    return counts


def table(rows: Sequence[Row]) -> pa.Table:
    return schema.table(rows, {})


def told(made: Path) -> dict[str, Any]:
    """What a page holds, read as a browser would: the text of the script element with the id `data`."""
    found: list[str] = []

    class Reader(HTMLParser):
        inside = False

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.inside = tag == "script" and ("id", "data") in attrs

        def handle_data(self, data: str) -> None:
            if self.inside:
                found.append(data)

        def handle_endtag(self, _: str) -> None:
            self.inside = False

    Reader().feed(made.read_text(encoding="utf-8"))
    read: dict[str, Any] = json.loads("".join(found))
    return read


def test_solutions_problems_and_reasons_are_counted_over_shards() -> None:
    rows = [row("a", 0), row("a", 1, reason="judge_later"), row("b", reason="failed: ValueError: x")]
    counts = counted(rows, [row("c", reason="judge_later", outcome="equal")])
    assert (counts.solutions, counts.kept, counts.problems, counts.kept_problems) == (4, 1, 3, 1)
    assert counts.reasons == {"judge_later": 2, "failed": 1}
    assert counts.outcomes == {"different": 3, "equal": 1}
    assert counts.tokens == {"solve": 40, "rollout": 80, "judge": 120, "prompt": 160, "rollouts": 64}


def test_first_errors_are_counted_by_step_and_on_the_last_one() -> None:
    two = row("a", steps=("One.\n", "Two."))  # its first error is its last step
    counts = counted([two, row("b"), row("c", first_error=-1, mc_first_error=None, judge_first_error=LAST + 5)])
    label, rollouts, judge = (counts.firsts[name] for name in ("label", "rollouts", "judge"))
    assert (label.steps, label.last, label.none, label.unknown) == ({1: 2}, 1, 1, 0)
    assert (rollouts.steps, rollouts.none, rollouts.unknown) == ({1: 2}, 0, 1)
    assert judge.steps == {1: 2, LAST: 1}


@pytest.mark.parametrize(
    ("judge", "rollouts", "cell"),
    [
        (-1, -1, ("none", "none")),
        (-1, 3, ("none", "step")),
        (2, -1, ("step", "none")),
        (2, 2, ("step", "same")),
        (2, 1, ("step", "earlier")),
        (2, 3, ("step", "later")),
        (None, 0, ("unknown", "step")),
        (None, None, ("unknown", "unknown")),
        (0, None, ("step", "unknown")),
        (-1, None, ("none", "unknown")),
    ],
)
def test_judge_and_rollouts_meet_in_one_cell(judge: int | None, rollouts: int | None, cell: tuple[str, str]) -> None:
    assert met(judge, rollouts) == cell
    shown = overview.matrix(counted([row(judge_first_error=judge, mc_first_error=rollouts)]))
    cells = [one for line in shown["rows"] for one in line["cells"]]
    assert sum(one["count"] for one in cells) == 1
    assert all(sum(one["span"] for one in line["cells"]) == len(shown["head"]) for line in shown["rows"])


def test_without_rollouts_nothing_is_said_of_how_judge_and_rollouts_agree(tmp_path: Path) -> None:
    made = opened(tmp_path, [row()])
    assert told(Path(page.write(made).path))["matrix"]
    alone = replace(made, recipe=recipe.changed(made.recipe, ["completer.plan=none"]))
    assert told(Path(page.write(alone).path))["matrix"] is None


def test_hit_rates_are_pooled_by_step_and_outcome_over_rolled_prefixes_alone() -> None:
    counts = counted([row("a"), row("b", hits=[5, 0, 1], tries=[8, 8, 1], source=["rolled", "rolled", "graded"])])
    assert {key: (rate.prefixes, rate.hits, rate.tries) for key, rate in counts.rates.items()} == {
        ("different", 0): (2, 8, 16),
        ("different", 1): (2, 0, 16),
    }
    assert counts.sources == {"rolled": 4, "inferred": 1, "graded": 1}
    values = charts.charts(counts)[2]["spec"]["data"]["values"]
    assert [(v["step"], v["rate"], v["told"]) for v in values] == [("0", 0.5, "8 of 16"), ("1", 0.0, "0 of 16")]


def test_votes_are_unread_split_or_unanimous() -> None:
    votes = counted(
        [row("a"), row("b", judge_votes=[1, 1, 2]), row("c", judge_votes=[-1, -1]), row("d", judge_votes=[])]
    ).votes
    assert (votes.solutions, votes.votes, votes.unread, votes.several, votes.unanimous) == (3, 7, 1, 2, 1)


def test_rewards_are_averaged_by_step_and_label_and_what_is_no_number_is_left_out() -> None:
    counts = counted([row("a", rewards=[0.5, -1.0, 2.0]), row("b", rewards=[1.5, float("nan"), 4.0]), row("c")])
    assert {key: (mean.count, mean.total) for key, mean in counts.rewards.items()} == {
        ("right", 0): (2, 2.0),
        ("wrong", 1): (1, -1.0),
        ("unlabelled", 2): (2, 6.0),
    }
    chart = next(one for one in charts.charts(counts) if one["id"] == "rewards")
    assert [(v["label"], v["step"], v["reward"], v["count"]) for v in chart["spec"]["data"]["values"]] == [
        ("right", "0", 1.0, 2),
        ("unlabelled", "2", 3.0, 2),
        ("wrong", "1", -1.0, 1),
    ]


def test_posteriors_fall_into_bins_by_side() -> None:
    counts = counted(
        [row("a", posterior=1.0), row("b", posterior=0.99), row("c", reason="judge_unlikely", posterior=0.0)]
    )
    assert counts.posteriors == {(True, 19): 2, (False, 0): 1}


def test_charts_of_what_is_not_there_are_left_out() -> None:
    empty = row("a", reason="refused", steps=(), mc_first_error=None, judge_first_error=None, judge_votes=[])
    assert [one["id"] for one in charts.charts(counted([empty]))] == ["reasons"]
    assert [one["id"] for one in charts.charts(counted([row()]))] == ["reasons", "firsts", "rates"]


def test_tables_tell_votes_truth_stages_and_what_engines_cost() -> None:
    paid = {"openai:m@https://me:secret@host/v1": Paid(3, 1, 500_000, 2_000_000), "embedded": Paid(1)}
    budget = Budget(prices={"openai:m@https://me:secret@host/v1": (1.0, 4.0)})
    made = overview.tables(counted([row()]), {"judge alone": Score(2, 1, 4)}, paid, budget)
    found = {one["title"]: one["rows"] for one in made}
    assert found["First error against the truth"] == [["judge alone", "2", "50.0%", "50.0%", "1"]]
    assert ["rollouts, written", "20", "20"] in found["Tokens by stage"]
    engines = found["What each engine was paid"]
    assert [line[-1] for line in engines] == ["4.00", "-"]
    assert "secret" not in json.dumps(engines)
    assert all(len(line) == len(one["head"]) for one in made for line in one["rows"])


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (9_999, "9,999"), (12_345, "12.3k"), (1.5e6, "1.5M"), (2e9, "2.0B")]
)
def test_large_numbers_are_told_in_few_digits(number: float, text: str) -> None:
    assert overview.short(number) == text


def sampled(size: int, *parts: Sequence[Row]) -> list[str]:
    sample = Sample(size)
    for rows in parts:
        sample.offer(table(rows))
    return [one["id"] for one in sample.rows()][:size]


def test_a_sample_is_the_same_however_the_run_is_cut_and_ordered() -> None:
    rows = [row(f"p{n}", reason="judge_later" if n % 3 else None) for n in range(60)]
    whole = sampled(20, rows)
    assert whole == sampled(20, rows[40:], rows[:13], rows[13:40])
    assert whole[:10] == sampled(10, rows)
    assert len(set(whole)) == 20


def test_a_sample_has_both_sides_and_every_reason() -> None:
    rows = [row(f"k{n}") for n in range(50)] + [row(f"l{n}", reason="judge_later") for n in range(50)]
    rows += [row("e", reason="empty"), row("f", reason="failed: x"), row("g", reason="failed: y")]
    found = [next(one for one in rows if one["id"] == name) for name in sampled(16, rows)]
    kinds = [one["reason"] or "kept" for one in found]
    assert {"kept", "judge_later", "empty"} <= set(kinds)
    assert kinds.count("kept") >= 7
    assert sum(kind.startswith("failed") for kind in kinds) == 2


def test_where_one_side_has_too_few_the_other_fills_the_sample() -> None:
    assert len(sampled(10, [row(f"k{n}") for n in range(20)])) == 10
    assert len(sampled(10, [row(f"r{n}", reason="judge_later") for n in range(20)])) == 10
    assert len(sampled(30, [row(f"r{n}") for n in range(9)] + [row("x", reason="empty")])) == 10


def test_a_page_holds_its_run_and_no_text_of_it_is_markup(tmp_path: Path) -> None:
    hostile = row(
        HOSTILE, text=HOSTILE, steps=(HOSTILE,), reason=f"failed: {HOSTILE}", answer=HOSTILE, gold_answer=HOSTILE
    )
    made = opened(tmp_path, [row(), hostile | {"level": HOSTILE, "rewards": [float("inf")]}])
    file = Path(page.write(made).path)
    text = file.read_text(encoding="utf-8")
    assert text.count("<script") == text.count("</script") == 3  # the data, the library, the page's own
    assert "onerror=bad" not in text.replace("\\u003cimg src=x onerror=bad", "")
    held = told(file)
    shown = next(one for one in held["solutions"] if not one["kept"])
    formulas = held["formulas"]
    joined = "".join(piece if isinstance(piece, str) else formulas[piece]["source"] for piece in shown["problem"])
    assert joined == HOSTILE
    assert shown["rewards"] == [None]


def test_a_page_names_its_scripts_and_fetches_nothing(tmp_path: Path) -> None:
    text = Path(page.write(opened(tmp_path, [row()])).path).read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    assert "default-src 'none'" in policy[1]
    assert policy[1].count("'sha256-") == 2
    assert "unsafe-eval" not in policy[1]
    assert not re.search(r'(?:src|href)="(?!#|data:)', text.partition("<script")[0])
    assert "@import" not in text.partition("<script")[0]
    assert len(text) < 2_000_000


def test_a_page_has_an_end_however_long_solutions_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "BYTES", 300_000)
    long = [row(f"p{n}", steps=tuple(f"{k}{'ab ' * 5_000}\n\n" for k in range(200))) for n in range(5)]
    found = told(Path(page.write(opened(tmp_path, long)).path))
    assert found["sampled"] == "a sample of the run's 5, as many as fit"
    assert len(found["solutions"]) == 1  # one is shown whatever its size
    one = found["solutions"][0]
    assert one["omitted"] == "50 more steps are not shown."
    assert len(one["steps"]) == len(one["hits"]) == page.STEPS
    assert one["steps"][0][-1].endswith("… (9,003 more characters)")


@pytest.mark.parametrize(("shown", "sampled"), [(9, "all of the run"), (1, "a sample of the run's 2")])
def test_a_page_tells_how_much_of_the_run_it_holds(tmp_path: Path, shown: int, sampled: str) -> None:
    assert told(Path(page.write(opened(tmp_path, [row("a"), row("b")]), shown).path))["sampled"] == sampled


def test_a_run_without_solutions_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no labelled solution yet"):
        page.write(opened(tmp_path))


def test_the_judges_words_are_there_and_the_command_writes_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished(tmp_path, "scripted", "data.limit=4", "judge.votes=2", "judge.sampling.temperature=1.0")
    assert main(["report", "--out", str(tmp_path), "--solutions", "3"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'report.html'}\n"
    found = told(tmp_path / "report.html")
    assert len(found["solutions"]) == 3
    for one in found["solutions"]:
        assert [reply["first_error"] for reply in one["replies"]] == one["votes"]
        assert all(reply["text"] for reply in one["replies"])


def test_a_page_of_nothing_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--solutions", "0"]) == 2
    assert "at least one" in capsys.readouterr().err


def test_a_run_that_cannot_be_shown_is_a_run_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = opened(tmp_path, [row()])
    report.at_end(made, 1)
    assert "report.html" in capsys.readouterr().out
    (tmp_path / "report.html").unlink()
    report.at_end(made, report.QUICK + 1)
    assert not (tmp_path / "report.html").exists()
    monkeypatch.setattr(page, "write", lambda _: 1 / 0)
    report.at_end(made, 1)
    assert "no report (ZeroDivisionError" in capsys.readouterr().out


def test_the_library_is_bundled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "stepwise"
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda _: "a</script>b<!--c\r\n")
    page._library.cache_clear()
    try:
        assert page._library() == "a<\\/script>b<\\!--c\n"
        assert [file.read_text() for file in folder.iterdir()] == ["a<\\/script>b<\\!--c\n"]
        monkeypatch.setattr("vl_convert.javascript_bundle", lambda _: "another")
        page._library.cache_clear()
        assert page._library() == "a<\\/script>b<\\!--c\n"
    finally:
        page._library.cache_clear()


def test_places_of_the_page_are_places(tmp_path: Path) -> None:
    assert page.write(opened(tmp_path, [row()])) == places.at(tmp_path / "report.html")
