"""The page as text: self-contained, safe, and true to the unrolled graph and the emitted source."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import cortexgraph as cg
from cortexgraph import cli
from cortexgraph.codegen import emit_source
from cortexgraph.compiler import CompileOptions, lower, program
from cortexgraph.errors import DataError
from cortexgraph.training import TrainSettings, train
from tests.training.conftest import striped_data, tiny_spec

HOSTILE = """</script><img src=x onerror="hacked=1">'${hacked=1}"""
AREA = "V1 & V2 (a*/b), c: +d"


def hostile_spec() -> cg.NetworkSpec:
    """Free text that would like to be markup, and an area with every sign that names may have."""
    return cg.NetworkSpec.model_validate(
        {
            "name": "a & b",
            "description": HOSTILE,
            "references": [HOSTILE],
            "input": {"channels": 1, "size": 8},
            "areas": {AREA: {"channels": 2, "size": 8, "region": "a & b"}, "slider": {"channels": 2, "size": 8}},
            "connections": [{"from": "image", "to": AREA}, {"from": AREA, "to": "slider"}],
            "readout": {"from": "slider", "classes": 2},
            "time": {"steps": 3},
        }
    )


class Elements(HTMLParser):
    """Collects the elements of a page, and the text of its data."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))


def data_of(html: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" class="data">(.*?)</script>', html, re.DOTALL)
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize("subject", ["ventral", "hostile"])
def test_the_page_is_self_contained_and_runs_only_its_own_script(subject: str) -> None:
    html = cg.page(cg.load("ventral") if subject == "ventral" else hostile_spec())
    elements = Elements(html).found
    assert [tag for tag, _ in elements if tag in {"script", "iframe", "object", "embed", "form"}] == ["script"] * 2
    for tag, attributes in elements:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("src", "href", "xlink:href", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)
    assert not [attributes for tag, attributes in elements if tag == "img"]


def test_a_page_is_small() -> None:
    assert len(cg.page(cg.load("ventral")).encode()) < 300_000


def test_the_data_is_the_unrolled_graph() -> None:
    graph = cg.unroll(cg.load("ventral"))
    data = data_of(cg.page(cg.load("ventral")))
    assert len(data["nodes"]) == len(graph)
    assert len(data["edges"]) == graph.number_of_edges()
    by_key = {node[0]: node for node in data["nodes"]}
    assert by_key["V2@3.0"][1:5] == ["update", "V2", 3, "executed"]
    assert by_key["V2@3.0"][8] == "11 × 11 pixels"
    assert [by_key[key][4] for key in ("V2@1.0", "V2@5.0", "IT@6.0")] == ["silent", "unread", "executed"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("ventral", {}),
        ("ventral", {"order": "sequential"}),
        ("ventral", {"order": ("V1", "V2", "V4", "IT", "V4", "V2", "V1"), "steps": 3}),
        ("cornet_s", {}),
        ("leaky_ms", {}),
        ("rcnn", {}),
    ],
)
def test_every_executed_update_has_its_lines(name: str, options: dict[str, Any]) -> None:
    full, kept = lower(cg.load(name), **options)
    emitted = emit_source(full, kept)
    text = emitted.source.splitlines()
    updates = {node: emitted.lines_of(node) for node in kept.live_updates()}
    assert updates
    for node, lines in updates.items():
        assert lines is not None, node
        first, last = lines
        identifier = full.areas.area(node.name).identifier
        start = text[first if text[first - 1].strip().startswith("#") else first - 1]  # a comment may stand above
        assert re.match(rf"\s+(\w+, )*{identifier}_{node.step}[a-z]*(_\w+)?(, \w+)* = ", start), node
        assert f"self.{identifier}(" in start
        assert first == last or text[last - 1] == start or text[last - 1].strip().startswith(")")


def test_a_loop_gives_its_lines_to_every_turn() -> None:
    """Against the names in the source: outside the loop those of their step, inside those of `t`."""
    spec = cg.load("ventral", {"time.steps": 100})
    _, kept = lower(spec)
    emitted = program(spec, CompileOptions()).emitted
    text = emitted.source.splitlines()
    updates = {node: emitted.lines_of(node) for node in kept.live_updates()}
    (start,) = [n for n, line in enumerate(text, 1) if line.strip().startswith("for t in range(")]
    first, last = map(int, re.findall(r"range\((\d+), (\d+)\)", text[start - 1])[0])
    for node, lines in updates.items():
        assert lines is not None, node
        line, _ = lines
        name = f"{node.name}_t" if first <= node.step < last else f"{node.name}_{node.step}"
        start = text[line if text[line - 1].strip().startswith("#") else line - 1]
        assert start.strip().startswith(f"{name} = self.{node.name}("), node


# ---- runs --------------------------------------------------------------------


def test_a_run_shows_its_training(tmp_path: Path) -> None:
    settings = TrainSettings(epochs=2, batch_size=8, device="cpu")
    train(tiny_spec(), striped_data(), settings, tmp_path / "run", quiet=True)
    html = cg.page(tmp_path / "run", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == html
    assert 'class="curves" src="data:image/svg+xml;base64,' in html
    assert "<dt>optimizer</dt><dd>adamw</dd>" in html
    (tmp_path / "run" / "summary.json").unlink()
    assert "This run has not finished" in cg.page(tmp_path / "run")
    with pytest.raises(DataError, match="a folder that `cortexgraph train` wrote is needed"):
        cg.page(tmp_path)
    assert "<dt>epochs</dt><dd>12</dd>" in cg.page("ventral-cifar10")  # one that ships


# ---- the command ---------------------------------------------------------------


def run_command(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> int:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["cortexgraph", "page", *words])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(monkeypatch, tmp_path, "ventral", "--steps", "4") == 0
    assert capsys.readouterr().out.startswith("wrote ventral.html (")
    assert data_of((tmp_path / "ventral.html").read_text())["steps"] == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ventral", "-o", "page.pdf"], "the suffix is `.pdf`, but a page is .html"),
        (["ventral", "-o", "page"], "the file name has no suffix"),
        (["ventral", "-o", "no/such/page.html"], "cannot be written"),
        (["runs/nothing"], "no such file, and no zoo spec of this name"),
        (["."], "a folder that `cortexgraph train` wrote is needed"),
        (["ventral", "--steps", "2"], "IT first responds at step 4"),
    ],
)
def test_bad_requests(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    assert run_command(monkeypatch, tmp_path, *words) == 1
    said = capsys.readouterr()
    assert message in said.err
    assert "Traceback" not in said.err
    assert (said.out, list(tmp_path.iterdir())) == ("", [])
