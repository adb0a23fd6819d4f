"""`check` and `show`: look at a spec."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from cortexgraph.cli.options import OrderOption, SetOption, SpecArgument, StepsOption, load_spec
from cortexgraph.errors import GraphError

__all__ = ["check", "show"]


def check(
    spec: SpecArgument, overrides: SetOption = None, steps: StepsOption = None, order: OrderOption = None
) -> None:
    """Check a spec and report every finding at once.

    Exit code 1 if there is an error; warnings alone leave it 0.

    Example: cortexgraph check specs/ventral.yaml
    """
    network = load_spec(spec, overrides, steps, order)  # before the rest is imported: a third of a second
    from cortexgraph.compiler import check as check_spec

    findings = check_spec(network)
    errors = [finding for finding in findings if finding.severity == "error"]
    for finding in findings:
        if finding.severity == "warning":
            typer.echo(str(finding), err=True)
    if errors:
        raise GraphError(errors)
    areas, connections = len(network.areas), len(network.connections)
    warned = f", {len(findings)} warning{'s' * (len(findings) > 1)}" if findings else ""
    counts = [(areas, "area"), (connections, "connection"), (network.time.steps, "step")]
    counted = ", ".join(f"{count} {word}{'s' * (count != 1)}" for count, word in counts)
    typer.echo(f"{network.name}: {counted}: fine{warned}.")


def show(
    spec: SpecArgument,
    overrides: SetOption = None,
    steps: StepsOption = None,
    order: OrderOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Show areas, connections and steps in numbers, without computing anything.

    Sizes, parameters, multiply-adds (MAC), memory of activations, receptive fields, first responses, which updates
    are executed, silent or unread, and how many steps lie between an area and the readout; totals beside ResNet-18.

    Example: cortexgraph show ventral --steps 6
    """
    from cortexgraph.analysis import RESNET18, summarise
    from cortexgraph.cli.tables import print_summary
    from cortexgraph.compiler import lower

    network = load_spec(spec, overrides, steps, order)
    full, kept = lower(network)
    summary = summarise(full, kept)
    if as_json:
        names = ("parameters", "macs", "flops", "activation_bytes")
        totals = {name: getattr(summary, name) for name in names}
        known = {"for_orientation": [dataclasses.asdict(network) for network in RESNET18]}
        typer.echo(json.dumps(dataclasses.asdict(summary) | totals | known, indent=2, ensure_ascii=False))
    else:
        print_summary(network, summary)
