"""What `summarise` finds: plain dataclasses, one for each table of `cortexgraph show`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["RESNET18", "AreaSummary", "ConnectionSummary", "KnownNetwork", "NetworkSummary", "StepSummary"]

Pair = tuple[int, int]


@dataclass(frozen=True)
class KnownNetwork:
    """A network that readers know, for orientation: its parameters, and multiply-adds for one image."""

    name: str
    parameters: int
    macs: int


RESNET18 = (
    KnownNetwork("ResNet-18 on 224 × 224 images, 1000 classes", 11_689_512, 1_814_073_344),
    KnownNetwork("ResNet-18 on 32 × 32 images, 10 classes (3 × 3 stem, no pooling)", 11_173_962, 555_422_720),
)
"""He et al. 2016, and its usual form for CIFAR-10; the numbers are those of torchvision's, which a test counts."""


@dataclass(frozen=True)
class AreaSummary:
    """An area over T steps.

    Attributes:
        name, level, channels, size: of the area.
        parameters: learned numbers of the area itself (body and cell), all per-step sets counted.
        macs: multiply-adds of its body and cell in one update, for one image.
        state_bytes: of one state of one image, as 32-bit numbers.
        first_response: first step at which the area is live; None if it never is.
        executed: steps of the updates that are computed.
        shared: steps of the updates that equal an earlier one, for a static image in evaluation, and are not.
        silent: steps of the updates that are silent.
        unread: steps of the live updates that no readout or record needs.
        receptive_field_px: height and width of the field of one unit, by step, of the last live update in the step.
        steps_to_readout: for each readout, the steps of the shortest and the longest path to it.
    """

    name: str
    level: float
    channels: int
    size: Pair
    parameters: int
    macs: int
    state_bytes: int
    first_response: int | None
    executed: tuple[int, ...]
    shared: tuple[int, ...]
    silent: tuple[int, ...]
    unread: tuple[int, ...]
    receptive_field_px: Mapping[int, Pair] = field(default_factory=dict)
    steps_to_readout: Mapping[str, Pair] = field(default_factory=dict)


@dataclass(frozen=True)
class ConnectionSummary:
    """A connection over T steps.

    Attributes:
        source, target, kind, delay: of the connection.
        transform: its operations, in words.
        size: height and width of the result.
        window: height and width of what one place of the result reads of the source's state.
        parameters: learned numbers.
        macs: multiply-adds of one evaluation for one image.
        output_bytes: of one result of one image, as 32-bit numbers.
        evaluated: steps at which it is evaluated in one forward pass of a static image.
        first_response: first step at which it carries a signal; None if it never does.
        steps_to_readout: as of an area, from the state that it reads.
    """

    source: str
    target: str
    kind: str
    delay: int
    transform: str
    size: Pair
    window: Pair
    parameters: int
    macs: int
    output_bytes: int
    evaluated: tuple[int, ...]
    first_response: int | None
    steps_to_readout: Mapping[str, Pair] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.source} → {self.target}"

    @property
    def evaluations(self) -> int:
        """Number of evaluations in one forward pass of a static image."""
        return len(self.evaluated)

    @property
    def flops(self) -> int:
        """Floating-point operations in one forward pass of one image: two for each multiply-add."""
        return 2 * self.macs * self.evaluations


@dataclass(frozen=True)
class StepSummary:
    """What one step executes for one image: updates, multiply-adds, and bytes of states and transform results."""

    step: int
    updates: int
    macs: int
    activation_bytes: int


@dataclass(frozen=True)
class NetworkSummary:
    """A network over T steps; `macs_unpruned` is the cost without passes, of every live update."""

    areas: tuple[AreaSummary, ...]
    connections: tuple[ConnectionSummary, ...]
    steps: tuple[StepSummary, ...]
    image_size: Pair
    readout_parameters: int
    readout_macs: int
    macs_unpruned: int

    @property
    def parameters(self) -> int:
        own = sum(area.parameters for area in self.areas)
        return own + sum(connection.parameters for connection in self.connections) + self.readout_parameters

    @property
    def macs(self) -> int:
        """Multiply-adds of one forward pass of one static image, in convolutions, cells and readouts."""
        return sum(step.macs for step in self.steps) + self.readout_macs

    @property
    def flops(self) -> int:
        """Floating-point operations: two for each multiply-add."""
        return 2 * self.macs

    @property
    def activation_bytes(self) -> int:
        """What training keeps of one image at least: executed states and transform results, as 32-bit numbers."""
        return sum(step.activation_bytes for step in self.steps)
