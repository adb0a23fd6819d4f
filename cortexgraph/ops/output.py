"""Start states, and operations after a cell, which goes on from the state before them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from cortexgraph.ops.base import Cell, Chain, Helper, Pair, call
from cortexgraph.ops.torch_names import Tensor, nn, torch


class StartState(nn.Module):
    """The state of an area before step 1: a learned value for each channel, for each image of a batch."""

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(channels))
        self.size = (height, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.value[:, None, None].expand(len(x), -1, *self.size)


class Output(nn.Module):
    """A cell, and operations on its state; others read their result, the cell continues from the state before them."""

    def __init__(self, cell: nn.Module, keeps: bool = True, **operations: nn.Module) -> None:
        super().__init__()
        self.cell = cell
        self.output = nn.Sequential(OrderedDict(operations))
        self.keeps = keeps  # whether the cell reads its visible state

    def forward(self, x: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        result = self.cell(x, *states)
        h, *hidden = result if isinstance(result, tuple) else (result,)
        return (self.output(h), *([h] if self.keeps else []), *hidden)


@dataclass(frozen=True)
class CellWithOutput(Cell):
    """A cell with memory, and operations after it.

    Attributes:
        cell: the cell.
        chain: the operations, which have no running statistics, inner chains or sets per step, and draw nothing.
    """

    equation: ClassVar[str] = "h' = output(s'), s' = cell(x, s)"

    cell: Cell
    chain: Chain

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple("state" if name == "h" else name for name in self.cell.reads)

    @property
    def hidden(self) -> tuple[str, ...]:
        return ("state",) * ("h" in self.cell.reads) + self.cell.hidden

    def definitions(self) -> tuple[Helper, ...]:
        inner = (helper for link in self.chain for helper in link.operation.definitions())
        return (*self.cell.definitions(), *inner)

    def summary(self) -> str:
        return f"{self.cell.summary()} → {self.chain.summary()}"

    def constructor(self) -> str:
        operations = {link.name: (link.constructor, None) for link in self.chain}
        keeps = ("h" in self.cell.reads, True)
        return call("Output", self.cell.constructor(), keeps=keeps, **operations)

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        inner = {f"cell.{name}": shape for name, shape in self.cell.parameters().items()}
        for link in self.chain:
            inner |= {f"output.{link.name}.{name}": shape for name, shape in link.operation.parameters().items()}
        return inner

    def macs(self) -> int:
        return self.cell.macs() + self.chain.macs

    def windows(self) -> tuple[Pair, Pair]:
        reach = []
        for axis in (0, 1):
            spans = [places for place in range(self.shape[1 + axis]) if (places := self.chain.field(axis, place))]
            reach.append(max((max(places) - min(places) for places in spans), default=0))
        wider = [(height + reach[0], width + reach[1]) for height, width in self.cell.windows()]
        return wider[0], wider[1]
