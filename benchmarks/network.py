"""The network that is measured: V1, V2, V4 and IT with feedforward, lateral and feedback connections.

It is that of the closest peer (PyTorchTNN; see `baseline.py`) as a spec of cortexgraph: a convolution over a
concatenation is the sum of convolutions over its parts, and a silent area counts as zeros (`silence: zero_input`).
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

import cortexgraph as cg

__all__ = ["AREAS", "READINGS", "Reading", "make_spec", "shared_weights", "sources_of"]

Reading = Literal["own", "feedforward"]
READINGS: dict[str, str] = {
    "own": "an area's inputs are resized to its own size, and convolved with stride 1",
    "feedforward": "an area's inputs are resized to the size of its feedforward source, and convolved with that stride",
}
"""What «the input size of the node» is. Under `own` the baseline does least work: it flatters us least."""

AREAS = {"V1": (32, 32), "V2": (64, 16), "V4": (128, 8), "IT": (256, 4)}
"""Channels and size, from low to high."""


def sources_of(area: str) -> list[str]:
    """What an area reads: its feedforward source first, then itself and the area above."""
    order = ["image", *AREAS]
    place = order.index(area)
    return order[place - 1 : place + 2]


def input_size(area: str, reading: Reading) -> int:
    """The height and width to which the inputs of an area are resized."""
    source = sources_of(area)[0]
    return AREAS[area][1] if reading == "own" or source == "image" else AREAS[source][1]


def make_spec(
    steps: int, reading: Reading = "own", width: int = 1, *, silence: str = "zero_input", norm: str | None = None
) -> cg.NetworkSpec:
    """The network over so many steps, its channels divided by `width`."""
    areas = {area: {"channels": channels // width, "size": size} for area, (channels, size) in AREAS.items()}
    connections = [_connection(source, area, reading) for area in AREAS for source in sources_of(area)]
    return cg.NetworkSpec.model_validate(
        {
            "name": "benchmark",
            "input": {"channels": 3, "size": 32},
            "defaults": {"area": {"activation": "relu"} | ({"norm": norm} if norm else {})},
            "areas": areas,
            "connections": connections,
            "readout": {"from": "IT", "classes": 10},
            "time": {"steps": steps, "silence": silence},
        }
    )


def _connection(source: str, area: str, reading: Reading) -> dict[str, Any]:
    size, own = input_size(area, reading), AREAS[area][1]
    conv = {"conv": {"kernel": 3, "stride": size // own, "bias": source == sources_of(area)[0]}}
    resized = source != "image" and AREAS[source][1] != size
    return {"from": source, "to": area, "transform": [{"bilinear": size}, conv] if resized else [conv]}


def shared_weights(baseline: nn.Module, network: nn.Module, width: int = 1) -> None:
    """Give the compiled network the baseline's weights: each connection its channels of the area's convolution."""
    state: dict[str, Tensor] = dict(network.state_dict())
    theirs = baseline.state_dict()
    for area in AREAS:
        sources = sources_of(area)
        channels = [3 if source == "image" else AREAS[source][0] // width for source in sources]
        parts = theirs[f"convolutions.{area}.weight"].split(channels, dim=1)
        for source, part in zip(sources, parts, strict=True):
            state[f"{source}_to_{area}.conv.weight"] = part
        state[f"{sources[0]}_to_{area}.conv.bias"] = theirs[f"convolutions.{area}.bias"]
    for name in ("weight", "bias"):
        state[f"readout.linear.{name}"] = theirs[f"readout.{name}"]
    with torch.no_grad():
        network.load_state_dict(state)
