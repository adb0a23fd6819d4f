"""Graphviz: pygraphviz's wheel brings the layout engine, so no system Graphviz is needed."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.render.fonts import load_fonts

__all__ = ["PRINT_DPI", "SUFFIXES", "render_dot"]

SUFFIXES = {".svg": "svg", ".png": "png", ".pdf": "pdf", ".dot": "dot", ".gv": "dot"}
"""File name suffixes, and the formats that they stand for."""

PRINT_DPI = 300
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
    with _quiet() as said:
        load_fonts()
        try:
            graph = pygraphviz.AGraph(string=source)
            graph.has_layout = True  # places stand in the source: nothing is laid out again
            if form == "png":
                graph.graph_attr["dpi"] = f"{_dpi(graph.draw(format='svg')):.0f}"
            drawn = graph.draw(format=form)
        except ValueError as error:
            said.append(str(error))
    if not drawn:
        raise CompileError(
            Diagnostic(
                "drawing",
                f"drawing as {form}",
                f"Graphviz could not draw it: {' '.join(said).strip()}",
                repair="Save the drawing as .dot and open that in another viewer.",
            )
        )
    return drawn


def _dpi(svg: bytes) -> float:
    """Dots per inch: fewer where the picture would be too large."""
    match = re.search(rb'<svg width="(\d+)pt" height="(\d+)pt"', svg)
    area = int(match[1]) * int(match[2]) / 72**2 if match else 0.0
    return max(24.0, min(PRINT_DPI, (LARGEST / area) ** 0.5)) if area else PRINT_DPI


@contextmanager
def _quiet() -> Iterator[list[str]]:
    """Keep what C code writes to standard error (fontconfig comments on the system's files) out of sight."""
    said: list[str] = []
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no standard error at all
        yield said
        return
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            sink.seek(0)
            said.append(sink.read().decode(errors="replace"))
