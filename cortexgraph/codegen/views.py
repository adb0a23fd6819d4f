"""From an unrolled graph to what the templates see."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.codegen.header import header
from cortexgraph.codegen.text import WIDTH, Call, class_name, docstring_text, literal, ranges
from cortexgraph.codegen.view import ModuleView, ParameterGroup, StepView, TermView, UpdateView
from cortexgraph.graph import Area, Connection
from cortexgraph.graph.names import Namespace
from cortexgraph.ops import Operation
from cortexgraph.passes import prune
from cortexgraph.spec import IMAGE
from cortexgraph.unrolling import Node, UnrolledGraph

__all__ = ["module_view"]

KINDS = ("feedforward", "lateral", "feedback")


def module_view(full: UnrolledGraph, graph: UnrolledGraph) -> ModuleView:
    """The emitted file of `graph`, which passes made from `full`."""
    areas = full.areas
    channels, height, width = areas.image_shape
    variables = _variables(graph)
    return ModuleView(
        docstring=header(graph),
        class_name=class_name(Namespace().identifier(areas.spec.name, "network", length=40)),
        summary=docstring_text(f"The network `{areas.spec.name}`, unrolled over {graph.steps} steps."),
        image_shape=f"({channels}, {height}, {width})",
        steps_total=graph.steps,
        per_step=any(area.per_step for area in areas.areas),
        stacked=areas.readout.at != "last",
        returns="tuple[Tensor, dict[tuple[str, int], Tensor]]" if graph.records else "Tensor",
        returns_text=_returns(graph),
        parameters=tuple(_parameters(full)),
        frames=tuple(_frames(graph)),
        steps=tuple(_steps(graph, variables)),
        logits=_logits(graph, variables),
        records=tuple(
            f"({literal(node.name)}, {node.step}): {variables[_state(graph, node)]}" for node in graph.records
        ),
    )


def _variables(graph: UnrolledGraph) -> dict[Node, str]:
    """A local name for each update: `V2_3`, or `V2_3a`, `V2_3b` where a step updates the area several times."""
    names = Namespace()
    for connection in graph.areas.connections:
        if connection.source == IMAGE:
            names.claim(connection.identifier)
    places: dict[str, list[int]] = {}
    for index, group in enumerate(graph.groups):
        for area in group:
            places.setdefault(area, []).append(index)
    found = {}
    for node in graph.live_updates():
        turn = places[node.name].index(node.group)
        letter = _letters(turn) if len(places[node.name]) > 1 else ""
        found[node] = names.claim(f"{graph.areas.area(node.name).identifier}_{node.step}{letter}")
    return found


def _letters(n: int) -> str:
    return chr(ord("a") + n) if n < 26 else _letters(n // 26 - 1) + _letters(n % 26)


def _state(graph: UnrolledGraph, sink: Node) -> Node:
    state: Node = next(iter(graph.predecessors(sink)))
    return state


# ---- parameters ------------------------------------------------------------


def _parameters(full: UnrolledGraph) -> Iterator[ParameterGroup]:
    areas = full.areas
    reached = _reached(full)
    yield ParameterGroup(
        "areas: what each does with the sum of its inputs",
        tuple(_area(area, full.ordinals[area.name], _ordinals(full, reached, area)) for area in areas.areas),
    )
    used = {connection.identifier for node in reached for connection, _ in full.terms(node)}
    for kind in KINDS:
        statements = tuple(_connection(c, c.identifier in used) for c in areas.connections if c.kind == kind)
        if statements:
            yield ParameterGroup(kind, statements)
    readout = areas.readout
    arguments = (
        f"pool={readout.pool.constructor()}",
        "flatten=nn.Flatten()",
        f"linear={readout.linear.constructor()}",
    )
    yield ParameterGroup("readout", (Call(f"self.{readout.identifier} = chain(", arguments).laid_out(),))


def _reached(full: UnrolledGraph) -> list[Node]:
    """Live updates that a readout depends on, whatever is recorded."""
    bare: UnrolledGraph = full.copy()
    bare.remove_nodes_from(full.records)
    return list(prune(bare).updates())


def _ordinals(full: UnrolledGraph, reached: list[Node], area: Area) -> list[int]:
    return [full.ordinal(node) for node in reached if node.name == area.name]


def _area(area: Area, sets: int, reached: list[int]) -> str:
    operations = tuple(_operation(operation, sets, reached) for operation in area.body)
    end = ")" if reached or not area.parameters() else ").requires_grad_(False)"
    return Call(f"self.{area.identifier} = {'Area' if area.per_step else 'chain'}(", operations, end).laid_out()


def _operation(operation: Operation, sets: int, reached: list[int]) -> str | Call:
    if not operation.per_step:
        return f"{operation.role}={operation.constructor()}"
    make = f"lambda: {operation.constructor()}"
    return Call(f"{operation.role}=PerStep(", (make, f"sets={sets}", ranges("reached=", reached)))


def _connection(connection: Connection, used: bool) -> str:
    operations = tuple(f"{operation.role}={operation.constructor()}" for operation in connection.transform)
    end = ")" if used else ").requires_grad_(False)"
    return Call(f"self.{connection.identifier} = chain(", operations, end).laid_out()


# ---- updates ---------------------------------------------------------------


def _frames(graph: UnrolledGraph) -> Iterator[str]:
    """Connections from the image, each with the frames that it is read at."""
    read: dict[str, set[int]] = {}
    for node in graph.live_updates():
        for connection, source in graph.terms(node):
            if source.kind == "image":
                read.setdefault(connection.identifier, set()).add(source.step)
    for identifier, steps in read.items():
        arguments = (f"self.{identifier}", "x", ranges("steps=", steps))
        yield Call(f"{identifier} = per_frame(", arguments).laid_out()


def _steps(graph: UnrolledGraph, variables: dict[Node, str]) -> Iterator[StepView]:
    updates: dict[int, list[UpdateView]] = {}
    for node in graph.live_updates():
        updates.setdefault(node.step, []).append(_update(graph, node, variables))
    for step, views in updates.items():
        yield StepView(f"# ---- step {step} ".ljust(WIDTH - 30, "-"), tuple(views))


def _update(graph: UnrolledGraph, node: Node, variables: dict[Node, str]) -> UpdateView:
    area = graph.areas.area(node.name)
    return UpdateView(
        variable=variables[node],
        area=area.identifier,
        terms=tuple(_term(connection, source, variables) for connection, source in graph.terms(node)),
        update=graph.ordinal(node) if area.per_step else None,
        shape=f"[B, {', '.join(map(str, area.shape))}]",
    )


def _term(connection: Connection, source: Node, variables: dict[Node, str]) -> TermView:
    comment = connection.kind + (f", delay {connection.delay}" if connection.delay else "")
    if source.kind == "image":
        return TermView(f"{connection.identifier}[{source.step}]", comment)
    return TermView(f"self.{connection.identifier}({variables[source]})", comment)


def _logits(graph: UnrolledGraph, variables: dict[Node, str]) -> str:
    """The statement that makes the logits: returned at once where no state is recorded."""
    readout = graph.areas.readout
    start = "logits = " if graph.records else "return "
    reads = tuple(f"self.{readout.identifier}({variables[_state(graph, node)]})" for node in graph.readouts)
    if readout.at == "last":
        return start + reads[0]
    return Call(f"{start}torch.stack(", (Call("[", reads, "]"), "dim=1")).laid_out()


def _returns(graph: UnrolledGraph) -> str:
    """The forward contract in words."""
    readout = graph.areas.readout
    steps = [node.step for node in graph.readouts]
    if readout.at == "last":
        logits = f"Logits [B, {readout.classes}] at step {steps[0]}"
    else:
        logits = f"Logits [B, {len(steps)}, {readout.classes}] at {len(steps)} steps from {steps[0]} to {steps[-1]}"
    return f"{logits}, and the recorded states by (area, step)." if graph.records else f"{logits}."
