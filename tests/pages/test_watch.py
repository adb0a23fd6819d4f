"""The page while a spec is written: each save is shown, findings stand beside their lines, the last picture stays."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

import cortexgraph as cg
from cortexgraph.pages import watch
from cortexgraph.pages.watch import Server, Watched

GOOD = """\
cortexgraph: 1
name: mine
input: {channels: 1, size: 8}
areas:
  V1: {channels: 2, size: 8}
  V2: {channels: 2, size: 4}
connections:
  - image -> V1 -> V2
readout: {from: V2, classes: 2}
time: {steps: 3}
"""
BROKEN = GOOD.replace("channels: 2, size: 4}", "chanels: 2, size: 4}").replace("steps: 3", "steps: 0")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def address(spec: Path) -> Iterator[str]:
    with Server(Watched(spec)) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        yield server.address.rstrip("/")
        server.shutdown()


def text_of(url: str, **headers: str) -> str:
    with urlopen(Request(url, headers=headers), timeout=20) as answer:
        text: str = answer.read().decode()
    return text


def state_of(address: str) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(text_of(f"{address}/state"))
    return state


def test_each_save_is_shown_and_a_broken_spec_keeps_the_last_picture(spec: Path, address: str) -> None:
    first = state_of(address)
    assert (first["name"], first["findings"], first["lines"]) == ("mine.yaml", [], GOOD.splitlines())
    good = text_of(f"{address}/page")
    assert good == cg.page(cg.load(spec))
    assert state_of(address) == first  # nothing was saved

    spec.write_text(BROKEN)
    broken = state_of(address)
    assert broken["version"] > first["version"]
    assert broken["picture"] == first["picture"]
    assert text_of(f"{address}/page") == good
    assert {(each["line"], each["severity"]) for each in broken["findings"]} == {(6, "error"), (10, "error")}
    assert "Did you mean `channels`?" in broken["findings"][0]["text"]
    assert str(spec) not in broken["findings"][0]["text"]

    spec.unlink()  # as some editors do for a moment
    assert state_of(address)["findings"][0]["severity"] == "error"
    spec.write_text(GOOD.replace("V2", "V4"))
    again = state_of(address)
    assert (again["findings"], again["picture"]) == ([], again["version"])
    assert "V4" in text_of(f"{address}/page")


def test_warnings_are_shown_beside_a_new_picture(spec: Path, address: str) -> None:
    spec.write_text(
        GOOD.replace("  V2:", "  V3: {channels: 2, size: 8}\n  V2:").replace("  - image", "  - V1 -> V3\n  - image")
    )
    state = state_of(address)
    assert [(each["severity"], each["line"]) for each in state["findings"]] == [("warning", 6)]
    assert state["picture"] == state["version"]


def test_only_this_machine_gets_an_answer(address: str) -> None:
    root, _, secret = address.rpartition("/")
    assert len(secret) >= 20
    port = root.rpartition(":")[2]
    foreign = [{"Host": host} for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "")]
    refused = [(f"{address}/state", headers) for headers in foreign]
    refused += [(f"{address}{path}", {}) for path in ("/../mine.yaml", "/mine.yaml", "/state/")]
    refused += [(f"{root}{path}", {}) for path in ("/", "/state", "/page", f"/{secret[:-1]}/state", "/é/state")]
    for url, headers in refused:
        with pytest.raises(HTTPError, match="404"):
            text_of(quote(url, safe=":/"), **headers)
    assert text_of(address.replace("127.0.0.1", "localhost") + "/").startswith("<!DOCTYPE html>")


def test_a_closed_connection_leaves_no_traceback(address: str, capfd: pytest.CaptureFixture[str]) -> None:
    root, _, secret = address.rpartition("/")
    port = int(root.rpartition(":")[2])
    for request in (b"", b"GET /", f"GET /{secret}/page HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close by a reset
            connection.sendall(request)
    assert state_of(address)["name"] == "mine.yaml"
    time.sleep(0.2)
    assert capfd.readouterr().err == ""


def test_what_went_wrong_in_making_the_page_is_said_until_the_file_changes(
    spec: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(spec: object) -> str:
        raise ZeroDivisionError("of a custom operation")

    monkeypatch.setattr(watch, "page", fail)
    watched = watch.Watched(spec)
    for _ in range(2):
        (finding,) = watched.state()["findings"]  # type: ignore[misc]
        assert "ZeroDivisionError: of a custom operation" in finding["text"]


def test_ctrl_c_ends_the_command_cleanly(spec: Path) -> None:
    command = [sys.executable, "-m", "cortexgraph", "page", str(spec), "--watch"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        # A job in the background starts with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as running:
        try:
            assert running.stdout is not None
            line = running.stdout.readline()
            assert state_of(line.split()[0].rstrip("/"))["findings"] == []
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=20)
        finally:
            running.kill()
    assert (running.returncode, out, err) == (0, "stopped\n", "")
    assert [path.name for path in spec.parent.iterdir()] == ["mine.yaml"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["ventral"], 1, "this file does not exist"),
        (["mine.yaml", "-o", "a.html"], 2, "leave out --out"),
    ],
)
def test_what_cannot_be_watched(arguments: list[str], code: int, said: str, spec: Path) -> None:
    command = [sys.executable, "-m", "cortexgraph", "page", *arguments, "--watch"]
    run = subprocess.run(command, cwd=spec.parent, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == code
    assert said in run.stderr


@pytest.mark.browser
def test_the_browser_redraws_in_place(browser: Any, spec: Path, address: str) -> None:
    tab, said = browser.new_page(), []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    browser.set_offline(False)
    tab.goto(f"{address}/")
    frame = tab.frame_locator("iframe")
    frame.locator('figure.updates [id="V2@2.0"]').dispatch_event("click")
    assert tab.inner_text(".status") == "mine.yaml: fine"
    spec.write_text(BROKEN)
    tab.wait_for_selector("section.text p.error")
    assert "channels" in tab.locator("section.text div:has-text('chanels') + p.error").first.inner_text()
    assert frame.locator(".node.it").count() > 0
    spec.write_text(
        GOOD.replace("size: 4}", "size: 4}\n  V3: {channels: 3, size: 4}")
        .replace("V1 -> V2", "V1 -> V2 -> V3 -> V2")
        .replace("steps: 3", "steps: 4")
    )
    tab.wait_for_selector("section.text", state="hidden")
    frame.locator('figure.areas [id="V3"]').wait_for()
    frame.locator('figure.updates [id="V2@2.0"].it').wait_for()  # the choice stays
    tab.close()
    browser.set_offline(True)
    assert said == []
