"""Thoughts are told from what is said, in every dialect; and a text that is hostile is read in linear time."""

import time

import pytest

from data.thoughts import spoken


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ""),
        ("It is 4.", "It is 4."),
        ("<think>a</think>b", "b"),
        ("a</think>b<think>c</think>d", "d"),
        ("a</think>b<think>c", "b"),
        ("<thinking>a</thinking>b", "b"),
        ("<mm:think>a</mm:think>b", "b"),
        ("[THINK]a[/THINK]b", "b"),
        ("<|START_THINKING|>a<|END_THINKING|>b", "b"),
        ("◁think▷a◁/think▷b", "b"),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>", "b"),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>b", "b"),
        ("<|channel|>final<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>c", "a"),
        ("analysisWe add.assistantfinal**4**", "**4**"),
        ("We add.assistantfinalIt is 4.", "It is 4."),  # where the prompt held the first words
        ("finalIt is 4.", "finalIt is 4."),
    ],
)
def test_what_follows_the_last_thought_is_said(text: str, said: str) -> None:
    assert spoken(text) == said


@pytest.mark.parametrize(
    "text",
    [
        "<think>It is 4.",
        "<thinking>It is 4.",
        "[THINK]It is 4.",
        "<|START_THINKING|>It is 4.",
        "◁think▷It is 4.",
        "<|channel|>analysis<|message|>It is 4.<|end|>",
        "<|channel|>analysis<|message|>It is 4.<|end|><|start|>assistant<|channel|>final",
        "analysisWe see that it is 4.",
    ],
)
def test_a_thought_that_never_ends_says_nothing(text: str) -> None:
    assert not spoken(text)


@pytest.mark.parametrize(
    "text",
    [
        "analysis of the problem: 4",
        "Analysis: it is 4.",
        "An analysisWe did.",
        "I think it is 4.",
        "<reasoning>2 + 2 = 4</reasoning>",
        "the assistant's final answer is 4",
        "[THINKING] 4",
        "0 <|x| < 1",
    ],
)
def test_what_is_no_mark_is_said(text: str) -> None:
    assert spoken(text) == text


@pytest.mark.parametrize(
    "piece",
    [
        "<think>",
        "</think>",
        "</a:",
        "[THINK",
        "assistantfinal",
        "analysisA",
        "<|channel|>",
        "<|channel|>final",
        "◁",
        "<",
    ],
)
def test_a_hostile_megabyte_is_read_in_linear_time(piece: str) -> None:
    started = time.process_time()
    spoken(piece * (1_000_000 // len(piece)))
    assert time.process_time() - started < 5
