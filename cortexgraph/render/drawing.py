"""A drawing: DOT source with positions, shown and saved as SVG, PNG or PDF."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.files import write_bytes
from cortexgraph.render.engine import SUFFIXES, render_dot

__all__ = ["Drawing", "check_suffixes"]


@dataclass(frozen=True)
class Drawing:
    """A picture of a network; shows itself in notebooks.

    Attributes:
        source: DOT, with the position of every node and edge: `dot -Knop2` draws it unchanged.

    Examples:
        >>> import cortexgraph as cg
        >>> cg.draw(cg.load("ventral")).source.splitlines()[0]
        'digraph ventral {'
    """

    source: str

    def svg(self) -> str:
        """The picture as SVG text."""
        return render_dot(self.source, "svg").decode()

    def save(self, path: str | Path) -> Path:
        """Write the picture, whole or not at all; the suffix says the format: .svg, .png, .pdf, .dot or .gv.

        Raises:
            CompileError: for another suffix.
            DataError: if the file cannot be written.
        """
        path = Path(path)
        check_suffixes([path])
        form = SUFFIXES[path.suffix.lower()]
        write_bytes(path, self.source.encode() if form == "dot" else render_dot(self.source, form))
        return path

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_html_(self) -> str:
        """The SVG, never wider than the page."""
        svg = self.svg()
        picture = svg[svg.index("<svg") :].replace("<svg ", '<svg style="max-width: 100%; height: auto" ', 1)
        return f'<div class="cortexgraph">{picture}</div>'


def check_suffixes(paths: Iterable[Path]) -> None:
    """Hold pictures to the formats that there are, all before the first is drawn.

    Raises:
        CompileError: for other suffixes.
    """
    findings = [_unknown_suffix(path) for path in paths if path.suffix.lower() not in SUFFIXES]
    if findings:
        raise CompileError(findings)


def _unknown_suffix(path: Path) -> Diagnostic:
    return Diagnostic(
        "unknown-format",
        str(path),
        f"the suffix is `{path.suffix}`" if path.suffix else "the file name has no suffix",
        f"the formats are {', '.join(SUFFIXES)}",
        f"Name the file {path.with_suffix('.svg').name}." if path.name else "Name a file, such as network.svg.",
    )
