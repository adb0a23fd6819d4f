"""What came of a run."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import nn

from cortexgraph.spec import NetworkSpec
from cortexgraph.training.history import EpochRecord, best_epoch
from cortexgraph.training.settings import TrainSettings
from cortexgraph.version import __version__

__all__ = ["Summary", "count_parameters", "summarise", "summary_text"]


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
    )


def summary_text(summary: Summary) -> str:
    """The summary in Markdown."""
    rows = "\n".join(
        f"| {step} | {summary.accuracy[step]:.2%} | {summary.best_accuracy[step]:.2%} |" for step in summary.accuracy
    )
    facts = "\n".join(
        f"- {name}: {value}"
        for name, value in (
            ("data", f"{summary.data} (sha256 {summary.data_digest[:16]})"),
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
