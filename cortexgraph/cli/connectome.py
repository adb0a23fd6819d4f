"""`import connectome`: measured connectivity as a spec; and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(help="Make specs from other sources.", no_args_is_help=True, rich_markup_mode="rich")


@app.callback()
def _import() -> None:
    pass


@app.command("connectome")
def connectome(
    table: Annotated[
        Path, typer.Argument(metavar="CSV", help="Columns source, target, weight (or FLN); SLN, distance in mm.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="SPEC", help="Spec file to write: .yaml or .json.")],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Of the network.", show_default="that of the file")
    ] = None,
    min_weight: Annotated[
        float, typer.Option("--min-weight", metavar="X", min=0, help="Leave weaker, and unknown, weights out.")
    ] = 0.0,
    velocity: Annotated[
        float, typer.Option("--velocity", metavar="M/S", min=1e-3, help="Conduction velocity (Girard et al. 2001).")
    ] = 3.5,
    dt: Annotated[float, typer.Option("--dt", metavar="MS", min=1e-3, help="Duration of a step.")] = 5.0,
    reciprocal: Annotated[
        bool,
        typer.Option(
            "--reciprocal/--no-reciprocal", help="Assume inputs of areas that were no target; or leave these out."
        ),
    ] = True,
    lateral: Annotated[bool, typer.Option("--lateral", help="Connect each area to itself as well.")] = False,
    channels: Annotated[int, typer.Option("--channels", metavar="N", min=1, help="Of the lowest areas.")] = 8,
    size: Annotated[int, typer.Option("--size", metavar="PX", min=1, help="Of the image and the lowest areas.")] = 32,
    stages: Annotated[
        int,
        typer.Option("--stages", metavar="N", min=1, max=12, help="Parts of the hierarchy; in each the size halves."),
    ] = 4,
    classes: Annotated[int, typer.Option("--classes", metavar="N", min=1, help="Of the readout.")] = 10,
    input_area: Annotated[
        str | None, typer.Option("--input", metavar="AREA", help="That the image drives.", show_default="the lowest")
    ] = None,
    readout_area: Annotated[
        str | None, typer.Option("--readout", metavar="AREA", help="That is read.", show_default="the highest")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", metavar="T", min=1, help="Steps.", show_default="3 after the readout's first response"),
    ] = None,
) -> None:
    """Make a spec from a table of measured projections: levels from SLN, delays from distances.

    Example: cortexgraph import connectome macaque.csv --out macaque.yaml
    """
    from cortexgraph.connectome import Rules, connectome_spec, read_connectome
    from cortexgraph.spec import save

    rules = Rules(
        name=name or out.stem,
        min_weight=min_weight,
        velocity_m_per_s=velocity,
        dt_ms=dt,
        reciprocal=reciprocal,
        lateral=lateral,
        channels=channels,
        size=size,
        stages=stages,
        classes=classes,
        input_area=input_area,
        readout_area=readout_area,
        steps=steps,
    )
    spec, warnings = connectome_spec(read_connectome(table), rules)
    save(spec, out)
    for warning in warnings:
        typer.echo(str(replace(warning, file=str(table)) if warning.line else warning), err=True)
    measured = sum(connection.strength is not None for connection in spec.connections)
    typer.echo(
        f"wrote {out}: {len(spec.areas)} areas, {len(spec.connections)} connections ({measured} with a measured "
        f"strength), {spec.time.steps} steps of {dt:g} ms; next: cortexgraph check {out}"
    )
