"""From an unrolled graph to the source of a Python module that needs only torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Literal

from cortexgraph.codegen.blocks import blocks_of
from cortexgraph.codegen.header import header
from cortexgraph.codegen.lower import banner, lower
from cortexgraph.codegen.parameters import ParameterGroup, parameter_groups
from cortexgraph.codegen.text import class_name, docstring_text, prelude, wrapped
from cortexgraph.graph.names import Namespace
from cortexgraph.ops.source import imports_for, library, names_in, sources_of, taken_names
from cortexgraph.unrolling import Loop, Node, UnrolledGraph

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["Emitted", "MemoryFormat", "emit_source"]

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
    class_name: str
    summary: str
    returns: str
    contract: str
    parameters: tuple[ParameterGroup, ...]
    channels_last: bool


def emit_source(
    full: UnrolledGraph, graph: UnrolledGraph, memory_format: MemoryFormat = "contiguous", runs: int | None = None
) -> Emitted:
    """The module that computes `graph`; `full` is the graph before passes, which owns the parameters.

    With `runs`, so many runs of the loop's body are one segment that the backward pass recomputes.

    Equal graphs give equal bytes. Names from the spec enter as identifiers and escaped text only.
    """
    operations = _operations_of(full)
    taken = taken_names(operations, prelude())
    groups = tuple(parameter_groups(full))
    blocks = blocks_of([module for group in groups for module in group.modules], taken)
    by_block = {identifier: module for block in blocks for identifier, module in block.modules.items()}
    groups = tuple(
        replace(group, modules=tuple(by_block.get(module.identifier, module) for module in group.modules))
        for group in groups
    )
    view = _view(graph, groups, memory_format, {*taken, *(block.name for block in blocks)})
    head = _environment().get_template("network.py.jinja").render(view=view)
    body, places = _body(graph, runs)
    written = "\n".join([head, *body, *(block.source for block in blocks)])
    used = names_in(written)
    own = [item for operation in operations for item in getattr(operation, "helpers", ())]
    classes = dict.fromkeys(item for item in own if not isinstance(item, str))
    known = [name for name in (*prelude(), *library()) if name in used]
    helpers = sources_of([*known, *classes], prelude())
    imports = imports_for([*helpers, written])
    module = _environment().get_template("module.py.jinja")
    definitions = (*helpers, *(block.source for block in blocks))
    start = module.render(view=view, imports=imports, helpers=definitions).rstrip("\n") + "\n\n\n" + head
    offset = start.count("\n") + 1
    lines = {node: (first + offset, last + offset) for node, (first, last) in places.items()}
    return Emitted(start + "\n".join(body) + "\n", lines, graph.loop)


def _body(graph: UnrolledGraph, runs: int | None) -> tuple[list[str], dict[Node, tuple[int, int]]]:
    """The lines of `forward`, and where each node's statement stands among them, from 0."""
    lines: list[str] = []
    places: dict[Node, tuple[int, int]] = {}
    for n, section in enumerate(lower(graph, runs)):
        if n:
            lines.append("")
        if section.banner:
            lines.append(" " * 8 + banner(section.banner).rstrip())
        for statement in section.statements:
            text = statement.lines(8)
            if statement.node is not None:
                places[statement.node] = (len(lines), len(lines) + len(text) - 1)
            for inner, first, last in statement.places(8):
                places[inner] = (len(lines) + first, len(lines) + last)
            lines += text
    return lines, places


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("cortexgraph.codegen"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def _view(
    graph: UnrolledGraph, groups: tuple[ParameterGroup, ...], memory_format: MemoryFormat, taken: Collection[str]
) -> ModuleView:
    areas = graph.areas
    logits = "Tensor" if len(areas.readouts) == 1 else "dict[str, Tensor]"
    name = Namespace().identifier(areas.spec.name, "network")
    frames = f"videos [B, {graph.steps}, C, H, W], a frame for each step" if graph.video else "images [B, C, H, W]"
    return ModuleView(
        docstring=header(graph),
        class_name=class_name(name, taken),
        summary=docstring_text(
            f"The network `{areas.spec.name}`, unrolled over {graph.steps} step{'s' * (graph.steps > 1)}."
        ),
        returns=f"tuple[{logits}, dict[tuple[str, int], Tensor]]" if graph.records else logits,
        contract=f"\n{' ' * 8}".join(wrapped(f"{_returns(graph)}; x: {frames}.", 14)),
        parameters=groups,
        channels_last=memory_format == "channels_last",
    )


def _operations_of(graph: UnrolledGraph) -> list[object]:
    """Every operation and cell of the network, also those inside others."""
    chains = [area.body for area in graph.areas.areas] + [c.transform for c in graph.areas.connections]
    operations: list[object] = [link.operation for chain in chains for _, link in chain.walk()]
    return operations + [area.cell for area in graph.areas.areas]


def _returns(graph: UnrolledGraph) -> str:
    """The forward contract in words."""
    if len(graph.areas.readouts) > 1:
        logits = "Logits by readout: [B, classes], or [B, n, classes] for n steps"
    else:
        (readout,) = graph.areas.readouts
        steps = graph.readout_steps(readout.name)
        logits = f"Logits [B, {len(steps)}, {readout.classes}] at {len(steps)} steps from {steps[0]} to {steps[-1]}"
        if readout.at == "last":
            logits = f"Logits [B, {readout.classes}] at step {steps[0]}"
    return f"{logits}, and the recorded states by (area, step)" if graph.records else logits
