"""Decides how an endpoint is written: `openai:MODEL`, `openai:MODEL@URL`; `#exact`, `#shown` or `#plain` behind it.

A specification stands in run.json, in every row and in the ledger's keys, so it may hold no secret.
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from data.errors import SettingError
from pipeline.engines.chat import Continuing

_NAME: Final = re.compile(
    r"openai:(?P<model>(?:(?!@https?://)[^\s#])+)(?:@(?P<url>https?://[^\s#]*))?(?:#(?P<continuing>exact|shown|plain))?"
)
_HOST: Final = re.compile(r"@[^@/]*:\d+(?:/|$)|@localhost(?:/|$)")  # what a model's name does not end in


@dataclass(frozen=True, slots=True)
class Address:
    """A specification taken apart."""

    model: str
    url: str | None
    continuing: Continuing | None


def address(specification: str) -> Address:
    """Take `openai:MODEL@URL` apart. Raises SettingError where it is not one, or would put a secret into files."""
    found = _NAME.fullmatch(specification)
    if not found:
        raise SettingError(f"{specification!r} is no endpoint: write openai:MODEL or openai:MODEL@http://HOST:PORT/v1")
    if not found["url"] and (host := _HOST.search(found["model"])):
        raise SettingError(f"an endpoint's URL begins with http:// or https://: write one before {host[0][1:]}")
    continuing: Continuing | None = found["continuing"]  # type: ignore[assignment]  # by the pattern
    if found["url"]:
        check(found["url"])
    return Address(found["model"], found["url"], continuing)


def check(url: str) -> None:
    """Raise SettingError where a URL cannot be read, or holds what must not be written down."""
    try:
        parts = urlsplit(url)
        sound = parts.hostname and parts.port != 0
    except ValueError:
        sound = None
    if not sound:
        raise SettingError("an endpoint's URL is http://HOST:PORT/v1 or https://HOST/v1; this one cannot be read")
    if parts.username or parts.password or parts.query:
        raise SettingError("an endpoint's URL is written into files: give the key in OPENAI_API_KEY, not in the URL")
