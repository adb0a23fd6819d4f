"""From an unrolled graph to what the templates see."""

from __future__ import annotations

from cortexgraph.codegen import updates
from cortexgraph.codegen.header import header
from cortexgraph.codegen.helpers import taken_names
from cortexgraph.codegen.parameters import parameter_groups
from cortexgraph.codegen.text import Call, class_name, docstring_text, literal
from cortexgraph.codegen.view import MemoryFormat, ModuleView
from cortexgraph.graph.model import Readout
from cortexgraph.graph.names import Namespace
from cortexgraph.unrolling import Node, UnrolledGraph, counted

__all__ = ["module_view", "operations_of"]


def module_view(full: UnrolledGraph, graph: UnrolledGraph, memory_format: MemoryFormat) -> ModuleView:
    """The emitted file of `graph`, which passes made from `full`."""
    areas = full.areas
    channels, height, width = areas.image_shape
    variables, counts = updates.Variables(graph), counted(full)
    logits = "Tensor" if len(areas.readouts) == 1 else "dict[str, Tensor]"
    return ModuleView(
        docstring=header(graph),
        class_name=class_name(
            Namespace().identifier(areas.spec.name, "network", length=40), taken_names(operations_of(graph))
        ),
        summary=docstring_text(f"The network `{areas.spec.name}`, unrolled over {graph.steps} steps."),
        image_shape=f"({channels}, {height}, {width})",
        steps_total=graph.steps,
        returns=f"tuple[{logits}, dict[tuple[str, int], Tensor]]" if graph.records else logits,
        returns_text=_returns(graph),
        parameters=tuple(parameter_groups(full)),
        channels_last=memory_format == "channels_last",
        zeros=tuple(updates.zeros(graph, variables)),
        frames=tuple(updates.frames(graph, counts)),
        steps=tuple(updates.steps(graph, variables, counts)),
        logits=_logits(graph, variables),
        records=tuple(
            f"({literal(node.name)}, {node.step}): {variables[_state(graph, node)]}" for node in graph.records
        ),
    )


def operations_of(graph: UnrolledGraph) -> list[object]:
    """Every operation and cell of the network, also those inside others."""
    chains = [area.body for area in graph.areas.areas] + [c.transform for c in graph.areas.connections]
    found: list[object] = [link.operation for chain in chains for _, link in chain.walk()]
    return found + [area.cell for area in graph.areas.areas]


def _state(graph: UnrolledGraph, sink: Node) -> Node:
    state: Node = next(iter(graph.predecessors(sink)))
    return state


def _read(graph: UnrolledGraph, readout: Readout) -> list[Node]:
    return [node for node in graph.readouts if node.name == readout.name]


def _logits(graph: UnrolledGraph, variables: updates.Variables) -> str:
    """The statement that makes the logits: returned at once where no state is recorded."""
    start = "logits = " if graph.records else "return "
    readouts = graph.areas.readouts
    if len(readouts) == 1:
        found = _readout(graph, readouts[0], variables, start)
        return found if isinstance(found, str) else found.laid_out()
    items = tuple(_readout(graph, readout, variables, f"{literal(readout.name)}: ") for readout in readouts)
    return Call(f"{start}{{", items, "}").laid_out()


def _readout(graph: UnrolledGraph, readout: Readout, variables: updates.Variables, start: str) -> str | Call:
    nodes = _read(graph, readout)
    reads = tuple(f"self.{readout.identifier}({variables[_state(graph, node)]})" for node in nodes)
    if readout.at == "last":
        return start + reads[0]
    return Call(f"{start}torch.stack(", (Call("[", reads, "]"), "dim=1"))


def _returns(graph: UnrolledGraph) -> str:
    """The forward contract in words."""
    if len(graph.areas.readouts) > 1:
        logits = "Logits by readout: [B, classes], or [B, n, classes] for n steps"
    else:
        (readout,) = graph.areas.readouts
        steps = [node.step for node in graph.readouts]
        logits = f"Logits [B, {len(steps)}, {readout.classes}] at {len(steps)} steps from {steps[0]} to {steps[-1]}"
        if readout.at == "last":
            logits = f"Logits [B, {readout.classes}] at step {steps[0]}"
    return f"{logits}, and the recorded states by (area, step)." if graph.records else f"{logits}."
