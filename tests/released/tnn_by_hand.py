"""A reader of PyTorchTNN's configurations in plain torch, with the keys of its state dicts."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.released.modules import Stack

Config = dict[str, Any]


def normed(layer: tuple[str, nn.Module], options: Config, steps: int, norm: type[nn.Module]) -> Stack:
    """A layer with its norms, and how they are used."""
    channels = options["out_channels"]
    parts: dict[str, nn.Module] = dict([layer])
    if options.get("batchnorm") and options.get("batchnorm_timevary"):
        parts["bns"] = nn.ModuleList(norm(channels) for _ in range(steps))
    elif options.get("batchnorm"):
        parts["bn"] = norm(channels)
    return Stack(**parts)


class Memory(nn.Module):
    """Pre- or post-memory."""

    def __init__(self, options: Config, channels: int, steps: int, features: int = 0) -> None:
        super().__init__()
        self.options = options
        kind = options["name"]
        if kind == "Conv2dCell":
            layer = nn.Conv2d(
                channels,
                options["out_channels"],
                tuple(options["ksize"]) if isinstance(options["ksize"], list) else options["ksize"],
                options.get("stride", 1),
                options.get("padding", 0),
                bias=options.get("use_bias", True),
            )
            self._take(normed(("conv", layer), options, steps, nn.BatchNorm2d))
        elif kind == "FullyConnected":
            self._take(normed(("lin", nn.Linear(features, options["out_channels"])), options, steps, nn.BatchNorm1d))
        elif kind == "Sequential":
            self.sequential_mem = nn.ModuleList(
                Memory(each, channels, steps, features) for each in options["list_of_func_kwargs"]
            )
        elif kind == "ResidualAdd":
            self.feedforward = Memory(options["feedforward_func_kwargs"], channels, steps)
            shortcut = options["residual_func_kwargs"] or {"name": "Identity"}
            self.residual = Memory(shortcut, shortcut.get("in_channels", channels), steps)

    def _take(self, parts: Stack) -> None:
        for name, part in parts.named_children():
            self.add_module(name, part)

    def forward(self, x: Tensor, t: int, residual: Tensor | None = None) -> Tensor:
        o, kind = self.options, self.options["name"]
        if kind == "MaxPool":
            return F.max_pool2d(x, o["ksize"], o["stride"], o["padding"], ceil_mode=o.get("ceil_mode", False))
        if kind == "AdaptiveAvgPool":
            return F.adaptive_avg_pool2d(x, o["output_size"])
        if kind == "Sequential":
            for each in self.sequential_mem:
                x = each(x, t, residual)
            return x
        if kind == "ResidualAdd":
            x = self.feedforward(x, t) + self.residual(residual, t)
        elif kind == "Conv2dCell":
            x = self.conv(x)
        elif kind == "FullyConnected":
            x = self.lin(x.flatten(1))
        norm = self.bns[t] if hasattr(self, "bns") else getattr(self, "bn", None)
        x = x if norm is None else norm(x)
        word = o.get("activation", "ReLU" if kind == "FullyConnected" else None)
        return x if word is None else getattr(F, word.lower())(x)


class Cell(nn.Module):
    """A recurrent cell; `reads` are the channels of the node's input."""

    GATES = ("cell_tau_conv", "cell_gate_conv", "cell2out_conv", "inp2cell_conv", "out_tau_conv", "out_gate_conv")

    def __init__(self, options: Config, channels: int, reads: int) -> None:
        super().__init__()
        self.options, kind = options, options["name"]
        if kind == "TimeDecayRecurrentCell":
            self.tau = nn.Parameter(torch.tensor(options["tau"]))
        elif kind == "ConvRNNBasicCell":
            o = options["out_channels"]
            self.conv_input = nn.Conv2d(channels, o, options["ksize"], padding=options["padding"])
            self.conv_state = nn.Conv2d(o, o, options["ksize"], padding=options["padding"])
        elif kind in {"IntersectionRNNCell", "UGRNNCell"}:
            gates = 4 if kind == "IntersectionRNNCell" else 2
            self.conv = nn.Conv2d(2 * channels, gates * channels, options["ksize"], padding="same")
        elif kind == "ReciprocalGatedCell":
            for name in self.GATES:
                source = reads if name == "out_gate_conv" else channels
                own = nn.Conv2d(source, channels, 3, padding=1)
                self.add_module(name, nn.Sequential(OrderedDict(conv=own)))

    def forward(self, x: Tensor, state: Any, entry: Tensor) -> tuple[Tensor, Any]:
        kind = self.options["name"]
        if kind == "IdentityCell":
            return x, state
        if kind == "ReciprocalGatedCell":
            return self.reciprocal(x, state, entry)
        h = torch.zeros_like(x) if state is None else state
        if kind == "TimeDecayRecurrentCell":
            new = x + self.tau * h
        elif kind == "ConvRNNBasicCell":
            i = self.conv_input(x)
            new = F.relu(i + self.conv_state(torch.zeros_like(i) if state is None else state))
        elif kind == "UGRNNCell":
            g, c = self.conv(torch.cat([x, h], 1)).chunk(2, 1)
            g = torch.sigmoid(g + 1)
            new = g * h + (1 - g) * torch.tanh(c)
        else:
            gh, m, gy, y = self.conv(torch.cat([x, h], 1)).chunk(4, 1)
            gh, gy = torch.sigmoid(gh + 1), torch.sigmoid(gy + 1)
            return gy * x + (1 - gy) * torch.relu(y), gh * h + (1 - gh) * torch.tanh(m)
        return new, new

    def reciprocal(self, x: Tensor, state: Any, entry: Tensor) -> tuple[Tensor, Any]:
        c, h = (torch.zeros_like(x), torch.zeros_like(x)) if state is None else state
        tau_c, gate_c = torch.sigmoid(self.cell_tau_conv(c)), torch.sigmoid(self.cell_gate_conv(h))
        tau_h = torch.sigmoid(self.out_tau_conv(h))
        gate_h = torch.sigmoid(self.cell2out_conv(c) + self.out_gate_conv(entry))
        new_c = F.elu((1 - tau_c) * c + (1 - gate_c) * self.inp2cell_conv(x))
        new_h = F.elu((1 - tau_h) * h + (1 - gate_h) * x)
        return new_h, (new_c, new_h)


class TNN(nn.Module):
    """A temporal network; call it with images for the outputs of every node at every step."""

    def __init__(self, config: Config, sizes: dict[str, tuple[int, int]], features: int) -> None:
        super().__init__()
        self.config, self.sizes = config, sizes
        channels = {node["name"]: node["out_channels"] for node in config["nodes"]}
        for node in config["nodes"]:
            name, steps = node["name"], config["num_timesteps"]
            reads = sum(channels[source] for source in self.sources(name)) + 3 * (name in config["input_nodes"])
            inside = node["pre_memory"].get("out_channels", reads)
            cell = Cell(node["recurrent_cell"], inside, reads)
            inside = node["recurrent_cell"].get("out_channels", inside)
            parts = {"_pre_memory": Memory(node["pre_memory"], reads, steps), "_recurrent_cell": cell}
            self.add_module(name, Stack(**parts, _post_memory=Memory(node["post_memory"], inside, steps, features)))

    def sources(self, name: str) -> list[str]:
        return sorted(edge["from"] for edge in self.config["edges"] if edge["to"] == name)

    def forward(self, x: Tensor, sequential: bool = False) -> list[dict[str, Tensor]]:
        outputs: list[dict[str, Tensor]] = []
        states: dict[str, Any] = {}
        nodes = {node["name"]: node for node in self.config["nodes"]}
        old = {n: x.new_zeros(len(x), node["out_channels"], *self.sizes[n]) for n, node in nodes.items()}
        for t in range(self.config["num_timesteps"]):
            new = dict(old)
            for name, node in nodes.items():
                parts = [x] * (name in self.config["input_nodes"])
                parts += [(new if sequential else old)[source] for source in self.sources(name)]
                size = self.sizes[node["shape_from"]] if node["shape_from"] else x.shape[2:]
                entry = torch.cat([F.interpolate(p, size, mode="bilinear", antialias=True) for p in parts], 1)
                module = getattr(self, name)
                y, states[name] = module._recurrent_cell(module._pre_memory(entry, t), states.get(name), entry)
                y = module._post_memory(y, t, entry)
                new[name] = y if y.ndim == 4 else y[:, :, None, None]
            old = new
            outputs.append(new)
        return outputs
