"""A drawing: DOT source with positions, shown and saved as SVG, PNG or PDF by the engine of pygraphviz's wheel."""

from __future__ import annotations

import os
import re
import struct
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from math import nan
from pathlib import Path
from threading import Lock
from xml.sax.saxutils import escape
from zlib import crc32

from cortexgraph.arguments import arguments_explained
from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.extras import DATE, check_numbers, is_installed
from cortexgraph.files import write_bytes
from cortexgraph.render.style import BOLD, FONT

SUFFIXES = {".svg": "svg", ".png": "png", ".pdf": "pdf", ".dot": "dot", ".gv": "dot"}
"""File name suffixes, and the formats that they stand for."""


@dataclass(frozen=True)
class Drawing:
    """A picture of a network; shows itself in notebooks.

    Attributes:
        source: DOT, with the position of every node and edge: `dot -Knop2` draws it unchanged.
        size: printed width and height in cm; NaN where they are not known.
        remarks: what other picture would be easier to print or read, and why.

    Examples:
        >>> import cortexgraph as cg
        >>> cg.draw(cg.load("ventral")).source.splitlines()[0]
        'digraph ventral {'
    """

    source: str
    size: tuple[float, float] = (nan, nan)
    remarks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        name = self.source.split("{", 1)[0].removeprefix("digraph").strip().strip('"')
        parts = [f"Drawing of {name}: show it in a notebook, or save it with `.save(path)`", *self.remarks]
        return f"<{'; '.join(parts)}>"

    def svg(self) -> str:
        """The picture as SVG text."""
        return _render(self.source, "svg").decode()

    @arguments_explained
    def save(self, path: str | Path) -> Path:
        """Write the picture, whole or not at all; the suffix says the format: .svg, .png, .pdf, .dot or .gv.

        Raises:
            CompileError: for another suffix.
            DataError: if the file cannot be written.
        """
        path = Path(path)
        check_suffixes([path])
        form = SUFFIXES[path.suffix.lower()]
        write_bytes(path, self.source.encode() if form == "dot" else _render(self.source, form))
        return path

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_html_(self) -> str:
        """The SVG, never wider than the page."""
        svg = self.svg()
        picture = svg[svg.index("<svg") :].replace("<svg ", '<svg style="max-width: 100%; height: auto" ', 1)
        return f'<div class="cortexgraph">{picture}</div>'


def check_suffixes(paths: Iterable[Path]) -> None:
    """Raise CompileError for file names that end in none of the formats, before the first picture is drawn."""
    findings = [
        Diagnostic(
            "unknown-format",
            str(path),
            f"the suffix is `{path.suffix}`" if path.suffix else "the file name has no suffix",
            f"the formats are {', '.join(SUFFIXES)}",
            f"Name the file {path.with_suffix('.svg').name}." if path.name else "Name a file, such as network.svg.",
        )
        for path in paths
        if path.suffix.lower() not in SUFFIXES
    ]
    if findings:
        raise CompileError(findings)


# ---- the engine --------------------------------------------------------------

PRINT_DPI = 300
LARGEST = 16e6
"""Pixels of a PNG: enough for a page at any resolution of print; more takes seconds to pack."""
PNG_HEADER = 33
"""Bytes of the signature and the first chunk (IHDR) of a PNG."""


def _render(source: str, form: str) -> bytes:
    """Draw DOT source whose nodes and edges carry their positions, as svg, png or pdf.

    Raises CompileError if the engine cannot draw it, or the environment would stop it.
    """
    import pygraphviz

    if form == "pdf":
        check_numbers(DATE)
    drawn: bytes | None = None
    with _ONE_AT_A_TIME, _quiet() as messages:
        _load_fonts()
        try:
            graph = pygraphviz.AGraph(string=source)
            graph.has_layout = True  # places stand in the source: nothing is laid out again
            if form == "png":
                dpi = _dpi(graph.draw(format="svg"))
                graph.graph_attr["dpi"] = str(dpi)
            drawn = graph.draw(format=form)
            if form == "svg" and drawn:
                drawn = drawn.replace(f'{FONT}{BOLD}"'.encode(), f'{FONT}" font-weight="bold"'.encode())
            if form == "png" and drawn:
                drawn = _with_resolution(drawn, dpi)
        except ValueError as error:
            messages.append(str(error))
    if not drawn:
        found = f"Graphviz could not draw it: {' '.join(messages).strip()}"
        repair = "Save the drawing as .dot and open that in another viewer."
        raise CompileError(Diagnostic("drawing", f"drawing as {form}", found, repair=repair))
    return drawn


def _dpi(svg: bytes) -> int:
    """Resolution of a PNG in dots per inch, lower for very large pictures."""
    match = re.search(rb'<svg width="(\d+)pt" height="(\d+)pt"', svg)
    area = int(match[1]) * int(match[2]) / 72**2 if match else 0.0
    return round(max(24.0, min(PRINT_DPI, (LARGEST / area) ** 0.5))) if area else PRINT_DPI


def _with_resolution(png: bytes, dpi: int) -> bytes:
    """The PNG with a chunk that gives its resolution (pHYs, in pixels per metre), so that it prints in true size."""
    per_metre = round(dpi / 0.0254)
    chunk = b"pHYs" + struct.pack(">IIB", per_metre, per_metre, 1)
    return png[:PNG_HEADER] + struct.pack(">I", 9) + chunk + struct.pack(">I", crc32(chunk)) + png[PNG_HEADER:]


_ONE_AT_A_TIME = Lock()
"""Standard error is that of the whole process: of two threads, each would restore what the other put there."""


@contextmanager
def _quiet() -> Iterator[list[str]]:
    """Capture what C code writes to standard error, such as warnings of fontconfig about system files."""
    messages: list[str] = []
    if sys.stderr is not None:
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


# ---- fonts: matplotlib's where the system lacks them ----------------------

_CONFIG = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>{bundled}</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
"""


def bundled_fonts() -> Path | None:
    """The folder of the fonts that matplotlib brings; matplotlib is not imported."""
    spec = find_spec("matplotlib") if is_installed("matplotlib") else None
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" if spec and spec.origin else None


@cache
def _load_fonts() -> None:
    """Let Graphviz read its fonts, once in a process; a FONTCONFIG_FILE set by the user takes precedence."""
    import pygraphviz

    bundled = bundled_fonts()
    if bundled is None or os.name == "nt" or "FONTCONFIG_FILE" in os.environ:
        return
    with tempfile.TemporaryDirectory(prefix="cortexgraph-") as folder:
        config = Path(folder) / "fonts.conf"
        config.write_text(_CONFIG.format(bundled=escape(str(bundled))))
        os.environ["FONTCONFIG_FILE"] = str(config)
        try:
            pygraphviz.AGraph(string="graph { a [label=a] }").draw(format="svg", prog="nop")
        finally:
            del os.environ["FONTCONFIG_FILE"]
