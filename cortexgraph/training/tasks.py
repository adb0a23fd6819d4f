"""What a network is trained to give: the kind of target of each readout, and the number that training minimises.

A kind of target is `class`, `labels` or `numbers` for each image, `class-map` or `number-map` for each place of it,
`frames` of the image or video itself, two `views` of it, or `nothing`. The loss of a readout and whether it answers
for each place decide it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.training.losses import (
    CLASS,
    CROSS_ENTROPY,
    LABELS,
    LOSSES,
    NOTHING,
    NUMBERS,
    VIEWS,
    readout_loss,
)
from cortexgraph.wording import quoted, suggest_registered

if TYPE_CHECKING:
    from torch import Tensor

    from cortexgraph.spec import NetworkSpec, ReadoutSpec
    from cortexgraph.training.losses import Logits
    from cortexgraph.training.settings import TrainSettings

CLASS_MAP, NUMBER_MAP, FRAMES = "class-map", "number-map", "frames"
OF_PLACES = {CLASS: CLASS_MAP, NUMBERS: NUMBER_MAP}
ACCURACY = "accuracy"
SCORES: Mapping[str, str] = {
    CLASS: ACCURACY,
    LABELS: "average_precision",
    NUMBERS: "r2",
    CLASS_MAP: "mean_iou",
    NUMBER_MAP: "r2",
    FRAMES: "r2",
    VIEWS: "pair_accuracy",
    NOTHING: "activity",
}
"""The metric by which epochs and networks are compared, for each kind of target."""
LOWER_IS_BETTER = frozenset({"activity"})
"""Scores of which the best is the lowest."""


def metric_name(metric: str) -> str:
    """The name of a metric for people."""
    return {"r2": "R²", "mean_iou": "mean IoU", "mae": "mean absolute error"}.get(metric, metric.replace("_", " "))


def is_share(metric: str) -> bool:
    """Whether a metric is a share of images or places, which is written in per cent."""
    return metric.endswith(ACCURACY)


def metric_text(metric: str, value: float, digits: int = 2) -> str:
    """A value of a metric for people."""
    return f"{value:.{digits}%}" if is_share(metric) else f"{value:.{digits + 2}f}"


def kind_of(readout: ReadoutSpec, loss: str) -> str:
    """The kind of target of a readout, where the settings have this loss."""
    registered = LOSSES.get(readout.loss or loss)  # `check_registered` refuses one that is not registered
    target = CLASS if registered is None else registered.target
    if target == NUMBERS and readout.target != "data":
        return FRAMES
    return OF_PLACES.get(target, target) if readout.pool == "places" else target


KINDS = {
    CLASS: "a class for each image",
    LABELS: "labels that an image has or not",
    NUMBERS: "numbers for each image",
    CLASS_MAP: "a class for each place",
    NUMBER_MAP: "a number for each place",
}
"""The kinds of target that come with the data set, not from its images, in words."""


def unregistered_losses(spec: NetworkSpec) -> Iterator[Diagnostic]:
    """A finding for each readout whose loss is not registered."""
    for index, readout in enumerate(spec.readouts):
        if readout.loss is not None and readout.loss not in LOSSES:
            found, expected = f"no loss is called `{readout.loss}`", f"the names are {quoted(LOSSES)}"
            repair = suggest_registered(readout.loss, LOSSES)
            yield spec.diagnostic("unknown-value", ("readout", index, "loss"), found, expected, repair)


def check_registered(spec: NetworkSpec) -> None:
    """Raise CompileError unless the losses of all readouts are registered: each says on what its readout trains."""
    if findings := [*unregistered_losses(spec)]:
        raise CompileError(findings)


def loss_of(kind: str) -> str:
    """The first registered loss that trains on a kind of target, such as `mse` for numbers."""
    target = {CLASS_MAP: CLASS, NUMBER_MAP: NUMBERS}.get(kind, kind)
    return next((name for name, loss in LOSSES.items() if loss.target == target), CROSS_ENTROPY)


def score_of(spec: NetworkSpec, loss: str) -> str:
    """The metric by which networks of a spec are compared, where the settings have this loss."""
    return SCORES[kind_of(spec.readouts[0], loss)]


def target_arguments(spec: NetworkSpec, loss: str) -> dict[str, str]:
    """The arguments of `load_data` for the targets of the first of the readouts that need some; none for classes.

    Raises CompileError for losses that are not registered.
    """
    check_registered(spec)
    kinds = [kind for readout in spec.readouts if (kind := kind_of(readout, loss)) in KINDS]
    return {} if kinds[:1] == [CLASS] else {"target": kinds[0] if kinds else NOTHING}


def frames_needed(spec: NetworkSpec) -> int:
    """How many frames a video must have: one for each step, and the one to be predicted after the last."""
    return spec.time.steps + any(readout.target == "next-frame" for readout in spec.readouts)


# ---- the objective -----------------------------------------------------------------


@dataclass(frozen=True)
class Objective:
    """The number that training minimises, for the readouts of a spec.

    Attributes:
        readouts: of the spec.
        steps: the steps of the logits of each readout.
        settings: how to train.
        frames: how many frames of a video the network sees, T.
    """

    readouts: Sequence[ReadoutSpec]
    steps: Sequence[Sequence[int]]
    settings: TrainSettings
    frames: int

    @property
    def kind(self) -> str:
        """Of the target of the first readout, whose metrics are reported."""
        return kind_of(self.readouts[0], self.settings.loss)

    @property
    def first_loss(self) -> str:
        """The name of the first readout's loss."""
        return self.readouts[0].loss or self.settings.loss

    @property
    def views(self) -> int:
        """How many views of each image are needed."""
        return 1 + any(kind_of(readout, self.settings.loss) == VIEWS for readout in self.readouts)

    def shown(self, images: Tensor) -> Tensor:
        """What the network sees of images [B, C, H, W], or of videos [B, F, C, H, W] with a frame to be predicted."""
        return images[:, : self.frames] if images.ndim == 5 else images

    def targets(self, images: Tensor, labels: Tensor) -> list[Tensor]:
        """The target of each readout, as `loss_per_step` takes them."""
        return [
            self._target(readout, steps, images, labels)
            for readout, steps in zip(self.readouts, self.steps, strict=True)
        ]

    def _target(self, readout: ReadoutSpec, steps: Sequence[int], images: Tensor, labels: Tensor) -> Tensor:
        if readout.target == "data":
            return labels
        if images.ndim == 4:
            return images
        later = readout.target == "next-frame"
        return images[:, [step - 1 + later for step in steps]]  # [B, n, C, H, W]

    def loss(
        self, logits: Logits, images: Tensor, labels: Tensor, others: Tensor | None = None, share: float = 1.0
    ) -> Tensor:
        """The loss of a batch; the labels hold for this share of each image, those of other images for the rest."""
        settings = self.settings
        options = settings.label_smoothing, settings.loss_over, settings.loss, self.readouts
        loss = readout_loss(logits, self.targets(images, labels), *options)
        if others is not None:
            loss = share * loss + (1 - share) * readout_loss(logits, self.targets(images, others), *options)
        return loss
