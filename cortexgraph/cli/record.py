"""`record`: the states of a trained network's areas over time, as a file for analysis."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cortexgraph.cli.evaluate import parse_order
from cortexgraph.cli.options import DeviceOption, OrderOption, SplitOption, check_split
from cortexgraph.cli.train import DataRootOption, DownloadOption, share_processor

if TYPE_CHECKING:
    from cortexgraph.recording import Recording

__all__ = ["record"]


def record(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, as `cortexgraph train` left it.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="File to write: .nc (NetCDF) or .npz.")],
    areas: Annotated[
        str | None, typer.Option("--areas", metavar="V4,IT", help="Which areas.", show_default="all")
    ] = None,
    steps: Annotated[
        str, typer.Option("--steps", metavar="all|last|STEPS", help="Which steps, such as 4,6,8.")
    ] = "all",
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="shapes|cifar10|DIR",
            help="What to show; any folder of images, of any classes.",
            show_default="images of the run",
        ),
    ] = None,
    split: SplitOption = "test",
    images: Annotated[
        int | None,
        typer.Option("--images", metavar="N", min=1, help="Only so many, evenly over classes.", show_default="all"),
    ] = None,
    plots: Annotated[
        str | None,
        typer.Option("--plots", metavar="png|svg|pdf", help="Also draw activity, dissimilarity, accuracy over time."),
    ] = None,
    total_steps: Annotated[
        int | None,
        typer.Option("--total-steps", metavar="T", help="Steps of the unrolling.", show_default="as trained"),
    ] = None,
    order: OrderOption = None,
    device: DeviceOption = "auto",
    batch_size: Annotated[int, typer.Option("--batch-size", metavar="N", min=1, help="Images at a time.")] = 100,
    download: DownloadOption = False,
    data_root: DataRootOption = None,
) -> None:
    """Record the states of areas over time, for every image, with the logits of each step.

    The file is streamed to disk, so that its size is bounded by the disk and not by memory. The weights are those
    of the run's best epoch. docs/inspection.md shows how to read it with xarray or NumPy.

    Example: cortexgraph record runs/ventral-shapes --areas V4,IT --images 500 -o acts.nc --plots png
    """
    share_processor()
    from cortexgraph.data import load_stimuli
    from cortexgraph.recording import record as record_run
    from cortexgraph.recording.plots import check_format
    from cortexgraph.training import load_run

    check_split(split)
    wanted = _steps(steps)
    groups = parse_order(order)
    check_format(plots)
    opened = load_run(run)
    arguments = opened.data_arguments(data, data_root)
    stimuli = load_stimuli(**{**arguments, "split": split, "download": download}).chosen(images)
    result = record_run(
        opened,
        stimuli,
        out,
        areas=None if areas is None else [name.strip() for name in areas.split(",") if name.strip()],
        steps=wanted,
        total_steps=total_steps,
        order=groups,
        device=device,
        batch_size=batch_size,
        plots=plots,
    )
    _report(result)


def _steps(text: str) -> Any:
    if text in {"all", "last"}:
        return text
    try:
        return tuple(int(step) for step in text.split(","))
    except ValueError:
        raise typer.BadParameter("all, last, or steps with commas such as 4,6,8", param_hint="--steps") from None


def _report(result: Recording) -> None:
    from rich.console import Console
    from rich.markup import escape

    from cortexgraph.cli.tables import make_table
    from cortexgraph.wording import by, step_ranges

    table = make_table(
        f"{result.images:,} images in {escape(str(result.path))}", ["area", "group", "channels>r", "size>r", "steps"]
    )
    for each in result.areas:
        channels, *size = each.shape
        steps = step_ranges(each.steps)
        absent = f" (silent: {step_ranges(each.silent)})" if each.silent else ""
        table.add_row(escape(each.area), each.identifier, str(channels), by((size[0], size[1])), f"{steps}{absent}")
    console = Console()
    console.print(table)
    if result.accuracy is not None:
        pairs = zip(result.readout_steps, result.accuracy, strict=True)
        marked = [f"step {s}{'†' * (s in result.untrained_steps)} {share:.1%}" for s, share in pairs]
        shown = marked if len(marked) <= 12 else [*marked[:6], "…", *marked[-5:]]
        console.print(f"Accuracy: {', '.join(shown)}", markup=False, highlight=False)
        if result.untrained_steps:
            console.print("† uses parameters that training did not reach", markup=False, highlight=False)
    size_bytes = result.path.stat().st_size
    console.print(f"wrote {result.path} ({size_bytes / 1e6:,.1f} MB)", markup=False, highlight=False, soft_wrap=True)
    for path in result.plots:
        console.print(f"wrote {path}", markup=False, highlight=False, soft_wrap=True)
