"""`load_run`: the trained network of a run folder."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from cortexgraph.compiler import compile_spec
from cortexgraph.errors import CortexGraphError
from cortexgraph.spec import NetworkSpec, load
from cortexgraph.training.packing import find_run
from cortexgraph.training.run_folder import RunFolder
from cortexgraph.training.weights import read_weights

__all__ = ["load_run", "read_run"]


def load_run(path: str | Path) -> tuple[NetworkSpec, nn.Module]:
    """The spec and the network of a run, with the weights of its best epoch so far, ready to evaluate.

    Args:
        path: the folder of a run, or the name of a trained network that ships, such as `ventral-cifar10`.

    Raises:
        DataError: if this is no run, has not finished an epoch, or is damaged.

    Examples:
        >>> spec, network = load_run("runs/ventral-shapes")  # doctest: +SKIP
    """
    run = find_run(path)
    spec, state = read_run(run)
    network = compile_spec(spec)
    load_state(run, network, state)
    return spec, network.eval()


def read_run(run: RunFolder) -> tuple[NetworkSpec, dict[str, Tensor]]:
    """The spec of a run, and the state dict of its best epoch.

    Raises:
        DataError: as `load_run`.
    """
    run.read_settings()
    try:
        spec = load(run.spec)
    except CortexGraphError:
        raise run.damaged(run.spec, "cannot be read as a spec") from None
    state, metadata = read_weights(run)
    if metadata.get("spec_sha256") != spec.digest:
        raise run.damaged(run.weights, "belongs to another spec than spec.yaml")
    return spec, state


def load_state(run: RunFolder, network: nn.Module, state: dict[str, Tensor]) -> None:
    """Load a run's weights into a network.

    Raises:
        DataError: if they do not fit.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError:
        raise run.damaged(run.weights, "does not fit the network of spec.yaml") from None
