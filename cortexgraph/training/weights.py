"""Weights as safetensors, under the names of the state dict, with where they came from."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from cortexgraph.training.run_folder import RunFolder, writing
from cortexgraph.training.trained import settled_state

__all__ = ["read_weights", "save_weights"]


def save_weights(network: nn.Module, path: Path, metadata: dict[str, str]) -> None:
    """Write the state dict of a compiled network, settled, whole or not at all."""
    state = {name: value.detach().cpu().contiguous().clone() for name, value in settled_state(network).items()}
    with writing(path) as temporary:
        save_file(state, temporary, metadata=metadata)


def read_weights(run: RunFolder) -> tuple[dict[str, Tensor], dict[str, str]]:
    """State dict and metadata of a run's weights.

    Raises:
        DataError: if there are none yet, or they are damaged.
    """
    if not run.weights.exists():
        raise run.damaged(run.weights, "is missing") if run.last.exists() else run.too_young()
    try:
        with safe_open(run.weights, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError):
        raise run.damaged(run.weights, "is not whole") from None
