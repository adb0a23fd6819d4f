"""A trained network over time: its accuracy, or what else is measured, at each step of readout."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isfinite, nan
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cortexgraph.arguments import arguments_explained
from cortexgraph.compiler import retimed
from cortexgraph.data import ImageData
from cortexgraph.errors import CortexGraphWarning, DataError, Diagnostic
from cortexgraph.network import CompiledNetwork, unwrapped
from cortexgraph.program import check_choice
from cortexgraph.spec import NetworkSpec
from cortexgraph.training.engine import choose_device
from cortexgraph.training.images import check_classes, check_fit, check_frames, other_targets
from cortexgraph.training.loaders import EVALUATION_BATCH_SIZE, EpochLoader, evaluation_batches
from cortexgraph.training.losses import CLASS, CROSS_ENTROPY, LABELS, NUMBERS, logits_per_step, loss_per_step
from cortexgraph.training.metrics import Scores
from cortexgraph.training.module import objective_of
from cortexgraph.training.reached import reached_steps, read_steps
from cortexgraph.training.run import At, TrainedRun, opened, with_readouts
from cortexgraph.training.settings import TrainSettings
from cortexgraph.training.tasks import ACCURACY, KINDS, SCORES, Objective, kind_of, loss_of
from cortexgraph.unrolling import Order
from cortexgraph.wording import steps_text

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
        metrics: of targets other than classes, by name (docs/tasks.md); accuracy is NaN then, and the loss is that of
            training, without label smoothing.
    """

    step: int
    accuracy: float
    loss: float
    trained: bool
    read: bool = True
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """Accuracy over time.

    Attributes:
        name: of the network.
        data, split, images: what it was shown.
        classes: how many.
        steps: one entry for each readout step, rising.
        tta: the views of each image whose logits were averaged; `none` for the image alone.
        score: the metric that is shown.
    """

    name: str
    data: str
    split: str
    images: int
    classes: int
    steps: tuple[StepAccuracy, ...]
    tta: Tta = "none"
    score: str = ACCURACY

    def scores(self) -> list[float]:
        """Accuracy, or the other score, at each step."""
        return [step.accuracy if self.score == ACCURACY else step.metrics[self.score] for step in self.steps]

    @property
    def title(self) -> str:
        """The network, the data set, and the views if they are several."""
        return f"{self.name} on {Path(self.data).name}{f' (tta: {self.tta})' * (self.tta != 'none')}"

    def rows(self) -> list[dict[str, float | str]]:
        """For a table: step, accuracy, cross-entropy, and whether parameters and readout were trained (1 or 0).

        Of targets other than classes, their metrics and the loss stand in place of accuracy and cross-entropy.
        A column `tta` names the views if they are several.
        """
        tta: dict[str, float | str] = {} if self.tta == "none" else {"tta": self.tta}
        return [
            {
                "step": s.step,
                **({"accuracy": s.accuracy} if self.score == ACCURACY else {}),
                **s.metrics,
                ("cross_entropy" if self.score == ACCURACY else "loss"): s.loss,
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

        steps, trained = [s.step for s in self.steps], [s.trained for s in self.steps]
        chance = 1 / self.classes if self.score == ACCURACY else None
        draw_accuracy_over_time(steps, self.scores(), trained, chance, self.title, [Path(path)], self.score)


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
    settings: TrainSettings | None = None,
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
        settings: with which a network was trained: their loss says what is measured. By default the targets of the data
            do. A run has its own.

    Raises:
        DataError: for a missing or damaged run, or data that do not fit it.
        CompileError: for a readout of a silent area, or a module that is not a network of `cortexgraph.compile`.
    """
    check_choice("split", split, ("test", "train"))
    check_choice("tta", tta, get_args(Tta))
    if isinstance(run, nn.Module):
        own = unwrapped(run)
        check_fit(own.spec, data, targets=False)
        settings = settings or _settings_for(own.spec, data)
        network = own.under(retimed(with_readouts(own.spec, at), steps, order))
        reached, read_in_training = reached_steps(own.spec, network.spec), read_steps(own.unrolled)
    else:
        run = opened(run)
        data, settings = run.normalised(data), run.settings
        check_fit(run.spec, data, settings.loss)
        network = run.compile(steps, order, at=at, memory_format="channels_last")
        reached, read_in_training = run.reached(network), run.read_in_training
    target = choose_device(device)
    check_frames(network.spec, data)
    objective = objective_of(network, settings)
    check_views(tta, objective.kind)
    views = settings if objective.views > 1 else None
    batches = EpochLoader(evaluation_batches(data, target, batch_size, split, views), lambda: 0)
    with in_evaluation(network, target):
        losses, scores = _count(network, batches, tta, data, objective)
    shown, metrics, is_class = int(scores.images), scores.values(), objective.kind == CLASS
    measured = [
        StepAccuracy(
            step,
            right / shown if is_class else nan,
            loss / shown,
            reached[step],
            step in read_in_training,
            {name: values[n] for name, values in metrics.items()},
        )
        for n, (step, right, loss) in enumerate(zip(reached, scores.correct.tolist(), losses.tolist(), strict=True))
    ]
    warn_of_infinite([each.step for each in measured if not isfinite(each.loss)])
    score = SCORES[objective.kind]
    return Evaluation(
        network.spec.name, data.name, split, shown // objective.views, len(data.classes), tuple(measured), tta, score
    )


def _settings_for(spec: NetworkSpec, data: ImageData) -> TrainSettings:
    """Settings with the loss of the targets of the data, or of images; DataError if the network gives others."""
    first = spec.readouts[0]
    settings = TrainSettings(loss=loss_of(data.targets.kind if first.target == "data" else NUMBERS))
    kind = kind_of(first, settings.loss)
    if kind in KINDS and kind != data.targets.kind:
        repair = "Give data with such targets, or compile a spec with another readout."
        raise DataError(other_targets("readout", f"the network gives {KINDS[kind]}", data, repair))
    return settings


def check_views(tta: Tta, kind: str) -> None:
    """Raise DataError where logits are to be averaged over views, but the target of a mirror image is another one."""
    if tta != "none" and kind not in {CLASS, LABELS}:
        found = "the targets of this network do not stay the same in a mirror image"
        raise DataError(Diagnostic("conflict", "tta", found, repair="Leave it out."))


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
    """Views of images [B, C, H, W], or of videos [B, F, C, H, W], with the weights of their logits."""
    places = [(1.0, images)]
    if tta == "mirror+shift":
        padded = F.pad(images.flatten(1, -3), (1, 1, 1, 1), "reflect")  # frames as channels: 4 axes, as `pad` needs
        shifted = [part.reshape(images.shape) for part in (padded[..., 2:, 2:], padded[..., :-2, :-2])]
        places = [(0.5, images), *((0.25, part) for part in shifted)]
    if tta == "none":
        return places
    return [(weight / 2, view) for weight, place in places for view in (place, place.flip(-1))]


def _count(
    network: CompiledNetwork, batches: EpochLoader, tta: Tta, data: ImageData, objective: Objective
) -> tuple[Tensor, Scores]:
    """Sums over all images: loss [n], and what counts them."""
    kind = next((parameter.dtype for parameter in network.parameters()), torch.float32)
    loss = CROSS_ENTROPY if objective.kind == CLASS else objective.first_loss
    losses, scores = torch.zeros(1), None
    with torch.inference_mode():
        for x, labels in batches:
            shown = objective.shown(x).to(kind)
            views = (weight * logits_per_step(network(view)).float() for weight, view in _views(shown, tta))
            logits = torch.stack([*views]).sum(0)  # [B, n, classes]
            if objective.kind in {CLASS, LABELS, NUMBERS}:
                check_classes(logits.shape[2], data)
            if scores is None:
                scores = Scores(objective.kind, logits.shape[2], logits.shape[1], x.device)
            targets = objective.targets(x, labels)[0]
            losses = losses.to(x.device) + loss_per_step(logits, targets, loss=loss) * len(x)
            scores.add(losses.new_zeros(()), logits, targets)
    assert scores is not None  # a split has images
    return losses, scores
