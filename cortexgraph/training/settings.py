"""The settings of training: every number that decides its result, validated."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Self, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler
from pydantic_core import ErrorDetails, PydanticCustomError

from cortexgraph.errors import Diagnostic, SpecError
from cortexgraph.spec.messages import rule
from cortexgraph.training.losses import LOSSES
from cortexgraph.training.recipe import STANDARD, Recipe, read_recipe, shipped_recipes
from cortexgraph.training.schedules import SCHEDULES, WARM_UP
from cortexgraph.wording import GPU, listed, shortened, suggest, suggest_registered

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True, ge=1)]
Pixels = Annotated[int, Field(strict=True, ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]

DEVICE_PATTERN = rf"^(auto|cpu|mps|cuda|{GPU})$"
DEFAULTS: Mapping[str, Mapping[str, Mapping[str, float]]] = {
    "optimizer": {
        "sgd": {"lr": 0.1, "weight_decay": 0.0005, "momentum": 0.9},
        "adamw": {"lr": 0.006, "weight_decay": 0.01, "momentum": 0.9},
        "muon": {"lr": 0.006, "weight_decay": 0.01, "momentum": 0.95},
    },
    "schedule": {name: {"warmup": share} for name, share in WARM_UP.items()},
}
"""Settings whose default depends on another one: by that setting, and by its value."""
MACHINES = {"devices", "nodes", "strategy"}
"""Settings of how a run is computed. They do not decide its result, and may change when it is resumed."""
STORED = "as a run has stored them"
REGISTRIES: Mapping[str, Collection[str]] = {"schedule": SCHEDULES, "loss": LOSSES}
"""Settings whose choices are registered."""


def _registered(value: str, info: ValidationInfo) -> str:
    """The value is one of the registered names."""
    if value not in REGISTRIES[str(info.field_name)]:
        raise PydanticCustomError("choice", "unknown")  # the finding lists the names
    return value


Registered = Annotated[str, AfterValidator(_registered)]


def _one_or_more(value: object) -> object:
    """A single name as a list of one."""
    return [value] if isinstance(value, str) else value


def _images_or_share(value: float) -> float:
    """A whole number of images as an integer, or a share below 1."""
    if value > 1 and value != int(value):
        raise PydanticCustomError("whole", "be a whole number of images, or a share below 1")
    return int(value) if value >= 1 or not value else value


def _number_as_text(value: object) -> object:
    """A number of bits as the word that it is."""
    return str(value) if type(value) is int else value


def _as_text(value: object) -> object:
    """A list of weights as it is written after an option."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value


NUMBER = r" *([0-9]{1,9}(\.[0-9]{0,30})?|\.[0-9]{1,30}) *"
NUMBERS = re.compile(f"{NUMBER}(,{NUMBER})*")
"""Not negative, with commas between."""


def _weights(value: str) -> str:
    """`all`, `last`, or weights, not all of them zero."""
    if value not in {"all", "last"} and not (NUMBERS.fullmatch(value) and any(map(float, value.split(",")))):
        raise PydanticCustomError("choice", "unknown")
    return value


def _channels(value: str) -> str:
    """A number for each channel, or nothing."""
    if value and not NUMBERS.fullmatch(value):
        raise PydanticCustomError("channels", "be a number for each channel, with commas between")
    return value


def _decided(other: str, setting: str, meaning: str) -> Any:
    """A field whose default depends on the value of another setting; help names what decides it."""
    usual = {choice: values[setting] for choice, values in DEFAULTS[other].items()}
    listing = ", ".join(f"{value:g} for {choice}" for choice, value in usual.items())
    return Field(
        default_factory=lambda settings: usual.get(settings.get(other, ""), 0.0),  # 0 where the other is refused
        json_schema_extra={"default": f"by {other}"},
        description=f"{meaning}; default {listing}.",
    )


Channels = Annotated[str, BeforeValidator(_as_text), AfterValidator(_channels)]
BY_DATA: dict[str, JsonValue] = {"default": "by data set"}
"""Schema of a setting whose default depends on the data set."""


class TrainSettings(BaseModel):
    """How to train. Equal settings, spec, data and machine give equal weights.

    The defaults train the shipped ventral stream on `shapes` on a laptop's processor.

    Raises:
        SpecError: with one finding for every bad setting.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str = Field(
        STANDARD,
        json_schema_extra={"choices": "|".join([*shipped_recipes(), "FILE"])},
        description="Settings under a name, or in a YAML file; other options override them.",
    )
    epochs: Whole = Field(9, description="Passes over the training images.")
    batch_size: Whole = Field(
        64,
        description="Images in a batch, over all devices together; each epoch leaves out images that do not fill one, "
        "others every time.",
    )
    accumulate: Whole = Field(1, description="Batches whose gradients are added up before each update of the weights.")
    optimizer: Literal["sgd", "adamw", "muon"] = Field(
        "adamw",
        description="sgd (with Nesterov momentum; Sutskever et al. 2013), adamw (β₂ = 0.999; Loshchilov & Hutter "
        "2019), or muon (Jordan 2024) for kernels and matrices with adamw for classifiers, norms and biases.",
    )
    lr: Positive = _decided("optimizer", "lr", "Peak learning rate")
    weight_decay: NotNegative = _decided("optimizer", "weight_decay", "Of weights, not of norms and biases")
    momentum: Share = _decided("optimizer", "momentum", "Of the optimiser (β₁ of adamw alone)")
    norm_lr_factor: Positive = Field(
        1.0,
        description="Factor on the learning rate of norms and biases, and of classifiers beside muon (Jordan 2024: 64 "
        "for biases).",
    )
    schedule: Registered = Field(
        "one-cycle",
        description="The learning rate over the run, set for every batch: one-cycle (Smith & Topin 2017), step (He et "
        "al. 2016), cosine (Loshchilov & Hutter 2017), linear (Page 2018) or constant.",
    )
    restarts: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (),
        json_schema_extra={"metavar": "EPOCH", "default": "none"},
        description="Epochs after which the schedule starts again (warm restarts, Loshchilov & Hutter 2017); --extend "
        "adds one. Repeatable.",
    )
    warmup: Share = _decided("schedule", "warmup", "Share of the run in which the learning rate rises")
    ema: Share = Field(
        0.0,
        description="Evaluate and save an exponential moving average of weights and running statistics with this decay "
        "per batch, such as 0.999 (Polyak & Juditsky 1992); 0 uses the weights of the last batch.",
    )
    loss: Registered = Field("cross-entropy", description="What training minimises.")
    label_smoothing: Share = Field(
        0.1, description="Share of each target spread evenly over all classes (Szegedy et al. 2016)."
    )
    loss_over: Annotated[str, BeforeValidator(_as_text), AfterValidator(_weights)] = Field(
        "all",
        json_schema_extra={"choices": "all|last|WEIGHTS"},
        description="Readout steps whose losses are averaged: all, the last alone, or all with a weight for each, such "
        "as 0.5,0.5,1.",
    )
    precision: Annotated[Literal["32", "bf16", "16", "auto"], BeforeValidator(_number_as_text)] = Field(
        "32",
        description="32, or mixed precision with bf16 or (on a GPU) 16 bits; auto: bf16 where the device computes it "
        "natively, else 32.",
    )
    device: Annotated[str, Field(pattern=DEVICE_PATTERN)] = Field(
        "auto",
        json_schema_extra={"choices": "auto|cpu|mps|cuda|cuda:N"},
        description="auto, cpu, mps, cuda, or one GPU by number as in cuda:1.",
    )
    devices: Whole = Field(
        1, description="Number of devices (or processor processes) of each machine that share each batch."
    )
    nodes: Whole = Field(1, description="Number of machines, on each of which torchrun or srun starts the command.")
    strategy: Literal["ddp", "fsdp"] = Field(
        "ddp",
        description="With several devices, keep all parameters on each (ddp), or a part of parameters and optimiser "
        "state on each (fsdp).",
    )
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**32)] = Field(
        0, description="Of initial weights, order of images and augmentation."
    )
    clip: NotNegative = Field(0.0, description="Largest norm of the gradient (Pascanu et al. 2013); 0 does not clip.")
    augment: bool = Field(True, description="Augment training images as suits the data set, and as the next ones say.")
    shift: Pixels | None = Field(
        None, json_schema_extra=BY_DATA, description="Largest random shift, in pixels (He et al. 2016); 0 for none."
    )
    border: Literal["reflect", "zero"] | None = Field(
        None,
        json_schema_extra=BY_DATA,
        description="What a shift brings in: the image reflected at its border (Jordan 2024), or black.",
    )
    flip: Literal["random", "alternating", "none"] | None = Field(
        None,
        json_schema_extra=BY_DATA,
        description="Mirror images: at random, or alternating: each in every second epoch (Jordan 2024).",
    )
    cutout: Pixels | None = Field(
        None,
        json_schema_extra=BY_DATA,
        description="Side in pixels of a square that is cut out of each image (DeVries & Taylor 2017); 0 for none.",
    )
    randaugment: Annotated[int, Field(strict=True, ge=0, le=14)] = Field(
        0, description="Operations of RandAugment (Cubuk et al. 2020), the same for every 8 images of a batch."
    )
    mixup: NotNegative = Field(
        0.0,
        description="Mix each image with another one: α of the Beta distribution of the shares (Zhang et al. 2018).",
    )
    cutmix: NotNegative = Field(
        0.0,
        description="Paste a rectangle of another image (α as for mixup; Yun et al. 2019); with mixup, one of the two "
        "in each batch.",
    )
    mean: Channels = Field(
        "",
        json_schema_extra={"metavar": "X,X,X", "default": "of the training images"},
        description="Mean of each channel of images in [0, 1] that are normalised by it, such as 0.485,0.456,0.406.",
    )
    std: Channels = Field(
        "",
        json_schema_extra={"metavar": "X,X,X", "default": "of the training images"},
        description="Standard deviation of each channel, likewise, such as 0.229,0.224,0.225.",
    )
    channels_last: bool = Field(True, description="Keep tensors in the layout that convolutions prefer.")
    checkpoint: Annotated[str, Field(pattern=r"^(none|sqrt|[1-9][0-9]{0,5}|[0-9.]+GB)$")] = Field(
        "none",
        json_schema_extra={"choices": "none|sqrt|N|4GB"},
        description="Recompute steps in the backward pass to save memory: in √T or N segments, or to fit into 4GB.",
    )
    tbptt: int = Field(
        0,
        ge=0,
        le=1_000_000,
        json_schema_extra={"metavar": "K", "default": "never"},
        description="Cut gradients every K steps: truncated back-propagation through time.",
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
    def _as_spec_error(cls, data: object, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        recipe = Recipe()
        if isinstance(data, Mapping) and info.context != STORED:
            recipe = read_recipe(data.get("recipe", STANDARD))
            data = {**data, "recipe": recipe.name}
        findings = list(recipe.findings)
        try:
            settings = handler(_with_recipe(data, recipe))
        except ValidationError as error:
            details = [each for each in error.errors(include_url=False) if each["type"] != "default_factory_not_called"]
            findings += [_finding(detail, recipe, data) for detail in details]
        if findings:
            raise SpecError(findings) from None
        if settings.batch_size % settings.processes:
            found = f"{settings.batch_size} images do not divide among {settings.processes} devices"
            expected, repair = "each gets the same number", f"Give a multiple of {settings.processes}."
            raise SpecError(Diagnostic("bad-setting", "settings.batch_size", found, expected, repair))
        if settings.strategy == "fsdp" and (settings.ema or settings.optimizer == "muon"):
            found = "fsdp divides each tensor among the devices"
            expected, repair = "moving averages and muon need whole ones", "Use ddp, or neither --ema nor muon."
            raise SpecError(Diagnostic("bad-setting", "settings.strategy", found, expected, repair))
        if [*settings.restarts] != sorted({epoch for epoch in settings.restarts if epoch < settings.epochs}):
            found = f"{', '.join(map(str, settings.restarts))} was given"
            expected = f"the schedule can start again after epochs 1 to {settings.epochs - 1}, in rising order"
            if settings.epochs == 1:
                expected = "a run of one epoch has no restart"
            raise SpecError(Diagnostic("bad-setting", "settings.restarts", found, expected, "Give other epochs."))
        return settings

    @property
    def processes(self) -> int:
        """Number of processes that train together, one for each device."""
        return self.devices * self.nodes

    @property
    def images_per_update(self) -> int:
        """The effective batch: images over which the gradient of an update is averaged."""
        return self.batch_size * self.accumulate


DEFAULT = TrainSettings.model_construct()
"""The default of every setting."""


def _with_recipe(data: object, recipe: Recipe) -> object:
    """The arguments over the recipe; what the recipe says for its own optimiser or schedule does not hold for another.

    None, as earlier versions stored it, leaves a setting to its default.
    """
    if not isinstance(data, Mapping):
        return data
    settings = {**recipe.settings, **data}
    for other, values in DEFAULTS.items():
        default = getattr(DEFAULT, other)
        names = {*values[default]}
        if settings.get(other, default) != recipe.settings.get(other, default):
            settings = {name: value for name, value in settings.items() if name in data or name not in names}
        settings = {name: value for name, value in settings.items() if value is not None or name not in names}
    return settings


def stored_settings(values: Mapping[str, object]) -> TrainSettings:
    """Settings as a run of this or an earlier version stored them: its recipe is in them, and is not read again.

    Raises SpecError with one finding for every bad setting.
    """
    return TrainSettings.model_validate(values, context=STORED)


def in_force(settings: TrainSettings | Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What decides the result: settings without recipe and machines, also those of another version, in today's form.

    They are as they are where they are not settings.
    """
    if not isinstance(settings, TrainSettings):
        try:
            settings = stored_settings(settings)
        except SpecError:
            return dict(settings)
    return settings.model_dump(mode="json", exclude={"recipe", *MACHINES})


def kind_of(name: str) -> type:
    """The type of a setting's values as options give them: int, float, bool, or str for words."""
    default = getattr(DEFAULT, name)
    return type(default) if default is not None else str if choices_of(name) else int


def choices_of(name: str) -> list[str]:
    """The choices of a setting that is not a number, as they are written; none for other settings."""
    if name in REGISTRIES:
        return [*REGISTRIES[name]]
    field = TrainSettings.model_fields[name]
    for annotation in (field.annotation, *get_args(field.annotation)):
        if get_origin(annotation) is Literal:
            return [*get_args(annotation)]
    extra = field.json_schema_extra
    return str(extra["choices"]).split("|") if isinstance(extra, dict) and "choices" in extra else []


def _finding(detail: ErrorDetails, recipe: Recipe, data: object) -> Diagnostic:
    """What pydantic says of one setting, as a finding with the setting's meaning, at its place in a recipe."""
    name = str(detail["loc"][0]) if detail["loc"] else ""
    of_recipe = name in recipe.settings and isinstance(data, Mapping) and name not in data
    finding = _problem(detail, name)
    return recipe.placed(finding, name) if of_recipe else finding


def _problem(detail: ErrorDetails, name: str) -> Diagnostic:
    place = f"settings.{'.'.join(map(str, detail['loc']))}"
    if detail["type"] == "extra_forbidden":
        expected = f"the settings are {', '.join(TrainSettings.model_fields)}"
        repair = suggest(name, TrainSettings.model_fields, "")
        return Diagnostic("bad-setting", place, "this is not a setting", expected, repair)
    try:
        value = shortened(repr(detail["input"]))
    except ValueError:  # more than 4,300 digits have no text
        value = "a number of thousands of digits"
    field = TrainSettings.model_fields.get(name)
    if field is None:  # the settings are not a mapping
        return Diagnostic("bad-setting", place, f"{value} was given", "settings and their values are needed")
    means = f"It means: {field.description}"
    if choices := choices_of(name):
        repair = (suggest_registered if name in REGISTRIES else suggest)(str(detail["input"]), choices, means)
        return Diagnostic("bad-setting", place, f"{value} was given", f"it must be {listed(choices, 'or')}", repair)
    default = getattr(DEFAULT, name)
    example = "none" if default == () else default or 0
    repair = means if default == "" else f"Give, for example, {example}. {means}"
    return Diagnostic("bad-setting", place, f"{value} was given", f"it must {rule(detail)}", repair)
