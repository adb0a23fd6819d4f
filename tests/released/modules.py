"""Released models written by hand in plain torch, with exactly the keys and shapes of the published checkpoints."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Stack(nn.Module):
    """Children of any names, called by the subclass."""

    def __init__(self, **children: nn.Module) -> None:
        super().__init__()
        for name, child in children.items():
            self.add_module(name, child)

    def __getattr__(self, name: str) -> nn.Module:  # type: ignore[override]
        return super().__getattr__(name)  # type: ignore[return-value]


def conv(i: int, o: int, k: int, s: int = 1, bias: bool = True, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(i, o, k, s, (k - 1) // 2, bias=bias, groups=groups)


def classified(decoder: nn.Module, x: Tensor) -> Tensor:
    return decoder.linear(x.mean((2, 3)))  # type: ignore[operator]


CHANNELS = {"V1": 64, "V2": 128, "V4": 256, "IT": 512}
BELOW = {"V1": 3, "V2": 64, "V4": 128, "IT": 256}


class CORnetZ(Stack):
    def __init__(self) -> None:
        first = {"V1": (7, 2)}
        areas = {a: Stack(conv=conv(BELOW[a], n, *first.get(a, (3, 1)))) for a, n in CHANNELS.items()}
        super().__init__(**areas, decoder=Stack(linear=nn.Linear(512, 1000)))

    def forward(self, x: Tensor) -> Tensor:
        for area in CHANNELS:
            x = F.max_pool2d(F.relu(getattr(self, area).conv(x)), 3, 2, 1)
        return classified(self.decoder, x)


class CORnetR(Stack):
    """CORnet-R, and with `simultaneous` CORnet-RT."""

    def __init__(self, simultaneous: bool) -> None:
        areas = {
            a: Stack(
                conv_input=conv(BELOW[a], n, *((7, 4) if a == "V1" else (3, 2))),
                norm_input=nn.GroupNorm(32, n),
                conv1=conv(n, n, 3, bias=False),
                norm1=nn.GroupNorm(32, n),
            )
            for a, n in CHANNELS.items()
        }
        super().__init__(**areas, decoder=Stack(linear=nn.Linear(512, 1000)))
        self.simultaneous = simultaneous

    def forward(self, x: Tensor) -> Tensor:
        side = x.shape[-1] // 4
        states: dict[str, Tensor] = {}
        for t in range(5):
            old = dict(states)
            for n, (area, channels) in enumerate(CHANNELS.items()):
                block = getattr(self, area)
                source = x if n == 0 else None if t == 0 else (old if self.simultaneous else states)[[*CHANNELS][n - 1]]
                a = x.new_zeros(len(x), channels, side >> n, side >> n)
                if source is not None:
                    a = F.relu(block.norm_input(block.conv_input(source)))
                states[area] = F.relu(block.norm1(block.conv1(a + old.get(area, 0))))
        return classified(self.decoder, states["IT"])


class CORnetS(Stack):
    TIMES: ClassVar = {"V2": 2, "V4": 4, "IT": 2}

    def __init__(self) -> None:
        bn = nn.BatchNorm2d
        v1 = Stack(conv1=conv(3, 64, 7, 2, False), norm1=bn(64), conv2=conv(64, 64, 3, 1, False), norm2=bn(64))
        blocks = {}
        for area, times in self.TIMES.items():
            i, o = BELOW[area], CHANNELS[area]
            norms = {f"norm{k}_{t}": bn(o if k == 3 else 4 * o) for t in range(times) for k in (1, 2, 3)}
            blocks[area] = Stack(
                conv_input=conv(i, o, 1, bias=False),
                skip=conv(o, o, 1, 2, False),
                norm_skip=bn(o),
                conv1=conv(o, 4 * o, 1, bias=False),
                conv2=conv(4 * o, 4 * o, 3, 2, False),
                conv3=conv(4 * o, o, 1, bias=False),
                **norms,
            )
        super().__init__(V1=v1, **blocks, decoder=Stack(linear=nn.Linear(512, 1000)))

    def forward(self, x: Tensor) -> Tensor:
        v1 = self.V1
        x = F.max_pool2d(F.relu(v1.norm1(v1.conv1(x))), 3, 2, 1)
        x = F.relu(v1.norm2(v1.conv2(x)))
        for area, times in self.TIMES.items():
            block = getattr(self, area)
            x = block.conv_input(x)
            for t in range(times):
                skip = x if t else block.norm_skip(block.skip(x))
                y = F.relu(getattr(block, f"norm1_{t}")(block.conv1(x)))
                y = F.conv2d(y, block.conv2.weight, stride=1 if t else 2, padding=1)
                y = F.relu(getattr(block, f"norm2_{t}")(y))
                x = F.relu(getattr(block, f"norm3_{t}")(block.conv3(y)) + skip)
        return classified(self.decoder, x)


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """In evaluation mode, with norms away from where they start."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            value.normal_(0, 0.1, generator=generator)
        elif name.endswith("running_var") or (name.endswith("weight") and value.ndim == 1):
            value.uniform_(0.5, 1.5, generator=generator)
    return module.eval()
