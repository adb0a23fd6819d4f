"""The built-in data set: ten textured shapes among clutter and behind bars, drawn from a seed."""

from cortexgraph.data.shapes.generate import Split, generate
from cortexgraph.data.shapes.outlines import CLASSES

__all__ = ["CLASSES", "Split", "generate"]
