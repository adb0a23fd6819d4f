"""Handing a compiled network to `torch.compile`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Backend", "apply_backend"]

Backend = Literal["eager", "inductor"]
"""`eager` runs the emitted source as it stands; `inductor` hands it to `torch.compile`, which makes kernels of it."""


def apply_backend(network: nn.Module, backend: Backend) -> nn.Module:
    """The network itself, compiled in place for `inductor`, so that attributes and the state dict stay what they are.

    The whole forward becomes one graph, for each kind of input once: image or video, training or evaluation, with
    or without gradients. With a CUDA device it is captured as CUDA graphs, because there the time goes into launching
    many small kernels; the results of a call are then valid until the next one, and a caller that keeps them longer
    clones them. On a processor the first call takes 30 to 90 s.
    """
    import torch

    if backend == "inductor":
        network.compile(fullgraph=True, mode="reduce-overhead" if torch.cuda.is_available() else "default")
    return network
