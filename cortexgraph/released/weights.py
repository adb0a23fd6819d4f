"""Weights for a spec from a released checkpoint or a file of cortexgraph, and a proposal for a missing key map."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from pydantic import JsonValue, ValidationError
from torch import Tensor

from cortexgraph.compiler import compile_spec
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.files import write_bytes
from cortexgraph.graph.model import AreaGraph
from cortexgraph.graph.names import renamed
from cortexgraph.network import CompiledNetwork
from cortexgraph.released.keymap import Images, KeyMap, Target, Unmatched, find_key_map, load_key_map, resolve
from cortexgraph.released.tensors import read_tensors, refusal
from cortexgraph.spec import NetworkSpec, SpecLike
from cortexgraph.spec import resolve as resolve_spec
from cortexgraph.wording import shortened, suggest

MARK = "cortexgraph_weights"
"""Key of the metadata that holds the spec and the preparation of images."""
COUNTER = "num_batches_tracked"
"""Of batch norms: an older checkpoint has none, and no result depends on it."""
IMAGENET_CLASSES = 1000


@dataclass(frozen=True)
class Weights:
    """What a checkpoint holds, under the names of a spec.

    Attributes:
        path: the file.
        spec: the network.
        state: its state dict, whole.
        images: how images are prepared.
        data: what the network was trained on.
        classes: their names; numbers where they are not known.
        unused: keys of the checkpoint that the network has no use for, by the key map.
    """

    path: Path
    spec: NetworkSpec
    state: dict[str, Tensor]
    images: Images
    data: str
    classes: tuple[str, ...]
    unused: tuple[str, ...] = ()


def read_weights(path: str | Path, spec: SpecLike | None = None, key_map: str | Path | KeyMap | None = None) -> Weights:
    """Read the weights of a network from a checkpoint of any library.

    Args:
        path: a .safetensors, .pth, .pt or Keras .h5 file. No code in it is run.
        spec: the network; by default the one that `write_weights` stored in the file.
        key_map: a key map or its file; by default the one beside the spec. A file whose keys are the names of the
            network needs none.

    Raises:
        DataError: if the file cannot be read, or with every tensor that does not fit the network.
        SpecError: if the spec or the key map cannot be read.
    """
    path = Path(path)
    tensors, metadata = read_tensors(path)
    card: dict[str, JsonValue] = json.loads(metadata[MARK]) if MARK in metadata else {}
    if spec is None and not card:
        repair = "Name the network with `--spec`, such as `--spec cornet_s_imagenet`."
        raise refusal(path, "nothing in the file says which network it belongs to", repair=repair)
    network = NetworkSpec.model_validate(card["spec"]) if spec is None else resolve_spec(spec)
    parameters, areas = parameters_of(network)
    tensors = renamed(areas, tensors)
    file = key_map or (None if parameters.keys() <= tensors.keys() else find_key_map(spec or network))
    used = file if isinstance(file, KeyMap) else load_key_map(file) if file else _own_names(card)
    placed, unused, findings = _placed(tensors, parameters, used, areas)
    findings += _missing(placed, parameters, areas)
    if findings:
        raise DataError(_in_short(findings, path, placed, tensors, parameters, map=file is not None))
    state = {
        name: placed[name][1] if name in placed else torch.ones_like(value, device="cpu")
        for name, value in parameters.items()
    }
    classes = _class_names(used, network.readouts[0].classes)
    return Weights(path, network, state, used.images, used.data, classes, unused)


def named_tensors(path: str | Path, network: CompiledNetwork) -> dict[str, Tensor]:
    """The tensors of a checkpoint under the names of a network, whether or not they fit.

    Where no key of the file is such a name, the key map beside the spec gives the names. A tensor without one keeps its
    key; one that the key map does not use is left out. Raises DataError or SpecError if a file cannot be read.
    """
    parameters, areas = network.state_dict(), network.unrolled.areas
    tensors = renamed(areas, read_tensors(Path(path))[0])
    file = None if parameters.keys() & tensors.keys() else find_key_map(network.spec)
    if file is None:
        return tensors
    placed, unused, _ = _placed(tensors, parameters, load_key_map(file), areas)
    known = {key for key, _ in placed.values()} | {*unused}
    rest = {key: tensor for key, tensor in tensors.items() if key not in known}
    return rest | {name: tensor for name, (_, tensor) in placed.items()}


def parameters_of(spec: NetworkSpec) -> tuple[dict[str, Tensor], AreaGraph]:
    """The state dict of a spec, without values, and its areas."""
    with torch.device("meta"):
        network = compile_spec(spec)
    return network.state_dict(), network.unrolled.areas


def write_weights(weights: Weights, path: str | Path) -> None:
    """Write weights as a safetensors file that also holds the spec and the preparation of images.

    Raises DataError if the file cannot be written, or has another suffix.
    """
    from safetensors.torch import save

    path = Path(path)
    if path.suffix != ".safetensors":
        found = f"the suffix is {path.suffix!r}"
        raise DataError(Diagnostic("suffix", str(path), found, repair=f"Write {path.stem or 'out'}.safetensors."))
    card = {
        "spec": weights.spec.data(),
        "images": weights.images.model_dump(mode="json"),
        "data": weights.data,
        "classes": weights.classes,
    }
    state = {name: value.contiguous().clone() for name, value in weights.state.items()}
    metadata = {MARK: json.dumps(card), "spec_sha256": weights.spec.digest}
    write_bytes(path, save(state, metadata), durable=True)  # `save_file` has an error of its own for a full disk


def _own_names(card: Mapping[str, JsonValue]) -> KeyMap:
    """The key map of a file whose keys are the names of the network."""
    try:
        known = {key: card[key] for key in ("images", "data", "classes") if key in card}
        return KeyMap.model_validate({"keys": {}, **known})
    except ValidationError:
        raise DataError(Diagnostic("checkpoint", MARK, "the metadata of the file is damaged")) from None


def _class_names(key_map: KeyMap, count: int) -> tuple[str, ...]:
    if key_map.classes == "imagenet" and count == IMAGENET_CLASSES:
        from torchvision.models._meta import _IMAGENET_CATEGORIES

        return tuple(_IMAGENET_CATEGORIES)
    return tuple(key_map.classes) if len(key_map.classes) == count else tuple(map(str, range(count)))


# ---- each tensor at its place ------------------------------------------------


Placed = dict[str, tuple[str, Tensor]]
"""The key and tensor of each parameter."""


def _placed(
    tensors: Mapping[str, Tensor], parameters: Mapping[str, Tensor], key_map: KeyMap, areas: AreaGraph
) -> tuple[Placed, tuple[str, ...], list[Diagnostic]]:
    """The tensor of each parameter, the keys that are not used, and what does not fit."""
    placed: Placed = {}
    unused: list[str] = []
    findings: list[Diagnostic] = []
    for key, tensor in tensors.items():
        if key_map.keys:
            targets = resolve(key, key_map, parameters)
        else:
            targets = [(key, Target(to=key)) if key in parameters else Unmatched()]
        unused += [] if targets else [key]
        for target in targets:
            if isinstance(target, Unmatched):
                findings += [] if key.endswith(COUNTER) else [_unmatched(key, tensor, target, parameters)]
            elif target[0] in placed:
                found = f"`{placed[target[0]][0]}` and `{key}` both give `{target[0]}`"
                findings.append(Diagnostic("key-map", _label(target[0], areas), found, repair="Correct the key map."))
            else:
                value = _fitted(tensor, target[1], parameters[target[0]])
                placed[target[0]] = key, tensor if value is None else value
                if value is None:
                    found = f"`{key}` has shape {[*tensor.shape]}"
                    expected = f"`{target[0]}` has shape {[*parameters[target[0]].shape]}"
                    findings.append(Diagnostic("tensor-shape", _label(target[0], areas), found, expected))
    return placed, tuple(unused), findings


def _fitted(tensor: Tensor, target: Target, like: Tensor) -> Tensor | None:
    """The tensor in the shape and type of a parameter; None where it cannot have them.

    Axes of length 1 at the end may be left out or added: a 1 × 1 convolution is a matrix.
    """
    if target.rows is not None and tensor.ndim:
        tensor = tensor[slice(*target.rows)]
    if target.chunks and tensor.ndim and len(tensor) % len(target.chunks) == 0:
        parts = tensor.chunk(len(target.chunks))
        tensor = torch.cat([parts[index] for index in target.chunks])
    if without_ones(tensor.shape) != without_ones(like.shape):
        return None
    return tensor.reshape(like.shape).to(like.dtype)


def without_ones(shape: Iterable[int]) -> list[int]:
    """The sizes up to the last that is not 1."""
    sizes = [*shape]
    while sizes and sizes[-1] == 1:
        sizes.pop()
    return sizes


def _label(name: str, areas: AreaGraph) -> str:
    """The area or connection of a parameter, as the user wrote it."""
    part = name.partition(".")[0]
    return areas.labels.get(part, part)


def _unmatched(key: str, tensor: Tensor, target: Unmatched, names: Iterable[str]) -> Diagnostic:
    place = f"{key} {[*tensor.shape]}"
    if not target.pattern:
        found, repair = "no entry of the key map is for this tensor", "Add one; with `null` the tensor is not used."
        return Diagnostic("unknown-key", place, found, repair=repair)
    if target.among:
        found = f"`{target.target}` can be {', '.join(target.among[:3])}"
        return Diagnostic("key-map", place, found, "it must be one parameter", f"Correct the entry `{target.pattern}`.")
    found = f"the entry `{target.pattern}` leads to `{target.target}`"
    repair = suggest(target.target, names, "Correct the entry, or choose the spec that the checkpoint belongs to.")
    return Diagnostic("key-map", place, found, "the network has no such parameter", repair)


def _missing(placed: Placed, parameters: Mapping[str, Tensor], areas: AreaGraph) -> list[Diagnostic]:
    missing: dict[str, list[str]] = {}
    for name, value in parameters.items():
        owner, _, leaf = name.rpartition(".")
        if name not in placed and leaf != COUNTER:
            missing.setdefault(owner, []).append(f"{leaf} {[*value.shape]}")
    return [
        Diagnostic(
            "missing-tensor", _label(owner, areas), f"no tensor of the file gives `{owner}`: {', '.join(leaves)}"
        )
        for owner, leaves in missing.items()
    ]


def _in_short(
    findings: list[Diagnostic], path: Path, placed: Placed, keys: Iterable[str], parameters: Iterable[str], *, map: bool
) -> Iterator[Diagnostic]:
    """The findings; one in place of all where most of the file does not fit."""
    own, others = (sum(not name.endswith(COUNTER) for name in names) for names in (parameters, keys))
    fitting = sum(not name.endswith(COUNTER) for name in placed) - sum(f.code == "tensor-shape" for f in findings)
    if 2 * fitting >= own:
        yield from (replace(finding, file=str(path)) for finding in findings)
        return
    found = f"{fitting} of the {others} tensors in this file fit the {own} of the network"
    found += f"; {shortened(findings[0].place)}: {findings[0].found}"
    repair = "Choose the spec that the file belongs to."
    if not map:
        repair += " If its keys have other names, give a key map with --map; --guess proposes one."
    yield Diagnostic("other-weights", str(path), found, repair=repair)
    yield from [replace(finding, file=str(path)) for finding in findings if finding.code == "key-map"][:5]


# ---- proposing a key map ------------------------------------------------------------

Leaves = frozenset[tuple[str, tuple[int, ...]]]
"""Names and shapes of a module's tensors."""


def guessed_key_map(path: str | Path, spec: NetworkSpec) -> tuple[str, list[str]]:
    """The text of a key map for a checkpoint, and a line for each module that could be another or has no counterpart.

    Modules are paired that have tensors of the same names and shapes. Among several, the one whose name has the most
    words in common counts, and among equals the one at the same place in the order in which areas are computed. Raises
    what `read_weights` does.
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
        scores = [len({*_words(name)} & {*_words(mine)}) for name in among]  # words in common
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


def _words(name: str) -> Iterator[str]:
    """Its words with and without the number behind them, and the number at its end."""
    yield from re.findall(r"[a-z]+\d*", name.lower())
    yield from re.findall(r"[a-z]+|\d+$", name.lower())


def _shapes(leaves: Leaves) -> str:
    return ", ".join(f"{leaf} {[*shape]}" for leaf, shape in sorted(leaves))
