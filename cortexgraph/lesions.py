"""`lesion`: a network without some of its connections, for asking what they do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, overload

from cortexgraph.compiler import build, compile_with
from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.spec import NetworkSpec
from cortexgraph.spec.shorthand import chain_names
from cortexgraph.wording import quoted, similar

if TYPE_CHECKING:
    from torch import nn

__all__ = ["lesion"]

KINDS = ("feedforward", "lateral", "feedback")


@overload
def lesion(network: NetworkSpec, *cut: str) -> NetworkSpec: ...
@overload
def lesion(network: nn.Module, *cut: str) -> nn.Module: ...
def lesion(network: NetworkSpec | nn.Module, *cut: str) -> NetworkSpec | nn.Module:
    """Cut connections: the network is as if they had never been there; all other weights stay as they are.

    Args:
        network: a spec, or a network from `cortexgraph.compile` or `load_run`, whose weights are carried over.
        cut: kinds (`feedforward`, `lateral`, `feedback`), which stand for all connections of that kind, names of
            connections, or their ends as in `V4 -> V2`.

    Returns:
        The spec, or a newly compiled network on the same device.

    Raises:
        CompileError: for a word that names no connection, or a cut connection to whose parameters another is tied.
        GraphError: if what is left does not make a network.

    Examples:
        >>> import cortexgraph as cg
        >>> len(cg.load("ventral").connections), len(cg.lesion(cg.load("ventral"), "feedback").connections)
        (11, 8)
    """
    if isinstance(network, NetworkSpec):
        return _without(network, _cut_indices(build(network), cut))
    options: Any = network.options
    before = build(network.spec)  # type: ignore[arg-type]
    indices = _cut_indices(before, cut)
    found: Any = compile_with(_without(before.spec, indices), options)
    state = network.state_dict()
    sample = next((tensor for tensor in state.values() if tensor.is_floating_point()), None)
    if sample is not None:
        found.to(device=sample.device, dtype=sample.dtype)
    found.load_state_dict(_left(state, before, build(found.spec), indices))
    return found.train(network.training)  # type: ignore[no-any-return]


def _cut_indices(graph: AreaGraph, cut: Sequence[str]) -> set[int]:
    """The places of the cut connections in the spec."""
    found: set[int] = set()
    findings = []
    for word in cut:
        named = {c.index for c in graph.connections if word in _words(graph, c.index, c.kind)}
        if not named and word not in KINDS:
            findings.append(_unknown(word, graph))
        found |= named
    tied = {c.owner: c for c in graph.connections if c.owner is not None and c.index not in found}
    findings += [
        Diagnostic(
            "bad-lesion",
            f"lesion {c.label}",
            f"{tied[c.identifier].label} is tied to its parameters",
            repair=f"Cut `{tied[c.identifier].label}` as well.",
        )
        for c in graph.connections
        if c.index in found and c.identifier in tied
    ]
    if findings:
        raise CompileError(findings)
    return found


def _words(graph: AreaGraph, index: int, kind: str) -> set[str | None]:
    """The words that name a connection."""
    declared = graph.spec.connections[index]
    return {kind, declared.name, f"{declared.source} -> {declared.target}"}


def _unknown(word: str, graph: AreaGraph) -> Diagnostic:
    spec = graph.spec
    known = [*KINDS, *(f"{c.source} -> {c.target}" for c in spec.connections)]
    ends = chain_names(word)
    if ends is not None and len(ends) == 2:
        known = known[len(KINDS) :]
    guess = similar(word, known)
    expected = f"{quoted(KINDS)} name all connections of a kind, and ends such as `V4 -> V2` name one"
    return Diagnostic(
        "bad-lesion",
        f"lesion {word}",
        "this names no connection",
        expected,
        f"Did you mean `{guess}`?" if guess else "See the connections with `cortexgraph show`.",
    )


def _without(spec: NetworkSpec, indices: set[int]) -> NetworkSpec:
    data = spec.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    data["connections"] = [c for index, c in enumerate(data["connections"]) if index not in indices]
    # Levels and sizes may have been inferred from what is cut, and stay as they were.
    for area in build(spec).areas:
        data["areas"][area.name] |= {"size": list(area.shape[1:]), "level": area.level}
    return NetworkSpec.model_validate(data)


def _left(state: dict[str, Any], before: AreaGraph, after: AreaGraph, cut: set[int]) -> dict[str, Any]:
    """The state dict without the cut connections; another of the same ends may have got a shorter name."""
    kept = [c.identifier for c in before.connections if c.index not in cut]
    renamed = dict(zip(kept, (c.identifier for c in after.connections), strict=True))
    gone = {c.identifier for c in before.connections} - renamed.keys()
    found = {}
    for key, tensor in state.items():
        part, _, rest = key.partition(".")
        if part not in gone:
            found[f"{renamed.get(part, part)}.{rest}"] = tensor
    return found
