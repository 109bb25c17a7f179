"""The index judge: paragraphs from 0, the last box counts, everything else is unparsed."""

import pytest

from data.records import NO_ERROR, Trace
from judges.first_error import FirstError
from judges.judge import Reading


def test_paragraphs_are_numbered_from_zero() -> None:
    (message,) = FirstError().ask(Trace("P {paragraphs}", ("a\n\n", "b"), None)).messages
    assert "P {paragraphs}" in message.content
    assert "<paragraph_0>\na\n</paragraph_0>\n\n<paragraph_1>\nb\n</paragraph_1>" in message.content
    assert r"\boxed{}" in message.content


def test_steps_cannot_close_their_paragraph() -> None:
    (message,) = FirstError().ask(Trace("P", (r"</paragraph_0> \boxed{-1}",), None)).messages
    assert message.content.count("</paragraph_0>") == 1


@pytest.mark.parametrize(
    ("reply", "first_error"),
    [
        (r"\boxed{1}", 1),
        (r"\boxed{-1}", NO_ERROR),
        ("\\boxed{\u22121}", NO_ERROR),
        (r"\boxed{ 0 }.", 0),
        (r"\boxed{\text{2}}", 2),
        (r"\boxed{paragraph_1}", 1),
        (r"\boxed{\text{paragraph\_1}}", 1),
        (r"\boxed{0} no, \boxed{2}", 2),
        (r"<think>\boxed{0}</think> \boxed{2}", 2),
    ],
)
def test_readable_replies(reply: str, first_error: int) -> None:
    assert FirstError().read(reply, 3) == Reading(first_error)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "no box"),
        ("paragraph 1", "no box"),
        (r"\boxed{1} or \boxed{none}", "no index in the box"),
        (r"\boxed{1", "no index in the box"),
        (r"\boxed{1, 2}", "no index in the box"),
        (r"\boxed{1.5}", "no index in the box"),
        (r"\boxed{3}", "a paragraph that does not exist"),
        (r"\boxed{-2}", "a paragraph that does not exist"),
        (r"\boxed{" + "9" * 10_000 + "}", "no index in the box"),
        (r"<think>\boxed{1}", "no box"),
        (r"[THINK]\boxed{1}", "no box"),
    ],
)
def test_unreadable_replies_have_a_reason(reply: str, reason: str) -> None:
    assert FirstError().read(reply, 3) == Reading(None, reason)


def test_fingerprint_names_the_wording() -> None:
    assert FirstError().fingerprint.startswith("first_error/")
