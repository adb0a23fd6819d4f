"""The convolution peak: how fast this machine convolves at the shapes of the network, each alone in a loop."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.network import AREAS, sources_of
from benchmarks.timing import count_flops, forward, interleaved

__all__ = ["measure_peak"]


def measure_peak(batch: int, width: int = 1, rounds: int = 5, device: str = "cpu") -> tuple[float, str]:
    """The best FLOP/s over the network's convolutions in either memory layout, and which one reaches it."""
    runs, flops = {}, {}
    for area, (channels, size) in AREAS.items():
        for source in sources_of(area):
            if source == "image":
                continue
            for layout in (torch.contiguous_format, torch.channels_last):
                inputs = AREAS[source][0] // width
                conv = nn.Conv2d(inputs, channels // width, 3, padding=1, bias=False)
                conv = conv.to(device).to(memory_format=layout)
                x = torch.randn(batch, inputs, size, size, device=device).to(memory_format=layout)
                name = f"3 × 3, {inputs} to {channels // width} channels at {size} × {size}, {_word(layout)}"
                runs[name] = forward(conv, x)
                flops[name] = count_flops(runs[name])
    times = interleaved(runs, rounds, device)
    rates = {name: flops[name] / times[name].best for name in runs}
    best = max(rates, key=rates.__getitem__)
    return rates[best], best


def _word(layout: torch.memory_format) -> str:
    return "channels last" if layout == torch.channels_last else "contiguous"
