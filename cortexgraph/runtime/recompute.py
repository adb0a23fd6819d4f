"""Computing steps again in the backward pass, so that what happened within them need not be kept until then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


@contextmanager
def buffers_kept(network: nn.Module) -> Iterator[None]:
    """Leave buffers, such as running averages, as they were: what happens inside happens to copies."""
    kept = [(part, dict(part.named_buffers(recurse=False))) for part in network.modules()]
    try:
        for part, buffers in kept:
            for name, buffer in buffers.items():
                setattr(part, name, buffer.clone())
        yield
    finally:
        for part, buffers in kept:
            for name, buffer in buffers.items():
                setattr(part, name, buffer)


def again(network: nn.Module, steps: Callable[..., Any], first: int, *carried: Tensor) -> Any:
    """What steps make of the states carried to them. Only these are kept: the backward pass computes the steps again.

    Running averages move only the first time, and dropout draws the same (Chen et al. 2016).
    """
    if not torch.is_grad_enabled():
        return steps(first, *carried)

    def contexts() -> tuple[Any, Any]:
        return nullcontext(), buffers_kept(network)

    return checkpoint(steps, first, *carried, use_reentrant=False, context_fn=contexts)
