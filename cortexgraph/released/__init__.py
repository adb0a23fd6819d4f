"""Released models: their checkpoints under the names of a spec, and their configurations as specs."""

from __future__ import annotations

from cortexgraph.released.keymap import Images, KeyMap, find_key_map, load_key_map
from cortexgraph.released.weights import Weights, guessed_key_map, read_weights, write_weights

__all__ = [
    "Images",
    "KeyMap",
    "Weights",
    "find_key_map",
    "guessed_key_map",
    "load_key_map",
    "read_weights",
    "write_weights",
]
