"""The statements of `forward`: what is read, merged, gated and updated at each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cortexgraph.codegen.text import WIDTH, Call, ranges
from cortexgraph.codegen.view import StepView, UpdateView
from cortexgraph.graph import Area, Connection
from cortexgraph.graph.names import Namespace
from cortexgraph.spec import IMAGE
from cortexgraph.unrolling import Counted, Node, UnrolledGraph

__all__ = ["Variables", "frames", "steps", "zeros"]

Term = tuple[str, str]
"""The code of a term, and a comment on it."""

INDENT = 12
"""Column at which the arguments of an update start."""


class Variables:
    """A local name for each value: `V2_3`, or `V2_3a`, `V2_3b` where a step updates the area several times."""

    def __init__(self, graph: UnrolledGraph) -> None:
        self._names = Namespace()
        self._found: dict[Node, str] = {}
        for connection in graph.areas.connections:
            if connection.source == IMAGE:
                self._names.claim(connection.identifier)
        places: dict[str, list[int]] = {}
        for index, group in enumerate(graph.groups):
            for area in group:
                places.setdefault(area, []).append(index)
        for node in graph:
            if node.kind == "zero":
                base = IMAGE if node.name == IMAGE else graph.areas.area(node.name).identifier
                self._found[node] = self._names.claim(f"{base}_0")
        for node in graph.live_updates():
            turn = places[node.name].index(node.group)
            letter = _letters(turn) if len(places[node.name]) > 1 else ""
            self._found[node] = self._names.claim(f"{graph.areas.area(node.name).identifier}_{node.step}{letter}")

    def __getitem__(self, node: Node) -> str:
        return self._found[node]

    def carried(self, node: Node, name: str) -> str:
        """The local name of what a cell carries from an update: its visible state `h`, or a hidden one."""
        return self._found[node] if name == "h" else f"{self._found[node]}_{name}"


def _letters(n: int) -> str:
    return chr(ord("a") + n) if n < 26 else _letters(n // 26 - 1) + _letters(n % 26)


# ---- what enters ---------------------------------------------------------------


def zeros(graph: UnrolledGraph, variables: Variables) -> Iterator[str]:
    """The states of zeros that silent sources count as."""
    for node in graph:
        if node.kind == "zero":
            yield f"{variables[node]} = {_zeros(graph.areas.shape(node.name))}"


def _zeros(shape: Sequence[int]) -> str:
    return f"zeros(x, {', '.join(map(str, shape))})"


def _hoisted(connection: Connection) -> bool:
    """Whether a static image needs one evaluation of the connection, whatever the step."""
    return connection.source == IMAGE and not connection.per_step and not connection.transform.random


def frames(graph: UnrolledGraph, counts: Counted) -> Iterator[str]:
    """Connections from the image in the order of declaration, each with the frames that it is read at."""
    read: dict[str, set[int]] = {}
    for node in graph.live_updates():
        for connection, source in graph.terms(node):
            if source.kind == "image" and _hoisted(connection):
                read.setdefault(connection.identifier, set()).add(source.step)
    for connection in graph.areas.connections:
        at = read.get(connection.identifier)
        if at is not None:
            arguments = [f"self.{connection.identifier}", "x", ranges("steps=", at)]
            aside = at - counts.frames(graph, connection) if connection.averages else set()
            arguments += [ranges("aside=", aside)] if aside else []
            helper = "per_frame_aside" if aside else "per_frame"
            yield Call(f"{connection.identifier} = {helper}(", tuple(arguments)).laid_out()


# ---- updates -------------------------------------------------------------------


def steps(graph: UnrolledGraph, variables: Variables, counts: Counted) -> Iterator[StepView]:
    updates: dict[int, list[UpdateView]] = {}
    for node in graph.live_updates():
        updates.setdefault(node.step, []).append(_update(graph, node, variables, counts))
    for step, views in updates.items():
        yield StepView(f"# ---- step {step} ".ljust(WIDTH - 30, "-"), tuple(views))


def _update(graph: UnrolledGraph, node: Node, variables: Variables, counts: Counted) -> UpdateView:
    area, before = graph.areas.area(node.name), graph.memory(node)
    aside = area.averages and node not in counts.updates
    arguments = [f"self.{area.identifier},"] * aside
    arguments += _merged(graph, node, area, variables, counts)
    if before is not None:
        arguments += [f"{variables.carried(before, name)}," for name in area.cell.reads]
    if area.per_step:
        arguments.append(f"update={graph.ordinal(node)},")
    return UpdateView(
        targets=_targets(graph, node, area, variables),
        call="untracked" if aside else f"self.{area.identifier}",
        arguments=tuple(arguments),
        shape=f"[B, {', '.join(map(str, area.shape))}]",
    )


def _targets(graph: UnrolledGraph, node: Node, area: Area, variables: Variables) -> str:
    """The visible state, and what the cell keeps hidden; `_` for what nothing reads."""
    if not area.cell.hidden:
        return variables[node]
    edges = [data for _, _, data in graph.out_edges(node, data=True)]
    continued = any(data["memory"] for data in edges)
    seen = any(not data["memory"] or data["connections"] for data in edges)
    visible = seen or (continued and "h" in area.cell.reads)
    hidden = [variables.carried(node, name) if continued else "_" for name in area.cell.hidden]
    return ", ".join([variables[node] if visible else "_", *hidden])


def _merged(graph: UnrolledGraph, node: Node, area: Area, variables: Variables, counts: Counted) -> Iterator[str]:
    """The lines of the merged and gated input, with a comment on each term."""
    terms = [
        (connection, _term(graph, node, connection, source, variables, counts))
        for connection, source in graph.terms(node)
    ]
    drives = {connection.identifier: term for connection, term in terms if connection.role == "drive"}
    gates = [term for connection, term in terms if connection.role == "modulate"]
    if not drives:
        lines = [(_zeros(area.body.shape), "nothing drives it")]
    elif area.merge == "concat":
        lines = list(_concatenated(graph, area, drives))
    else:
        lines = list(_summed([*drives.values()], bool(gates)))
    lines += [(f"* {code}", comment) for code, comment in gates]
    code, comment = lines[-1]
    for line in [*lines[:-1], (f"{code},", comment)]:
        yield _commented(*line)


def _summed(terms: list[Term], gated: bool) -> Iterator[Term]:
    inner = gated and len(terms) > 1
    if inner:
        yield "(", ""
    for n, (code, comment) in enumerate(terms):
        yield f"{'    ' * inner}{'+ ' * (n > 0)}{code}", comment
    if inner:
        yield ")", ""


def _concatenated(graph: UnrolledGraph, area: Area, live: dict[str, Term]) -> Iterator[Term]:
    yield "torch.cat(", ""
    yield "    [", ""
    for connection in graph.areas.incoming(area.name):
        if connection.role != "drive":
            continue
        if connection.identifier in live:
            code, comment = live[connection.identifier]
            yield f"        {code},", comment
        else:
            yield f"        {_zeros(connection.output_shape)},", f"{connection.kind}, nothing"
    yield "    ],", ""
    yield "    dim=1,", ""
    yield ")", ""


def _term(
    graph: UnrolledGraph, node: Node, connection: Connection, source: Node, variables: Variables, counts: Counted
) -> Term:
    """The code of what an update reads through a connection, and a comment on it."""
    notes = [connection.kind, *([f"delay {connection.delay}"] * bool(connection.delay))]
    comment = ", ".join(notes + ["gates the sum"] * (connection.role == "modulate"))
    if source.kind == "image" and _hoisted(connection):
        return f"{connection.identifier}[{source.step}]", comment
    value = f"frame(x, {source.step})" if source.kind == "image" else variables[source]
    update = f", update={graph.ordinal(node)}" if connection.per_step else ""
    if connection.averages and (connection.identifier, node) not in counts.readings:
        return f"untracked(self.{connection.identifier}, {value}{update})", comment
    return f"self.{connection.identifier}({value}{update})", comment


def _commented(code: str, comment: str) -> str:
    """The line with its comment, or without where it would grow too long."""
    line = f"{code}  # {comment}" if comment else code
    return line if INDENT + len(line) <= WIDTH else code
