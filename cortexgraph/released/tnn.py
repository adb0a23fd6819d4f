"""Configurations of PyTorchTNN as specs, with the key maps of their state dicts.

A node is resize and concatenate → pre-memory → recurrent cell → post-memory. Without memory it becomes one area.
Otherwise its state, the concatenation before it and the operations after it become separate areas, all in one region
and updated in the same step.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain as joined
from itertools import islice, product
from pathlib import Path
from typing import Literal

import networkx as nx

from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.graph.names import identifiers
from cortexgraph.released.tnn_config import (
    BasicCell,
    Config,
    GatedCell,
    Node,
    Op,
    ReciprocalGatedCell,
    Size,
    TimeDecay,
    activation,
    load_config,
    result_of,
)
from cortexgraph.spec import NetworkSpec
from cortexgraph.spec.fields import IMAGE, pair

Unroll = Literal["simultaneous", "sequential"]
MOST_PATHS = 10_000
GATE = {"role": "modulate", "gate": "complement"}


def import_tnn(
    path: str | Path, name: str | None = None, *, steps: int | None = None, unroll: Unroll = "simultaneous"
) -> tuple[NetworkSpec, str]:
    """A spec, and the text of its key map, from a configuration of PyTorchTNN.

    Args:
        path: the JSON file.
        name: of the network; by default that of the file.
        steps: T; by default `num_timesteps` of the configuration.
        unroll: simultaneous (`forward` of PyTorchTNN), or sequential (`full_unroll`).

    Raises:
        SpecError: with every finding about the form of the file.
        DataError: for nodes that do not make a network, or that the language cannot express.
    """
    config = load_config(path)
    steps = steps or config.num_timesteps
    if steps is None:
        repair = "Give --steps."
        raise DataError(Diagnostic("tnn", str(path), "`num_timesteps` is missing", repair=repair))
    built = _Built(config, str(path))
    nodes = built.in_order(unroll)
    for node in nodes:
        built.add(node)
    spec = NetworkSpec.model_validate(built.spec(name or Path(path).stem, steps, unroll))
    return spec, built.key_map(spec)


@dataclass
class _Built:
    """The areas and connections of the nodes so far.

    Attributes:
        config, file: what is imported.
        areas: by name.
        connections: with the keys of their operations' tensors.
        ranks: the names of the areas that are updated one rank after the other within a step.
        of_node: the areas of each node.
        tensors: keys of tensors that belong to no operation: the area, or the index of the connection, that has them,
            their name in it, and the order of their chunks.
        unused: keys of tensors that the spec does not need.
    """

    config: Config
    file: str
    areas: dict[str, dict[str, object]] = field(default_factory=dict)
    connections: list[tuple[dict[str, object], list[Op]]] = field(default_factory=list)
    ranks: dict[str, int] = field(default_factory=dict)
    of_node: dict[str, list[str]] = field(default_factory=dict)
    tensors: dict[str, tuple[str | int, str, tuple[int, ...]]] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)

    def in_order(self, unroll: Unroll) -> list[Node]:
        """The nodes from the image on; feedback goes against this order."""
        names, graph = self.config.nodes_by_name, nx.DiGraph(self.config.pairs)
        if nx.is_directed_acyclic_graph(graph):
            return [names[name] for name in nx.lexicographical_topological_sort(graph, [*names].index)]
        order: Sequence[str] = self.config.ff_order or [*names]
        if unroll == "sequential" and self.config.ff_order is None:  # as PyTorchTNN: the longest path
            ends = product(self.config.input_nodes, [self.config.output_node])
            paths = (path for first, last in ends for path in nx.all_simple_paths(graph, first, last))
            order = max(islice(paths, MOST_PATHS), key=len, default=[])
        if set(order) != set(names):
            found = "the edges form a circle, and nothing says in which order its nodes are computed"
            raise self.refusal("edges", found, "Add `ff_order`, the list of all nodes in their order.")
        return [names[name] for name in order]

    def refusal(self, place: str, found: str, repair: str = "") -> DataError:
        return DataError(Diagnostic("tnn", place, found, repair=repair, file=self.file))

    # ---- one node ----------------------------------------------------------------

    def add(self, node: Node) -> None:
        """Add the areas and connections of a node."""
        entry, size, channels = self._entry(node)
        pre = node.pre_memory.ops(f"{node.name}._pre_memory")
        before, shortcut, after = node.post_ops()
        if not node.has_memory:
            self.unused += [f"{node.name}._recurrent_cell.tau"] * isinstance(node.recurrent_cell, TimeDecay)
            ops = [*_block(pre + before, shortcut), *after]
            self._connect(entry, node.name, self._resized(entry, size) + ops)
            self._area(node, node.name, size, channels, 4, ops)
            return
        if not before and shortcut is None:
            self._memory(node, node.name, entry, pre, size, channels, 4)
            return
        state, total = f"{node.name} state", f"{node.name} sum"
        inside = self._memory(node, state, entry, pre, size, channels, 2)
        if shortcut is None:
            self._connect(state, node.name, before)
            self._area(node, node.name, *inside, 4, before)
            return
        self._connect(state, total, before)
        self._connect(entry, total, self._resized(entry, size) + shortcut)
        inside = self._area(node, total, *inside, 3, before)
        self._connect(total, node.name, after)
        self._area(node, node.name, *inside, 4, after)

    def _entry(self, node: Node) -> tuple[str, Size, int]:
        """What a node reads, of several sources their concatenation, with its size and channels."""
        sources = [IMAGE] * (node.name in self.config.input_nodes) + self.config.predecessors(node)
        size = self.config.size_in(node)
        channels = [self.config.channels(source) for source in sources]
        if len(sources) == 1:
            return sources[0], size, channels[0]
        if isinstance(node.recurrent_cell, ReciprocalGatedCell):
            found = f"a reciprocal gated cell with {len(sources)} inputs is not supported"
            raise self.refusal(f"nodes {node.name}", found, "Keep the one in `shape_from`.")
        merged = f"{node.name} in"
        for source in sources:
            self._connect(source, merged, self._resized(source, size))
        self._area(node, merged, size, sum(channels), 0, [])
        self.areas[merged]["merge"] = "concat"
        return merged, size, sum(channels)

    def _resized(self, source: str, size: Size) -> list[Op]:
        own = self.config.size_of(source) if source in {IMAGE, *self.config.nodes_by_name} else size
        return [] if own == size else [Op("antialiased", {"size": [*size]})]

    def _memory(
        self, node: Node, state: str, entry: str, pre: list[Op], size: Size, channels: int, rank: int
    ) -> tuple[Size, int]:
        """The state of a node with memory; its size and channels."""
        cell, key = node.recurrent_cell, f"{node.name}._recurrent_cell"
        pre = self._resized(entry, size) + pre
        if isinstance(cell, ReciprocalGatedCell):
            return self._reciprocal(node, state, entry, pre, size, channels)
        ops = pre + (cell.conv(f"{key}.conv_input") if isinstance(cell, BasicCell) else [])
        self._connect(entry, state, ops)
        shape = self._area(node, state, size, channels, rank, ops)
        if isinstance(cell, GatedCell):
            word, chunks = ("ugrnn", ()) if cell.name == "UGRNNCell" else ("intersection", (2, 3, 0, 1))
            self.areas[state]["cell"] = {word: {"kernel": [*pair(cell.ksize)], "forget_bias": cell.forget_bias}}
            self.tensors[f"{key}.conv"] = (state, "cell.gates", chunks)
        elif isinstance(cell, BasicCell):
            self.areas[state]["body"] = [op.entry() for op in activation(cell.activation)]
            self._connect(state, state, cell.conv(f"{key}.conv_state"))
        else:
            self.tensors[f"{key}.tau"] = (len(self.connections), "gain.weight", ())
            self._connect(state, state, [], {"gain": "learned"})
        return shape

    def _reciprocal(
        self, node: Node, state: str, entry: str, pre: list[Op], size: Size, channels: int
    ) -> tuple[Size, int]:
        """c' = f((1 − σ(c)) c + (1 − σ(h)) x), h' = f((1 − σ(h)) h + (1 − σ(c + r)) x), each in σ by a convolution."""
        key, n = f"{node.name}._recurrent_cell", node.name

        def conv(name: str) -> list[Op]:
            return [Op("conv", {"kernel": 3, "stride": 1, "bias": True}, f"{key}.{name}.conv")]

        cell, gate = f"{n} cell", f"{n} gate"
        shape = self._area(node, f"{n} in", size, channels, 0, pre)
        self._connect(entry, f"{n} in", pre)
        self._connect(cell, gate, conv("cell2out_conv"))
        self._connect(entry, gate, self._resized(entry, size) + conv("out_gate_conv"))
        terms = {
            f"{n} cell kept": (cell, [], cell, conv("cell_tau_conv")),
            f"{n} cell new": (f"{n} in", conv("inp2cell_conv"), state, conv("cell_gate_conv")),
            f"{n} kept": (state, [], state, conv("out_tau_conv")),
            f"{n} new": (f"{n} in", [], gate, []),
        }
        for term, (source, drive, modulator, ops) in terms.items():
            self._connect(source, term, drive)
            self._connect(modulator, term, ops, GATE)
            self._connect(term, cell if "cell" in term.removeprefix(n) else state, [])
        for area, rank in [(gate, 0), *((term, 1) for term in terms), (cell, 2), (state, 2)]:
            self._area(node, area, *shape, rank, [])
        for area in (cell, state):
            self.areas[area]["body"] = ["elu"]
        return shape

    # ---- areas and connections ---------------------------------------------------

    def _area(self, node: Node, name: str, size: Size, channels: int, rank: int, ops: Sequence[Op]) -> tuple[Size, int]:
        size, channels = result_of(ops, size, channels)
        if name == node.name and channels != node.out_channels:
            found = f"`out_channels` is {node.out_channels}, but its operations give {channels} channels"
            raise self.refusal(f"nodes {node.name}", found)
        region = {"region": node.name} if name != node.name or self.of_node.get(node.name) else {}
        self.areas[name] = {"channels": channels, "size": [*size], **region}
        self.ranks[name] = rank
        self.of_node.setdefault(node.name, []).append(name)
        return size, channels

    def _connect(self, source: str, target: str, ops: list[Op], more: Mapping[str, object] | None = None) -> None:
        entry = {"from": source, "to": target, "transform": [op.entry() for op in ops], **(more or {})}
        self.connections.append((entry, ops))

    def spec(self, name: str, steps: int, unroll: Unroll) -> dict[str, object]:
        """The spec as data."""
        used = sorted({*self.ranks.values()})
        groups = [[area for area, rank in self.ranks.items() if rank == one] for one in used]
        by_node = [[area] for areas in self.of_node.values() for area in sorted(areas, key=self.ranks.__getitem__)]
        output = self.config.output_node
        one = self.config.size_of(output) == (1, 1)
        return {
            "name": name,
            "description": f"Imported from a configuration of PyTorchTNN, in {unroll} order.",
            "input": {"channels": self.config.input_shape[0], "size": [*self.config.input_shape[1:]]},
            "defaults": {"area": {"body": []}},
            "areas": self.areas,
            "connections": [entry for entry, _ in self.connections],
            "readout": {
                "from": output,
                "classes": self.config.channels(output),
                "at": "all",
                "transform": [] if one else [{"pool": 1}],
            },
            "time": {
                "steps": steps,
                "order": by_node if unroll == "sequential" else groups if len(groups) > 1 else "simultaneous",
                "silence": "zero_input",
            },
        }

    def key_map(self, spec: NetworkSpec) -> str:
        """The key map of the configuration's state dict, as YAML."""
        names = identifiers(spec)
        keys: dict[str, object] = dict.fromkeys(self.unused)
        for index, (_, ops) in enumerate(self.connections):
            keys |= dict(_paths(ops, names.connections[index]))
        for key, (owner, name, chunks) in self.tensors.items():
            path = f"{names.areas[owner] if isinstance(owner, str) else names.connections[owner]}.{name}"
            keys[key] = {"to": path, "chunks": chunks} if chunks else path
        lines = [f"  {json.dumps(key)}: {json.dumps(target)}" for key, target in keys.items()]
        return "\n".join([f"description: State dict of {spec.name} in PyTorchTNN.", "keys:", *lines]) + "\n"


def _block(body: list[Op], shortcut: list[Op] | None) -> list[Op]:
    """A chain, or a residual block of it."""
    return body if shortcut is None else [Op("residual", {}, None, (body, shortcut))]


def _paths(ops: Sequence[Op], prefix: str) -> Iterator[tuple[str, str]]:
    """The key of each operation with tensors, and its path in the state dict of cortexgraph."""
    counts: dict[str, int] = {}
    for op in ops:
        counts[op.word] = counts.get(op.word, 0) + 1
        path = f"{prefix}.{op.word}" + (f"_{counts[op.word]}" if counts[op.word] > 1 else "")
        if op.key is not None:
            yield (f"{op.key}.{{t}}", f"{path}.{{t}}") if op.per_step else (op.key, path)
        yield from joined.from_iterable(
            _paths(inner, f"{path}.{part}") for part, inner in zip(("body", "shortcut"), op.chains, strict=False)
        )
