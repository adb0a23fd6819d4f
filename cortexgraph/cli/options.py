"""Arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from cortexgraph.spec import NetworkSpec, load
from cortexgraph.spec.overrides import Override, written_override

__all__ = [
    "DeviceOption",
    "OrderOption",
    "SetOption",
    "SpecArgument",
    "SplitOption",
    "StepsOption",
    "changes",
    "check_split",
    "load_spec",
]

SpecArgument = Annotated[
    str, typer.Argument(metavar="SPEC", help="A spec file (.yaml or .json), or the name of a zoo spec.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Override a field, such as areas.V1.channels=64. Repeatable."),
]
StepsOption = Annotated[int | None, typer.Option("--steps", metavar="T", help="Override time.steps.")]
OrderOption = Annotated[
    str | None,
    typer.Option(
        "--order", metavar="ORDER", help="Override time.order: simultaneous, sequential, or [[V1], [V2, V4], [IT]]."
    ),
]
SplitOption = Annotated[str, typer.Option("--split", metavar="test|train", help="Which images.")]
DeviceOption = Annotated[str, typer.Option("--device", metavar="auto|cpu|mps|cuda[:N]", help="Where.")]


def check_split(split: str) -> None:
    """Refuse what is neither `test` nor `train`, as wrong usage."""
    if split not in {"test", "train"}:
        raise typer.BadParameter("test or train", param_hint="--split")


def load_spec(
    spec: str, overrides: list[str] | None = None, steps: int | None = None, order: str | None = None
) -> NetworkSpec:
    """The spec with its overrides."""
    return load(spec, changes(overrides, steps, order))


def changes(overrides: list[str] | None, steps: int | None, order: str | None) -> list[str | Override]:
    """All overrides, which findings call as the user wrote them."""
    found: list[str | Override] = list(overrides or ())
    if steps is not None:
        found.append(Override(("time", "steps"), steps, f"--steps {steps}"))
    if order is not None:
        found.append(written_override(("time", "order"), order, f"--order {order}"))
    return found
