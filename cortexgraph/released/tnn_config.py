"""The form of PyTorchTNN's configurations: what a file may say, and the operations that it means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from cortexgraph.ops import Context, make_chain
from cortexgraph.released.keymap import Fault, read_as
from cortexgraph.spec import OperationSpec
from cortexgraph.spec.base import Model
from cortexgraph.spec.fields import IMAGE, Border, Count, Flag, Name, Number, Pair, Probability, pair
from cortexgraph.spec.reading import read_json

Size = tuple[int, int]
Ignored = Any
"""Initial values, and keys whose values follow from others."""
Function = Literal["ReLU", "ELU", "Tanh", "Sigmoid", "GELU", "SiLU", "Softplus", "Identity"]
Nothing = Annotated[dict[str, Any], Field(max_length=0)]


@dataclass(frozen=True)
class Op:
    """An operation of a chain.

    Attributes:
        word, options: as in a spec.
        key: of its tensors in the state dict of PyTorchTNN, if it has any.
        chains: body and shortcut of a residual block.
        per_step: whether the key has one part for each step.
    """

    word: str
    options: dict[str, object]
    key: str | None = None
    chains: tuple[list[Op], ...] = ()
    per_step: bool = False

    @property
    def all_options(self) -> dict[str, object]:
        """The options with the inner chains, as a spec writes them."""
        parts = dict(zip(("body", "shortcut"), ([op.entry() for op in ops] for ops in self.chains), strict=False))
        return self.options | {part: entries for part, entries in parts.items() if entries}

    def entry(self) -> object:
        """The operation as a spec writes it."""
        return {self.word: options} if (options := self.all_options) else self.word


def result_of(ops: Sequence[Op], size: Size, channels: int) -> tuple[Size, int]:
    """Size and channels of the result of a chain."""
    entries = [OperationSpec(name=op.word, options=op.all_options) for op in ops]
    channels, height, width = make_chain(entries, (channels, *size), Context(channels)).output
    return (height, width), channels


def activation(kind: str | None) -> list[Op]:
    return [] if kind in {None, "Identity"} else [Op(str(kind).lower(), {})]


# ---- pre- and post-memory ----------------------------------------------------


class Normed(Model):
    """What convolutions and linear layers have in common."""

    out_channels: Count
    use_bias: Flag = True
    dropout: Probability = 0.0
    batchnorm: Count | None = None
    batchnorm_timevary: Flag = False
    activation: Function | None = None
    activation_func_kwargs: Nothing = Field(default={})
    bias: Ignored = None
    init_dict: Ignored = None
    in_channels: Ignored = None

    def around(self, op: Op, key: str) -> list[Op]:
        """Dropout before, batch norm and activation after."""
        name = "bns" if self.batchnorm_timevary else "bn"
        norm = Op("norm", {"kind": "batch", "per_step": self.batchnorm_timevary}, f"{key}.{name}",
                  per_step=self.batchnorm_timevary)  # fmt: skip
        before = [Op("dropout", {"p": self.dropout})] * (self.dropout > 0)
        return [*before, op, *([norm] if self.batchnorm is not None else []), *activation(self.activation)]


class Conv2dCell(Normed):
    """A convolution."""

    name: Literal["Conv2dCell"]
    ksize: Pair
    stride: Pair = 1
    padding: Border | Literal["same", "valid"] = (0, 0)
    dilation: Pair = 1
    groups: Count = 1
    padding_mode: Literal["zeros"] = "zeros"

    def ops(self, key: str) -> list[Op]:
        kernel, dilation = pair(self.ksize), pair(self.dilation)
        same = tuple(d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True))
        padding = {"same": same, "valid": (0, 0)}.get(self.padding) if isinstance(self.padding, str) else self.padding
        options: dict[str, object] = {
            "kernel": [*kernel],
            "stride": [*pair(self.stride)],
            "padding": [*(padding or ())],
        }
        options |= {"dilation": [*dilation]} if dilation != (1, 1) else {}
        options |= {"groups": self.groups} if self.groups > 1 else {}
        more = {"bias": self.use_bias, "channels": self.out_channels}
        return self.around(Op("conv", options | more, f"{key}.conv"), key)


class FullyConnected(Normed):
    """A linear layer."""

    name: Literal["FullyConnected"]
    activation: Function | None = "ReLU"

    def ops(self, key: str) -> list[Op]:
        return self.around(Op("linear", {"channels": self.out_channels, "bias": self.use_bias}, f"{key}.lin"), key)


class Identity(Model):
    """Nothing."""

    name: Literal["Identity"]

    def ops(self, key: str) -> list[Op]:
        return []


class MaxPool(Model):
    """Max pooling."""

    name: Literal["MaxPool"]
    ksize: Pair
    stride: Pair | None = None
    padding: Border = (0, 0)
    ceil_mode: Flag = False
    dilation: Literal[1] = 1
    return_indices: Literal[False] = False

    def ops(self, key: str) -> list[Op]:
        stride = self.ksize if self.stride is None else self.stride
        options: dict[str, object] = {
            "kernel": [*pair(self.ksize)],
            "stride": [*pair(stride)],
            "padding": [*self.padding],
        }
        return [Op("max_pool", options | ({"ceil_mode": True} if self.ceil_mode else {}))]


class AdaptiveAvgPool(Model):
    """Average pooling to a size."""

    name: Literal["AdaptiveAvgPool"]
    output_size: Pair = (6, 6)
    flatten: Flag = False

    def ops(self, key: str) -> list[Op]:
        return [Op("pool", {"size": [*pair(self.output_size)]})]


class ActivationLayer(Model):
    """An activation."""

    name: Literal["ActivationLayer"]
    activation: Function = "ReLU"
    activation_func_kwargs: Nothing = Field(default={})

    def ops(self, key: str) -> list[Op]:
        return activation(self.activation)


Simple = Annotated[
    Conv2dCell | FullyConnected | Identity | MaxPool | AdaptiveAvgPool | ActivationLayer, Field(discriminator="name")
]


class ResidualAdd(Model):
    """The sum of an operation on the memory's output and of one on the node's input."""

    name: Literal["ResidualAdd"]
    feedforward_func_kwargs: Simple
    residual_func_kwargs: Simple | None = None
    activation: Function | None = None
    activation_func_kwargs: Nothing = Field(default={})


class Sequential(Model):
    """Operations one after another, of which the first may be a ResidualAdd."""

    name: Literal["Sequential"]
    list_of_func_kwargs: Annotated[
        tuple[Annotated[Simple | ResidualAdd, Field(discriminator="name")], ...], Field(min_length=1)
    ]


# ---- cells -------------------------------------------------------------------


class Cell(Model):
    """What the cells have in common."""

    state_shape: Ignored = None
    input_in_channels: Ignored = None
    out_channels: Count | None = None
    bias: Ignored = None
    init_dict: Ignored = None


class IdentityCell(Cell):
    """No memory."""

    name: Literal["IdentityCell"]


class TimeDecay(Cell):
    """h' = x + τ h."""

    name: Literal["TimeDecayRecurrentCell"]
    tau: Number = 0.0
    trainable: Flag = True


class BasicCell(Cell):
    """h' = f(convolution of x + convolution of h)."""

    name: Literal["ConvRNNBasicCell"]
    ksize: Pair = (3, 3)
    padding: Border = (0, 0)
    stride: Literal[1] = 1
    activation: Function = "ReLU"
    activation_func_kwargs: Nothing = Field(default={})

    def conv(self, key: str) -> list[Op]:
        options: dict[str, object] = {
            "kernel": [*pair(self.ksize)],
            "stride": 1,
            "padding": [*self.padding],
            "bias": True,
        }
        return [Op("conv", options | ({"channels": self.out_channels} if self.out_channels else {}), key)]


class GatedCell(Cell):
    """The update gate RNN and the intersection RNN."""

    name: Literal["UGRNNCell", "IntersectionRNNCell"]
    ksize: Pair
    padding: Literal["same"] = "same"
    stride: Literal[1] = 1
    forget_bias: Number = 1.0
    layernorm: Literal[False] = False


class ReciprocalGatedCell(Cell):
    """The cell of the networks released with Nayebi et al. (2018), without feedback into it."""

    name: Literal["ReciprocalGatedCell"]
    cell_depth: Ignored = None


# ---- the file ----------------------------------------------------------------


class HarborPolicy(Model):
    """How inputs are brought together: resized and concatenated, or of one size and concatenated."""

    name: Literal["ResizeConcat", "Identity"]


class Node(Model):
    """A layer."""

    name: Name
    shape_from: Name | None
    harbor_policy: HarborPolicy
    pre_memory: Simple
    recurrent_cell: Annotated[
        IdentityCell | TimeDecay | BasicCell | GatedCell | ReciprocalGatedCell, Field(discriminator="name")
    ]
    post_memory: Annotated[Simple | ResidualAdd | Sequential, Field(discriminator="name")]
    out_channels: Count
    residual: Flag | None = None

    @property
    def has_memory(self) -> bool:
        """Whether the state of the cell depends on the one before."""
        cell = self.recurrent_cell
        return not isinstance(cell, IdentityCell | TimeDecay) or (
            isinstance(cell, TimeDecay) and (cell.trainable or cell.tau != 0)
        )

    def post_ops(self) -> tuple[list[Op], list[Op] | None, list[Op]]:
        """Operations on the memory's output; on the node's input, which is added; and on the sum."""
        key, post = f"{self.name}._post_memory", self.post_memory
        listed: Sequence[Any] = post.list_of_func_kwargs if isinstance(post, Sequential) else [post]
        keys = [f"{key}.sequential_mem.{n}" if isinstance(post, Sequential) else key for n in range(len(listed))]
        chains = [[] if isinstance(one, ResidualAdd) else one.ops(k) for one, k in zip(listed, keys, strict=True)]
        first = listed[0]
        if not isinstance(first, ResidualAdd):
            return [op for ops in chains for op in ops], None, []
        shortcut = first.residual_func_kwargs
        added = shortcut.ops(f"{keys[0]}.residual") if shortcut is not None else []
        after = activation(first.activation) + [op for ops in chains[1:] for op in ops]
        return first.feedforward_func_kwargs.ops(f"{keys[0]}.feedforward"), added, after


class Edge(Model):
    """A connection."""

    source: Name = Field(validation_alias="from")
    target: Name = Field(validation_alias="to")


class Config(Model):
    """A configuration of PyTorchTNN."""

    nodes: Annotated[tuple[Node, ...], Field(min_length=1)]
    edges: tuple[Edge, ...]
    input_nodes: Annotated[tuple[Name, ...], Field(min_length=1)]
    output_node: Name
    input_shape: tuple[Count, Count, Count]
    num_timesteps: Count | None = None
    ff_order: tuple[Name, ...] | None = None

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return [(edge.source, edge.target) for edge in self.edges]

    @cached_property
    def nodes_by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    def predecessors(self, node: Node) -> list[str]:
        """The sources of a node in the order of their names, in which they are concatenated."""
        return sorted({source for source, target in self.pairs if target == node.name})

    def channels(self, name: str) -> int:
        return self.input_shape[0] if name == IMAGE else self.nodes_by_name[name].out_channels

    def size_in(self, node: Node) -> Size:
        """The size to which a node's inputs are brought."""
        return self.size_of(node.shape_from or IMAGE)

    def size_of(self, name: str) -> Size:
        """The size of the image, or of a node's output."""
        if name == IMAGE:
            return self.input_shape[1:]
        node = self.nodes_by_name[name]
        before, _, after = node.post_ops()
        return result_of([*node.pre_memory.ops(""), *before, *after], self.size_in(node), 1)[0]

    def faults(self) -> list[tuple[tuple[str | int, ...], str, str]]:
        """Places, what is wrong there, and repairs: names that no node has, and sizes that follow from themselves."""
        names, faults = self.nodes_by_name, list[tuple[tuple[str | int, ...], str, str]]()
        used: list[tuple[tuple[str | int, ...], str | None]] = [(("output_node",), self.output_node)]
        used += [(("input_nodes", n), name) for n, name in enumerate(self.input_nodes)]
        used += [(("ff_order", n), name) for n, name in enumerate(self.ff_order or ())]
        used += [(("nodes", n, "shape_from"), node.shape_from) for n, node in enumerate(self.nodes)]
        for n, edge in enumerate(self.edges):
            used += [(("edges", n, "from"), edge.source), (("edges", n, "to"), edge.target)]
        for place, name in used:
            if name is not None and name not in names:
                faults.append((place, f"no node is called `{name}`", "Name one of `nodes`."))
        for n, node in enumerate(self.nodes):
            chain, at = [node.name], node.shape_from
            while at in names and at not in chain:
                chain, at = [*chain, at], names[at].shape_from
            if at in chain:
                faults.append((("nodes", n, "shape_from"), f"the size of `{node.name}` follows from itself", ""))
            if not self.predecessors(node) and node.name not in self.input_nodes:
                faults.append((("nodes", n), f"`{node.name}` has no input", "Add an edge to it."))
            if len(names) < len(self.nodes) and [one.name for one in self.nodes].index(node.name) < n:
                faults.append((("nodes", n, "name"), f"two nodes are called `{node.name}`", "Rename one."))
        return faults


def load_config(path: str | Path) -> Config:
    """Read a configuration. Raises SpecError with every finding."""
    return read_as(Config, path, read_json, "an object with `nodes`, `edges` and so on is needed", _faults)


def _faults(config: Config) -> Iterator[Fault]:
    return (("tnn", place, found, repair) for place, found, repair in config.faults())
