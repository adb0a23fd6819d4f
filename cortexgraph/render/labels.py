"""Labels of arrows: on the arrow where no other label and no box is in the way."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from cortexgraph.graph import Connection
from cortexgraph.ops import Operation, Resize
from cortexgraph.render.canvas import Canvas
from cortexgraph.render.geometry import Box, Curve
from cortexgraph.render.style import KINDS
from cortexgraph.render.text import size_text, text_width
from cortexgraph.render.weights import STRENGTH, weight_text
from cortexgraph.wording import count_text

__all__ = ["LABELS", "LabelPlacer", "label_lines"]

LABELS = ("kernel", "delay", "parameters", "strength")
"""What can be written beside arrows."""

SIZE = 7.5
LINE = 9.0
PLACES = (0.36, 0.44, 0.3, 0.52, 0.6, 0.68, 0.24)


def label_lines(connection: Connection, words: Collection[str], parameters: int) -> list[str]:
    """Some of: the delay; kernel, stride or resize; the number of parameters; the measured strength."""
    lines = {
        "delay": f"+{connection.delay}" * (connection.delay > 0),
        "kernel": " ".join(_geometry(connection.transform.operations)),
        "parameters": count_text(parameters),
        "strength": "" if connection.strength is None else weight_text(connection.strength, STRENGTH),
    }
    return [line for word, line in lines.items() if line and word in words]


def _geometry(chain: Sequence[Operation]) -> Iterator[str]:
    """Kernel, stride and resize of a transform: `3×3`, `/2`, `↕nearest`."""
    for operation in chain:
        kernel, stride = getattr(operation, "kernel", None), getattr(operation, "stride", (1, 1))
        if kernel:
            yield size_text(kernel)
        if stride != (1, 1):
            yield f"/{stride[0]}" if stride[0] == stride[1] else f"/{size_text(stride)}"
        if isinstance(operation, Resize):
            yield f"↕{type(operation).__name__.lower()}"


class LabelPlacer:
    """Puts labels on a canvas one by one; each keeps clear of those before it and of the boxes.

    Args:
        counts: numbers of parameters, as `parameter_counts` gives them.
    """

    def __init__(self, canvas: Canvas, boxes: Sequence[Box], counts: Mapping[str, int]) -> None:
        self._canvas = canvas
        self._counts = counts
        self._taken = list(boxes)

    def add(self, connection: Connection, curve: Curve, words: Collection[str]) -> None:
        lines = label_lines(connection, words, self._counts[connection.identifier])
        if not lines:
            return
        width, height = max(text_width(line, SIZE) for line in lines), LINE * len(lines)
        if connection.source == connection.target:  # beside the loop
            x, y = curve.at(0.5)
            place = Box(x + width / 2 + 1, y + height / 2 + 1, width, height)
        else:
            places = [Box(*curve.at(t), width, height) for t in PLACES]
            place = min(places, key=lambda box: sum(_overlap(box, other) for other in self._taken))
        self._taken.append(place)
        for n, line in enumerate(lines):
            at = (place.x, place.y + ((len(lines) - 1) / 2 - n) * LINE)
            color = KINDS[connection.kind].color
            self._canvas.text(f"{connection.identifier}-label-{n}", at, line, SIZE, color=color, backed=True)


def _overlap(a: Box, b: Box) -> float:
    across = (a.width + b.width) / 2 - abs(a.x - b.x)
    up = (a.height + b.height) / 2 - abs(a.y - b.y)
    return across * up if across > 0 and up > 0 else 0.0
