"""The language: pydantic models of a spec, frozen and closed to unknown keys.

The models hold what the user wrote. Defaults of the language, kinds, sizes and strides are resolved when the
area graph is built (`cortexgraph.graph`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler

from cortexgraph.errors import SpecError
from cortexgraph.spec.fields import IMAGE, AreaName, Count, Flag, Kind, Level, Name, Pair, Step, either
from cortexgraph.spec.findings import findings_of
from cortexgraph.spec.origin import Origin, Path
from cortexgraph.spec.shorthand import (
    connection_paths,
    expand_connections,
    expand_norm,
    expand_resize,
    refuse_entry,
)

__all__ = [
    "IMAGE",
    "AreaDefaults",
    "AreaSpec",
    "ConnectionDefaults",
    "ConnectionSpec",
    "DefaultsSpec",
    "InputSpec",
    "NetworkSpec",
    "NormSpec",
    "ReadoutSpec",
    "ResizeSpec",
    "TimeSpec",
]

if TYPE_CHECKING:

    class Part(BaseModel):
        """For type checkers: the metaclass below hides the fields from them."""

else:

    class _SaysFindings(type(BaseModel)):
        """Makes `AreaSpec(channels=0)`, written in Python, raise a SpecError like a file would."""

        def __call__(cls, *args: Any, **fields: Any) -> Any:
            try:
                return super().__call__(*args, **fields)
            except ValidationError as error:
                findings = findings_of(error, fields, Origin(), cls)
                places = [".".join(filter(None, (cls.__name__, finding.place))) for finding in findings]
                named = [replace(finding, place=place) for finding, place in zip(findings, places, strict=True)]
                raise SpecError(named) from None

    class Part(BaseModel, metaclass=_SaysFindings):
        """A pydantic model whose constructor raises SpecError."""


class Model(Part):
    """Base of all parts of a spec: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


class InputSpec(Model):
    """The image: what arrives from outside, read by connections `from: image`."""

    channels: Count = Field(default=3, description="Number of colour channels.")
    size: Pair = Field(description="Height and width in pixels: one number for a square, or [height, width].")
    present: Annotated[
        Literal["always", "first"] | Annotated[tuple[Step, ...], Field(min_length=1)],
        either("`always`, `first`, or a list of steps such as [1, 2, 3]", "always", "first"),
    ] = Field(
        default="always",
        description="Steps at which the image is shown: always, first (step 1 only), or a list of steps.",
    )


class NormSpec(Model):
    """Normalisation of an area's summed input."""

    kind: str = Field(default="batch", description="A registered norm: batch, group, layer, instance or none.")
    per_step: Flag = Field(
        default=False, description="One set of parameters and statistics for each live update of the area."
    )
    groups: Count | None = Field(default=None, description="Number of channel groups, for `kind: group`.")


Norm = Annotated[NormSpec, BeforeValidator(expand_norm, json_schema_input_type=str | NormSpec)]


ResizeMode = Literal["nearest", "bilinear", "pool"]


class ResizeSpec(Model):
    """How a connection bridges two sizes when the stride of its convolution does not."""

    mode: ResizeMode = Field(
        default="nearest",
        description="nearest or bilinear interpolation, or average pooling to the target size.",
    )
    at: Literal["before", "after"] = Field(default="after", description="Resize before or after the transform.")


Resize = Annotated[ResizeSpec, BeforeValidator(expand_resize, json_schema_input_type=ResizeMode | ResizeSpec)]


class AreaDefaults(Model):
    """What every area has unless it says otherwise."""

    norm: Norm | None = Field(default=None, description="Normalisation of the merged input; default none.")
    activation: str | None = Field(default=None, description="A registered activation; default relu.")


class AreaSpec(AreaDefaults):
    """A cortical area: a state tensor [B, channels, *size], updated in time."""

    channels: Count = Field(description="Number of channels (feature maps).")
    size: Pair | None = Field(
        default=None, description="Height and width; inferred along the feedforward strides when absent."
    )
    level: Level | None = Field(
        default=None,
        description="Level in the hierarchy; default: one above the area declared before (the first: 0).",
    )


class ConnectionDefaults(Model):
    """What every connection has unless it says otherwise."""

    kernel: Pair | None = Field(default=None, description="Kernel size of the convolution; default 3.")
    dilation: Pair | None = Field(default=None, description="Dilation of the convolution; default 1.")
    groups: Count | None = Field(default=None, description="Channel groups of the convolution; default 1.")
    bias: Flag | None = Field(
        default=None, description="Learned bias; default: only where the target area has no norm."
    )


class ConnectionSpec(ConnectionDefaults):
    """A projection: the target sums conv(source) over its connections."""

    source: Name = Field(validation_alias="from", serialization_alias="from", description="The area read, or `image`.")
    target: Name = Field(validation_alias="to", serialization_alias="to", description="The area driven.")
    kind: Kind | None = Field(
        default=None,
        description="feedforward, lateral or feedback; inferred from the hierarchy, and checked against it.",
    )
    stride: Pair | None = Field(
        default=None,
        description="Stride of the convolution; default: the ratio of sizes when the source is larger.",
    )
    resize: Resize | None = Field(
        default=None,
        description="How sizes are bridged; default: nearest upsampling after the transform, if needed.",
    )
    delay: Annotated[int, Field(strict=True, ge=0, le=100_000)] = Field(
        default=0, description="Extra steps of conduction delay."
    )


class DefaultsSpec(Model):
    """Defaults for all areas and all connections."""

    area: AreaDefaults = Field(default=AreaDefaults(), description="What every area has.")
    connection: ConnectionDefaults = Field(default=ConnectionDefaults(), description="What every connection has.")


class ReadoutSpec(Model):
    """A linear classifier on one area's pooled state."""

    source: Name = Field(validation_alias="from", serialization_alias="from", description="The area read.")
    pool: Literal["avg", "max", "flatten"] = Field(
        default="avg", description="Global average or maximum over space, or none (flatten)."
    )
    classes: Count = Field(description="Number of classes.")
    at: Annotated[
        Literal["last", "all"] | Annotated[tuple[Step, ...], Field(min_length=1)],
        either("`last`, `all`, or a list of steps such as [2, 4]", "last", "all"),
    ] = Field(
        default="last",
        description="Steps at which the area is read at the end of the step: last, all, or a list of steps.",
    )


Group = Annotated[
    Name | Annotated[tuple[Name, ...], Field(min_length=1)],
    either("an area, or a list of areas that are updated together"),
]


class TimeSpec(Model):
    """How long the network runs, and in which order its areas are updated within a step."""

    steps: Step = Field(description="Number of steps T.")
    order: Annotated[
        Literal["simultaneous", "sequential"] | Annotated[tuple[Group, ...], Field(min_length=1)],
        either(
            "`simultaneous`, `sequential`, or a list of groups such as [[V1], [V2, V4], [IT]]",
            "simultaneous",
            "sequential",
        ),
    ] = Field(
        default="simultaneous",
        description="simultaneous, sequential, or a list of groups such as [[V1], [V2, V4], [IT]]; "
        "an area may stand in several groups.",
    )
    silence: Literal["skip"] = Field(
        default="skip",
        description="An area none of whose inputs is live stays silent, and a silent input is left out.",
    )


Entry = Annotated[ConnectionSpec, BeforeValidator(refuse_entry)]
Chain = Annotated[str, Field(pattern="->", description="A chain of areas: `V1 -> V2 -> V4`.")]
Nested = list[ConnectionSpec | Chain | list[ConnectionSpec | Chain]]
"""What an editor accepts inside a list of connections; the reader takes deeper lists as well."""

Connections = Annotated[
    tuple[Entry, ...],
    BeforeValidator(expand_connections, json_schema_input_type=list[ConnectionSpec | Chain | Nested]),
]


class NetworkSpec(Model):
    """A network of cortical areas: the whole of a spec file.

    Raises:
        SpecError: with every finding, when the data does not fit the language.
    """

    version: Literal[1] = Field(
        default=1,
        validation_alias="cortexgraph",
        serialization_alias="cortexgraph",
        description="Version of the language.",
    )
    name: Name = Field(description="Name of the network.")
    description: Annotated[str, Field(max_length=10_000)] = Field(
        default="", description="What the network is, in a sentence."
    )
    references: tuple[str, ...] = Field(default=(), description="BibTeX keys of the sources.")
    input: InputSpec = Field(description="The image.")
    defaults: DefaultsSpec = Field(default=DefaultsSpec(), description="Defaults for all areas and connections.")
    areas: Annotated[dict[AreaName, AreaSpec], Field(min_length=1)] = Field(
        description="Areas from low to high: their order is the hierarchy unless `level` says otherwise."
    )
    connections: Connections = Field(description="Projections: mappings, chains `V1 -> V2 -> V4`, or lists of these.")
    readout: ReadoutSpec = Field(description="The classifier: what is read, and when.")
    time: TimeSpec = Field(description="Number of steps, and the order of updates within a step.")

    _origin: Origin = PrivateAttr(default_factory=Origin)

    @model_validator(mode="wrap")
    @classmethod
    def _as_spec_error(cls, data: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        if isinstance(data, NetworkSpec):
            return handler(data)
        origin = info.context if isinstance(info.context, Origin) else _origin_in_python(data)
        try:
            spec = handler(data)
        except ValidationError as error:
            raise SpecError(findings_of(error, data, origin, cls)) from None
        spec._origin = origin
        return spec

    @property
    def origin(self) -> Origin:
        """Where each part of the spec was written."""
        return self._origin

    def with_time(self, time: TimeSpec, changed: list[str]) -> NetworkSpec:
        """The spec with another time course; findings about the `changed` keys no longer name the file."""
        spec = self.model_copy(update={"time": time})
        settings: dict[Path, str] = {("time", key): f"{key}={getattr(time, key)}" for key in changed}
        spec._origin = replace(self._origin, overrides={**self._origin.overrides, **settings})
        return spec

    @property
    def digest(self) -> str:
        """SHA-256 over the spec's content: equal for specs that say the same."""
        return hashlib.sha256(self.model_dump_json(by_alias=True).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NetworkSpec) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


def _origin_in_python(data: Any) -> Origin:
    connections = data.get("connections") if isinstance(data, Mapping) else None
    return Origin(connections=connection_paths(connections))
