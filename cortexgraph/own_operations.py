"""Whether the modules of registered operations are what these operations declare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import nn

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.network import CompiledNetwork
from cortexgraph.ops import Link, Operation


def check_own_operations(network: CompiledNetwork) -> None:
    """Compare the parameters and results of modules with what operations outside of cortexgraph declare.

    Raises CompileError with a finding for each that differs.
    """
    if findings := [finding for path, link in _own(network) for finding in _differences(network, path, link)]:
        raise CompileError(findings)


def _own(network: CompiledNetwork) -> Iterator[tuple[str, Link]]:
    """The paths and operations of users, those with inner chains and with parameters of others left out."""
    areas = network.unrolled.areas
    chains = [(area.identifier, area.body) for area in areas.areas]
    chains += [(connection.identifier, connection.transform) for connection in areas.connections]
    for prefix, chain in chains:
        for path, link in chain.walk(prefix):
            own = not type(link.operation).__module__.startswith("cortexgraph.")
            if own and link.owner is None and not link.operation.chains():
                yield path, link


def _differences(network: CompiledNetwork, path: str, link: Link) -> Iterator[Diagnostic]:
    module = _module(network, f"{path}.0" if link.per_step else path, link.operation)
    if module is None:  # of a connection that is never evaluated
        return
    word, operation = f"operation {link.word}", link.operation
    has = sorted(tuple(parameter.shape) for parameter in module.parameters())
    declared = sorted(operation.parameters().values())
    if has != declared:
        found, expected = f"its module has parameters of shapes {has}", f"`parameters()` declares {declared}"
        yield Diagnostic("own-operation", word, found, expected, "Return the shape of each parameter by its name.")
    if (shape := _result(module, operation.shape)) not in (None, operation.output()):
        found, expected = f"its module returns {list(shape or ())}", f"`output()` declares {list(operation.output())}"
        yield Diagnostic("own-operation", word, found, expected, "Return the shape [C, H, W] that the module gives.")


def _module(network: CompiledNetwork, path: str, operation: Operation) -> nn.Module | None:
    """The module of an operation: at its path, or at that of its chain, which has no other."""
    modules = dict(network.named_modules())
    for place in (path, path.rpartition(".")[0]):
        if place in modules and type(modules[place]).__name__ in operation.constructor():
            return cast("nn.Module", modules[place])
    return None


def _result(module: nn.Module, shape: tuple[int, int, int]) -> tuple[int, ...] | None:
    """The shape that a module makes of an image of this shape; None where it does not run on one alone."""
    modes = {part: part.training for part in module.modules()}
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            return tuple(module.eval()(torch.zeros(1, *shape)).shape[1:])
    except Exception:  # whatever the user's module raises shows at its first use, with its own traceback
        return None
    finally:
        for part, mode in modes.items():
            part.training = mode
