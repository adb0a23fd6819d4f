"""Loss and metrics over the images of an epoch, at each readout step, for each kind of target.

Accuracy is counted here, exactly; the other metrics are those of torchmetrics, one for each step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from lightning_utilities import apply_to_collection
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError, MeanMetric, Metric
from torchmetrics.classification import (
    BinaryAveragePrecision,
    BinaryF1Score,
    MulticlassAccuracy,
    MulticlassJaccardIndex,
    MultilabelAveragePrecision,
    MultilabelF1Score,
)
from torchmetrics.regression import R2Score

from cortexgraph.training.losses import CLASS, LABELS, NOTHING, NUMBERS, VIEWS, correct_per_step
from cortexgraph.training.tasks import CLASS_MAP, FRAMES, NUMBER_MAP

TOP_5_FROM = 20
"""Classes from which top-5 accuracy is measured."""


@dataclass(frozen=True)
class Metrics:
    """The metrics of a kind of target.

    Attributes:
        make: the metrics by name, the score first, for a number of outputs; accuracy is counted elsewhere.
        compared: what they compare, of values [B, …] of a step and their targets.
    """

    make: Callable[[int], dict[str, Metric]]
    compared: Callable[[Tensor, Tensor], tuple[Tensor, ...]]


def _of_classes(outputs: int) -> dict[str, Metric]:
    return {"top_5_accuracy": MulticlassAccuracy(outputs, top_k=5, average="micro")} if outputs >= TOP_5_FROM else {}


def _of_labels(outputs: int) -> dict[str, Metric]:
    if outputs == 1:
        return {"average_precision": BinaryAveragePrecision(), "f1": BinaryF1Score()}
    return {"average_precision": MultilabelAveragePrecision(outputs), "f1": MultilabelF1Score(outputs)}


def _of_numbers(outputs: int) -> dict[str, Metric]:
    return {"r2": R2Score(), "mae": MeanAbsoluteError()}


def _of_class_maps(outputs: int) -> dict[str, Metric]:
    right = MulticlassAccuracy(outputs, average="micro", ignore_index=-1)
    return {"mean_iou": MulticlassJaccardIndex(outputs, ignore_index=-1), "pixel_accuracy": right}


def _unchanged(values: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
    return values, targets


def _exact(values: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
    """In float64, where the device has it: sums of squares of many numbers lose digits."""
    kind = torch.float32 if values.device.type == "mps" else torch.float64
    return values.to(kind).contiguous(), targets.to(kind).contiguous()


def _known(values: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
    known = targets.isfinite()
    return _exact(values[known], targets[known])


def _paired(values: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
    """Whether the other view of an image is the most similar one of the batch, for each view."""
    unit, rows = F.normalize(values.flatten(1), dim=1), torch.arange(len(values), device=values.device)
    nearest = (unit @ unit.T).fill_diagonal_(-torch.inf).argmax(1)
    return ((nearest == rows.roll(len(rows) // 2)).float(),)


METRICS: Mapping[str, Metrics] = {
    CLASS: Metrics(_of_classes, _unchanged),
    LABELS: Metrics(_of_labels, lambda values, targets: (values.sigmoid(), targets.int())),
    NUMBERS: Metrics(_of_numbers, _exact),
    CLASS_MAP: Metrics(_of_class_maps, _unchanged),
    NUMBER_MAP: Metrics(_of_numbers, _known),
    FRAMES: Metrics(_of_numbers, _known),
    VIEWS: Metrics(lambda outputs: {"pair_accuracy": MeanMetric()}, _paired),
    NOTHING: Metrics(lambda outputs: {"activity": MeanMetric()}, lambda values, _: (values.abs(),)),
}


class Scores:
    """Sums over the batches of an epoch, kept on the device so that no batch waits for them.

    Loss and correct images are added up as integers and float64, where torchmetrics would use float32: these figures
    do not depend on the batch size.

    Attributes:
        loss: of loss × images, float64 []; float32 where the device has no float64.
        correct: images classified correctly at each readout step, int64 [n].
        images: how many.
        kind: of the target.
        outputs: how many values the readout gives for each image or place.
    """

    def __init__(self, kind: str, outputs: int, steps: int, device: torch.device) -> None:
        self.kind, self.outputs = kind, outputs
        self.loss = torch.zeros((), dtype=torch.float32 if device.type == "mps" else torch.float64, device=device)
        self.correct = torch.zeros(steps, dtype=torch.int64, device=device)
        self.images = torch.zeros((), dtype=torch.int64, device=device)
        self._metrics = [METRICS[kind].make(outputs) for _ in range(steps)]
        for metric in (metric for each in self._metrics for metric in each.values()):
            metric.to(device)

    def add(self, loss: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Count a batch: its mean loss, the logits [B, n, …] of a readout, and its targets [B, …], or such by step."""
        self.loss += loss.detach() * len(logits)
        self.images += len(logits)
        if self.kind == CLASS:
            self.correct += correct_per_step(logits, targets)
        for n, metrics in enumerate(self._metrics):
            if metrics:
                own = targets[:, n] if targets.ndim == logits.ndim and self.kind == FRAMES else targets
                compared = METRICS[self.kind].compared(logits[:, n].detach().float(), own)
                for metric in metrics.values():
                    metric.update(*compared)

    def summed(self, processes: int = 1) -> tuple[float, dict[str, list[float]]]:
        """Mean loss, and each metric at each readout step, over the images of all processes, each of which calls this.

        A process may have had no image at all.
        """
        rows = [self.state()] * processes
        if processes > 1:
            torch.distributed.all_gather_object(rows, self.state())
        whole = Scores(self.kind, self.outputs, len(self.correct), torch.device("cpu"))
        whole.restore(reduce(_added, rows))
        images = int(whole.images)
        own = {"accuracy": [n / images for n in whole.correct.tolist()]} if self.kind == CLASS else {}
        return float(whole.loss) / images, own | whole.values()

    def state(self) -> dict[str, Any]:
        """All sums so far, on the processor."""
        metrics = [{name: metric.metric_state for name, metric in each.items()} for each in self._metrics]
        sums = {"loss": self.loss, "correct": self.correct, "images": self.images, "metrics": metrics}
        copied: dict[str, Any] = apply_to_collection(sums, Tensor, lambda value: value.cpu().clone())
        return copied

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over the sums that `state` gave."""
        device = self.loss.device
        state = apply_to_collection(state, Tensor, lambda value: value.to(device))
        self.loss, self.correct, self.images = state["loss"], state["correct"], state["images"]
        for each, kept in zip(self._metrics, state["metrics"], strict=True):
            for name, metric in each.items():
                for part, value in kept[name].items():
                    setattr(metric, part, value)

    def values(self) -> dict[str, list[float]]:
        """The metrics of torchmetrics at each readout step."""
        names = self._metrics[0] if self._metrics else {}
        return {name: [_value(metrics[name]) for metrics in self._metrics] for name in names}


def _added(first: Any, second: Any) -> Any:
    """The states of two processes as one: tensors are added, and lists of tensors joined."""
    if isinstance(first, dict):
        return {name: _added(value, second[name]) for name, value in first.items()}
    if isinstance(first, list) and first and isinstance(first[0], dict):
        return [_added(*pair) for pair in zip(first, second, strict=True)]
    return first + second


def _value(metric: Metric) -> float:
    """The value of a metric; NaN where it is not defined, such as R² of one image.

    The method of its class does not gather the states of processes, which those without images would miss.
    """
    try:
        return float(type(metric).compute(metric))
    except ValueError:
        return float("nan")
