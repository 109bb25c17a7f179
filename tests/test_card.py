"""The dataset card: what it says is so, what others wrote cannot become markup, and no secret is told."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml
from huggingface_hub import DatasetCard

from bench.finished import finished
from data import schema, shards
from data.scripted import problems
from data.sources import Loaded, Reject
from pipeline import recipe, run
from pipeline.publish import card, caveats, public
from pipeline.publish.markdown import block, code, table
from pipeline.refilter import refilter
from pipeline.run import Run
from pipeline.settings import Recipe
from pipeline.summary import summarise

MADE = ("data.limit=12", "scripted.garbled=0.2", "scripted.right=0.85")
HOSTILE = "a|b`c``\n---\n# no: [x](y) <script>\x1b[2J {{j}} | --- | &amp; \u202e 'q' \"r\" %"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return finished(tmp_path_factory.mktemp("card") / "run", "scripted", *MADE)


def front(text: str) -> dict[str, Any]:
    _, head, _ = text.split("---\n", 2)
    told: dict[str, Any] = yaml.safe_load(head)
    return told


def cells(text: str, first: str) -> list[str]:
    """Cells of the table row that begins so."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def rebuilt(**changes: Any) -> Recipe:
    return recipe.build(recipe.read("scripted").dump() | changes)


def test_the_directory_loads_in_one_call_a_side(made: Run, tmp_path: Path) -> None:
    kept, rejected = (
        datasets.load_dataset(made.place.path, *name, cache_dir=str(tmp_path))["train"] for name in ((), ("rejected",))
    )
    assert kept.num_rows == shards.read(made.place).num_rows > 0
    assert rejected.num_rows == shards.read(made.place, "rejected").num_rows > 0
    assert all(kept["kept"])
    assert not any(rejected["kept"])


def test_a_run_is_not_taken_for_an_older_one_of_its_name(made: Run, tmp_path: Path) -> None:
    """`datasets` keeps what it has loaded by the folder's name and its configs, wherever and whatever that was."""
    cache = str(tmp_path / "cache")
    told: list[set[str]] = []
    for folder, side in (("here", "labelled"), ("there", "rejected")):
        place = shards.places.at(tmp_path / folder / "arith")
        for number, found in enumerate(shards.tables(made.place, side)):
            packed = shards.pack(f"p{number}", found, found.slice(0, 0), "d")
            shards.enter(place, shards.seal(place, packed))
        shards.settle(place, list(shards.sealed(place)))
        card.write(replace(made, place=place))
        told.append(set(datasets.load_dataset(place.path, cache_dir=cache)["train"]["id"]))
        assert told[-1] == set(shards.read(place)["id"].to_pylist())
    assert not told[0] & told[1]


def test_the_front_matter_is_what_the_hub_reads(made: Run) -> None:
    told = front(card.text(made))
    assert told["configs"] == card.configs(made.place)
    assert told["size_categories"] == ["n<1K"]
    assert told["source_datasets"] == ["original"]
    assert "license" not in told
    read = DatasetCard(card.text(made))
    assert read.data.tags == told["tags"]
    assert read.text.lstrip().startswith("# Step-labelled solutions of `scripted`")


def test_counts_are_those_of_the_rows(made: Run) -> None:
    text, rows = card.text(made), [row for side in shards.SIDES for row in shards.read(made.place, side).to_pylist()]
    kept = sum(row["kept"] for row in rows)
    assert f"{kept} of {len(rows)} solutions were kept" in text
    assert cells(text, "kept (`labelled`)")[1:] == [str(kept), f"{kept / len(rows):.1%}"]
    for reason in {row["reason"] for row in rows} - {None}:
        assert cells(text, f"… `{reason}`")[1] == str(sum(row["reason"] == reason for row in rows))
    assert "The solutions are of 12 problems." in text
    assert cells(text, "judging")[1] == f"{sum(row['tokens']['judge'] for row in rows):,}"
    assert f"{sum(row['tokens']['rollouts'] for row in rows):,} rollouts were sampled" in text
    assert "not finished" not in text
    overlooked = summarise(made.place).overlooked
    assert overlooked is not None
    assert f"finds no error {overlooked:.1%} hold one" in text


def test_recipe_models_prompts_and_versions_are_told(made: Run) -> None:
    text = card.text(made)
    assert cells(text, "policy")[1:] == ["`scripted`", "2 a problem", "temperature 1, at most 2,048 tokens"]
    assert re.search(r"\| `scripted` \| `scripted:seed=0,right=0.85,.*` \|", text)
    assert re.search(r"\| judge \| `critique/[0-9a-f]{16}` \|", text)
    assert '| `scripted` | `{"garbled": 0.2, "right": 0.85}` |' in text  # the knobs
    assert cells(text, "`policy.0.samples`")[1] == "`2`"
    assert made.fingerprint in text
    assert f"schema {schema.SCHEMA_VERSION}" in text
    assert "`consensus.rule`" not in text  # as by default


def test_every_column_is_explained() -> None:
    assert list(schema.MEANING) == schema.SCHEMA.names


def test_a_run_that_only_began_says_that_it_is_not_finished(tmp_path: Path) -> None:
    made = run.start(str(tmp_path), recipe.read("scripted"), 4)
    rejects = [Reject(number, "no problem") for number in range(3)] + [Reject(9, HOSTILE, HOSTILE)]
    run.leave_out(made, Loaded(problems(1), rejects=tuple(rejects)))
    card.write(made)
    text = (tmp_path / "README.md").read_text()
    assert "**The run is not finished.**" in text
    assert "0 of 0 solutions were kept" in text
    assert cells(text, "`no problem`")[1] == "3"
    assert front(text)["size_categories"] == ["n<1K"]


def test_a_run_decided_anew_says_so_and_counts_anew(made: Run, tmp_path: Path) -> None:
    anew = refilter(made.place.path, str(tmp_path / "new"), ["consensus.rule=judge"])
    text = (tmp_path / "new" / "README.md").read_text()
    assert f"Decided anew from the evidence of the run `{made.id}`" in text
    assert cells(text, "kept (`labelled`)")[1] == str(shards.read(anew.place).num_rows)
    assert cells(text, "`consensus.rule`")[1] == '`"judge"`'
    assert "The labels are the judge's alone" in text
    assert "not finished" not in text
    opened = run.start(anew.place.path, anew.recipe, 24)  # as `synth` on it would
    assert "Decided anew" in card.text(opened)


def test_reasons_of_failures_are_one_and_long_lists_end(made: Run, tmp_path: Path) -> None:
    seal = next(iter(shards.sealed(made.place).values()))
    counts = {"solutions": 40, "kept": 0, "tokens": {}, "scores": {}, "problems": None}
    reasons = {f"failed: {number} {HOSTILE}": 1 for number in range(20)} | {f"r{number}": 1 for number in range(20)}
    shards.enter(tmp_path, shards.Seal(seal.part, "d", 0, 40, None, None, counts | {"reasons": reasons}))
    text = card.text(Run("i", shards.places.at(tmp_path), made.ledger, 0, "f", made.recipe))
    assert cells(text, "… `failed`")[1] == "20"
    assert cells(text, "… `other reasons`")[1] == "9"
    assert "problems." not in text.partition("## How")[0]  # an old shard did not count them


def test_prices_make_money(made: Run, tmp_path: Path) -> None:
    priced = made.recipe.model_copy(
        update={"budget": made.recipe.budget.model_copy(update={"prices": {"scripted": (1.0, 10.0)}})}
    )
    note = {"total": 8, "before": 0, "finished": 8, "started": 0, "at": 9, "cost": 0, "health": {}}
    paid = {"asked": 5, "recalled": 6, "written": 2_000_000, "read": 3_000_000}
    (tmp_path / "progress.json").write_text(json.dumps(note | {"engines": {"scripted": paid, "free": paid}}))
    text = card.text(Run("i", shards.places.at(tmp_path), made.ledger, 0, "f", priced))
    assert "At these prices that cost 23.00." in text
    assert "| `scripted` | 5 | 6 | 2,000,000 | 3,000,000 | 1, 10 |" in text
    assert "| `free` | 5 | 6 | 2,000,000 | 3,000,000 | not given |" in text


def test_a_card_names_no_role_that_nobody_played(made: Run, tmp_path: Path) -> None:
    plain = ["judge.kind=equations", "completer.plan=none", "consensus.rule=judge"]
    unsampled = recipe.read("mine.jsonl", None, plain)  # every problem brought its solutions, so no engine was named
    text = card.text(Run("i", shards.places.at(tmp_path), made.ledger, 0, "f", unsampled))
    assert "| policy" not in text
    assert "| completer" not in text
    assert "| judge |  | `equations` |" in text


def test_hostile_names_change_neither_front_matter_nor_tables(made: Run, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    hostile = rebuilt(
        license=HOSTILE,
        data={"source": f"/srv/me/{HOSTILE.replace('/', '')}.jsonl"},
        policy=[{"name": HOSTILE, "engine": f"openai:{HOSTILE.split(maxsplit=1)[0]}", "system": HOSTILE}],
        split="regex:" + re.escape("|`<b>"),
        models={HOSTILE: {"tokenizer": HOSTILE}},
    )
    opened = Run("i", shards.places.at(tmp_path / "bad"), made.ledger, 0, "f", hostile)
    run.met(opened.place, {hostile.policy[0].engine: HOSTILE})
    text = card.text(opened)
    told = front(text)
    assert told["license"] == HOSTILE
    assert told["configs"] == card.configs(opened.place)
    body = text.partition("---\n\n")[2]
    assert len(re.findall(r"^# ", body, re.MULTILINE)) == 1  # the title
    outside = re.sub(r"^(`{3,}).*?^\1$", "", body, flags=re.MULTILINE | re.DOTALL)
    assert "<script>" not in re.sub(r"`[^`\n]*`", "", outside)
    assert "\x1b" not in text
    assert "\u202e" not in body
    assert {line.count("|") for line in outside.splitlines() if line.startswith("|")} == {3, 4, 5}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain_name*", "`plain_name*`"),
        ("", "<code></code>"),
        ("a|b", "<code>a&#124;b</code>"),
        ("`", "<code>&#96;</code>"),
        ("a\nb", r"`a\x0ab`"),
        ("x" * 400, f"`{'x' * 299}…`"),
    ],
)
def test_text_of_others_is_code_on_one_line(text: str, shown: str) -> None:
    assert code(text) == shown


def test_a_block_cannot_be_ended_from_within() -> None:
    assert block("a\n```\nb").splitlines()[0] == "````"
    assert list(table(("a", "b"), [("1", "2")])) == ["| a | b |", "| --- | --- |", "| 1 | 2 |"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Qwen/Qwen2.5-7B", "Qwen/Qwen2.5-7B"),
        ("vllm:/srv/me/models/small", "vllm:small"),
        ("vllm:~/models/small/", "vllm:small/"),
        ("vllm:small|tokenizer=/srv/t|files=abc", "vllm:small|tokenizer=t|files=abc"),
        ("openai:m@http://host:8000/v1", "openai:m@http://host:8000/v1"),
        ("openai:m@https://u:pw@host/v1?key=1#x", "openai:m@https://host/v1#x"),
        ("s3://AK:SE@CRET@bucket/run?endpoint_override=x", "s3://bucket/run"),
        ("m sk-abcdefghijkl and hf_abcdefghijkl", "m [key] and [key]"),
        ("../up/file.jsonl", "file.jsonl"),
    ],
)
def test_names_lose_folders_and_secrets(name: str, told: str) -> None:
    assert public.name(name) == told


def test_settings_for_others_hold_no_places_and_leave_words_alone() -> None:
    chosen = rebuilt(
        data={"source": "mine/secret project/p.jsonl"},
        split="regex:/a/",
        policy=[{"engine": "vllm:/srv/models/m", "system": "/no_think and/or a/b"}],
        credit={"reference": "vllm:/srv/models/r"},
        vllm={"chat_template": "/srv/t.jinja"},
        cluster={"address": "ray://10.0.0.1", "replicas": {"vllm:/srv/models/m": 2}},
    )
    told = public.settings(chosen)
    assert told["data"]["source"] == "p.jsonl"
    assert told["split"] == "regex:/a/"
    assert told["policy"][0]["engine"] == "vllm:m"
    assert told["policy"][0]["system"] == "/no_think and/or a/b"
    assert not {"cluster", "budget"} & told.keys()
    assert not re.search("srv|secret|10.0.0.1", json.dumps(told))
    assert Recipe.model_validate(told).vllm.chat_template == "t.jinja"


ASKED = {"policy": [{"engine": "vllm:a"}], "completer": {"engine": "vllm:b"}, "judge": [{"engine": "vllm:c"}]}
GIVEN = [{"kind": "given"}, {"kind": "equations"}]


@pytest.mark.parametrize(
    ("changes", "has", "has_not"),
    [
        ({}, ["decided rollouts", "stopped_early", "wrong process", "Only prefixes"], ["alone", "wrote solutions"]),
        ({"policy": [{"engine": "vllm:c"}]}, ["wrote solutions itself"], []),
        ({"policy": [{"engine": "vllm:c"}], "solutions": "given"}, [], ["wrote solutions itself"]),
        ({"completer": {"plan": "bisect"}}, ["Bisection"], ["Only prefixes"]),
        ({"completer": {"plan": "exhaustive"}}, ["decided rollouts"], ["stopped_early", "Bisection"]),
        ({"completer": {"plan": "exhaustive", "width": 0.2}}, ["stopped_early"], []),
        ({"consensus": {"rule": "mc"}}, ["the rollouts' alone"], ["wrong process exist"]),
        (
            {"completer": {"plan": "none"}, "consensus": {"rule": "judge"}},
            ["the judge's alone", "an F1 of 61"],
            ["decided rollouts", "stopped_early"],
        ),
        (
            {"completer": {"plan": "none"}, "consensus": {"rule": "judge"}, "judge": GIVEN},
            ["`equations`", "`given`"],
            ["an F1 of 61"],
        ),
        (
            {"completer": {"plan": "sequential"}, "consensus": {"rule": "posterior", "error": 0.05}},
            ["probability of 95.0%"],
            ["hardly shown by any"],
        ),
        (
            {"completer": {"plan": "sequential"}, "consensus": {"rule": "posterior"}},
            ["probability of 98.0%", "hardly shown by any"],
            [],
        ),
        (
            {
                "completer": {"plan": "sequential", "prior": {"missed": 0.07}},
                "consensus": {"rule": "posterior", "error": 0.01},
            },
            ["probability of 99.0%", "taken to be 7%"],
            [],
        ),
        ({"policy": [{"engine": "scripted"}]}, ["No model was asked"], []),
        (
            {"credit": {"reference": "vllm:r"}, "skip": ["all_wrong", "all_right"]},
            ["no part in any label", "were left out"],
            [],
        ),
    ],
)
def test_known_limits_are_those_of_the_recipe(changes: dict[str, Any], has: list[str], has_not: list[str]) -> None:
    said = "\n".join(caveats.of(recipe.build(ASKED | {"data": {"source": "gsm8k"}} | changes), {}))
    assert all(words in said for words in has)
    assert not [words for words in has_not if words in said]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("gsm8k", ["openai/gsm8k"]),
        ("owner/name", ["owner/name"]),
        ("arith", ["original"]),
        ("data/mine.jsonl", None),
        ("/data/mine", None),
        ("folder", None),
    ],
)
def test_a_source_on_the_hub_is_named(source: str, told: list[str] | None) -> None:
    assert card._sources(source) == told
