"""The statement of one update: what is read, merged, gated and made of it; and that of one drive."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cortexgraph.codegen.text import WIDTH
from cortexgraph.codegen.variables import Variables
from cortexgraph.graph import Area, Connection
from cortexgraph.unrolling import Node, Repeat, UnrolledGraph
from cortexgraph.unrolling.carried import Carries, is_inline

__all__ = ["Writer", "drive", "targets", "update", "zeros_text"]

Term = tuple[str, str]
"""The code of a term, and a comment on it."""


@dataclass(frozen=True)
class Writer:
    """What statements are written with.

    Attributes:
        graph: what is computed.
        variables: names of values.
        carries: what the graph's loop carries.
    """

    graph: UnrolledGraph
    variables: Variables
    carries: Carries

    def ordinal(self, node: Node) -> str:
        """The number of an update, in a loop as a function of the step t."""
        graph, loop = self.graph, self.graph.loop
        numbers = graph.every_ordinal(node)
        if loop is None or len(numbers) == 1 or numbers.step == 0:
            return str(numbers[0])
        if numbers.step % loop.period:
            return f"{numbers[0]} + {numbers.step} * ((t - {loop.first}) // {loop.period})"
        rate = numbers.step // loop.period
        return shifted("t" if rate == 1 else f"{rate} * t", numbers[0] - rate * loop.first)

    def step(self, node: Node) -> str:
        """The step of an update or sink, in a loop as a function of the step t."""
        loop = self.graph.loop
        if loop is None or not loop.first <= node.step <= loop.last:
            return str(self.graph.actual_step(node.step))
        return shifted("t", node.step - loop.first)

    def frame(self, image: Node, step: int) -> str:
        """The number of the frame that a step reads, in a loop as a function of the step t."""
        loop = self.graph.loop
        if loop is None or step < loop.first:
            return str(image.step)
        return str(image.step + loop.skipped) if step > loop.last else shifted("t", image.step - loop.first)


def shifted(text: str, by: int) -> str:
    """`t + 2`, `t - 3`, or `t`."""
    return f"{text} {'+' if by > 0 else '-'} {abs(by)}" if by else text


def zeros_text(shape: Sequence[int], *, folded: bool = False) -> str:
    """Zeros for the batch, or for a batch of one."""
    numbers = ", ".join(map(str, shape))
    return f"x.new_zeros(1, {numbers})" if folded else f"zeros(x, {numbers})"


# ---- updates and drives --------------------------------------------------------


def update(writer: Writer, node: Node, indent: int) -> Iterator[str]:
    """The lines of an update's statement."""
    graph, area = writer.graph, writer.graph.areas.area(node.name)
    repeat, made = graph.repeat(node), ", ".join(targets(writer, node))
    if repeat is not None:
        yield from _repeated(writer, repeat, node, made, indent)
        indent += 4
    aside = area.averages and not graph.read(node)
    one_of_all = graph.folded(node) and area.averages
    outer, inner = " " * indent, " " * (indent + 4)
    yield f"{outer}{made} = {'untracked' if aside else f'self.{area.identifier}'}("
    if aside:
        yield f"{inner}self.{area.identifier},"
    for line in _arguments(writer, node, area, indent + 4):
        yield f"{inner}{line}"
    shape = ", ".join(map(str, area.shape))
    comment = f"[1, {shape}], the same for every image" if graph.folded(node) else f"[B, {shape}]"
    yield f"{outer}){'[:1]' if one_of_all else ''}  # {comment}"


def drive(writer: Writer, node: Node, indent: int) -> Iterator[str]:
    """The lines of a drive's statement."""
    graph = writer.graph
    connection, source = graph.evaluation(node)
    repeat, name = graph.repeat(node), writer.variables.of(node)
    if source.kind == "image" and not connection.averages:
        yield _commented(
            f"{name} = {connection.identifier}({writer.frame(source, node.step)})", connection.kind, indent
        )
        return
    if repeat is not None:
        yield from _repeated(writer, repeat, node, name, indent)
        indent += 4
    yield _commented(f"{name} = {_evaluation(writer, node, connection, source)}", connection.kind, indent)


def _repeated(writer: Writer, repeat: Repeat, node: Node, made: str, indent: int) -> Iterator[str]:
    """The value of an earlier update or drive, and the condition under which the statement that follows is needed."""
    conditions = ["self.training"] * repeat.evaluation + ["not still"] * repeat.still
    yield f"{' ' * indent}{made} = {writer.variables.read(repeat.of, node.step)}"
    yield f"{' ' * indent}if {' or '.join(conditions)}:"


def targets(writer: Writer, node: Node) -> list[str]:
    """Names of the visible state, and of what the cell keeps hidden; `_` for what nothing reads."""
    cell = writer.graph.areas.area(node.name).cell
    if not cell.hidden:
        return [writer.variables.of(node)]
    edges = [data for _, _, data in writer.graph.out_edges(node, data=True)]
    named = writer.carries.named
    continued = any(data["memory"] for data in edges) or any((node, part) in named for part in cell.hidden)
    seen = any(not data["memory"] or data["connections"] for data in edges) or (node, "h") in named
    visible = seen or (continued and "h" in cell.reads)
    hidden = [writer.variables.of(node, name) if continued else "_" for name in cell.hidden]
    return [writer.variables.of(node) if visible else "_", *hidden]


def _arguments(writer: Writer, node: Node, area: Area, indent: int) -> Iterator[str]:
    """The merged input, the old state, and the ordinal, as lines."""
    graph, before = writer.graph, writer.graph.memory(node)
    yield from _for_every_image(writer, node, area, [*_merged(writer, node, area)], indent)
    if before is not None:
        again = graph.folded(before) and not graph.folded(node)
        for value in (writer.variables.read(before, node.step, part) for part in area.cell.reads):
            yield f"repeated({value}, x)," if again else f"{value},"
    yield f"step={writer.step(node)},"
    if area.per_step:
        yield f"update={writer.ordinal(node)},"


# ---- the merged input ----------------------------------------------------------


def _for_every_image(writer: Writer, node: Node, area: Area, lines: list[Term], indent: int) -> Iterator[str]:
    """The lines of the merged input, repeated over the batch where it is the same for every image but must not be."""
    graph = writer.graph
    folded, terms = graph.folded(node), graph.terms(node)
    needed = (folded and area.averages) or (
        not folded and area.merge == "sum" and bool(terms) and all(_is_folded(graph, c, s) for c, s in terms)
    )
    if needed:
        when = [("when=self.training,", "")] if folded else []
        code, comment = lines[-1]
        lines = [("repeated(", ""), *[(f"    {line}", note) for line, note in lines[:-1]], (f"    {code},", comment)]
        lines += [("    x,", ""), *[(f"    {line}", note) for line, note in when], (")", "")]
    code, comment = lines[-1]
    for line, note in [*lines[:-1], (f"{code},", comment)]:
        yield _commented(line, note, indent)[indent:]


def _is_folded(graph: UnrolledGraph, connection: Connection, source: Node) -> bool:
    """Whether what a connection makes of a value is the same for every image, and there for a batch of one."""
    if source.kind == "drive":
        return graph.folded(source)
    return graph.folded(source) and not connection.averages and not connection.transform.random


def _merged(writer: Writer, node: Node, area: Area) -> Iterator[Term]:
    """The code of the merged and gated input, with a comment on each term."""
    terms = [(connection, _term(writer, node, connection, source)) for connection, source in writer.graph.terms(node)]
    drives = {connection.identifier: term for connection, term in terms if connection.role == "drive"}
    gates = [term for connection, term in terms if connection.role == "modulate"]
    if not drives:
        yield zeros_text(area.body.shape, folded=writer.graph.folded(node)), "nothing drives it"
    elif area.merge == "concat":
        yield from _concatenated(writer, node, area, drives)
    else:
        yield from _summed([*drives.values()], bool(gates))
    yield from ((f"* {code}", comment) for code, comment in gates)


def _summed(terms: list[Term], gated: bool) -> Iterator[Term]:
    inner = gated and len(terms) > 1
    if inner:
        yield "(", ""
    for n, (code, comment) in enumerate(terms):
        yield f"{'    ' * inner}{'+ ' * (n > 0)}{code}", comment
    if inner:
        yield ")", ""


def _concatenated(writer: Writer, node: Node, area: Area, live: dict[str, Term]) -> Iterator[Term]:
    folded = writer.graph.folded(node)
    yield "torch.cat(", ""
    yield "    [", ""
    for connection in writer.graph.areas.incoming(area.name):
        if connection.role != "drive":
            continue
        if connection.identifier in live:
            code, comment = live[connection.identifier]
            yield f"        {code},", comment
        else:
            yield f"        {zeros_text(connection.output_shape, folded=folded)},", f"{connection.kind}, nothing"
    yield "    ],", ""
    yield "    dim=1,", ""
    yield ")", ""


def _term(writer: Writer, node: Node, connection: Connection, source: Node) -> Term:
    """The code of what an update reads through a connection, and a comment on it."""
    graph = writer.graph
    notes = [connection.kind, *([f"delay {connection.delay}"] * bool(connection.delay))]
    comment = ", ".join(notes + ["gates the sum"] * (connection.role == "modulate"))
    if is_inline(graph, source):
        _, image = graph.evaluation(source)
        return f"{connection.identifier}({writer.frame(image, node.step)})", comment
    if source.kind == "drive":
        code = writer.variables.read(source, node.step)
    else:
        code = _evaluation(writer, node, connection, source)
    apart = graph.areas.area(node.name).merge == "concat" and connection.role == "drive" and not graph.folded(node)
    return f"repeated({code}, x)" if apart and _is_folded(graph, connection, source) else code, comment


def _evaluation(writer: Writer, node: Node, connection: Connection, source: Node) -> str:
    """The call of a connection for an update or drive."""
    graph, module = writer.graph, f"self.{connection.identifier}"
    update = f", update={writer.ordinal(node)}" if connection.per_step else ""
    counts = connection.identifier in graph.counted(node)
    if source.kind == "image":
        frame = writer.frame(source, node.step)
        if connection.averages and counts and connection.identifier in graph.counted_again(node):
            return f"later_frame({module}, x, {frame}, still)"
        value = f"frame(x, {frame}, still)"
    else:
        value = writer.variables.read(source, node.step)
        if graph.folded(source) and (connection.averages or connection.transform.random):
            value = f"repeated({value}, x)"
    if connection.averages and not counts:
        return f"untracked({module}, {value}{update})"
    return f"{module}({value}{update})"


# ---- lines ---------------------------------------------------------------------


def _commented(code: str, comment: str, indent: int) -> str:
    """The indented line with its comment, or without where it would grow too long."""
    line = f"{' ' * indent}{code}  # {comment}" if comment else f"{' ' * indent}{code}"
    return line if len(line) <= WIDTH else f"{' ' * indent}{code}"
