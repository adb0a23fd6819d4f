"""Tables for the terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import Literal, TypeVar

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from cortexgraph.analysis import RESNET18, Explanation, NetworkSummary
from cortexgraph.analysis.explain import PassEffect
from cortexgraph.spec import NetworkSpec
from cortexgraph.unrolling import order_name
from cortexgraph.wording import all_fields_text, by, count_of, count_text, parameters_text, paths_text, step_ranges

Item = TypeVar("Item")

FULL_WIDTH = 10_000
GAP = 2
"""Spaces between columns; one where they do not fit."""
MOST_STEPS = 24
"""Longer unrollings are shown without a row for each step."""


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table whose cells are plain text; `name>r` aligns a column to the right.

    Words, numbers, and the names in the first column are never broken or cut: in a narrow terminal, columns that do
    not fit follow below, with the first column again. In a pipe or file no line is broken.
    """
    rows, names, room = [*rows], [column.partition(">")[0] for column in columns], _room()
    cells = [[name, *(row[n] for row in rows if n < len(row))] for n, name in enumerate(names)]
    whole = [n == 0 or column.endswith(">r") for n, column in enumerate(columns)]
    widths = [max(map(cell_len, column)) for column in cells]
    least = [w if keep else max(map(_longest_word, each)) for w, keep, each in zip(widths, whole, cells, strict=True)]
    gap = GAP if sum(widths) + GAP * (len(widths) - 1) <= room else 1
    for number, part in enumerate(_parts(least, room, gap)):
        words = f"{title}, continued" if title and number else title
        table = Table(padding=(0, gap, 0, 0), pad_edge=False, box=None, header_style="bold")
        for n, width in zip(part, _narrowed([(widths[n], least[n]) for n in part], room, gap), strict=True):
            justify: Literal["left", "right"] = "right" if columns[n].endswith(">r") else "left"
            table.add_column(names[n], justify=justify, overflow="fold", no_wrap=whole[n], width=width)
        for row in rows:
            table.add_row(*(row[n] for n in part if n < len(row)))
        console = Console(highlight=False, markup=False, emoji=False)
        console.width = FULL_WIDTH
        if words:
            console.print(words, style="bold", soft_wrap=True)  # the terminal breaks it: a name can be copied
        console.print(table, crop=False)


def _room() -> int:
    """Columns of the terminal; output to a file or pipe has as many as it needs, unless COLUMNS is set."""
    console = Console()
    return console.width if console.is_terminal or "COLUMNS" in os.environ else FULL_WIDTH


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


def _parts(least: Sequence[int], room: int, gap: int) -> list[list[int]]:
    """The columns of each part of a table, of as many as fit side by side; the first column begins each part."""
    if 2 * least[0] > room:  # to repeat it would take more room than it saves
        return [[*range(len(least))]]
    parts = [[0]]
    for n in range(1, len(least)):
        if len(parts[-1]) > 1 and sum(least[m] + gap for m in [*parts[-1], n]) - gap > room:
            parts.append([0])
        parts[-1].append(n)
    return parts


def _narrowed(widths: Sequence[tuple[int, int]], room: int, gap: int) -> list[int]:
    """Widths of columns, each given with its least: the widest are made narrower until they fit."""
    narrowed = [width for width, _ in widths]
    for _ in range(sum(narrowed) + gap * (len(narrowed) - 1) - room):
        if wide := [n for n, (_, least) in enumerate(widths) if narrowed[n] > least]:
            narrowed[max(wide, key=narrowed.__getitem__)] -= 1
    return narrowed


def print_items(title: str, items: Iterable[Item], columns: Mapping[str, Callable[[Item], str]]) -> None:
    """Print a table with a row for each item; each column has a function from an item to its text."""
    print_table(title, [*columns], [[text(item) for text in columns.values()] for item in items])


def bar(share: float, width: int) -> str:
    """A bar for a share from 0 to 1; empty for NaN."""
    return "█" * round(width * share) if isfinite(share) else ""


def print_explanation(spec: NetworkSpec, explanation: Explanation) -> None:
    """Print the table of `cortexgraph compile --explain`."""
    columns: dict[str, Callable[[PassEffect], str]] = {
        "pass": lambda effect: effect.name or "(none)",
        "what it does": lambda effect: effect.did or "every live update",
        "updates>r": lambda effect: str(effect.updates),
        "evaluations>r": lambda effect: str(effect.evaluations),
        "FLOP/image>r": lambda effect: count_text(effect.flops),
    }
    if any(effect.macs_once for effect in explanation.effects):
        columns["FLOP/batch>r"] = lambda effect: count_text(2 * effect.macs_once) if effect.macs_once else ""
    print_items(f"What the passes do to {spec.name}, for one static image in evaluation", explanation.effects, columns)
    typer.echo(f"{explanation.saved:.0%} of the floating-point operations for an image are saved.")


def print_summary(spec: NetworkSpec, summary: NetworkSummary) -> None:
    """Print the tables of `cortexgraph show`."""
    several = len(spec.readouts) > 1
    _print_areas(summary, several=several)
    _print_connections(summary, several=several)
    if len(summary.steps) <= MOST_STEPS:
        print_items(
            "Steps, for one image",
            summary.steps,
            {
                "step>r": lambda step: str(step.step),
                "updates>r": lambda step: str(step.updates),
                "MAC>r": lambda step: count_text(step.macs),
                "activations>r": lambda step: _bytes(step.activation_bytes),
            },
        )
    numbers = [count_text(summary.parameters), count_text(summary.macs), _bytes(summary.activation_bytes)]
    known = [[network.name, count_text(network.parameters), count_text(network.macs)] for network in RESNET18]
    columns = ["network", "parameters>r", "MAC>r", "activations>r"]
    print_table("Totals, for one image", columns, [[spec.name, *numbers], *known])
    saved = 1 - summary.macs / summary.macs_unpruned if summary.macs_unpruned else 0
    typer.echo(
        f"{spec.name}: {parameters_text(summary.parameters, summary.trained_parameters)}.\n"
        f"{count_of(spec.time.steps, 'step')}, {order_name(spec.time.order)} order"
        + (f"; {saved:.0%} fewer multiply-adds than without passes." if saved else ".")
    )


def _print_areas(summary: NetworkSummary, *, several: bool) -> None:
    areas = [*reversed(summary.areas)]
    print_items(
        "Areas",
        areas,
        {
            "area": lambda area: area.name,
            "level>r": lambda area: f"{area.level:g}",
            "channels>r": lambda area: str(area.channels),
            "size>r": lambda area: by(area.size),
            "parameters>r": lambda area: count_text(area.parameters),
            "MAC/update>r": lambda area: count_text(area.macs),
            "memory>r": lambda area: _bytes(area.state_bytes),
        },
    )
    print_table(
        "Receptive fields",
        [
            "area",
            f"pixels of {'each input' if len(summary.input_sizes) > 1 else 'the image'} that one unit sees, by step",
        ],
        [[area.name, all_fields_text(area.receptive_fields_px, summary.input_sizes)] for area in areas],
    )
    print_items(
        "Areas over time",
        areas,
        {
            "area": lambda area: area.name,
            "onset>r": lambda area: _onset(area.first_response),
            "executed": lambda area: step_ranges(area.executed),
            "shared": lambda area: step_ranges(area.shared),
            "silent": lambda area: step_ranges(area.silent),
            "unread": lambda area: step_ranges(area.unread),
            "steps to the readout": lambda area: paths_text(area.steps_to_readout, several=several),
        },
    )


def _print_connections(summary: NetworkSummary, *, several: bool) -> None:
    print_items(
        "Connections",
        summary.connections,
        {
            "connection": lambda each: each.name,
            "kind": lambda each: each.kind,
            "transform": lambda each: each.transform,
            "result>r": lambda each: by(each.size),
            "reads>r": lambda each: by(each.window),
            "parameters>r": lambda each: count_text(each.parameters),
            "MAC>r": lambda each: count_text(each.macs),
            "memory>r": lambda each: _bytes(each.output_bytes),
        },
    )
    print_items(
        "Connections over time",
        summary.connections,
        {
            "connection": lambda each: each.name,
            "delay>r": lambda each: str(each.delay) if each.delay else "",
            "onset>r": lambda each: _onset(each.first_response),
            "evaluated": lambda each: step_ranges(each.evaluated),
            "steps to the readout": lambda each: paths_text(each.steps_to_readout, several=several),
        },
    )


def _onset(step: int | None) -> str:
    return f"step {step}" if step else "never"


def _bytes(count: int) -> str:
    return f"{count_text(count)}B"
