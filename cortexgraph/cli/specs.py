"""`new`, `schema` and `import connectome`: write a starter spec, the JSON Schema, a spec from measured projections."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from cortexgraph.cli import options
from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.files import write_text
from cortexgraph.wording import count_of

OutOption = Annotated[
    Path | None, options.option("-o --out", "FILE", "File to write; without it, or with `-`, print it.")
]


def new(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Spec file to write, such as my_network.yaml.")],
) -> None:
    """Write a commented starter spec.

    Example: cortexgraph new my_network.yaml
    """
    from cortexgraph.spec import starter

    check_suffix(path, ".yaml", ".yml")
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
    from cortexgraph.ops.registry import json_schema

    write_or_print(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", out, ".json")


def check_suffix(path: Path, *suffixes: str) -> None:
    """Refuse a file name with another suffix than those of what is written, the first of which is proposed."""
    if path.suffix not in suffixes:
        found, repair = f"the suffix is {path.suffix!r}", f"Write {path.stem or 'out'}{suffixes[0]}."
        raise CompileError(Diagnostic("suffix", str(path), found, f"{suffixes[0]} is written", repair))


def write_or_print(text: str, out: Path | None, suffix: str) -> None:
    """Write a text to a file of this suffix, so that no spec is overwritten, or without a file print it."""
    if out is None or str(out) == "-":
        typer.echo(text, nl=False)
    else:
        if out.is_file() or not out.exists():
            check_suffix(out, suffix)
        write_text(out, text)
        typer.echo(f"wrote {out}")


def import_connectome(
    table: Annotated[
        Path, typer.Argument(metavar="CSV", help="Columns source, target, weight (or FLN); SLN, distance in mm.")
    ],
    out: Annotated[Path, options.option("-o --out", "SPEC", "Spec file to write: .yaml or .json.")],
    name: Annotated[str | None, options.option("--name", "NAME", "Name of the network.", "that of the file")] = None,
    min_weight: Annotated[
        float, options.option("--min-weight", "X", "Omit weaker connections, and those without weight.", min=0)
    ] = 0.0,
    velocity: Annotated[
        float, options.option("--velocity", "M/S", "Conduction velocity (Girard et al. 2001).", min=0.001)
    ] = 3.5,
    dt: Annotated[float, options.option("--dt", "MS", "Duration of a step.", min=0.001)] = 5.0,
    reciprocal: Annotated[
        bool,
        options.option(
            "--reciprocal/--no-reciprocal",
            None,
            "Assume inputs for areas that were never a target, or omit these areas.",
        ),
    ] = True,
    lateral: Annotated[bool, options.option("--lateral", None, "Also connect each area to itself.")] = False,
    channels: Annotated[int, options.option("--channels", "N", "Channels of the lowest areas.", min=1)] = 8,
    size: Annotated[int, options.option("--size", "PX", "Size of the image and of the lowest areas.", min=1)] = 32,
    stages: Annotated[
        int, options.option("--stages", "N", "Stages of the hierarchy; each halves the size.", min=1, max=12)
    ] = 4,
    classes: Annotated[int, options.option("--classes", "N", "Classes of the readout.", min=1)] = 10,
    input_area: Annotated[
        str | None, options.option("--input", "AREA", "Area that the image drives.", "the lowest")
    ] = None,
    readout_area: Annotated[str | None, options.option("--readout", "AREA", "Area to read out.", "the highest")] = None,
    steps: options.StepsOption = None,
) -> None:
    """Make a spec from a table of measured projections: levels from SLN, delays from distances.

    Without --steps, T is the smallest at which the readout depends on every area and connection, at most 12 steps after
    its onset.

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
        f"wrote {out}: {options.parts_text(spec)} of {dt:g} ms ({count_of(measured, 'connection')} with a measured "
        f"strength); next: cortexgraph check {out}"
    )
