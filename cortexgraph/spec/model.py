"""The language: pydantic models of a spec, frozen and closed to unknown keys.

The models hold what the user wrote. Defaults of the language, kinds, sizes and strides are resolved when the
area graph is built (`cortexgraph.graph`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from cortexgraph.errors import Diagnostic, Severity, SpecError
from cortexgraph.notebook import Shown
from cortexgraph.spec.area import AreaDefaults, AreaSpec, Chain
from cortexgraph.spec.base import Model, Window, frozen
from cortexgraph.spec.connection import ConnectionDefaults, ConnectionSpec, Silence
from cortexgraph.spec.document import Document
from cortexgraph.spec.fields import IMAGE, Amount, AreaName, Count, Milliseconds, Name, Pair, Step, either
from cortexgraph.spec.origin import Origin, Path
from cortexgraph.spec.shorthand import ARROW, connection_paths, expand_connections, expand_readouts, refuse_entry
from cortexgraph.wording import flow, quoted


class InputSpec(Model):
    """The image, or one of several inputs: what arrives from outside, read by connections `from: image`."""

    channels: Count = Field(default=3, description="Number of channels, such as those of colour.", examples=[3])
    size: Pair = Field(
        description="Height and width in pixels: one number for a square, or [height, width].", examples=[32]
    )
    present: Window = Field(
        default="always",
        description="Steps at which it is shown: always, first (step 1 only), a list of steps, or {from: 2, to: 5}.",
        examples=[{"from": 1, "to": 4}],
    )


class DefaultsSpec(Model):
    """Defaults for all areas and all connections."""

    area: AreaDefaults = Field(default=AreaDefaults(), description="What every area has.", examples=[{"norm": "batch"}])
    connection: ConnectionDefaults = Field(
        default=ConnectionDefaults(), description="What every connection has.", examples=[{"kernel": 3}]
    )


class ReadoutSpec(Model):
    """What is read of one area: by default a linear classifier on its pooled state."""

    name: Name | None = Field(
        default=None,
        description="Name of the readout, where there are several; default: that of its area.",
        examples=["early"],
    )
    source: Name = Field(
        validation_alias="from", serialization_alias="from", description="The area read.", examples=["IT"]
    )
    pool: Literal["avg", "max", "flatten", "places"] = Field(
        default="avg",
        description="Over space: avg (mean), max, flatten (one classifier of all places together), or places: an "
        "answer for each place, by a 1 × 1 convolution or the `transform`, as [B, classes, H, W].",
        examples=["max"],
    )
    transform: Chain | None = Field(
        default=None,
        description="Operations in place of pooling and linear layer, whose result is `classes` channels of size "
        "1 × 1 (of any size under `pool: places`); `[]` is the state itself.",
        examples=[[{"pool": 1}]],
    )
    classes: Count = Field(description="Number of classes.", examples=[10])
    at: Annotated[
        Literal["last", "all"] | Annotated[tuple[Step, ...], Field(min_length=1)],
        either("`last`, `all`, or a list of steps such as [2, 4]", "last", "all"),
    ] = Field(
        default="last",
        description="Steps at which the area is read at the end of the step: last, all, or a list of steps.",
        examples=[[4, 6]],
    )
    over_time: Literal["each", "mean", "cumulative", "concat"] = Field(
        default="each",
        description="The logits at each step: of that step (each), or the mean or the sum (cumulative) of the logits "
        "at the steps of `at` up to then. concat: one classifier reads the states of all these steps, concatenated "
        "along channels in the order of time.",
        examples=["cumulative"],
    )

    loss: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="The registered loss that training minimises for this readout, such as cross-entropy or mse; "
        "default: that of the training settings (docs/tasks.md).",
        examples=["squared-error"],
    )
    target: Literal["data", "image", "next-frame"] = Field(
        default="data",
        description="What it is trained to give: the targets of the data, the image (the frame of the same step of a "
        "video), or the frame of the next step, each normalised as the network sees it.",
        examples=["next-frame"],
    )
    loss_over: (
        Annotated[
            Literal["all", "last"] | Annotated[tuple[Amount, ...], Field(min_length=1)],
            either("`all`, `last`, or a list of weights such as [0.5, 1]", "all", "last"),
        ]
        | None
    ) = Field(
        default=None,
        description="The weight of each of its steps in the loss: all (1 each), last (the last step alone), or a "
        "number for each step; default: that of the training settings. The loss is the weighted mean over all steps of "
        "all readouts.",
        examples=[[0.5, 1.0]],
    )

    def _conflicts(self) -> Iterator[tuple[str, str, str]]:
        if isinstance(self.loss_over, tuple) and not any(self.loss_over):
            yield "all weights of `loss_over` are 0", "Give at least one a weight above 0.", "loss_over"
        if self.target != "data" and self.pool != "places":
            problem = f"`target: {self.target}` is set, but the readout has no places"
            yield problem, "Write `pool: places`.", "target"
        if self.transform is not None and self.pool not in {"avg", "places"}:
            yield "`pool` is set together with `transform`, which replaces it", "Write it into `transform`.", "pool"
        if self.over_time != "each" and self.at == "last":
            problem = f"`over_time: {self.over_time}` is set, but only the last step is read"
            yield problem, "Write `at: all`, or a list of steps.", "over_time"
        elif self.over_time != "each" and not isinstance(self.at, str) and list(self.at) != sorted(self.at):
            problem = f"`over_time: {self.over_time}` is set, but the steps of `at` do not rise"
            yield problem, f"Write `at: {sorted(self.at)}`.", "over_time"
        elif self.over_time == "concat" and isinstance(self.at, str):
            problem = "`over_time: concat` is set, but the number of steps of `at: all` depends on T"
            yield problem, "Write a list of steps, such as `at: [2, 4]`.", "over_time"


Group = Annotated[
    Name | Annotated[tuple[Name, ...], Field(min_length=1)],
    either("an area, or a list of areas that are updated together"),
]


class TimeSpec(Model):
    """How long the network runs, and in which order its areas are updated within a step."""

    steps: Step = Field(description="Number of steps T.", examples=[8])
    order: Annotated[
        Literal["simultaneous", "sequential"] | Annotated[tuple[Group, ...], Field(min_length=1, max_length=20_000)],
        either(
            "`simultaneous`, `sequential`, or a list of groups such as [[V1], [V2, V4], [IT]]",
            "simultaneous",
            "sequential",
        ),
    ] = Field(
        default="simultaneous",
        description="simultaneous, sequential, or a list of groups such as [[V1], [V2, V4], [IT]]; "
        "an area may stand in several groups.",
        examples=[[["V1"], ["V2", "V4"], ["IT"]]],
    )
    silence: Silence = Field(
        default="skip",
        description="What a silent source counts as. skip: it is left out, and an area that nothing drives is silent; "
        "zero_input: a zero state, which goes through the transform; zero_drive: a zero result of the transform. Under "
        "the last two every area is updated at every step.",
        examples=["zero_input"],
    )
    warmup: int = Field(
        default=0,
        ge=0,
        le=1_000_000,
        strict=True,
        description="Number of first steps that run without gradient: training does not reach back into them.",
        examples=[2],
    )
    dt_ms: Milliseconds | None = Field(
        default=None, description="Duration of a step in ms, for `delay_ms` and `tau_ms`.", examples=[10]
    )


Entry = Annotated[ConnectionSpec, BeforeValidator(refuse_entry)]
Arrows = Annotated[str, Field(pattern="->", description="A chain of areas: `V1 -> V2 -> V4`.")]
Nested = list[ConnectionSpec | Arrows | list[ConnectionSpec | Arrows]]
"""What an editor accepts inside a list of connections; the reader takes deeper lists as well."""

Connections = Annotated[
    tuple[Entry, ...],
    Field(max_length=20_000),
    BeforeValidator(expand_connections, json_schema_input_type=list[ConnectionSpec | Arrows | Nested]),
]


Readouts = Annotated[
    tuple[ReadoutSpec, ...],
    Field(max_length=1000),
    BeforeValidator(expand_readouts, json_schema_input_type=ReadoutSpec | list[ReadoutSpec]),
]


def _unless_named(value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
    """The one input; None where there are named ones (which are no part of `info.data` where they are invalid)."""
    return None if value is None and info.data.get("named_inputs", True) else handler(value)


def _one_form_of_inputs(schema: dict[str, Any]) -> None:
    schema["required"].remove("input")
    schema["oneOf"] = [{"required": ["input"]}, {"required": ["inputs"]}]


class NetworkSpec(Document, Shown):
    """A network of cortical areas: the whole of a spec file.

    Raises:
        SpecError: with every finding, when the data does not fit the language.
    """

    model_config = ConfigDict(json_schema_extra=_one_form_of_inputs)
    _known_as: ClassVar[Mapping[str, str]] = {"one_input": "input", "named_inputs": "inputs"}

    named_inputs: Annotated[dict[Name, InputSpec], Field(max_length=100), AfterValidator(frozen)] = Field(
        default={},
        validate_default=True,
        validation_alias="inputs",
        serialization_alias="inputs",
        description="Several inputs by name, in place of `input`: connections read them as `from: left`.",
        examples=[{"left": {"size": 32}, "gaze": {"channels": 2, "size": 1}}],
    )
    one_input: Annotated[InputSpec, WrapValidator(_unless_named)] = Field(
        validation_alias="input",
        serialization_alias="input",
        description="The image, which connections read as `from: image`; or write `inputs`.",
        examples=[{"channels": 3, "size": 32}],
    )
    defaults: DefaultsSpec = Field(
        default=DefaultsSpec(),
        description="Defaults for all areas and connections.",
        examples=[{"area": {"norm": "batch"}}],
    )
    areas: Annotated[dict[AreaName, AreaSpec], Field(min_length=1, max_length=10_000), AfterValidator(frozen)] = Field(
        description="Areas from low to high: their order is the hierarchy unless `level` says otherwise.",
        examples=[{"V1": {"channels": 32, "size": 32}}],
    )
    connections: Connections = Field(
        description="Projections: mappings, chains `V1 -> V2 -> V4`, or lists of these.",
        examples=[["image -> V1 -> V2", {"from": "V2", "to": "V1"}]],
    )
    readouts: Readouts = Field(
        validation_alias="readout",
        serialization_alias="readout",
        description="The classifier: what is read, and when; or a list of several.",
        examples=[{"from": "IT", "classes": 10}],
    )
    time: TimeSpec = Field(
        description="Number of steps, and the order of updates within a step.", examples=[{"steps": 6}]
    )

    @model_validator(mode="before")
    @classmethod
    def _without_one_input(cls, data: object) -> object:
        """`input` is required unless there are named inputs."""
        return {"input": None, **data} if isinstance(data, Mapping) and data.get("inputs") else data

    def _conflicts(self) -> Iterator[tuple[str, str, str]]:
        if self.named_inputs and self.one_input is not None:
            yield "`input` and `inputs` are both set", "Move `input` into `inputs`, under a name of its own.", "input"

    @property
    def inputs(self) -> Mapping[str, InputSpec]:
        """The inputs by name, in the order of declaration; the one of `input` is called `image`."""
        return self.named_inputs or {IMAGE: self.one_input}

    @property
    def input(self) -> InputSpec:
        """The only input.

        Raises:
            SpecError: if there are several.
        """
        if len(self.inputs) > 1:
            found, expected = f"{self.name} has the inputs {quoted(self.inputs)}", "this needs a network of one input"
            repair = "Call the network with a mapping of these names to tensors, in a loop of your own."
            raise SpecError([self.diagnostic("several-inputs", ("inputs",), found, expected, repair)])
        return next(iter(self.inputs.values()))

    def input_path(self, name: str) -> Path:
        """Where an input is declared."""
        return ("inputs", name) if self.named_inputs else ("input",)

    @classmethod
    def origin_in_python(cls, data: object) -> Origin:
        """The places of connections and readouts in data that was written in Python."""
        connections = data.get("connections") if isinstance(data, Mapping) else None
        readouts = data.get("readout") if isinstance(data, Mapping) else None
        return Origin(connections=connection_paths(connections), one_readout=not isinstance(readouts, list | tuple))

    def data(self) -> dict[str, Any]:
        """What was set, as a file would hold it; a single readout is not a list."""
        data = self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
        if len(data["readout"]) == 1:
            (data["readout"],) = data["readout"]
        return data

    def with_time(self, time: TimeSpec, changed: list[str]) -> NetworkSpec:
        """The spec with another time course; findings about the `changed` keys no longer name the file."""
        spec = self.model_copy(update={"time": time})
        settings: dict[Path, str] = {("time", key): f"{key}={flow(getattr(time, key))}" for key in changed}
        spec._origin = replace(self._origin, overrides={**self._origin.overrides, **settings})
        return spec

    def read_at(self, at: Literal["last", "all"] | tuple[int, ...]) -> NetworkSpec:
        """The spec with other steps of readout; the parameters stay the same.

        Raises:
            SpecError: if these are not steps, or if a readout combines the logits of its steps.
        """
        combined = next((n for n, readout in enumerate(self.readouts) if readout.over_time != "each"), None)
        if combined is not None and at != self.readouts[combined].at:
            path = ("readout", combined, "over_time")
            repair = "Write `over_time: each`, or read at the steps of the spec."
            found = f"the logits are combined over the steps of `at` (`{self.readouts[combined].over_time}`)"
            raise SpecError([self.diagnostic("combined-readout", path, found, "other steps would mean others", repair)])
        try:
            at = ReadoutSpec(source="readout", classes=1, at=at).at
        except SpecError as error:
            raise SpecError(replace(finding, place="at") for finding in error.diagnostics) from None
        readouts = tuple(readout.model_copy(update={"at": at}) for readout in self.readouts)
        return self.model_copy(update={"readouts": readouts})

    def diagnostic(
        self, code: str, path: Path, found: str, expected: str = "", repair: str = "", severity: Severity = "error"
    ) -> Diagnostic:
        """A finding about the part at `path`; its place names the ends of a connection."""
        label = ""
        if path[0] == "connections" and len(path) > 1:
            connection = self.connections[int(path[1])]
            label = f"{connection.source} {ARROW} {connection.target}"
        return self._origin.diagnostic(code, path, found, expected, repair, label=label, severity=severity)

    @property
    def readout(self) -> ReadoutSpec:
        """The first readout, whose accuracy is reported."""
        return self.readouts[0]

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with other fields; a mapping for a part of the spec, such as `time`, becomes that part."""
        parts = {name: type(part) for name, part in self if isinstance(part, Model)}
        names = {known: own for own, known in self._known_as.items()}
        changes = {
            name: parts[name].model_validate(value) if name in parts and isinstance(value, Mapping) else value
            for name, value in ((names.get(name, name), value) for name, value in (update or {}).items())
        }
        return super().model_copy(update=changes, deep=deep)

    @property
    def digest(self) -> str:
        """SHA-256 over the spec's content: equal for specs that say the same.

        What has its default value is left out, so that a field that the language gains later changes no digest.
        """
        return hashlib.sha256(self.model_dump_json(by_alias=True, exclude_defaults=True).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NetworkSpec) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)
