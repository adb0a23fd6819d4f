"""Identifiers: unique, legal Python names derived from free text, stable for a given spec."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from cortexgraph.spec import IMAGE, NetworkSpec

__all__ = ["RESERVED", "Identifiers", "Namespace", "identifiers", "renamed"]

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
    """The identifiers of a network: of its areas by name, of connections and readouts by their index in the spec."""

    areas: Mapping[str, str]
    connections: Mapping[int, str]
    readouts: Mapping[int, str]

    def all(self) -> list[str]:
        return [*self.areas.values(), *self.connections.values(), *self.readouts.values()]


def identifiers(spec: NetworkSpec) -> Identifiers:
    """The identifiers of a spec's areas, its connections between known areas, and its readouts."""
    return _identifiers(spec, Namespace())


def _identifiers(
    spec: NetworkSpec, names: Namespace, area_length: int | None = None, readout_length: int | None = None
) -> Identifiers:
    areas = {name: names.claim(_plain(name, length=area_length)) for name in spec.areas} | {IMAGE: IMAGE}
    connections = {
        index: names.claim(f"{areas[connection.source]}_to_{areas[connection.target]}")
        for index, connection in enumerate(spec.connections)
        if connection.source in areas and connection.target in spec.areas
    }
    readouts = {0: "readout"}
    if len(spec.readouts) > 1:
        called = [readout.name or readout.source for readout in spec.readouts]
        readouts = {n: names.claim(_plain(f"readout_{name}", length=readout_length)) for n, name in enumerate(called)}
    return Identifiers(areas, connections, readouts)


def renamed(spec: NetworkSpec, state: Mapping[str, T], prefix: str = "") -> dict[str, T]:
    """A state dict of version 0.1, which cut identifiers, under the names of today; one of today as it is.

    Args:
        spec: the network.
        state: the state dict.
        prefix: of the network's entries, with a dot at its end.
    """
    then = _identifiers(spec, Namespace(RESERVED - {"options"}), 16, 24).all()
    now = identifiers(spec).all()
    if not {key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)} & ({*then} - {*now}):
        return dict(state)
    today = dict(zip(then, now, strict=True))
    entries: dict[str, T] = {}
    for key, value in state.items():
        first, dot, rest = key.removeprefix(prefix).partition(".")
        new = f"{prefix}{today.get(first, first)}{dot}{rest}" if key.startswith(prefix) else key
        entries[new] = value
    return entries
