"""A canvas: boxes, curves and texts at given places, written as DOT; titles and legends.

The layout of a drawing is computed here in the package, not by Graphviz, so that the same network gives the same
DOT on every machine, and columns and rows stay columns and rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from math import ceil, floor
from typing import Literal

import graphviz

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.render.drawing import Drawing
from cortexgraph.render.geometry import Box, Curve, Point, line
from cortexgraph.render.style import (
    BOLD,
    FONT,
    INK,
    KINDS,
    MUTED,
    RESIDUAL,
    BoxStyle,
    LineStyle,
    text_width,
    with_role,
    wrap,
)

PAD = 0.08 * 72
"""Around a drawing, in points."""
LEGIBLE = 6.0
"""The smallest text that can be read in print, in points."""
SLACK = 0.02
"""By which a drawing may be wider than it should be, in points: less than anybody can measure."""
CM = 2.54 / 72
"""Of a point."""
PAGE_CM = 24.0
"""Height of the text of a page."""
PAGE_WIDTH_CM = 17.0
"""Width of the text of a page."""
PAGE = PAGE_CM / CM
ROOM = 7.0 / LEGIBLE
"""Width that a layout may use for each point of printed width: the smallest text of most drawings is 7 points."""


def plain(text: str, end: str = "") -> str:
    r"""Any text as a DOT label in which every character stands for itself; `end` is DOT, such as ``\l``.

    Graphviz reads freed memory where a line of a label is empty, so an empty line becomes a space.
    """
    lines = "\n".join(line or " " for line in text.split("\n")) if text else ""
    label: str = graphviz.nohtml(lines.replace("\\", "\\\\") + end * bool(text))
    return label


def _number(value: float) -> str:
    return f"{round(value, 2) + 0.0:g}"


class Canvas:
    """Collects the parts of a drawing; `source` is its DOT. Places are in points, y upwards.

    Args:
        name: of the network.
        view: which picture of it: the id of the whole, and the start of the ids of texts, legend and bands, so that
            pictures of several views can stand in one page.

    Attributes:
        prefix: stands before the ids of what is added next.
        shift: added to the x of what is added next.
        low, high: the corners of all boxes and curves so far, as they were added.
        least: the size of the smallest text so far.
    """

    def __init__(self, name: str, view: str) -> None:
        self._view = view
        self._dot = graphviz.Digraph(
            name,
            graph_attr={
                "id": view,
                "layout": "nop2",
                "outputorder": "edgesfirst",
                "pad": f"{PAD / 72:g}",
                "fontname": FONT,
            },
            node_attr={"shape": "box", "margin": "0", "fixedsize": "shape", "fontname": FONT, "fontcolor": INK},
            edge_attr={"fontname": FONT},
        )
        self.prefix, self.shift = "", 0.0
        self._drawn, self._reached = _Extent(), _Extent()
        self.least = float("inf")

    @property
    def low(self) -> Point:
        return self._drawn.low

    @property
    def high(self) -> Point:
        return self._drawn.high

    @property
    def width(self) -> float:
        """Of the whole picture, with its margin."""
        return self._reached.high[0] - self._reached.low[0] + 2 * PAD

    @property
    def height(self) -> float:
        """Of the whole picture, with its margin."""
        return self._reached.high[1] - self._reached.low[1] + 2 * PAD

    @property
    def needed(self) -> float:
        """The least printed width in points at which all text can be read, or to which nothing need be made smaller."""
        return self.width * min(1.0, LEGIBLE / self.least)

    def fits(self, width: float) -> bool:
        """Whether all text can be read at a printed width in points.

        Graphviz rounds the printed width to whole points, and measures text by the fonts of the machine: a label that
        it finds wider than `text_width` says makes the whole drawing wider. One point is left for that.
        """
        return self.width <= width + SLACK or self.needed <= round(width) - 1

    def drawing(self, width: float | None = None) -> Drawing:
        """What was drawn; made smaller where it is wider than `width` points."""
        scale = 1.0
        if width is not None and self.width > width + SLACK:
            scale = width / self.width
            self._dot.attr("graph", size=f"{width / 72:.4f},1000")
        return Drawing(str(self._dot.source), (self.width * scale * CM, self.height * scale * CM))

    def key(self, part: str) -> str:
        """The id of a part that does not belong to the network, such as a legend."""
        return f"{self._view}-{part}"

    def box(self, key: str, box: Box, label: str, look: BoxStyle, *, kind: str, size: float = 10, **more: str) -> None:
        """A node with a label in DOT form (see `plain`); `kind` becomes its class in SVG."""
        more = {"style": f"filled,{look.dash}", "class": kind} | more
        colors = {"color": look.outline, "fillcolor": look.fill, "fontcolor": look.text}
        self._node(key, box, label=label, penwidth=_number(look.width), fontsize=_number(size), **colors, **more)

    def residual(self, key: str, box: Box) -> None:
        """The mark of residual blocks, at the lower right corner of a box."""
        mark = Box(box.at(1, -1)[0] - 4, box.at(1, -1)[1] + 1, 9, 9)
        self.box(f"residual-{key}", mark, plain("+"), RESIDUAL, kind="text residual", size=7, shape="circle")

    def text(
        self,
        key: str,
        at: Point,
        text: str,
        size: float,
        *,
        color: str = INK,
        bold: bool = False,
        align: Literal["left", "centre", "right"] = "centre",
        backed: bool = False,
    ) -> None:
        """A line of text that starts, is centred or ends at a point; `backed` hides what lies behind it."""
        width, height = text_width(text, size, bold=bold), size * 1.25
        shift, end = {"left": (0.5, r"\l"), "centre": (0.0, ""), "right": (-0.5, r"\r")}[align]
        back = {"shape": "box", "style": "filled", "fillcolor": "white", "color": "white"}
        self._node(
            self.key(key),
            Box(at[0] + shift * width, at[1], width, height),
            label=plain(text, end),
            fontsize=_number(size),
            fontcolor=color,
            fontname=FONT + BOLD * bold,
            **{"class": "text"} | (back if backed else {"shape": "plaintext"}),
        )

    def line(self, key: str, tail: str, head: str, curve: Curve, style: LineStyle, *, kind: str) -> None:
        """An arrow along a curve; a circle or a bar at its tip stands clear of the box where the curve ends."""
        curve = curve.shortened(2.0) if style.head in {"odot", "tee", "teeodot"} else curve
        head_length = (2.5 if style.head == "tee" else 10) * style.head_size
        points = curve.shortened(head_length).tightened().points
        self._drawn.cover(curve.samples(8).tolist())
        self._reached.cover(points)  # Graphviz leaves room for control points
        path = " ".join(map(self._point, points))
        self._dot.edge(
            self.prefix + tail,
            self.prefix + head,
            id=self.prefix + key,
            pos=f"e,{self._point(curve.tip)} {path}",
            color=style.color,
            style=style.dash,
            penwidth=_number(style.width),
            arrowhead=style.head,
            arrowsize=_number(style.head_size),
            **{"class": kind} | ({"fillcolor": style.fill} if style.fill else {}),
        )

    def sample(self, key: str, at: Point, length: float, style: LineStyle) -> None:
        """A short arrow that stands for others in a legend."""
        (x, y), ends = at, (f"{key}-tail", f"{key}-head")
        for end, place in zip(ends, (x, x + length), strict=True):
            self._node(end, Box(place, y, 1, 1), label="", style="invis", **{"class": "text"})
        self.line(key, *ends, line(at, (x + length, y)), style, kind="legend")

    def band(self, key: str, box: Box, label: str, fill: str) -> AbstractContextManager[None]:
        """A tinted area behind the nodes that are added inside the block, with a small heading at its top."""
        look = {"fontcolor": INK, "style": "filled", "color": "none", "fillcolor": fill, "class": f"band {key}"}
        return self._cluster(key, box, label, box.x, look)

    def frame(self, key: str, box: Box, label: str) -> AbstractContextManager[None]:
        """A dashed frame with a small name at its upper left, around the nodes that are added inside the block."""
        look = {"fontcolor": MUTED, "style": "rounded,dashed", "color": MUTED, "penwidth": "0.7"}
        middle = box.at(-1, 1)[0] + 6 + text_width(label, 8) / 2
        return self._cluster(key, box, label, middle, look | {"class": f"region {key}"})

    @contextmanager
    def _cluster(self, key: str, box: Box, label: str, middle: float, look: Mapping[str, str]) -> Iterator[None]:
        """Nodes that are added inside the block lie on a box, at whose top the label stands around x = `middle`."""
        corners, outer = (box.at(-1, -1), box.at(1, 1)), self._dot
        self._cover(corners)
        with outer.subgraph(name=f"cluster_{self.prefix}{key}") as inner:
            inner.attr(
                id=self.prefix + self.key(key),
                bb=",".join(map(self._point, corners)),
                label=plain(label),
                lp=self._point((middle, corners[1][1] - 8)),
                fontsize="8",
                **look,
            )
            self._dot = inner
            try:
                yield
            finally:
                self._dot = outer

    def _node(self, key: str, box: Box, **attributes: str) -> None:
        self._cover((box.at(-1, -1), box.at(1, 1)))
        if attributes["label"]:
            whole = re.findall(r'POINT-SIZE="(\d+)', attributes["label"])  # all that Graphviz reads of it
            sizes = whole or [attributes["fontsize"]]
            self.least = min(self.least, *map(float, sizes))
        width, height = (f"{length / 72:.4f}" for length in (box.width, box.height))
        key = self.prefix + key
        self._dot.node(key, id=key, pos=self._point(box.centre), width=width, height=height, **attributes)

    def _point(self, point: Point) -> str:
        return f"{_number(point[0] + self.shift)},{_number(point[1])}"

    def _cover(self, points: Collection[Sequence[float]]) -> None:
        self._drawn.cover(points)
        self._reached.cover(points)


class _Extent:
    """The smallest upright rectangle around points, by its corners."""

    def __init__(self) -> None:
        self.low, self.high = (float("inf"), float("inf")), (-float("inf"), -float("inf"))

    def cover(self, points: Collection[Sequence[float]]) -> None:
        across, up = zip(*points, strict=True)
        self.low = min(self.low[0], *across), min(self.low[1], *up)
        self.high = max(self.high[0], *across), max(self.high[1], *up)


def fitted(paint: Callable[[float | None], Canvas], width: float | None) -> Drawing:
    """The drawing that `paint` lays out for a printed width in points, or as wide as its content.

    Raises CompileError if text would be too small to read; it names the least width, in tenths of centimetres, above
    that of the drawing, that is enough.
    """
    canvas = paint(width)
    if width is None or canvas.fits(width):
        return canvas.drawing(width)
    points, tenths = width, 0
    narrow, least = canvas, canvas.least * width / canvas.width
    while not narrow.fits(points):  # other widths have other layouts
        tenths = max(tenths + 1, ceil(10 * narrow.needed * CM - 1e-6))
        points = tenths / 10 / CM
        narrow = paint(points)
    found = f"the smallest text would be {floor(10 * least) / 10:.1f} pt"
    expected = f"it must be {LEGIBLE:g} pt or more"
    repair = f"Give a width of {tenths / 10:.1f} cm or more."
    raise CompileError(Diagnostic("too-narrow", f"width {width * CM:.3g} cm", found, expected, repair))


SIZE = 8.0
SAMPLE = 26.0
ROW = 15.0


@dataclass(frozen=True)
class Entry:
    """An entry of a legend: a sample and its meaning.

    Attributes:
        key: end of its id.
        sample: the look.
        mark: a sign inside a box.
        shape: of a box, as in DOT: `box`, `circle`, `diamond`.
        size: of the parts other than boxes, in points.
        mark_size: of the sign.
    """

    key: str
    sample: LineStyle | BoxStyle
    mark: str = ""
    shape: str = "box"
    size: float = 8.0
    mark_size: float = 7.0

    @property
    def width(self) -> float:
        return SAMPLE + 5 + text_width(self.sample.word, SIZE) + 14


def line_entries(kinds: Collection[str], *, modulating: bool, inhibitory: bool) -> Iterator[Entry]:
    """The entries for the kinds and roles of connections that occur."""
    order = ("feedforward", "lateral", "feedback", "memory")
    yield from (Entry(kind, KINDS[kind]) for kind in order if kind in kinds)
    sample = LineStyle("", INK, width=1.0)
    if modulating:
        yield Entry("modulating", with_role(sample, modulating=True, inhibitory=False))
    if inhibitory:
        yield Entry("inhibitory", with_role(sample, modulating=False, inhibitory=True))


def add_legend(canvas: Canvas, entries: Sequence[Entry], left: float, top: float, width: float) -> None:
    """Add the samples of lines, then those of boxes, in as many rows as the width requires."""
    y = top
    for kind in (LineStyle, BoxStyle):
        group = [entry for entry in entries if isinstance(entry.sample, kind)]
        widths = _columns([entry.width for entry in group], width)
        for n, entry in enumerate(group):
            row, place = divmod(n, len(widths))
            _add_entry(canvas, entry, left + sum(widths[:place]), y - row * ROW)
        y -= -(-len(group) // max(1, len(widths))) * ROW


def _columns(widths: Sequence[float], width: float) -> list[float]:
    """Widths of the columns: as few rows as fit, evenly filled."""
    for rows in range(1, len(widths) + 1):
        count = -(-len(widths) // rows)
        columns = [max(widths[place::count]) for place in range(count)]
        if sum(columns) <= width or count == 1:
            return columns
    return []


def _add_entry(canvas: Canvas, entry: Entry, x: float, y: float) -> None:
    key = canvas.key(f"legend-{entry.key}")
    if isinstance(entry.sample, LineStyle):
        canvas.sample(key, (x, y), SAMPLE, entry.sample)
    else:
        size = (18, 11) if entry.shape == "box" else (entry.size, entry.size)
        box = Box(x + SAMPLE / 2, y, *size)
        canvas.box(key, box, plain(entry.mark), entry.sample, kind="legend", size=entry.mark_size, shape=entry.shape)
    canvas.text(f"legend-{entry.key}-word", (x + SAMPLE + 5, y), entry.sample.word, SIZE, align="left")


def add_title(canvas: Canvas, title: str, subtitle: str, left: float, bottom: float, width: float) -> None:
    """Write the name of the network and a summary above the drawing."""
    lines = wrap(subtitle, SIZE, width)
    for n, words in enumerate(reversed(lines)):
        canvas.text(f"subtitle-{n}", (left, bottom + 6 + 10 * n), words, SIZE, color=MUTED, align="left")
    bottom += 10 + 10 * len(lines)
    fits = text_width(title, 11, bold=True) <= width or len(title.split()) < 2
    for n, words in enumerate(reversed([title] if fits else wrap(title, 12.4, width))):
        if words.strip():
            canvas.text(f"title-{n}" if n else "title", (left, bottom + 13 * n), words, 11, bold=True, align="left")
