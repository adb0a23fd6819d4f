"""A trained network over time: its accuracy at each step of readout, and its predictions for single images."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from os import PathLike
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cortexgraph.arguments import arguments_explained
from cortexgraph.compiler import check_choice, retimed
from cortexgraph.data import ImageData
from cortexgraph.data.decode import decode_files
from cortexgraph.errors import CortexGraphWarning, DataError, Diagnostic
from cortexgraph.network import CompiledNetwork, unwrapped
from cortexgraph.spec.fields import pair
from cortexgraph.training.engine import choose_device
from cortexgraph.training.images import (
    EVALUATION_BATCH_SIZE,
    EpochLoader,
    check_classes,
    check_fit,
    evaluation_batches,
)
from cortexgraph.training.losses import correct_per_step, logits_per_step, loss_per_step
from cortexgraph.training.reached import reached_steps, read_steps
from cortexgraph.training.run import At, TrainedRun, opened, with_readouts
from cortexgraph.unrolling import Order
from cortexgraph.wording import count_of, listed, steps_text

Tta = Literal["none", "mirror", "mirror+shift"]
"""Test-time augmentation: the views of each image whose logits are averaged."""


@dataclass(frozen=True)
class StepAccuracy:
    """How well one readout step classifies.

    Attributes:
        step: of the readout, from 1.
        accuracy: share of images classified correctly.
        loss: mean cross-entropy in nats, without label smoothing.
        trained: whether training reached every parameter that this readout uses. Where it did not (a per-step
            norm of an update, or a connection, that no readout of the training run depended on), the accuracy
            says little about the network.
        read: whether the loss of training read this step. The accuracy at other steps is that of a classifier
            that was never trained there.
    """

    step: int
    accuracy: float
    loss: float
    trained: bool
    read: bool = True


@dataclass(frozen=True)
class Evaluation:
    """Accuracy over time.

    Attributes:
        name: of the network.
        data, split, images: what it was shown.
        classes: how many.
        steps: one entry for each readout step, rising.
        tta: the views of each image whose logits were averaged; `none` for the image alone.
    """

    name: str
    data: str
    split: str
    images: int
    classes: int
    steps: tuple[StepAccuracy, ...]
    tta: Tta = "none"

    @property
    def title(self) -> str:
        """The network, the data set, and the views if they are several."""
        return f"{self.name} on {Path(self.data).name}{f' (tta: {self.tta})' * (self.tta != 'none')}"

    def rows(self) -> list[dict[str, float | str]]:
        """For a table: step, accuracy, cross-entropy, and whether parameters and readout were trained (1 or 0).

        A column `tta` names the views if they are several.
        """
        tta: dict[str, float | str] = {} if self.tta == "none" else {"tta": self.tta}
        return [
            {
                "step": s.step,
                "accuracy": s.accuracy,
                "cross_entropy": s.loss,
                "trained": int(s.trained),
                "read_in_training": int(s.read),
                **tta,
            }
            for s in self.steps
        ]

    @arguments_explained
    def draw(self, path: str | Path) -> None:
        """Draw accuracy over time as .png, .svg or .pdf."""
        from cortexgraph.training.curves import draw_accuracy_over_time

        steps, accuracy, trained = zip(*((s.step, s.accuracy, s.trained) for s in self.steps), strict=True)
        draw_accuracy_over_time(steps, accuracy, trained, 1 / self.classes, self.title, [Path(path)])


@arguments_explained
def evaluate(
    run: str | Path | TrainedRun | CompiledNetwork,
    data: ImageData,
    *,
    at: At | None = None,
    steps: int | None = None,
    order: Order | None = None,
    split: Literal["test", "train"] = "test",
    device: str = "auto",
    batch_size: int = EVALUATION_BATCH_SIZE,
    tta: Tta = "none",
) -> Evaluation:
    """Evaluate a trained network over time.

    Args:
        run: a run or its folder, or a network from `cortexgraph.compile`, which is measured as it is, with its hooks
            and replaced modules, and left as it was.
        data: the images; for a run they are normalised as its training images were.
        at: steps of readout: `all` from the first response to T, or a list; by default those of the spec.
        steps: number of steps T, which may be larger than in training; that of the spec by default. The parameters
            are the same.
        order: order of updates; that of the spec by default.
        split: which images.
        device: as in `TrainSettings`.
        batch_size: images at a time.
        tta: test-time augmentation: `mirror` averages the logits of each image and its mirror image; `mirror+shift`
            also those of both shifted by one pixel up and left, and down and right, with half the weight (Jordan 2024).

    Raises:
        DataError: for a missing or damaged run, or data that do not fit it.
        CompileError: for a readout of a silent area, or a module that is not a network of `cortexgraph.compile`.
    """
    check_choice("split", split, ("test", "train"))
    check_choice("tta", tta, get_args(Tta))
    if isinstance(run, nn.Module):
        own = unwrapped(run)
        check_fit(own.spec, data, classes=False)
        network = own.under(retimed(with_readouts(own.spec, at), steps, order))
        reached, read_in_training = reached_steps(own.spec, network.spec), read_steps(own.unrolled)
    else:
        run = opened(run)
        data = run.normalised(data)
        check_fit(run.spec, data)
        network = run.compile(steps, order, at=at, memory_format="channels_last")
        reached, read_in_training = run.reached(network), run.read_in_training
    target = choose_device(device)
    batches = EpochLoader(evaluation_batches(data, target, batch_size, split), lambda: 0)
    with in_evaluation(network, target):
        correct, losses, images = _count(network, batches, tta, data)
    measured = [
        StepAccuracy(step, n / images, loss / images, reached[step], step in read_in_training)
        for step, n, loss in zip(reached, correct.tolist(), losses.tolist(), strict=True)
    ]
    warn_of_infinite([each.step for each in measured if not isfinite(each.loss)])
    return Evaluation(network.spec.name, data.name, split, images, len(data.classes), tuple(measured), tta)


@contextmanager
def in_evaluation(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Run a network in evaluation mode on a device; device and modes of its modules are restored afterwards."""
    before = next((parameter.device for parameter in network.parameters()), device)
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        if before != device:
            network.to(device)
        yield
    finally:
        if before != device:
            network.to(before)
        for module, mode in modes.items():
            module.training = mode


def warn_of_infinite(steps: Sequence[int]) -> None:
    """Say at which steps of readout logits are infinite or not a number."""
    if steps:
        what = f"logits at {steps_text(steps)} are infinite or not a number for some images"
        why = "the states grow without bound, or weights are not finite"
        warnings.warn(f"{what}, which count as wrong: {why}", CortexGraphWarning, stacklevel=4)


def _views(images: Tensor, tta: Tta) -> list[tuple[float, Tensor]]:
    """Views of images [B, C, H, W], with the weights of their logits."""
    places = [(1.0, images)]
    if tta == "mirror+shift":
        padded = F.pad(images, (1, 1, 1, 1), "reflect")
        places = [(0.5, images), (0.25, padded[:, :, 2:, 2:]), (0.25, padded[:, :, :-2, :-2])]
    if tta == "none":
        return places
    return [(weight / 2, view) for weight, place in places for view in (place, place.flip(3))]


def _count(network: nn.Module, batches: EpochLoader, tta: Tta, data: ImageData) -> tuple[Tensor, Tensor, int]:
    """Sums over all images: correct int64 [n], loss [n]; and how many there are."""
    correct, losses, images = torch.zeros(1, dtype=torch.int64), torch.zeros(1), 0
    kind = next((parameter.dtype for parameter in network.parameters()), torch.float32)
    with torch.inference_mode():
        for x, labels in batches:
            views = (weight * logits_per_step(network(view)).float() for weight, view in _views(x.to(kind), tta))
            logits = torch.stack([*views]).sum(0)  # [B, n, classes]
            check_classes(logits.shape[-1], data)
            correct = correct.to(x.device) + correct_per_step(logits, labels)
            losses = losses.to(x.device) + loss_per_step(logits, labels) * len(labels)
            images += len(labels)
    return correct, losses, images


# ---- single images -----------------------------------------------------------------


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
        """The most probable class of one image at the last readout step.

        Raises:
            DataError: if there is no image of this index.
        """
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
    """Classify images with a trained network.

    An image of any format that PIL reads is cut to the network's aspect ratio around its middle, resized, and
    normalised as the training images were.

    Args:
        files: the paths of images, or of one.
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
    paths, run = _existing(files), opened(run)
    network = run.compile(steps, order, at=at)
    images = read_images(paths, run)
    target = choose_device(device)
    network.to(target)
    with torch.inference_mode():
        batches = torch.split(images, EVALUATION_BATCH_SIZE)
        logits = torch.cat([logits_per_step(network(run.prepare(batch.to(target)))) for batch in batches])
    probabilities = logits.float().softmax(2).cpu()  # [N, n, classes]
    read = read_steps(network.unrolled)
    finite = probabilities.isfinite().all(2).all(0).tolist()
    warn_of_infinite([step for step, whole in zip(read, finite, strict=True) if not whole])
    return Predictions(run.spec.name, run.data, tuple(paths), run.classes, read, probabilities)


def read_images(files: str | PathLike[str] | Sequence[str | PathLike[str]], run: TrainedRun) -> Tensor:
    """Images of files in the size that a run takes, uint8 [N, C, H, W].

    Raises:
        DataError: naming every file that cannot be read.
    """
    return decode_files(_existing(files), pair(run.spec.input.size), run.spec.input.channels, run.card.resize)


def _existing(files: str | PathLike[str] | Sequence[str | PathLike[str]]) -> list[Path]:
    """The files.

    Raises:
        DataError: naming every one that does not exist.
    """
    several = [files] if isinstance(files, str | PathLike) else [*files] if isinstance(files, Sequence) else [files]
    others = {type(file).__name__ for file in several if not isinstance(file, str | PathLike)}
    if others:
        found, expected = f"{listed(sorted(others))} was given", "paths of images are needed"
        repair = "Give images in memory to the network: `run.network(run.prepare(images))`."
        raise DataError(Diagnostic("no-image", "files", found, expected, repair))
    paths = [Path(file) for file in several if isinstance(file, str | PathLike)]
    findings = []
    for path in paths:
        if path.is_dir():
            findings.append(Diagnostic("no-image", str(path), "this is a folder", repair="Name the images in it."))
        elif not path.is_file():
            findings.append(Diagnostic("no-image", str(path), "this file does not exist", repair="Check the path."))
    if findings:
        raise DataError(findings)
    return paths
