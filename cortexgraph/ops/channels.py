"""Operations across channels: zeros added, the largest of several maps, the pooled activity that normalises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from cortexgraph.ops.base import CONTEXT, Fault, Operation, Pair, Shape, call, option
from cortexgraph.ops.registry import register_operation
from cortexgraph.ops.torch_names import F, Tensor, nn, torch
from cortexgraph.ops.windows import ONE, Windowed, same_padding
from cortexgraph.spec.fields import Count, Positive, Square
from cortexgraph.wording import by


class PadChannels(nn.Module):
    """Adds channels of zeros behind those of x."""

    def __init__(self, added: int) -> None:
        super().__init__()
        self.added = added

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 0, 0, 0, 0, self.added))


@register_operation("pad_channels")
@dataclass(frozen=True)
class PadChannelsOperation(Operation):
    """Channels of zeros behind those of the input: a shortcut without parameters (He et al. 2016, option A)."""

    equation: ClassVar[str] = "y[c] = x[c], and 0 for c beyond x"
    rising: ClassVar[bool] = True

    channels: Count = option(CONTEXT, "Number of output channels; default: those of the area.", main=True)

    def faults(self) -> Iterator[Fault]:
        if self.channels < self.shape[0]:
            found = f"{self.shape[0]} channels cannot be padded to {self.channels}"
            yield found, "Give at least as many channels, or use a 1 × 1 convolution."

    def output(self) -> Shape:
        return (self.channels, *self.shape[1:])

    def summary(self) -> str:
        return f"zeros up to {self.channels} channels"

    def constructor(self) -> str:
        return call("PadChannels", self.channels - self.shape[0])


class Maxout(nn.Module):
    """The largest of several groups of channels, place by place."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        return torch.unflatten(x, 1, (self.pieces, -1)).amax(1)


@register_operation("maxout")
@dataclass(frozen=True)
class MaxoutOperation(Operation):
    """The largest of several groups of channels, place by place (Goodfellow et al. 2013).

    After `merge: concat` it is the maximum over sources of equally many channels, such as filters of several scales
    (Riesenhuber & Poggio 1999).
    """

    equation: ClassVar[str] = "y[c] = max_j x[j · C + c], C = channels / pieces"
    rising: ClassVar[bool] = True

    pieces: Count = option(2, "Number of groups of which the largest is taken.", main=True)

    def faults(self) -> Iterator[Fault]:
        if self.shape[0] % self.pieces:
            found = f"{self.shape[0]} channels cannot be split into {self.pieces} equal pieces"
            yield found, "Give `maxout` a divisor of the channels that enter."

    def output(self) -> Shape:
        return (self.shape[0] // self.pieces, *self.shape[1:])

    def summary(self) -> str:
        return f"maximum of {self.pieces}"

    def constructor(self) -> str:
        return call("Maxout", self.pieces)


class NormalisationPool(nn.Module):
    """Mean (order 1) or root mean square (order 2) of all channels under a window, in every output channel."""

    def __init__(self, channels: int, kernel_size: int | tuple[int, int], order: int) -> None:
        super().__init__()
        self.channels = channels
        self.order = order
        rows, columns = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        self.window = nn.AvgPool2d((rows, columns), stride=1, padding=(rows // 2, columns // 2))

    def forward(self, x: Tensor) -> Tensor:
        power = x.square() if self.order == 2 else x.abs()
        pooled = self.window(power.mean(1, keepdim=True)) + 1e-5
        y = pooled.sqrt() if self.order == 2 else pooled
        return y.expand(-1, self.channels, -1, -1)


@register_operation("normalisation_pool")
@dataclass(frozen=True)
class NormalisationPoolOperation(Windowed):
    """The pooled activity of all channels under a window, given to every channel of the area.

    Order 1 is the mean, order 2 the root mean square (with ε = 1e-5 under the root). With `role: modulate` and
    `gate: divisive` it is the normalisation pool of divisive normalisation (Heeger 1992); Fukushima's (1980)
    inhibitory cells are such pools.
    """

    role: ClassVar[str] = "pool"
    equation: ClassVar[str] = "y[c] = (ε + mean_{d, window} |x[d]|^p)^(1/p) for every c"

    kernel: Square = option((3, 3), "Size of the window, centred: odd numbers.", main=True)
    order: Count = option(2, "p: 1 or 2.")
    channels: Count = option(CONTEXT, "Number of equal output channels; default: those of the area.")

    def faults(self) -> Iterator[Fault]:
        if self.order not in (1, 2):
            yield f"`order` is {self.order}", "Write 1 for the mean, 2 for the root mean square."
        if not all(k % 2 for k in self.kernel):
            yield f"a {by(self.kernel)} window has no centre", "Give `kernel` odd numbers, such as 3."

    def geometry(self) -> tuple[Pair, Pair, Pair, Pair]:
        return self.kernel, ONE, same_padding(self.kernel), ONE

    def summary(self) -> str:
        return f"{by(self.kernel)} {'root mean square' if self.order == 2 else 'mean'} of all channels"

    def constructor(self) -> str:
        return call("NormalisationPool", self.channels, self.kernel, order=(self.order, None))


class RadialBasis(nn.Module):
    """exp(−‖patch − prototype‖² / 2σ²) at every place that the kernel covers."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int | tuple[int, int], sigma: float = 1.0
    ) -> None:
        super().__init__()
        rows, columns = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        self.weight = nn.Parameter(torch.rand(out_channels, in_channels, rows, columns))
        self.sigma = sigma

    def forward(self, x: Tensor) -> Tensor:
        # ‖x − p‖² = ‖x‖² − 2 x·p + ‖p‖²
        ones = torch.ones_like(self.weight[:1])
        energy = F.conv2d(x.square(), ones)
        product = F.conv2d(x, self.weight)
        own = self.weight.square().sum((1, 2, 3))[:, None, None]
        return torch.exp((2 * product - energy - own) / (2 * self.sigma**2))


@register_operation("radial_basis")
@dataclass(frozen=True)
class RadialBasisOperation(Windowed):
    """Units tuned to a patch: the closer the patch is to the unit's prototype, the stronger the response.

    Every place of the kernel must lie on the input (no padding). These are the S2 units of Serre et al. (2007), whose
    prototypes are patches of C1 responses; here they are learned, and start at random.
    """

    equation: ClassVar[str] = "y[o] = exp(−‖x_patch − p[o]‖² / 2σ²)"

    kernel: Square = option((3, 3), "Size of the patch.", main=True)
    channels: Count = option(CONTEXT, "Number of prototypes; default: the channels of the area.")
    sigma: Positive = option(1.0, "Width σ of the tuning, in units of activity.")

    def geometry(self) -> tuple[Pair, Pair, Pair, Pair]:
        return self.kernel, ONE, (0, 0), ONE

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {"weight": (self.channels, self.shape[0], *self.kernel)}

    def macs(self) -> int:
        return super().macs() + prod((self.shape[0], *self.kernel, *self.extent))  # ‖x‖² too

    def summary(self) -> str:
        return f"{by(self.kernel)} radial basis, σ = {self.sigma:g}"

    def constructor(self) -> str:
        return call("RadialBasis", self.shape[0], self.channels, self.kernel, sigma=(self.sigma, 1.0))
