"""What a training run is: every number that decides its result, validated."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_core import ErrorDetails, PydanticCustomError

from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.training.losses import LOSSES
from cortexgraph.training.schedules import SCHEDULES
from cortexgraph.wording import listed, shortened

__all__ = ["TrainSettings", "choices_of", "in_force"]

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True, ge=1)]

DEVICE_PATTERN = r"^(auto|cpu|mps|cuda(:[0-9]{1,2})?)$"
DEFAULTS = {"sgd": {"lr": 0.1, "weight_decay": 0.0005}, "adamw": {"lr": 0.006, "weight_decay": 0.01}}
"""Settings whose default depends on the optimiser."""
REGISTRIES: Mapping[str, Collection[str]] = {"schedule": SCHEDULES, "loss": LOSSES}
"""Settings whose choices are registered."""


def _registered(setting: str) -> AfterValidator:
    """The value is one of the registered names."""

    def check(value: str) -> str:
        if value not in REGISTRIES[setting]:
            raise PydanticCustomError("choice", "unknown")  # the finding lists the names
        return value

    return AfterValidator(check)


def _one_or_more(value: object) -> object:
    """A single name as a list of one."""
    return [value] if isinstance(value, str) else value


def _images_or_share(value: float) -> float:
    """A whole number of images as an integer, or a share below 1."""
    if value > 1 and value != int(value):
        raise PydanticCustomError("whole", "be a whole number of images, or a share below 1")
    return int(value) if value >= 1 or not value else value


def _by_optimizer(setting: str) -> str:
    return ", ".join(f"{values[setting]:g} for {optimizer}" for optimizer, values in DEFAULTS.items())


class TrainSettings(BaseModel):
    """How to train. Equal settings, spec, data and machine give equal weights.

    The defaults train the shipped ventral stream on `shapes` on a laptop's processor.

    Raises:
        SpecError: with one finding for every bad setting.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: Whole = Field(9, description="Passes over the training images.")
    batch_size: Whole = Field(64, description="Images in a batch, over all devices together.")
    optimizer: Literal["sgd", "adamw"] = Field(
        "adamw", description="sgd (Nesterov momentum 0.9) or adamw (β = 0.9, 0.999)."
    )
    lr: Positive | None = Field(None, description=f"Peak learning rate; default {_by_optimizer('lr')}.")
    weight_decay: NotNegative | None = Field(
        None, description=f"Of weights, not of norms and biases; default {_by_optimizer('weight_decay')}."
    )
    schedule: Annotated[str, _registered("schedule")] = Field(
        "one-cycle", description="The learning rate over the run, set for every batch."
    )
    restarts: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (),
        json_schema_extra={"metavar": "EPOCH", "default": "none"},
        description="Epochs after which the schedule starts again (warm restarts, Loshchilov & Hutter 2017); --extend "
        "adds one. Repeatable.",
    )
    loss: Annotated[str, _registered("loss")] = Field("cross-entropy", description="What training minimises.")
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.1, description="Share of each target spread evenly over all classes."
    )
    loss_over: Literal["all", "last"] = Field(
        "all", description="Readout steps whose losses are averaged: all, or the last alone."
    )
    precision: Literal["32", "bf16", "16"] = Field(
        "32", description="32, or mixed precision with bf16 or (on a GPU) 16 bits."
    )
    device: Annotated[str, Field(pattern=DEVICE_PATTERN)] = Field(
        "auto",
        json_schema_extra={"choices": "auto|cpu|mps|cuda|cuda:N"},
        description="auto, cpu, mps, cuda, or one GPU by number as in cuda:1.",
    )
    devices: Whole = Field(1, description="Number of devices (or processor processes) that share each batch.")
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**32)] = Field(
        0, description="Of initial weights, order of images and augmentation."
    )
    clip: NotNegative = Field(0.0, description="Largest norm of the gradient; 0 does not clip.")
    augment: bool = Field(True, description="Augment training images as suits the data set.")
    channels_last: bool = Field(True, description="Keep tensors in the layout that convolutions prefer.")
    checkpoint: Annotated[str, Field(pattern=r"^(none|sqrt|[1-9][0-9]{0,5}|[0-9.]+GB)$")] = Field(
        "none",
        json_schema_extra={"choices": "none|sqrt|N|4GB"},
        description="Recompute steps in the backward pass to save memory: in √T or N segments, or to fit into 4GB.",
    )
    validation: Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(_images_or_share)] = Field(
        0.0,
        json_schema_extra={"metavar": "N|SHARE"},
        description="Training images set aside to choose the best epoch: how many, or a share below 1 such as 0.1.",
    )
    freeze: Annotated[tuple[str, ...], BeforeValidator(_one_or_more)] = Field(
        (),
        json_schema_extra={"metavar": "NAME", "default": "none"},
        description="Areas, connections and readouts that training leaves as they are, such as V1, `V1 -> V2`, or "
        "`-> V1` for all connections into V1. Repeatable, or with commas.",
    )
    deterministic: bool = Field(
        False, description="On a GPU, use only operations that repeat exactly (slower; a processor always does)."
    )

    @model_validator(mode="wrap")
    @classmethod
    def _as_spec_error(cls, data: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            settings = handler(_with_defaults(data))
        except ValidationError as error:
            raise SpecError([_finding(detail) for detail in error.errors(include_url=False)]) from None
        if settings.batch_size % settings.devices:
            found = f"{settings.batch_size} images do not divide among {settings.devices} devices"
            expected, repair = "each gets the same number", f"Give a multiple of {settings.devices}."
            raise SpecError(Diagnostic("bad-setting", "settings.batch_size", found, expected, repair))
        if [*settings.restarts] != sorted({*settings.restarts} & {*range(settings.epochs)}):
            found, expected = f"{[*settings.restarts]} was given", f"they must rise and lie below {settings.epochs}"
            raise SpecError(Diagnostic("bad-setting", "settings.restarts", found, expected, "Correct them."))
        return settings

    @property
    def peak_lr(self) -> float:
        """The learning rate that the schedule scales: `lr`, which is filled in by the optimiser."""
        assert self.lr is not None
        return self.lr

    @property
    def decay(self) -> float:
        """The weight decay: `weight_decay`, which is filled in by the optimiser."""
        assert self.weight_decay is not None
        return self.weight_decay


def _with_defaults(data: object) -> Any:
    """The arguments, with the optimiser's defaults where they leave out learning rate or weight decay."""
    if not isinstance(data, Mapping):
        return data
    defaults = DEFAULTS.get(str(data.get("optimizer", TrainSettings.model_fields["optimizer"].default)), {})
    return {**data, **{name: value for name, value in defaults.items() if data.get(name) is None}}


def in_force(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a run of another version stored them, in today's form; as they are where they are not settings."""
    try:
        return TrainSettings.model_validate(stored).model_dump(mode="json")
    except SpecError:
        return dict(stored)


def choices_of(name: str) -> list[str]:
    """The choices of a setting that is not a number, as they are written; none for other settings."""
    if name in REGISTRIES:
        return [*REGISTRIES[name]]
    field = TrainSettings.model_fields[name]
    if get_origin(field.annotation) is Literal:
        return [*get_args(field.annotation)]
    extra = field.json_schema_extra
    return str(extra["choices"]).split("|") if isinstance(extra, dict) and "choices" in extra else []


def _finding(detail: ErrorDetails) -> Diagnostic:
    """What pydantic says of one setting, as a finding with the setting's meaning."""
    name = str(detail["loc"][0]) if detail["loc"] else ""
    place = f"settings.{'.'.join(map(str, detail['loc']))}"
    if detail["type"] == "extra_forbidden":
        expected = f"the settings are {', '.join(TrainSettings.model_fields)}"
        return Diagnostic("bad-setting", place, "this is not a setting", expected)
    try:
        value = shortened(repr(detail["input"]))
    except ValueError:  # more than 4,300 digits have no text
        value = "a number of thousands of digits"
    field = TrainSettings.model_fields.get(name)
    choices = choices_of(name) if field is not None else []
    bounds = detail["msg"].removeprefix("Input should ").replace("'", "")
    expected = f"be {listed(choices, 'or')}" if choices else bounds
    repair = f"It means: {field.description}" if field is not None else ""
    return Diagnostic("bad-setting", place, f"{value} was given", f"it must {expected}", repair)
