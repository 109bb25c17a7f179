import asyncio

import pytest

from bench.endpoint import Fault, served
from data.errors import Refused
from pipeline.engines.link import Answer, Link, _proxy
from pipeline.limiter import Failure

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, *map(str.lower, PROXIES)):
        monkeypatch.delenv(name, raising=False)


def post(url: str, body: dict[str, object] | None = None) -> Answer:
    async def main() -> Answer:
        link = Link({"X-Own": "1"})
        try:
            return await link.post(url, body or {"messages": []})
        finally:
            await link.close()

    return asyncio.run(main())


def test_what_is_no_success_is_an_answer_too() -> None:
    with served(lambda *_: Fault(418, "a teapot", headers={"Retry-After": "3"})) as server:
        answer = post(f"{server.url}/chat/completions")
        assert server.headers[0]["x-own"] == "1"
    assert answer.status == 418
    assert b"a teapot" in answer.body
    assert answer.headers["retry-after"] == "3"


@pytest.mark.parametrize("to", ["http://", "ftp://elsewhere/", "http://127.0.0.1:1/"])
def test_a_redirect_to_nowhere_may_pass(to: str) -> None:
    with (
        served(lambda *_: Fault(307, headers={"Location": to})) as server,
        pytest.raises(Failure, match="connection") as caught,
    ):
        post(f"{server.url}/chat/completions")
    assert caught.value.kind == "absent"


def test_what_is_no_text_is_not_sent() -> None:
    with served() as server:
        with pytest.raises(Refused, match="no text"):
            post(server.url, {"messages": ["\udfff"]})
        assert not server.bodies


def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with served(lambda *_: Fault(502, "the proxy speaks")) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url.removesuffix("/v1"))
        assert b"the proxy speaks" in post("http://nowhere.invalid/v1/chat/completions").body


@pytest.mark.parametrize(
    ("named", "url", "proxy"),
    [
        ({}, "https://host/v1", None),
        ({"HTTPS_PROXY": "http://p:1"}, "https://host/v1", "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, "https://host/v1", None),
        ({"ALL_PROXY": "http://p:1"}, "https://host/v1", "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "host"}, "https://host/v1", None),
    ],
)
def test_which_proxy(named: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in named.items():
        monkeypatch.setenv(name, value)
    assert _proxy(url) == proxy
