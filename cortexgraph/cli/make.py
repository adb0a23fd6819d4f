"""`compile`, `new` and `schema`: write a module, a starter spec, the schema."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from cortexgraph.cli.options import OrderOption, SetOption, SpecArgument, StepsOption, load_spec
from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.files import write_text
from cortexgraph.wording import quoted, suggest

__all__ = ["compile_spec", "new", "schema"]

OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="File to write; `-` or nothing prints it.")]


def compile_spec(
    spec: SpecArgument,
    out: OutOption = None,
    record: Annotated[
        list[str] | None,
        typer.Option(
            "--record", metavar="AREA[=STEPS]", help="Also return an area's states, e.g. V4 or IT=3,8. Repeatable."
        ),
    ] = None,
    no_pass: Annotated[
        list[str] | None, typer.Option("--no-pass", metavar="PASS", help="Switch a pass off. Repeatable.")
    ] = None,
    memory_format: Annotated[
        str,
        typer.Option(
            "--memory-format", metavar="channels_last|contiguous", help="Layout of kernels and states in memory."
        ),
    ] = "channels_last",
    roll: Annotated[
        str,
        typer.Option(
            "--roll", metavar="auto|always|never", help="Write the steady state as a loop; auto: beyond 256 updates."
        ),
    ] = "auto",
    explained: Annotated[
        bool, typer.Option("--explain", help="Print what each pass removes, instead of the source.")
    ] = False,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint", metavar="sqrt|N", help="Steps in segments that training computes again, to save memory."
        ),
    ] = None,
    overrides: SetOption = None,
    steps: StepsOption = None,
    order: OrderOption = None,
) -> None:
    """Compile a spec to a Python file that imports only torch.

    With --explain it prints a table of what each pass removes and of the floating-point operations left, and writes
    the file only with --out.

    Example: cortexgraph compile ventral --out ventral.py
    """
    from cortexgraph.codegen import MemoryFormat, read_checkpoint
    from cortexgraph.compiler import check_choice, emit
    from cortexgraph.passes import PASSES

    check_choice("memory_format", memory_format, get_args(MemoryFormat))
    network = load_spec(spec, overrides, steps, order)
    off = no_pass or []
    unknown = [name for name in off if name not in PASSES]
    if unknown:
        raise CompileError(
            [
                Diagnostic(
                    "unknown-pass",
                    f"--no-pass {name}",
                    f"no pass is called `{name}`",
                    f"the passes are {quoted([*PASSES])}",
                    suggest(name, PASSES, "Name one of them."),
                )
                for name in unknown
            ]
        )
    passes = [name for name in PASSES if name not in off]
    loops: Any = roll  # `emit` says which there are
    segments = read_checkpoint(checkpoint, batch=1) if checkpoint is not None else None
    recorded = _record(record or [])
    if explained:
        from cortexgraph.analysis import explain
        from cortexgraph.cli.tables import print_explanation

        print_explanation(network, explain(network, record=recorded, passes=passes, roll=loops))
    if out is not None or not explained:
        options: dict[str, Any] = {"roll": roll, "memory_format": memory_format, "checkpoint": segments}
        _write(emit(network, record=recorded, passes=passes, **options), out)


def _record(requests: list[str]) -> dict[str, str | list[int]]:
    """`["V4", "IT=3,8"]` as `{"V4": "all", "IT": [3, 8]}`."""
    record: dict[str, str | list[int]] = {}
    for request in requests:
        name, _, steps = request.rpartition("=") if "=" in request else (request, "", "all")
        if steps in {"all", "last"}:
            record[name] = steps
        elif all(step.strip().isdecimal() and len(step) < 10 for step in steps.split(",")):
            record[name] = [int(step) for step in steps.split(",")]
        else:
            raise CompileError(
                Diagnostic(
                    "bad-record",
                    f"--record {request}",
                    f"`{steps}` was given",
                    "steps are `all`, `last`, or numbers with commas",
                    "Write for example --record IT=3,8.",
                )
            )
    return record


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
    """Print the JSON Schema of specs, by which editors complete and validate them.

    Example: cortexgraph schema --out spec.schema.json
    """
    from cortexgraph.ops.schema import json_schema

    _write(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", out)


def _write(text: str, out: Path | None) -> None:
    if out is None or str(out) == "-":
        typer.echo(text, nl=False)
    else:
        write_text(out, text)
        typer.echo(f"wrote {out}")
