"""`brain`: a trained network against recordings from the brain."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cortexgraph.cli import options
from cortexgraph.errors import DataError
from cortexgraph.files import unwritable

if TYPE_CHECKING:
    from cortexgraph.brain import BrainComparison


def brain(
    run: options.RunArgument,
    data: Annotated[Path, options.option("--data", "FILE", "Recording: .nc (NetCDF), .npz or .csv.")],
    stimuli: Annotated[Path, options.option("--stimuli", "DIR", "Images that were shown, named by stimulus_id.")],
    out: Annotated[
        Path | None, options.option("-o --out", "DIR", "Folder for the tables (CSV) and figures.", "only print")
    ] = None,
    areas: Annotated[str | None, options.option("--areas", "V4,IT", "Which areas.", "all")] = None,
    at: Annotated[str, options.choice("--at", "all|last|STEPS", "Steps to compare, such as 4,6,8.")] = "all",
    steps: options.StepsOption = None,
    order: options.OrderOption = None,
    folds: Annotated[int, options.option("--folds", "N", "Parts of the stimuli for cross-validation.", min=2)] = 5,
    seed: Annotated[int, options.option("--seed", "N", "Of folds and of halves of repetitions.", min=0)] = 0,
    plots: Annotated[str, options.choice("--plots", "png|svg|pdf", "Format of the figures.")] = "png",
    device: options.DeviceOption = "auto",
    batch_size: options.BatchSizeOption = 100,
    spec: options.WeightsSpecOption = None,
    key_map: options.MapOption = None,
) -> None:
    """Compare every area and step of a trained network with recordings from the brain.

    For each region of the recording it gives representational similarity (RSA), linear CKA and cross-validated ridge
    encoding, each with its noise ceiling where there are repetitions, and the area and step that the region is
    committed to. Data with time bins also give the matrix of model steps and time bins. docs/brain.md describes the
    files and the measures.

    Example: cortexgraph brain runs/ventral-shapes --data neural.nc --stimuli my_stimuli --out comparison
    """
    options.prepare("train", "brain")
    if findings := unwritable(out, folder=True):
        raise DataError(findings)
    from cortexgraph.brain import compare_with_brain
    from cortexgraph.training import load_run

    result = compare_with_brain(
        load_run(run, spec=spec, key_map=key_map),
        data,
        stimuli,
        areas=options.read_names(areas),
        steps=options.read_steps(at),
        total_steps=steps,
        order=options.read_order(order),
        folds=folds,
        seed=seed,
        device=device,
        batch_size=batch_size,
        tell=lambda line: typer.echo(line, err=True),
    )
    _report(result)
    for path in () if out is None else result.save(out, plots):
        typer.echo(f"wrote {path}")


def _report(result: BrainComparison) -> None:
    """For each region and area its best step by each measure; then what each region is committed to."""
    from cortexgraph.cli.tables import print_table

    measures = {"rsa": "RSA", "cka": "CKA", "encoding": "encoding"}
    best = {name: result.best(name, ["region", "area"]).set_index(["region", "area"]) for name in measures}
    rows = []
    for region in result.scores.region.unique():
        for area in result.scores.area.unique():
            own = [best[name].loc[region, area] if (region, area) in best[name].index else None for name in measures]
            cells = ["–" if each is None else f"{each.score:.3f} @{each.step}" for each in own]
            rows.append((str(region), str(area), *cells))
        ceilings = (result.whole(name).set_index("region").loc[[region]].iloc[0] for name in measures)
        texts = (_range(each.ceiling_low, each.ceiling) for each in ceilings)
        rows.append((str(region), "noise ceiling", *texts))
    title = f"{result.name}: highest score of each area, and its step"
    print_table(title, ["region", "area", *(f"{name}>r" for name in measures.values())], rows)
    for row in result.commitment.itertuples():
        ceiling = f", {row.normalised:.0%} of the ceiling" if isfinite(row.normalised) else ""
        held_out = f"encoding of held-out stimuli {row.score:.3f}{ceiling}"
        typer.echo(f"{row.region} is committed to {row.area} at step {row.step}: {held_out}")


def _range(low: float, high: float) -> str:
    if not isfinite(high):
        return "–"
    return f"{high:.3f}" if low == high else f"{low:.3f}–{high:.3f}"
