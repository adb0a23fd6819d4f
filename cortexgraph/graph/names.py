"""Identifiers: unique, legal Python names derived from free text, stable for a given spec."""

from __future__ import annotations

import keyword
import re
import unicodedata

__all__ = ["RESERVED", "Namespace"]

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
    Area PerStep Tensor annotations chain collections image logits module nn per_frame readout record self source
    again carried checkpoint first spec states steps torch unrolled x
"""
RESERVED = frozenset({*_MODULE.split(), *_EMITTED.split(), *keyword.kwlist, *keyword.softkwlist})

MAX_LENGTH = 16  # with a number behind it, keeps every line of an update within the formatter's width


def _plain(text: str) -> str:
    """ASCII letters, digits and single underscores; other characters become one underscore."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"_+", "_", re.sub(r"\W", "_", ascii_text)).strip("_")


class Namespace:
    """Hands out each identifier once."""

    def __init__(self, reserved: frozenset[str] = RESERVED) -> None:
        self._taken = set(reserved)
        self._next: dict[str, int] = {}

    def identifier(self, text: str, fallback: str = "area", length: int = MAX_LENGTH) -> str:
        """A free identifier near `text`: `TH/TF` gives `TH_TF`, `7a` gives `area_7a`, a clash a number."""
        base = _plain(text)
        if not base or base[0].isdigit():
            base = f"{fallback}_{base}"
        return self.claim(base[:length].rstrip("_"))

    def claim(self, base: str) -> str:
        """`base` itself if it is free, otherwise with the first free number behind it."""
        name, number = base, self._next.get(base, 2)
        while name in self._taken:
            name, number = f"{base}_{number}", number + 1
        self._taken.add(name)
        self._next[base] = number
        return name
