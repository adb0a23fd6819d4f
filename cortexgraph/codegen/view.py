"""What the templates see: frozen dataclasses of ready strings and numbers."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ModuleView", "ParameterGroup", "StepView", "TermView", "UpdateView"]


@dataclass(frozen=True)
class ParameterGroup:
    """Statements that make the parameters of one kind, under a heading."""

    heading: str
    statements: tuple[str, ...]


@dataclass(frozen=True)
class TermView:
    """One summand of an update."""

    code: str
    comment: str


@dataclass(frozen=True)
class UpdateView:
    """One statement: an area's new state."""

    variable: str
    area: str
    terms: tuple[TermView, ...]
    update: int | None
    shape: str


@dataclass(frozen=True)
class StepView:
    """The updates of one step, under a banner."""

    banner: str
    updates: tuple[UpdateView, ...]


@dataclass(frozen=True)
class ModuleView:
    """A whole emitted file."""

    docstring: tuple[str, ...]
    class_name: str
    summary: str
    image_shape: str
    steps_total: int
    per_step: bool
    stacked: bool
    returns: str
    returns_text: str
    parameters: tuple[ParameterGroup, ...]
    frames: tuple[str, ...]
    steps: tuple[StepView, ...]
    logits: str
    records: tuple[str, ...]
