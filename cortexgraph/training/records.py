"""The records of a run: how it was started, its data, each finished epoch, and the summary."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, FiniteFloat, JsonValue, ValidationInfo, field_validator

from cortexgraph.training.losses import weighted_steps
from cortexgraph.training.settings import stored_settings
from cortexgraph.wording import count_of, parameters_text

DECIDING = ("sha256", "classes", "mean", "std", "augment")
"""Fields of `DataCard` that decide the weights of a run, or the response of its network to an image."""

AUGMENTATIONS = ("shift", "border", "flip", "cutout", "randaugment", "mixup", "cutmix")
"""Settings of augmentation."""

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Split = Literal["test", "validation"]
ByStep = Annotated[dict[int, Share], Field(min_length=1)]


class Started(BaseModel, frozen=True, strict=True):
    """How a run was started: `settings.json`.

    Attributes:
        cortexgraph_run: the version of the layout of the folder; it makes a folder a run.
        settings: of training, as they were written.
        spec_sha256: digest of the spec.
        logger: the trackers.
        command: the command line, if there was one.
        init_from: what the initial weights are of, if they are not new.
        initial: digest of the initial weights, which `initial.safetensors` then holds.
    """

    cortexgraph_run: int
    settings: dict[str, JsonValue]
    spec_sha256: str = ""
    logger: list[str] = Field(default=["csv", "tensorboard"])
    command: str = ""
    init_from: str = ""
    initial: str = ""


class Origin(BaseModel, frozen=True, strict=True, extra="forbid"):
    """Arguments of `load_data`, as a run may keep them."""

    source: str
    size: list[int] | None = None
    channels: int = 3
    seed: int = 0
    root: str | Path | None = None
    download: bool = False
    train_images: int | None = None
    test_images: int | None = None
    cache: bool = True
    resize: int | None = None
    memory: int | str | None = None
    workers: int | None = None


class DataCard(BaseModel, frozen=True, strict=True):
    """What a run keeps of its data, `data.json`: enough to load and prepare it again, and to notice a change.

    Attributes:
        name: of the data set.
        classes: their names.
        train_images, test_images: how many.
        mean, std: for each channel, of the training images.
        augment: the fields of `Augment`.
        sha256: digest of all images and labels; of streamed images that of their list.
        load_data: the arguments that load the images again, if they were not made in Python.
        resize: length of the shorter side before the middle is cut out; default: the size of the network's input.
        preparation: what was done to the images to bring them to the size of the network's input, in words.
        streamed: whether the images were read as they were needed.
    """

    name: str
    classes: list[str] = Field(min_length=1)
    train_images: Count
    test_images: Count
    mean: list[FiniteFloat] = Field(min_length=1)
    std: list[Annotated[FiniteFloat, Field(gt=0)]]
    augment: dict[str, JsonValue]
    sha256: str
    load_data: Origin | None
    resize: int | None = None
    preparation: str = ""
    streamed: bool = False

    @field_validator("std")
    @classmethod
    def _for_each_channel(cls, std: list[float], info: ValidationInfo) -> list[float]:
        if len(std) != len(info.data.get("mean", std)):
            raise ValueError("one number for each channel is needed")
        return std

    @property
    def arguments(self) -> dict[str, Any] | None:
        """The arguments of `load_data` that were written."""
        return self.load_data.model_dump(exclude_unset=True) if self.load_data is not None else None


def identity(spec_digest: str, started: Started, card: DataCard, rows: Sequence[int]) -> str:
    """A digest of what decides the weights of a run, as stored in its files; `rows` are the validation images."""
    data = card.model_dump(mode="json", include=set(DECIDING))
    deciding: list[object] = [spec_digest, started.settings, data]
    deciding += [list(rows)] if rows else []  # runs of earlier versions have neither of the two
    deciding += [started.initial] if started.initial else []
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


# ---- epochs ------------------------------------------------------------------------


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    Attributes:
        epoch: from 1.
        step: batches since the start of the run.
        lr: learning rate of the epoch's last batch.
        train_loss: mean over the epoch of what training minimises, on augmented images, in nats.
        train_accuracy: at the last readout step, on the same images as they went by, in [0, 1].
        loss: what training minimises, on the images of `split`.
        accuracies: on the images of `split`, by readout step in rising order.
        images_per_s: training images per second.
        seconds: training and evaluation together.
        split: the images on which the epoch was evaluated: `test`, or `validation` where images were set aside.
    """

    epoch: int
    step: int
    lr: float
    train_loss: float
    train_accuracy: float
    loss: float
    accuracies: Mapping[int, float]
    images_per_s: float
    seconds: float
    split: Split = "test"

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> EpochRecord:
        """The record from its fields as a checkpoint keeps them, also one of version 0.1."""
        former = {"test_loss": "loss", "test_accuracy": "accuracies"}
        return cls(**{former.get(name, name): value for name, value in state.items()})

    @property
    def accuracy(self) -> float:
        """Accuracy on the images of `split` at the last readout step."""
        return list(self.accuracies.values())[-1]

    def row(self) -> dict[str, float]:
        """The row of the table; `test_loss`, `test_accuracy` and `test_accuracy_step_8`, …, or `validation_…`."""
        first = {name: getattr(self, name) for name in ("epoch", "step", "lr", "train_loss", "train_accuracy")}
        own = {"loss": self.loss, "accuracy": self.accuracy}
        own |= {f"accuracy_step_{step}": value for step, value in self.accuracies.items()}
        timing = {"images_per_s": self.images_per_s, "seconds": self.seconds}
        return first | {f"{self.split}_{name}": value for name, value in own.items()} | timing


def best_epoch(history: Sequence[EpochRecord]) -> EpochRecord:
    """The first of the epochs with the highest accuracy at the last readout step."""
    return max(history, key=lambda record: record.accuracy)


def reported_epoch(history: Sequence[EpochRecord]) -> EpochRecord:
    """The epoch whose weights a run keeps and whose test accuracy it reports.

    The best on validation images. Without these the last one: a choice by test images would flatter.
    """
    return best_epoch(history) if history[-1].split == "validation" else history[-1]


# ---- the whole run -----------------------------------------------------------------


class Summary(BaseModel, frozen=True):
    """A finished run: `summary.json`.

    Attributes:
        name: of the network.
        run: the folder.
        data: name of the data set.
        epochs: how many were trained.
        accuracy: test accuracy, by readout step, in [0, 1]: after the last epoch, or, where an epoch was chosen on
            validation images, after that epoch.
        best_epoch: the first epoch with the highest accuracy on the images of `chosen_on`.
        best_accuracy: accuracy on these images after it, by readout step. It flatters a little.
        parameters: numbers that were trained.
        total_parameters: with those that no readout depends on; 0 where the run is older than this field.
        frozen_parameters: numbers that `freeze` kept from being trained.
        seconds: spent on epochs, training and testing.
        device, precision, seed: as used.
        spec_digest, data_digest: SHA-256 of the spec and of the images.
        command: that started the run, where it was the command line.
        versions: of what computed it.
        settings: of training; empty for a run of version 0.1.
        images: numbers of training, validation and test images.
        chosen_on: the images by which `best_epoch` was chosen.
        init_from: what the initial weights were of; empty where they were new.
        kept_epoch: whose weights the run keeps; None for a run of version 0.1, which keeps those of `best_epoch`.
    """

    name: str
    run: Path
    data: str
    epochs: Count
    accuracy: ByStep
    best_epoch: Count
    best_accuracy: ByStep
    parameters: Count
    seconds: Annotated[FiniteFloat, Field(ge=0)]
    device: str
    precision: str
    seed: int
    spec_digest: str
    data_digest: str
    command: str
    versions: dict[str, str]
    settings: dict[str, JsonValue] = {}
    images: dict[str, int] = {}
    total_parameters: Count = 0
    frozen_parameters: Count = 0
    chosen_on: Split = "test"
    kept_epoch: Count | None = None
    init_from: str = ""

    @field_validator("best_accuracy")
    @classmethod
    def _same_steps(cls, best: dict[int, float], info: ValidationInfo) -> dict[int, float]:
        if best.keys() != info.data.get("accuracy", best).keys():
            raise ValueError("the steps must be those of `accuracy`")
        return best

    def columns(self) -> tuple[str, str]:
        """Headings of the two accuracies of `rows`: first the one to report."""
        if self.chosen_on == "validation":
            return f"test accuracy, epoch {self.best_epoch}", f"validation accuracy, best epoch ({self.best_epoch})"
        return "test accuracy, last epoch", f"best epoch ({self.best_epoch}), chosen on test images"

    def rows(self) -> list[tuple[str, str, str]]:
        """Readout step, `accuracy` and `best_accuracy`, as texts."""
        return [(str(step), f"{value:.2%}", f"{self.best_accuracy[step]:.2%}") for step, value in self.accuracy.items()]

    @property
    def parameters_text(self) -> str:
        """How many parameters there are, and how many were trained."""
        if self.total_parameters:
            return parameters_text(self.total_parameters, self.parameters, self.frozen_parameters)
        return f"{self.parameters:,} trained parameters"

    @property
    def read_in_training(self) -> list[int]:
        """The readout steps over which the loss was taken."""
        return [*weighted_steps(str(self.settings.get("loss_over", "all")), self.accuracy)]


NOUNS = {"train": "training"}


def _conditions(summary: Summary) -> list[tuple[str, str]]:
    """How it was trained, where the run says it."""
    if not summary.settings:
        return []
    s = stored_settings(summary.settings)
    steps = {"all": "all readout steps", "last": "the last readout step"}.get(
        s.loss_over, f"readout steps with weights {s.loss_over}"
    )
    chosen = [f"{n} {getattr(s, n)}" for n in AUGMENTATIONS if getattr(s, n) != type(s).model_fields[n].default]
    norms = f" (norms and biases × {s.norm_lr_factor:g})" if s.norm_lr_factor != 1 else ""
    average = [("weights", f"moving average with decay {s.ema:g} per batch")] if s.ema else []
    return [
        ("recipe", s.recipe),
        ("images", ", ".join(f"{n:,} {NOUNS.get(split, split)}" for split, n in summary.images.items())),
        (
            "optimiser",
            f"{s.optimizer}, momentum {s.momentum:g}, weight decay {s.weight_decay:g}, batches of {s.batch_size}",
        ),
        ("learning rate", f"peak {s.lr:g}{norms}, {s.schedule}"),
        *average,
        ("loss", f"{s.loss}, label smoothing {s.label_smoothing:g}, over {steps}"),
        ("augmentation", ", ".join(["yes", *chosen]) if s.augment else "no"),
        *([("initial weights", summary.init_from)] if summary.init_from else []),
        *([("frozen", ", ".join(s.freeze))] if s.freeze else []),
    ]


def summary_text(summary: Summary) -> str:
    """The summary in Markdown."""
    rows = "\n".join("| " + " | ".join(row) + " |" for row in summary.rows())
    facts = [
        ("data", f"{summary.data} (sha256 {summary.data_digest[:16]})"),
        *_conditions(summary),
        ("size", summary.parameters_text),
        ("time", f"{summary.seconds:,.0f} s for {count_of(summary.epochs, 'epoch')} on {summary.device}"),
        ("precision", summary.precision),
        ("seed", summary.seed),
        ("spec", f"sha256 {summary.spec_digest[:16]}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in summary.versions.items())),
        ("command", f"`{summary.command}`" if summary.command else "(started from Python)"),
    ]
    return (
        f"# {summary.name} on {Path(summary.data).name}\n\n"
        f"| readout step | {' | '.join(summary.columns())} |\n"
        f"|---:|---:|---:|\n{rows}\n\n{_choice(summary)}\n\n" + "".join(f"- {name}: {value}\n" for name, value in facts)
    )


def _choice(summary: Summary) -> str:
    """Which epoch the figures and the weights belong to, and how it was chosen."""
    kept = f"`weights.safetensors` holds epoch {summary.kept_epoch or summary.best_epoch}."
    if summary.chosen_on == "validation":
        count = f"{summary.images.get('validation', 0):,}"
        return (
            f"{kept} It was chosen on {count} validation images, which were set aside from the training\n"
            "images. The test images were evaluated once, with the weights of this epoch."
        )
    return f"{kept} The best epoch was chosen by its test accuracy, which therefore\nflatters a little."
