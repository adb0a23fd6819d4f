"""The language of experiments: a spec, what is varied, how it is trained, and what is measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue

from cortexgraph.spec.base import Model
from cortexgraph.spec.document import Document
from cortexgraph.spec.fields import Name, Step, either
from cortexgraph.spec.model import Group
from cortexgraph.spec.shorthand import refusal
from cortexgraph.wording import quoted, repeated

T = TypeVar("T")

Overrides = dict[str, JsonValue]
"""Values by path, as for `--set`: `{time.steps: 4, areas.V1.channels: 64}`."""


def _distinct(values: tuple[T, ...]) -> tuple[T, ...]:
    if twice := repeated(values):
        found = f"{quoted(map(str, twice))} occurs more than once"
        raise refusal(found, "Name each value once.", "duplicate-value")
    return values


Values = Annotated[
    Annotated[tuple[JsonValue, ...], Field(min_length=1), AfterValidator(_distinct)]
    | Annotated[dict[Name, Overrides], Field(min_length=1)],
    either("a list of values of the path, or a mapping of names to overrides such as `wide: {areas.V1.channels: 64}`"),
]

Images = Annotated[int, Field(strict=True, ge=1, le=10**9)]


def _alone(value: object) -> object:
    """`lesion: feedback` as `lesion: [feedback]`."""
    return [value] if isinstance(value, str) else value


Lesion = Annotated[tuple[str, ...], BeforeValidator(_alone)]
"""The words of `cortexgraph.lesion`."""


class DataChoice(Model):
    """The images, as for `cortexgraph train --data`."""

    source: str = Field(
        default="shapes", description="shapes, cifar10, or a folder with train/CLASS/* and test/CLASS/*."
    )
    train_images: Images | None = Field(default=None, description="Use only this many; default all.", examples=[10000])
    test_images: Images | None = Field(default=None, description="Use only this many; default all.", examples=[2000])
    resize: Annotated[int, Field(strict=True, ge=1)] | None = Field(
        default=None, description="Bring the shorter side to this length, then cut out the middle.", examples=[256]
    )
    memory: str | None = Field(
        default=None,
        description="What the images of all runs at a time may take in memory; more are read as needed.",
        examples=["2GB"],
    )
    targets: str | None = Field(
        default=None,
        description="A CSV file with the targets of a folder's images (docs/tasks.md), beside that of the experiment.",
        examples=["targets.csv"],
    )
    video: bool = Field(default=False, description="The innermost folders are videos.", examples=[True])

    @property
    def arguments(self) -> dict[str, object]:
        """Arguments of `load_data`, except those that depend on the network."""
        return self.model_dump(exclude_none=True, exclude={"targets", "video"})


class VariantSpec(Model):
    """One thing that is compared."""

    spec: str | None = Field(
        default=None, description="Another spec: a file beside the experiment, or a zoo name.", examples=["cornet_rt"]
    )
    set: Overrides = Field(
        default={}, description="Overrides of the spec, by path.", examples=[{"time.order": "sequential"}]
    )
    lesion: Lesion = Field(
        default=(),
        description="Connections that are cut before training, written as in `evaluate`.",
        examples=[["feedback"]],
    )
    settings: Overrides = Field(
        default={}, description="Settings of training that differ from the experiment's.", examples=[{"lr": 0.01}]
    )


class MatchSpec(Model):
    """Scale the channels of every variant until its trained parameters match a reference."""

    to: Annotated[Name | Images, either("the name of a variant, or a number of parameters")] = Field(
        description="The variant whose number of parameters the others get, or a number.", examples=["shared"]
    )
    tolerance: Annotated[float, Field(strict=True, ge=0, lt=1)] = Field(
        default=0.05, description="Largest difference, as a share of the reference.", examples=[0.02]
    )


class EvaluationSpec(Model):
    """One more look at each trained network: at other times, in another order, without some connections."""

    at: (
        Annotated[
            Literal["last", "all"] | Annotated[tuple[Step, ...], Field(min_length=1)],
            either("`last`, `all`, or a list of steps such as [2, 4]", "last", "all"),
        ]
        | None
    ) = Field(default=None, description="Steps of readout; default: as trained.", examples=["all"])
    steps: Step | None = Field(default=None, description="Number of steps T; default: as trained.", examples=[12])
    order: Annotated[
        Literal["simultaneous", "sequential"] | Annotated[tuple[Group, ...], Field(min_length=1)] | None,
        either("`simultaneous`, `sequential`, or a list of groups", "simultaneous", "sequential"),
    ] = Field(default=None, description="Order of updates; default: as trained.", examples=["sequential"])
    lesion: Lesion = Field(
        default=(),
        description="Connections that are cut: kinds (lateral, feedback, feedforward), or ends as in `V4 -> V2`.",
        examples=[["feedback"]],
    )
    intervene: str | None = Field(
        default=None,
        description="A file of interventions (docs/interventions.md), beside that of the experiment.",
        examples=["silent.yaml"],
    )

    def _conflicts(self) -> Iterator[tuple[str, str, str]]:
        if self.lesion and self.intervene is not None:
            repair = "Write the cut into the file: `- {at: V4 -> V2, scale: 0}`."
            yield "`lesion` and `intervene` are both set", repair, "intervene"


class RangeSpec(Model):
    """Numbers from which a search draws; bounds that are whole numbers mean whole numbers."""

    low: int | float = Field(description="The smallest.", examples=[0.001])
    high: int | float = Field(description="The largest.", examples=[0.1])
    log: bool = Field(default=False, description="Draw orders of magnitude evenly.", examples=[True])
    step: Annotated[int | float, Field(gt=0)] | None = Field(
        default=None, description="Distance of the values, without `log`; default 1 for whole numbers.", examples=[8]
    )

    def _conflicts(self) -> Iterator[tuple[str, str, str]]:
        if self.high <= self.low:
            yield f"the range runs from {self.low} to {self.high}", "Write the smaller number in `low`.", "high"
        if self.log and self.low <= 0:
            yield f"a range with `log` starts at {self.low}", "Give a `low` above 0.", "log"
        if self.log and self.step is not None:
            yield "`log` and `step` are both set", "Leave one out.", "step"


class SearchSpec(Model):
    """A search by Optuna: trials draw values from ranges, the later ones near those that did well."""

    ranges: Annotated[
        dict[str, Annotated[RangeSpec | Values, either("a range such as {low: 1, high: 9}, or values as of a grid")]],
        Field(min_length=1),
    ] = Field(
        description="What is searched: paths of the spec, or settings of training as in `settings.lr`.",
        examples=[{"settings.lr": {"low": 0.001, "high": 0.1, "log": True}}],
    )
    trials: Annotated[int, Field(strict=True, ge=1, le=100_000)] = Field(
        description="How many trials, each of which is trained with every seed.", examples=[30]
    )
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**31)] = Field(default=0, description="Of the draws.")
    metric: Annotated[
        Literal["score", "loss"], BeforeValidator(lambda word: "score" if word == "accuracy" else word)
    ] = Field(
        default="score",
        description="What decides, on the validation images: the best accuracy, or other score of the task, at the "
        "last readout step, or the loss that training minimises in that epoch, over all readout steps.",
    )
    pruning: Literal["none", "median"] = Field(
        default="none",
        description="Stop a trial whose epochs so far are worse than the median of the trials before it.",
    )


class FigureSpec(Model):
    """What the figure shows: accuracy, mean and standard deviation over seeds, against x."""

    x: str = Field(
        default="variant",
        description="variant, parameters, step (of readout), evaluation, or the name of an axis of the grid.",
        examples=["parameters"],
    )
    series: str | None = Field(
        default=None,
        description="What the lines are: the name of an axis, variant or evaluation; default: what x leaves.",
        examples=["weights"],
    )


class ExperimentSpec(Document):
    """An experiment: variants of a spec × seeds."""

    spec: str | None = Field(
        default=None,
        description="The spec that is varied: a file beside the experiment, or a zoo name.",
        examples=["ventral"],
    )
    data: DataChoice = Field(default=DataChoice(), description="The images.", examples=[{"source": "cifar10"}])
    settings: Overrides = Field(
        default={}, description="How to train: the options of `cortexgraph train`.", examples=[{"epochs": 9}]
    )
    seeds: Annotated[
        tuple[Annotated[int, Field(strict=True, ge=0, lt=2**32)], ...],
        Field(min_length=1, max_length=1000),
        AfterValidator(_distinct),
    ] = Field(default=(0,), description="Every variant is trained once with each.", examples=[[0, 1, 2]])
    variants: dict[Name, VariantSpec] = Field(
        default={},
        description="What is compared, by name.",
        examples=[{"sequential": {"set": {"time.order": "sequential"}}}],
    )
    grid: dict[str, Values] = Field(
        default={},
        description="Axes, all values of each with all of the others: a path with a list of values, or a name with a "
        "mapping of names to overrides.",
        examples=[{"time.steps": [4, 6, 8]}],
    )
    search: SearchSpec | None = Field(
        default=None,
        description="Search for good values, in place of variants and grid.",
        examples=[{"ranges": {"areas.V1.channels": {"low": 16, "high": 64}}, "trials": 30}],
    )
    match_parameters: MatchSpec | None = Field(
        default=None,
        description="Scale the channels of every variant to as many trained parameters as a reference has.",
        examples=[{"to": "shared", "tolerance": 0.02}],
    )
    evaluate: dict[Name, EvaluationSpec] = Field(
        default={},
        description="More evaluations of each trained network, by name.",
        examples=[{"over time": {"at": "all", "steps": 12}}],
    )
    figure: FigureSpec = Field(
        default=FigureSpec(), description="What the figure shows.", examples=[{"x": "parameters"}]
    )
    gpus: Annotated[int, Field(strict=True, ge=1, le=10_000)] | None = Field(
        default=None,
        description="GPUs that train each run together: its `devices`, and what it needs of a cluster.",
        examples=[4],
    )
    cluster: Overrides = Field(
        default={},
        description="What each run needs of a cluster: the options of Ray's remote functions, or of submitit.",
        examples=[{"num_gpus": 1}],
    )

    def _conflicts(self) -> Iterator[tuple[str, str, str]]:
        for key in ("grid", "variants"):
            if self.search is not None and getattr(self, key):
                yield f"`search` and `{key}` are both set", "Leave one of them out.", key
        if self.search is not None and self.search.pruning == "median" and len(self.seeds) > 1:
            yield "`pruning` judges single runs, but there are several `seeds`", "Give one seed.", "seeds"
