"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from cortexgraph.analysis import NetworkSummary
from cortexgraph.spec import NetworkSpec
from cortexgraph.unrolling import order_name
from cortexgraph.wording import by, count_text

__all__ = ["make_table", "print_summary", "step_ranges"]


def step_ranges(steps: Sequence[int]) -> str:
    """Rising steps in short: 1–3, 5."""
    runs: list[list[int]] = []
    for step in dict.fromkeys(steps):
        if runs and step == runs[-1][-1] + 1:
            runs[-1].append(step)
        else:
            runs.append([step])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs) or "–"


def print_summary(spec: NetworkSpec, summary: NetworkSummary) -> None:
    """Print the tables of `cortexgraph show`."""
    console = Console()
    console.print(_areas(summary), _connections(summary), sep="\n")
    saved = 1 - summary.flops / summary.flops_unpruned if summary.flops_unpruned else 0
    console.print(
        f"[bold]{spec.name}[/]: {spec.time.steps} steps, {order_name(spec.time.order)} order; "
        f"{count_text(summary.parameters)} parameters; {count_text(summary.flops)}FLOP for one image, "
        f"{saved:.0%} less than without removing what no readout reads.",
        highlight=False,
    )


def make_table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", pad_edge=False, box=None)
    for column in columns:
        name, _, right = column.partition(">")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table


def _areas(summary: NetworkSummary) -> Table:
    table = make_table(
        "Areas",
        ["area", "level>r", "channels>r", "size>r", "parameters>r", "responds at>r", "executed", "silent", "unread"],
    )
    for area in reversed(summary.areas):
        table.add_row(
            area.name,
            f"{area.level:g}",
            str(area.channels),
            by(area.size),
            count_text(area.parameters),
            f"step {area.first_response}" if area.first_response else "never",
            step_ranges(area.executed),
            step_ranges(area.silent),
            step_ranges(area.unread),
        )
    return table


def _connections(summary: NetworkSummary) -> Table:
    table = make_table(
        "Connections", ["connection", "kind", "transform", "delay>r", "parameters>r", "evaluated>r", "FLOP>r"]
    )
    for connection in summary.connections:
        table.add_row(
            f"{connection.source} → {connection.target}",
            connection.kind,
            connection.transform,
            str(connection.delay) if connection.delay else "",
            count_text(connection.parameters),
            f"{connection.evaluations}×",
            count_text(connection.flops),
        )
    return table
