"""The convolution peak: how fast this machine convolves at the shapes of the network, each alone in a loop."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.network import AREAS, sources_of
from benchmarks.timing import Setting, count_flops, forward, interleaved

__all__ = ["measure_peak"]


def measure_peak(setting: Setting) -> tuple[float, str]:
    """The highest FLOP/s over the network's convolutions in either memory layout, and which one reaches it."""
    runs, flops = {}, {}
    for area, (channels, size) in AREAS.items():
        for source in sources_of(area):
            if source == "image":
                continue
            for layout in (torch.contiguous_format, torch.channels_last):
                inputs, outputs = AREAS[source][0] // setting.width, channels // setting.width
                conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False).to(setting.device, memory_format=layout)
                x = torch.randn(setting.batch, inputs, size, size, device=setting.device).to(memory_format=layout)
                word = "channels last" if layout == torch.channels_last else "contiguous"
                name = f"3 × 3, {inputs} to {outputs} channels at {size} × {size}, {word}"
                runs[name] = forward(conv, x)
                flops[name] = count_flops(runs[name])
    times = interleaved(runs, setting)
    rates = {name: flops[name] / times[name].median for name in runs}
    best = max(rates, key=rates.__getitem__)
    return rates[best], best
