"""Fonts for Graphviz: those of the system, and DejaVu Sans from matplotlib where there are none (slim containers)."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from xml.sax.saxutils import escape

__all__ = ["SYSTEM", "bundled_fonts", "load_fonts"]

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
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"


@cache
def load_fonts() -> None:
    """Have Graphviz read its fonts, once in a process; the user's own FONTCONFIG_FILE has its way."""
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
