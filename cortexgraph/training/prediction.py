"""`predict`: what a trained network sees in images, at each step of readout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from cortexgraph.compiler import compile_spec
from cortexgraph.data.decode import decode_files
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.training.engine import choose_device
from cortexgraph.training.load import load_state, read_run
from cortexgraph.training.objective import logits_per_step
from cortexgraph.training.packing import find_run
from cortexgraph.unrolling import Order

__all__ = ["Predictions", "predict"]

BATCH = 500


@dataclass(frozen=True)
class Predictions:
    """Class probabilities over time.

    Attributes:
        name: of the network.
        data: what it was trained on.
        files: N of them.
        classes: their names.
        steps: the n steps of readout.
        probabilities: float32 [N, n, classes], each row summing to 1.
    """

    name: str
    data: str
    files: tuple[Path, ...]
    classes: tuple[str, ...]
    steps: tuple[int, ...]
    probabilities: Tensor

    def best(self, index: int) -> str:
        """The most probable class of one image at the last readout step."""
        return self.classes[int(self.probabilities[index, -1].argmax())]


def predict(
    files: Sequence[str | Path],
    run: str | Path = "ventral-cifar10",
    *,
    at: Literal["all", "last"] | Sequence[int] | None = None,
    steps: int | None = None,
    order: Order | None = None,
    device: str = "auto",
) -> Predictions:
    """Classify images with a trained network.

    An image of any format that PIL reads is cut to the network's aspect ratio around its middle, resized, and
    normalised as the training images were.

    Args:
        files: the images.
        run: the folder of a run, or the name of a trained network that ships.
        at: steps of readout: `all`, `last` or a list; by default those of the run.
        steps, order: number of steps T and order; by default those of the run.
        device: as in `TrainSettings`.

    Raises:
        DataError: for a missing or damaged run, or images that cannot be read, all of them named.
        CompileError: for a readout of a silent area.

    Examples:
        >>> predict(["cat.jpg"]).best(0)  # doctest: +SKIP
        'cat'
    """
    folder = find_run(run)
    spec, state = read_run(folder)
    card = folder.read_card()
    if at is not None:
        spec = spec.read_at(at if isinstance(at, str) else tuple(sorted(set(at))))
    network = compile_spec(spec, steps, order)
    load_state(folder, network, state)
    size = spec.input.size
    images = decode_files(_existing(files), (size, size) if isinstance(size, int) else size, spec.input.channels)
    target = choose_device(device)
    mean, std = (torch.tensor(card[name], device=target)[:, None, None] for name in ("mean", "std"))
    network.to(target).eval()
    with torch.inference_mode():
        batches = [
            (batch.to(target).float() / 255 - mean) / std for batch in torch.split(images, BATCH)
        ]  # [B, C, H, W]
        logits = torch.cat([logits_per_step(network(batch)) for batch in batches])  # [N, n, classes]
    unrolled: Any = network.unrolled
    first = unrolled.areas.readouts[0].name
    read = tuple(node.step for node in unrolled.readouts if node.name == first)
    probabilities = logits.float().softmax(2).cpu()
    return Predictions(
        spec.name, str(card["name"]), tuple(map(Path, files)), tuple(card["classes"]), read, probabilities
    )


def _existing(files: Sequence[str | Path]) -> list[Path]:
    """The files.

    Raises:
        DataError: naming every one that is not there.
    """
    paths = [Path(file) for file in files]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            [
                Diagnostic(
                    "no-image",
                    str(path),
                    "this is a folder" if path.is_dir() else "there is no such file",
                    repair="Name the images in it." if path.is_dir() else "Check the path.",
                )
                for path in missing
            ]
        )
    return paths
