"""Identifiers: unique, legal Python names derived from free text, stable for a given spec."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from cortexgraph.graph.model import AreaGraph
from cortexgraph.ops import Chain
from cortexgraph.spec import IMAGE, NetworkSpec

# Public attributes of torch.nn.Module, which an area's attribute must not hide (a test keeps this list complete),
# and the names that emitted files use themselves.
_MODULE = """
    T_destination add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches
    eval extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict
    modules mtia named_buffers named_children named_modules named_parameters parameters register_backward_hook
    register_buffer register_forward_hook register_forward_pre_hook register_full_backward_hook
    register_full_backward_pre_hook register_load_state_dict_post_hook register_load_state_dict_pre_hook
    register_module register_parameter register_state_dict_post_hook register_state_dict_pre_hook
    requires_grad_ set_extra_state set_submodule share_memory state_dict to to_empty train training type xpu
    zero_grad
"""
_EMITTED = """
    Area PerStep Tensor annotations chain collections image logits module nn options per_frame readout record self
    source again carried checkpoint first spec states steps torch unrolled x
"""
RESERVED = frozenset({*_MODULE.split(), *_EMITTED.split(), *keyword.kwlist, *keyword.softkwlist})

T = TypeVar("T")


def _plain(text: str, fallback: str = "area", length: int | None = None) -> str:
    """ASCII letters, digits and single underscores; other characters become one underscore."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    plain = re.sub(r"_+", "_", re.sub(r"\W", "_", ascii_text)).strip("_")
    named = plain if plain and not plain[0].isdigit() else f"{fallback}_{plain}"
    return named[:length].rstrip("_")


class Namespace:
    """Hands out each identifier once."""

    def __init__(self, reserved: frozenset[str] = RESERVED) -> None:
        self._taken = set(reserved)
        self._next: dict[str, int] = {}

    def identifier(self, text: str, fallback: str = "area") -> str:
        """A free identifier near `text`: `TH/TF` gives `TH_TF`, `7a` gives `area_7a`, a clash a number."""
        return self.claim(_plain(text, fallback))

    def claim(self, base: str) -> str:
        """`base` itself if it is free, otherwise with the first free number behind it."""
        name, number = base, self._next.get(base, 2)
        while name in self._taken:
            name, number = f"{base}_{number}", number + 1
        self._taken.add(name)
        self._next[base] = number
        return name


@dataclass(frozen=True)
class Identifiers:
    """The identifiers of a network: of inputs, areas and their start states by name, of the rest by their index."""

    inputs: Mapping[str, str]
    areas: Mapping[str, str]
    starts: Mapping[str, str]
    connections: Mapping[int, str]
    readouts: Mapping[int, str]


def identifiers(spec: NetworkSpec) -> Identifiers:
    """The identifiers of a spec's areas, its connections between known areas, and its readouts."""
    names = Namespace()
    areas = {name: names.identifier(name) for name in spec.areas}
    inputs = {name: name if name == IMAGE else names.identifier(name, "input") for name in spec.inputs}
    sources = inputs | areas
    connections = {}
    for index, connection in enumerate(spec.connections):
        if connection.source in sources and connection.target in areas:
            # with a name the ends count too for the numbers of others, so that names of 0.1 keep their meaning
            ends = names.claim(f"{sources[connection.source]}_to_{areas[connection.target]}")
            connections[index] = names.identifier(connection.name, "connection") if connection.name else ends
    readouts = {0: "readout"}
    if len(spec.readouts) > 1:
        called = [readout.name or readout.source for readout in spec.readouts]
        readouts = {n: names.identifier(f"readout_{name}") for n, name in enumerate(called)}
    starts = {name: names.claim(f"{areas[name]}_start") for name in spec.areas}
    return Identifiers(inputs, areas, starts, connections, readouts)


# ---- state dicts of version 0.1 ------------------------------------------------


def renamed(areas: AreaGraph, state: Mapping[str, T], prefix: str = "") -> dict[str, T]:
    """A state dict of version 0.1 under the names of today; one of today as it is.

    Version 0.1 cut identifiers, called connections by their ends whatever their `name`, and called a transposed
    convolution `conv`. The network's entries have the prefix, with a dot at its end.
    """
    today = dict(_former_paths(areas))
    gone = today.keys() - {*today.values()}
    own = {key: key.removeprefix(prefix).split(".") for key in state if key.startswith(prefix)}
    above = {key: [".".join(parts[:n]) for n in range(len(parts), 0, -1)] for key, parts in own.items()}
    if not any(path in gone for paths in above.values() for path in paths):
        return dict(state)
    entries: dict[str, T] = {}
    for key, value in state.items():
        path = next((path for path in above.get(key, ()) if path in today), None)
        entries[key if path is None else f"{prefix}{today[path]}{key[len(prefix) + len(path) :]}"] = value
    return entries


def _former_paths(areas: AreaGraph) -> Iterator[tuple[str, str]]:
    """The paths in the state dict of version 0.1 and of today, of areas, connections, readouts and operations."""
    spec, names = areas.spec, Namespace(RESERVED - {"options"})
    then = {name: names.claim(_plain(name, length=16)) for name in spec.areas}
    then |= {each.name: each.identifier for each in areas.inputs}
    for area in areas.areas:
        yield then[area.name], area.identifier
        yield from _former_links(area.body, then[area.name], area.identifier)
    for connection in areas.connections:
        former = names.claim(f"{then[connection.source]}_to_{then[connection.target]}")
        yield former, connection.identifier
        yield from _former_links(connection.transform, former, connection.identifier)
    for readout in areas.readouts:
        alone = len(areas.readouts) == 1
        yield "readout" if alone else names.claim(_plain(f"readout_{readout.name}", length=24)), readout.identifier


def _former_links(chain: Chain, then: str, now: str) -> Iterator[tuple[str, str]]:
    counts: Counter[str] = Counter()
    for link in chain:
        operation = link.operation
        name = operation.former_role or operation.role or link.word
        counts[name] += 1
        former = f"{then}.{name}_{counts[name]}" if counts[name] > 1 else f"{then}.{name}"
        yield former, f"{now}.{link.name}"
        for part, inner in operation.chains().items():
            yield from _former_links(inner, f"{former}.{part}", f"{now}.{link.name}.{part}")
