"""Decides how a request reaches an endpoint: as JSON, by aiohttp, sent once over one pool of connections.

The openai SDK's own way of sending costs more CPU than all the rest of a request (docs/decisions/007). Proxies are
those of the environment (HTTPS_PROXY, NO_PROXY ...), certificates those of the machine and of certifi.
"""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import certifi

from data.errors import Refused
from pipeline.limiter import Failure

CONNECT: Final = 30.0  # seconds until somebody is there; for the answer, the limiter has a deadline


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered: status, headers (names in any case), and a body that may be anything."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Link:
    """Connections to one server; `headers` go along with every request. Belongs to one event loop."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self._headers = dict(headers)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str) -> Answer:
        """Ask for what lies there. Raises Failure where no whole answer comes."""
        return await self._exchange("GET", url, None)

    async def post(self, url: str, body: Mapping[str, Any]) -> Answer:
        """Send JSON. Raises Failure where no whole answer comes, Refused for what is no text."""
        try:
            data = json.dumps(body, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise Refused("the question holds characters that are no text") from None
        return await self._exchange("POST", url, data)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def _exchange(self, method: str, url: str, data: bytes | None) -> Answer:
        self._session = self._session or _session(url, self._headers)
        try:
            async with self._session.request(method, url, data=data) as answer:
                return Answer(answer.status, answer.headers, await answer.read())
        except aiohttp.ClientConnectorError as error:
            raise Failure(f"no connection: {error}", "absent", cause="connection") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a redirect to nowhere, say
            raise Failure(f"the connection broke: {error}", "absent", cause="connection") from None


def _session(url: str, headers: Mapping[str, str]) -> aiohttp.ClientSession:
    trusted = ssl.create_default_context()
    trusted.load_verify_locations(certifi.where())
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=trusted),
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT),
        proxy=_proxy(url),
    )


def _proxy(url: str) -> str | None:
    """Return the proxy the environment names for a URL: looked up once, where aiohttp would for every request."""
    parts, named = urlsplit(url), getproxies()
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    return named.get(parts.scheme) or named.get("all")
