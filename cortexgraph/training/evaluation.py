"""`evaluate`: accuracy at each step of readout, also at steps that training did not read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cortexgraph.compiler import compile_spec
from cortexgraph.data import ImageData
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.spec import NetworkSpec
from cortexgraph.training.engine import choose_device
from cortexgraph.training.fits import check_fit
from cortexgraph.training.load import load_state, read_run
from cortexgraph.training.loaders import EVALUATION_BATCH_SIZE, EpochLoader, evaluation_batches
from cortexgraph.training.objective import correct_per_step, logits_per_step, loss_per_step
from cortexgraph.training.packing import find_run
from cortexgraph.training.run_folder import RunFolder
from cortexgraph.training.trained import settled_state, trained_steps, whole
from cortexgraph.unrolling import Order

__all__ = ["Evaluation", "StepAccuracy", "evaluate"]


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
    """

    step: int
    accuracy: float
    loss: float
    trained: bool


@dataclass(frozen=True)
class Evaluation:
    """Accuracy over time.

    Attributes:
        name: of the network.
        data, split, images: what it was shown.
        classes: how many.
        steps: one entry for each readout step, rising.
    """

    name: str
    data: str
    split: str
    images: int
    classes: int
    steps: tuple[StepAccuracy, ...]

    def rows(self) -> list[dict[str, float]]:
        """For a table: step, accuracy, loss, trained (1 or 0)."""
        return [{"step": s.step, "accuracy": s.accuracy, "loss": s.loss, "trained": int(s.trained)} for s in self.steps]


def evaluate(
    run: str | Path | nn.Module,
    data: ImageData,
    *,
    at: Literal["all", "last"] | Sequence[int] | None = None,
    steps: int | None = None,
    order: Order | None = None,
    split: Literal["test", "train"] = "test",
    device: str = "auto",
    batch_size: int = EVALUATION_BATCH_SIZE,
) -> Evaluation:
    """Evaluate a trained network over time.

    Args:
        run: the folder of a run (its best epoch counts), or a network from `cortexgraph.compile`, which is
            left as it is.
        data: the images; they are normalised as the run's training images were.
        at: steps of readout: `all` from the first response to T, or a list; by default those of the spec.
        steps, order: number of steps T, which may be larger than in training, and order; by default those of
            the spec. The parameters are the same.
        split: which images.
        device: as in `TrainSettings`.
        batch_size: images at a time.

    Raises:
        DataError: for a missing or damaged run, or data that do not fit it.
        CompileError: for a readout of a silent area.
    """
    spec, state, data = _of_run(find_run(run), data) if isinstance(run, str | Path) else _of_network(run, data)
    check_fit(spec, data)
    read = spec if at is None else spec.read_at(at if isinstance(at, str) else tuple(sorted(set(at))))
    network = compile_spec(read, steps, order, memory_format="channels_last")
    if isinstance(run, nn.Module):
        network.load_state_dict(state)
        trained_network = run
    else:
        load_state(find_run(run), network, state)
        trained_network = compile_spec(spec)
    reached = trained_steps(whole(trained_network), whole(network))
    target = choose_device(device)
    batches = EpochLoader(evaluation_batches(data, target, batch_size, split), lambda: 0)
    correct, losses, images = _count(network.to(target).eval(), batches)
    measured = [
        StepAccuracy(step, n / images, loss / images, reached[step])
        for step, n, loss in zip(reached, correct.tolist(), losses.tolist(), strict=True)
    ]
    return Evaluation(spec.name, data.name, split, images, len(data.classes), tuple(measured))


def _of_run(run: RunFolder, data: ImageData) -> tuple[NetworkSpec, dict[str, Tensor], ImageData]:
    """Spec, weights, and the data normalised by the statistics of the run's training images."""
    spec, state = read_run(run)
    card = run.read_card()
    if card["classes"] != list(data.classes):
        raise DataError(_other_classes(card, data))
    return spec, state, replace(data, mean=tuple(card["mean"]), std=tuple(card["std"]))


def _of_network(network: nn.Module, data: ImageData) -> tuple[NetworkSpec, dict[str, Tensor], ImageData]:
    spec: Any = network.spec
    return spec, settled_state(network), data


def _other_classes(card: Mapping[str, Any], data: ImageData) -> Diagnostic:
    def some(names: Sequence[str]) -> str:
        return ", ".join(names[:4]) + (", …" if len(names) > 4 else "")

    return Diagnostic(
        "other-classes",
        f"data {data.name}",
        f"its {len(data.classes)} classes are {some(data.classes)}",
        f"the run was trained on {card.get('name')} with {some(card['classes'])}",
        "Give the data set that the run was trained on, or one with the same classes.",
    )


def _count(network: nn.Module, batches: EpochLoader) -> tuple[Tensor, Tensor, int]:
    """Sums over all images: correct int64 [n], loss [n]; and how many there are."""
    correct, losses, images = torch.zeros(1, dtype=torch.int64), torch.zeros(1), 0
    with torch.inference_mode():
        for x, labels in batches:
            logits = logits_per_step(network(x))  # [B, n, classes]
            correct = correct.to(x.device) + correct_per_step(logits, labels)
            losses = losses.to(x.device) + loss_per_step(logits, labels) * len(labels)
            images += len(labels)
    return correct, losses, images
