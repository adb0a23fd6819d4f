"""The body of `forward`: what enters, the steps and the loop in the order of execution, and what is returned."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from cortexgraph.codegen.segments import Handed, reads, segmented
from cortexgraph.codegen.sinks import Sinks
from cortexgraph.codegen.text import WIDTH, Call
from cortexgraph.codegen.updates import Writer, drive, targets, update, zeros_text
from cortexgraph.codegen.view import StepView
from cortexgraph.unrolling import Loop, Node
from cortexgraph.unrolling.carried import Carried, is_inline

__all__ = ["frames", "steps", "zeros"]

INDENT = 8
"""Column at which the statements of `forward` start."""


def zeros(writer: Writer) -> Iterator[str]:
    """The states of zeros that silent sources count as."""
    graph = writer.graph
    for node in graph:
        if node.kind == "zero":
            yield f"{writer.variables.of(node)} = {zeros_text(graph.areas.shape(node.name), folded=graph.folded(node))}"


def frames(writer: Writer) -> Iterator[str]:
    """What the image drives through each connection of which several frames are read, in the order of declaration."""
    graph = writer.graph
    shared = {node.name for node in graph if node.kind == "drive" and graph.evaluation(node)[1].kind == "image"}
    for connection in graph.areas.connections:
        if connection.identifier in shared and not connection.averages:
            arguments = (f"self.{connection.identifier}", "x", "still")
            yield Call(f"{connection.identifier} = per_frame(", arguments).laid_out()


def steps(writer: Writer, sinks: Sinks, runs: int | None = None) -> Iterator[StepView]:
    """A view of each step that does something, and one of the loop, in segments of so many runs of its body."""
    by_step: dict[int, list[Node]] = {}
    for node in writer.graph:
        made = node.kind in {"update", "drive"} and not is_inline(writer.graph, node)
        if writer.graph.live(node) and (made or node.kind in {"readout", "record"}):
            by_step.setdefault(node.step, []).append(node)
    loop, last = writer.graph.loop, max(by_step)
    releases = _releases(writer)
    releases.pop(last, None)  # what is returned is read after it, and the rest goes with the call
    for step in sorted(by_step):
        if loop is None or not loop.first <= step <= loop.last:
            yield _step(writer, sinks, step, by_step[step], releases)
        elif step == min(s for s in by_step if s >= loop.first):
            view = _loop(writer, sinks, loop, by_step, releases)
            yield view if runs is None else _in_segments(writer, sinks, loop, view, releases, runs)


def _step(writer: Writer, sinks: Sinks, step: int, nodes: list[Node], releases: dict[int, list[str]]) -> StepView:
    lines = [*_statements(writer, sinks, nodes, INDENT)]
    loop = writer.graph.loop
    if loop is None or step != loop.first - 1:  # before a loop, it is handed over first
        lines += _deleted(releases.get(step, []))
    return StepView(_banner(f"step {writer.graph.actual_step(step)}"), tuple(lines))


def _banner(text: str) -> str:
    return f"# ---- {text} ".ljust(WIDTH - 30, "-")


def _statements(writer: Writer, sinks: Sinks, nodes: list[Node], indent: int) -> Iterator[str]:
    for node in nodes:
        if node.kind == "update":
            yield from update(writer, node, indent)
        elif node.kind == "drive":
            yield from drive(writer, node, indent)
    for node in nodes:
        if node.kind in {"readout", "record"}:
            yield from (f"{' ' * indent}{line}" for line in sinks.lines(node))


# ---- the loop ------------------------------------------------------------------


def _loop(
    writer: Writer, sinks: Sinks, loop: Loop, by_step: dict[int, list[Node]], releases: dict[int, list[str]]
) -> StepView:
    """The loop: what it is handed, its body, what each run hands to the next, and what it leaves."""
    indent = INDENT + 4
    body: list[str] = []
    for step in range(loop.first, loop.last + 1):
        if loop.period > 1:
            body.append(f"{' ' * indent}# step {step - loop.first + 1} of {loop.period}")
        body += _statements(writer, sinks, by_step.get(step, []), indent)
    body += [f"{' ' * indent}{line}" for line in _handed_on(writer, loop)]
    end = loop.last + loop.skipped
    stride = f", {loop.period}" if loop.period > 1 else ""
    counter = "t" if any(re.search(r"(?<![\w.])t\b", line.split("  #")[0]) for line in body) else "_"
    before = [f"{' ' * INDENT}{line}" for line in _handed_in(writer)]
    before += _deleted(releases.get(loop.first - 1, []))
    after = [f"{' ' * INDENT}{line}" for line in _left(writer, loop)]
    after += _deleted(releases.get(loop.last, []))
    return StepView(
        _banner(f"steps {loop.first} to {end}: each as the {'one' if loop.period == 1 else loop.period} before"),
        tuple(body),
        f"for {counter} in range({loop.first}, {end + 1}{stride}):",
        tuple(before),
        tuple(after),
    )


def _in_segments(
    writer: Writer, sinks: Sinks, loop: Loop, view: StepView, releases: dict[int, list[str]], runs: int
) -> StepView:
    """The loop as segments that the backward pass computes again; what they read from outside is not let go of."""
    names, carried = writer.variables, writer.carries
    ends = {
        _now(writer, loop, value): names.before(value.node, value.back, value.part)
        for value in carried.round
        if value.back <= loop.period
    }
    start = dict(line.split(" = ") for line in _handed_in(writer))
    end = {}
    for line in _left(writer, loop):
        name, value = line.split(" = ")
        end[ends.get(value, value)] = name
    made = [name for name in end if name not in start]
    kinds = {**dict.fromkeys(sinks.lists.values(), "list[Tensor]"), sinks.states: "dict[tuple[str, int], Tensor]"}
    handed = Handed(
        before=tuple(start),
        start=tuple(start.values()),
        made=tuple(made),
        end=tuple(end.get(name, "_") for name in (*start, *made)),
        gathered=tuple((name, kind) for name, kind in kinds.items() if name and reads(view.lines, name)),
    )
    for step, gone in releases.items():
        if step >= loop.last:
            releases[step] = [name for name in gone if not reads(view.lines, name)]
    banner = _banner(f"{view.banner[7:].rstrip(' -')}; backward computes {runs * loop.period} at a time again").rstrip()
    entered = tuple(_deleted(releases.get(loop.first - 1, [])))
    view = replace(view, banner=banner, before=entered, after=tuple(_deleted(releases.get(loop.last, []))))
    return segmented(view, handed, loop.first, loop.last + loop.skipped + 1, loop.period, runs)


def _handed_in(writer: Writer) -> Iterator[str]:
    for value in writer.carries.round:
        if value.node in writer.graph and value.node.step >= 1:
            name = writer.variables.at(value.node, value.node.step, value.part)
            yield f"{writer.variables.before(value.node, value.back, value.part)} = {name}"


def _handed_on(writer: Writer, loop: Loop) -> Iterator[str]:
    """The furthest back first, so that nothing is overwritten before it is handed on."""
    for value in sorted(writer.carries.round, key=lambda value: -value.back):
        yield f"{writer.variables.before(value.node, value.back, value.part)} = {_now(writer, loop, value)}"


def _now(writer: Writer, loop: Loop, value: Carried) -> str:
    """The name of a value at the end of a run: made in it, or found by it."""
    if value.back <= loop.period:
        return writer.variables.of(value.node._replace(step=loop.last + 1 - value.back), value.part)
    return writer.variables.before(value.node, value.back - loop.period, value.part)


def _left(writer: Writer, loop: Loop) -> Iterator[str]:
    """What is read after the loop, under the names of the last steps."""
    for value in writer.carries.out:
        name = _name_behind(writer, value)
        if value.back <= loop.period:
            yield f"{name} = {_now(writer, loop, value)}"
        else:
            yield f"{name} = {writer.variables.before(value.node, value.back, value.part)}"


def _name_behind(writer: Writer, value: Carried) -> str:
    """The name of what the loop leaves, by its step in time."""
    loop = writer.graph.loop
    assert loop is not None
    return writer.variables.at(value.node, value.node.step + loop.period + loop.skipped, value.part)


# ---- release -------------------------------------------------------------------


def _releases(writer: Writer) -> dict[int, list[str]]:
    """For each step the names that no later step reads, in the order in which they are made."""
    graph, loop = writer.graph, writer.graph.loop
    found: dict[int, list[str]] = {}
    for node in graph:
        last = graph.last_read(node)
        if (
            last is not None
            and not is_inline(graph, node)
            and (loop is None or not loop.first <= node.step <= loop.last)
        ):
            names = targets(writer, node) if node.kind == "update" else [writer.variables.of(node)]
            found.setdefault(last, []).extend(name for name in names if name != "_")
    for value in writer.carries.out:
        source = value.node._replace(step=value.node.step + graph.loop.period) if graph.loop else value.node
        if graph.last_read(source) is not None:
            last = max(reader.step for reader in graph.successors(source) if graph.live(reader))
            found.setdefault(last, []).append(_name_behind(writer, value))
    return found


def _deleted(names: list[str]) -> list[str]:
    """The statement that lets go of names."""
    if not names:
        return []
    line = f"{' ' * INDENT}del {', '.join(names)}"
    if len(line) <= WIDTH:
        return [line]
    return [" " * INDENT + Call("del (", tuple(names)).laid_out(INDENT, after=WIDTH)]
