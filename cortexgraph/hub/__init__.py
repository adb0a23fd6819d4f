"""Trained networks on the Hugging Face hub: `push` and `from_pretrained`."""

from cortexgraph.hub.share import from_pretrained, push, write_shared

__all__ = ["from_pretrained", "push", "write_shared"]
