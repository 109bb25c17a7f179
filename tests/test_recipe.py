"""Settings: presets, overrides by name, what is refused and with which words, and what the fingerprint covers."""

from pathlib import Path

import pytest

from data.asks import Sampling
from data.errors import SettingError
from pipeline import recipe
from pipeline.recipe import PRESETS, build, check, read
from pipeline.settings import Recipe

SCRIPTED = "scripted"


def changed(*overrides: str) -> Recipe:
    return read(SCRIPTED, overrides=overrides)


@pytest.mark.parametrize("preset", sorted(PRESETS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_preset_is_sound(preset: Path) -> None:
    made = read(None if preset.stem == "default" else preset.stem, preset)
    if preset.stem == "default":  # names no engines: those are the user's to give
        with pytest.raises(SettingError, match="no engine"):
            check(made, sampled=True)
        made = read("math", preset, [f"{role}.engine=scripted" for role in ("policy", "completer", "judge")])
    check(made, sampled=True)


def test_a_dataset_without_a_preset_gets_the_default_one() -> None:
    made = read("owner/name")
    assert made.data.source == "owner/name"
    assert made.policy[0].samples == 4
    assert read().data.source == "arith"


def test_a_preset_is_chosen_by_name_alone_never_by_path() -> None:
    assert read("../recipes/scripted").policy[0].engine == read("anything").policy[0].engine == ""


def test_overrides_by_dotted_name() -> None:
    made = changed(
        "data.limit=7",
        "judge.votes=3",
        "policy.sampling.temperature=0.5",
        "completer.plan=exhaustive",
        "split=regex:;\\s*",
        "policy.system=Think = well",
        "policy.0.sampling.stop=['\\n\\n', 'Q:']",
        "scripted.right=0.5",
        "data.columns.solutions=['a', 'b.c']",
    )
    assert made.data.limit == 7
    assert made.judge[0].votes == 3
    assert made.policy[0].sampling.made() == Sampling(temperature=0.5, stop=("\\n\\n", "Q:"))
    assert made.policy[0].system == "Think = well"
    assert made.policy[0].samples == 2  # the preset's, untouched
    assert made.completer.plan == "exhaustive"
    assert made.split == "regex:;\\s*"
    assert made.script().right == 0.5
    assert made.data.columns == {"solutions": ["a", "b.c"]}


def test_a_later_override_wins_and_a_missing_table_is_made() -> None:
    assert changed("cluster.in_flight=3", "cluster.in_flight=4").cluster.in_flight == 4


PANEL = """
[[policy]]
engine = "scripted"
[completer]
engine = "scripted"
[[judge]]
engine = "scripted"
[[judge]]
kind = "equations"
"""


def test_a_list_is_set_in_all_its_entries_or_in_one_by_number(tmp_path: Path) -> None:
    file = tmp_path / "panel.toml"
    file.write_text(PANEL)
    both = read(SCRIPTED, file, ["judge.retries=0"])
    assert [judge.retries for judge in both.judge] == [0, 0]
    one = read(SCRIPTED, file, ["judge.0.votes=5"])
    assert [judge.votes for judge in one.judge] == [5, 1]
    check(one, sampled=True)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("data.limt=3", r"data\.limt: there is no such setting; did you mean 'limit'\?"),
        ("judge.vote=3", r"judge\.0\.vote: there is no such setting; did you mean 'votes'\?"),
        ("policy.sampling.temp=1", r"did you mean 'temperature'"),
        ("polcy.samples=2", r"polcy: there is no such setting; did you mean 'policy'\?"),
        ("scripted.rigth=1", r"scripted\.rigth: there is no such setting; did you mean 'right'\?"),
        ("zzz=1", r"zzz: there is no such setting; there are data, split, solutions, policy"),
        ("policy.samples.x=1", r"policy\.samples\.x: there is no such setting"),
        ("judge.7.votes=2", r"judge\.7\.votes: there is no such setting"),
        ("judge.-1.votes=2", "there is no such setting"),
        ("nonsense", r"'nonsense': write name=value, such as judge\.votes=3"),
        ("=3", "there is no such setting"),
    ],
)
def test_an_unknown_setting_names_the_nearest(override: str, told: str) -> None:
    with pytest.raises(SettingError, match=told):
        changed(override)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("data.limit=0", r"data\.limit: .*greater than or equal to 1 \(given: 0\)"),
        ("data.limit=many", r"data\.limit: .*integer.*\(given: 'many'\)"),
        ("data.limit=", r"data\.limit: .*integer"),
        ("data.levels=easy", r"data\.levels: give a list, such as .*\(given: 'easy'\)"),
        ("data.pass_rate=0.5", r"data\.pass_rate: give a list"),
        ("data=3", r"data: .*given: 3"),
        ("judge=3", r"judge: .*given: 3"),
        ("policy=[]", r"policy: .*at least 1"),
        ("policy.samples=0", r"policy\.0\.samples: "),
        ("policy.samples=1.5", r"policy\.0\.samples: "),
        ("policy.sampling.temperature=-1", r"policy\.0\.sampling\.temperature: "),
        ("policy.sampling.temperature=nan", "finite"),
        ("policy.sampling.temperature=inf", "finite"),
        ("policy.sampling.top_p=0", r"top_p: "),
        ("policy.sampling.max_tokens=0", r"max_tokens: "),
        (
            "completer.plan=bisct",
            r"completer\.plan: .*'confirm', 'sequential', 'bisect', 'exhaustive' or 'none'.*'bisct'",
        ),
        ("judge.kind=oracle", r"judge\.0\.kind: .*'critique'"),
        ("panel=some", r"panel: .*'majority'"),
        ("split=blnk", r"split = 'blnk' is unknown; did you mean 'blank'\?"),
        ("split=regex:(", "not a regular expression"),
        ("split=tokens:0", "a number above 0"),
        ("consensus.threshold=2", "threshold is a share of hits"),
        ("consensus.error=0", "0 < error < 0.5"),
        ("completer.give_up=0.99", r"give_up < 1 - error"),
        ("completer.width=1", "0 < width < 1"),
        ("completer.prior.exact=0", "exact > 0"),
        ("completer.prior.good=[0, 1]", "rates > 0"),
        ("completer.prior.wrong=1", r"prior\.wrong: there is no such setting"),
        ("scripted.right=2", "right is a probability"),
        ("scripted.step_tokens=1.5", r"scripted\.step_tokens: give a whole number"),
        ("scripted.right=often", r"scripted\.right"),
        ("cluster.workers=0", r"cluster\.workers: "),
        ("cluster.replicas=0", r"cluster\.replicas\S*: "),
        ("cluster.replicas={ scripted = 0 }", r"cluster\.replicas\S*: "),
        ("cluster.gpus=-1", r"cluster\.gpus\S*: "),
        ("budget.prices={ scripted = [-1, 0] }", r"budget\.prices\S*: "),
        ("cluster.cpus=-1", r"cluster\.cpus: "),
        ("data.columns.problem=3", r"data\.columns\.problem"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(override: str, told: str) -> None:
    with pytest.raises(SettingError, match=told):
        changed(override)


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["policy.engine="], r"no engine for the policy: set POLICY=.*embedded.*scripted"),
        (["completer.engine="], r"set COMPLETER=.*completer\.plan=none and consensus\.rule=judge"),
        (["judge.engine="], r"set JUDGE=.*judge\.kind=equations"),
        (["judge.engine=scrpted"], r"judge\.0\.engine='scrpted': .*did you mean 'scripted'"),
        (["policy.engine=embedded"], r"policy\.0\.engine=embedded knows only DATASET=arith, not 'scripted'"),
        (["completer.plan=none"], r"set consensus\.rule=judge, or another plan"),
        (["consensus.threshold=0.5"], r"set that, or leave both out"),
        (["consensus.progress=0.8", "completer.plan=bisect"], r"only completer\.plan=exhaustive"),
        (["consensus.threshold=0.5", "completer.plan=exhaustive", "completer.width=0.2"], r"without completer\.width"),
        (["completer.width=0.2"], r"width and completer\.truncate are for completer\.plan=exhaustive"),
        (["completer.truncate=true", "completer.plan=bisect"], r"are for completer\.plan=exhaustive"),
        (["completer.plan=sequential"], r"set both or neither \(not 'sequential' with 'first_error'\)"),
        (["consensus.rule=posterior"], r"set both or neither"),
        (["consensus.rule=judge", "consensus.threshold=0.5"], r"rule=judge looks at no rollouts"),
        (["consensus.rule=judge", "consensus.progress=0.8"], r"rule=judge looks at no rollouts"),
        (["completer.learn=20"], r"completer\.learn is for completer\.plan=sequential \(not 'confirm'\)"),
        (["completer.give_up=0.1"], r"completer\.give_up is for completer\.plan=sequential \(not 'confirm'\)"),
        (["completer.prior.bad=[0.1, 1.9]", "completer.plan=bisect"], r"completer\.prior is for .*not 'bisect'"),
        (["consensus.error=0.1"], r"consensus\.error is for completer\.plan=sequential"),
        (["panel=any"], r"panel=any is about several judges, and there is one"),
        (["policy.engine=", "completer.engine="], r"set COMPLETER=\.\.\., POLICY=\.\.\. .*; or without a policy, give"),
        (["budget.money=3"], r"no engine of this recipe has a price"),
        (["budget.money=3", "budget.prices={ 'openai:m' = [1, 1] }"], r"no engine of this recipe has a price"),
        (["budget.prices={ m = [1, 1] }"], r"budget\.prices='m': there is no such engine"),
        (["cluster.replicas={ 'Qwen/Qwen3-8B' = 6 }"], r"cluster\.replicas='Qwen/Qwen3-8B': there is no such engine"),
        (["cluster.gpus={ 'vlm:m' = 2 }"], r"cluster\.gpus='vlm:m': .*did you mean 'vllm:MODEL'"),
        (["models={ 'vllm:m' = { dtype = 'float16' } }"], r"write the model's name alone, m"),
    ],
)
def test_contradictory_settings_are_refused_with_advice(overrides: list[str], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        check(changed(*overrides), sampled=True)


@pytest.mark.parametrize(
    "overrides",
    [
        ["judge.engine=", "judge.kind=equations"],
        ["judge.engine=", "judge.kind=given"],
        ["completer.engine=", "completer.plan=none", "consensus.rule=judge"],
        ["consensus.threshold=0.5", "completer.plan=exhaustive"],
        ["consensus.rule=posterior", "completer.plan=sequential", "completer.prior.bad=[0.1, 1.9]"],
        ["completer.plan=exhaustive", "completer.width=0.3", "completer.truncate=true"],
        ["completer.plan=exhaustive", "completer.give_up=0.1", "consensus.error=0.1"],  # `make plan` reads them
        ["budget.money=3", "budget.prices={ scripted = [0.5, 1], 'openai:m@http://h/v1' = [1, 1] }"],
    ],
)
def test_what_is_not_needed_need_not_be_set(overrides: list[str]) -> None:
    check(changed(*overrides), sampled=True)


def test_given_solutions_need_no_policy() -> None:
    check(changed("policy.engine="), sampled=False)


BASE = changed()


@pytest.mark.parametrize(
    "override",
    [
        "cluster.workers=2",
        "cluster.in_flight=3",
        "cluster.cpus=1",
        "cluster.address='ray://there'",
        "data.limit=5",
    ],
)
def test_where_how_fast_and_how_many_is_no_other_recipe(override: str) -> None:
    assert changed(override).fingerprint() == BASE.fingerprint()


@pytest.mark.parametrize(
    "override",
    [
        "split=newline",
        "policy.samples=3",
        "policy.sampling.temperature=0.9",
        "policy.system=Hi",
        "completer.tries=4",
        "completer.plan=bisect",
        "judge.votes=3",
        "judge.kind=first_error",
        "consensus.rule=mc",
        "panel=any",
        "scripted.right=0.5",
        "data.seed=1",
        "data.revision=abc",
    ],
)
def test_what_decides_labels_makes_another_recipe(override: str) -> None:
    assert changed(override).fingerprint() != BASE.fingerprint()


def test_the_fingerprint_covers_the_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    before = BASE.fingerprint()
    monkeypatch.setattr("pipeline.settings.SCHEMA_VERSION", 10_000)
    assert BASE.fingerprint() != before


def test_the_fingerprint_is_stable_and_covers_the_prompts() -> None:
    assert changed().fingerprint(["a"]) == BASE.fingerprint(["a"]) != BASE.fingerprint(["b"])
    assert build(BASE.dump()).fingerprint() == BASE.fingerprint()


@pytest.mark.parametrize("content", [b"data = [", b"\xff\xfe", b"\0", b"a = 1\na = 2"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.toml"
    file.write_bytes(content)
    with pytest.raises(SettingError, match=r"recipe .*broken\.toml: "):
        read(SCRIPTED, file)


def test_a_recipe_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"nowhere\.toml"):
        read(SCRIPTED, tmp_path / "nowhere.toml")


def test_copies_and_gpus_of_an_engine_are_set_for_all_or_by_specification() -> None:
    small, large, endpoint = "vllm:small", "vllm:large", "openai:m@http://h/v1"
    plain = read("arith").cluster
    assert [plain.copies(one) for one in (small, "embedded", endpoint)] == [1, 1, 1]
    assert [plain.gpus_of(one, some=some) for one in (small, "embedded") for some in (True, False)] == [1, 0, 0, 0]
    sets = ["cluster.replicas=6", 'cluster.gpus={ "vllm:large" = 4 }']
    many = read("arith", overrides=sets).cluster
    assert [many.copies(one) for one in (small, large, endpoint)] == [6, 6, 1]  # one limiter sees all requests
    assert [many.gpus_of(one, some=False) for one in (small, large, endpoint)] == [1, 4, 0]


def test_a_models_own_settings_go_before_the_general_ones() -> None:
    made = build(
        {
            "vllm": {"dtype": "float16", "context": 4096},
            "models": {"large": {"quantization": "fp8", "dtype": "bfloat16"}},
        }
    )
    assert made.vllm_for("small") == made.vllm
    own = made.vllm_for("large")
    assert (own.dtype, own.context, own.quantization) == ("bfloat16", 4096, "fp8")
    with pytest.raises(SettingError, match="did you mean 'quantization'"):
        build({"models": {"large": {"quantisation": "fp8"}}})


def test_budgets_and_places_are_not_part_of_what_is_labelled() -> None:
    free = ["budget.tokens=10", "cluster.replicas=3", "cluster.gpus=8"]
    assert read("arith", overrides=free).fingerprint() == read("arith").fingerprint()
    assert read("arith", overrides=["vllm.context=100"]).fingerprint() != read("arith").fingerprint()


def test_roles_without_an_engine_get_the_usual_one_where_a_gpu_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    named = recipe.read("math", overrides=["judge.engine=openai:m@http://host/v1"])
    monkeypatch.setattr(recipe, "GPUS", tmp_path / "none")
    assert recipe.usual(named) == named
    with pytest.raises(SettingError, match="no engine for the completer"):
        recipe.check(named, sampled=True)
    monkeypatch.setattr(recipe, "GPUS", tmp_path)
    filled = recipe.usual(named)
    recipe.check(filled, sampled=True)
    assert {filled.policy[0].engine, filled.completer.engine} == {recipe.USUAL}
    assert filled.judge[0].engine == "openai:m@http://host/v1"
    modelless = ["judge.kind=equations", "completer.plan=none", "solutions=given"]
    for whole in (recipe.read("arith"), recipe.read("math", overrides=modelless)):
        assert recipe.usual(whole) == whole


def test_workers_and_solutions_in_hand_follow_the_engines_unless_said() -> None:
    many = ["completer.engine=vllm:a", "cluster.replicas=64"]
    assert [(made.workers, made.in_flight) for made in (changed(), changed(*many))] == [(1, 256), (4, 5120)]
    assert changed(*many, "cluster.workers=2", "cluster.in_flight=7").in_flight == 7
    assert changed(*many, "cluster.workers=2").in_flight == 10_240
