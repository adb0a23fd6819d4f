"""What `forward` returns: readouts and recorded states, gathered at the end of their steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from operator import sub

from cortexgraph.codegen.names import Names, list_name
from cortexgraph.codegen.statements import Append, Assign, Do, Statement
from cortexgraph.codegen.text import WIDTH, Call, Code, literal
from cortexgraph.graph import Readout
from cortexgraph.unrolling import Node, UnrolledGraph


class Sinks:
    """The statements that make, fill and return logits and states."""

    def __init__(self, graph: UnrolledGraph, names: Names, step: Callable[[Node], str]) -> None:
        self.graph, self.names, self.step = graph, names, step
        self.readouts = {readout.name: readout for readout in graph.areas.readouts}
        self.lists = {readout.name: list_name(readout) for readout in graph.areas.readouts if readout.at != "last"}
        self.states = "states" if graph.records else ""

    def containers(self) -> Iterator[tuple[str, str]]:
        """The lists and the dictionary that the steps fill, with their types."""
        yield from ((name, "list[Tensor]") for name in self.lists.values())
        if self.states:
            yield self.states, "dict[tuple[str, int], Tensor]"

    def start(self) -> list[Statement]:
        """The lists and the dictionary, empty."""
        return [
            Assign((name,), value="{}" if kind.startswith("dict") else "[]", target=f"{name}: {kind}")
            for name, kind in self.containers()
        ]

    def gather(self, sink: Node) -> Iterator[Statement]:
        """What the end of a step does for a readout or record; nothing for a readout of the last step alone."""
        if sink.kind == "record":
            target = f"{self.states}[{literal(sink.name)}, {self.step(sink)}]"
            yield Assign((), self._reads(sink) | {self.states}, sink, value=self._state(sink), target=target)
        elif sink.name in self.lists:
            name = self.lists[sink.name]
            yield Append((), self._reads(sink) | {name}, sink, container=name, value=self._gathered(sink))

    def result(self) -> Statement:
        """The statement that returns."""
        several = len(self.readouts) > 1
        logits = [self._result(r, f"{literal(name)}: " if several else "") for name, r in self.readouts.items()]
        value = Call("{", tuple(logits), "}") if several else logits[0]
        last = [n for n in self.graph.readouts if n.name not in self.lists and self.graph.written(n)]
        left = self._left()
        reads = frozenset[str]().union(*map(self._reads, last), left)
        values: tuple[Code, ...] = (value, self.states) if self.states else (value,)
        if self.graph.info.piece is not None:
            values = (*values, Call("(", left, ",)" if len(left) == 1 else ")"))
        if len(values) == 1:
            return Do(reads=reads, code=value.behind("return "))
        line = f"return {', '.join(map(str, values))}"
        return Do(reads=reads, code=line if len(line) <= WIDTH - 8 else Call("return (", values))

    def _left(self) -> tuple[str, ...]:
        """The names of what a piece of a stream leaves to the next."""
        graph, piece = self.graph, self.graph.info.piece
        if piece is None:
            return ()
        sink = Node("state", "visible", graph.steps + 1)
        parts = ((graph.info.merged.get(node, node), part) for node, part in piece.leaves)
        names = self.names
        return tuple(
            names.input(n, partial(sub, n.step, graph.first)) if names.is_input(n) else names.read(n, sink, part)
            for n, part in parts
        )

    def _result(self, readout: Readout, start: str) -> Call:
        steps = self.graph.readout_steps(readout.name)
        if not steps:  # a piece of a stream in which the area is silent, or that ends before
            return Call(f"{start}None", (), "")
        if readout.at == "last":
            (sink,) = (node for node in self.graph.readouts if node.name == readout.name)
            return self._logits(sink).behind(start)
        name, at = self.lists[readout.name], readout.at if isinstance(readout.at, str) else steps
        if readout.over_time == "concat":
            return Call(f"{start}self.{readout.identifier}(", (Call("torch.cat(", (name, "dim=1")),))
        if self.graph.info.piece is not None and sorted(steps) == list(steps):
            return Call(f"{start}torch.stack(", (name, "dim=1"))  # combined over the steps of all pieces
        if isinstance(at, str) or list(at) == sorted(at):
            end = ").cumsum(1)" if readout.over_time == "cumulative" else ")"
            stacked = Call("torch.stack(", (name, "dim=1"), end)
            return Call(f"{start}means_so_far(", (stacked,)) if readout.over_time == "mean" else stacked.behind(start)
        order = sorted(at)  # gathered in time, returned as listed
        listed = Call("[", tuple(f"{name}[{order.index(step)}]" for step in at), "]")
        return Call(f"{start}torch.stack(", (listed, "dim=1"))

    def _gathered(self, sink: Node) -> Code:
        """What a step adds to the list of a readout: logits, or the state that is read together with others."""
        return self._state(sink) if self.readouts[sink.name].over_time == "concat" else self._logits(sink)

    def _logits(self, sink: Node) -> Call:
        return Call(f"self.{self.readouts[sink.name].identifier}(", (self._state(sink),))

    def _source(self, sink: Node) -> Node:
        source: Node = next(iter(self.graph.predecessors(sink)))
        return source

    def _reads(self, sink: Node) -> frozenset[str]:
        return frozenset({self.names.read(self._source(sink), sink)})

    def _state(self, sink: Node) -> Code:
        name = self.names.read(self._source(sink), sink)
        return Call("expanded(", (name, self.names.batch)) if self.graph.constant(self._source(sink)) else name
