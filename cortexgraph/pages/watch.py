"""`cortexgraph page SPEC --watch`: the page of a spec while it is written, served on the loopback address."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from cortexgraph.compiler import check
from cortexgraph.errors import CortexGraphError, DataError, Diagnostic
from cortexgraph.pages.html import page, template_text
from cortexgraph.spec import load
from cortexgraph.spec.overrides import Override

ADDRESS = "127.0.0.1"
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'self'; connect-src 'self'; frame-src 'self'"
"""Content security policy of the frame around the page; the page brings its own."""
MOST_BYTES = 1_000_000
"""Of a spec that are shown."""


class Watched:
    """A spec file with its last good page and its findings; both are made again when the file has changed."""

    def __init__(self, path: Path, overrides: Sequence[str | Override] = ()) -> None:
        self._path, self._overrides, self._lock = path, overrides, Lock()
        self._seen: object = self  # no signature of a file is equal to this
        self._version = self._picture = 0
        self._lines: list[str] = []
        self._findings: list[Diagnostic] = []
        self.page = "<p>The picture appears once the findings are fixed.</p>"

    def state(self) -> dict[str, object]:
        """What the browser asks for again and again; the numbers rise with each change."""
        with self._lock:
            if (signature := self._signature()) != self._seen:
                self._seen, self._version = signature, self._version + 1
                self._findings = self._made_again()
            findings = [
                {"line": each.line, "severity": each.severity, "text": str(replace(each, file=None, line=None))}
                for each in self._findings
            ]
            numbers = {"version": self._version, "picture": self._picture}
            return numbers | {"name": self._path.name, "lines": self._lines, "findings": findings}

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _made_again(self) -> list[Diagnostic]:
        """Read the file, and replace the page unless it has errors; returns the findings."""
        try:
            self._lines = self._path.read_bytes()[:MOST_BYTES].decode(errors="replace").splitlines()
            spec = load(self._path, self._overrides)
            self.page, self._picture = page(spec), self._version
            return check(spec)
        except CortexGraphError as error:
            return [*error.diagnostics]
        except OSError as error:
            return [Diagnostic("unreadable", str(self._path), f"it cannot be read: {error.strerror}")]
        except Exception as error:  # of an operation or a check of somebody else; the browser must not show "fine"
            return [
                Diagnostic("unreadable", str(self._path), f"making the page failed: {type(error).__name__}: {error}")
            ]


class Server(ThreadingHTTPServer):
    """Serves a watched spec on a free port of the loopback address, to those who know the secret in `address`."""

    daemon_threads = True

    def __init__(self, watched: Watched) -> None:
        super().__init__((ADDRESS, 0), _Handler)
        self.watched, self.secret = watched, secrets.token_urlsafe(16)
        self.address = f"http://{ADDRESS}:{self.server_port}/{self.secret}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Keep the terminal free of tracebacks where a browser has closed its connection."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # as it came


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        """Answer a browser that has the secret address; a foreign host name may be an attack through DNS."""
        watched = self.server.watched
        routes: dict[str, tuple[str, Callable[[], str]]] = {
            "": ("text/html", lambda: template_text("watch.html")),
            "watch.js": ("text/javascript", lambda: template_text("watch.js")),
            "state": ("application/json", lambda: json.dumps(watched.state())),
            "page": ("text/html", lambda: watched.page),
        }
        secret, _, path = self.path.partition("?")[0].removeprefix("/").partition("/")
        hosts = {f"{name}:{self.server.server_port}" for name in (ADDRESS, "localhost")}
        known = secrets.compare_digest(secret.encode(), self.server.secret.encode())
        if not known or self.headers.get("Host", "") not in hosts or path not in routes:
            self.send_error(404)
            return
        form, body = routes[path]
        data = body().encode()
        self.send_response(200)
        self.send_header("Content-Type", f"{form}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        if not path:
            self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Keep the terminal free of a line for each request."""


def watch(subject: str, overrides: Sequence[str | Override], tell: Callable[[str], object]) -> None:
    """Serve the page of a spec file until Ctrl-C; `tell` gets the address. DataError if the file does not exist."""
    path = Path(subject)
    if not path.is_file():
        repair = "Give the path of a spec file; `cortexgraph new mine.yaml` writes one to start from."
        raise DataError(Diagnostic("no-such-spec", subject, "this file does not exist", repair=repair))
    with Server(Watched(path, overrides)) as server:
        tell(f"{server.address} shows {path} after each save. Stop with Ctrl-C.")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            tell("stopped")
