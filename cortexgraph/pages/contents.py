"""What a page shows: tables, the unrolled graph for its script, the source line by line, and facts about a run."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from cortexgraph.analysis import NetworkSummary
from cortexgraph.codegen import Emitted
from cortexgraph.passes import statuses
from cortexgraph.render.updates import node_key
from cortexgraph.spec import NetworkSpec, zoo
from cortexgraph.spec.overrides import Override
from cortexgraph.unrolling import UnrolledGraph
from cortexgraph.wording import all_fields_text, by, count_text, paths_text, step_ranges


@dataclass(frozen=True)
class Table:
    """A table as texts.

    Attributes:
        subject: what a row is about, `area` or `connection`.
        columns: headings, each with whether its column holds numbers.
        rows: identifier, in the drawings, of what the row is about, and its cells.
    """

    subject: str
    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def area_table(full: UnrolledGraph, kept: UnrolledGraph, summary: NetworkSummary) -> Table:
    """One row for each area, from high to low in the hierarchy; with several readouts, paths are given by name."""
    words = ("executed", "held", "shared", "silent", "unread")
    numbers = dict.fromkeys(("channels", "size", "parameters", "MAC / update", "memory"), True)
    texts = ("responds", *words, "receptive field (pixels), by step", "steps to the readout")
    steps: dict[tuple[str, str], list[int]] = {}
    for node, status in statuses(full, kept).items():
        if node.kind == "update":
            steps.setdefault((node.name, status.word), []).append(node.step)
    rows = []
    for area in reversed(summary.areas):
        cells = (
            area.name,
            str(area.channels),
            by(area.size),
            count_text(area.parameters),
            count_text(area.macs),
            f"{count_text(area.state_bytes)}B",
            _response(area.first_response),
            *(step_ranges(steps.get((area.name, word), [])) for word in words),
            all_fields_text(area.receptive_fields_px, summary.input_sizes),
            paths_text(area.steps_to_readout, several=len(full.areas.readouts) > 1),
        )
        rows.append((full.areas.area(area.name).identifier, cells))
    return Table("area", (("area", False), *numbers.items(), *((text, False) for text in texts)), tuple(rows))


def connection_table(full: UnrolledGraph, summary: NetworkSummary) -> Table:
    """One row for each connection, as declared."""
    columns = {"connection": False, "kind": False, "transform": False}
    columns |= dict.fromkeys(("delay", "result", "reads", "parameters", "MAC"), True)
    columns |= dict.fromkeys(("responds", "evaluated", "steps to the readout"), False)
    rows = []
    for connection, info in zip(full.areas.connections, summary.connections, strict=True):
        cells = (
            info.name,
            info.kind,
            info.transform,
            str(info.delay or ""),
            by(info.size),
            by(info.window),
            count_text(info.parameters),
            count_text(info.macs),
            _response(info.first_response),
            step_ranges(info.evaluated),
            paths_text(info.steps_to_readout, several=len(full.areas.readouts) > 1),
        )
        rows.append((connection.identifier, cells))
    return Table("connection", tuple(columns.items()), tuple(rows))


def _response(step: int | None) -> str:
    return f"step {step}" if step else "never"


def _extent(name: str, field: tuple[int, int], summary: NetworkSummary) -> str:
    """The pixels of an input that a unit sees; of several inputs, with its name."""
    several = len(summary.input_sizes) > 1
    if field == summary.input_sizes[name]:
        return f"the whole of {name}" if several else "the whole image"
    return f"{by(field)} pixels" + f" of {name}" * several


def script_data(
    full: UnrolledGraph, kept: UnrolledGraph, emitted: Emitted, summary: NetworkSummary
) -> dict[str, object]:
    """Nodes, edges and connections, which refer to each other by their places in the lists.

    A node is [id in the drawings, kind, name, step, status, node that it equals, first line, last line, receptive
    field]; an edge is [tail, head, connections, whether it is a cell's memory].
    """
    states = statuses(full, kept)
    shown = [node for node in full if node.kind != "zero"]
    places = {node: place for place, node in enumerate(shown)}
    fields = {area.name: area.receptive_fields_px for area in summary.areas}
    nodes = []
    for node in shown:
        status = states[node]
        like = places.get(status.like) if status.like is not None else None
        seen = {name: at.get(node.step) for name, at in fields[node.name].items()} if node.kind == "update" else {}
        extent = ", ".join(_extent(name, field, summary) for name, field in seen.items() if field) or None
        first, last = emitted.lines_of(node) or (None, None)
        nodes.append([node_key(full, node), node.kind, node.name, node.step, status.word, like, first, last, extent])
    numbers = {connection.identifier: n for n, connection in enumerate(full.areas.connections)}
    edges = [
        [places[tail], places[head], [numbers[c.identifier] for c in data["connections"]], int(data["memory"])]
        for tail, head, data in full.edges(data=True)
        if tail in places
    ]
    connections = [
        {
            "id": connection.identifier,
            "source": connection.source,
            "target": connection.target,
            "kind": connection.kind,
            "modulates": connection.role == "modulate",
            "delay": connection.delay,
            "does": connection.transform.summary() or "passes it on as it is",
        }
        for connection in full.areas.connections
    ]
    return {
        "steps": full.steps,
        "nodes": nodes,
        "edges": edges,
        "connections": connections,
        "inputs": {each.identifier: each.name for each in full.areas.inputs},
        "areas": {area.identifier: area.name for area in full.areas.areas},
        "readouts": {readout.name: readout.source for readout in full.areas.readouts},
    }


SOURCE_STYLE = "friendly"


def source_lines(source: str) -> list[str]:
    """Every line as highlighted HTML; no element crosses the end of a line."""
    lexer = PythonLexer(stripnl=False, ensurenl=False)
    html: str = highlight(source, lexer, HtmlFormatter(nowrap=True, style=SOURCE_STYLE))
    return html.removesuffix("\n").split("\n")


def source_style() -> str:
    """The style sheet of the highlighting, for elements inside a `.source`."""
    rules: str = HtmlFormatter(style=SOURCE_STYLE).get_style_defs(".source")
    return "\n".join(rule for rule in rules.splitlines() if rule.startswith(".source ."))


@dataclass(frozen=True)
class RunView:
    """What the page shows of a run.

    Attributes:
        name: of the folder.
        curves: the picture of its curves so far as a data URL; None before there is one.
        columns: headings of the two accuracies.
        accuracy: readout step and the two accuracies, as texts.
        facts: names and values of settings and results.
    """

    name: str
    curves: str | None
    columns: tuple[str, ...]
    accuracy: tuple[tuple[str, str, str], ...]
    facts: tuple[tuple[str, str], ...]


def run_of(subject: str | Path) -> Path | None:
    """The folder of a run, of a trained network that ships, or of one of the hub; None for a spec."""
    from cortexgraph.training.named_runs import find_run, hub_name, packed
    from cortexgraph.training.run_folder import RunFolder

    path = Path(subject)
    if hub_name(subject) is not None or (str(subject) in packed() and not RunFolder(path).is_run):
        return find_run(subject).path
    return path if path.is_dir() and (str(subject) not in zoo() or RunFolder(path).is_run) else None


def read_view(path: Path, overrides: Sequence[str | Override] = ()) -> tuple[NetworkSpec, RunView]:
    """The spec of a run, and what the page shows of it.

    Raises DataError if this is not a run or is damaged, SpecError if its spec cannot be read.
    """
    from cortexgraph.training.run_folder import RunFolder

    run = RunFolder(path)
    settings, spec = run.read_settings().settings, run.read_spec(overrides)
    facts = [(name.replace("_", " "), str(value)) for name, value in settings.items() if value is not None]
    curves = run.curves[0]
    picture = base64.b64encode(curves.read_bytes()).decode() if curves.is_file() else ""
    curves_url = f"data:image/svg+xml;base64,{picture}" if picture else None
    if not run.is_finished:
        return spec, RunView(run.path.name, curves_url, (), (), tuple(facts))
    summary = run.read_summary()
    results = {"data": summary.data, "best epoch": summary.best_epoch, "device": summary.device}
    named = [(name, str(value)) for name, value in (results | {"command": summary.command}).items() if value]
    return spec, RunView(run.path.name, curves_url, summary.columns(), tuple(summary.rows()), (*named, *facts))
