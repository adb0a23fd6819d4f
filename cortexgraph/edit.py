"""Edits of a spec, or of a network together with its weights: `share`, `unshare` and `lesion`.

A network whose weights are the same at all steps is a deep network with equal layers: a ResNet of blocks with one set
of weights is a recurrent network of one state (Liao & Poggio 2016). `share` and `unshare` convert between the two, and
what the network computes stays the same wherever the sets are equal. `lesion` cuts connections.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from cortexgraph.arguments import arguments_explained
from cortexgraph.compiler import build, compile_with, unroll
from cortexgraph.errors import CompileError, CortexGraphWarning, Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.ops import Chain, GainOperation, Link
from cortexgraph.spec import NetworkSpec, SpecLike, resolve
from cortexgraph.spec.shorthand import chain_names
from cortexgraph.unrolling import UnrolledGraph, trained_sets
from cortexgraph.wording import listed, quoted, similar

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cortexgraph.network import CompiledNetwork

Take = Literal["mean", "first", "last"]
"""Which weights all steps share."""

KINDS = ("feedforward", "lateral", "feedback")

Data = dict[str, Any]
"""A spec, or a part of one, as in a JSON file."""

State = Mapping[str, "Tensor"]
"""A state dict."""

Change = Callable[[NetworkSpec], NetworkSpec]
Carry = Callable[[State, UnrolledGraph, UnrolledGraph], dict[str, "Tensor"]]
"""Makes of a state dict, and the unrolled graphs before and after an edit, the state dict after it."""


def _edited(network: SpecLike | nn.Module, change: Change, carry: Carry) -> NetworkSpec | nn.Module:
    """The changed spec, or the network of the changed spec, with the options and the weights of the given one."""
    if not hasattr(network, "named_modules"):
        if hasattr(type(network), "network"):
            found, expected = f"a {type(network).__name__} was given", "a spec or a network is needed"
            raise CompileError(
                Diagnostic("no-network", "network", found, expected, "Give its `.network`, or its `.spec`.")
            )
        return change(resolve(network))
    from cortexgraph.network import unaltered, unwrapped

    before = unwrapped(cast("nn.Module", network))
    started = unaltered(before)
    after = compile_with(change(before.spec), before.options)
    state, graphs = before.state_dict(), (unroll(before.spec), unroll(after.spec))
    after.take_over(before, carry(state, *graphs))
    _freeze(before, started, after, lambda flags: carry(flags, *graphs))
    return after.train(before.training)


def _freeze(
    before: CompiledNetwork, started: CompiledNetwork, after: CompiledNetwork, carry: Callable[[State], State]
) -> None:
    """Freeze in the edited network what the user froze in the network before; a mean where all of it was frozen."""
    import torch

    at_start = dict(started.named_parameters())
    frozen = {
        name: torch.tensor(float(at_start[name].requires_grad and not parameter.requires_grad))
        for name, parameter in before.named_parameters()
    }
    parameters = dict(after.named_parameters())
    for name, share in carry(frozen).items():
        if name in parameters and share == 1:
            parameters[name].requires_grad_(False)


# ---- cutting connections -------------------------------------------------------


@overload
def lesion(network: SpecLike, *cut: str) -> NetworkSpec: ...
@overload
def lesion(network: nn.Module, *cut: str) -> nn.Module: ...
@arguments_explained
def lesion(network: SpecLike | nn.Module, *cut: str) -> NetworkSpec | nn.Module:
    """Cut connections: the network is as if they had never been there; all other weights stay as they are.

    A connection that cannot be left out of the spec stays there as `active: never`: a drive of an area that
    concatenates its drives (zeros take its place, so that the weights of the area keep their shape and meaning), and
    one to whose parameters another connection is tied.

    Args:
        network: a spec, its path or zoo name, or a network from `cortexgraph.compile` or `load_run`, whose weights are
            carried over, and what is frozen of them. Hooks and replaced modules are refused: no spec says them.
        cut: kinds (`feedforward`, `lateral`, `feedback`), which stand for all connections of that kind, names of
            connections, or their ends as in `V4 -> V2`.

    Returns:
        The spec, or a newly compiled network on the same device. A warning names areas whose first response comes later
        than before and which have parameters per step: the sets count from the first response.

    Raises:
        CompileError: for a word that does not name a connection, or a readout that would be silent.
        GraphError: if the rest is not a network.

    Examples:
        >>> import cortexgraph as cg
        >>> len(cg.load("ventral").connections), len(cg.lesion("ventral", "feedback").connections)
        (11, 8)
    """

    def change(spec: NetworkSpec) -> NetworkSpec:
        graph = build(spec)
        return _without(graph, *_cut(graph, cut))

    def carry(state: State, before: UnrolledGraph, after: UnrolledGraph) -> dict[str, Tensor]:
        later.append(_later_sets(before, after))
        return _left(state, before.areas, after.areas, _cut(before.areas, cut)[0])

    later: list[str] = []
    edited = _edited(network, change, carry)
    if any(later):
        warnings.warn(later[0], CortexGraphWarning, stacklevel=3)
    return edited


def _later_sets(before: UnrolledGraph, after: UnrolledGraph) -> str:
    """What to say of areas whose first response comes later: their parameters per step count from it."""
    moved = []
    for name in (area.name for area in after.areas.areas if area.per_step):
        old, new = (graph.live_steps(name)[:1] for graph in (before, after))
        if old and new and old != new:
            moved.append(f"{name} (step {new[0]}, not {old[0]})")
    rest = "their parameters per step count from it, so that each set is used at a later step than in training"
    return f"the first response comes later in {listed(moved)}; {rest}" if moved else ""


def _cut(graph: AreaGraph, words: tuple[str, ...]) -> tuple[set[int], set[int]]:
    """The places in the spec of the connections that are removed, and of those that stay and are never active."""
    names: dict[int, set[str]] = {}
    for c in graph.connections:
        declared = graph.spec.connections[c.index]
        names[c.index] = {c.kind, declared.name or c.kind, f"{declared.source} -> {declared.target}"}
    every = [*KINDS, *set().union(*names.values())]
    if unknown := [_unknown(word, graph.spec) for word in words if word not in every]:
        raise CompileError(unknown)
    cut = {index for index, known in names.items() if known.intersection(words)}
    never = {
        c.index
        for c in graph.connections
        if c.index in cut and c.role == "drive" and graph.area(c.target).merge == "concat"
    }
    owners = {c.owner for c in graph.connections if c.index not in cut or c.index in never}
    never |= {c.index for c in graph.connections if c.index in cut and c.identifier in owners}
    return cut - never, never


def _unknown(word: object, spec: NetworkSpec) -> Diagnostic:
    expected = f"{quoted(KINDS)} name all connections of a kind, and ends such as `V4 -> V2` name one"
    if not isinstance(word, str):
        found = f"{word!r} was given, which is not a name"
        return Diagnostic("bad-lesion", "lesion", found, expected, "Give each name as a separate argument.")
    ends = [f"{c.source} -> {c.target}" for c in spec.connections]
    guess = similar(word, ends if len(chain_names(word) or ()) == 2 else [*KINDS, *ends])
    repair = f"Did you mean `{guess}`?" if guess else "See the connections with `cortexgraph show`."
    return Diagnostic("bad-lesion", f"lesion {word}", "this does not name a connection", expected, repair)


def _without(graph: AreaGraph, removed: set[int], never: set[int]) -> NetworkSpec:
    data = graph.spec.data()
    for index in never:
        data["connections"][index]["active"] = "never"
    data["connections"] = [c for index, c in enumerate(data["connections"]) if index not in removed]
    # Levels and sizes may have been inferred from the removed parts: they do not change.
    for area in graph.areas:
        data["areas"][area.name] |= {"size": list(area.shape[1:]), "level": area.level}
    return NetworkSpec.model_validate(data)


def _left(state: State, before: AreaGraph, after: AreaGraph, removed: set[int]) -> dict[str, Tensor]:
    """The state dict without the removed connections; another of the same ends may have got a shorter name."""
    kept = [c.identifier for c in before.connections if c.index not in removed]
    renamed = dict(zip(kept, (c.identifier for c in after.connections), strict=True))
    gone = {c.identifier for c in before.connections} - renamed.keys()
    parts = {key: key.partition(".") for key in state}
    return {
        f"{renamed.get(part, part)}.{rest}": state[key] for key, (part, _, rest) in parts.items() if part not in gone
    }


# ---- sharing weights over time ---------------------------------------------------


@overload
def unshare(network: SpecLike) -> NetworkSpec: ...
@overload
def unshare(network: nn.Module) -> nn.Module: ...
@arguments_explained
def unshare(network: SpecLike | nn.Module) -> NetworkSpec | nn.Module:
    """Give every step separate weights: all learned operations of connections and bodies become `per_step`.

    Every step starts with the weights that all shared, so that the network computes the same as before until it is
    trained. Cells, learned gains and readouts keep their one set.

    Args:
        network: a spec, its path or zoo name, or a network from `cortexgraph.compile` or `load_run`, whose weights are
            carried over, and what is frozen of them. Hooks and replaced modules are refused: no spec says them.

    Returns:
        The spec, or a newly compiled network on the same device.

    Raises:
        GraphError: if the spec does not make a network.

    Examples:
        >>> import cortexgraph as cg
        >>> cg.unshare("ventral").connections[0].weights
        'per_step'
    """
    return _edited(network, _unshared_spec, _carrying("first"))


@overload
def share(network: SpecLike, take: Take = ..., *, norms: bool = ...) -> NetworkSpec: ...
@overload
def share(network: nn.Module, take: Take = ..., *, norms: bool = ...) -> nn.Module: ...
@arguments_explained
def share(network: SpecLike | nn.Module, take: Take = "mean", *, norms: bool = True) -> NetworkSpec | nn.Module:
    """Give all steps the same weights: `per_step` becomes `shared`.

    Args:
        network: a spec, its path or zoo name, or a network from `cortexgraph.compile` or `load_run`, whose weights are
            carried over, and what is frozen of them. Hooks and replaced modules are refused: no spec says them.
        take: which weights all steps share: the mean over the sets that a readout depends on, or the first or last of
            these sets. Running statistics of batch norms are treated alike.
        norms: whether norms are shared too; if not, a norm that has a set for each step keeps them, as Liao & Poggio
            (2016) normalise.

    Returns:
        The spec, or a newly compiled network on the same device.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for another `take`.

    Examples:
        >>> import cortexgraph as cg
        >>> cg.share(cg.unshare("ventral"), norms=False) == cg.load("ventral")
        True
    """
    if take not in ("mean", "first", "last"):
        known = "`mean`, `first` and `last` are known"
        raise CompileError(Diagnostic("bad-take", "take", f"{take!r} was given", known, "Give one of these."))
    return _edited(network, lambda spec: _shared_spec(spec, norms=norms), _carrying(take))


def _unshared_spec(spec: NetworkSpec) -> NetworkSpec:
    graph, data = build(spec), spec.data()
    for connection in graph.connections:
        if connection.owner is None and _learns(connection.transform):
            data["connections"][connection.index]["weights"] = "per_step"
    for area in graph.areas:
        if _learns(area.body):
            data["areas"][area.name]["weights"] = "per_step"
    return NetworkSpec.model_validate(data, context=spec.origin)


def _learns(chain: Chain) -> bool:
    """Whether some operation has parameters that can be per step."""
    operations = [link.operation for _, link in chain.walk()]
    return any(operation.parameters() and not isinstance(operation, GainOperation) for operation in operations)


def _shared_spec(spec: NetworkSpec, *, norms: bool) -> NetworkSpec:
    build(spec)  # raises what is wrong with it
    data = spec.data()
    defaults = data.get("defaults", {})
    by_default = defaults.get("connection", {}).pop("weights", "shared")
    areas, connections = data["areas"], data["connections"]
    for part, default in (*((area, "shared") for area in areas.values()), *((c, by_default) for c in connections)):
        apart = part.pop("weights", default) == "per_step"
        if apart and not norms:
            part.update(_norms_apart(part if "from" in part else _with_default_norm(part, defaults)))
    if norms:
        data["connections"], data["areas"] = _norms_shared(connections), _norms_shared(areas)
        defaults.update({"area": _norms_shared(defaults["area"])} if "area" in defaults else {})
    return NetworkSpec.model_validate(data, context=spec.origin)


def _with_default_norm(area: Data, defaults: Data) -> Data:
    """The area, with the norm or body of the defaults written out where it takes that and it is not per step."""
    if "body" in area or "norm" in area:
        return area
    key = "norm" if "activation" in area else "body" if "body" in defaults.get("area", {}) else "norm"
    default = defaults.get("area", {}).get(key)
    return area if default is None or _norms_apart({key: default}) == {key: default} else area | {key: default}


def _norms_shared(part: object) -> object:
    """A part of a spec without any `per_step: true`."""
    if isinstance(part, list):
        return [_norms_shared(item) for item in part]
    if not isinstance(part, dict):
        return part
    return {key: _norms_shared(value) for key, value in part.items() if key != "per_step"}


def _norms_apart(part: object) -> object:
    """A part of a spec with `per_step: true` on every norm."""
    if isinstance(part, list):
        return [_norms_apart(item) for item in part]
    if not isinstance(part, dict):
        return part
    return {key: _norm_apart(value) if key == "norm" else _norms_apart(value) for key, value in part.items()}


def _norm_apart(norm: str | Data | None) -> str | Data | None:
    options = norm if isinstance(norm, dict) else {"kind": norm}
    return norm if options.get("kind") in ("none", None) else options | {"per_step": True}


def _carrying(take: Take) -> Carry:
    """Copies sets to every step, or brings them together."""

    def carry(state: State, before: UnrolledGraph, after: UnrolledGraph) -> dict[str, Tensor]:
        carried = dict(state)
        were_apart = {path: link.per_step for path, link in _links(before)}
        reached, sets = trained_sets(before), after.sets
        for path, link in _links(after):
            identifier = path.partition(".")[0]
            if link.owner is not None or link.per_step == were_apart[path]:
                continue
            entries = {key.removeprefix(f"{path}."): carried.pop(key) for key in state if key.startswith(f"{path}.")}
            if link.per_step:
                carried |= {f"{path}.{n}.{k}": v.clone() for n in range(sets[identifier]) for k, v in entries.items()}
            else:
                numbers = [number - 1 for number in sorted(reached.get(identifier, {1}))]
                for name in {name.partition(".")[2] for name in entries}:
                    carried[f"{path}.{name}"] = _taken([entries[f"{number}.{name}"] for number in numbers], take)
        return carried

    return carry


def _links(graph: UnrolledGraph) -> Iterator[tuple[str, Link]]:
    """The operations of areas and connections, by their paths in the state dict."""
    for area in graph.areas.areas:
        yield from area.body.walk(area.identifier)
    for connection in graph.areas.connections:
        yield from connection.transform.walk(connection.identifier)


def _taken(tensors: list[Tensor], take: Take) -> Tensor:
    import torch

    if take == "mean" and tensors[0].is_floating_point():
        return torch.stack(tensors).mean(0)
    return tensors[-1 if take == "last" else 0].clone()
