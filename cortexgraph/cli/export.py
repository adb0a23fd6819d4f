"""`export`: a trained network as a file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cortexgraph.cli.evaluate import parse_order
from cortexgraph.cli.options import OrderOption, StepsOption
from cortexgraph.cli.train import share_processor

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, as `cortexgraph train` left it.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="File to write; an existing one is replaced.")
    ],
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="onnx|pt2|source", help="Format.", show_default="by the suffix: .onnx, .pt2, .py"),
    ] = None,
    steps: StepsOption = None,
    order: OrderOption = None,
) -> None:
    """Export a run, for batches of any size: as onnx, pt2 (torch.export), or source (.py and .pt, for torch alone).

    The file is compared with the network before it gets its name. The weights are those of the run's best epoch.

    Example: cortexgraph export runs/ventral-shapes --to onnx --out ventral.onnx
    """
    share_processor()
    from cortexgraph.exporting import export as export_run

    wanted: Any = to  # `export_run` says which there are
    result = export_run(run, out, wanted, steps=steps, order=parse_order(order))
    typer.echo(f"wrote {' and '.join(map(str, result.files))}")
    batches = ", ".join(map(str, result.batches))
    typer.echo(f"largest difference to the network: {result.difference:.1e} (batches of {batches} images)")
    typer.echo(result.note)
