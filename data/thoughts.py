r"""What of a model's text is said, and what only thought: what stands before the last end of a thought is never read.

The marks are those of DeepSeek and Qwen (`<think>`), MiniMax and Seed (`<mm:think>`), Mistral (`[THINK]`), Cohere
(`<|START_THINKING|>`), Kimi (`◁think▷`), and the channels of gpt-oss; of these, where special tokens are left out, the
words stay that were between them: "analysisWe need ...assistantfinalIt is 4." A thought that never ends holds nothing.
"""

import re
from typing import Final

TAG: Final = r"(?:[a-z]{1,9}:)?think(?:ing)?"  # `<reasoning>` is none: there some models put the solution itself
FINAL: Final = "assistantfinal"
_SAID: Final = re.compile(
    rf"</{TAG}>|\[/THINK\]|<\|END_THINKING\|>|◁/think▷|(?<=\S){FINAL}"
    r"|<\|channel\|>\s?final[^<>\n]{0,40}(?:<\|constrain\|>[^<>\n]{0,40})?<\|message\|>"
)
_THOUGHT: Final = re.compile(
    rf"<{TAG}>|\[THINK\]|<\|START_THINKING\|>|◁think▷|\Aanalysis(?=[A-Z])|<\|(?:start|channel|end|return)\|>"
)


def spoken(text: str) -> str:
    """Return what follows the last thought; nothing where that never ended. Linear in the text."""
    start = max((mark.end() for mark in _SAID.finditer(text)), default=0)
    thought = _THOUGHT.search(text, start)
    return text[start : thought.start()] if thought else text[start:]
