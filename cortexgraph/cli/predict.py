"""`predict`: what a trained network sees in images, at each step of readout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cortexgraph.cli.evaluate import parse_order, parse_steps
from cortexgraph.cli.options import DeviceOption, OrderOption, StepsOption
from cortexgraph.cli.train import share_processor

if TYPE_CHECKING:
    from cortexgraph.training import Predictions

__all__ = ["predict"]


def predict(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Images of any format that PIL reads.")],
    weights: Annotated[
        str,
        typer.Option(
            "--weights", "-w", metavar="NAME|RUN", help="A trained network that ships, or the folder of a run."
        ),
    ] = "ventral-cifar10",
    top: Annotated[int, typer.Option("--top", metavar="N", min=1, help="Show so many classes.")] = 3,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="all|STEPS", help="Steps of readout, such as 4,6,8.", show_default="as trained"),
    ] = None,
    steps: StepsOption = None,
    order: OrderOption = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Also write all probabilities as CSV.")
    ] = None,
    device: DeviceOption = "auto",
) -> None:
    """Classify images with a trained network: class probabilities over the steps of readout.

    Example: cortexgraph predict cat.jpg dog.png
    """
    share_processor()
    from cortexgraph.training import predict as predict_images

    found = predict_images(images, weights, at=parse_steps(at), steps=steps, order=parse_order(order), device=device)
    _print(found, top)
    if csv is not None:
        _write(found, csv)


def _print(found: Predictions, top: int) -> None:
    from rich.console import Console

    from cortexgraph.cli.tables import make_table

    console = Console()
    for index, file in enumerate(found.files):
        columns = ["class", *(f"step {step}>r" for step in found.steps), ""]
        table = make_table(f"{file}: {found.best(index)}", columns)
        for label in found.probabilities[index, -1].argsort(descending=True)[:top].tolist():
            values = found.probabilities[index, :, label].tolist()
            table.add_row(found.classes[label], *(f"{value:.1%}" for value in values), "█" * round(20 * values[-1]))
        console.print(table)
    console.print(f"{found.name}, trained on {found.data}.", highlight=False, markup=False)


def _write(found: Predictions, path: Path) -> None:
    from cortexgraph.files import write_text
    from cortexgraph.training.history import csv_text

    rows: list[dict[str, Any]] = [
        {"file": str(file), "step": step} | dict(zip(found.classes, values, strict=True))
        for file, by_step in zip(found.files, found.probabilities.tolist(), strict=True)
        for step, values in zip(found.steps, by_step, strict=True)
    ]
    write_text(path, csv_text(rows))
    typer.echo(f"wrote {path}")
