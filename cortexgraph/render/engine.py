"""Graphviz: pygraphviz's wheel brings the layout engine, and matplotlib fonts where the system has none."""

from __future__ import annotations

import os
import re
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from xml.sax.saxutils import escape
from zlib import crc32

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.extras import is_installed
from cortexgraph.render.style import BOLD, FONT

__all__ = ["PRINT_DPI", "SUFFIXES", "SYSTEM", "bundled_fonts", "load_fonts", "render_dot"]

SYSTEM = Path("/etc/fonts/fonts.conf")

_CONFIG = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">{system}</include>
  <dir>{bundled}</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
"""


def bundled_fonts() -> Path | None:
    """The folder of the fonts that matplotlib brings; matplotlib is not imported."""
    spec = find_spec("matplotlib") if is_installed("matplotlib") else None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"


@cache
def load_fonts() -> None:
    """Let Graphviz read its fonts, once in a process; a FONTCONFIG_FILE set by the user takes precedence."""
    import pygraphviz

    bundled = bundled_fonts()
    if bundled is None or os.name == "nt" or "FONTCONFIG_FILE" in os.environ:
        return
    with tempfile.TemporaryDirectory(prefix="cortexgraph-") as folder:
        config = Path(folder) / "fonts.conf"
        config.write_text(_CONFIG.format(system=escape(str(SYSTEM)), bundled=escape(str(bundled))))
        os.environ["FONTCONFIG_FILE"] = str(config)
        try:
            pygraphviz.AGraph(string="graph { a [label=a] }").draw(format="svg", prog="nop")
        finally:
            del os.environ["FONTCONFIG_FILE"]


SUFFIXES = {".svg": "svg", ".png": "png", ".pdf": "pdf", ".dot": "dot", ".gv": "dot"}
"""File name suffixes, and the formats that they stand for."""

PRINT_DPI = 300
HEADER_BYTES = 33
"""Signature and first chunk (IHDR) of a PNG."""

LARGEST = 16e6
"""Pixels of a PNG: enough for a page at any resolution of print; more takes seconds to pack."""


def render_dot(source: str, form: str) -> bytes:
    """Draw DOT source whose nodes and edges carry their positions.

    Args:
        source: the DOT source.
        form: svg, png or pdf.

    Raises:
        CompileError: if the engine cannot draw it.
    """
    import pygraphviz

    drawn: bytes | None = None
    with _quiet() as messages:
        load_fonts()
        try:
            graph = pygraphviz.AGraph(string=source)
            graph.has_layout = True  # places stand in the source: nothing is laid out again
            if form == "png":
                dpi = round(_dpi(graph.draw(format="svg")))
                graph.graph_attr["dpi"] = str(dpi)
            drawn = graph.draw(format=form)
            if form == "svg" and drawn:
                drawn = drawn.replace(f'{FONT}{BOLD}"'.encode(), f'{FONT}" font-weight="bold"'.encode())
            if form == "png" and drawn:
                drawn = _with_resolution(drawn, dpi)
        except ValueError as error:
            messages.append(str(error))
    if not drawn:
        raise CompileError(
            Diagnostic(
                "drawing",
                f"drawing as {form}",
                f"Graphviz could not draw it: {' '.join(messages).strip()}",
                repair="Save the drawing as .dot and open that in another viewer.",
            )
        )
    return drawn


def _dpi(svg: bytes) -> float:
    """Resolution of a PNG in dots per inch, lower for very large pictures."""
    match = re.search(rb'<svg width="(\d+)pt" height="(\d+)pt"', svg)
    area = int(match[1]) * int(match[2]) / 72**2 if match else 0.0
    return max(24.0, min(PRINT_DPI, (LARGEST / area) ** 0.5)) if area else PRINT_DPI


def _with_resolution(png: bytes, dpi: int) -> bytes:
    """The PNG with a chunk that gives its resolution (pHYs, in pixels per metre), so that it prints in true size."""
    per_metre = round(dpi / 0.0254)
    chunk = b"pHYs" + struct.pack(">IIB", per_metre, per_metre, 1)
    return png[:HEADER_BYTES] + struct.pack(">I", 9) + chunk + struct.pack(">I", crc32(chunk)) + png[HEADER_BYTES:]


@contextmanager
def _quiet() -> Iterator[list[str]]:
    """Capture what C code writes to standard error, such as warnings of fontconfig about system files."""
    messages: list[str] = []
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no standard error at all
        yield messages
        return
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield messages
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            sink.seek(0)
            messages.append(sink.read().decode(errors="replace"))
