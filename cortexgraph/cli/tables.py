"""Tables for the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from math import isfinite

import typer
from rich.console import Console
from rich.table import Table

from cortexgraph.analysis import RESNET18, Explanation, NetworkSummary
from cortexgraph.spec import NetworkSpec
from cortexgraph.unrolling import order_name
from cortexgraph.wording import by, count_of, count_text, fields_text, paths_text, step_ranges

__all__ = ["bar", "print_explanation", "print_summary", "print_table"]

FULL_WIDTH = 10_000
MOST_STEPS = 24
"""Longer unrollings are shown without a row for each step."""


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table whose cells are plain text; `name>r` aligns a column to the right.

    Numbers, and the names in the first column, are never broken; in a pipe or file no line is.
    """
    style = {"title_justify": "left", "title_style": "bold", "header_style": "bold"}
    table = Table(title=title or None, pad_edge=False, box=None, **style)  # type: ignore[arg-type]
    for column in columns:
        name, _, right = column.partition(">")
        whole = bool(right) or column == columns[0]
        table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=whole)
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = FULL_WIDTH
    console.print(table)


def bar(share: float, width: int) -> str:
    """A bar for a share of 0 … 1, none for what is no number."""
    return "█" * round(width * share) if isfinite(share) else ""


def print_explanation(spec: NetworkSpec, explanation: Explanation) -> None:
    """Print the table of `cortexgraph compile --explain`."""
    print_table(
        f"What the passes do to {spec.name}, for one static image in evaluation",
        ["pass", "what it does", "updates>r", "evaluations>r", "FLOP/image>r", "FLOP/batch>r"],
        [
            (
                effect.name or "(none)",
                effect.did or "every live update",
                str(effect.updates),
                str(effect.evaluations),
                count_text(effect.flops),
                count_text(2 * effect.macs_once) if effect.macs_once else "",
            )
            for effect in explanation.effects
        ],
    )
    typer.echo(f"{explanation.saved:.0%} of the floating-point operations for an image are saved.")


def print_summary(spec: NetworkSpec, summary: NetworkSummary) -> None:
    """Print the tables of `cortexgraph show`."""
    _print_areas(summary, several=len(spec.readouts) > 1)
    _print_connections(summary, several=len(spec.readouts) > 1)
    if len(summary.steps) <= MOST_STEPS:
        print_table(
            "Steps, for one image",
            ["step>r", "updates>r", "MAC>r", "activations>r"],
            [
                (str(step.step), str(step.updates), count_text(step.macs), _bytes(step.activation_bytes))
                for step in summary.steps
            ],
        )
    numbers = (count_text(summary.parameters), count_text(summary.macs), _bytes(summary.activation_bytes))
    print_table(
        "Totals, for one image",
        ["network", "parameters>r", "MAC>r", "activations>r"],
        [
            (spec.name, *numbers),
            *((known.name, count_text(known.parameters), count_text(known.macs)) for known in RESNET18),
        ],
    )
    saved = 1 - summary.macs / summary.macs_unpruned if summary.macs_unpruned else 0
    typer.echo(
        f"{spec.name}: {count_of(spec.time.steps, 'step')}, {order_name(spec.time.order)} order"
        + (f"; {saved:.0%} fewer multiply-adds than without passes." if saved else ".")
    )


def _print_areas(summary: NetworkSummary, *, several: bool) -> None:
    areas = [*reversed(summary.areas)]
    print_table(
        "Areas",
        ["area", "level>r", "channels>r", "size>r", "parameters>r", "MAC/update>r", "memory>r"],
        [
            (
                area.name,
                f"{area.level:g}",
                str(area.channels),
                by(area.size),
                count_text(area.parameters),
                count_text(area.macs),
                _bytes(area.state_bytes),
            )
            for area in areas
        ],
    )
    print_table(
        "Receptive fields",
        ["area", "pixels of the image that one unit sees, by step"],
        [(area.name, fields_text(area.receptive_field_px, summary.image_size)) for area in areas],
    )
    print_table(
        "Areas over time",
        ["area", "onset>r", "executed", "shared", "silent", "unread", "steps to the readout"],
        [
            (
                area.name,
                _onset(area.first_response),
                *map(step_ranges, (area.executed, area.shared, area.silent, area.unread)),
                paths_text(area.steps_to_readout, several=several),
            )
            for area in areas
        ],
    )


def _print_connections(summary: NetworkSummary, *, several: bool) -> None:
    print_table(
        "Connections",
        ["connection", "kind", "transform", "result>r", "reads>r", "parameters>r", "MAC>r", "memory>r"],
        [
            (
                each.name,
                each.kind,
                each.transform,
                by(each.size),
                by(each.window),
                count_text(each.parameters),
                count_text(each.macs),
                _bytes(each.output_bytes),
            )
            for each in summary.connections
        ],
    )
    print_table(
        "Connections over time",
        ["connection", "delay>r", "onset>r", "evaluated", "steps to the readout"],
        [
            (
                each.name,
                str(each.delay) if each.delay else "",
                _onset(each.first_response),
                step_ranges(each.evaluated),
                paths_text(each.steps_to_readout, several=several),
            )
            for each in summary.connections
        ],
    )


def _onset(step: int | None) -> str:
    return f"step {step}" if step else "never"


def _bytes(count: int) -> str:
    return f"{count_text(count)}B"
