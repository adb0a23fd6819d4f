"""Released models written by hand in plain torch, with exactly the keys and shapes of the published checkpoints."""

from __future__ import annotations

from collections import OrderedDict
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

    def __getattr__(self, name: str) -> nn.Module:
        return super().__getattr__(name)


def conv(i: int, o: int, k: int, s: int = 1, bias: bool = True, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(i, o, k, s, (k - 1) // 2, bias=bias, groups=groups)


def classified(decoder: nn.Module, x: Tensor) -> Tensor:
    return decoder.linear(x.mean((2, 3)))


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


class BL(Stack):
    """The network BL of rcnn-sat, under the names of its Keras layers."""

    LAYERS: ClassVar = (
        (3, 96, 7),
        (96, 128, 5),
        (128, 192, 3),
        (192, 256, 3),
        (256, 512, 3),
        (512, 1024, 3),
        (1024, 2048, 1),
    )

    def __init__(self, classes: int = 565, steps: int = 8) -> None:
        layers = {f"RCL_{n}_BConv": conv(i, o, k, bias=False) for n, (i, o, k) in enumerate(self.LAYERS)}
        layers |= {f"RCL_{n}_LConv": conv(o, o, k, bias=False) for n, (_, o, k) in enumerate(self.LAYERS)}
        for n, (_, o, _) in enumerate(self.LAYERS):
            layers |= {f"BatchNorm_Layer_{n}_Time_{t}": nn.BatchNorm2d(o, eps=1e-3) for t in range(steps)}
        super().__init__(**layers, ReadoutDense=nn.Linear(2048, classes))
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        states: list[Tensor] = []
        logits = []
        for t in range(self.steps):
            y, new = x, list[Tensor]()
            for n in range(len(self.LAYERS)):
                u = getattr(self, f"RCL_{n}_BConv")(F.max_pool2d(y, 2) if n else y)
                if t:
                    u = u + getattr(self, f"RCL_{n}_LConv")(states[n])
                y = F.relu(getattr(self, f"BatchNorm_Layer_{n}_Time_{t}")(u))
                new.append(y)
            states = new
            logits.append(self.ReadoutDense(y.mean((2, 3))))
        return torch.stack(logits, 1)


class BLT(Stack):
    """`blt_blt` of Adeli's code, of six layers and ten steps."""

    CHANNELS: ClassVar = (64, 64, 128, 256, 512, 512)
    SIZES: ClassVar = (56, 56, 28, 14, 7, 7)

    def __init__(self) -> None:
        parts: dict[str, nn.Module] = {f"norm_{n}": nn.GroupNorm(32, c) for n, c in enumerate(self.CHANNELS)}
        for i, j in self.pairs():
            a, b = self.CHANNELS[i], self.CHANNELS[j]
            grows, shrinks = self.SIZES[j] > self.SIZES[i], self.SIZES[j] < self.SIZES[i]
            plain = nn.ConvTranspose2d(a, b, 3, 2, 1, 1) if grows else conv(a, b, 3)
            parts[f"conv_{i}_{j}"] = (
                nn.Sequential(OrderedDict(pool=nn.MaxPool2d(3, 2, 1), conv=plain)) if shrinks else plain
            )
        linear = Stack(linear=nn.Linear(512, 1000))
        super().__init__(conv_input=conv(3, 64, 7, 2), **parts, read_out=linear)

    def pairs(self) -> list[tuple[int, int]]:
        return [(i, j) for i in range(6) for j in range(6) if abs(i - j) <= 1]

    def forward(self, x: Tensor) -> Tensor:
        stem = F.max_pool2d(self.conv_input(x), 3, 2, 1)
        states = {0: F.relu(self.norm_0(stem))}
        logits = []
        for _ in range(1, 10):
            drives = {0: stem}
            for i, j in self.pairs():
                if i in states:
                    drives[j] = drives.get(j, 0) + getattr(self, f"conv_{i}_{j}")(states[i])
            states = {j: F.relu(getattr(self, f"norm_{j}")(drive)) for j, drive in drives.items()}
            logits += [classified(self.read_out, states[5])] if 5 in states else []
        return torch.stack(logits, 1)


class BLTVS(nn.Module):
    """BLT-VS as released for ImageNet: a sweep up and a sweep down, six times."""

    AREAS: ClassVar = ("Retina", "LGN", "V1", "V2", "V3", "V4", "LOC", "Readout")
    CHANNELS: ClassVar = (32, 32, 576, 480, 352, 256, 352, 1100)
    KERNELS: ClassVar = (7, 7, 5, 1, 5, 3, 3, 5)
    STRIDES: ClassVar = (2, 2, 2, 1, 1, 1, 2, 2)

    def __init__(self) -> None:
        super().__init__()
        parts = {}
        for n, (c, k, s) in enumerate(zip(self.CHANNELS[:7], self.KERNELS, self.STRIDES, strict=False)):
            own: dict[str, nn.Module] = {"bu_conv": conv(3 if n == 0 else self.CHANNELS[n - 1], c, k, s)}
            if n > 1:
                for stream in ("bu", "td"):
                    own[f"{stream}_l_conv_depthwise"] = conv(c, c, 5, groups=c)
                    own[f"{stream}_l_conv_pointwise"] = conv(c, c, 1)
            if n > 0:
                up = self.KERNELS[n + 1]
                own["td_conv"] = nn.ConvTranspose2d(self.CHANNELS[n + 1], c, up, self.STRIDES[n + 1], (up - 1) // 2)
            if n == 5:
                own |= {"skip_bu_depthwise": conv(576, c, 7, groups=64), "skip_bu_pointwise": conv(c, c, 1)}
            if n == 2:
                own |= {"skip_td_depthwise": conv(256, c, 3, groups=64), "skip_td_pointwise": conv(c, c, 1)}
            own |= {"layer_norm_bu": nn.GroupNorm(1, c), "layer_norm_td": nn.GroupNorm(1, c)}
            parts[self.AREAS[n]] = Stack(**own)
        parts["Readout"] = Stack(readout_conv=conv(352, 1100, 5, 2), layer_norm_td=nn.GroupNorm(1, 1100))
        self.connections = nn.ModuleDict(parts)

    def up(self, n: int, td: list[Tensor | None], like: Tensor) -> Tensor | None:
        above = td[n + 1]
        area = self.connections[self.AREAS[n]]
        return None if above is None else area.td_conv(above, output_size=like.shape)

    def lateral(self, n: int, stream: str, state: Tensor | None) -> Tensor | float:
        if n < 2 or state is None:
            return 0.0
        area = self.connections[self.AREAS[n]]
        y = getattr(area, f"{stream}_l_conv_depthwise")(state)
        return getattr(area, f"{stream}_l_conv_pointwise")(y)

    def forward(self, x: Tensor) -> Tensor:
        bu: list[Tensor | None] = [None] * 8
        td: list[Tensor | None] = [None] * 8
        areas = [self.connections[name] for name in self.AREAS]
        bu[0] = areas[0].layer_norm_bu(F.relu(areas[0].bu_conv(x)))
        logits = []
        for _ in range(6):
            for n in range(1, 7):
                drive = areas[n].bu_conv(bu[n - 1])
                gate = self.up(n, td, drive)
                drive = drive + self.lateral(n, "bu", bu[n])
                if n == 5:
                    drive = drive + areas[n].skip_bu_pointwise(areas[n].skip_bu_depthwise(bu[2]))
                y = F.relu(drive) * (1 if gate is None else 2 * torch.sigmoid(gate))
                bu[n] = areas[n].layer_norm_bu(y)
            y = areas[7].readout_conv(bu[6])
            logits.append(y.mean((2, 3))[:, :1000])
            td[7] = areas[7].layer_norm_td(F.relu(y))
            for n in range(6, 0, -1):
                gate = areas[n].bu_conv(bu[n - 1])
                drive = self.up(n, td, gate) + self.lateral(n, "td", td[n])
                td[n] = areas[n].layer_norm_td(F.relu(drive) * 2 * torch.sigmoid(gate))
        return torch.stack(logits, 1)


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """In evaluation mode, with norms away from where they start."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if name.endswith(("running_mean", "bias")):
            value.normal_(0, 0.1, generator=generator)
        elif name.endswith("running_var") or (name.endswith("weight") and value.ndim == 1):
            value.uniform_(0.5, 1.5, generator=generator)
    return module.eval()
