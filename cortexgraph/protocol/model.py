"""The language of protocols: events in time, and what is measured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from cortexgraph.spec.base import Model
from cortexgraph.spec.document import Document
from cortexgraph.spec.fields import Count, Flag, Milliseconds, Number, Offset, Share, Step, either

Spread = Annotated[float, Field(strict=True, ge=0, le=10, allow_inf_nan=False)]
Delay = Annotated[float, Field(strict=True, ge=0, le=1e6, allow_inf_nan=False)]
Text = Annotated[str, Field(strict=True, min_length=1, max_length=64)]
Level = Annotated[Number | Text, either("a number or a text")]

READ = either("`last`, `mean`, `best`, or a step", "last", "mean", "best")

STARTS = ("onset", "soa", "gap")
"""Keys that say when an event starts; each may also be written in ms, as `onset_ms`."""


class Event(Model):
    """Something that is shown for some steps. A later event covers an earlier one where both are on.

    With pixel values x in [0, 1] and mid-grey 1/2, an event shows, in this order: contrast c, x ← c·x + (1 − c)/2
    (Geirhos et al. 2018); occluders; Gaussian noise, x ← x + σ·n with n ~ N(0, 1); salt-and-pepper noise, a share p
    of the pixels becomes 0 or 1 with equal probability. The result is clipped to [0, 1], then normalised as the
    training images were.
    """

    show: Literal["image", "other", "noise", "scrambled", "checkerboard", "blank"] = Field(
        default="image",
        description="The stimulus (`image`); the next stimulus of another class (`other`); a mask of uniform noise "
        "(`noise`), of the stimulus with random Fourier phases (`scrambled`), or a `checkerboard`; or the background "
        "(`blank`).",
    )
    onset: Step | None = Field(
        default=None, description="First step; default: the first event at step 1, others when the last one ends."
    )
    onset_ms: Delay | None = Field(default=None, description="The same in ms from the start of step 1.")
    soa: Offset | None = Field(default=None, description="Steps from the onset of the event before to this onset.")
    soa_ms: Delay | None = Field(default=None, description="The same in ms.")
    gap: Offset | None = Field(default=None, description="Steps from the end of the event before to this onset.")
    gap_ms: Delay | None = Field(default=None, description="The same in ms.")
    duration: Count | None = Field(default=None, description="Number of steps; default: until the last step.")
    duration_ms: Milliseconds | None = Field(default=None, description="The same in ms.")
    contrast: Share = Field(default=1.0, description="Contrast around mid-grey; 1 leaves the picture as it is.")
    gaussian: Spread = Field(
        default=0.0, description="Standard deviation of added Gaussian noise, where pixels lie in [0, 1]."
    )
    salt_and_pepper: Share = Field(default=0.0, description="Share of the pixels that become black or white.")
    occlusion: Share = Field(default=0.0, description="Share of the picture that grey squares cover.")
    grain_px: Count | None = Field(
        default=None,
        description="Side of the squares of a noise mask (default 1), a checkerboard or occluders (default: an eighth "
        "of the height).",
    )
    dynamic: Flag = Field(default=False, description="Whether new random values are drawn at each step.")

    def _conflicts(self) -> Iterator[tuple[str, str, str]]:
        keys = [key for start in STARTS for key in (start, f"{start}_ms") if getattr(self, key) is not None]
        if len(keys) > 1:
            yield f"the start is given by `{keys[0]}` and `{keys[1]}`", "Keep one of the two.", keys[1]
        if self.duration is not None and self.duration_ms is not None:
            yield "`duration` and `duration_ms` are both given", "Keep one of the two.", "duration_ms"


class Figure(Model):
    """What the figure shows beside the response over time."""

    y: Literal["accuracy", "latency", "peak", "sustained", "adaptation"] = Field(
        default="accuracy", description="The measure; docs/protocols.md defines each."
    )
    read: Annotated[Literal["last", "mean", "best"] | Step, READ] = Field(
        default="last",
        description="Readout step of the accuracy; `mean`: the class probabilities are averaged over all readout "
        "steps; `best`: the step at which the accuracy is highest.",
    )


class Timeline(Document):
    """A protocol under one of its conditions: the whole of a protocol file.

    Raises:
        SpecError: with every finding, when the data does not fit the language.
    """

    version: Literal[1] = Field(
        default=1,
        validation_alias="protocol",
        serialization_alias="protocol",
        description="Version of the language of protocols.",
        examples=[1],
    )
    steps: Step | None = Field(
        default=None, description="Number of steps T; default: that of the run, or of --steps.", examples=[12]
    )
    dt_ms: Milliseconds | None = Field(default=None, description="Duration of a step in ms.", examples=[10])
    background: Share = Field(default=0.5, description="Grey level that is shown while no event is on.", examples=[0.5])
    seed: Offset = Field(default=0, description="Of everything random.", examples=[0])
    grid: dict[str, Annotated[tuple[Level, ...], Field(min_length=1)]] = Field(
        default={},
        description="Conditions: every combination of these values, each of which stands where an event says `$NAME`.",
        examples=[{"SOA": [1, 2, 3]}],
    )
    events: Annotated[tuple[Event, ...], Field(min_length=1, max_length=1000)] = Field(
        description="What is shown, in the order of the onsets.", examples=[[{"show": "image", "duration": 1}]]
    )
    figure: Figure = Field(default=Figure(), description="What the figure shows.", examples=[{"y": "accuracy"}])

    @property
    def stimuli(self) -> list[int]:
        """The numbers of the events that show an image: the first is the one whose response is measured."""
        return [number for number, event in enumerate(self.events) if event.show in {"image", "other"}]
