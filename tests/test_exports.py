"""Every exported format read back with a parser written from its specification; labels derived as the evidence says."""

import itertools
import json
import math
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs, parquet
from tokenizers import Tokenizer

from bench.finished import finished
from data import schema, shards
from data.errors import RunError, SettingError
from data.places import Place, at
from data.records import Decision, Estimate, Labelled, Outcome, Problem, StepEstimate, Task, Tokens, Trace, Verdict
from data.schema import Row
from data.sources import Loaded, load
from pipeline.cli import main
from pipeline.exports.formats import FORMATS, regularised
from pipeline.exports.labels import Labels
from pipeline.exports.lengths import lengths
from pipeline.exports.writing import export
from pipeline.synth import unusable

ARITH = Path(__file__).parents[1] / "data" / "arith" / "model" / "tokenizer.json"
ALONE = ("judge.kind=given", "completer.plan=none", "consensus.rule=judge", "solutions=given")

Pairs = list[tuple[str, list[str], list[float]]]


def rolled(hits: int, tries: int = 8, *, early: bool = False) -> StepEstimate:
    return StepEstimate(hits, tries, "rolled", early, hits > 0)


def row(  # noqa: PLR0917 - the columns of a small table
    name: str = "p",
    steps: Sequence[str] = ("One.\n\n", "Two.\n\n", "Three."),
    estimates: Sequence[StepEstimate] = (rolled(8), rolled(4), rolled(0)),
    error: int | None = 2,
    problem: str = "What is it?\n",
    outcome: Outcome = "different",
) -> Row:
    """One solution, `error` its label; None where it was rejected."""
    count = len(steps) if error == -1 else (error or 0)
    labels = () if error is None else (True,) * count + (False,) * (error >= 0)
    reason = "judge_later" if error is None else None
    return schema.row(
        Labelled(
            Task(Problem(name, "toy", problem, "3"), "small", 0),
            Trace(problem, tuple(steps), "4"),
            outcome,
            Estimate(tuple(estimates), error),
            Verdict(error, (error,)),
            Decision(error is not None, error, labels, error is not None, reason),
            Tokens(10, 20, 30, 40, 16),
        )
    )


def sealed(out: Path, *rows: Row) -> Path:
    for number, one in enumerate(rows):
        kept, rejected = ([one] if one["kept"] is side else [] for side in (True, False))
        packed = shards.pack(f"p{number:b}", schema.table(kept, {}), schema.table(rejected, {}), "digest")
        shards.enter(out, shards.seal(out, packed))
    return out


def written(out: Path, name: str, *, labels: Labels | None = None, side: Any = "labelled") -> list[Row]:
    """Export, and read the file as its consumer's loader would."""
    file = out / f"{name}.out"
    export(at(out), str(file), name, labels or Labels(), side=side)
    if FORMATS[name].suffix == "parquet":
        return list(parquet.read_table(file).to_pylist())
    text = file.read_text(encoding="utf-8")
    return (
        list(json.loads(text)) if FORMATS[name].suffix == "json" else [json.loads(line) for line in text.splitlines()]
    )


# Parsers, each from what its consumer does ---------------------------------------------------------------------------


def read_trl(one: Row) -> Pairs:
    assert list(one) == ["prompt", "completions", "labels"]
    assert all(type(label) is bool for label in one["labels"])
    return [(one["prompt"], one["completions"], one["labels"])]


def read_qwen(one: Row) -> Pairs:
    """The model card: a reward is read at each step token; the text of a step stands before it."""
    roles, texts = zip(*((turn["role"], turn["content"]) for turn in one["messages"]), strict=True)
    assert roles == ("system", "user", "assistant")
    *steps, rest = texts[2].split("<extra_0>")
    assert not rest
    return [(texts[1], steps, one["labels"])]


def read_shepherd(one: Row) -> Pairs:
    """TRL's script for the public dataset: tags made as short as the signs, so that offsets agree."""
    inputs = one["input"].replace("ки", "\0")
    marks = [match.start() for match in re.finditer("\0", inputs)]
    assert {one["label"][mark] for mark in marks} <= {"+", "-"}
    assert len(inputs) == len(one["label"])
    first, *others = (inputs[start:end] for start, end in itertools.pairwise([0, *marks]))
    problem, _, step = first.partition("Step 1:")
    steps = [f"Step 1:{step}".strip(), *(other[1:].strip() for other in others)]
    return [(problem.strip(), steps, [float(one["label"][mark] == "+") for mark in marks])]


def read_rlhflow(one: Row) -> Pairs:
    turns = one["conversations"]
    assert [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
    steps = [turn["content"] for turn in turns[::2]]
    problem, _, steps[0] = steps[0].partition("it? ")
    return [(problem + "it?", steps, [{"+": 1.0, "-": 0.0}[turn["content"]] for turn in turns[1::2]])]


def read_prm800k(one: Row) -> Pairs:
    """TRL's script: every candidate ends a solution of the steps chosen before it."""
    before: list[str] = []
    found: Pairs = []
    for step in one["label"]["steps"]:
        (candidate,) = step["completions"]
        before = [*before, candidate["text"]]
        labels = [1.0] * (len(before) - 1) + [float(candidate["rating"] == 1)]
        found = [(one["question"]["problem"], before, labels)]
        if step["chosen_completion"] is None:
            break
    assert one["label"]["finish_reason"] == ("found_error" if 0 in found[0][2] else "solution")
    return found


def read_processbench(one: Row) -> Pairs:
    assert list(one) == ["id", "generator", "problem", "steps", "final_answer_correct", "label"]
    right = len(one["steps"]) if one["label"] == -1 else one["label"]
    return [(one["problem"], one["steps"], [1.0] * right + [0.0] * (one["label"] >= 0))]


def read_er_prm(one: Row) -> Pairs:
    """Its trainer drops the line ends after the tags and gives each tag the next value."""
    *steps, rest = one["text"].replace(" ки\n", " ки").split("ки")
    assert not rest
    assert len(steps) == len(one["value"])
    problem, _, steps[0] = steps[0].partition(" Step 1: ")
    rates = [(math.exp(value) - 1) / (math.e - 1) for value in one["value"]]
    return [(problem, [re.sub(r"^Step \d+: ", "", step).strip() for step in steps], rates)]


def read_jsonl(one: Row) -> Pairs:
    known = [label for label in one["labels"] if label is not None]
    return [(one["problem"], [step.strip() for step in one["steps"]], [float(label) for label in known])]


READERS: dict[str, Callable[[Row], Pairs]] = {
    "trl": read_trl,
    "qwen": read_qwen,
    "math-shepherd": read_shepherd,
    "rlhflow": read_rlhflow,
    "prm800k": read_prm800k,
    "processbench": read_processbench,
    "er-prm": read_er_prm,
    "jsonl": read_jsonl,
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_back_as_its_consumer_reads_it(tmp_path: Path, name: str) -> None:
    out = sealed(tmp_path, row("a"), row("b", error=-1, outcome="equal"), row("c", error=0), row("d", error=None))
    found = [READERS[name](one)[0] for one in written(out, name)]
    assert [problem.strip() for problem, _, _ in found] == ["What is it?"] * 3
    assert [labels for _, _, labels in found] == [[1, 1, 0], [1, 1, 1], [0]]
    whole = name in {"processbench", "jsonl"}  # these write the steps after the first error, too
    counts = (3, 3, 3 if whole else 1)
    for (_, steps, _), count in zip(found, counts, strict=True):
        assert [re.sub(r"^Step \d: ", "", step) for step in steps] == ["One.", "Two.", "Three."][:count]


def test_nothing_is_forgotten_in_the_table() -> None:
    assert READERS.keys() == FORMATS.keys()
    guide = (Path(__file__).parents[1] / "docs" / "exports.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in guide for name in FORMATS)


# Labels ---------------------------------------------------------------------------------------------------------------


def test_hard_labels_at_a_threshold_progress_and_soft_ones_come_from_the_hits(tmp_path: Path) -> None:
    out = sealed(tmp_path, row(estimates=(rolled(8), rolled(4), rolled(3)), error=None))
    ways = [("threshold", 0.0), ("threshold", 0.5), ("threshold", 0.4), ("progress", 0.8), ("soft", 0.0)]
    told = [written(out, "jsonl", labels=Labels(*way), side="all")[0] for way in ways]  # type: ignore[arg-type]
    assert [one["labels"] for one in told] == [
        [True, True, True],
        [True, False, False],
        [True, True, False],
        [True, False, False],
        [1.0, 0.5, 0.375],
    ]
    assert [one["first_error"] for one in told] == [-1, 1, 2, 1, None]


@pytest.mark.parametrize(("number", "found"), [(0.0, [True, True, False]), (0.5, [True, False])])
def test_neutral_is_right_or_wrong_as_one_sets_it(tmp_path: Path, number: float, found: list[bool]) -> None:
    out = sealed(tmp_path, row() | {"ratings": [1.0, 0.5, 0.0]})
    assert written(out, "trl", labels=Labels("given", number))[0]["labels"] == found
    assert written(out, "jsonl", labels=Labels("given"))[0]["labels"] == [1.0, 0.5, 0.0]


@pytest.mark.parametrize("labels", [Labels("soft"), Labels("threshold", 0.25), Labels("progress", 0.8)])
def test_rates_of_sampling_that_stopped_at_a_hit_are_refused_and_no_file_is_touched(
    tmp_path: Path, labels: Labels
) -> None:
    out = sealed(tmp_path / "run", row(), row("q", estimates=(rolled(8), rolled(1, 2, early=True), rolled(0))))
    file = tmp_path / "to" / "there.jsonl"
    file.parent.mkdir()
    file.write_text("before")
    with pytest.raises(SettingError, match=r"q/small/0, step 1: sampling stopped .* 1 of 2 .*exhaustive"):
        export(at(out), str(file), "jsonl", labels)
    assert file.read_text() == "before"
    assert [path.name for path in file.parent.iterdir()] == ["there.jsonl"]


def test_any_hit_needs_no_rates(tmp_path: Path) -> None:
    out = sealed(tmp_path, row(estimates=(rolled(1, 2, early=True), rolled(0), StepEstimate()), error=None))
    (one,) = written(out, "trl", labels=Labels("threshold"), side="rejected")
    assert one["labels"] == [True, False]


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if not form.soft])
def test_soft_labels_are_refused_where_they_would_become_hard(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingError, match="--soft goes with qwen, er-prm, jsonl"):
        written(sealed(tmp_path, row()), name, labels=Labels("soft"))


def test_soft_values_go_on_after_the_first_error(tmp_path: Path) -> None:
    out = sealed(tmp_path, row(estimates=(rolled(8), rolled(0), rolled(2))))
    assert written(out, "qwen", labels=Labels("soft"))[0]["labels"] == [1.0, 0.0, 0.25]
    assert written(out, "er-prm", labels=Labels("soft"))[0]["value"] == [1.0, 0.0, round(regularised(0.25), 3)]
    assert regularised(0.5) == pytest.approx(0.620, abs=0.001)


@pytest.mark.parametrize(
    ("name", "kept"), [("trl", 2), ("qwen", 2), ("prm800k", 2), ("math-shepherd", 3), ("rlhflow", 3)]
)
def test_hard_labels_after_the_first_error_are_as_documented(tmp_path: Path, name: str, kept: int) -> None:
    out = sealed(tmp_path, row(estimates=(rolled(8), rolled(0), rolled(2)), error=1))
    ((_, _, labels),) = READERS[name](written(out, name, labels=Labels("threshold"))[0])
    assert labels == [1, 0, 1][:kept]


@pytest.mark.parametrize(("way", "number"), [("threshold", 1.0), ("threshold", -0.1), ("progress", 0.0)])
def test_numbers_that_make_no_sense_are_refused(way: Any, number: float) -> None:
    with pytest.raises(SettingError):
        Labels(way, number)


# What does not fit ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hostile", "reason"),
    [
        ("qwen", {"steps": ("One.<extra_0>", "Two.", "Three.")}, "holds the step mark <extra_0>"),
        ("math-shepherd", {"steps": ("уроки", "Two.", "Three.")}, "holds the step mark ки"),
        ("er-prm", {"problem": "ки?"}, "holds the step mark ки"),
        ("math-shepherd", {"problem": "Is step 1: a step?"}, 'says "Step 1:"'),
        ("math-shepherd", {"steps": ("Step 1: as Step 1: says", "Two.", "Three.")}, 'says "Step 1:" again'),
        ("processbench", {"error": None}, "the first error is not known"),
        ("trl", {"error": None}, "no step has a label"),
    ],
)
def test_a_solution_that_does_not_fit_is_left_out_and_told(
    tmp_path: Path, name: str, hostile: Row, reason: str
) -> None:
    out = sealed(tmp_path, row("a"), row("b", **hostile))
    made = export(at(out), str(out / "x"), name, Labels(), side="all")
    assert made.written == 1
    assert re.search(rf"left out: .*{re.escape(reason)}.* \(1\)", "\n".join(made.lines()))


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_solution_without_steps_is_in_no_format(tmp_path: Path, name: str) -> None:
    refused = schema.row(unusable(Task(Problem("b", "toy", "What is it?", "3"), "small", 0), "refused"))
    made = export(at(sealed(tmp_path, row("a"), refused)), str(tmp_path / "x"), name, Labels("threshold"), side="all")
    assert (made.written, made.unfit) == (1, {"it has no step": 1})


def test_nothing_to_write_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no row can be written: no step has a label \(1\)"):
        written(sealed(tmp_path / "a", row(error=None)), "trl", side="rejected")
    with pytest.raises(RunError, match="rejected rows have no label of the run's own: see --threshold"):
        export(at(tmp_path / "a"), str(tmp_path / "x"), "trl", Labels(), side="all")
    with pytest.raises(RunError, match="it has no rejected row"):
        written(sealed(tmp_path / "b", row()), "trl", side="rejected")


def test_a_shard_is_read_when_its_turn_comes(tmp_path: Path) -> None:
    out = sealed(tmp_path, row("a"), row("b"), row("c"))
    (out / "labelled" / "p10.parquet").unlink()
    with pytest.raises(RunError, match="missing"):
        written(out, "jsonl")
    assert not (out / "jsonl.out").exists()


# Lengths --------------------------------------------------------------------------------------------------------------


def tokenized(one: Row, most: int, separator: str = "\n") -> list[int]:
    """What TRL 1.x's PRM trainer makes of a row: labels at the last token of each step, the rest cut off."""
    tokenizer = Tokenizer.from_file(str(ARITH))

    def ids(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)

    steps = [[*ids(step), *ids(separator)] for step in one["completions"]]
    labels = [[-100] * (len(step) - 1) + [int(label)] for step, label in zip(steps, one["labels"], strict=True)]
    return [-100] * len(ids(one["prompt"])) + list(itertools.chain(*labels))[: most - len(ids(one["prompt"]))]


@pytest.mark.parametrize("most", [1, 20, 60, 10_000])
def test_labels_that_a_trainer_would_cut_off_are_counted(tmp_path: Path, most: int) -> None:
    finished(tmp_path, "scripted", "data.limit=6")
    counter = lengths(str(ARITH), most, FORMATS["trl"])
    export(at(tmp_path), str(tmp_path / "trl"), "trl", Labels(), lengths=counter)
    rows = parquet.read_table(tmp_path / "trl").to_pylist()
    left = [sum(label != -100 for label in tokenized(one, most)[:most]) for one in rows]
    assert counter.labels == sum(len(one["labels"]) for one in rows)
    assert counter.labels - counter.beyond == sum(left)
    assert counter.cut_rows == sum(kept < len(one["labels"]) for kept, one in zip(left, rows, strict=True))
    assert ("cut off" in counter.told()) is (counter.beyond > 0)


@pytest.mark.parametrize("name", ["qwen", "math-shepherd", "rlhflow", "er-prm"])
def test_every_label_of_a_tagged_text_is_found(tmp_path: Path, name: str) -> None:
    counter = lengths(str(ARITH), 5, FORMATS[name])
    export(at(sealed(tmp_path, row(), row("b", error=-1))), str(tmp_path / "x"), name, Labels(), lengths=counter)
    assert (counter.labels, counter.beyond) == (6, 6)
    counter = lengths(str(ARITH.parent), counter.longest, FORMATS[name])
    export(at(tmp_path), str(tmp_path / "x"), name, Labels(), lengths=counter)
    assert counter.beyond == 0


def test_a_tokenizer_that_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(SettingError, match="no tokenizer"):
        lengths(str(tmp_path), 5, FORMATS["trl"])
    with pytest.raises(SettingError, match="leave out --tokenizer"):
        lengths(str(ARITH), 5, FORMATS["processbench"])


@pytest.mark.parametrize("local", [True, False], ids=["disk", "store"])
def test_a_file_lies_whole_or_stays_as_it_was(tmp_path: Path, local: bool) -> None:
    place = Place(fs.LocalFileSystem(), str(tmp_path / "file"), local=local)
    with place.filled() as file:
        file.write(b"first")
    with suppress(ZeroDivisionError), place.filled() as file:
        file.write(b"second")
        raise ZeroDivisionError
    assert place.read() == b"first"
    assert len(list(tmp_path.iterdir())) == 1


# There and back -------------------------------------------------------------------------------------------------------


def solutions(loaded: Loaded) -> set[tuple[str, tuple[str, ...], tuple[float, ...]]]:
    """Problem, steps without the whitespace around them, and labels as far as they are known and matter."""
    found = set()
    for problem in loaded.problems:
        for one in problem.given:
            known = list(itertools.takewhile(lambda value: value is not None, one.ratings))
            error = known.index(0.0) if 0.0 in known else len(known)
            steps = tuple(step.strip() for step in one.steps[: error + 1])
            found.add((problem.text.strip(), steps, tuple(float(value or 0) for value in known[: error + 1])))
    return found


@pytest.mark.parametrize("name", ["trl", "math-shepherd", "prm800k", "processbench", "jsonl"])
def test_an_imported_export_holds_the_same_problems_steps_and_labels(tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    finished(run, "scripted", "data.limit=12", "scripted.right=0.8", "scripted.judge_hit=1.0")
    file = tmp_path / f"{name}.{FORMATS[name].suffix}"
    made = export(at(run), str(file), name, Labels())
    kept = shards.read(run).to_pylist()
    assert made.written == len(kept) > 10
    own = {(one["problem"], tuple(one["completions"]), tuple(map(float, one["labels"]))) for one in kept}
    assert len(own) > 10  # the same solution twice counts once
    assert solutions(load(str(file))) == own


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("math-shepherd", "rollout_samples/math_shepherd_7.jsonl"),
        ("prm800k", "rollout_samples/prm800k_raw_6.jsonl"),
        ("jsonl", "rollout_samples/math_aps_3.jsonl"),
        ("jsonl", "rollout_samples/math_aps_tree_3.jsonl"),
        ("processbench", "processbench/gsm8k.jsonl"),
    ],
)
def test_real_step_data_goes_through_a_run_and_comes_out_equal(
    shared_data: Path, tmp_path: Path, name: str, file: str
) -> None:
    source = shared_data / file
    finished(tmp_path / "run", str(source), *ALONE, "data.limit=60")
    to = tmp_path / f"out.{FORMATS[name].suffix}"
    export(at(tmp_path / "run"), str(to), name, Labels("given"), side="all")
    before, after = load(str(source), 60), load(str(to))

    def told(loaded: Loaded) -> set[Any]:
        return {
            (problem.text, problem.gold, tuple(step.strip("\n") for step in one.steps), one.ratings)
            for problem in loaded.problems
            for one in problem.given
        }

    assert told(after) == told(before)
    if name in {"math-shepherd", "processbench"}:
        rows = [{json.dumps(mine(json.loads(line)), sort_keys=True) for line in path.read_text().splitlines()[:60]}
                for path in (source, to)]  # fmt: skip
        assert rows[0] == rows[1]


def mine(one: Row) -> Row:
    """A row without what depends on other rows (its id) or on a gold answer that the dataset does not have."""
    steps = [step.strip("\n") for step in one.get("steps", [])]
    return {**one, "steps": steps, "id": None, "final_answer_correct": None}


# The command ----------------------------------------------------------------------------------------------------------


def test_the_command_writes_beside_the_run_and_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    finished(out, "scripted", "data.limit=4", "completer.plan=exhaustive")
    arguments = ["export", "--out", str(out), "--format", "er-prm", "--soft", "--tokenizer", str(ARITH)]
    assert main([*arguments, "--max-length", "30"]) == 0
    told = capsys.readouterr().out
    assert f"{out}/exports/er-prm.json" in told
    assert "would be cut off by the trainer" in told
    values = [value for one in json.loads((out / "exports" / "er-prm.json").read_text()) for value in one["value"]]
    assert any(0 < value < 1 for value in values)
    assert main(arguments) == 2
    assert "go together" in capsys.readouterr().err
    assert main(["export", "--out", str(out), "--format", "trl", "--soft"]) == 2
    assert "knows only right and wrong" in capsys.readouterr().err
    assert main(["export", "--out", str(tmp_path / "none"), "--format", "trl"]) == 2
    assert main(["export", "--out", str(out), "--format", "jsonl", "--progress", "--side", "all"]) == 0
    assert (out / "exports" / "jsonl-all.jsonl").exists()
