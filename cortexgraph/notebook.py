"""How specs and graphs show themselves in notebooks: as their drawings.

The renderer is in a higher layer than its subjects, so it is named here by text and imported when one is shown.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

RENDERER = "cortexgraph.drawing"


class Shown:
    """Gives a class the display hooks of IPython. What cannot be drawn shows as text."""

    def _repr_svg_(self) -> str | None:
        picture: Any = import_module(RENDERER).picture_of(self)
        return None if picture is None else str(picture.svg())

    def _repr_html_(self) -> str | None:
        html: str | None = import_module(RENDERER).html_of(self)
        return html
