"""A Hugging Face hub on this machine: the few endpoints by which its client makes, fills and downloads repositories.

It keeps everything in memory, stores weights and pictures by the protocol of Git LFS, and checks digests.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import unquote

TOKEN = "hf_writer"
LFS = re.compile(r".*\.(safetensors|png|bin)")
MODEL = r"(?P<name>[^/]+/[^/]+)"


@dataclass
class Repository:
    """Commits, oldest first: of each the files, as content."""

    private: bool = False
    commits: list[dict[str, bytes]] = field(default_factory=lambda: [{}])

    def find(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The identifier and files of a commit; None if there is no such revision."""
        by_name = {hashlib.sha1(str(number).encode()).hexdigest(): files for number, files in enumerate(self.commits)}
        name = [*by_name][-1] if revision == "main" else revision
        return (name, by_name[name]) if name in by_name else None


@dataclass
class Hub:
    """The server: its address, its repositories, the requests so far, and which of them break.

    Attributes:
        breaks: a pattern of requests (`PUT /lfs/…`) that are answered by a status, or not at all if that is 0.
    """

    address: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    breaks: tuple[str, int] | None = None


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve a hub without repositories."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub = server.hub = Hub(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class Refused(Exception):  # noqa: N818  (an answer, not an error of the program)
    """An answer other than success: its status, and the code and message by which the client knows it."""

    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(status, code, message)
        self.status, self.headers = status, {"X-Error-Code": code, "X-Error-Message": message}


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"
    routes: ClassVar[list[tuple[str, Callable[..., None]]]] = []

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined, no-any-return]

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def answer(self) -> None:
        """Find the route of the request and answer it, or refuse it."""
        request = f"{self.command} {unquote(self.path.partition('?')[0])}"
        self.hub.requests.append(request)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if self.hub.breaks and re.match(self.hub.breaks[0], request):
                if not self.hub.breaks[1]:
                    self.close_connection = True
                    return
                raise Refused(self.hub.breaks[1], "", "No more room for you")
            authorization = self.headers.get("Authorization")
            if authorization not in (None, f"Bearer {TOKEN}"):
                raise Refused(401, "", "Invalid credentials in Authorization header")
            self.is_known = authorization is not None
            matches = ((re.fullmatch(pattern, request), route) for pattern, route in self.routes)
            match, route = next(((match, route) for match, route in matches if match), (None, None))
            if match is None or route is None:
                raise Refused(404, "EntryNotFound")
            route(self, **match.groupdict())
        except Refused as refusal:
            self.reply({"error": refusal.headers["X-Error-Message"]}, refusal.status, refusal.headers)

    do_GET = do_HEAD = do_POST = do_PUT = answer  # noqa: N815

    def reply(self, content: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """Send JSON, or bytes."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def repository(self, name: str) -> Repository:
        """A repository that this request may see."""
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not self.is_known):
            raise Refused(404 if self.is_known else 401, "RepoNotFound", "Repository not found")
        return repository

    def commit(self, name: str, revision: str) -> tuple[str, dict[str, bytes]]:
        """A commit of a repository."""
        if (commit := self.repository(name).find(revision)) is None:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def must_write(self) -> None:
        """Refuse a request without a token."""
        if not self.is_known:
            raise Refused(401, "", "Invalid username or password.")

    def json(self) -> Any:
        """What was sent."""
        return json.loads(self.body)


def route(pattern: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Register what answers a pattern of `METHOD /path`."""

    def register(answer: Callable[..., None]) -> Callable[..., None]:
        Handler.routes.append((pattern, answer))
        return answer

    return register


# ---- uploading ---------------------------------------------------------------------


@route("POST /api/repos/create")
def create(request: Handler) -> None:
    """Make a repository."""
    request.must_write()
    asked = request.json()
    name = f"{asked['organization']}/{asked['name']}"
    if not name.startswith("lab/"):
        raise Refused(403, "", f"You don't have the rights to create a model under the namespace {name}")
    status = 409 if name in request.hub.repositories else 200
    private = bool(asked.get("private")) or asked.get("visibility") == "private"
    request.hub.repositories.setdefault(name, Repository(private))
    request.reply({"url": f"{request.hub.address}/{name}", "name": name}, status)


@route("POST /api/validate-yaml")
def validate(request: Handler) -> None:
    """Find nothing wrong with a card."""
    request.reply({"errors": [], "warnings": []})


@route(rf"POST /api/models/{MODEL}/preupload/main")
def preupload(request: Handler, name: str) -> None:
    """Say which files are stored by LFS."""
    request.must_write()
    request.repository(name)
    modes = [(each["path"], "lfs" if LFS.fullmatch(each["path"]) else "regular") for each in request.json()["files"]]
    request.reply({"files": [{"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes]})


@route(rf"POST /{MODEL}\.git/info/lfs/objects/batch")
def batch(request: Handler, name: str) -> None:
    """Say where each object that is not here is uploaded to."""
    request.must_write()
    request.repository(name)
    objects = request.json()["objects"]
    for each in objects:
        if each["oid"] not in request.hub.objects:
            each["actions"] = {"upload": {"href": f"{request.hub.address}/lfs/{each['oid']}"}}
    request.reply({"transfer": "basic", "objects": objects})


@route(r"PUT /lfs/(?P<oid>\w+)")
def store(request: Handler, oid: str) -> None:
    """Keep an object."""
    if hashlib.sha256(request.body).hexdigest() != oid:
        raise Refused(400, "", "The content is not what was announced")
    request.hub.objects[oid] = request.body
    request.reply(b"")


@route(rf"POST /api/models/{MODEL}/commit/main")
def commit(request: Handler, name: str) -> None:
    """Make a commit of lines of JSON: files by their content or object, and those that go."""
    request.must_write()
    repository = request.repository(name)
    files = dict(repository.commits[-1])
    for line in request.body.splitlines():
        operation = json.loads(line)
        key, value = operation["key"], operation["value"]
        if key == "file":
            files[value["path"]] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            files[value["path"]] = request.hub.objects[value["oid"]]
        elif key == "deletedFile":
            del files[value["path"]]
    repository.commits.append(files)
    identifier, _ = request.commit(name, "main")
    address = f"{request.hub.address}/{name}/commit/{identifier}"
    request.reply({"commitUrl": address, "commitOid": identifier})


# ---- downloading -------------------------------------------------------------------


@route(rf"GET /api/models/{MODEL}(/revision/(?P<revision>.+))?")
def information(request: Handler, name: str, revision: str | None) -> None:
    """Describe a repository at a revision."""
    identifier, files = request.commit(name, revision or "main")
    request.reply({"id": name, "sha": identifier, "siblings": [{"rfilename": path} for path in files]})


@route(rf"GET /api/models/{MODEL}/tree/(?P<revision>.+)")
def tree(request: Handler, name: str, revision: str) -> None:
    """List the files of a revision."""
    entries: list[dict[str, object]] = []
    for path, content in request.commit(name, revision)[1].items():
        entry: dict[str, object] = {"type": "file", "path": path, "size": len(content), "oid": etag(path, content)}
        if LFS.fullmatch(path):
            entry["lfs"] = {"oid": etag(path, content), "size": len(content), "pointerSize": 134}
        entries.append(entry)
    request.reply(entries)


@route(rf"(GET|HEAD) /{MODEL}/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
def resolve(request: Handler, name: str, revision: str, path: str) -> None:
    """Send a file."""
    identifier, files = request.commit(name, revision)
    if path not in files:
        raise Refused(404, "EntryNotFound")
    digest = f'"{etag(path, files[path])}"'
    request.reply(files[path], headers={"X-Repo-Commit": identifier, "ETag": digest})


def etag(path: str, content: bytes) -> str:
    """The digest that names the content of a file: that of LFS, or that of Git."""
    if LFS.fullmatch(path):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
