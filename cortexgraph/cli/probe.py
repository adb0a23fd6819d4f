"""`attribute` and `preferred`: what in an image drives a readout over time, and what drives a unit most."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from cortexgraph.cli import options
from cortexgraph.errors import DataError
from cortexgraph.files import unwritable

if TYPE_CHECKING:
    from cortexgraph.probing import Attribution

StepOption = Annotated[int | None, options.option("--step", "STEP", "At the end of which step.", "the last", min=1)]


def attribute(
    run: options.RunArgument,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Images of any format that PIL reads.")],
    target: Annotated[
        str | None,
        options.option("--class", "NAME", "Class whose logit is attributed.", "the class seen in each image"),
    ] = None,
    step: StepOption = None,
    areas: Annotated[str | None, options.option("--areas", "V4,IT", "Which areas.", "all")] = None,
    points: Annotated[int, options.option("--points", "N", "Points of the numerical integration.", min=1)] = 64,
    out: Annotated[
        Path | None, options.option("-o --out", "DIR", "Folder for pictures, the table as CSV, and all units as npz.")
    ] = None,
    device: options.DeviceOption = "auto",
    spec: options.WeightsSpecOption = None,
    key_map: options.MapOption = None,
) -> None:
    """Attribute a logit at one step to the image at each step, and to each area at each step.

    The numbers are sums of integrated gradients from the mean colour to the image (frames), and of the conductance of
    the units of an area at the end of a step. docs/attribution.md gives the equations.

    Example: cortexgraph attribute ventral-cifar10 examples/airplane.png --class airplane --step 6 --out why
    """
    options.prepare("train", "attribution")
    if findings := unwritable(out, folder=True):
        raise DataError(findings)
    from cortexgraph.probing import attribute as attribute_readout
    from cortexgraph.training import load_run
    from cortexgraph.training.engine import choose_device
    from cortexgraph.training.predictions import read_images

    trained = load_run(run, spec=spec, key_map=key_map)
    result = attribute_readout(
        trained.network.to(choose_device(device)),
        trained.prepare(read_images(images, trained)),
        target,
        step,
        areas=options.read_names(areas),
        points=points,
        classes=trained.classes,
    )
    _print_attribution(result, images, trained.classes)
    for path in result.save(out) if out is not None else ():
        typer.echo(f"wrote {path}")


def _print_attribution(result: Attribution, files: list[Path], classes: tuple[str, ...]) -> None:
    from cortexgraph.cli.tables import print_table

    sums = result.sums()
    columns = ["area", *(f"step {step}>r" for step in range(1, result.step + 1))]
    for n, file in enumerate(files):
        rows = [
            (area, *(f"{float(by_step[step][n]):.3f}" if step in by_step else "–" for step in sums["image"]))
            for area, by_step in reversed(sums.items())
        ]
        name = classes[int(result.targets[n])]
        print_table(f"{file}: attribution of {name} at step {result.step}", columns, rows)
        total, gap = float(result.difference[n]), float(result.gap[n])
        typer.echo(f"The logit is {total:.3f} above that of the baseline; the image's row sums to {total - gap:.3f}.")


def preferred(
    run: options.RunArgument,
    area: Annotated[str, options.option("--area", "AREA", "Whose units.")],
    units: Annotated[str, options.choice("--units", "UNITS", "Channels, such as 0-8 or 3,7, counted from 0.")] = "0-8",
    step: StepOption = None,
    over: Annotated[
        str, options.choice("--over", "centre|all", "The unit in the middle, or the mean of its channel over space.")
    ] = "centre",
    video: Annotated[bool, options.option("--video", None, "Search for a video with a frame for each step.")] = False,
    iterations: Annotated[int, options.option("--iterations", "N", "Length of the search.", min=1)] = 256,
    seed: Annotated[int, options.option("--seed", "N", "Of the random starts.", min=0)] = 0,
    out: Annotated[Path, options.option("-o --out", "FILE", "Picture to write: .png, .svg or .pdf.")] = Path(
        "preferred.png"
    ),
    device: options.DeviceOption = "auto",
    spec: options.WeightsSpecOption = None,
    key_map: options.MapOption = None,
) -> None:
    """Search for the images that drive units of an area most at one step, and draw them.

    All images have the contrast of the training images.

    Example: cortexgraph preferred ventral-cifar10 --area V4 --units 0-8 --step 6 -o v4.png
    """
    options.prepare("train")
    from cortexgraph.cli.evaluate import check_files
    from cortexgraph.cli.tables import print_table
    from cortexgraph.probing import preferred_stimulus
    from cortexgraph.training import load_run
    from cortexgraph.training.engine import choose_device

    check_files(None, out)
    network = load_run(run, spec=spec, key_map=key_map).network.to(choose_device(device))
    place = cast("Literal['centre', 'all']", over)
    chosen = options.read_units(units)
    result = preferred_stimulus(network, area, chosen, step, over=place, video=video, iterations=iterations, seed=seed)
    rows = [(str(unit), f"{value:.3f}") for unit, value in zip(result.units, result.responses.tolist(), strict=True)]
    print_table(f"preferred stimuli of {area} at step {result.step}", ["unit>r", "response>r"], rows)
    result.draw(out)
    typer.echo(f"wrote {out}")
