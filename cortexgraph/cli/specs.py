"""`new`, `schema` and `import connectome`: write a starter spec, the JSON Schema, a spec from measured projections."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cortexgraph.cli.options import StepsOption
from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.files import write_text

__all__ = ["OutOption", "import_connectome", "new", "schema", "write_or_print"]

OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="FILE", help="File to write; without it, or with `-`, print it.")
]


def new(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Spec file to write, such as my_network.yaml.")],
) -> None:
    """Write a commented starter spec.

    Example: cortexgraph new my_network.yaml
    """
    from cortexgraph.spec import starter

    if path.suffix not in {".yaml", ".yml"}:
        raise CompileError(
            Diagnostic("suffix", str(path), "the suffix is not .yaml", repair=f"Write {path.stem or 'mine'}.yaml.")
        )
    if os.path.lexists(path):
        raise CompileError(
            Diagnostic("exists", str(path), "the file exists", repair="Choose another name, or remove it first.")
        )
    write_text(path, starter(path.stem))
    typer.echo(f"wrote {path}; next: cortexgraph check {path}")


def schema(out: OutOption = None) -> None:
    """Print the JSON Schema of specs, with which editors complete and validate them.

    Example: cortexgraph schema --out spec.schema.json
    """
    from cortexgraph.ops.schema import json_schema

    write_or_print(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", out)


def write_or_print(text: str, out: Path | None) -> None:
    """Write a text to a file, or print it where there is none."""
    if out is None or str(out) == "-":
        typer.echo(text, nl=False)
    else:
        write_text(out, text)
        typer.echo(f"wrote {out}")


def import_connectome(
    table: Annotated[
        Path, typer.Argument(metavar="CSV", help="Columns source, target, weight (or FLN); SLN, distance in mm.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="SPEC", help="Spec file to write: .yaml or .json.")],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name of the network.", show_default="that of the file")
    ] = None,
    min_weight: Annotated[
        float,
        typer.Option("--min-weight", metavar="X", min=0, help="Omit weaker connections, and those without weight."),
    ] = 0.0,
    velocity: Annotated[
        float, typer.Option("--velocity", metavar="M/S", min=1e-3, help="Conduction velocity (Girard et al. 2001).")
    ] = 3.5,
    dt: Annotated[float, typer.Option("--dt", metavar="MS", min=1e-3, help="Duration of a step.")] = 5.0,
    reciprocal: Annotated[
        bool,
        typer.Option(
            "--reciprocal/--no-reciprocal",
            help="Assume inputs for areas that were never a target, or omit these areas.",
        ),
    ] = True,
    lateral: Annotated[bool, typer.Option("--lateral", help="Also connect each area to itself.")] = False,
    channels: Annotated[int, typer.Option("--channels", metavar="N", min=1, help="Channels of the lowest areas.")] = 8,
    size: Annotated[
        int, typer.Option("--size", metavar="PX", min=1, help="Size of the image and of the lowest areas.")
    ] = 32,
    stages: Annotated[
        int, typer.Option("--stages", metavar="N", min=1, max=12, help="Stages of the hierarchy; each halves the size.")
    ] = 4,
    classes: Annotated[int, typer.Option("--classes", metavar="N", min=1, help="Classes of the readout.")] = 10,
    input_area: Annotated[
        str | None,
        typer.Option("--input", metavar="AREA", help="Area that the image drives.", show_default="the lowest"),
    ] = None,
    readout_area: Annotated[
        str | None, typer.Option("--readout", metavar="AREA", help="Area to read out.", show_default="the highest")
    ] = None,
    steps: StepsOption = None,
) -> None:
    """Make a spec from a table of measured projections: levels from SLN, delays from distances.

    Without --steps the network runs for 3 steps after the onset of the readout area.

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
