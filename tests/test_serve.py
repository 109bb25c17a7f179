"""Our engine against a real vLLM server of the small model: what `vllm serve` answers, refuses, and survives."""

import asyncio
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata, util
from pathlib import Path
from typing import Any, TypeVar

import pytest
from launching import end, recorded, rows, said, started, wait_for, whole

from data.arith import world
from data.asks import Ask, Reply, Sample, Sampling
from data.errors import PipelineError, Refused, SettingError
from pipeline.engines.embedded import FOLDER, Embedded
from pipeline.engines.openai import OpenAI
from pipeline.limiter import Limited
from stages.solve import prompt

pytestmark = pytest.mark.vllm
KEY = "sk-loopback-0123456789"
GREEDY = Sampling(temperature=0.0, max_tokens=300)
CONTEXT = 1024  # tokens, of the small model
PROBLEMS = list(world.problems(None, 12))
T = TypeVar("T")

# A model's own defaults, which a recipe does not mention: an engine that lets them through would say something else.
DEFAULTS = {"top_k": 1, "min_p": 0.9, "repetition_penalty": 5.0, "presence_penalty": 2.0}

# The small model does not think; under its second name, what it says up to the first blank line counts as thought, or
# all of it where none comes, as most parsers do that wait for a closing tag.
PARSER = """
from vllm.reasoning import ReasoningParser, ReasoningParserManager

@ReasoningParserManager.register_module("aloud")
class Aloud(ReasoningParser):
    def is_reasoning_end(self, input_ids):
        return True

    def extract_content_ids(self, input_ids):
        return input_ids

    def extract_reasoning(self, model_output, request):
        thought, _, said = model_output.partition("\\n\\n")
        return (thought, said or None) if request.model == "thinker" else (None, model_output)

    def extract_reasoning_streaming(self, *_):
        return None
"""


@dataclass
class Served:
    """A server in a process group of its own, which can be killed and started again on the same port."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def spec(self, model: str = "small") -> str:
        return f"openai:{model}@{self.url}"

    def start(self) -> None:
        """Start it, and wait until it is well."""
        quiet = {"VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING", "VLLM_CPU_KVCACHE_SPACE": "1"}
        # On the CPU: one process fewer that loads torch, and one thread, which waits for no other to get its turn.
        quick = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
        command = [*serve(), *options(self.folder), "--port", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - ours
                command, env=os.environ | quiet | quick, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(lambda: self.well() or self.process.poll() is not None, 400)
        assert self.process.poll() is None, self.log.read_text()[-3000:]

    def well(self) -> bool:
        asking = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            asking.request("GET", "/health")
            return asking.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            asking.close()

    def kill(self) -> None:
        """Kill all of it at once."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def requests(self) -> int:
        """Completions it has answered, one way or another."""
        return self.log.read_text(errors="replace").count('"POST /v1/chat/completions')


def serve() -> list[str]:
    """Return the program: the CPU build's `vllm` looks for a package of that name, and ends."""
    try:
        metadata.version("vllm")
    except metadata.PackageNotFoundError:
        return [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(FOLDER)]
    return [str(Path(sys.executable).with_name("vllm")), "serve", str(FOLDER)]


def options(folder: Path) -> list[str]:
    """Return its options. The tokenizer lies apart, without a config.json, as `pipeline/engines/vllm.py` explains."""
    given = {
        "--host": "127.0.0.1",
        "--api-key": KEY,
        "--tokenizer": str(folder / "tokenizer"),
        "--dtype": "float32",
        "--override-generation-config": json.dumps(DEFAULTS),
        "--reasoning-parser-plugin": str(folder / "parser.py"),
        "--reasoning-parser": "aloud",
    }
    pairs = [part for pair in given.items() for part in pair]
    switches = ["--enforce-eager", "--no-enable-chunked-prefill"]  # the second: see docs/endpoints.md
    return [*pairs, *switches, "--served-model-name", "small", "thinker"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    if not util.find_spec("vllm"):
        pytest.skip("vLLM is not installed: make install-vllm")
    folder = tmp_path_factory.mktemp("server")
    (folder / "tokenizer").mkdir()
    for part in (*FOLDER.glob("*token*.json"), *FOLDER.glob("chat_template*")):
        shutil.copy(part, folder / "tokenizer")
    (folder / "parser.py").write_text(PARSER)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        served = Served(folder, free.getsockname()[1])
    try:
        served.start()
        yield served
    finally:
        served.kill()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture(scope="module")
def other() -> Embedded:
    return Embedded(FOLDER, threads=1)


def with_engine(specification: str, use: Callable[[OpenAI], Awaitable[T]]) -> T:
    async def main() -> T:
        engine = OpenAI(specification)
        try:
            return await use(engine)
        finally:
            await engine.close()

    return asyncio.run(main())


def replies(specification: str, *asks: Ask) -> list[Reply]:
    async def use(engine: OpenAI) -> list[Reply]:
        return await asyncio.gather(*map(engine.reply, asks))

    return with_engine(specification, use)


def error_of(specification: str) -> PipelineError:
    with pytest.raises(PipelineError) as caught:
        replies(specification, ask())
    return caught.value


def ask(number: int = 0, prefix: str = "", n: int = 1, sampling: Sampling = GREEDY) -> Ask:
    return Ask(prompt(PROBLEMS[number].text), prefix, n, sampling=sampling)


@pytest.fixture(scope="module")
def solved(other: Embedded) -> list[str]:
    """What the model says to the problems when it is greedy, according to the embedded engine."""

    async def all_of_them() -> list[Reply]:
        return await asyncio.gather(*(other.reply(ask(number)) for number in range(len(PROBLEMS))))

    return [reply.samples[0].text for reply in asyncio.run(all_of_them())]


# Who is there


def test_the_server_is_recognised(server: Served) -> None:
    async def use(engine: OpenAI) -> str:
        await engine.connect()
        return engine.model

    assert with_engine(server.spec(), use) == server.spec()  # not "#shown": prefixes are continued exactly


def test_what_is_not_served_is_refused_for_good(server: Served) -> None:
    for spec, words in (
        (server.spec("large"), "it serves small, thinker"),
        (server.spec("large") + "#exact", "`large` does not exist"),
        (server.spec().removesuffix("/v1"), "does the URL end in /v1"),
    ):
        error = error_of(spec)
        assert type(error) is SettingError
        assert words in str(error)


@pytest.mark.parametrize("key", ["sk-wrong-0123456789", ""])
def test_a_wrong_key_is_refused_for_good_and_not_told(
    server: Served, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    for mark in ("", "#exact"):  # by the list of models, and by the first request
        error = error_of(server.spec() + mark)
        assert type(error) is SettingError
        assert "HTTP 401" in str(error)
        assert "OPENAI_API_KEY" in str(error)
        assert "0123456789" not in str(error)


# What it says


def test_it_says_what_the_embedded_engine_says(server: Served, other: Embedded) -> None:
    """To the token, also where the model's files ask for other sampling than the recipe."""
    asks = [ask(number) for number in range(len(PROBLEMS))]
    mine = replies(server.spec(), *asks)
    theirs = [asyncio.run(other.reply(one)) for one in asks]
    assert sum(a == b for a, b in zip(mine, theirs, strict=True)) >= len(PROBLEMS) - 1  # a near tie may fall otherwise
    assert [a.prompt_tokens for a in mine] == [b.prompt_tokens for b in theirs]


def test_a_prefix_is_continued_exactly_to_the_token(server: Served, solved: list[str]) -> None:
    for number, text in enumerate(solved[:4]):
        ends = [place + 2 for place in range(len(text)) if text.startswith("\n\n", place)]
        cuts = [*ends, text.index(" ", 10), len(text)]
        for cut, reply in zip(cuts, replies(server.spec(), *(ask(number, text[:cut]) for cut in cuts)), strict=True):
            assert reply.samples[0].text == text[cut:]
            assert reply.samples[0].finish == "stop"


def test_a_text_without_roles_is_continued_exactly(server: Served) -> None:
    (whole,) = replies(server.spec() + "#plain", ask(0))
    text = whole.samples[0].text
    cut = text.index(" ", 10)
    (rest,) = replies(server.spec() + "#plain", ask(0, text[:cut]))
    assert text[:cut] + rest.samples[0].text == text


def test_samples_come_in_one_request_and_differ(server: Served) -> None:
    before = server.requests()
    (reply,) = replies(server.spec(), ask(n=16, sampling=Sampling(max_tokens=200)))
    wait_for(lambda: server.requests() > before)
    assert server.requests() == before + 1
    assert len(reply.samples) == 16
    assert len({sample.text for sample in reply.samples}) > 1
    assert {sample.finish for sample in reply.samples} == {"stop"}


def test_equal_seeds_give_equal_samples_and_later_ones_are_others(server: Served) -> None:
    sampling = Sampling(max_tokens=200)
    eight = ask(n=8, sampling=sampling)
    first, again, later = (replies(server.spec(), one)[0] for one in (eight, eight, replace(eight, first=8)))
    assert first == again
    assert first.samples != later.samples


def test_several_greedy_samples_do_not_end_asking_for_many(server: Served, solved: list[str]) -> None:
    """vLLM refuses them; that is no reason to ask for drawn ones one by one."""

    async def use(engine: OpenAI) -> tuple[Reply, int | None]:
        return await engine.reply(ask(n=3)), engine.most

    reply, most = with_engine(server.spec(), use)
    assert [sample.text for sample in reply.samples] == solved[:1] * 3
    assert most is None


def test_limits_and_stops(server: Served, solved: list[str]) -> None:
    cut, stopped, narrow = replies(
        server.spec(),
        ask(sampling=replace(GREEDY, max_tokens=5)),
        ask(sampling=replace(GREEDY, stop=("\n\n", "Eve"))),
        ask(n=2, sampling=Sampling(max_tokens=200, top_k=1)),
    )
    assert (cut.samples[0].finish, cut.samples[0].tokens) == ("length", 5)
    assert solved[0].startswith(cut.samples[0].text)
    assert (stopped.samples[0].text, stopped.samples[0].finish) == (solved[0].partition("\n\n")[0], "stop")
    assert [sample.text for sample in narrow.samples] == solved[:1] * 2


def test_a_limit_beyond_the_context_is_the_contexts_end(server: Served, solved: list[str]) -> None:
    """Else a recipe's generous limit would have every ask refused, and a whole data set rejected."""
    wide = replace(GREEDY, max_tokens=4 * CONTEXT)
    prefix = solved[0].partition("\n\n")[0] + "\n\n"
    short, long = replies(server.spec(), ask(sampling=wide), ask(prefix=prefix * 70, sampling=wide))
    assert short.samples[0].text == solved[0]
    assert 900 < long.prompt_tokens < CONTEXT
    assert long.prompt_tokens + long.samples[0].tokens <= CONTEXT


def test_what_is_too_long_is_refused_at_once_and_hurts_no_other(server: Served) -> None:
    async def use(engine: OpenAI) -> tuple[list[Any], int]:
        limited = Limited(engine)
        asks = (Ask(prompt("Ann 3. " * 2000), sampling=GREEDY), ask())
        ends = await asyncio.gather(*map(limited.reply, asks), return_exceptions=True)
        return ends, limited.counts().retried

    (refused, answered), retried = with_engine(server.spec(), use)
    assert isinstance(refused, Refused)
    assert f"maximum context length is {CONTEXT}" in str(refused)
    assert isinstance(answered, Reply)
    assert retried == 0


def test_scores_are_those_of_the_embedded_engine(server: Served, other: Embedded, solved: list[str]) -> None:
    for number, text in enumerate(solved[:3]):
        cut = text.index("\n\n") + 2
        for prefix, rest in (("", text), (text[:cut], text[cut:]), (text, "")):
            one = ask(number, prefix)
            mine = with_engine(server.spec(), lambda engine, one=one, rest=rest: engine.score(one, rest))  # type: ignore[misc]
            theirs = asyncio.run(other.score(one, rest))
            assert mine.tokens == theirs.tokens
            assert mine.logprobs == pytest.approx(theirs.logprobs, abs=0.02)


def test_a_text_without_roles_is_scored_by_its_echo(server: Served, other: Embedded, solved: list[str]) -> None:
    """As a prompt of the same tokens: `prompt_logprobs` of vLLM's chat, and the embedded engine, see others."""
    one = ask()
    scores = with_engine(server.spec() + "#plain", lambda engine: engine.score(one, solved[0]))
    whole = [*other._tokenize(PROBLEMS[0].text + "\n\n" + solved[0])]
    assert whole[-len(scores.tokens) :] == [*scores.tokens]
    assert "".join(scores.tokens) == solved[0]
    direct = other._generator.score_batch([whole])[0].log_probs[-len(scores.tokens) :]
    assert scores.logprobs == pytest.approx(direct, abs=0.02)


def test_thoughts_are_kept_apart_but_for_a_continuation(server: Served, other: Embedded, solved: list[str]) -> None:
    last = solved[0].rindex("\n\n") + 2
    all_, cut, continued = replies(
        server.spec("thinker"), ask(), ask(sampling=replace(GREEDY, max_tokens=5)), ask(prefix=solved[0][:last])
    )
    assert all_.samples[0].text == solved[0].partition("\n\n")[2]
    assert all_.samples[0].tokens == asyncio.run(other.reply(ask())).samples[0].tokens
    assert cut.samples == (Sample("", "length", 5),)
    assert (continued.samples[0].text, continued.samples[0].finish) == (solved[0][last:], "stop")


def test_many_seeded_samples_at_once_are_borne(server: Served) -> None:
    """As a run asks for them; with chunked prefill, vLLM's CPU build ends at this."""
    asks = [Ask(prompt(problem.text), n=4, sampling=Sampling(max_tokens=200)) for problem in world.problems(None, 40)]
    found = replies(server.spec(), *asks)
    assert {len(reply.samples) for reply in found} == {4}


# Whole runs


def roles(server: Served, problems: int) -> list[str]:
    named = [f"--{role}={server.spec()}" for role in ("policy", "completer", "judge")]
    return ["--dataset", "arith", "--limit", str(problems), *named]


def test_a_whole_run(server: Served, tmp_path: Path) -> None:
    out = tmp_path / "run"
    told = said("synth", out, *roles(server, 12))
    assert "solutions 24" in told
    whole(out, 24)
    found = rows(out)
    assert {row["problem_id"] for row in found} == {problem.id for problem in PROBLEMS}
    assert {row["policy"] for row in found} == {server.spec()}
    assert not any((row["reason"] or "").startswith(("failed", "refused")) for row in found)
    assert sum(row["outcome"] == "equal" for row in found) >= 10  # the model's card: 72 %
    assert sum(row["kept"] for row in found) >= 12
    assert all(row["tokens"]["solve"] > 0 for row in found)
    assert not any(KEY.encode() in file.read_bytes() for file in out.rglob("*") if file.is_file())


def test_a_run_goes_on_by_itself_when_its_server_comes_back(server: Served, tmp_path: Path) -> None:
    out, log = tmp_path / "run", tmp_path / "log"
    before = server.requests()
    run = started(out, log, roles(server, 12), lambda: server.requests() >= before + 20)
    family = run.children(recursive=True)
    try:
        server.kill()
        assert run.poll() is None
        server.start()
        assert run.wait(timeout=200) == 0, log.read_text()[-3000:]
    finally:
        end(run, family)
    whole(out, 24)
    found = rows(out)
    assert {row["problem_id"] for row in found} == {problem.id for problem in PROBLEMS}
    assert not any((row["reason"] or "").startswith(("failed", "refused")) for row in found)
    assert max(recorded(out).values()) == 1
    assert f"{server.spec()} is down" in log.read_text()
    assert f"{server.spec()} answers again" in log.read_text()
