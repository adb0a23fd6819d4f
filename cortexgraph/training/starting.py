"""What training starts from: weights of another run or of a file, whitened kernels, and the parts that stay frozen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cortexgraph.data import ImageData
from cortexgraph.errors import CompileError, DataError, Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.graph.names import renamed
from cortexgraph.network import CompiledNetwork
from cortexgraph.released.weights import COUNTER, named_tensors
from cortexgraph.training.loaders import evaluation_batches
from cortexgraph.training.named_runs import hub_name
from cortexgraph.training.run import TrainedRun, load_run
from cortexgraph.wording import quoted, suggest

Source = str | Path | TrainedRun | Mapping[str, Tensor]
"""Weights to start from: a run or its folder, the name of a trained network that ships, a file, or a state dict."""


# ---- weights -----------------------------------------------------------------------


@dataclass(frozen=True)
class Start:
    """Where the weights came from.

    Attributes:
        name: of the run or file.
        new_readouts: why the readouts that the weights did not fill are new, in words.
    """

    name: str
    new_readouts: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join([f"starts from the weights of {self.name}", *self.new_readouts])


def load_weights(network: CompiledNetwork, source: Source, classes: Sequence[str]) -> Start:
    """Give a network the weights of another one; its readouts stay new where the classes are others.

    Raises DataError if the weights cannot be read, or with a finding for each tensor that does not fit.
    """
    name, state, known = _read(source, network)
    areas, own = network.unrolled.areas, network.state_dict()
    misshaped = {key for key in own.keys() & state.keys() if own[key].shape != state[key].shape}
    fresh = dict(_new_readouts(areas, own, state, known, classes))
    kept = {key: value for key, value in state.items() if key not in misshaped and _part(key) not in fresh}
    loaded = network.load_state_dict(kept, strict=False)
    labels = areas.labels
    findings = [
        Diagnostic("missing-tensor", labels.get(_part(key), key), f"{name} has no `{key}` {[*own[key].shape]}")
        for key in loaded.missing_keys
        if _part(key) not in fresh and key not in misshaped and not key.endswith(COUNTER)
    ]
    findings += [
        Diagnostic(
            "unexpected-tensor", labels.get(_part(key), key), f"{name} has `{key}`, which the network does not have"
        )
        for key in loaded.unexpected_keys
    ]
    findings += [
        Diagnostic(
            "tensor-shape",
            labels.get(_part(key), key),
            f"`{key}` of {name} has shape {[*state[key].shape]}",
            f"that of the network has {[*own[key].shape]}",
        )
        for key in sorted(misshaped)
        if _part(key) not in fresh
    ]
    if findings:
        repair = "Give weights of a network with these areas and connections, or a spec to which they belong."
        raise DataError([*findings[:-1], replace(findings[-1], repair=repair)])
    return Start(name, tuple(fresh.values()))


def _read(source: Source, network: CompiledNetwork) -> tuple[str, Mapping[str, Tensor], tuple[str, ...] | None]:
    """What to call the weights, the tensors under the names of the network, and the classes where they are known."""
    areas = network.unrolled.areas
    if isinstance(source, Mapping):
        return "a state dict", renamed(areas, source), None
    if isinstance(source, TrainedRun):
        return str(source.folder.path), renamed(areas, source.weights), source.classes
    if Path(source).is_file():
        return str(source), named_tensors(Path(source), network), None
    run = load_run(source)
    return str(source if hub_name(source) else run.folder.path), renamed(areas, run.weights), run.classes


def _new_readouts(
    areas: AreaGraph,
    own: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    known: tuple[str, ...] | None,
    classes: Sequence[str],
) -> Iterator[tuple[str, str]]:
    """The readouts that stay new, by identifier, and why."""
    for readout in areas.readouts:
        keys = [key for key in own if _part(key) == readout.identifier]
        words = "the readout" if len(areas.readouts) == 1 else f"readout {readout.name}"
        if keys and not any(key in state for key in keys):
            yield readout.identifier, f"{words} is new: the weights do not include it"
        elif any(state[key].shape[:1] != own[key].shape[:1] for key in keys if key in state):
            before = next(len(state[key]) for key in keys if key in state)
            yield readout.identifier, f"{words} is new: it has {readout.classes} classes, the weights have {before}"
        elif keys and known is not None and tuple(classes) != known:
            yield readout.identifier, f"{words} is new: the classes have other names"


def _part(key: str) -> str:
    """The area, connection or readout of a tensor."""
    return key.partition(".")[0]


# ---- whitened first convolutions (Page 2018; Jordan 2024) -----------------------------

IMAGES = 2000
"""How many training images at most, spread evenly, give the patches."""
FLOOR = 5e-4
"""Added to the variances, as Jordan 2024 does, so that components without variance are not blown up."""


def whiten(network: CompiledNetwork, data: ImageData) -> None:
    """Whiten the convolutions of connections with `init: whitened`; the others stay as they are."""
    connections = [c for c in network.unrolled.areas.connections if c.init == "whitened" and c.owner is None]
    modules = [
        m
        for c in connections
        if c.source in network.unrolled.areas.input_names
        for m in network.get_submodule(c.identifier).modules()
    ]
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    if convolutions:
        spread = range(0, len(data.train), -(-len(data.train) // IMAGES))  # folders hold one class after another
        sample = replace(data, train=data.train[spread])
        images, _ = next(iter(evaluation_batches(sample, torch.device("cpu"), IMAGES, "train")))
        for convolution in convolutions:
            whiten_(convolution, images.flatten(0, -4))  # the frames of videos are images


@torch.no_grad()
def whiten_(convolution: nn.Conv2d, images: Tensor) -> None:
    """Set kernels to the principal components of image patches, scaled to variance 1, then to their negatives.

    Kernels beyond two for each component stay as they are. The input of the convolution are the normalised images,
    float32 [N, C, H, W]; each of its groups sees its own channels.
    """
    groups = convolution.groups
    for kernels, channels in zip(convolution.weight.chunk(groups), images.chunk(groups, 1), strict=True):
        variances, components = torch.linalg.eigh(_covariance(channels, convolution))  # [d], [d, d], rising
        components = components.flip(1) / (variances.flip(0) + FLOOR).sqrt()
        largest = components.abs().argmax(0, keepdim=True)
        components = components * components.gather(0, largest).sign()  # their signs are arbitrary
        filters = torch.cat([components.T, -components.T])[: len(kernels)]
        kernels[: len(filters)] = filters.reshape(-1, *kernels.shape[1:]).to(kernels)


def _covariance(images: Tensor, convolution: nn.Conv2d) -> Tensor:
    """The covariance of patches as the convolution sees them, without its border: float64 [d, d]."""
    count, sums, squares = 0, torch.zeros(()), torch.zeros(())
    for batch in torch.split(images, 100):
        patches = F.unfold(batch, convolution.kernel_size, convolution.dilation)
        values = patches.transpose(0, 1).flatten(1).double()  # [d, patches]
        count, sums, squares = count + values.shape[1], sums + values.sum(1), squares + values @ values.T
    mean = sums / count
    return squares / count - mean[:, None] * mean


# ---- frozen parts ------------------------------------------------------------------


class Frozen(NamedTuple):
    """What does not change in training.

    Attributes:
        modules: in evaluation mode, in which training keeps them, their running statistics do not move.
        parameters: how many numbers would otherwise be trained.
    """

    modules: tuple[nn.Module, ...] = ()
    parameters: int = 0


def freeze(network: CompiledNetwork, words: Sequence[str]) -> Frozen:
    """Freeze areas, connections and readouts, by names with or without commas: their parameters require no gradient.

    Raises CompileError if no part with parameters has a name, or nothing is left to train.
    """
    if not words:
        return Frozen()
    modules = {name: child for name, child in network.named_children() if child.state_dict()}
    known = _parts(network.unrolled.areas)
    names = [name for word in words for name in ([word] if word in known else map(str.strip, word.split(",")))]
    findings = [_unknown(name, known) for name in names if name not in known]
    findings += [_without_parameters(name) for name in names if name in known and not known[name] & modules.keys()]
    if findings:
        raise CompileError(findings)
    parts = set().union(*(known[name] for name in names)) & modules.keys()
    before = trainable(network)
    frozen = tuple(modules[part].requires_grad_(False) for part in modules if part in parts)
    if not trainable(network):
        found, repair = "nothing is left to train", "Leave out a part, such as the readout."
        raise CompileError(Diagnostic("frozen", "settings.freeze", found, repair=repair))
    return Frozen(frozen, before - trainable(network))


def trainable(network: nn.Module) -> int:
    """How many numbers require a gradient."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def _parts(areas: AreaGraph) -> dict[str, set[str]]:
    """The identifiers that each name stands for; a tied connection has the parameters of another one."""
    known: dict[str, set[str]] = {}
    for area in areas.areas:
        known[area.name] = {area.identifier}
    for c in areas.connections:
        declared = areas.spec.connections[c.index]
        for name in {declared.name or c.label, c.label, f"-> {c.target}"}:
            known.setdefault(name, set()).update({c.identifier, c.owner or c.identifier})
    for readout in areas.readouts:
        known.setdefault(readout.identifier, set()).add(readout.identifier)
    return known


def _unknown(name: str, known: Mapping[str, object]) -> Diagnostic:
    expected = f"areas, connections and readouts have names such as {quoted(list(known)[:2])}, `V1 -> V2` or `-> V1`"
    repair = suggest(name, known, "See the names with `cortexgraph show`.")
    return Diagnostic("frozen", f"freeze {name}", "no part of the network has this name", expected, repair)


def _without_parameters(name: str) -> Diagnostic:
    repair = f"Give `-> {name}` to freeze the connections into it, or leave it out."
    return Diagnostic("frozen", f"freeze {name}", "this part has no parameters", repair=repair)
