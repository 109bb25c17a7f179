"""What of a run everybody may read: its settings without this machine's folders, and no key, user or query of a URL.

Rows are data and stay as they are; so does the recipe in the metadata of each shard.
"""

import re
from collections.abc import Mapping
from typing import Any

from data import files
from pipeline.settings import Recipe

_KEY = re.compile(r"\b(?:sk-|hf_|Bearer\s+)[\w.*-]{8,}")
_URL = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]{0,20}://)(?:[^\s/?#]*@)?([^\s?#]*)(?:\?[^\s#]*)?")
_FOLDERS = re.compile(r"(?<![^:=|])(?:~|\.{1,2})?/(?!/)(?:[^|\n]*/)?(?=[^|\n/])")
_ALONE = ("cluster", "budget")  # where, how fast and how far: nobody else's business
_NAMES = frozenset(  # settings that may hold a path
    ("source", "against", "engine", "name", "policy", "reference", "chat_template", "tokenizer")
)


def settings(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe's settings as plain values, for others to read."""
    values = {name: value for name, value in recipe.dump().items() if name not in _ALONE}
    told: dict[str, Any] = plain(values)
    if recipe.data.source.lower().endswith(tuple(files.SUFFIXES)):
        told["data"]["source"] = re.split(r"[/\\]", told["data"]["source"])[-1]
    return told


def name(text: str) -> str:
    """Return a name or specification with a path's last part alone, and a URL without user and query."""
    return _FOLDERS.sub("", secretless(text))


def secretless(text: str) -> str:
    """Return a text without what looks like a key, and its URLs without user and query."""
    return _KEY.sub("[key]", _URL.sub(r"\1\2", text))


def plain(value: Any, key: str = "") -> Any:
    """Return plain values, those under `key`, likewise. A prompt or a pattern is no name, whatever it starts with."""
    if isinstance(value, Mapping):
        return {name(one): plain(inside, one) for one, inside in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inside, key) for inside in value]
    if isinstance(value, str):
        return name(value) if key in _NAMES else _KEY.sub("[key]", value)
    return value
