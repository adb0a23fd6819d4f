"""What the units of a trained network do: `record`, `attribute` and `preferred`."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from cortexgraph.cli import options
from cortexgraph.errors import DataError
from cortexgraph.files import unwritable
from cortexgraph.wording import PLOT_FORMATS, count_of

if TYPE_CHECKING:
    from cortexgraph.probing import Attribution
    from cortexgraph.recording import Recording
    from cortexgraph.recording.responses import Responses

MOST_BYTES = 500e6
"""Of a recording of all areas: a larger one needs `--areas` or `--yes`."""


def record(
    run: options.RunArgument,
    out: Annotated[
        Path,
        options.option("-o --out", "FILE", "File to write: .nc (NetCDF) or .npz; of a protocol also .csv or .json."),
    ],
    areas: Annotated[str | None, options.option("--areas", "V4,IT", "Which areas.", "all")] = None,
    at: Annotated[str, options.choice("--at", "all|last|STEPS", "Steps to record, such as 4,6,8.")] = "all",
    steps: options.StepsOption = None,
    total_steps: options.TotalStepsOption = None,
    data: Annotated[
        str | None,
        options.option(
            "--data", options.DATA, "Images to show; any folder of images, of any classes.", "those of the run"
        ),
    ] = None,
    split: options.SplitOption = "test",
    images: options.ImagesOption = None,
    yes: Annotated[bool, options.option("-y --yes", None, "Record all areas, however large the file is.")] = False,
    protocol: Annotated[
        str | None,
        options.option("--protocol", "FILE|NAME", "What to show when; --out may then be a table: .csv or .json."),
    ] = None,
    plots: Annotated[
        str | None,
        options.choice(
            "--plots", "|".join(PLOT_FORMATS), "Also draw activity, dissimilarity and accuracy over time.", "none"
        ),
    ] = None,
    order: options.OrderOption = None,
    device: options.DeviceOption = "auto",
    batch_size: options.BatchSizeOption = 100,
    download: options.DownloadOption = False,
    data_root: options.DataRootOption = None,
    spec: options.WeightsSpecOption = None,
    key_map: options.MapOption = None,
    intervene: options.InterveneOption = None,
) -> None:
    """Record the states of areas over time, for every image, with the logits of each step.

    The file is streamed to disk: its size is limited by the disk, not by memory. The size is printed first; if all
    areas take more than 500 MB, choose some with --areas, or add --yes. The weights are those that the run keeps.
    docs/inspection.md shows how to read the file with xarray or NumPy.

    With --protocol every image is shown under each condition of a file (docs/protocols.md), or of one that ships:
    adaptation, contrast, flash_duration, gaussian_noise, masking, occlusion or salt_and_pepper.

    Example: cortexgraph record runs/ventral-shapes --areas V4,IT --images 500 -o acts.nc --plots png

    Example: cortexgraph record ventral-cifar10 --data shapes --protocol masking -o masking.csv --plots png

    Example: cortexgraph record ventral-cifar10 --data shapes --intervene changes.yaml -o changed.nc
    """
    options.prepare("train", *(["record"] if out.suffix == ".nc" or protocol is not None else []))
    from cortexgraph.data import load_stimuli
    from cortexgraph.protocol import load_protocol
    from cortexgraph.recording import record as record_run
    from cortexgraph.training import load_run

    updates = options.read_order(order)
    script = None if protocol is None else load_protocol(protocol)
    trained = replace(load_run(run, spec=spec, key_map=key_map), interventions=intervene)
    arguments = trained.data_arguments(options.located(data), data_root)
    stimuli = load_stimuli(**{**arguments, "split": split, "download": download}).chosen(images)
    result = record_run(
        trained,
        stimuli,
        out,
        areas=options.read_names(areas),
        steps=options.read_steps(at),
        total_steps=steps,
        order=updates,
        device=device,
        batch_size=batch_size,
        plots=plots,
        most_bytes=inf if yes else MOST_BYTES,
        tell=lambda line: typer.echo(line, err=True),
        protocol=script,
    )
    _report(result)


def _report(result: Recording) -> None:
    from cortexgraph.cli.tables import print_table
    from cortexgraph.wording import by, step_ranges

    rows = []
    for area in result.areas:
        channels, height, width = area.shape
        silent = f" (silent: {step_ranges(area.silent)})" if area.silent else ""
        numbers = (str(channels), by((height, width)), f"{step_ranges(area.steps)}{silent}")
        rows.append((area.area, area.identifier, *numbers))
    title = f"{count_of(result.images, 'image')} in {result.path}"
    print_table(title, ["area", "group", "channels>r", "size>r", "steps"], rows)
    if result.responses is not None:
        _report_responses(result.responses)
    if result.accuracy is not None:
        pairs = zip(result.readout_steps, result.accuracy, strict=True)
        marked = [f"step {step}{'†' * (step in result.untrained_steps)} {share:.1%}" for step, share in pairs]
        typer.echo(f"Accuracy: {', '.join(marked if len(marked) <= 12 else [*marked[:6], '…', *marked[-5:]])}")
        if result.untrained_steps:
            typer.echo("† uses parameters that training did not reach")
    typer.echo(f"wrote {result.path} ({result.path.stat().st_size / 1e6:,.1f} MB)")
    for path in (*([result.table] if result.table not in {None, result.path} else []), *result.plots):
        typer.echo(f"wrote {path}")


def _report_responses(responses: Responses) -> None:
    """A row for each condition: its accuracy, and the measure of the protocol (or the latency) of each area."""
    from cortexgraph.cli.tables import print_table

    figure = responses.protocol.timeline.figure
    measure = "latency" if figure.y == "accuracy" else figure.y
    means = {
        tuple(row[name] for name in (*responses.axes, "area")): row["mean"]
        for row in responses.rows
        if row["measure"] == measure
    }
    rows = []
    for index, condition in enumerate(responses.protocol.conditions):
        step, share = responses.read[index] if responses.read else ("", None)
        keys = [(*condition.values.values(), area.area) for area in responses.areas]
        numbers = [f"{means[key]:.2f}" if key in means else "" for key in keys]
        rows.append(
            (*map(str, condition.values.values()), "" if share is None else f"{share:.1%}", str(step), *numbers)
        )
    columns = [*(f"{name}>r" for name in responses.axes), "accuracy>r", "at step>r"]
    columns += [f"{area.area} {measure}>r" for area in responses.areas]
    print_table(responses.protocol.timeline.name, columns, rows)
    for others, curve in responses.curves.items() if figure.y == "accuracy" else ():
        where = f" ({', '.join(map(str, others))})" if others else ""
        name = next(iter(responses.axes))
        found = "outside of these values, or undefined" if curve is None else f"{name} = {curve.threshold:.3g}"
        typer.echo(f"Psychometric threshold{where}: {found}")


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
