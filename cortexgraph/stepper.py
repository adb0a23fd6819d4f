"""`Stepper`: a network that is shown one step at a time."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from cortexgraph.loading import Images
from cortexgraph.network import unwrapped
from cortexgraph.streaming import State


class Stepper:
    """Runs a network one step at a time, without gradients.

    Attributes:
        state: what the stream carries; None before the first step.

    Args:
        network: from `cortexgraph.compile` or a run.

    Raises:
        CompileError: for a module that is not such a network.

    Examples:
        >>> import torch, cortexgraph as cg
        >>> stepper = cg.Stepper(cg.compile("ventral").eval())
        >>> for _ in range(4):
        ...     logits, states = stepper.step(torch.zeros(1, 3, 32, 32))
        >>> stepper.time, list(states), logits.shape
        (4, ['V1', 'V2', 'V4', 'IT'], torch.Size([1, 10]))
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = unwrapped(network)
        self.state: State | None = None

    @property
    def time(self) -> int:
        """Number of steps so far."""
        return 0 if self.state is None else self.state.step

    @property
    def states(self) -> dict[str, Tensor]:
        """The states [B, C, H, W] after the last step, by area; those of silent areas are missing."""
        return {} if self.state is None else self.state.areas

    def step(self, frame: Images) -> tuple[Any, dict[str, Tensor]]:
        """Run the next step.

        Args:
            frame: what it sees, [B, C, H, W], or where it has several inputs a mapping of their names to this; a frame
                equal to the one before is the same static image.

        Returns:
            Logits, None where the readout is silent or not of this step, and the states by area.

        Raises:
            DataError: for a frame of another size or batch.
        """
        with torch.no_grad():
            result = self.network(frame, self.state, steps=1, return_state=True)
        self.state = result[-1]
        return result[0], self.states

    def reset(self) -> Self:
        """Begin a new stream."""
        self.state = None
        return self
