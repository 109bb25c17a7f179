"""Step scores from a server on loopback that speaks as vLLM's /pooling does."""

import json
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from data.errors import PipelineError, SettingError, Unavailable
from data.records import Trace
from pipeline.cli import main
from pipeline.engines import chat
from pipeline.evaluate import prm

Answer = Callable[[int, dict[str, Any]], tuple[int, object]]


def scores(_: int, body: dict[str, Any]) -> tuple[int, object]:
    """Each step's probability stands in its text."""
    steps = body["messages"][-1]["content"].split("<extra_0>")[:-1]
    return 200, {"data": [{"index": 0, "data": [[1 - float(step), float(step)] for step in steps]}]}


@contextmanager
def serving(answer: Answer = scores) -> Iterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    asked: list[tuple[str, dict[str, Any]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            asked.append((self.path, body))
            status, told = answer(len(asked), body)
            raw = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            with suppress(ConnectionError):  # whoever asked may be gone
                self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"openai:prm@http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prm, "LONGEST_PAUSE", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


TRACES = {"a": Trace("1 + 1?", ("0.9", "0.2"), None), "b": Trace("2?", ("0.8",), None)}


def held(file: Path) -> dict[str, list[float]]:
    return {row["id"]: row["scores"] for row in map(json.loads, file.read_text(encoding="utf-8").splitlines())}


def test_the_last_of_a_step_s_numbers_is_its_score(tmp_path: Path) -> None:
    with serving() as (name, asked):
        assert prm.rate(name, TRACES, tmp_path / "scores.jsonl") == []
    assert held(tmp_path / "scores.jsonl") == {"a": [0.9, 0.2], "b": [0.8]}
    path, body = next(one for one in asked if len(one[1]["messages"][-1]["content"]) > 13)
    assert path == "/pooling"
    assert body["model"] == "prm"
    assert body["messages"][1:] == [
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "content": "0.9<extra_0>0.2<extra_0>"},
    ]


def test_what_is_scored_is_not_asked_again_and_a_torn_line_is(tmp_path: Path) -> None:
    (tmp_path / "scores.jsonl").write_text('{"id": "a", "scores": [0.5, 0.5]}\n{"id": "b", "sco', encoding="utf-8")
    with serving() as (name, asked):
        prm.rate(name, TRACES, tmp_path / "scores.jsonl")
    assert len(asked) == 1
    assert held(tmp_path / "scores.jsonl") == {"a": [0.5, 0.5], "b": [0.8]}


def test_on_a_full_disk_what_was_scored_stays(tmp_path: Path) -> None:
    file = tmp_path / "scores.jsonl"
    whole = "".join(json.dumps({"id": name, "scores": [0.5]}) + "\n" for name in TRACES)
    file.write_text(whole + '{"id": "to', encoding="utf-8")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # nothing can be written
    try:
        assert prm.rate("openai:nobody@http://127.0.0.1:9/v1", TRACES, file) == []
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_text(encoding="utf-8") == whole


def test_a_busy_server_is_asked_again(tmp_path: Path) -> None:
    with serving(lambda n, body: (503, {}) if n < 3 else scores(n, body)) as (name, asked):
        assert prm.rate(name, TRACES, tmp_path / "scores.jsonl") == []
    assert len(asked) == 4


def test_a_server_that_stays_away_is_told(tmp_path: Path) -> None:
    with serving(lambda *_: (503, {})) as (name, _), pytest.raises(Unavailable, match="did not answer 6 times"):
        prm.rate(name, TRACES, tmp_path / "scores.jsonl")


def test_an_answer_that_is_not_one_score_a_step_is_refused_and_told(tmp_path: Path) -> None:
    with serving(lambda *_: (200, {"data": [{"data": [[0.1, 0.9]]}]})) as (name, _):
        refused = prm.rate(name, TRACES, tmp_path / "scores.jsonl")
    assert refused == ["a: 1 scores came back for 2 steps: is it a process reward model?"]
    assert held(tmp_path / "scores.jsonl") == {"b": [0.9]}


def test_a_server_without_pooling_ends_it(tmp_path: Path) -> None:
    with serving(lambda *_: (404, {"error": {"message": "no such path"}})) as (name, _), pytest.raises(SettingError):
        prm.rate(name, TRACES, tmp_path / "scores.jsonl")


@pytest.mark.parametrize(
    "answer",
    [{}, {"data": []}, {"data": [{"data": "abc"}]}, {"data": [{"data": [[]]}]}, {"data": [{"data": [[None]]}]},
     {"data": [{"data": [[float("inf")]]}]}, {"data": {"data": 1}}],
)  # fmt: skip
def test_what_is_no_list_of_numbers_cannot_be_read(answer: Any) -> None:
    with pytest.raises(ValueError, match=r"number|data"):
        chat.rated(answer)


def test_a_mark_within_a_step_is_no_mark() -> None:
    messages = prm.chat(Trace("?", ("one <extra_0> two", "three"), None))
    assert messages[-1]["content"] == "one &lt;extra_0> two<extra_0>three<extra_0>"


def test_the_command_scores_cuts_and_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"id": "a", "problem": "1?", "steps": ["0.9", "0.2"], "label": 1, "final_answer_correct": False},
        {"id": "b", "problem": "2?", "steps": ["0.8", "0.7"], "label": -1, "final_answer_correct": True},
    ]
    data = tmp_path / "gsm8k.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with serving() as (name, asked):
        for _ in range(2):
            arguments = ["--data", str(data), "--prm", name, "--out", str(tmp_path / "out")]
            assert main(["evaluate", "processbench", *arguments]) == 0
    assert len(asked) == 2
    assert "100.0 (100.0 to 100.0)" in capsys.readouterr().out


def test_what_is_no_endpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="is no endpoint"):
        prm.rate("embedded", TRACES, tmp_path / "scores.jsonl")
