"""The docstring of an emitted file: where it came from, and a table of its areas and connections."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from cortexgraph.codegen.text import WIDTH, docstring_text, wrapped
from cortexgraph.graph import Area, AreaGraph, Connection
from cortexgraph.unrolling import UnrolledGraph, order_name
from cortexgraph.version import __version__
from cortexgraph.wording import by, count_of

__all__ = ["header"]


def header(graph: UnrolledGraph) -> tuple[str, ...]:
    """Lines of the module's docstring."""
    spec = graph.areas.spec
    title = f"{spec.name}: {spec.description}" if spec.description else f"{spec.name}."
    updates = sum(len(graph.every_step(node)) for node in graph.live_updates() if graph.written(node))
    steps = f"{count_of(graph.steps, 'step')}, {order_name(graph.order)} order"
    kind = "each step reads a frame of a video" if graph.video else "the image is static"
    summary = f"{steps}, {kind}: {count_of(updates, 'update')}; readout of {_read(graph)}."
    return (
        *wrapped(title),
        "",
        f"Emitted by cortexgraph {__version__} from the spec with sha256 {spec.digest[:16]}: edit that instead.",
        "",
        *wrapped(summary),
        "",
        *_table(graph.areas),
    )


def _read(graph: UnrolledGraph) -> str:
    """What is read out, and when."""
    steps = {readout.name: graph.readout_steps(readout.name) for readout in graph.areas.readouts}
    return "; ".join(f"{readout.source} at step {_runs(steps[readout.name])}" for readout in graph.areas.readouts)


def _runs(steps: tuple[int, ...]) -> str:
    """Steps in words: `2, 4 to 128`; two in a row stay two."""
    runs: list[list[int]] = []
    for step in steps:
        if runs and step == runs[-1][-1] + 1:
            runs[-1].append(step)
        else:
            runs.append([step])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def _table(areas: AreaGraph) -> list[str]:
    rows = [("area", "channels", "size", "reads"), *(_row(areas, area) for area in reversed(areas.areas))]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = []
    for row in rows:
        start = "    " + "  ".join(row[n].ljust(widths[n]) for n in range(3)) + "  "
        lines += textwrap.wrap(row[3], WIDTH - 4, initial_indent=start, subsequent_indent=" " * len(start))
    return [docstring_text(line) for line in lines]


def _row(areas: AreaGraph, area: Area) -> tuple[str, str, str, str]:
    sources = [f"{connection.source} ({', '.join(_notes(connection))})" for connection in areas.incoming(area.name)]
    return area.name, str(area.channels), by(area.shape[1:]), ", ".join(sources)


def _notes(connection: Connection) -> Iterator[str]:
    yield connection.kind
    if connection.role == "modulate":
        yield "modulating"
    if connection.delay:
        yield f"delay {connection.delay}"
