"""The numbers of `show` against what a compiled network really has, does and reads."""

from __future__ import annotations

from typing import Any

import networkx as nx
import pytest
import torch
import torchvision
from torch import nn

import cortexgraph as cg
from cortexgraph.analysis import RESNET18, NetworkSummary, steps_to_readouts, summarise
from cortexgraph.compiler import lower


def summary_of(name: str, **options: Any) -> NetworkSummary:
    return summarise(*lower(cg.load(name), **options))


def counted(network: nn.Module, *shape: int) -> int:
    """Multiply-adds of convolutions and linear layers in one forward pass of one image, counted as they run."""
    total = 0

    def count(module: nn.Module, _: Any, y: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.ConvTranspose2d):
            return  # its cost goes by its input
        weight: Any = module.weight
        total += y[0, 0].numel() * weight.numel() if y.ndim == 4 else weight.numel()

    hooks = [m.register_forward_hook(count) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.inference_mode():
        network.eval()(torch.zeros(1, *shape))
    for hook in hooks:
        hook.remove()
    return total


def test_resnet_18_for_orientation() -> None:
    large = torchvision.models.resnet18()
    small = torchvision.models.resnet18(num_classes=10)
    small.conv1, small.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    for known, network, size in zip(RESNET18, (large, small), (224, 32), strict=True):
        assert known.parameters == sum(parameter.numel() for parameter in network.parameters())
        assert known.macs == counted(network, 3, size, size)


@pytest.mark.parametrize("name", ["ventral", "leaky_ms", "rcnn"])
def test_multiply_adds_are_those_that_run(name: str) -> None:
    spec = cg.load(name)
    assert summary_of(name).macs == counted(cg.compile(spec), spec.input.channels, *cg.build(spec).image_shape[1:])


def test_parameters_are_those_of_the_module() -> None:
    for name in ("ventral", "cornet_rt", "blt"):
        network = cg.compile(cg.load(name))
        assert summary_of(name).parameters == sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("order", ["simultaneous", "sequential", ("V1", "V2", "V4", "IT", "V4", "V2", "V1")])
def test_paths_are_those_of_the_unrolled_graph(order: Any) -> None:
    """Against all ancestors of each readout, in networkx."""
    spec = cg.load("ventral", {"readout.at": [4, 6], "connections[IT -> V4].delay": 1})
    graph = cg.unroll(spec, order=order)
    areas, connections = steps_to_readouts(graph)
    expected: dict[str, set[int]] = {}
    along: dict[str, set[int]] = {}
    for readout in graph.readouts:
        for node in nx.ancestors(graph, readout):
            if node.kind == "update" and graph.live(node):
                expected.setdefault(node.name, set()).add(readout.step - node.step)
                for connection, source in graph.terms(node):
                    along.setdefault(connection.identifier, set()).add(readout.step - source.step)
    assert areas == {name: {"IT": (min(steps), max(steps))} for name, steps in expected.items()}
    assert connections == {name: {"IT": (min(steps), max(steps))} for name, steps in along.items()}


def test_steps_add_up() -> None:
    summary = summary_of("ventral")
    assert sum(step.updates for step in summary.steps) == sum(len(area.executed) for area in summary.areas)
    of_areas = sum(area.macs * len(area.executed) for area in summary.areas)
    of_connections = sum(connection.macs * connection.evaluations for connection in summary.connections)
    assert sum(step.macs for step in summary.steps) == of_areas + of_connections
    assert summary.macs < summary.macs_unpruned
    (it_to_v4,) = [c for c in summary.connections if (c.source, c.target) == ("IT", "V4")]
    assert (it_to_v4.first_response, it_to_v4.evaluated, it_to_v4.window) == (5, (5,), (1, 1))
