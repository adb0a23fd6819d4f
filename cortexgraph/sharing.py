"""`share` and `unshare`: a recurrent network as the deep feedforward network that it unrolls to, and back.

A network whose weights are the same at all steps is a deep network with equal layers: a ResNet of blocks with one set
of weights is a recurrent network of one state (Liao & Poggio 2016). These functions change a spec and its weights
together, so that what the network computes stays the same wherever the sets are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

from cortexgraph.compiler import build, compile_with, unroll
from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.ops import Chain, GainOperation
from cortexgraph.passes import prune
from cortexgraph.spec import NetworkSpec
from cortexgraph.unrolling import UnrolledGraph

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["share", "unshare"]

Take = Literal["mean", "first", "last"]
"""Which weights all steps share."""

State = Mapping[str, "Tensor"]


@overload
def unshare(network: NetworkSpec) -> NetworkSpec: ...
@overload
def unshare(network: nn.Module) -> nn.Module: ...
def unshare(network: NetworkSpec | nn.Module) -> NetworkSpec | nn.Module:
    """Give every step weights of its own: all learned operations of connections and bodies become `per_step`.

    Every step starts with the weights that all shared, so that the network computes the same as before until it is
    trained. Cells, learned gains and readouts keep their one set.

    Args:
        network: a spec, or a network from `cortexgraph.compile` or `load_run`, whose weights are carried over.

    Returns:
        The spec, or a newly compiled network on the same device.

    Raises:
        GraphError: if the spec does not make a network.

    Examples:
        >>> import cortexgraph as cg
        >>> cg.unshare(cg.load("ventral")).connections[0].weights
        'per_step'
    """
    return _converted(network, _unshared_spec, "first")


@overload
def share(network: NetworkSpec, take: Take = ..., *, norms: bool = ...) -> NetworkSpec: ...
@overload
def share(network: nn.Module, take: Take = ..., *, norms: bool = ...) -> nn.Module: ...
def share(network: NetworkSpec | nn.Module, take: Take = "mean", *, norms: bool = True) -> NetworkSpec | nn.Module:
    """Give all steps the same weights: what is `per_step` becomes `shared`.

    Args:
        network: a spec, or a network from `cortexgraph.compile` or `load_run`, whose weights are carried over.
        take: which weights all steps share: the mean over the sets that a readout depends on, or the first or last of
            these sets. Running averages of batch norms are treated alike.
        norms: whether norms are shared too; if not, a norm that has a set for each step keeps them, as Liao & Poggio
            (2016) normalise.

    Returns:
        The spec, or a newly compiled network on the same device.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for another `take`.

    Examples:
        >>> import cortexgraph as cg
        >>> ventral = cg.load("ventral")
        >>> cg.share(cg.unshare(ventral), norms=False) == ventral
        True
    """
    if take not in ("mean", "first", "last"):
        known = "`mean`, `first` and `last` are known"
        raise CompileError(Diagnostic("bad-take", "take", f"{take!r} was given", known, "Give one of these."))
    return _converted(network, lambda spec: _shared_spec(spec, norms=norms), take)


def _converted(
    network: NetworkSpec | nn.Module, change: Callable[[NetworkSpec], NetworkSpec], take: Take
) -> NetworkSpec | nn.Module:
    """The changed spec, or the network of the changed spec with the weights of the given one."""
    if isinstance(network, NetworkSpec):
        build(network)  # says what is wrong with it
        return change(network)
    spec: Any = network.spec
    options: Any = network.options
    found: Any = compile_with(change(spec), options)
    state = network.state_dict()
    sample = next((tensor for tensor in state.values() if tensor.is_floating_point()), None)
    if sample is not None:
        found.to(device=sample.device, dtype=sample.dtype)
    found.load_state_dict(_carried(state, unroll(spec), unroll(found.spec), take))
    return found.train(network.training)  # type: ignore[no-any-return]


# ---- specs -------------------------------------------------------------------


def _unshared_spec(spec: NetworkSpec) -> NetworkSpec:
    graph = build(spec)
    data = _data(spec)
    for connection in graph.connections:
        if connection.owner is None and _learns(connection.transform):
            data["connections"][connection.index]["weights"] = "per_step"
    for area in graph.areas:
        if _learns(area.body):
            data["areas"][area.name]["weights"] = "per_step"
    return _validated(data, spec)


def _learns(chain: Chain) -> bool:
    """Whether some operation has parameters that can be per step."""
    return any(
        link.operation.parameters() and not isinstance(link.operation, GainOperation) for _, link in chain.walk()
    )


def _shared_spec(spec: NetworkSpec, *, norms: bool) -> NetworkSpec:
    data = _data(spec)
    defaults = data.get("defaults", {})
    by_default = defaults.get("connection", {}).pop("weights", "shared")
    for connection in data["connections"]:
        apart = connection.pop("weights", by_default) == "per_step"
        connection.update(_norms_shared(connection) if norms else _norms_apart(connection) if apart else {})
    for area in data["areas"].values():
        apart = area.pop("weights", "shared") == "per_step"
        area.update(_norms_shared(area) if norms else _norms_apart(_with_norms(area, defaults)) if apart else {})
    if norms and "area" in defaults:
        defaults["area"] = _norms_shared(defaults["area"])
    return _validated(data, spec)


def _with_norms(area: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The area, with the norm or body of the defaults written out where it takes that and it is not per step."""
    if "body" in area or "norm" in area:
        return area
    key = "norm" if "activation" in area else "body" if "body" in defaults.get("area", {}) else "norm"
    default = defaults.get("area", {}).get(key)
    return area if default is None or _norms_apart({key: default}) == {key: default} else area | {key: default}


def _norms_shared(value: Any) -> Any:
    """The part of a spec without any `per_step: true`."""
    if isinstance(value, list):
        return [_norms_shared(item) for item in value]
    if isinstance(value, dict):
        return {key: _norms_shared(item) for key, item in value.items() if key != "per_step"}
    return value


def _norms_apart(value: Any) -> Any:
    """The part of a spec with `per_step: true` on every norm."""
    if isinstance(value, list):
        return [_norms_apart(item) for item in value]
    if isinstance(value, dict):
        return {key: _norm_apart(item) if key == "norm" else _norms_apart(item) for key, item in value.items()}
    return value


def _norm_apart(norm: Any) -> Any:
    options = norm if isinstance(norm, dict) else {"kind": norm}
    return norm if options.get("kind") in ("none", None) else options | {"per_step": True}


def _data(spec: NetworkSpec) -> dict[str, Any]:
    return spec.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)


def _validated(data: dict[str, Any], spec: NetworkSpec) -> NetworkSpec:
    """A changed spec, whose findings name the lines of the file that it comes from."""
    return NetworkSpec.model_validate(data, context=spec.origin)


# ---- weights -----------------------------------------------------------------


def _carried(state: State, before: UnrolledGraph, after: UnrolledGraph, take: Take) -> dict[str, Tensor]:
    """The state dict of `before` as one of `after`: sets are copied to every step, or brought together."""
    found = dict(state)
    chains, reached, sets = _chains(before), _reached(before), after.sets
    for identifier, chain in _chains(after).items():
        was_apart = {path: link.per_step for path, link in chains[identifier].walk(identifier)}
        for path, link in chain.walk(identifier):
            if link.owner is not None or link.per_step == was_apart[path]:
                continue
            if link.per_step:
                _copy(found, f"{path}.", sets[identifier])
            else:
                _bring_together(found, f"{path}.", sorted(reached.get(identifier, {1})), take)
    return found


def _chains(graph: UnrolledGraph) -> dict[str, Chain]:
    """The chains of areas and connections, by identifier."""
    found = {area.identifier: area.body for area in graph.areas.areas}
    return found | {connection.identifier: connection.transform for connection in graph.areas.connections}


def _reached(graph: UnrolledGraph) -> dict[str, set[int]]:
    """For each area and connection, the numbers of the sets (from 1) that a readout depends on."""
    found: dict[str, set[int]] = {}
    for node in prune(graph).updates():
        found.setdefault(graph.areas.area(node.name).identifier, set()).add(graph.ordinal(node))
        for connection, _ in graph.terms(node):
            for identifier in {connection.identifier, connection.owner or connection.identifier}:
                found.setdefault(identifier, set()).add(graph.ordinal(node))
    return found


def _copy(state: dict[str, Tensor], prefix: str, sets: int) -> None:
    for key in [key for key in state if key.startswith(prefix)]:
        tensor = state.pop(key)
        for n in range(sets):
            state[f"{prefix}{n}.{key.removeprefix(prefix)}"] = tensor.clone()


def _bring_together(state: dict[str, Tensor], prefix: str, reached: list[int], take: Take) -> None:
    by_name: dict[str, dict[int, Tensor]] = {}
    for key in [key for key in state if key.startswith(prefix)]:
        number, _, name = key.removeprefix(prefix).partition(".")
        by_name.setdefault(name, {})[int(number) + 1] = state.pop(key)
    for name, tensors in by_name.items():
        state[prefix + name] = _taken([tensors[number] for number in reached], take)


def _taken(tensors: list[Tensor], take: Take) -> Tensor:
    import torch

    if take == "mean" and tensors[0].is_floating_point():
        return torch.stack(tensors).mean(0)
    return tensors[-1 if take == "last" else 0].clone()
