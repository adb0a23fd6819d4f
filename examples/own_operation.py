"""Register a custom operation, cell and check, and use them in a spec.

Run it: python examples/own_operation.py

A spec can name only registered operations, cells and checks. You register ordinary Python classes and functions. The
emitted file includes the source of your modules, so it still imports only torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

import cortexgraph as cg

SPEC = """
cortexgraph: 1
name: own
input: {size: 16}
areas:
  V1: {channels: 8, size: 16, body: [{divisive: {strength: 2.0}}]}
  IT: {channels: 8, size: 8, cell: {adapting: {rate: 0.2}}}
connections:
  - image -> V1 -> IT
  - IT -> IT
readout: {from: IT, classes: 4}
time: {steps: 4}
"""


# ---- operation: divisive normalisation by the activity of all channels (Heeger 1992) ----


class Divisive(nn.Module):
    """y = relu(x)² / (σ² + strength · mean over channels of relu(x)²), with a learned σ."""

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength
        self.sigma = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        energy = torch.relu(x) ** 2
        return energy / (self.sigma**2 + self.strength * energy.mean(1, keepdim=True))


@cg.register_operation("divisive")
@dataclass(frozen=True)
class DivisiveNormalisation(cg.Operation):
    """Divisive normalisation over channels (Heeger 1992)."""

    equation: ClassVar[str] = "y[c] = [x[c]]₊² / (σ² + s · mean_d [x[d]]₊²)"
    helpers: ClassVar[tuple[Any, ...]] = (Divisive,)

    strength: float = cg.option(1.0, "Weight s of the other channels.", main=True)

    def summary(self) -> str:
        return f"divisive normalisation ({self.strength:g})"

    def constructor(self) -> str:
        return f"Divisive({self.strength})"

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {"sigma": ()}


# ---- cell: an area that adapts to its own activity ----


class Adapting(nn.Module):
    """h' = x − a', a' = a + rate · (h − a): a is a running mean of the activity, which is subtracted."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor, h: Tensor | None = None, a: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h = torch.zeros_like(x) if h is None else h
        a = torch.zeros_like(x) if a is None else a
        a = a + self.rate * (h - a)
        return x - a, a


@cg.register_cell("adapting")
@dataclass(frozen=True)
class AdaptingCell(cg.Cell):
    """Subtractive adaptation with a hidden running mean a."""

    equation: ClassVar[str] = "a' = a + r (h − a), h' = x − a'"
    reads: ClassVar[tuple[str, ...]] = ("h", "a")
    hidden: ClassVar[tuple[str, ...]] = ("a",)
    helpers: ClassVar[tuple[Any, ...]] = (Adapting,)

    rate: float = cg.option(0.1, "Rate r of adaptation per step.", main=True)

    def summary(self) -> str:
        return "adapting"

    def constructor(self) -> str:
        return f"Adapting({self.rate})"


# ---- check: a rule that your laboratory requires of every network ----


@cg.register_check
def no_wide_area(graph: cg.AreaGraph) -> Iterator[cg.Diagnostic]:
    """Report `wide-area`, a warning, for each area with more than 512 channels."""
    for area in graph.areas:
        if area.channels > 512:
            yield graph.spec.origin.diagnostic(
                "wide-area",
                ("areas", area.name, "channels"),
                f"{area.name} has {area.channels} channels",
                "our laboratory's machines support at most 512",
                "Choose fewer channels.",
                severity="warning",
            )


def main() -> None:
    """Compile the spec and compare the compiled network with the reference interpreter."""
    spec = cg.loads(SPEC)
    model = cg.compile(spec).eval()
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        logits = model(images)
        expected, _ = cg.interpret(spec, model.state_dict(), images)
    print(
        "logits", list(logits.shape), "| largest difference from the reference:", float((logits - expected).abs().max())
    )
    print(
        "the emitted file carries:",
        ", ".join(name for name in ("Divisive", "Adapting") if f"class {name}" in model.source),
    )
    wide = cg.loads(SPEC, overrides={"areas.IT.channels": 1024})
    print(*cg.check(wide), sep="\n")


if __name__ == "__main__":
    main()
