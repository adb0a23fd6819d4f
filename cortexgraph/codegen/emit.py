"""From an unrolled graph to the source of a Python module that needs only torch."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Literal

from cortexgraph.codegen.lower import banner, lower
from cortexgraph.codegen.modules import ParameterGroup, blocks_of, parameter_groups
from cortexgraph.codegen.text import WIDTH, class_name, docstring_text, prelude, runs_of_steps, wrapped
from cortexgraph.graph import Area, AreaGraph, Connection
from cortexgraph.graph.names import Namespace
from cortexgraph.ops import Cell, Operation
from cortexgraph.ops.source import imports_for, library, names_in, sources_of, taken_names
from cortexgraph.unrolling import Loop, Node, UnrolledGraph, order_name
from cortexgraph.version import __version__
from cortexgraph.wording import by, count_of, listed

if TYPE_CHECKING:
    from jinja2 import Template

MemoryFormat = Literal["contiguous", "channels_last"]
"""Layout of kernels, and with them of states, in memory. Shapes, values and state dicts are the same in both."""


@dataclass(frozen=True)
class Emitted:
    """An emitted file.

    Attributes:
        source: its text.
        lines: for each node of the graph that a statement computes, the first and last line of the statement, from 1.
        loop: the steady state that is written as a loop, if there is one.
    """

    source: str
    lines: Mapping[Node, tuple[int, int]]
    loop: Loop | None = None

    def lines_of(self, node: Node) -> tuple[int, int] | None:
        """The lines that compute a node of the unrolled graph; those of a loop's body for each of its runs."""
        loop = self.loop
        if loop is None or node.step < loop.first:
            return self.lines.get(node)
        if node.step < loop.first + loop.period * loop.times:
            return self.lines.get(node._replace(step=loop.first + (node.step - loop.first) % loop.period))
        return self.lines.get(node._replace(step=node.step - loop.skipped))


@dataclass(frozen=True)
class ModuleView:
    """What the template of an emitted file sees: ready text."""

    docstring: tuple[str, ...]
    imports: tuple[str, ...]
    definitions: tuple[str, ...]
    class_name: str
    summary: str
    parameters: tuple[ParameterGroup, ...]
    channels_last: bool
    arguments: str
    returns: str
    contract: str


def emit_source(
    full: UnrolledGraph, graph: UnrolledGraph, memory_format: MemoryFormat = "contiguous", runs: int | None = None
) -> Emitted:
    """The module that computes `graph`; `full` is the graph before passes, which owns the parameters.

    With `runs`, that many runs of the loop's body are one segment that the backward pass recomputes.

    Equal graphs give equal bytes. Names from the spec enter as identifiers and escaped text only.
    """
    areas, operations = graph.areas, _operations_of(full.areas)
    taken = taken_names(operations, prelude())
    groups = tuple(parameter_groups(full))
    blocks = blocks_of([module for group in groups for module in group.modules], taken)
    by_block = {identifier: module for block in blocks for identifier, module in block.modules.items()}
    groups = tuple(
        replace(group, modules=tuple(by_block.get(module.identifier, module) for module in group.modules))
        for group in groups
    )
    piece = graph.info.piece
    body, places = _body(graph, runs)
    classes = [block.source for block in blocks]
    channels_last = memory_format == "channels_last"
    made = [module.text for group in groups for module in group.modules]
    returns, kind = _returns(graph), "Tensor" if len(areas.inputs) == 1 else "dict[str, Tensor]"
    written = "\n".join(["torch nn" if channels_last else "nn", returns, *made, *body, *classes])
    used = names_in(written)
    helpers = dict.fromkeys(helper for operation in operations for helper in operation.definitions())
    definitions = sources_of([*(n for n in (*prelude(), *library()) if n in used), *helpers], prelude())
    identifier = Namespace().identifier(areas.spec.name, "network")
    steps = _steps(graph)
    view = ModuleView(
        docstring=tuple(_docstring(graph)),
        imports=imports_for([*definitions, written]),
        definitions=(*definitions, *classes),
        class_name=class_name(identifier, {*taken, *(block.name for block in blocks)}),
        summary=docstring_text(f"The network `{areas.spec.name}`, unrolled over {steps}."),
        arguments=f"x: {kind}" if piece is None else f"x: {kind}, state: tuple[Tensor, ...]",
        parameters=groups,
        channels_last=channels_last,
        returns=returns,
        contract=f"\n{' ' * 8}".join(wrapped(f"{_contract(graph)}; x: {_images(graph)}.", 14)),
    )
    start = _template().render(view=view)
    offset = start.count("\n") + 1
    lines = {node: (first + offset, last + offset) for node, (first, last) in places.items()}
    return Emitted(start + "\n".join(body) + "\n", lines, graph.loop)


def _body(graph: UnrolledGraph, runs: int | None) -> tuple[list[str], dict[Node, tuple[int, int]]]:
    """The lines of `forward`, and where each node's statement stands among them, from 0."""
    lines: list[str] = []
    places: dict[Node, tuple[int, int]] = {}
    indent = 8
    for n, section in enumerate(lower(graph, runs)):
        lines += [""] if n else []
        if section.warms_up and indent == 8:
            lines.append(f"{' ' * 8}with torch.no_grad():  # the warm-up: no gradient reaches back into these steps")
        indent = 12 if section.warms_up else 8
        lines += [" " * indent + banner(section.banner).rstrip()] if section.banner else []
        for statement in section.statements:
            for node, first, last in statement.places(indent):
                places[node] = (len(lines) + first, len(lines) + last)
            lines += statement.lines(indent)
    return lines, places


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("cortexgraph.codegen"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template("module.py.jinja")


def _operations_of(areas: AreaGraph) -> list[Operation | Cell]:
    """Every operation and cell of the network, also those inside others."""
    return [
        *(link.operation for chain in areas.chains.values() for _, link in chain.walk()),
        *(area.cell for area in areas.areas),
    ]


def _steps(graph: UnrolledGraph) -> str:
    if graph.info.piece is None:
        return count_of(graph.steps, "step")
    return f"step {graph.first} to {graph.steps} of a stream"


def _returns(graph: UnrolledGraph) -> str:
    """The type of what `forward` returns."""
    piece = graph.info.piece
    logits = "Tensor" if piece is None else "Tensor | None"
    values = [logits if len(graph.areas.readouts) == 1 else f"dict[str, {logits}]"]
    values += ["dict[tuple[str, int], Tensor]"] * bool(graph.records)
    values += ["tuple[Tensor, ...]"] * (piece is not None)
    return values[0] if len(values) == 1 else f"tuple[{', '.join(values)}]"


def _images(graph: UnrolledGraph) -> str:
    """What `forward` takes, in words; several inputs by name, with their shapes."""
    length = graph.steps + 1 - graph.first
    if len(graph.areas.inputs) == 1:
        return f"videos [B, {length}, C, H, W], a frame for each step" if graph.videos else "images [B, C, H, W]"
    shapes = ((each, f"{length}, " * (each.name in graph.videos), each.shape) for each in graph.areas.inputs)
    texts = [f"{each.name} [B, {frames}{', '.join(map(str, shape))}]" for each, frames, shape in shapes]
    return f"{'videos (a frame for each step) and ' * bool(graph.videos)}images by input, {listed(texts)}"


def _contract(graph: UnrolledGraph) -> str:
    """What `forward` returns, in words."""
    if graph.info.piece is not None:
        records = ", the recorded states by (area, step)" if graph.records else ""
        return f"Logits of the steps that are read out, if any{records}, and the state for the next piece"
    if len(graph.areas.readouts) > 1:
        logits = "Logits by readout: [B, classes], or [B, n, classes] for n steps"
    else:
        (readout,) = graph.areas.readouts
        steps = graph.readout_steps(readout.name)
        several = f"at {len(steps)} steps from {steps[0]} to {steps[-1]}"
        what = {"mean": "Mean logits so far", "cumulative": "Summed logits so far"}.get(readout.over_time, "Logits")
        outputs = ", ".join(map(str, readout.outputs))
        logits = f"{what} [B, {len(steps)}, {outputs}] {several}"
        if readout.over_time == "concat":
            logits = f"Logits [B, {outputs}] of the states {several} together"
        if readout.at == "last":
            logits = f"Logits [B, {outputs}] at step {steps[0]}"
    return f"{logits}, and the recorded states by (area, step)" if graph.records else logits


# ---- the docstring: where the file came from, and a table of areas and connections ----


def _docstring(graph: UnrolledGraph) -> Iterator[str]:
    """Lines of the module's docstring."""
    spec = graph.areas.spec
    written = (node for node in graph.live_updates() if graph.written(node) and not graph.given(node))
    updates = sum(len(graph.every_step(node)) for node in written)
    kind = "video, a frame for each step" if graph.videos else "static image"
    at = ((readout, graph.readout_steps(readout.name)) for readout in graph.areas.readouts)
    read = "; ".join(f"{readout.source} read out at step {_brief(steps)}" for readout, steps in at if steps)
    steps = f"{_steps(graph)}, {order_name(graph.order)} order"
    yield from wrapped(f"{spec.name}: {spec.description}" if spec.description else f"{spec.name}.", room=3)
    yield ""
    yield f"Emitted by cortexgraph {__version__} from the spec with sha256 {spec.digest[:16]}: edit that instead."
    yield ""
    yield from wrapped(f"{steps}, {kind}: {count_of(updates, 'update')}; {read or 'no readout'}.", room=0)
    yield ""
    yield from _table(graph.areas)


def _brief(steps: tuple[int, ...]) -> str:
    """Steps in words: `2, 4 to 128`; two in a row stay two."""
    runs = runs_of_steps(steps)
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def _table(areas: AreaGraph) -> Iterator[str]:
    rows = [("area", "channels", "size", "reads"), *(_row(areas, area) for area in reversed(areas.areas))]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        start = "    " + "  ".join(row[n].ljust(widths[n]) for n in range(3)) + "  "
        lines = textwrap.wrap(row[3], WIDTH - 4, initial_indent=start, subsequent_indent=" " * len(start))
        yield from map(docstring_text, lines)


def _row(areas: AreaGraph, area: Area) -> tuple[str, str, str, str]:
    sources = [f"{connection.source} ({', '.join(_notes(connection))})" for connection in areas.incoming(area.name)]
    return area.name, str(area.channels), by(area.shape[1:]), ", ".join(sources)


def _notes(connection: Connection) -> Iterator[str]:
    yield connection.kind
    if connection.role == "modulate":
        yield "modulating"
    if connection.delay:
        yield f"delay {connection.delay}"
