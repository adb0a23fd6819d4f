"""Connections: transforms, sizes, roles, times and ties."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from cortexgraph.spec.area import Chain, Weights
from cortexgraph.spec.base import Activity, Model
from cortexgraph.spec.fields import Count, Flag, Kind, Name, Number, Pair, Positive, Sign, either
from cortexgraph.spec.shorthand import expand_word

Silence = Literal["skip", "zero_input", "zero_drive"]
GateKind = Literal["linear", "tanh", "sigmoid", "divisive", "product", "logistic", "complement"]
Init = Literal["default", "he", "orthogonal", "identity", "dirac", "zeros", "whitened"]
ResizeMode = Literal["nearest", "bilinear", "antialiased", "transposed", "pool"]


class ResizeSpec(Model):
    """How a connection bridges two sizes when the stride of its convolution does not."""

    mode: ResizeMode = Field(
        default="nearest",
        description="nearest or bilinear interpolation, antialiased (bilinear, over all that falls on a place), "
        "average pooling to the target size, or transposed: the connection's convolution is a transposed one, whose "
        "stride is the ratio of sizes.",
        examples=["bilinear"],
    )
    at: Literal["before", "after"] = Field(
        default="after", description="Resize before or after the transform.", examples=["before"]
    )


Resize = Annotated[ResizeSpec, BeforeValidator(expand_word("resize"), json_schema_input_type=ResizeMode | ResizeSpec)]


@dataclass(frozen=True)
class ConvolutionKey:
    """Marks a key as an option of the connection's single convolution.

    Attributes:
        transposed: whether a transposed convolution has it too.
    """

    transposed: bool = True


class ConnectionDefaults(Model):
    """What every connection has unless it says otherwise."""

    kernel: Annotated[Pair | None, ConvolutionKey()] = Field(
        default=None, description="Kernel size of the convolution; default 3.", examples=[5]
    )
    dilation: Annotated[Pair | None, ConvolutionKey(transposed=False)] = Field(
        default=None, description="Dilation of the convolution; default 1.", examples=[2]
    )
    groups: Annotated[Count | None, ConvolutionKey(transposed=False)] = Field(
        default=None, description="Channel groups of the convolution; default 1.", examples=[4]
    )
    bias: Annotated[Flag | None, ConvolutionKey()] = Field(
        default=None, description="Learned bias; default: only where the target area has no norm.", examples=[True]
    )
    weight_norm: Annotated[Flag | None, ConvolutionKey()] = Field(
        default=None,
        description="Weight normalisation of the convolution (Salimans & Kingma 2016): its weight is g v / ‖v‖ for "
        "each output channel, with learned v and g; g starts at ‖v‖.",
        examples=[True],
    )
    weights: Weights | None = Field(
        default=None,
        description="shared (default): one set of parameters for all steps; per_step: one for each live update of "
        "the target.",
        examples=["per_step"],
    )
    init: Init | None = Field(
        default=None,
        description="How convolutions start: default (as torch does), he (He 2015), orthogonal (Saxe 2014), identity "
        "(each channel passes itself on: for lateral connections), dirac (the same for as many channels as come in, "
        "default for further ones: Jordan 2024), zeros, or whitened (principal components of patches of the training "
        "images, for a convolution of the image: Page 2018; until `train` sees the images, default).",
        examples=["orthogonal"],
    )


class TieSpec(Model):
    """Parameters shared with another connection."""

    connection: str = Field(
        description="The other connection: its name, or its ends as in `V1 -> V2`.", examples=["V1 -> V2"]
    )
    transpose: Flag = Field(
        default=False,
        description="Use the other's convolution transposed, as a deconvolution from its target to its source.",
        examples=[True],
    )


Tie = Annotated[TieSpec, BeforeValidator(expand_word("tie"), json_schema_input_type=str | TieSpec)]


class ConnectionSpec(ConnectionDefaults):
    """A projection: the target merges transform(source) over its connections."""

    source: Name = Field(
        validation_alias="from",
        serialization_alias="from",
        description="The area read, or `image`, or one of several `inputs`.",
        examples=["V1"],
    )
    target: Name = Field(
        validation_alias="to", serialization_alias="to", description="The area driven.", examples=["V2"]
    )
    name: Name | None = Field(
        default=None,
        description="Its name in the state dict and the emitted file, and for `tie`; default: its ends.",
        examples=["skip"],
    )
    kind: Kind | None = Field(
        default=None,
        description="feedforward, lateral or feedback; inferred from the hierarchy, and checked against it.",
        examples=["feedback"],
    )
    stride: Annotated[Pair | None, ConvolutionKey()] = Field(
        default=None,
        description="Stride of the convolution; default: the ratio of sizes when the source is larger.",
        examples=[2],
    )
    transform: Chain | None = Field(
        default=None,
        description="Operations on the source's state, in place of the single convolution; `[]` passes it on as it is.",
        examples=[[{"depthwise": 3}, {"conv": 1}]],
    )
    resize: Resize | None = Field(
        default=None,
        description="How sizes are bridged; default: nearest upsampling after the transform, if needed.",
        examples=[{"mode": "bilinear", "at": "before"}],
    )
    role: Literal["drive", "modulate"] = Field(
        default="drive",
        description="drive: a term of the merge; modulate: a gate by which the merge is multiplied.",
        examples=["modulate"],
    )
    gate: GateKind | None = Field(
        default=None,
        description="The gate of a modulating connection with value m: linear (default) 1 + m, tanh 1 + tanh m, "
        "sigmoid 2σ(m), divisive 1 / (1 + m) (shunting inhibition; m must stay above -1), all 1 at m = 0; or "
        "product m, logistic σ(m), complement 1 − σ(m).",
        examples=["tanh"],
    )
    gain: Annotated[Number | Literal["learned"], either("a number, or `learned`", "learned")] | None = Field(
        default=None,
        description="Factor on the transform's result: a number, or learned (starts at 1).",
        examples=[0.5],
    )
    sign: Sign | None = Field(
        default=None,
        description="excitatory: no weight of its convolutions and linear layers is negative; inhibitory: the same, "
        "and the result is multiplied by −1. The weights in use are |v| of learned v. Default: the `sign` of the area "
        "read. Operations that may turn the sign, such as norms, are refused.",
        examples=["inhibitory"],
    )
    delay: Annotated[int, Field(strict=True, ge=0, le=100_000)] = Field(
        default=0, description="Extra steps of conduction delay.", examples=[2]
    )
    delay_ms: Annotated[float, Field(strict=True, ge=0, le=1e6, allow_inf_nan=False)] | None = Field(
        default=None, description="Extra conduction delay in ms, rounded to whole steps of `time.dt_ms`.", examples=[20]
    )
    active: Activity = Field(
        default="always",
        description="When the connection is read: always, first (only the first time that its value is live), never "
        "(a lesion), a list of steps of the receiving update, or {from: 2, to: 5}.",
        examples=[{"from": 3}],
    )
    tie: Tie | None = Field(
        default=None,
        description="Share the parameters of another connection: `V1 -> V2`, or {connection, transpose}. `weights` and "
        "`init` are set on the other connection, and so is the convolution where it is transposed.",
        examples=[{"connection": "V1 -> V2", "transpose": True}],
    )
    silence: Silence | None = Field(
        default=None, description="What a silent source counts as; default: `time.silence`.", examples=["zero_drive"]
    )
    strength: Positive | None = Field(
        default=None,
        description="Measured strength of the projection, such as the fraction of labelled neurons (FLNe): a note for "
        "drawings and tables, without effect on the network.",
        examples=[0.037],
    )

    def _conflicts(self) -> Iterator[tuple[str, str, str]]:
        shorthand = [key for key in SHORTHAND if getattr(self, key) is not None]
        transposed = self.resize is not None and self.resize.mode == "transposed"
        for key in shorthand:
            if self.transform is not None:
                problem = f"`{key}` is set together with `transform`, but is shorthand for a single convolution"
                yield problem, f"Write it into the transform: `transform: [{{conv: {{{key}: …}}}}]`.", key
            elif transposed and not SHORTHAND[key].transposed:
                yield f"`{key}` is set, but `resize: transposed` does not support it", f"Remove `{key}`.", key
        if self.transform is not None and transposed:
            problem = "`resize: transposed` is set together with `transform`, but is itself the convolution"
            yield problem, "Put `conv_transpose` into the transform, or remove the transform.", "resize"
        if self.resize is not None and transposed and self.resize.at == "before":
            problem = "`at: before` is set together with `mode: transposed`, which is the convolution"
            yield problem, "Remove `at`.", "resize"
        if self.init == "whitened" and (self.source != "image" or self.transform is not None):
            problem = "`init: whitened` is set, but it is for a single convolution of the image"
            yield problem, "Set it on a connection from `image` without `transform`, or remove it.", "init"
        if self.tie is not None:
            yield from self._conflicts_with_tie(self.tie)
        if self.delay and self.delay_ms is not None:
            yield "the delay is given twice, in steps and in ms", "Give `delay` or `delay_ms`.", "delay_ms"
        if self.gate is not None and self.role != "modulate":
            yield "`gate` is set on a driving connection", "Write `role: modulate`, or remove `gate`.", "gate"

    def _conflicts_with_tie(self, tie: TieSpec) -> Iterator[tuple[str, str, str]]:
        """Keys that the other connection decides."""
        for key in ("weights", "init"):
            if getattr(self, key) is not None:
                problem = f"`{key}` is set, but the tie takes the parameters from `{tie.connection}`"
                yield problem, f"Remove `{key}` here, and set it on `{tie.connection}`.", key
        for key in (*SHORTHAND, "transform", "resize"):
            if tie.transpose and getattr(self, key) is not None:
                problem = f"`{key}` is set, but `transpose: true` takes the convolution from `{tie.connection}`"
                yield problem, f"Remove `{key}`.", key


SHORTHAND = {
    key: marker
    for key, field in ConnectionSpec.model_fields.items()
    for marker in field.metadata
    if isinstance(marker, ConvolutionKey)
}
"""Keys of a connection that are options of its single convolution: a test holds them to those of the operation."""
