"""`zoo`: the specs that are shipped, in a list or side by side."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cortexgraph.wording import by, count_text

if TYPE_CHECKING:
    from cortexgraph.analysis import Totals
    from cortexgraph.spec import NetworkSpec

__all__ = ["zoo"]

CONNECTIONS = ("feedforward", "lateral", "feedback", "modulating")


def zoo(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[SPEC]...", help="Specs to list, shipped or files; default: all.")
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Print the given specs side by side.")] = False,
    out: Annotated[
        list[Path] | None,
        typer.Option("--out", "-o", help="With --compare, also draw them: .svg, .png, .pdf or .dot. Repeatable."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the specs that ship with cortexgraph: areas, connections, parameters, FLOPs, first response, source.

    Example: cortexgraph zoo --compare ventral cornet_s blt --out three.svg
    """
    from cortexgraph.spec import load
    from cortexgraph.spec import zoo as list_zoo

    if compare and len(names or []) < 2:
        raise typer.BadParameter("give at least two specs, such as ventral and blt", param_hint="--compare")
    if out and not compare:
        raise typer.BadParameter("it draws what --compare prints: give --compare too", param_hint="--out")
    chosen = [load(name) for name in names or list_zoo()]
    if out:
        _draw(chosen, out)
    if as_json:
        typer.echo(json.dumps([_entry(spec, _totals(spec)) for spec in chosen], indent=2, ensure_ascii=False))
    elif compare:
        _print_side_by_side(chosen)
    else:
        _print_list(chosen)


def _totals(spec: NetworkSpec) -> Totals:
    from cortexgraph.analysis import totals
    from cortexgraph.compiler import lower

    return totals(*lower(spec))


def _entry(spec: NetworkSpec, numbers: Totals) -> dict[str, object]:
    from cortexgraph.spec.citations import citation

    words = {"name": spec.name, "description": spec.description, "source": citation(spec.references)}
    return words | {"references": list(spec.references)} | dataclasses.asdict(numbers)


def _print_list(specs: Sequence[NetworkSpec]) -> None:
    from rich.console import Console

    from cortexgraph.cli.tables import make_table
    from cortexgraph.spec.citations import citation

    columns = ["name", "areas>r", "connections>r", "parameters>r", "FLOP>r", "responds at>r", "source"]
    table = make_table("Specs in the zoo", columns)
    for spec in specs:
        numbers = _totals(spec)
        table.add_row(
            spec.name,
            str(numbers.areas),
            str(sum(numbers.connections.values())),
            count_text(numbers.parameters),
            count_text(numbers.flops),
            f"{numbers.responds_at} of {numbers.steps}",
            citation(spec.references),
        )
    console = Console()
    console.print(table)
    console.print(
        "\nResponds at: the first step at which the readout's area depends on the image, of T steps. More of each:\n"
        "cortexgraph show NAME, draw NAME, zoo --compare NAME NAME …; descriptions: zoo --json.",
        highlight=False,
        soft_wrap=True,
    )


def _print_side_by_side(specs: Sequence[NetworkSpec]) -> None:
    from rich.console import Console

    from cortexgraph.cli.tables import make_table

    table = make_table("", ["", *(spec.name for spec in specs)])
    columns = [_facts(spec, _totals(spec)) for spec in specs]
    for row in columns[0]:
        if any(column[row] != "–" for column in columns):
            table.add_row(row, *(column[row] for column in columns))
    Console().print(table)


def _facts(spec: NetworkSpec, numbers: Totals) -> dict[str, str]:
    """What is compared, by the name of its row."""
    from cortexgraph.compiler import build
    from cortexgraph.spec.citations import citation
    from cortexgraph.unrolling import order_name

    graph = build(spec)
    cells = dict.fromkeys(words for area in graph.areas if (words := area.cell.summary()))
    return {
        "input": f"{graph.image_shape[0]} × {by(graph.image_shape[1:])}",
        "areas": ", ".join(area.name for area in graph.areas),
        "channels": ", ".join(str(area.channels) for area in graph.areas),
        "sizes": ", ".join(str(area.shape[1]) for area in graph.areas),
        "cells": ", ".join(cells) or "–",
        **{kind: str(numbers.connections.get(kind, "–")) for kind in CONNECTIONS},
        "delays": ", ".join(map(str, sorted({c.delay for c in graph.connections if c.delay}))) or "–",
        "steps": str(numbers.steps),
        "order": order_name(spec.time.order),
        "silent sources": spec.time.silence.replace("_", " "),
        "responds at step": str(numbers.responds_at),
        "parameters": f"{numbers.parameters:,}",
        "FLOP": count_text(numbers.flops),
        "source": citation(spec.references),
    }


def _draw(specs: Sequence[NetworkSpec], out: Sequence[Path]) -> None:
    from cortexgraph.drawing import draw
    from cortexgraph.render import check_suffixes
    from cortexgraph.render.drawing import side_by_side

    check_suffixes(out)
    drawing = side_by_side([draw(spec) for spec in specs], name=" and ".join(spec.name for spec in specs))
    for path in out:
        typer.echo(f"wrote {drawing.save(path)}", err=True)
