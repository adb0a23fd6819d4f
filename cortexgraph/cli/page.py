"""`page`: one HTML file that shows a spec or a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cortexgraph.cli.options import OrderOption, SetOption, StepsOption, changes

__all__ = ["page"]


def page(
    subject: Annotated[
        str, typer.Argument(metavar="SPEC|RUN", help="A spec file, the name of a zoo spec, or the folder of a run.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Page to write: .html.", show_default="<name>.html"),
    ] = None,
    overrides: SetOption = None,
    steps: StepsOption = None,
    order: OrderOption = None,
) -> None:
    """Write a page to explore a network in the browser: one file, which works offline.

    Both graphs to click through («what drives V2 at step 3, and does anything of it reach the readout?»), a slider
    over steps, numbers, and the source with links from each update to its lines; of a run the training curves too.

    Example: cortexgraph page runs/ventral-shapes -o ventral.html
    """
    from cortexgraph.pages import page as make_page
    from cortexgraph.pages.html import check_path

    path = out or Path(f"{_stem(subject)}.html")
    check_path(path)
    make_page(subject, path, overrides=changes(overrides, steps, order))
    typer.echo(f"wrote {path} ({path.stat().st_size / 1000:,.0f} kB)")


def _stem(subject: str) -> str:
    """The name of a run's folder, or of a spec without its suffix."""
    path = Path(subject)
    return path.resolve().name if path.is_dir() else path.name.removesuffix(path.suffix)
