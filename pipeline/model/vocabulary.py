"""The small model's tokenizer: one token a word, a digit or a tag.

Spaces stay with what follows them, so that decoding gives the text back to the byte. Words outside the arith world
become `<unk>`.
"""

import itertools
import re

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from data.arith import world

UNKNOWN = "<unk>"
CONTROL = ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>", UNKNOWN)
PARAGRAPHS = 32  # most steps the judge can count
# A message is <|role|>content<|end|>; an assistant's turn is left open for the model to go on with.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
_TALK = "Today has So The answer is How many does have right wrong Correct Incorrect Which paragraph first "
_PHRASES = " ".join(world.PHRASES.values()).format(x="", a="", b="")
_WORDS = tuple(dict.fromkeys([*re.findall("[A-Za-z]+", _TALK + _PHRASES), *world.NAMES, *world.THINGS, "max", "mod"]))
_PIECES = (
    r"<\|[a-z]+\|>",
    r"<(?:paragraph|analysis)_\d+>\n",
    r"\n</(?:paragraph|analysis)_\d+>\n\n",
    r"<conclusion>\n",
    r"\n</conclusion>",
    r"\.\n\n",
    rf" ?(?:{'|'.join(sorted(_WORDS, key=len, reverse=True))})",  # without a gap between: what it says, it can read
    r" ?[A-Za-z]+",
    r" ?\d",
    r" ?[^\w\s]",
    r"\s",
    r".",
)
PATTERN = "|".join(_PIECES)


def tokenizer() -> Tokenizer:
    """Return the tokenizer; its vocabulary is derived from the world's sentences, so it never needs training."""
    vocabulary = {token: number for number, token in enumerate(dict.fromkeys([*CONTROL, *_tags(), *_words()]))}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERN), behavior="isolated")
    made.decoder = decoders.Fuse()
    made.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in CONTROL])
    return made


def _tags() -> list[str]:
    numbers = range(1, PARAGRAPHS + 1)
    opened = [f"<{tag}_{k}>\n" for tag in ("paragraph", "analysis") for k in numbers]
    closed = [f"\n</{tag}_{k}>\n\n" for tag in ("paragraph", "analysis") for k in numbers]
    return [*opened, *closed, "<conclusion>\n", "\n</conclusion>", ".\n\n", "\n\n", "\n", " "]


def _words() -> list[str]:
    marks = [*"0123456789", *":+-*/=.?"]
    return list(itertools.chain.from_iterable((w, f" {w}") for w in [*_WORDS, *marks]))
