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
        logits = [(name, self._result(readout)) for name, readout in self.readouts.items()]
        by_name = Call("{", tuple(f"{literal(name)}: {result}" for name, result in logits), "}")
        found: str | Call = logits[0][1] if len(logits) == 1 else by_name
        if self.states and len(line := f"return {found}, {self.states}") <= WIDTH - 8:
            yield line
        elif self.states:
            yield Call("return (", (found, self.states)).laid_out(after=WIDTH)
        else:
            yield f"return {found if isinstance(found, str) else found.laid_out(after=len('return '))}"

    def _result(self, readout: Readout) -> str:
        if readout.at == "last":
            (sink,) = (node for node in self.writer.graph.readouts if node.name == readout.name)
            return self._logits(sink)
        name, wanted = self.lists[readout.name], readout.at
        if isinstance(wanted, tuple) and list(wanted) != sorted(wanted):  # gathered in time, returned as listed
            order = sorted(wanted)
            name = f"[{', '.join(f'{name}[{order.index(step)}]' for step in wanted)}]"
        return f"torch.stack({name}, dim=1)"

    def _logits(self, sink: Node) -> str:
        return f"self.{self.readouts[sink.name].identifier}({self._state(sink)})"

    def _state(self, sink: Node) -> str:
        graph = self.writer.graph
        state = next(iter(graph.predecessors(sink)))
        name = self.writer.variables.read(state, sink.step)
        return f"repeated({name}, x)" if graph.folded(state) else name
