import asyncio
import json
import logging
import random
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from time import time
from typing import Any, TypeVar

import pytest

from bench.endpoint import Body, Fault, Server, asked, choice, served
from data import places, shards
from data.asks import Ask, Message, Reply, Sample, Sampling
from data.errors import PipelineError, Refused, SettingError
from data.scripted import problems
from pipeline import limiter, recipe
from pipeline.engines import chat
from pipeline.engines.address import Address, address
from pipeline.engines.chat import CONTINUE, Dialect
from pipeline.engines.make import make
from pipeline.engines.openai import OpenAI
from pipeline.engines.scripted import Scripted
from pipeline.limiter import Failure, GaveUp, Limited, Limits
from pipeline.settings import Recipe
from stages.engine import Scores
from stages.solve import prompt

T = TypeVar("T")
ROOT = Path(__file__).parents[1]
KEY = "sk-very-secret-0123456789"
PROBLEM = problems(1)[0]
SOON = Limits(deadline=5, patience=20)
ASK = Ask(prompt(PROBLEM.text), n=3, sampling=Sampling(max_tokens=2000))


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr(limiter, "BACKOFF", (0.05, 0.2))


def with_engine(server: Server, use: Callable[[OpenAI], Awaitable[T]], mark: str = "") -> T:
    async def main() -> T:
        engine = OpenAI(f"openai:scripted@{server.url}{mark}")
        try:
            return await use(engine)
        finally:
            await engine.close()

    return asyncio.run(main())


def reply(server: Server, ask: Ask = ASK, mark: str = "") -> Reply:
    return with_engine(server, lambda engine: engine.reply(ask), mark)


def patiently(server: Server, asks: list[Ask], limits: Limits = SOON) -> list[Any]:
    async def use(engine: OpenAI) -> list[Any]:
        limited = Limited(engine, limits)
        return await asyncio.gather(*(limited.reply(ask) for ask in asks), return_exceptions=True)

    return with_engine(server, use)


def error_of(fault: Fault) -> PipelineError:
    with served(lambda *_: fault) as server, pytest.raises(PipelineError) as caught:
        reply(server)
    return caught.value


def saying(*contents: Any, ended: str = "stop", **message: Any) -> Fault:
    """Answer with these contents instead."""

    def change(answer: dict[str, Any]) -> dict[str, Any]:
        messages = [{"role": "assistant", "content": content, **message} for content in contents]
        choices = [{"index": i, "message": m, "finish_reason": ended} for i, m in enumerate(messages)]
        return answer | {"choices": choices}

    return Fault(change=change)


def without(*names: str) -> Fault:
    return Fault(change=lambda answer: {name: value for name, value in answer.items() if name not in names})


# How an endpoint is written


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("openai:gpt-x", Address("gpt-x", None, None)),
        ("openai:Qwen/Qwen3-8B@http://h:8000/v1", Address("Qwen/Qwen3-8B", "http://h:8000/v1", None)),
        ("openai:@cf/meta/llama@https://h/v1#shown", Address("@cf/meta/llama", "https://h/v1", "shown")),
        ("openai:@cf/x:7b", Address("@cf/x:7b", None, None)),
        ("openai:ft:gpt-x:org::id", Address("ft:gpt-x:org::id", None, None)),
        ("openai:m#exact", Address("m", None, "exact")),
        ("openai:m@http://[::1]:80/v1", Address("m", "http://[::1]:80/v1", None)),
    ],
)
def test_a_specification_is_taken_apart(text: str, expected: Address) -> None:
    assert address(text) == expected


@pytest.mark.parametrize(
    "text",
    ["openai", "openai:", "openai:@http://h/v1", "openai:a b", "openai:m@http://h:99999/v1", "openai:m@http:///v1",
     "openai:m@http://user:pass@h/v1", "openai:m@https://h/v1?key=abc", "openai:m@http://h/v1#other", "openai:m@http://h:x/v1",
     "openai:m@localhost:8000/v1", "openai:m@localhost/v1", "openai:m@pass:1@10.0.0.1:80"],
)  # fmt: skip
def test_what_is_no_endpoint_or_holds_a_secret_is_refused(text: str) -> None:
    with pytest.raises(SettingError) as caught:
        address(text)
    assert "pass" not in str(caught.value)
    assert "abc" not in str(caught.value)


def test_a_recipe_knows_endpoints() -> None:
    spec = "openai:m@http://127.0.0.1:1/v1"
    names = ("policy.engine", "completer.engine", "judge.engine")
    recipe.check(recipe.read("gsm8k", overrides=[f"{name}={spec}" for name in names]), sampled=True)
    bad = recipe.read("gsm8k", overrides=["policy.engine=openai", "completer.engine=scripted", "judge.engine=scripted"])
    with pytest.raises(SettingError, match="write openai:MODEL"):
        recipe.check(bad, sampled=True)
    missing = recipe.read("gsm8k")
    with pytest.raises(SettingError, match="openai:MODEL@URL"):
        recipe.check(missing, sampled=True)


def test_the_engine_is_made_with_its_limiter() -> None:
    with served() as server:

        async def main() -> str:
            engine = make(f"openai:scripted@{server.url}", Recipe())
            assert isinstance(engine, Limited)
            await engine.connect()
            await engine._engine.close()  # type: ignore[attr-defined]
            return engine.model

        assert asyncio.run(main()) == f"openai:scripted@{server.url}"


def test_the_url_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is no part of the identity, so that a server may move."""
    with served() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)

        async def main() -> str:
            engine = OpenAI("openai:scripted")
            await engine.connect()
            await engine.close()
            return engine.model

        assert asyncio.run(main()) == "openai:scripted"


def test_the_sdks_headers_go_along_but_tell_nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-1")
    with served() as server:
        reply(server)
        assert server.headers[-1]["openai-organization"] == "org-1"
        assert server.headers[-1]["authorization"] == f"Bearer {KEY}"
        assert not [name for name in server.headers[-1] if "stainless" in name or name == "openai-project"]


def test_the_key_is_asked_for_where_one_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(SettingError, match="OPENAI_API_KEY"):
        OpenAI("openai:gpt-x")
    with served() as server:
        assert len(reply(server).samples) == 3
        assert {one["authorization"] for one in server.headers} == {"Bearer none"}
    monkeypatch.setenv("OPENAI_API_KEY", "sk-\u00e9")
    with pytest.raises(SettingError, match="characters"):
        OpenAI("openai:gpt-x")


# What is asked, and what comes back


def test_it_replies_as_the_engine_behind_the_server_does() -> None:
    with served() as server:
        assert reply(server) == asyncio.run(Scripted().reply(ASK))
        assert len(server.bodies) == 1


def test_an_ask_survives_the_way_to_the_server() -> None:
    sampling = Sampling(temperature=0.5, top_p=0.9, top_k=20, max_tokens=77, stop=("\n\n",))
    ask = Ask((Message("system", "s\u00e9"), Message("user", "\x00 \U0001f600")), "prefix\n\n", 4, 8, sampling)
    body = chat.body("m", ask, Dialect("exact"))
    assert asked(json.loads(json.dumps(body))) == replace(ask, sampling=replace(sampling, stop=()))
    assert body["stop"] == ["\n\n"]
    assert (body["n"], body["top_k"], body["add_generation_prompt"]) == (4, 20, False)


def test_only_what_is_needed_is_sent() -> None:
    body = chat.body("m", replace(ASK, n=1), Dialect())
    assert body.keys() == {"model", "messages", "temperature", "top_p", "max_tokens", "seed"}


def test_what_a_models_own_files_say_of_sampling_is_set_aside() -> None:
    """vLLM and SGLang would take it for what a request leaves open."""
    plain = chat.body("m", ASK, Dialect("exact"))
    assert (plain["top_k"], plain["min_p"], plain["repetition_penalty"]) == (-1, 0, 1)
    assert (plain["presence_penalty"], plain["frequency_penalty"]) == (0, 0)
    assert chat.body("m", replace(ASK, sampling=Sampling(top_k=5)), Dialect("exact"))["top_k"] == 5


def test_later_samples_have_other_seeds() -> None:
    seeds = {chat.seed(Sampling(seed=s), first) for s in range(20) for first in range(200)}
    assert len(seeds) == 4000
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_a_prefix_is_continued_exactly_where_the_server_can() -> None:
    prefix = asyncio.run(Scripted().reply(ASK)).samples[0].text.split("\n\n")[0] + "\n\n"
    ask = replace(ASK, prefix=prefix)
    for owner in ("vllm", "sglang"):
        with served(owner=owner) as server:
            assert reply(server, ask) == asyncio.run(Scripted().reply(ask))
            assert server.bodies[0]["messages"][-1] == {"role": "assistant", "content": prefix}


@pytest.mark.parametrize("settings", [{"owner": "openai"}, {"models": ()}])
def test_elsewhere_a_prefix_is_shown_and_the_identity_says_so(settings: dict[str, Any]) -> None:
    with served(**settings) as server:

        async def use(engine: OpenAI) -> str:
            await engine.reply(replace(ASK, prefix="Step 1\n\n"))
            return engine.model

        assert with_engine(server, use) == f"openai:scripted@{server.url}#shown"
        *_, shown, told = server.bodies[0]["messages"]
        assert shown == {"role": "assistant", "content": "Step 1\n\n"}
        assert told == {"role": "user", "content": CONTINUE}
        assert "continue_final_message" not in server.bodies[0]


def test_how_a_prefix_is_continued_can_be_set() -> None:
    with served(owner="proxy") as server:

        async def use(engine: OpenAI) -> str:
            await engine.reply(replace(ASK, prefix="Step 1\n\n"))
            return engine.model

        assert with_engine(server, use, "#exact") == f"openai:scripted@{server.url}"
        assert server.bodies[0]["continue_final_message"] is True
        assert with_engine(server, use, "#shown").endswith("#shown")


def test_a_text_without_roles_is_continued_by_completions() -> None:
    text = asyncio.run(Scripted().reply(ASK)).samples[0].text
    cut = text.index("\n\n") + 2
    with served(owner="anybody") as server:

        async def use(engine: OpenAI) -> tuple[Reply, Reply, str]:
            whole = await engine.reply(ASK)
            return whole, await engine.reply(replace(ASK, prefix=text[:cut])), engine.model

        whole, rest, model = with_engine(server, use, "#plain")
        assert model == f"openai:scripted@{server.url}#plain"
        assert whole == asyncio.run(Scripted().reply(ASK))
        assert rest == asyncio.run(Scripted().reply(replace(ASK, prefix=text[:cut])))
        assert server.bodies[1]["prompt"] == f"{ASK.messages[0].content}\n\n{text[:cut]}"
        assert "messages" not in server.bodies[1]


def test_a_model_that_the_server_does_not_serve_is_said_at_once() -> None:
    with served(models=("other", "third")) as server, pytest.raises(SettingError, match="it serves other, third"):
        reply(server)


@pytest.mark.parametrize(
    ("prefix", "text", "expected"),
    [
        ("a b c\n\n", "a b c\n\nd", "d"),
        ("a b c\n\n", "\n a b c\n\nd", "d"),
        ("a b c\n\n", "d", "d"),
        ("First, this and that.\n\nThen another thing.\n\n", "Then another thing.\n\nSo 5.", "So 5."),
        ("x = 1\n\n5\n\n", "5 more", "5 more"),
        ("half a wor", "half a word", "d"),
        ("all of it", "all of it", ""),
        ("long and longer prefix", "long", "long"),
        ("", "text", "text"),
    ],
)
def test_a_shown_prefix_that_is_repeated_is_taken_off(prefix: str, text: str, expected: str) -> None:
    assert chat.unrepeated(prefix, text) == expected


def test_hostile_prefixes_take_no_time() -> None:
    for prefix in ("\n" * 1_000_000, "a\n" * 500_000, "\n \n " * 200_000, "x" * 1_000_000):
        chat.unrepeated(prefix, prefix)
        chat.unrepeated(prefix, "y" + prefix)


def test_reasoning_is_kept_apart_and_counted() -> None:
    for name in ("reasoning_content", "reasoning"):
        fault = saying("Answer 5", **{name: "Hmm, " * 100})
        with served(lambda *_, fault=fault: fault) as server:
            (sample,) = reply(server, replace(ASK, n=1)).samples
        assert sample.text == "Answer 5"
        assert sample.tokens == asyncio.run(Scripted().reply(replace(ASK, n=1))).samples[0].tokens


@pytest.mark.parametrize(("said", "text"), [(None, "So 5."), ("And 6.", "And 6.")])
def test_what_goes_on_with_a_prefix_is_no_thought(said: str | None, text: str) -> None:
    """A reasoning parser takes a text in which no thinking ends for thoughts alone."""
    ask = replace(ASK, n=1, prefix="So 2.\n\n")
    with served(lambda *_: saying(said, reasoning="So 5.")) as server:
        assert reply(server, ask).samples[0].text == text
        for other in (reply(server, replace(ask, prefix="")), reply(server, ask, "#shown")):
            assert other.samples[0].text == (said or "")


def test_contents_in_parts_are_put_together() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"text": "hmm"}]},
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    with served(lambda *_: saying(parts)) as server:
        assert reply(server, replace(ASK, n=1)).samples[0].text == "ab"


@pytest.mark.parametrize(
    ("ended", "expected"),
    [("stop", "stop"), ("eos", "stop"), ("length", "length"), ("content_filter", "error"), ("tool_calls", "error"),
     ("whatever", "error")],
)  # fmt: skip
def test_how_a_sample_ended(ended: str, expected: str) -> None:
    with served(lambda *_: saying("x", ended=ended)) as server:
        assert reply(server, replace(ASK, n=1)).samples[0].finish == expected


def test_thinking_that_never_ended_and_refusals_hold_no_text() -> None:
    with served(lambda *_: saying(None, ended="length", reasoning_content="so long")) as server:
        (sample,) = reply(server, replace(ASK, n=1)).samples
        assert (sample.text, sample.finish) == ("", "length")
        assert sample.tokens > 0
    with served(lambda *_: saying(None, refusal="I will not")) as server:
        assert reply(server, replace(ASK, n=1)).samples[0].finish == "error"


def test_tokens_of_samples_sum_to_what_was_counted() -> None:
    with served(lambda *_: saying("a" * 10, "b" * 20, "c" * 71)) as server:
        got = reply(server)
    assert sum(s.tokens for s in got.samples) == sum(s.tokens for s in asyncio.run(Scripted().reply(ASK)).samples)
    assert [s.tokens for s in got.samples] == sorted(s.tokens for s in got.samples)
    assert chat.share(10, [0, 0, 0]) == [3, 3, 4]
    assert chat.share(0, [1, 2]) == [0, 0]


@pytest.mark.parametrize(
    "usage", [None, {}, "many", {"completion_tokens": -1}, {"completion_tokens": True}, {"completion_tokens": 1e9}]
)
def test_tokens_nobody_counted_are_estimated(usage: Any) -> None:
    fault = Fault(change=lambda a: a | {"usage": usage, "choices": [choice(0, Sample("x" * 40, "stop", 0))]})
    with served(lambda *_: fault) as server:
        got = reply(server, replace(ASK, n=1))
    assert got.samples[0].tokens == 10
    assert got.prompt_tokens > 10


def test_a_server_that_ignores_n_is_asked_for_the_rest_and_this_is_learnt_once() -> None:
    one = Fault(change=lambda answer: answer | {"choices": answer["choices"][:1]})
    with served(lambda *_: one) as server:

        async def use(engine: OpenAI) -> tuple[Reply, int | None, tuple[Reply]]:
            first = await engine.reply(ASK)
            return (
                first,
                engine.most,
                await asyncio.gather(Limited(engine, Limits(patience=20)).reply(replace(ASK, first=3))),
            )

        got, most, later = with_engine(server, use)
    assert [s.text for s in got.samples] == [s.text for s in asyncio.run(Scripted().reply(ASK)).samples]
    assert most == 1
    expected = asyncio.run(Scripted().reply(replace(ASK, first=3)))
    assert [s.text for s in later[0].samples] == [s.text for s in expected.samples]
    assert [body.get("n") for body in server.bodies] == [3, None, None, None, None, None]


def test_what_came_before_another_ask_learnt_better_is_not_paid_for_again() -> None:
    """All eight are under way before the first one's answer shows that the server ignores n."""
    asks = [Ask(prompt(problem.text), n=2) for problem in problems(8)]
    one = Fault(change=lambda answer: answer | {"choices": answer["choices"][:1]})
    with served(lambda *_: one, latency=0.2) as server:

        async def use(engine: OpenAI) -> list[Reply]:
            return await asyncio.gather(*map(engine.reply, asks))

        replies = with_engine(server, use)
    for ask, got in zip(asks, replies, strict=True):
        expected = asyncio.run(Scripted().reply(ask))
        assert [s.text for s in got.samples] == [s.text for s in expected.samples]
    assert len(server.bodies) == 16


def test_a_busy_server_is_left_to_the_limiter_also_after_another_ask_learnt_better() -> None:
    one = Fault(change=lambda answer: answer | {"choices": answer["choices"][:1]})
    with served(lambda number, _: Fault(429, hang=0.6) if number == 1 else one, latency=0.2) as server:

        async def use(engine: OpenAI) -> list[Reply | BaseException]:
            both = (engine.reply(replace(ASK, first=first)) for first in (0, 3))
            return await asyncio.gather(*both, return_exceptions=True)

        answered, refused = sorted(with_engine(server, use), key=lambda end: isinstance(end, Failure))
    assert isinstance(answered, Reply)
    assert isinstance(refused, Failure)
    assert len(server.bodies) == 4


def test_more_choices_than_asked_for_are_left_out() -> None:
    with served(lambda *_: saying("a", "b", "c", "d", "e")) as server:
        assert [s.text for s in reply(server).samples] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        ("max_tokens", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
        ("seed", "Extra inputs are not permitted: seed"),
        ("n", "'n' : number must be at most 1"),
    ],
)
def test_a_parameter_that_is_not_taken_is_put_otherwise(refused: str, message: str) -> None:
    sent: list[Body] = []

    def fault(_: int, body: Body) -> Fault:
        sent.append(body)
        return Fault(400, message, "unsupported_parameter") if refused in body else saying("x")

    with served(fault) as server:
        patched = patiently(server, [ASK, replace(ASK, first=3)])
        assert [len(one.samples) for one in patched] == [3, 3]
    assert sum(refused in body for body in sent) <= 2
    if refused == "max_tokens":
        assert sent[-1]["max_completion_tokens"] == 2000


def test_greedy_samples_that_may_not_be_many_leave_drawn_ones_together() -> None:
    def fault(_: int, body: Body) -> Fault | None:
        refused = "n" in body and not body["temperature"]
        return Fault(400, "n must be 1 when using greedy sampling, got 3.") if refused else None

    greedy = replace(ASK, sampling=Sampling(temperature=0, max_tokens=2000))

    async def use(engine: OpenAI) -> list[Reply]:
        return [await engine.reply(ask) for ask in (greedy, replace(greedy, first=3), ASK)]

    with served(fault) as server:
        assert [len(one.samples) for one in with_engine(server, use)] == [3, 3, 3]
    assert [body.get("n") for body in server.bodies] == [3, *[None] * 6, 3]


LEFT_OUT = [  # as vLLM has put it over the years, SGLang, and OpenAI
    "max_tokens=2000 cannot be greater than max_model_len=1024. Please request fewer output tokens.",
    "This model's maximum context length is 1024 tokens. However, you requested 2000 output tokens and your prompt ...",
    "'max_tokens' or 'max_completion_tokens' is too large: 2000. This model's maximum context length is 1024 ...",
    "This model's maximum context length is 1024 tokens. However, you requested 2020 tokens (20 in the messages, ...",
    "Requested token count exceeds the model's maximum context length of 1024 tokens. You requested a total ...",
    "max_tokens is too large: 2000. This model supports at most 1024 completion tokens, whereas you provided 2000.",
]


@pytest.mark.parametrize("message", LEFT_OUT)
def test_a_limit_there_is_no_room_for_is_left_out(message: str) -> None:
    """For the asks that meet it: it is more than could be written, and others may need theirs."""
    small = replace(ASK, sampling=Sampling(max_tokens=200))

    def fault(_: int, body: Body) -> Fault | None:
        return Fault(400, message) if body.get("max_tokens", 0) > 1000 else saying("x")

    with served(fault) as server:
        wide, narrow = patiently(server, [replace(ASK, n=1), replace(small, n=1)])
    assert [one.samples[0].text for one in (wide, narrow)] == ["x", "x"]
    assert sorted(body.get("max_tokens", 0) for body in server.bodies) == [0, 200, 2000]


def test_a_prompt_that_leaves_no_room_at_all_is_refused() -> None:
    with served(lambda *_: Fault(400, "This model's maximum context length is 1024 tokens.")) as server:
        (refused,) = patiently(server, [ASK])
    assert isinstance(refused, Refused)
    assert len(server.bodies) == 2


def test_a_prompt_is_scored_where_the_server_gives_its_logprobs() -> None:
    def change(answer: dict[str, Any]) -> dict[str, Any]:
        told: list[Any] = [
            None,
            *({str(i): {"logprob": -i / 10, "rank": 1, "decoded_token": f"t{i}"}} for i in range(1, 5)),
        ]
        return answer | {"prompt_logprobs": told, "usage": {"prompt_tokens": 3, "completion_tokens": 1}}

    with served(lambda *_: Fault(change=change)) as server:
        scores = with_engine(server, lambda engine: engine.score(ASK, "the text"))
        assert server.bodies[1]["messages"][-1] == {"role": "assistant", "content": "the text"}
    assert (scores.tokens, scores.logprobs) == (("t3", "t4"), (-0.3, -0.4))
    assert scores.prompt_tokens == 3
    for owner in ("sglang", "openai"):
        with served(owner=owner) as server, pytest.raises(Refused, match="prompt_logprobs"):
            with_engine(server, lambda engine: engine.score(ASK, "the text"))


ECHO = {"tokens": ["<s>", "2?", "\n\n", "the", " text", " more"], "token_logprobs": [None, -9, -8, -0.5, -0.25, -7]}


def echoing(**told: Any) -> Fault:
    """Answer a completion as servers do that repeat the prompt."""
    usage = {"prompt_tokens": 5, "completion_tokens": 1}
    choice = {"index": 0, "text": "", "finish_reason": "length", "logprobs": ECHO | told}
    return Fault(change=lambda answer: answer | {"choices": [choice], "usage": usage})


def test_a_text_without_roles_is_scored_where_the_server_repeats_it() -> None:
    with served(lambda *_: echoing()) as server:
        scores = with_engine(server, lambda engine: engine.score(ASK, "the text"), "#plain")
        (body,) = server.bodies
    assert (body["prompt"], body["echo"], body["logprobs"], body["max_tokens"]) == (
        PROBLEM.text + "\n\nthe text",
        True,
        1,
        1,
    )
    assert scores == Scores(("the", " text"), (-0.5, -0.25), 3)


def test_a_token_across_the_prompts_end_is_given_so_that_the_tokens_do_not_join() -> None:
    crossing = echoing(tokens=["<s>", "2?", "\n", "\nthe", " text"])
    with served(lambda *_: crossing) as server:
        scores = with_engine(server, lambda engine: engine.score(ASK, "the text"), "#plain")
    assert "".join(scores.tokens) == "\nthe text"


@pytest.mark.parametrize("told", [{"tokens": None}, {"token_logprobs": None}, {"tokens": ["the"]}])
def test_an_echo_without_logprobs_is_refused(told: dict[str, Any]) -> None:
    with served(lambda *_: echoing(**told)) as server, pytest.raises(Refused, match="no logprobs of an echoed prompt"):
        with_engine(server, lambda engine: engine.score(ASK, "the text"), "#plain")
    with served() as server, pytest.raises(Refused, match="no logprobs of an echoed prompt"):
        with_engine(server, lambda engine: engine.score(ASK, "the text"), "#plain")


def test_a_logprob_beyond_all_numbers_may_pass() -> None:
    with (
        served(lambda *_: echoing(token_logprobs=[-1, -1, -1, 10**400, -1, -1])) as server,
        pytest.raises(Failure, match="cannot be read"),
    ):
        with_engine(server, lambda engine: engine.score(ASK, "the text"), "#plain")


def test_a_token_without_a_logprob_may_pass() -> None:
    for values in ([-1.0] * 4, [-1.0, -1, -1, None, -1, -1], [-1.0, -1, -1, "x", -1, -1]):
        with (
            served(lambda *_, v=values: echoing(token_logprobs=v)) as server,
            pytest.raises(Failure, match="a token without"),
        ):  # type: ignore[misc]
            with_engine(server, lambda engine: engine.score(ASK, "the text"), "#plain")


# What goes wrong


@pytest.mark.parametrize(
    ("fault", "kind", "wait"),
    [
        (Fault(429), "busy", None),
        (Fault(429, headers={"retry-after": "7"}), "busy", 7),
        (Fault(429, headers={"retry-after": "7", "retry-after-ms": "1500"}), "busy", 1.5),
        (Fault(429, headers={"retry-after": "soon"}), "busy", None),
        (Fault(429, headers={"retry-after": "-3"}), "busy", 0),
        (Fault(429, headers={"retry-after": "inf"}), "busy", None),
        (Fault(503, headers={"retry-after": "2"}), "busy", 2),
        (Fault(529), "busy", None),
        (Fault(408), "absent", None),
        (Fault(502), "absent", None),
        (Fault(504), "absent", None),
        (Fault(409), "broken", None),
        (Fault(500), "broken", None),
        (Fault(raw=b""), "broken", None),
        (Fault(raw=b'{"choices": ['), "broken", None),
        (Fault(raw=b"<html>"), "broken", None),
        (Fault(raw=b"[" * 100_000), "broken", None),
        (Fault(raw=b"\xff\xfe{}"), "broken", None),
        (Fault(raw=b"null"), "broken", None),
        (Fault(raw=b"[1]"), "broken", None),
        (Fault(raw=b'{"choices": []}'), "broken", None),
        (Fault(raw=b'{"choices": null}'), "broken", None),
        (Fault(raw=b'{"choices": [5]}'), "broken", None),
        (Fault(raw=b'{"choices": [{"message": {"content": 5}}]}'), "broken", None),
        (Fault(raw=b'{"error": {"message": "upstream"}}'), "broken", None),
        (saying("half", ended="abort"), "broken", None),
        (Fault(cut=0), "absent", None),
        (Fault(cut=30), "absent", None),
    ],
)
def test_what_may_pass(fault: Fault, kind: str, wait: float | None) -> None:
    failure = error_of(fault)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.retry_after) == (kind, wait)


def test_retry_after_may_be_a_date() -> None:
    failure = error_of(Fault(429, headers={"retry-after": formatdate(time() + 100, usegmt=True)}))
    assert isinstance(failure, Failure)
    assert 90 < (failure.retry_after or 0) <= 100


def test_nobody_there_may_pass() -> None:
    with served() as server:
        pass
    with pytest.raises(Failure, match=r"no connection: .*Connect call failed") as caught:
        reply(server)
    assert caught.value.kind == "absent"


@pytest.mark.parametrize(
    "fault",
    [
        Fault(401),
        Fault(402, "Insufficient balance"),
        Fault(403),
        Fault(404, "The model `scripted` does not exist."),
        Fault(400, "API key not valid", "invalid_api_key"),
        Fault(400, "Unsupported value: 'temperature'", "unsupported_value"),
        Fault(429, "You exceeded your current quota", "insufficient_quota"),
    ],
)
def test_what_every_ask_would_meet_ends_the_run_with_a_sentence(fault: Fault) -> None:
    error = error_of(fault)
    assert type(error) is SettingError
    assert fault.message in str(error)
    assert f"HTTP {fault.status}" in str(error)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(400, "This model's maximum context length is 4096 tokens", "context_length_exceeded"),
        Fault(413, "too large"),
        Fault(422, "roles must alternate"),
    ],
)
def test_what_one_ask_meets_is_refused_in_the_servers_words(fault: Fault) -> None:
    error = error_of(fault)
    assert isinstance(error, Refused)
    assert fault.message in str(error)


def test_a_forbidden_ask_among_answered_ones_is_refused_alone() -> None:
    with served(lambda number, _: Fault(403, "flagged") if number else None) as server:

        async def use(engine: OpenAI) -> None:
            await engine.reply(ASK)
            with pytest.raises(Refused, match="flagged"):
                await engine.reply(ASK)

        with_engine(server, use)


def test_text_that_is_no_text_is_refused() -> None:
    with served() as server, pytest.raises(Refused, match="no text"):
        reply(server, Ask((Message("user", "\ud800"),)))


def test_half_characters_in_an_answer_do_no_harm() -> None:
    with served(
        lambda *_: Fault(raw=b'{"choices": [{"message": {"content": "a\\ud800"}, "finish_reason": "stop"}]}')
    ) as server:
        assert reply(server, replace(ASK, n=1)).samples[0].text == "a?"


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_the_key_is_never_told(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """Not by messages (servers repeat keys, whole or in part), logs, representations, nor what hangs on an error."""
    fault = Fault(status, f"Incorrect key {KEY} or sk-part***6789 or Bearer abc.def. " + "x" * 5000)
    with caplog.at_level(logging.DEBUG), served(lambda *_: fault) as server:

        async def use(engine: OpenAI) -> str:
            with pytest.raises(PipelineError) as caught:
                await engine.reply(ASK)
            assert caught.value.__cause__ is None
            assert caught.value.__context__ is None or caught.value.__suppress_context__
            return f"{caught.value} {caught.value!r} {engine!r} {engine.model} {engine.name}"

        told = with_engine(server, use)
        assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert len(told) < 2000
    for secret in (KEY, "sk-part", "abc.def"):
        assert secret not in told
        assert KEY not in caplog.text


# Together with the limiter


def faults(*some: Fault, share: float = 0.3) -> Callable[[int, Body], Fault | None]:
    rng = random.Random(7)
    return lambda *_: rng.choice(some) if rng.random() < share else None


TRANSIENT: Mapping[str, Fault] = {
    "429": Fault(429),
    "429 with Retry-After": Fault(429, headers={"retry-after": "0.05"}),
    "500": Fault(500),
    "503": Fault(503),
    "a hang": Fault(hang=5),
    "no reply": Fault(cut=0),
    "half a reply": Fault(cut=150),
    "no JSON": Fault(raw=b'{"choices": [{'),
    "no choices": Fault(raw=b'{"choices": []}'),
    "too few choices": Fault(change=lambda answer: answer | {"choices": answer["choices"][:1]}),
}


@pytest.mark.parametrize("name", TRANSIENT)
def test_every_ask_is_answered_rightly_in_spite_of(name: str) -> None:
    asks = [Ask(prompt(problem.text), n=2) for problem in problems(12)]
    with served(faults(TRANSIENT[name])) as server:
        replies = patiently(server, asks, Limits(deadline=0.5, patience=30))
    for ask, got in zip(asks, replies, strict=True):
        expected = asyncio.run(Scripted().reply(ask))
        assert [s.text for s in got.samples] == [s.text for s in expected.samples]
        assert len(server.bodies) > len(asks)


def test_the_server_never_sees_more_at_once_than_the_setting() -> None:
    asks = [Ask(prompt(problem.text), n=2) for problem in problems(30)]
    with served(faults(TRANSIENT["429"], TRANSIENT["too few choices"]), latency=0.01) as server:
        replies = patiently(server, asks, Limits(most=4, deadline=5, patience=20))
    assert all(isinstance(one, Reply) for one in replies)
    assert server.peak <= 4


def test_a_wrong_key_ends_all_at_once() -> None:
    with served(lambda *_: Fault(401, "no")) as server:
        ends = patiently(server, [ASK] * 5)
    assert {type(end) for end in ends} == {SettingError}
    assert len(server.bodies) == 5


def test_a_dead_server_costs_patience_and_no_more() -> None:
    with served() as server:
        pass
    started = time()
    ends = patiently(server, [ASK] * 20, Limits(patience=1))
    assert {type(end) for end in ends} == {GaveUp}
    assert time() - started < 20


def test_a_server_that_comes_late_is_waited_for() -> None:
    with served() as gone:
        port = gone.port

    async def use(engine: OpenAI) -> Reply:
        waiting = asyncio.create_task(Limited(engine, Limits(patience=20)).reply(ASK))
        await asyncio.sleep(0.3)
        with served(port=port):
            return await waiting

    assert with_engine(gone, use) == asyncio.run(Scripted().reply(ASK))


@pytest.mark.slow
def test_a_whole_run_over_http_has_the_labels_of_one_without(tmp_path: Path) -> None:
    """At 30 % faults of every kind that passes; also the run.json and the shards never hold the key."""
    without_hang = [fault for name, fault in TRANSIENT.items() if name != "a hang"]
    with served(faults(*without_hang)) as server:
        spec = f"openai:scripted@{server.url}"
        roles = [f"--{role}={spec}" for role in ("policy", "completer", "judge")]
        told = synth(tmp_path / "http", *roles, "--set", "policy.name=scripted")
    told += synth(tmp_path / "here")
    assert rows(tmp_path / "http") == rows(tmp_path / "here")
    assert len(rows(tmp_path / "http")) == 60
    assert server.given[200] < len(server.bodies)
    assert KEY not in told
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and KEY.encode() in file.read_bytes()]


def synth(out: Path, *options: str) -> str:
    command = [sys.executable, "-m", "pipeline", "synth", "--dataset=scripted", "--limit=30", f"--out={out}", *options]
    done = subprocess.run(  # noqa: S603 - our own program
        command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def rows(out: Path) -> list[dict[str, Any]]:
    found = [
        row | {"tokens": None}  # what it cost may differ: an answer with too few choices is paid for whole
        for side in shards.SIDES
        for table in shards.tables(places.at(str(out)), side)
        for row in table.to_pylist()
    ]
    return sorted(found, key=lambda row: str(row["id"]))
