"""Saving and showing drawings: formats, errors, escaping, and the same bytes every time."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from PIL import Image

from cortexgraph.errors import CompileError, CortexGraphError
from cortexgraph.graph import AreaGraph
from cortexgraph.render import Drawing, draw_areas, draw_updates
from cortexgraph.render.canvas import Canvas, plain
from cortexgraph.render.drawing import bundled_fonts
from cortexgraph.render.geometry import Box
from cortexgraph.render.style import STATES
from cortexgraph.unrolling import unroll_graph

ODD = ["<b>", "a & b", 'say "so"', "it's", r"back\slash \N", "TH/TF", "V1 (L2/3)", "Größe", "视觉", "<", ">x<"]


@pytest.mark.parametrize(
    ("suffix", "start"),
    [(".svg", b"<?xml"), (".png", b"\x89PNG\r\n"), (".pdf", b"%PDF-"), (".dot", b"digraph"), (".GV", b"digraph")],
)
def test_formats(suffix: str, start: bytes, stream: AreaGraph, tmp_path: Path) -> None:
    path = draw_areas(stream).save(tmp_path / f"network{suffix}")
    assert path.read_bytes().startswith(start)
    assert [*tmp_path.iterdir()] == [path]


def test_no_system_graphviz_is_called(stream: AreaGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert shutil.which("dot") is None
    assert draw_areas(stream).svg().startswith("<?xml")


def test_png_is_fit_for_print(stream: AreaGraph, tmp_path: Path) -> None:
    drawing = draw_updates(unroll_graph(stream))
    width = int.from_bytes(drawing.save(tmp_path / "a.png").read_bytes()[16:20])
    points = float(ET.fromstring(drawing.svg()).attrib["width"].removesuffix("pt"))
    assert width == pytest.approx(points * 300 / 72, rel=0.01)


def test_png_carries_its_resolution(stream: AreaGraph, tmp_path: Path) -> None:
    """In the chunk pHYs, before the pixels, with a right checksum (Pillow checks it)."""
    with Image.open(draw_areas(stream).save(tmp_path / "a.png")) as image:
        image.load()
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_svg_names_one_family_and_gives_weights_by_themselves(stream: AreaGraph) -> None:
    texts = [*ET.fromstring(draw_areas(stream).svg()).iter("{http://www.w3.org/2000/svg}text")]
    assert {text.attrib["font-family"] for text in texts} == {"Helvetica,Arial,DejaVu Sans,sans-serif"}
    bold = {text.text for text in texts if text.get("font-weight") == "bold"}
    assert bold == {"stream", "V1", "V2", "V4", "IT"}


BLANK = """
from pathlib import Path
from tests.render.conftest import STREAM, graph_of
from cortexgraph.render import draw_areas, draw_connections, draw_updates
from cortexgraph.render.canvas import Canvas
from cortexgraph.unrolling import unroll_graph
for title in ("", " ", "\\n", "a\\n\\nb", "\\n\\n"):
    graph = graph_of(STREAM)
    graph.graph["name"] = title
    for drawing in (draw_areas(graph), draw_connections(graph), draw_updates(unroll_graph(graph))):
        assert drawing.svg().endswith("</svg>\\n")
        assert drawing.save(Path("blank.png")).stat().st_size > 10_000
print("drawn")
"""


def test_blank_titles_do_not_crash_graphviz(tmp_path: Path) -> None:
    """An empty line in a label ends in a segmentation fault inside Graphviz, so this runs in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", BLANK]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "drawn\n"), done.stderr


def test_notebooks_show_the_svg(stream: AreaGraph) -> None:
    drawing = draw_areas(stream)
    assert drawing._repr_svg_() == drawing.svg()


@pytest.mark.parametrize("name", ["network.jpeg", "network"])
def test_unknown_suffix(name: str, stream: AreaGraph, tmp_path: Path) -> None:
    with pytest.raises(CompileError, match=r"the formats are \.svg, \.png, \.pdf, \.dot, \.gv") as caught:
        draw_areas(stream).save(tmp_path / name)
    assert caught.value.diagnostics[0].repair == "Name the file network.svg."
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("name", ["missing/network.svg", "folder.png"])
def test_unwritable_path_leaves_nothing_behind(name: str, stream: AreaGraph, tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(CortexGraphError, match="cannot be written"):
        draw_areas(stream).save(tmp_path / name)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder.png"]


def test_an_old_drawing_survives_a_failed_one(tmp_path: Path) -> None:
    path = tmp_path / "network.svg"
    path.write_text("old")
    with pytest.raises(CortexGraphError, match="Graphviz could not draw it"):
        Drawing("digraph {").save(path)
    assert path.read_text() == "old"


def test_standard_error_stays_clean(stream: AreaGraph, capfd: pytest.CaptureFixture[str]) -> None:
    draw_areas(stream).svg()
    print("still works", file=sys.stderr)
    assert capfd.readouterr().err == "still works\n"


@pytest.mark.parametrize("text", ODD)
def test_any_text_arrives_in_the_svg_as_it_is(text: str) -> None:
    canvas = Canvas(text, "test")
    canvas.box("box", Box(0, 0, 90, 20), plain(text), STATES["executed"], kind="area")
    canvas.text("words", (0, 40), text, 9)
    root = ET.fromstring(canvas.drawing().svg())
    found = ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert sorted(found) == [text, text]


def test_any_text_arrives_in_html_like_labels(stream: AreaGraph) -> None:
    for text in ODD:
        stream.graph["name"] = text
        svg = draw_areas(stream).svg()
        said = ["".join(element.itertext()) for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
        assert text in said


SCRIPT = """
import hashlib
from tests.render.conftest import STREAMS, graph_of
from cortexgraph.render import LABELS, draw_areas, draw_updates
from cortexgraph.unrolling import unroll_graph
graph = graph_of(STREAMS)
for drawing in (draw_areas(graph, labels=LABELS), draw_updates(unroll_graph(graph))):
    print(hashlib.sha256((drawing.source + drawing.svg()).encode()).hexdigest())
"""


def test_the_same_bytes_whatever_the_hash_seed() -> None:
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"  # another than that of this process
    other = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run([sys.executable, "-c", SCRIPT], env=other, capture_output=True, text=True, check=True).stdout
    with contextlib.redirect_stdout(io.StringIO()) as here:
        exec(SCRIPT, {})
    assert run == here.getvalue()
    assert len(run.split()) == 2


def test_fonts_come_with_matplotlib() -> None:
    fonts = bundled_fonts()
    assert fonts is not None
    assert (fonts / "DejaVuSans.ttf").is_file()
