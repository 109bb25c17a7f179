"""A Hub on this machine, as far as an upload needs one: repositories, upload modes, LFS over HTTP, commits.

Written after what huggingface_hub sends (2.4.0, without Xet). A commit that names bytes nobody uploaded is refused, as
are wrong checksums and wrong tokens.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

WRITES, READS = "hf_a_token_that_writes", "hf_a_token_that_reads"
Json = dict[str, Any]
_DATASET = re.compile(r"/api/datasets/([^/]+/[^/]+)/(preupload|commit|tree)/main")


@dataclass
class Hub:
    """What it holds: files of each repository, which are private, bytes by SHA-256; and how often what was asked."""

    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: set[str] = field(default_factory=set)
    blobs: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    uploads: int = 0
    url: str = ""

    def answer(self, path: str, body: bytes, token: str | None) -> tuple[int, Any]:  # noqa: PLR0911 - a table of routes
        """Return status and JSON."""
        if path.startswith("/lfs/"):
            return self.upload(path.removeprefix("/lfs/"), body)
        if token not in {WRITES, READS}:
            return 401, {"error": "Invalid credentials in Authorization header"}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path == "/api/repos/create":
            return self.create(json.loads(body), token)
        if path.endswith(".git/info/lfs/objects/batch"):
            return 200, {"transfer": "basic", "objects": [self.wanted(one) for one in json.loads(body)["objects"]]}
        found = _DATASET.fullmatch(path)
        if not found or found[1] not in self.repositories:
            return 404, {"error": "Repository not found"}
        return getattr(self, found[2])(found[1], body, token)  # type: ignore[no-any-return]

    def create(self, asked: Json, token: str) -> tuple[int, Any]:
        name = f"{asked['organization']}/{asked['name']}"
        if token == READS:
            return 403, {"error": "You don't have the rights to create a dataset under this namespace"}
        if name in self.repositories:
            return 409, {"error": "You already created this dataset repo", "url": f"{self.url}/datasets/{name}"}
        assert asked["type"] == "dataset"
        self.repositories[name] = {".gitattributes": b"*.parquet filter=lfs\n"}
        if asked.get("visibility") == "private" or asked.get("private"):
            self.private.add(name)
        return 200, {"url": f"{self.url}/datasets/{name}"}

    def wanted(self, one: Json) -> Json:
        """Say where bytes go, unless they are there."""
        where = {"upload": {"href": f"{self.url}/lfs/{one['oid']}"}}
        return one | ({} if one["oid"] in self.blobs else {"actions": where})

    def upload(self, oid: str, body: bytes) -> tuple[int, Any]:
        if hashlib.sha256(body).hexdigest() != oid:
            return 400, {"error": "checksum"}
        self.uploads += 1
        self.blobs[oid] = body
        return 200, {}

    def preupload(self, name: str, body: bytes, _: str) -> tuple[int, Any]:
        """Tell LFS files by what .gitattributes would say, and what is there already."""
        told = []
        for file in json.loads(body)["files"]:
            large = file["path"].endswith((".parquet", ".seg"))
            there = self.repositories[name].get(file["path"])
            oid = None if there is None else hashlib.sha256(there).hexdigest() if large else _git(there)
            mode = "lfs" if large else "regular"
            told.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return 200, {"files": told}

    def tree(self, name: str, _: bytes, __: str) -> tuple[int, Any]:
        files = self.repositories[name].items()
        return 200, [{"type": "file", "path": path, "size": len(data), "oid": _git(data)} for path, data in files]

    def commit(self, name: str, body: bytes, token: str) -> tuple[int, Any]:
        if token == READS:
            return 403, {"error": "no write access"}
        files = dict(self.repositories[name])
        header, *operations = map(json.loads, body.splitlines())
        for operation in operations:
            kind, value = operation["key"], operation["value"]
            if kind == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif kind == "lfsFile":
                if value["oid"] not in self.blobs:
                    return 400, {"error": f"{value['path']}: nobody uploaded it"}
                files[value["path"]] = self.blobs[value["oid"]]
            else:
                assert kind == "deletedFile"
                del files[value["path"]]
        self.repositories[name] = files
        self.commits.append(header["value"]["summary"])
        oid = f"{len(self.commits):040x}"
        return 200, {"commitUrl": f"{self.url}/datasets/{name}/commit/{oid}", "commitOid": oid, "hookOutput": ""}


def _git(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@contextmanager
def running() -> Iterator[Hub]:
    """Serve one on a free port of this machine."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.headers.get("transfer-encoding") == "chunked":
                body = _chunks(self.rfile)
            token = (self.headers.get("authorization") or "").removeprefix("Bearer ") or None
            status, told = hub.answer(urlsplit(self.path).path, body, token)
            answer = json.dumps(told).encode()
            self.send_response(status)
            for name, value in (("content-type", "application/json"), ("content-length", str(len(answer)))):
                self.send_header(name, value)
            if status == 401:
                self.send_header("x-error-message", told["error"])
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = do_PUT = handle_one  # noqa: N815 - names of the standard library's

        def log_message(self, *_: object) -> None:
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    serving = Thread(target=server.serve_forever, daemon=True)
    serving.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def _chunks(stream: Any) -> bytes:
    body = b""
    while size := int(stream.readline(), 16):
        body += stream.read(size)
        stream.readline()
    stream.readline()
    return body
