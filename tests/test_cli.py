"""The command line: what is wrong is said in one sentence with exit status 2, before anything is started."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.finished import finished
from data import schema, shards
from data.errors import RunError
from data.records import Decision, Estimate, Labelled, Problem, StepEstimate, Task, Tokens, Trace, Verdict
from pipeline import progress, recipe, run
from pipeline.cli import main
from pipeline.cluster import connection
from pipeline.engines import make
from pipeline.memory import Paid
from pipeline.recipe import PRESETS
from pipeline.settings import Recipe
from pipeline.verbs import synth
from stages import solve

SCRIPTED = ["synth", "--dataset", "scripted", "--limit", "3"]

LABEL = synth._label

ENGINES = [f"--{role}=scripted" for role in ("policy", "completer", "judge")]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Default run directories are relative, and Ray must never start here."""
    monkeypatch.chdir(tmp_path)

    def never(*_: object) -> None:
        raise AssertionError("a cluster was started")

    monkeypatch.setattr(synth, "_label", never)


def wrong(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert "Traceback" not in told
    return told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["synth", "--dataset", "nothing"], "no dataset 'nothing'"),
        (["synth", "--dataset", "missing.jsonl", *ENGINES], "missing.jsonl"),
        ([*SCRIPTED, "--set", "judge.vote=3"], "did you mean 'votes'"),
        ([*SCRIPTED, "--set", "judge"], "write name=value"),
        ([*SCRIPTED, "--limit", "0"], "data.limit"),
        ([*SCRIPTED, "--samples", "0"], "policy.0.samples"),
        ([*SCRIPTED, "--judge", "scrpted"], "did you mean 'scripted'"),
        ([*SCRIPTED, "--policy", "embedded"], "knows only DATASET=arith"),
        ([*SCRIPTED, "--solutions", "given"], "problems without one"),
        ([*SCRIPTED, "--recipe", "nowhere.toml"], "nowhere.toml"),
        (["status", "--out", "nowhere"], "holds no run"),
        (["show", "--out", "nowhere"], "holds no run"),
        ([*SCRIPTED, "--judge", "scripted:7"], "did you mean 'scripted'"),
        ([*SCRIPTED, "--judge", "vllm:"], "did you mean 'vllm:MODEL'"),
        (["synth", "--judge", "embedded:absent"], "no model at absent: expected ct2/model.bin"),
        ([*SCRIPTED, "--ledger", "nowhere/ledger"], "nowhere/ledger holds no ledger: give RUN/ledger"),
        (["plan", "--problems", "-3"], "--problems=-3: give more than 0"),
        (["plan", "--problems", "3", "--rate", "0"], "--rate=0: give more than 0"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert told in wrong(capsys, *arguments)


@pytest.mark.parametrize("arguments", [[], ["synth", "--limit", "many"], ["synt"], ["synth", "--solutions", "any"]])
def test_what_is_no_command_is_told_how_to_write_one(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert "usage: python -m pipeline" in capsys.readouterr().err


def test_a_dataset_without_engines_is_told_what_to_set(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text(json.dumps({"problem": "2 + 2?", "answer": "4"}) + "\n")
    assert "no engine for the " in wrong(capsys, "synth", "--dataset", "mine.jsonl")
    assert not (tmp_path / "runs").exists()


def made(out: Path, *overrides: str) -> run.Run:
    """A finished run of three problems, labelled by hand."""
    chosen = recipe.read("scripted", overrides=["data.limit=3", *overrides])
    tasks = [Task(Problem(f"scripted-0-{n}", "scripted", "?", "1"), "scripted", 0) for n in range(3)]
    opened = run.start(str(out), chosen, len(tasks))
    for part, held in opened.plan(tasks).items():
        rows = [
            schema.row(
                Labelled(
                    task,
                    Trace("?", ("one\x1b[2J",), "1"),
                    "equal",
                    Estimate((StepEstimate(),), -1),
                    Verdict(-1, (-1,)),
                    Decision(kept=True, first_error=-1, labels=(True,), agreement=True),
                    Tokens(solve=5),
                )
            )
            for task in held
        ]
        digest = shards.digest(held, opened.fingerprint)
        shards.enter(out, shards.seal(out, shards.pack(part, schema.table(rows, {}), schema.table([], {}), digest)))
    return opened


def test_status_and_show_look_at_a_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    made(tmp_path / "run")
    assert main(["status", "--out", "run"]) == 0
    assert "solutions 3   kept 3 (100.0%)" in capsys.readouterr().out
    assert main(["show", "--out", "run", "scripted-0-1"]) == 0
    shown = capsys.readouterr().out
    assert "scripted-0-1/scripted/0   kept" in shown
    assert "\x1b" not in shown
    assert main(["show", "--out", "run", "--colour"]) == 0
    assert "\x1b[32m" in capsys.readouterr().out
    assert "ids look like" in wrong(capsys, "show", "--out", "run", "nobody")


def test_status_tells_how_far_a_running_one_has_come(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    made(tmp_path / "run")
    paid = {"asked": 4, "recalled": 1, "written": 9, "read": 20}
    endpoint = {"in_flight": 7, "waiting": 0, "limit": 16, "sent": 99, "retried": 5, "down": True}
    health = {
        "scripted/0": {"held": 9, "idle": 0.012, "lag": 0.0061},
        "openai/0": endpoint | {"errors": {"timeout": 2, "HTTP 503": 1200}},
    }
    told = {"finished": 3, "kept": 3, "engines": {"scripted": paid}, "health": health}
    told |= {"total": 10, "before": 2, "started": time.time() - 3, "at": time.time(), "cost": 1.5}
    (tmp_path / "run" / "progress.json").write_text(json.dumps(told))
    assert main(["status", "--out", "run"]) == 0
    shown = capsys.readouterr().out
    assert "going on (sign of life 0 s ago)" in shown
    assert "5 of 10 solutions (50%), 1.0 a second" in shown
    assert "about 5 s to go" in shown
    assert re.search(r"^engine +asked +recalled +tokens written +read$", shown, re.MULTILINE)
    assert re.search(r"^scripted +4 +1 +9 +20$", shown, re.MULTILINE)
    assert "scripted/0: up; 9 asks in hand, idle 1.2%, loop 6 ms late" in shown
    assert "openai/0: DOWN; 7 requests in flight" in shown
    assert "failed: 1,200 HTTP 503, 2 timeout" in shown
    assert "cost 1.50" in shown


def test_a_changed_recipe_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    made(tmp_path / "runs" / "scripted")
    told = wrong(capsys, *SCRIPTED, "--set", "judge.votes=3")
    assert "judge.0.votes: 1 -> 3" in told
    assert "AGAIN=1" in told


def test_a_second_driver_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with shards.lock(tmp_path / "runs" / "scripted"):
        assert "is in use by process" in wrong(capsys, *SCRIPTED)


def test_options_are_settings_and_set_goes_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Seen(Exception):
        pass

    def started(out: str, chosen: Recipe, *_: object, **more: object) -> None:
        assert out == "runs/scripted"
        assert (chosen.data.limit, chosen.policy[0].samples, chosen.judge[0].votes) == (3, 7, 5)
        assert more == {"again": True, "ledger": "other/ledger", "data": {}}
        raise Seen

    Path("other/ledger/p01").mkdir(parents=True)
    monkeypatch.setattr(run, "start", started)
    with pytest.raises(Seen):
        main([*SCRIPTED, "--samples", "6", "--again", "--ledger", "other/ledger", "--set", "judge.votes=5", "--set",
              "policy.samples=7"])  # fmt: skip


@pytest.mark.parametrize("given", ["ledger", "run"])
def test_a_ledger_is_there_or_said_to_be_new(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    made(tmp_path / "run")
    told = wrong(capsys, *SCRIPTED, "--ledger", {"ledger": "run/ledgr", "run": "run"}[given])
    assert "holds no ledger" in told
    assert (f"it is a run, whose ledger is {tmp_path / 'run' / 'ledger'}" in told) is (given == "run")
    assert not (tmp_path / "runs").exists()
    monkeypatch.setattr(synth, "_label", lambda *_: "stopped")
    assert main([*SCRIPTED, "--new-ledger", "run/ledgr"]) == synth.STOPPED
    assert run.find("runs/scripted").ledger.path == str(tmp_path / "run" / "ledgr")


def test_a_ledger_that_is_gone_is_not_begun_anew_unsaid(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Started(Exception):
        pass

    def started(*_: object) -> None:
        raise Started

    monkeypatch.setattr(synth, "_label", LABEL)
    monkeypatch.setattr(connection, "connected", started)
    out = tmp_path / "runs" / "scripted"
    made = finished(out, "scripted", "data.limit=2")
    with progress.display(made.place, 4, 0, made.recipe.budget) as shown:
        shown.show(progress.Progress(engines={"scripted": Paid(asked=1, written=1)}))
    with pytest.raises(Started):
        main(SCRIPTED)
    (out / "ledger").rename(tmp_path / "elsewhere")
    capsys.readouterr()
    told = wrong(capsys, *SCRIPTED)
    assert f"the ledger {out / 'ledger'} of {out} is gone" in told
    with pytest.raises(Started):
        main([*SCRIPTED, "--new-ledger", str(out / "ledger")])
    with pytest.raises(Started):
        main([*SCRIPTED, "--ledger", str(tmp_path / "elsewhere")])


VLLM = [*SCRIPTED, "--judge", "vllm:./model", "--set", "vllm.chat_template=chat.jinja"]


def test_what_vllm_lacks_here_is_told_before_anything_is_started(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make, "find_spec", lambda _: None)
    assert "vllm:./model: vllm is not installed: `make install-vllm`" in wrong(capsys, *VLLM)
    monkeypatch.setattr(make, "find_spec", lambda name: name)
    assert "no file or folder ./model (model)" in wrong(capsys, *VLLM)
    Path("model").mkdir()
    assert "no file or folder chat.jinja (vllm.chat_template)" in wrong(capsys, *VLLM)
    assert not Path("runs").exists()


@pytest.mark.parametrize("address", ["setting", "job"])
def test_on_a_cluster_the_driver_needs_no_engine(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(make, "find_spec", lambda _: None)
    monkeypatch.setattr(synth, "_label", lambda *_: "stopped")
    if address == "job":
        monkeypatch.setenv("RAY_ADDRESS", "there:6379")
    more = ["--set", "cluster.address=there:6379"] if address == "setting" else []
    assert main([*VLLM, *more]) == synth.STOPPED


def test_a_run_that_is_there_needs_its_engines_only_for_what_is_owed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synth, "_label", LABEL)
    monkeypatch.setattr(make, "find_spec", lambda _: None)
    monkeypatch.setattr(solve, "tasks", lambda *_: [])
    run.start("runs/scripted", recipe.read("scripted", overrides=["judge.engine=vllm:m", "data.limit=3"]), 0)
    assert main([*SCRIPTED, "--judge", "vllm:m"]) == 0
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(make, "find_spec", lambda _: None)
    assert "vllm is not installed" in wrong(capsys, *SCRIPTED, "--judge", "vllm:m")


def test_what_a_killed_driver_left_half_written_goes_with_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(synth, "_label", lambda *_: "stopped")
    assert main(SCRIPTED) == synth.STOPPED
    out, half = tmp_path / "runs" / "scripted", f"{'0' * 32}.tmp"
    for name in (f".progress.json.{half}", f"labelled/.empty.parquet.{half}", f"exports/.trl.parquet.{half}"):
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).touch()
    with shards.lock(out):
        assert main(SCRIPTED) == 2
    assert len(list(out.rglob("*.tmp"))) == 3
    assert main(SCRIPTED) == synth.STOPPED
    assert not list(out.rglob("*.tmp"))


def test_without_a_dataset_it_is_that_of_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synth, "_label", lambda *_: "stopped")
    (tmp_path / "mine.toml").write_text((PRESETS / "scripted.toml").read_text())
    assert main(["synth", "--recipe", "mine.toml", "--limit", "3"]) == synth.STOPPED
    assert run.find("runs/scripted").recipe.data.source == "scripted"
    assert main(["synth", "--limit", "3"]) == synth.STOPPED
    assert run.find("runs/arith").recipe.data.limit == 3


def test_every_preset_is_a_dataset_one_can_name() -> None:
    from data.sources import TABLE  # noqa: PLC0415 - for this test alone

    assert {file.stem for file in PRESETS.glob("*.toml")} - {"default"} <= TABLE.keys()


def test_the_first_signal_is_a_wish_the_second_an_order(capsys: pytest.CaptureFixture[str]) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with synth._stopping() as stopping:
        assert not stopping()
        signal.raise_signal(signal.SIGTERM)
        assert stopping()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert "once more to stop at once" in capsys.readouterr().err
    assert {number: signal.getsignal(number) for number in before} == before


def test_an_error_that_is_no_sentence_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(run, "find", broken)
    with pytest.raises(ZeroDivisionError):
        main(["status"])


def test_a_reader_who_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    run.start(str(tmp_path / "made"), recipe.read("scripted"), 1)
    root = Path(__file__).parents[1]
    command = f"{sys.executable} -m pipeline status --out {tmp_path / 'made'} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=root, capture_output=True, text=True, check=True)  # noqa: S603, S607 - the line above
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_looking_imports_no_ray() -> None:
    """Ray takes seconds to import; `status` and `show` must not wait for it."""
    code = "import sys, pipeline.cli; raise SystemExit('ray' in sys.modules or 'torch' in sys.modules)"
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=False)  # noqa: S603 - the line above
    assert done.returncode == 0


def test_a_run_error_is_one_of_the_expected_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: str) -> None:
        raise RunError("in use")

    monkeypatch.setattr(run, "find", refused)
    assert main(["status"]) == 2
