"""What the templates see: frozen dataclasses of ready strings and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["MemoryFormat", "ModuleView", "ParameterGroup", "StepView"]

MemoryFormat = Literal["channels_last", "contiguous"]
"""Layout of kernels, and with them of states, in memory. Shapes, values and state dicts are the same in both."""


@dataclass(frozen=True)
class ParameterGroup:
    """Statements that make the parameters of one kind, under a heading."""

    heading: str
    statements: tuple[str, ...]


@dataclass(frozen=True)
class StepView:
    """The statements of one step under a banner, or of a loop over the steps that do the same.

    Attributes:
        banner: a comment.
        lines: statements as indented lines.
        loop: the head of the loop; empty for a single step.
        before, after: lines around the loop: what it is handed, and what it leaves.
    """

    banner: str
    lines: tuple[str, ...]
    loop: str = ""
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModuleView:
    """The class of an emitted file."""

    docstring: tuple[str, ...]
    class_name: str
    summary: str
    steps_total: int
    returns: str
    returns_text: str
    parameters: tuple[ParameterGroup, ...]
    channels_last: bool
    check: str
    zeros: tuple[str, ...]
    frames: tuple[str, ...]
    sinks: tuple[str, ...]
    steps: tuple[StepView, ...]
    results: tuple[str, ...]
