"""The server that benches and tests ask: it goes away and comes back, resets, and closes when asked to."""

import json
import socket
import time

import pytest

from bench.cases import FAULTS, NONE, SHARE, Case, cases
from bench.endpoint import Fault, Server, served
from data.scripted import problems

PROMPT = problems(1)[0].text


def ask(server: Server, *headers: str) -> bytes:
    """Post one prompt, and read until the server has no more to say."""
    sent = {"messages": [{"role": "user", "content": PROMPT}], "temperature": 1, "top_p": 1, "max_tokens": 4096}
    body = json.dumps(sent)
    head = ["POST /v1/chat/completions HTTP/1.1", f"content-length: {len(body)}", *headers]
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall("\r\n".join([*head, "", body]).encode())
        return b"".join(iter(lambda: connection.recv(2**16), b""))


def test_it_closes_where_the_client_asks_it_to() -> None:
    with served() as server:
        head, _, body = ask(server, "Connection: close").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert len(json.loads(body)["choices"]) == 1


def test_a_reset_is_a_reset() -> None:
    with served(lambda *_: Fault(reset=True)) as server, pytest.raises(ConnectionResetError):
        ask(server)


def test_it_is_away_for_a_while_and_comes_back_to_its_port() -> None:
    with served(outage=(1, 0.3)) as server:
        assert ask(server, "Connection: close")
        assert ask(server) == b""  # it dies with this request in hand
        with pytest.raises(ConnectionRefusedError):
            ask(server)
        for _ in range(50):
            time.sleep(0.1)
            try:
                assert ask(server, "Connection: close").startswith(b"HTTP/1.1 200")
                break
            except ConnectionRefusedError:
                continue
        else:
            pytest.fail("it did not come back")
    assert len(server.bodies) == 3


def test_a_case_fails_its_share_of_requests_always_the_same() -> None:
    case = Case("503", FAULTS["503"])
    failed = [number for number in range(1000) if case.fails(number, {})]
    assert len(failed) == pytest.approx(1000 * SHARE, abs=50)
    assert failed == [number for number in range(1000) if case.fails(number, {})]
    assert not any(NONE.fails(number, {}) for number in range(1000))


def test_there_is_a_case_for_each_fault_and_for_an_outage() -> None:
    assert [case.name for case in cases(60)] == [*FAULTS, "dead for 60 s"]
    with cases(0.5)[-1].served(needed=10) as server:
        assert server.outage == (5, 0.5)
