"""One self-contained HTML page of a network: both graphs to click through, numbers, source, training curves."""

from cortexgraph.pages.html import page

__all__ = ["page"]
