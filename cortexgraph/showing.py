"""How specs and graphs look in a notebook; `cortexgraph.notebook` asks here."""

from __future__ import annotations

from html import escape

from cortexgraph.drawing import draw
from cortexgraph.errors import CortexGraphError
from cortexgraph.graph import AreaGraph
from cortexgraph.render import Drawing, draw_areas, draw_updates
from cortexgraph.spec import NetworkSpec, dumps
from cortexgraph.unrolling import UnrolledGraph

__all__ = ["html_of", "picture_of"]


def picture_of(shown: NetworkSpec | AreaGraph | UnrolledGraph) -> Drawing | None:
    """The drawing of a spec or graph; None for a spec that does not make a network."""
    if isinstance(shown, AreaGraph):
        return draw_areas(shown)
    if isinstance(shown, UnrolledGraph):
        return draw_updates(shown)
    try:
        return draw(shown)
    except CortexGraphError:
        return None


def html_of(shown: NetworkSpec | AreaGraph | UnrolledGraph) -> str | None:
    """The drawing; of a spec also its text, and its findings where it does not make a network."""
    if not isinstance(shown, NetworkSpec):
        picture = picture_of(shown)
        return None if picture is None else picture._repr_html_()
    try:
        first = draw(shown)._repr_html_()
    except CortexGraphError as error:
        first = f"<pre>{escape(str(error))}</pre>"
    return f"{first}<details><summary>{escape(shown.name)}</summary><pre>{escape(dumps(shown))}</pre></details>"
