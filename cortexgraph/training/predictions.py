"""Predictions for single images or videos: probabilities of classes, or what else a network was trained to give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from os import PathLike
from pathlib import Path

import torch
from torch import Tensor

from cortexgraph.arguments import arguments_explained
from cortexgraph.data.decode import decode_files
from cortexgraph.data.folder import read_videos
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.spec.fields import pair
from cortexgraph.training.engine import choose_device
from cortexgraph.training.evaluation import warn_of_infinite
from cortexgraph.training.loaders import EVALUATION_BATCH_SIZE
from cortexgraph.training.losses import CLASS, LABELS, logits_per_step
from cortexgraph.training.reached import read_steps
from cortexgraph.training.run import At, TrainedRun, opened
from cortexgraph.training.tasks import CLASS_MAP
from cortexgraph.unrolling import Order
from cortexgraph.wording import count_of, listed


@dataclass(frozen=True)
class Predictions:
    """Class probabilities, or what else the network was trained to give, over time.

    Attributes:
        name: of the network.
        data: what it was trained on.
        files: N of them.
        classes: their names, or those of labels or numbers.
        steps: the n steps of readout.
        values: float32 [N, n, classes], probabilities, each row summing to 1. Of labels each is a probability by
            itself; of other targets they are the numbers that are predicted, for each place [N, n, classes, H, W].
        kind: of the target (docs/tasks.md).
    """

    name: str
    data: str
    files: tuple[Path, ...]
    classes: tuple[str, ...]
    steps: tuple[int, ...]
    values: Tensor
    kind: str = CLASS

    @property
    def probabilities(self) -> Tensor:
        """The probabilities of classes or labels, float32 [N, n, classes]; DataError for other targets."""
        if self.kind not in {CLASS, LABELS}:
            found = f"{self.name} does not give probabilities of classes or labels"
            raise DataError(Diagnostic("not-a-classifier", "predictions", found, repair="Use `values`."))
        return self.values

    def rows(self) -> Iterator[dict[str, float | int | str]]:
        """For a table: file and step, and the values by name; of maps also the row and column of each place."""
        names: list[str] = []
        count = self.values.shape[2]
        for name in self.classes if len(self.classes) == count else [f"value_{n}" for n in range(count)]:
            while name in {"file", "step", "row", "column", "class", *names}:  # a class may be called as a column is
                name = f"class {name}"  # noqa: PLW2901
            names.append(name)
        for file, by_step in zip(self.files, self.values, strict=True):
            for step, values in zip(self.steps, by_step, strict=True):
                first: dict[str, float | int | str] = {"file": str(file), "step": step}
                if values.ndim == 1:
                    yield first | dict(zip(names, values.tolist(), strict=True))
                    continue
                for row, column in product(range(values.shape[1]), range(values.shape[2])):
                    place, numbers = first | {"row": row, "column": column}, values[:, row, column]
                    if self.kind == CLASS_MAP:
                        yield place | {"class": int(numbers.argmax())}
                    else:
                        yield place | {f"value_{n}": number for n, number in enumerate(numbers.tolist())}

    def best(self, index: int) -> str:
        """The most probable class of one image at the last readout step; DataError for an index without image."""
        if not -len(self.files) <= index < len(self.files):
            expected = f"there {'is' if len(self.files) == 1 else 'are'} {count_of(len(self.files), 'image')}"
            repair = "Count images from 0; `probabilities[image, step]` has all classes."
            raise DataError(Diagnostic("no-image", "index", f"image {index} was asked for", expected, repair))
        return self.classes[int(self.probabilities[index, -1].argmax())]


@arguments_explained
def predict(
    files: str | PathLike[str] | Sequence[str | PathLike[str]],
    run: str | Path | TrainedRun = "ventral-strong-cifar10",
    *,
    at: At | None = None,
    steps: int | None = None,
    order: Order | None = None,
    device: str = "auto",
) -> Predictions:
    """Classify images with a trained network, or predict what else it was trained to give.

    An image of any format that PIL reads is cut to the network's aspect ratio around its middle, resized, and
    normalised as the training images were.

    Args:
        files: the paths of images, or of one; of a network that was trained on videos, folders of their frames.
        run: a run or its folder, or the name of a trained network that ships.
        at: steps of readout: `all`, `last` or a list; by default those of the run.
        steps: number of steps T; by default that of the run.
        order: order of updates; by default that of the run.
        device: as in `TrainSettings`.

    Raises:
        DataError: for a missing or damaged run, or images that cannot be read, all of them named.
        CompileError: for a readout of a silent area.

    Examples:
        >>> predict(["cat.jpg"]).best(0)  # doctest: +SKIP
        'cat'
    """
    run = opened(run)
    paths = _existing(files, folders=run.card.frames is not None)
    network, size = run.compile(steps, order, at=at), pair(run.spec.input.size)
    if run.card.frames is None:
        images = read_images(paths, run)
    else:
        images = read_videos(paths, network.spec.time.steps, size, run.spec.input.channels, run.card.resize)
    target = choose_device(device)
    network.to(target)
    with torch.inference_mode():
        batches = torch.split(images, EVALUATION_BATCH_SIZE)
        logits = torch.cat([logits_per_step(network(run.prepare(batch.to(target)))) for batch in batches])
    kind = run.kind
    values = logits.float().softmax(2) if kind == CLASS else logits.float()  # [N, n, classes]
    values = values.sigmoid().cpu() if kind == LABELS else values.cpu()
    read = read_steps(network.unrolled)
    finite = values.transpose(0, 1).flatten(1).isfinite().all(1).tolist()
    warn_of_infinite([step for step, whole in zip(read, finite, strict=True) if not whole])
    return Predictions(run.spec.name, run.data, tuple(paths), run.classes, read, values, kind)


def read_images(files: str | PathLike[str] | Sequence[str | PathLike[str]], run: TrainedRun) -> Tensor:
    """Images of files in a run's size, uint8 [N, C, H, W]; DataError naming every file that it cannot read."""
    return decode_files(_existing(files), pair(run.spec.input.size), run.spec.input.channels, run.card.resize)


def _existing(files: str | PathLike[str] | Sequence[str | PathLike[str]], *, folders: bool = False) -> list[Path]:
    """The files, or the folders of videos. Raises DataError naming every one that does not exist."""
    several = [files] if isinstance(files, str | PathLike) else [*files] if isinstance(files, Sequence) else [files]
    others = {type(file).__name__ for file in several if not isinstance(file, str | PathLike)}
    if others:
        found, expected = f"{listed(sorted(others))} was given", "paths of images are needed"
        repair = "Give images in memory to the network: `run.network(run.prepare(images))`."
        raise DataError(Diagnostic("no-image", "files", found, expected, repair))
    paths = [Path(file) for file in several if isinstance(file, str | PathLike)]
    findings = []
    for path in paths:
        if folders and path.is_dir():
            continue
        if folders:
            found, repair = "this is not a folder", "The network takes videos: name a folder of frames."
            findings.append(Diagnostic("no-image", str(path), found, repair=repair))
        elif path.is_dir():
            findings.append(Diagnostic("no-image", str(path), "this is a folder", repair="Name the images in it."))
        elif not path.is_file():
            findings.append(Diagnostic("no-image", str(path), "this file does not exist", repair="Check the path."))
    if findings:
        raise DataError(findings)
    return paths
