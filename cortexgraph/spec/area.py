"""Areas: their operations, norms and cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, WithJsonSchema, model_serializer

from cortexgraph.spec.base import Model, frozen
from cortexgraph.spec.fields import Count, Flag, Level, Name, Pair, Positive, Share, Sign, Word
from cortexgraph.spec.shorthand import expand_operation, expand_word


class OperationSpec(Model):
    """One operation of a chain, or a cell: `relu`, `{conv: 3}` or `{conv: {kernel: 3, stride: 2}}`.

    Attributes:
        name: a registered operation or cell.
        options: its options: a mapping, or the value of its main option alone.
    """

    name: Word
    options: Annotated[JsonValue, AfterValidator(frozen)] = None

    @model_serializer
    def _written(self) -> JsonValue:
        return self.name if self.options is None else {self.name: self.options}


AnOperation = Annotated[Any, WithJsonSchema({"title": "Operation"})]  # `cortexgraph.ops.registry` says more
ACell = Annotated[Any, WithJsonSchema({"title": "Cell"})]

Chain = Annotated[
    tuple[Annotated[OperationSpec, BeforeValidator(expand_operation, json_schema_input_type=AnOperation)], ...],
    Field(max_length=1000),
]
Cell = Annotated[OperationSpec, BeforeValidator(expand_operation, json_schema_input_type=ACell)]


NORM_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "groups": ("group",),
    "eps": ("batch", "group", "layer", "instance"),
    "momentum": ("batch",),
}
"""The options of norms, each with the kinds that have it."""


def misplaced_options(norm: object) -> Iterator[tuple[str, str, str]]:
    """The options of a norm that its kind lacks: the error, the repair, and the option."""
    for key, kinds in NORM_OPTIONS.items():
        kind = getattr(norm, "kind", None)
        if getattr(norm, key) is not None and kind not in kinds:
            yield f"`{key}` is set, but `kind` is `{kind}`", f"Write `kind: {kinds[0]}`, or remove `{key}`.", key


class NormSpec(Model):
    """Normalisation of an area's summed input."""

    kind: str = Field(
        default="batch", description="A registered norm: batch, group, layer, instance or none.", examples=["group"]
    )
    per_step: Flag = Field(
        default=False,
        description="One set of parameters and statistics for each live update of the area.",
        examples=[True],
    )
    groups: Count | None = Field(default=None, description="Number of channel groups, for `kind: group`.", examples=[8])
    eps: Positive | None = Field(
        default=None, description="ε, added to the variance under the root; default 1e-5.", examples=[0.001]
    )
    momentum: Share | None = Field(
        default=None,
        description="Weight of the newest batch in the running statistics, for `kind: batch`; default 0.1.",
        examples=[0.01],
    )

    def _conflicts(self) -> Iterator[tuple[str, str, str]]:
        return misplaced_options(self)


Norm = Annotated[NormSpec, BeforeValidator(expand_word("norm"), json_schema_input_type=str | NormSpec)]


Weights = Literal["shared", "per_step"]


class AreaDefaults(Model):
    """What every area has unless it says otherwise."""

    merge: Literal["sum", "concat"] | None = Field(
        default=None,
        description="How the drives are merged: summed (default), or concatenated along channels in the order "
        "feedforward, lateral, feedback (an absent drive is zeros).",
        examples=["concat"],
    )
    norm: Norm | None = Field(
        default=None,
        description="Normalisation of the merged input; default none.",
        examples=[{"kind": "batch", "per_step": True}],
    )
    activation: str | None = Field(
        default=None, description="A registered activation; default relu.", examples=["gelu"]
    )
    cell: Cell | None = Field(
        default=None,
        description="How the new state follows from the body's output and the old state: a registered cell; "
        "default simple (the body's output is the new state).",
        examples=[{"leaky": {"decay": 0.5}}],
    )
    body: Chain | None = Field(
        default=None,
        description="Operations after the merge, in place of norm and activation; default: norm, then activation "
        "(under `merge: concat` a 3 × 3 convolution to the area's channels before them). An area's own norm or "
        "activation goes before a body under `defaults`.",
        examples=[[{"conv": 3}, {"norm": "batch"}, "relu"]],
    )
    output: Chain | None = Field(
        default=None,
        description="Operations after the cell: other areas, readouts and recordings read their result, and the cell "
        "continues from the state before them.",
        examples=[["relu"]],
    )

    start: Literal["zeros", "learned"] | None = Field(
        default=None,
        description="The state before step 1: zeros, or a learned value for each channel (0 at first); default: none, "
        "the area is silent until something drives it. See [semantics.md](semantics.md#start-states).",
        examples=["learned"],
    )

    def _conflicts(self) -> Iterator[tuple[str, str, str]]:
        if self.body is not None and (self.norm is not None or self.activation is not None):
            problem = "`body` is set together with `norm` or `activation`, which it replaces"
            key = "activation" if self.activation is not None else "norm"
            yield problem, "Write the norm and the activation into `body`, or remove `body`.", key


class AreaSpec(AreaDefaults):
    """A cortical area: a state tensor [B, channels, *size], updated in time."""

    channels: Count = Field(description="Number of channels (feature maps).", examples=[64])
    size: Pair | None = Field(
        default=None, description="Height and width; inferred along the feedforward strides when absent.", examples=[16]
    )
    level: Level | None = Field(
        default=None,
        description="Level in the hierarchy; default: one above the area declared before (the first: 0).",
        examples=[2],
    )
    region: Name | None = Field(
        default=None,
        description="The region of which this area is a population or layer; drawn together.",
        examples=["V1"],
    )
    sign: Sign | None = Field(
        default=None,
        description="Of all connections from the area (Dale's law): excitatory or inhibitory; see `sign` there.",
        examples=["inhibitory"],
    )
    weights: Weights = Field(
        default="shared",
        description="shared: one set of the body's parameters for all steps; per_step: one for each live update.",
        examples=["per_step"],
    )
