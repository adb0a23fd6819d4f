"""Pictures of networks: areas and connections, and their updates over time."""

from cortexgraph.render.areas import draw_areas
from cortexgraph.render.drawing import Drawing
from cortexgraph.render.updates import draw_updates

__all__ = ["Drawing", "draw_areas", "draw_updates"]
