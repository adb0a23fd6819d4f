"""`check`, `show` and `zoo`: findings, numbers, and the specs that ship."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cortexgraph.cli import options
from cortexgraph.errors import GraphError
from cortexgraph.wording import by, count_of, count_text

if TYPE_CHECKING:
    from cortexgraph.analysis import Totals
    from cortexgraph.spec import NetworkSpec

CONNECTIONS = ("feedforward", "lateral", "feedback", "modulating")

JsonOption = Annotated[bool, options.option("--json", None, "Print JSON instead of tables.")]


def check(
    spec: options.SpecArgument,
    overrides: options.SetOption = None,
    steps: options.StepsOption = None,
    order: options.OrderOption = None,
) -> None:
    """Check a spec and report every finding at once.

    The exit code is 1 if there is an error, and 0 if there are only warnings.

    Example: cortexgraph check specs/ventral.yaml
    """
    network = options.load_spec(spec, overrides, steps, order)  # before the rest is imported: a third of a second
    from cortexgraph.compiler import check as check_spec

    findings = check_spec(network)
    errors = [finding for finding in findings if finding.severity == "error"]
    for finding in findings:
        if finding.severity == "warning":
            typer.echo(str(finding), err=True)
    if errors:
        raise GraphError(errors)
    warned = f", {count_of(len(findings), 'warning')}" if findings else ""
    typer.echo(f"{network.name}: {options.parts_text(network)}: fine{warned}.")


def show(
    spec: options.SpecArgument,
    overrides: options.SetOption = None,
    steps: options.StepsOption = None,
    order: options.OrderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show areas, connections and steps in numbers, without running the network.

    It prints sizes, parameters, multiply-adds (MAC), memory of activations, receptive fields, onset latencies, which
    updates are executed, silent or unread, the number of steps between each area and the readout, and, to compare, the
    totals of ResNet-18.

    Example: cortexgraph show ventral --steps 6
    """
    from cortexgraph.analysis import RESNET18, summarise
    from cortexgraph.cli.tables import print_summary
    from cortexgraph.compiler import lower

    network = options.load_spec(spec, overrides, steps, order)
    full, kept = lower(network)
    summary = summarise(full, kept)
    if as_json:
        names = ("parameters", "macs", "flops", "activation_bytes")
        totals = {name: getattr(summary, name) for name in names}
        known = {"for_orientation": [dataclasses.asdict(network) for network in RESNET18]}
        typer.echo(json.dumps(dataclasses.asdict(summary) | totals | known, indent=2, ensure_ascii=False))
    else:
        print_summary(network, summary)


def zoo(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[SPEC]...", help="Specs to list, shipped or files; default: all.")
    ] = None,
    compare: Annotated[bool, options.option("--compare", None, "Print the given specs side by side.")] = False,
    out: Annotated[
        list[Path] | None,
        options.option("-o --out", "FILE", "With --compare, also draw them: .svg, .png, .pdf or .dot. Repeatable."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """List the specs that ship with cortexgraph: areas, connections, parameters, FLOPs, onset latency, source.

    Example: cortexgraph zoo --compare ventral cornet_s blt --out three.svg
    """
    from cortexgraph.spec import zoo as list_zoo

    if compare and len(names or []) < 2:
        raise typer.BadParameter("give at least two specs, such as ventral and blt", param_hint="--compare")
    if out and not compare:
        raise typer.BadParameter("it draws what --compare prints: give --compare too", param_hint="--out")
    chosen = [options.load_spec(name) for name in names or list_zoo()]
    if out:
        from cortexgraph.compiler import build
        from cortexgraph.render import check_suffixes, draw_beside

        check_suffixes(out)
        drawing = draw_beside([build(spec) for spec in chosen])
        for path in out:
            typer.echo(f"wrote {drawing.save(path)}", err=True)
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
    from cortexgraph.spec.loading import citation

    words = {"name": spec.name, "description": spec.description, "source": citation(spec.references)}
    return words | {"references": list(spec.references)} | dataclasses.asdict(numbers)


def _print_list(specs: Sequence[NetworkSpec]) -> None:
    from cortexgraph.cli.tables import print_table
    from cortexgraph.spec.loading import citation

    rows = []
    for spec in specs:
        numbers = _totals(spec)
        counts = (str(numbers.areas), str(sum(numbers.connections.values())))
        costs = (count_text(numbers.parameters), count_text(numbers.flops))
        onset = f"{numbers.responds_at} of {numbers.steps}"
        rows.append((spec.name, *counts, *costs, onset, citation(spec.references)))
    columns = ["name", "areas>r", "links>r", "params>r", "FLOP>r", "onset>r", "source"]
    print_table("Specs in the zoo", columns, rows)
    typer.echo(
        "\nlinks: connections; params: parameters; onset: the first of the T steps at which the area that is read out\n"
        "depends on the image. More: cortexgraph show NAME, draw NAME, zoo --compare NAME NAME …, zoo --json."
    )


def _print_side_by_side(specs: Sequence[NetworkSpec]) -> None:
    from cortexgraph.cli.tables import print_table

    columns = [_facts(spec, _totals(spec)) for spec in specs]
    rows = [(row, *(column[row] for column in columns)) for row in columns[0]]
    print_table("", ["", *(spec.name for spec in specs)], [row for row in rows if {*row[1:]} != {"–"}])


def _facts(spec: NetworkSpec, numbers: Totals) -> dict[str, str]:
    """What is compared, by the name of its row."""
    from cortexgraph.compiler import build
    from cortexgraph.spec.loading import citation
    from cortexgraph.unrolling import order_name

    graph, several = build(spec), len(spec.inputs) > 1
    cells = dict.fromkeys(words for area in graph.areas if (words := area.cell.summary()))
    return {
        "input": ", ".join(
            f"{each.name} " * several + f"{each.shape[0]} × {by(each.shape[1:])}" for each in graph.inputs
        ),
        "areas": ", ".join(area.name for area in graph.areas),
        "channels": ", ".join(str(area.channels) for area in graph.areas),
        "sizes": ", ".join(str(area.shape[1]) for area in graph.areas),
        "cells": ", ".join(cells) or "–",
        **{kind: str(numbers.connections.get(kind, "–")) for kind in CONNECTIONS},
        "delays": ", ".join(map(str, sorted({c.delay for c in graph.connections if c.delay}))) or "–",
        "steps": str(numbers.steps),
        "order": order_name(spec.time.order),
        "silent sources": spec.time.silence.replace("_", " "),
        "onset (step)": str(numbers.responds_at),
        "parameters": f"{numbers.parameters:,}",
        "FLOP": count_text(numbers.flops),
        "source": citation(spec.references),
    }
