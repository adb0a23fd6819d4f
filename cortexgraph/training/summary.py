"""The results of a run: each finished epoch, and the summary of all."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import nn

from cortexgraph.spec import NetworkSpec
from cortexgraph.training.settings import TrainSettings
from cortexgraph.version import __version__

__all__ = [
    "EpochRecord",
    "Summary",
    "best_epoch",
    "count_parameters",
    "summarise",
    "summary_text",
]


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    Attributes:
        epoch: from 1.
        step: batches since the start of the run.
        lr: learning rate of the epoch's last batch.
        train_loss: mean over the epoch of what training minimises, on augmented images, in nats.
        train_accuracy: at the last readout step, on the same images as they went by, in [0, 1].
        test_loss: what training minimises, on the test images.
        test_accuracy: by readout step, in rising order.
        images_per_s: training images per second.
        seconds: training and test together.
    """

    epoch: int
    step: int
    lr: float
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: Mapping[int, float]
    images_per_s: float
    seconds: float

    @property
    def accuracy(self) -> float:
        """Test accuracy at the last readout step."""
        return list(self.test_accuracy.values())[-1]

    def row(self) -> dict[str, float]:
        """Names and numbers of the table's row: `test_accuracy_step_8`, …, and `test_accuracy`, the last of them."""
        row = {name: value for name, value in asdict(self).items() if name != "test_accuracy"}
        timing = {name: row.pop(name) for name in ("images_per_s", "seconds")}
        per_step = {f"test_accuracy_step_{step}": value for step, value in self.test_accuracy.items()}
        return row | {"test_accuracy": self.accuracy} | per_step | timing


def best_epoch(history: Sequence[EpochRecord]) -> EpochRecord:
    """The first of the epochs with the highest test accuracy at the last readout step."""
    return max(history, key=lambda record: record.accuracy)


# ---- the whole run -----------------------------------------------------------------


@dataclass(frozen=True)
class Summary:
    """A finished run.

    Attributes:
        name: of the network.
        run: the folder.
        data: name of the data set.
        epochs: how many were trained.
        accuracy: test accuracy after the last epoch, by readout step, in [0, 1].
        best_epoch: the first epoch with the highest test accuracy; its weights are kept.
        best_accuracy: test accuracy after it, by readout step. Chosen by test images, so it flatters a little.
        parameters: numbers that were trained.
        seconds: spent on epochs, training and testing.
        device, precision, seed: as used.
        spec_digest, data_digest: SHA-256 of the spec and of the images.
        command: that started the run, where it was the command line.
        versions: of what computed it.
        settings: of training; empty for a run of version 0.1.
        images: numbers of training and test images.
    """

    name: str
    run: Path
    data: str
    epochs: int
    accuracy: Mapping[int, float]
    best_epoch: int
    best_accuracy: Mapping[int, float]
    parameters: int
    seconds: float
    device: str
    precision: str
    seed: int
    spec_digest: str
    data_digest: str
    command: str
    versions: Mapping[str, str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    images: Mapping[str, int] = field(default_factory=dict)

    @property
    def loss_over(self) -> str:
        """Which readout steps the loss was taken over: all, or the last."""
        return str(self.settings.get("loss_over", "all"))

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"run": str(self.run)}


def count_parameters(network: nn.Module) -> int:
    """How many numbers training changes."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def summarise(
    spec: NetworkSpec,
    settings: TrainSettings,
    network: nn.Module,
    history: Sequence[EpochRecord],
    *,
    run: Path,
    card: Mapping[str, Any],
    device: str,
    command: str,
) -> Summary:
    """The summary of a finished run; `card` is that of its data."""
    best = best_epoch(history)
    return Summary(
        name=spec.name,
        run=run,
        data=card["name"],
        epochs=len(history),
        accuracy=history[-1].test_accuracy,
        best_epoch=best.epoch,
        best_accuracy=best.test_accuracy,
        parameters=count_parameters(network),
        seconds=sum(record.seconds for record in history),
        device=device,
        precision=settings.precision,
        seed=settings.seed,
        spec_digest=spec.digest,
        data_digest=card["sha256"],
        command=command,
        versions={
            "cortexgraph": __version__,
            "torch": torch.__version__,
            "lightning": lightning.__version__,
            "python": platform.python_version(),
        },
        settings=settings.model_dump(),
        images={split: card[f"{split}_images"] for split in ("train", "test")},
    )


def _conditions(summary: Summary) -> list[tuple[str, str]]:
    """How it was trained, where the run says it."""
    if not summary.settings:
        return []
    s = summary.settings
    steps = "all readout steps" if summary.loss_over == "all" else "the last readout step"
    return [
        ("images", f"{summary.images['train']:,} training, {summary.images['test']:,} test"),
        ("optimiser", f"{s['optimizer']}, weight decay {s['weight_decay']:g}, batches of {s['batch_size']}"),
        ("learning rate", f"peak {s['lr']:g}, {s['schedule']}"),
        ("loss", f"{s['loss']}, label smoothing {s['label_smoothing']:g}, over {steps}"),
        ("augmentation", "yes" if s["augment"] else "no"),
    ]


def summary_text(summary: Summary) -> str:
    """The summary in Markdown."""
    rows = "\n".join(
        f"| {step} | {summary.accuracy[step]:.2%} | {summary.best_accuracy[step]:.2%} |" for step in summary.accuracy
    )
    facts = "\n".join(
        f"- {name}: {value}"
        for name, value in (
            ("data", f"{summary.data} (sha256 {summary.data_digest[:16]})"),
            *_conditions(summary),
            ("parameters trained", f"{summary.parameters:,}"),
            ("time", f"{summary.seconds:,.0f} s for {summary.epochs} epochs on {summary.device}"),
            ("precision", summary.precision),
            ("seed", summary.seed),
            ("spec", f"sha256 {summary.spec_digest[:16]}"),
            ("versions", ", ".join(f"{name} {version}" for name, version in summary.versions.items())),
            ("command", f"`{summary.command}`" if summary.command else "(started from Python)"),
        )
    )
    return (
        f"# {summary.name} on {Path(summary.data).name}\n\n"
        f"| readout step | test accuracy, last epoch | test accuracy, best epoch ({summary.best_epoch}) |\n"
        f"|---:|---:|---:|\n{rows}\n\n"
        "`weights.safetensors` holds the best epoch. It was chosen by its test accuracy, which therefore flatters\n"
        "a little; the last epoch's does not.\n\n"
        f"{facts}\n"
    )
