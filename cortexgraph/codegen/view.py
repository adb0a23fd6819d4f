"""What the templates see: frozen dataclasses of ready strings and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["MemoryFormat", "ModuleView", "ParameterGroup", "StepView", "UpdateView"]

MemoryFormat = Literal["channels_last", "contiguous"]
"""Layout of kernels, and with them of states, in memory. Shapes, values and state dicts are the same in both."""


@dataclass(frozen=True)
class ParameterGroup:
    """Statements that make the parameters of one kind, under a heading."""

    heading: str
    statements: tuple[str, ...]


@dataclass(frozen=True)
class UpdateView:
    """One statement: an area's new state.

    Attributes:
        targets: the names that are assigned.
        call: what is called: the area's module.
        arguments: lines of the call, the merged input first.
        shape: of the state.
    """

    targets: str
    call: str
    arguments: tuple[str, ...]
    shape: str


@dataclass(frozen=True)
class StepView:
    """The updates of one step, under a banner."""

    banner: str
    updates: tuple[UpdateView, ...]


@dataclass(frozen=True)
class ModuleView:
    """The class of an emitted file."""

    docstring: tuple[str, ...]
    class_name: str
    summary: str
    image_shape: str
    steps_total: int
    returns: str
    returns_text: str
    parameters: tuple[ParameterGroup, ...]
    channels_last: bool
    zeros: tuple[str, ...]
    frames: tuple[str, ...]
    steps: tuple[StepView, ...]
    logits: str
    records: tuple[str, ...]
