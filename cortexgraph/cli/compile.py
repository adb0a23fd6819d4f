"""`compile` and `export`: a spec as Python source, a trained network as a file for other programs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from cortexgraph.cli import options
from cortexgraph.cli.specs import OutOption, write_or_print
from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.wording import shortened

if TYPE_CHECKING:
    from cortexgraph.codegen import MemoryFormat
    from cortexgraph.exporting import Format
    from cortexgraph.program import Roll


def compile_spec(
    spec: options.SpecArgument,
    out: OutOption = None,
    record: Annotated[
        list[str] | None,
        options.option("--record", "AREA[=STEPS]", "Also return an area's states, e.g. V4 or IT=3,8. Repeatable."),
    ] = None,
    no_pass: Annotated[list[str] | None, options.option("--no-pass", "PASS", "Switch a pass off. Repeatable.")] = None,
    memory_format: Annotated[
        str, options.choice("--memory-format", "channels_last|contiguous", "Layout of kernels and states in memory.")
    ] = "contiguous",
    roll: Annotated[
        str,
        options.choice(
            "--roll",
            "auto|always|never",
            "Write a steady state that repeats three times as a loop, or never one; always means auto.",
        ),
    ] = "auto",
    explained: Annotated[
        bool, options.option("--explain", None, "Print what each pass removes, instead of the source.")
    ] = False,
    checkpoint: Annotated[
        str | None,
        options.choice(
            "--checkpoint",
            "sqrt|N",
            "Recompute steps in the backward pass, in this many segments, to save memory.",
            "none",
        ),
    ] = None,
    overrides: options.SetOption = None,
    steps: options.StepsOption = None,
    order: options.OrderOption = None,
) -> None:
    """Compile a spec to a Python file that imports only torch.

    With --explain it prints what each pass removes and how many floating-point operations are left, and writes the file
    only with --out.

    Example: cortexgraph compile ventral --out ventral.py
    """
    from cortexgraph.codegen import read_checkpoint
    from cortexgraph.compiler import emit
    from cortexgraph.passes import PASSES

    if unknown := [name for name in no_pass or () if name not in PASSES]:
        raise CompileError(options.unknown_value("--no-pass", name, [*PASSES]) for name in unknown)
    passes = [name for name in PASSES if name not in (no_pass or ())]
    network = options.load_spec(spec, overrides, steps, order)
    recorded = _recorded(record or [])
    loops, layout = cast("Roll", roll), cast("MemoryFormat", memory_format)
    if explained:
        from cortexgraph.analysis import explain
        from cortexgraph.cli.tables import print_explanation

        print_explanation(network, explain(network, record=recorded, passes=passes, roll=loops))
    if out is not None or not explained:
        segments = None if checkpoint is None else read_checkpoint(checkpoint, batch=1)
        source = emit(network, record=recorded, passes=passes, roll=loops, memory_format=layout, checkpoint=segments)
        write_or_print(source, out, ".py")


def _recorded(requests: list[str]) -> dict[str, str | tuple[int, ...]]:
    """`["V4", "IT=3,8"]` as `{"V4": "all", "IT": (3, 8)}`."""
    recorded: dict[str, str | tuple[int, ...]] = {}
    for request in requests:
        area, _, steps = request.rpartition("=") if "=" in request else (request, "", "all")
        if (colon := re.fullmatch(r"(.*\S) *[:@] *(all|last|[0-9]+(?:,[0-9]+)*)", request)) and "=" not in request:
            problem, repair = f"`{shortened(request)}` was given", f"Write --record {colon[1]}={colon[2]}."
            expected = "steps stand behind `=`"
            raise CompileError(Diagnostic("bad-record", "--record", problem, expected, repair))
        recorded[area] = options.read_steps(steps, shortened(f"--record {request}"))
    return recorded


def export(
    run: options.RunArgument,
    out: Annotated[
        Path,
        options.option("-o --out", "FILE", "File to write; an existing one is replaced. brainscore: a new folder."),
    ],
    to: Annotated[
        str | None, options.choice("--to", "onnx|pt2|source|brainscore", "Format.", "by the suffix: .onnx, .pt2, .py")
    ] = None,
    steps: options.StepsOption = None,
    order: options.OrderOption = None,
    spec: options.WeightsSpecOption = None,
    key_map: options.MapOption = None,
) -> None:
    """Export a run for batches of any size: as onnx, pt2 (torch.export) or source (.py and .pt, which need only torch).

    brainscore writes the folder of a model plug-in of Brain-Score: see docs/brain.md.

    The file gets its name only after its outputs have been compared with those of the network. The weights are those
    that the run keeps.

    Example: cortexgraph export runs/ventral-shapes --to onnx --out ventral.onnx
    """
    options.prepare()
    from cortexgraph.exporting import export as export_run
    from cortexgraph.training import load_run

    trained = load_run(run, spec=spec, key_map=key_map)
    result = export_run(trained, out, cast("Format | None", to), steps=steps, order=options.read_order(order))
    typer.echo(f"wrote {' and '.join(map(str, result.files))}")
    batches = ", ".join(map(str, result.batches))
    typer.echo(f"largest difference to the network: {result.difference:.1e} (batches of {batches} images)")
    typer.echo(result.note)
