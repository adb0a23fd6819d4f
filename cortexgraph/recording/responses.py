"""What a recording under a protocol is measured by: presentations, responses, accuracy, and their table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cortexgraph.data import Stimuli
from cortexgraph.files import csv_table
from cortexgraph.protocol import Condition, Protocol
from cortexgraph.protocol.video import video
from cortexgraph.recording.measures import Floats, Psychometric, adaptation_index, fit_psychometric, half_height_latency
from cortexgraph.recording.plan import Recorded

Row = dict[str, float | int | str]


def presentations(protocol: Protocol, stimuli: Stimuli, steps: int) -> Stimuli:
    """Every image under every condition, as videos [n, T, C, H, W] in [0, 1]: condition by condition."""
    count = len(stimuli)
    other = [
        next((m % count for m in range(n + 1, n + count) if stimuli.classes[m % count] != kind), (n + 1) % count)
        for n, kind in enumerate(stimuli.classes)
    ]

    def read(places: Sequence[int]) -> Tensor:
        numbers = [place % count for place in places]
        needed = sorted({*numbers, *(other[n] for n in numbers)})
        images = dict(zip(needed, stimuli.read(needed).float() / 255, strict=True))
        parts = []
        for index in sorted({place // count for place in places}):  # the conditions, in the order of the places
            own = [place % count for place in places if place // count == index]
            pictures, others = (torch.stack([images[n] for n in some]) for some in (own, [other[n] for n in own]))
            parts.append(video(protocol, protocol.conditions[index], pictures, others, own, steps))
        return torch.cat(parts)

    times = len(protocol.conditions)
    return Stimuli(stimuli.name, stimuli.classes * times, stimuli.files * times, read)


@dataclass(frozen=True)
class Responses:
    """Measures of a recording under a protocol; `rows` has them all.

    Attributes:
        protocol: what was shown.
        areas: what was recorded of each.
        steps: T.
        activity: by area, [presentation, step], at the steps of the area: r(t) = meanᵤ |xᵤ(t) − x⁰ᵤ(t)|, where x⁰ is
            the state at that step while the background alone is shown.
        labels: class of each presentation, −1 where it is not known.
        predicted: by the first readout [presentation, readout step].
        voted: by the class probabilities of the first readout, averaged over its steps [presentation].
        readout_steps: their numbers.
        classes: how many the network tells apart.
    """

    protocol: Protocol
    areas: tuple[Recorded, ...]
    steps: int
    activity: Mapping[str, Floats]
    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    voted: npt.NDArray[np.int64]
    readout_steps: tuple[int, ...]
    classes: int
    _evoked: dict[str, Floats] = field(default_factory=dict)

    @property
    def axes(self) -> Mapping[str, Sequence[float | str]]:
        """The values of each condition of the grid."""
        names = self.protocol.conditions[0].values
        return {name: [*dict.fromkeys(c.values[name] for c in self.protocol.conditions)] for name in names}

    @property
    def images(self) -> int:
        """How many were shown under each condition."""
        return len(self.labels) // len(self.protocol.conditions)

    def evoked(self, area: Recorded, index: int) -> Floats:
        """The response under a condition, [image, T]; 0 at steps at which the area is silent."""
        if area.area not in self._evoked:
            whole = np.zeros((len(self.labels), self.steps))
            whole[:, np.array(area.steps) - 1] = self.activity[area.area]
            self._evoked[area.area] = whole
        return self._evoked[area.area][index * self.images : (index + 1) * self.images]

    def measured(self, area: Recorded, index: int) -> dict[str, Floats]:
        """The measures of an area for each image under a condition; those that are not defined are left out.

        Responses are looked for later by the area's delay: the steps that the first value takes to reach it.
        """
        condition, delay, evoked = self.protocol.conditions[index], area.steps[0] - 1, self.evoked(area, index)
        if not condition.stimuli:
            return {}
        target = condition.stimuli[0]
        later = [shown.onset for shown in condition.shown if shown.onset > target.onset and shown.event.show != "blank"]
        first, last = target.onset + delay, min([self.steps, *(onset + delay - 1 for onset in later)])
        if first > last:
            return {}
        peak = evoked[:, first - 1 : last].max(1)
        measures = {"latency": half_height_latency(evoked, target.onset, first, last), "peak": peak}
        if self.protocol.timeline.dt_ms is not None:
            measures["latency_ms"] = measures["latency"] * self.protocol.timeline.dt_ms
        with np.errstate(divide="ignore", invalid="ignore"):
            measures["sustained"] = evoked[:, min(last, target.last(self.steps) + delay) - 1] / peak
        if len(condition.stimuli) > 1:
            pair = [
                self._during(evoked, shown.onset + delay, shown.last(self.steps) + delay) for shown in condition.stimuli
            ]
            measures["adaptation"] = adaptation_index(pair[0], pair[-1])
        return measures

    def _during(self, evoked: Floats, first: int, last: int) -> Floats:
        """The mean over some steps; NaN where they lie after T."""
        steps = evoked[:, first - 1 : last]
        return steps.mean(1) if steps.shape[1] else np.full(len(evoked), np.nan)

    @property
    def figure(self) -> str | None:
        """The measure that the figure shows beside the responses; None if it is an accuracy that is not known."""
        measure = self.protocol.timeline.figure.y
        return measure if measure != "accuracy" or self.read else None

    @cached_property
    def accuracy(self) -> Floats | None:
        """[condition, readout step]; None if no image has a class that the network knows."""
        return self._shares(self.predicted) if (self.labels >= 0).any() else None

    def _shares(self, predicted: npt.NDArray[np.int64]) -> Floats:
        """The share of correct classes [condition, column] of predictions [presentation, column]."""
        right = np.where(self.labels[:, None] >= 0, predicted == self.labels[:, None], np.nan)
        shares: Floats = np.nanmean(right.reshape(len(self.protocol.conditions), self.images, -1), 1)
        return shares

    @cached_property
    def read(self) -> list[tuple[int | str, float]]:
        """For each condition the readout step that counts (or `mean`) and its accuracy; empty without classes."""
        if self.accuracy is None:
            return []
        how = self.protocol.timeline.figure.read
        if how == "mean":
            return [("mean", float(share)) for share in self._shares(self.voted[:, None])[:, 0]]
        places = {"last": np.full(len(self.accuracy), -1), "best": self.accuracy.argmax(1)}
        at = places[how] if isinstance(how, str) else np.full(len(self.accuracy), self.readout_steps.index(how))
        return [(self.readout_steps[n], float(self.accuracy[index, n])) for index, n in enumerate(at)]

    @cached_property
    def curves(self) -> dict[tuple[float | str, ...], Psychometric | None]:
        """The psychometric function along the first axis, for each combination of the values of the others.

        Empty if the values of the first axis are not numbers, or no class is known.
        """
        axes = self.axes
        if not self.read or not axes or any(isinstance(value, str) for value in next(iter(axes.values()))):
            return {}
        series: dict[tuple[float | str, ...], list[tuple[float, float]]] = {}
        for index, condition in enumerate(self.protocol.conditions):
            x, *others = condition.values.values()
            series.setdefault(tuple(others), []).append((float(x), self.read[index][1]))
        known = int((self.labels[: self.images] >= 0).sum())
        fits: dict[tuple[float | str, ...], Psychometric | None] = {}
        for key, points in series.items():
            x, shares = np.array(points).T
            fits[key] = fit_psychometric(x, shares, known, 1 / self.classes)
        return fits

    @cached_property
    def rows(self) -> list[Row]:
        """One for each condition, area, measure and step, with mean and standard deviation over images."""
        rows: list[Row] = []
        for index, condition in enumerate(self.protocol.conditions):
            for area in self.areas:
                for step in area.steps:
                    values = self.evoked(area, index)[:, step - 1]
                    rows.append(_row(condition, area.area, "response", step, values))
                rows += [_row(condition, area.area, name, "", v) for name, v in self.measured(area, index).items()]
            if self.accuracy is not None:
                shares = self.accuracy[index]
                known = int((self.labels[: self.images] >= 0).sum())
                for step, share in zip(self.readout_steps, shares, strict=True):
                    rows.append(_row(condition, "", "accuracy", step, share, known))
                rows.append(_row(condition, "", "accuracy_read", *self.read[index], known))
        return [*rows, *self._thresholds()]

    def _thresholds(self) -> Iterator[Row]:
        for others, curve in self.curves.items():
            if curve is not None:
                place = dict(zip(self.axes, ("", *others), strict=True))
                for measure, value in (("threshold", curve.threshold), ("slope", curve.slope)):
                    yield {**place, "area": "", "measure": measure, "step": "", "mean": value, "sd": "", "images": ""}

    def text(self, suffix: str) -> str:
        """The rows as CSV, or with the protocol as JSON."""
        if suffix == ".csv":
            return csv_table(self.rows)
        timeline = self.protocol.timeline
        rows = [
            {key: None if v == "" or (isinstance(v, float) and not isfinite(v)) else v for key, v in row.items()}
            for row in self.rows
        ]
        about = {"protocol": timeline.name, "steps": self.steps, "dt_ms": timeline.dt_ms, "grid": self.axes}
        return json.dumps(about | {"rows": rows}, indent=1, ensure_ascii=False) + "\n"


def _row(condition: Condition, area: str, measure: str, step: int | str, values: Any, images: int = 0) -> Row:
    """One row of the table, over the images for which the measure is defined; a share of `images` has no deviation."""
    defined = np.atleast_1d(values)[np.isfinite(np.atleast_1d(values))]
    mean = float(defined.mean()) if len(defined) else float("nan")
    spread = float(defined.std()) if len(defined) and not images else ""
    numbers: Row = {"mean": mean, "sd": spread, "images": images or len(defined)}
    return {**condition.values, "area": area, "measure": measure, "step": step, **numbers}
