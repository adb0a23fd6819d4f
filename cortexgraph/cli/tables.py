"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cortexgraph.analysis import RESNET18, Explanation, NetworkSummary
from cortexgraph.spec import NetworkSpec
from cortexgraph.unrolling import order_name
from cortexgraph.wording import by, count_text, fields_text, paths_text, step_ranges

__all__ = ["make_table", "print_explanation", "print_summary"]

MOST_STEPS = 24
"""Longer unrollings are shown without a row for each step."""


def print_summary(spec: NetworkSpec, summary: NetworkSummary) -> None:
    """Print the tables of `cortexgraph show`."""
    console = Console()
    several = len(spec.readouts) > 1
    console.print(_areas(summary), _fields(summary), _areas_over_time(summary, several), sep="\n")
    console.print(_connections(summary), _connections_over_time(summary, several), sep="\n")
    if len(summary.steps) <= MOST_STEPS:
        console.print(_steps(summary))
    console.print(_totals(spec, summary))
    saved = 1 - summary.macs / summary.macs_unpruned if summary.macs_unpruned else 0
    console.print(
        f"[bold]{escape(spec.name)}[/]: {spec.time.steps} step{'s' * (spec.time.steps > 1)}, "
        f"{escape(order_name(spec.time.order))} order"
        + (f"; {saved:.0%} fewer multiply-adds than without passes." if saved else "."),
        highlight=False,
    )


def print_explanation(spec: NetworkSpec, explanation: Explanation) -> None:
    """Print the table of `cortexgraph compile --explain`."""
    table = make_table(
        f"What the passes do to {escape(spec.name)}, for one static image in evaluation",
        ["pass", "what it does", "updates>r", "evaluations>r", "FLOP/image>r", "FLOP/batch>r"],
    )
    for effect in explanation.effects:
        once = f"{count_text(2 * effect.macs_once)}" if effect.macs_once else ""
        counts = (str(effect.updates), str(effect.evaluations), count_text(effect.flops), once)
        table.add_row(effect.name or "(none)", effect.did or "every live update", *counts)
    console = Console()
    console.print(table)
    console.print(f"{explanation.saved:.0%} of the floating-point operations for an image are saved.", highlight=False)


def make_table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", pad_edge=False, box=None)
    for column in columns:
        name, _, right = column.partition(">")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table


def _areas(summary: NetworkSummary) -> Table:
    columns = ["area", "level>r", "channels>r", "size>r", "parameters>r", "MAC/update>r", "memory>r"]
    table = make_table("Areas", columns)
    for area in reversed(summary.areas):
        table.add_row(
            escape(area.name),
            f"{area.level:g}",
            str(area.channels),
            by(area.size),
            count_text(area.parameters),
            count_text(area.macs),
            f"{count_text(area.state_bytes)}B",
        )
    return table


def _fields(summary: NetworkSummary) -> Table:
    table = make_table("Receptive fields", ["area", "pixels of the image that one unit sees, by step"])
    for area in reversed(summary.areas):
        table.add_row(escape(area.name), fields_text(area.receptive_field_px, summary.image_size))
    return table


def _areas_over_time(summary: NetworkSummary, several: bool) -> Table:
    table = make_table(
        "Areas over time", ["area", "responds at>r", "executed", "shared", "silent", "unread", "steps to the readout"]
    )
    for area in reversed(summary.areas):
        table.add_row(
            escape(area.name),
            _response(area.first_response),
            step_ranges(area.executed),
            step_ranges(area.shared),
            step_ranges(area.silent),
            step_ranges(area.unread),
            escape(paths_text(area.steps_to_readout, several=several)),
        )
    return table


def _response(step: int | None) -> str:
    return f"step {step}" if step else "never"


def _connections(summary: NetworkSummary) -> Table:
    columns = ["connection", "kind", "transform", "result>r", "reads>r", "parameters>r", "MAC>r", "memory>r"]
    table = make_table("Connections", columns)
    for connection in summary.connections:
        table.add_row(
            escape(connection.name),
            connection.kind,
            escape(connection.transform),
            by(connection.size),
            by(connection.window),
            count_text(connection.parameters),
            count_text(connection.macs),
            f"{count_text(connection.output_bytes)}B",
        )
    return table


def _connections_over_time(summary: NetworkSummary, several: bool) -> Table:
    table = make_table(
        "Connections over time", ["connection", "delay>r", "responds at>r", "evaluated", "steps to the readout"]
    )
    for connection in summary.connections:
        table.add_row(
            escape(connection.name),
            str(connection.delay) if connection.delay else "",
            _response(connection.first_response),
            step_ranges(connection.evaluated),
            escape(paths_text(connection.steps_to_readout, several=several)),
        )
    return table


def _steps(summary: NetworkSummary) -> Table:
    table = make_table("Steps, for one image", ["step>r", "updates>r", "MAC>r", "activations>r"])
    for step in summary.steps:
        activations = f"{count_text(step.activation_bytes)}B"
        table.add_row(str(step.step), str(step.updates), count_text(step.macs), activations)
    return table


def _totals(spec: NetworkSpec, summary: NetworkSummary) -> Table:
    table = make_table("Totals, for one image", ["network", "parameters>r", "MAC>r", "activations>r"])
    activations = f"{count_text(summary.activation_bytes)}B"
    table.add_row(escape(spec.name), count_text(summary.parameters), count_text(summary.macs), activations)
    for known in RESNET18:
        table.add_row(known.name, count_text(known.parameters), count_text(known.macs))
    return table
