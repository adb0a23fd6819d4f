"""A trained network as a model plug-in of Brain-Score: a folder for `brainscore_vision/models`."""

from cortexgraph.brainscore.plugin import Plugin, write_plugin

__all__ = ["Plugin", "write_plugin"]
