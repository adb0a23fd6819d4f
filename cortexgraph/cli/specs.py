"""`new`, `schema` and `import`: a starter spec, the JSON Schema, and files made of measurements and other projects."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, cast

import typer

from cortexgraph.cli import options
from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.files import replacing, write_text
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


# ---- checkpoints and configurations of other projects -------------------------------


def import_weights(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help=".pth, .pt, .safetensors, or Keras' .h5.")],
    spec: Annotated[str, options.option("--spec", "SPEC", "The network: a spec file, or the name of a zoo spec.")],
    out: Annotated[
        Path | None, options.option("-o --out", "FILE", "Weights to write (.safetensors); with --guess a key map.")
    ] = None,
    key_map: options.MapOption = None,
    guess: Annotated[
        bool, options.option("--guess", None, "Propose a key map instead, from graph and shapes.")
    ] = False,
    overrides: options.SetOption = None,
) -> None:
    """Read the checkpoint of a released model for a spec, and write it as a file that `predict`, `eval`, … take.

    A key map says which tensor is which parameter, and how images are prepared. No code in the checkpoint is run.

    Example: cortexgraph import weights cornet_s-1d3f7974.pth --spec cornet_s_imagenet -o cornet_s.safetensors
    """
    options.prepare("train")
    from cortexgraph.released import find_key_map, guessed_key_map, read_weights, write_weights

    network = options.load_spec(spec, overrides)
    if guess:
        text, doubts = guessed_key_map(checkpoint, network)
        typer.echo("\n".join(f"uncertain: {doubt}" for doubt in doubts), err=True)
        write_or_print(text, out, ".yaml")
        return
    target = out or Path(f"{checkpoint.stem}.safetensors")
    weights = read_weights(checkpoint, network, key_map or find_key_map(spec))
    write_weights(weights, target)
    images = weights.images
    mean, std = (", ".join(f"{value:g}" for value in values) for values in (images.mean, images.std))
    counted = f"{count_of(len(weights.state), 'tensor')} of {network.name}"
    typer.echo(f"wrote {target}: {counted}, images scaled by mean {mean}, std {std}")
    if weights.unused:
        count = count_of(len(weights.unused), "tensor")
        typer.echo(f"not used: {count} of the checkpoint: {', '.join(weights.unused)}")


def import_tnn(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Configuration of PyTorchTNN, a JSON file.")],
    out: Annotated[Path, options.option("-o --out", "SPEC", "Spec file to write, .yaml; the key map goes beside it.")],
    name: Annotated[str | None, options.option("--name", "NAME", "Name of the network.", "that of the file")] = None,
    unroll: Annotated[
        str, options.choice("--unroll", "simultaneous|sequential", "As `forward` or `full_unroll` of PyTorchTNN.")
    ] = "simultaneous",
    steps: options.StepsOption = None,
) -> None:
    """Turn a configuration of PyTorchTNN into a spec and the key map of its state dicts.

    Example: cortexgraph import tnn rgc_shallow.json -o rgc_shallow.yaml
    """
    from cortexgraph.compiler import check
    from cortexgraph.released.keymap import SUFFIX
    from cortexgraph.released.tnn import Unroll
    from cortexgraph.released.tnn import import_tnn as spec_of
    from cortexgraph.spec import dumps

    check_suffix(out, ".yaml", ".yml")
    spec, keys = spec_of(config, name or out.stem, steps=steps, unroll=cast("Unroll", unroll))
    if errors := [finding for finding in check(spec) if finding.severity == "error"]:
        raise CompileError(errors)
    beside = out.with_name(out.stem + SUFFIX)
    with replacing(beside) as key_map, replacing(out) as network:  # both or neither
        key_map.write_text(keys, encoding="utf-8")
        network.write_text(dumps(spec), encoding="utf-8")
    typer.echo(f"wrote {out} ({options.parts_text(spec)}) and {beside}; next: cortexgraph check {out}")
