"""What `forward` returns: readouts and recorded states, gathered at the end of their steps."""

from __future__ import annotations

from collections.abc import Iterator

from cortexgraph.codegen.text import WIDTH, Call, literal
from cortexgraph.codegen.updates import Writer
from cortexgraph.graph.model import Readout
from cortexgraph.unrolling import Node

__all__ = ["Sinks"]


class Sinks:
    """The statements that make, fill and return logits and states."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        readouts = writer.graph.areas.readouts
        self.readouts = {readout.name: readout for readout in readouts}
        self.lists = {
            readout.name: "logits" + readout.identifier.removeprefix("readout")
            for readout in readouts
            if readout.at != "last"
        }
        self.states = "states" if writer.graph.records else ""

    def start(self) -> Iterator[str]:
        """The lists and the dictionary, empty."""
        yield from (f"{name}: list[Tensor] = []" for name in self.lists.values())
        if self.states:
            yield f"{self.states}: dict[tuple[str, int], Tensor] = {{}}"

    def lines(self, sink: Node) -> Iterator[str]:
        """What the end of a step does for a readout or record; nothing for a readout of the last step alone."""
        if sink.kind == "record":
            yield f"{self.states}[{literal(sink.name)}, {self.writer.step(sink)}] = {self._state(sink)}"
        elif sink.name in self.lists:
            yield f"{self.lists[sink.name]}.append({self._logits(sink)})"

    def results(self) -> Iterator[str]:
        """The statement that returns."""
        several = len(self.readouts) > 1
        logits = [
            self._result(readout, f"{literal(name)}: " if several else "") for name, readout in self.readouts.items()
        ]
        found = Call("{", tuple(logits), "}") if several else logits[0]
        if not self.states:
            yield f"return {found.laid_out(after=len('return '))}"
        elif len(line := f"return {found}, {self.states}") <= WIDTH - 8:
            yield line
        else:
            yield Call("return (", (found, self.states)).laid_out(after=WIDTH)

    def _result(self, readout: Readout, start: str) -> Call:
        if readout.at == "last":
            (sink,) = (node for node in self.writer.graph.readouts if node.name == readout.name)
            return Call(f"{start}{self._logits(sink).removesuffix(')')}", ())
        name, wanted = self.lists[readout.name], readout.at
        if isinstance(wanted, str) or list(wanted) == sorted(wanted):
            return Call(f"{start}torch.stack(", (name, "dim=1"))
        order = sorted(wanted)  # gathered in time, returned as listed
        return Call(
            f"{start}torch.stack(", (Call("[", tuple(f"{name}[{order.index(s)}]" for s in wanted), "]"), "dim=1")
        )

    def _logits(self, sink: Node) -> str:
        return f"self.{self.readouts[sink.name].identifier}({self._state(sink)})"

    def _state(self, sink: Node) -> str:
        graph = self.writer.graph
        state = next(iter(graph.predecessors(sink)))
        name = self.writer.variables.read(state, sink.step)
        return f"repeated({name}, x)" if graph.folded(state) else name
