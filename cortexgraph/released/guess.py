"""Propose a key map from the graph, the shapes of tensors, and likeness of names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from torch import Tensor

from cortexgraph.graph.model import AreaGraph
from cortexgraph.released.tensors import read_tensors
from cortexgraph.released.weights import COUNTER, parameters_of, without_ones
from cortexgraph.spec import NetworkSpec

Leaves = frozenset[tuple[str, tuple[int, ...]]]
"""Names and shapes of a module's tensors."""


def guessed_key_map(path: str | Path, spec: NetworkSpec) -> tuple[str, list[str]]:
    """A key map for a checkpoint, and what in it is uncertain.

    Modules are paired that have tensors of the same names and shapes. Among several, the one whose name has the most
    words in common counts, and among equals the one at the same place in the order in which areas are computed.

    Returns:
        The text of the file, and a line for each module that could be another, or that has no counterpart.

    Raises:
        DataError, SpecError: as `read_weights`.
    """
    parameters, areas = parameters_of(spec)
    theirs = _modules(read_tensors(Path(path))[0])
    ours = sorted(_modules(parameters).items(), key=lambda module: _place(module[0], areas))
    rest, entries, doubts = dict(theirs), dict[str, str | None](), list[str]()
    for mine, leaves in ours:
        among = [name for name, others in rest.items() if others == leaves]
        if not among:
            doubts.append(f"{mine}: no module of the checkpoint has tensors of these shapes ({_shapes(leaves)})")
            continue
        scores = [_likeness(name, mine) for name in among]
        best = among[scores.index(max(scores))]
        entries[best] = mine
        equal = [name for name, score in zip(among, scores, strict=True) if score == max(scores) and name != best]
        if equal:
            doubts.append(f"{mine}: {best} by order; it could be {', '.join(equal[:3])}{' …' * (len(equal) > 3)}")
        del rest[best]
    doubts += [f"{name}: nothing in the network has its shapes ({_shapes(rest[name])})" for name in rest]
    doubts.append("images: a checkpoint does not say how images were scaled in training; these are not scaled")
    lines = [f"# uncertain: {doubt}" for doubt in doubts]
    zeros, ones = [0.0] * spec.input.channels, [1.0] * spec.input.channels
    lines += [f"images: {{mean: {zeros}, std: {ones}}}  # uncertain: write those of training", "keys:"]
    lines += [f"  {json.dumps(name)}: {json.dumps(entries.get(name))}" for name in theirs]
    return "\n".join(lines) + "\n", doubts


def _modules(tensors: Mapping[str, Tensor]) -> dict[str, Leaves]:
    modules: dict[str, set[tuple[str, tuple[int, ...]]]] = {}
    for key, tensor in tensors.items():
        module, _, leaf = key.rpartition(".")
        if leaf != COUNTER:
            modules.setdefault(module, set()).add((leaf, tuple(without_ones(tensor.shape))))
    return {name: frozenset(leaves) for name, leaves in modules.items()}


def _place(module: str, areas: AreaGraph) -> int:
    """The rank of a module in the order in which the network is computed: into an area, then in it, readouts last."""
    names: list[str] = []
    for area in areas.areas:
        names += [*(connection.identifier for connection in areas.incoming(area.name)), area.identifier]
    name = module.partition(".")[0]
    return names.index(name) if name in names else len(names)


def _likeness(theirs: str, ours: str) -> int:
    """How many words two names have in common."""
    return len(set(_words(theirs)) & set(_words(ours)))


def _words(name: str) -> Iterator[str]:
    """Its words with and without the number behind them, and the number at its end."""
    yield from re.findall(r"[a-z]+\d*", name.lower())
    yield from re.findall(r"[a-z]+|\d+$", name.lower())


def _shapes(leaves: Leaves) -> str:
    return ", ".join(f"{leaf} {[*shape]}" for leaf, shape in sorted(leaves))
