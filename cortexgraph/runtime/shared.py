"""Parameters that belong to another connection. The owner is no submodule, so that it stays the only one."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


class Shared(nn.Module):
    """An operation of another connection, used once more."""

    stepwise = True

    def __init__(self, owner: nn.Module) -> None:
        super().__init__()
        self.owner = (owner,)

    def at(self, update: int) -> Any:
        owner: Any = self.owner[0]
        return owner.at(update) if hasattr(owner, "at") else owner

    def forward(self, x: Tensor, update: int = 1) -> Tensor:
        return self.at(update)(x)


class SharedConv2d(Shared):
    """The weights of another connection's convolution with a stride, padding and dilation of its own."""

    def __init__(
        self,
        owner: nn.Module,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(owner)
        self.geometry = (stride, padding, dilation, groups)

    def forward(self, x: Tensor, update: int = 1) -> Tensor:
        conv = self.at(update)
        return nn.functional.conv2d(x, conv.weight, conv.bias, *self.geometry)


class SharedTransposedConv2d(Shared):
    """The transpose of another connection's convolution, without bias."""

    def __init__(
        self,
        owner: nn.Module,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        output_padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__(owner)
        self.geometry = (stride, padding, output_padding)

    def forward(self, x: Tensor, update: int = 1) -> Tensor:
        return nn.functional.conv_transpose2d(x, self.at(update).weight, None, *self.geometry)
