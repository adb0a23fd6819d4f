"""The records of a run: how it was started, its data, each finished epoch, and the summary."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, FiniteFloat, JsonValue, ValidationInfo, field_validator, model_validator

from cortexgraph.training.losses import CLASS, LABELS, LOSSES, weighted_steps
from cortexgraph.training.settings import stored_settings
from cortexgraph.training.tasks import ACCURACY, LOWER_IS_BETTER, metric_name, metric_text
from cortexgraph.wording import count_of, parameters_text

DECIDING = ("sha256", "classes", "mean", "std", "augment")
"""Fields of `DataCard` that decide the weights of a run, or the response of its network to an image."""

AUGMENTATIONS = ("shift", "border", "flip", "cutout", "randaugment", "mixup", "cutmix")
"""Settings of augmentation."""

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Split = Literal["test", "validation"]
ByStep = Annotated[dict[int, Share], Field(min_length=1)]
Metrics = dict[str, dict[int, float]]
"""Values by readout step, of each metric by its name."""


class Started(BaseModel, frozen=True, strict=True):
    """How a run was started: `settings.json`.

    Attributes:
        cortexgraph_run: the version of the layout of the folder; it makes a folder a run.
        settings: of training, as they were written, except how it is computed.
        machines: the settings of how the run was computed when it was started.
        spec_sha256: digest of the spec.
        logger: the trackers.
        command: the command line, if there was one.
        init_from: what the initial weights are of, if they are not new.
        initial: digest of the initial weights, which `initial.safetensors` then holds.
    """

    cortexgraph_run: int
    settings: dict[str, JsonValue]
    machines: dict[str, JsonValue] = {}
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
    targets: str | None = None
    target: str = CLASS
    frames: int | None = None


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
        frames: of each video; None for images.
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
    frames: int | None = None

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
        step: updates of the weights since the start of the run.
        lr: learning rate of the epoch's last update.
        train_loss: mean over the epoch of what training minimises, on augmented images, in nats.
        train_score: accuracy at the last readout step, on the same images as they went by, in [0, 1]; or another score.
        loss: what training minimises, on the images of `split`.
        scores: accuracy on the images of `split`, by readout step in rising order; or another score.
        images_per_s: training images per second.
        seconds: training and evaluation together.
        split: the images on which the epoch was evaluated: `test`, or `validation` where images were set aside.
        score: the metric of `scores`, by which epochs are compared.
        metrics: other metrics on the images of `split`, by readout step.
    """

    epoch: int
    step: int
    lr: float
    train_loss: float
    train_score: float
    loss: float
    scores: Mapping[int, float]
    images_per_s: float
    seconds: float
    split: Split = "test"
    score: str = ACCURACY
    metrics: Mapping[str, Mapping[int, float]] = field(default_factory=dict)

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> EpochRecord:
        """The record from its fields as a checkpoint keeps them, also one of an earlier version."""
        former = {
            "test_loss": "loss",
            "test_accuracy": "scores",
            "accuracies": "scores",
            "train_accuracy": "train_score",
        }
        return cls(**{former.get(name, name): value for name, value in state.items()})

    @property
    def last_score(self) -> float:
        """The score on the images of `split` at the last readout step."""
        return list(self.scores.values())[-1]

    @property
    def all_metrics(self) -> dict[str, Mapping[int, float]]:
        """Every metric on the images of `split`, by readout step, the score first."""
        return {self.score: self.scores, **self.metrics}

    def row(self) -> dict[str, float]:
        """The row of the table; `test_loss`, `test_accuracy` and `test_accuracy_step_8`, …, or `validation_…`."""
        first = {name: getattr(self, name) for name in ("epoch", "step", "lr", "train_loss")}
        first[f"train_{self.score}"] = self.train_score
        own = {"loss": self.loss}
        for name, values in self.all_metrics.items():
            own[name] = list(values.values())[-1]
            own |= {f"{name}_step_{step}": value for step, value in values.items()}
        timing = {"images_per_s": self.images_per_s, "seconds": self.seconds}
        return first | {f"{self.split}_{name}": value for name, value in own.items()} | timing


def best_epoch(history: Sequence[EpochRecord]) -> EpochRecord:
    """The first of the epochs with the highest accuracy, or the best other score, at the last readout step."""
    return (min if history[0].score in LOWER_IS_BETTER else max)(history, key=lambda record: record.last_score)


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
            validation images, after that epoch. Empty where the task has another score.
        best_epoch: the first epoch with the highest accuracy (or the best other score) on the images of `chosen_on`.
        best_accuracy: accuracy on these images after it, by readout step. It is slightly optimistic.
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
        score: the metric by which epochs were compared.
        metrics, best_metrics: metrics other than accuracy, by readout step, as `accuracy` and `best_accuracy` are.
    """

    name: str
    run: Path
    data: str
    epochs: Count
    accuracy: ByStep = {}
    best_epoch: Count
    best_accuracy: ByStep = {}
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
    score: str = ACCURACY
    metrics: Metrics = {}
    best_metrics: Metrics = {}

    @field_validator("best_accuracy")
    @classmethod
    def _same_steps(cls, best: dict[int, float], info: ValidationInfo) -> dict[int, float]:
        if best.keys() != info.data.get("accuracy", best).keys():
            raise ValueError("the steps must be those of `accuracy`")
        return best

    @model_validator(mode="after")
    def _has_scores(self) -> Summary:
        if not self.scores or self.scores.keys() != self.best_scores.keys():
            raise ValueError(f"`{self.score}` is needed for each readout step")
        return self

    @property
    def scores(self) -> dict[int, float]:
        """Accuracy, or the other score, by readout step."""
        return self.accuracy if self.score == ACCURACY else self.metrics.get(self.score, {})

    @property
    def best_scores(self) -> dict[int, float]:
        """The score after the best epoch, by readout step."""
        return self.best_accuracy if self.score == ACCURACY else self.best_metrics.get(self.score, {})

    def columns(self) -> tuple[str, str]:
        """Headings of the two scores of `rows`: first the one to report."""
        name = metric_name(self.score)
        if self.chosen_on == "validation":
            return f"test {name}, epoch {self.best_epoch}", f"validation {name}, best epoch ({self.best_epoch})"
        return f"test {name}, last epoch", f"best epoch ({self.best_epoch}), chosen on test images"

    def rows(self) -> list[tuple[str, str, str]]:
        """Readout step, and the scores of `columns`, as texts."""
        best = self.best_scores
        return [
            (str(step), metric_text(self.score, value), metric_text(self.score, best[step]))
            for step, value in self.scores.items()
        ]

    @property
    def parameters_text(self) -> str:
        """How many parameters there are, and how many were trained."""
        if self.total_parameters:
            return parameters_text(self.total_parameters, self.parameters, self.frozen_parameters)
        return f"{self.parameters:,} trained parameters"

    @property
    def read_in_training(self) -> list[int]:
        """The readout steps over which the loss was taken."""
        return [*weighted_steps(str(self.settings.get("loss_over", "all")), self.scores)]


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
    smoothing = f", label smoothing {s.label_smoothing:g}" * (LOSSES[s.loss].target in {CLASS, LABELS})
    average = [("weights", f"moving average with decay {s.ema:g} per batch")] if s.ema else []
    return [
        ("recipe", s.recipe),
        ("images", ", ".join(f"{n:,} {NOUNS.get(split, split)}" for split, n in summary.images.items())),
        (
            "optimiser",
            f"{s.optimizer}, momentum {s.momentum:g}, weight decay {s.weight_decay:g}, batches of {s.batch_size}"
            f"{f' × {s.accumulate}' * (s.accumulate > 1)}",
        ),
        ("learning rate", f"peak {s.lr:g}{norms}, {s.schedule}"),
        *average,
        ("loss", f"{s.loss}{smoothing}, over {steps}"),
        ("augmentation", ", ".join(["yes", *chosen]) if s.augment else "no"),
        *([("initial weights", summary.init_from)] if summary.init_from else []),
        *([("frozen", ", ".join(s.freeze))] if s.freeze else []),
    ]


def summary_text(summary: Summary) -> str:
    """The summary in Markdown."""
    rows = "\n".join("| " + " | ".join(row) + " |" for row in summary.rows())
    facts = [
        ("data", f"{summary.data} (sha256 {summary.data_digest[:16]})"),
        *((metric_name(name), metric_text(name, [*each.values()][-1])) for name, each in summary.metrics.items()),
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
    score = metric_name(summary.score)
    return f"{kept} The best epoch was chosen by its test {score}, which is\ntherefore slightly optimistic."
