"""`decide`: the step at which a trained network commits itself to a class, for each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cortexgraph.analysis.summary import totals
from cortexgraph.arguments import arguments_explained
from cortexgraph.compiler import lower
from cortexgraph.data import Stimuli
from cortexgraph.decisions.reaction_times import Correlation, correlate, read_reaction_times
from cortexgraph.decisions.rule import Rule, measure, read_rule, uncertainty_area
from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.network import CompiledNetwork
from cortexgraph.training.engine import choose_device
from cortexgraph.training.loaders import EVALUATION_BATCH_SIZE
from cortexgraph.training.losses import logits_per_step
from cortexgraph.training.reached import read_steps
from cortexgraph.training.run import At, TrainedRun, opened
from cortexgraph.unrolling import Order
from cortexgraph.wording import steps_text

Numbers = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]

MOST_THRESHOLDS = 50


@dataclass(frozen=True)
class SpeedAccuracy:
    """What a threshold gives: the mean step of decision, the accuracy, and the mean multiply-adds for an image."""

    threshold: float
    step: float
    accuracy: float
    macs: float


@dataclass(frozen=True)
class Decisions:
    """Decisions of a network on N images, read at n steps.

    Attributes:
        name, data: the network, and what it was shown.
        rule: by which it decided.
        files, class_names: of the images; empty text where there is none.
        classes: the names of the network's classes.
        labels: class of each image, −1 where it is not known.
        steps: at which the network was read.
        read_in_training: those of them that the loss of training read.
        values: the measure of the rule [N, n].
        predicted: the class that would be chosen [N, n].
        macs: multiply-adds for one image until each step, as the cost model counts them.
        xi: the uncertainty area ξ of each image (see `uncertainty_area`).
        reaction_times: of people, NaN where there is none; None if none were given.
    """

    name: str
    data: str
    rule: Rule
    files: tuple[str, ...]
    class_names: tuple[str, ...]
    classes: tuple[str, ...]
    labels: Whole
    steps: tuple[int, ...]
    read_in_training: tuple[int, ...]
    values: Numbers
    predicted: Whole
    macs: tuple[int, ...]
    xi: Numbers
    reaction_times: Numbers | None = None

    def places(self, threshold: float | None = None) -> tuple[Whole, npt.NDArray[np.bool_]]:
        """The place in `steps` at which each image is decided, and whether it is: otherwise it is the last one."""
        passed = self.rule.passes(self.values, threshold)
        decided = np.asarray(passed.any(1))
        return np.where(decided, passed.argmax(1), len(self.steps) - 1), decided

    @cached_property
    def step(self) -> Whole:
        """The step of decision of each image; the last step where the rule is never met."""
        return np.array(self.steps)[self.places()[0]]

    def _chosen(self, places: Whole) -> Whole:
        return np.take_along_axis(self.predicted, places[:, None], 1)[:, 0]

    def at(self, threshold: float) -> SpeedAccuracy:
        """What a threshold gives; the accuracy is NaN where no class is known."""
        places, _ = self.places(threshold)
        known = self.labels >= 0
        right = (self._chosen(places) == self.labels)[known]
        accuracy = float(right.mean()) if len(right) else float("nan")
        means = [float(np.array(numbers)[places].mean()) for numbers in (self.steps, self.macs)]
        return SpeedAccuracy(float(threshold), means[0], accuracy, means[1])

    @cached_property
    def curve(self) -> list[SpeedAccuracy]:
        """Speed and accuracy from the first step to the last: for thresholds at quantiles of the measure."""
        finite = self.values[np.isfinite(self.values)]
        inner = np.unique(np.quantile(finite, np.linspace(0, 1, MOST_THRESHOLDS))).tolist() if len(finite) else []
        points = [self.at(threshold) for threshold in (-np.inf, *inner, np.inf)]
        return sorted(points, key=lambda point: (point.step, point.threshold))

    @cached_property
    def correlations(self) -> list[Correlation]:
        """Of the reaction times with the step of decision and with ξ; empty if there are none."""
        if self.reaction_times is None:
            return []
        pairs = {"step of decision": self.step.astype(float), "uncertainty area ξ": self.xi}
        return [correlate(name, values, self.reaction_times) for name, values in pairs.items()]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each image: its decision, what it cost, and its reaction time."""
        places, decided = self.places()
        chosen = self._chosen(places)
        rows = []
        for n, (place, file, name) in enumerate(zip(places.tolist(), self.files, self.class_names, strict=True)):
            row = {"image": n, "file": file, "class": name, "predicted": self.classes[chosen[n]]}
            row |= {"correct": int(chosen[n] == self.labels[n]) if self.labels[n] >= 0 else ""}
            row |= {"step": self.steps[place], "decided": int(decided[n]), self.rule.measure: self.values[n, place]}
            row |= {"macs": self.macs[place], "xi": self.xi[n]}
            if self.reaction_times is not None:
                row["rt"] = "" if np.isnan(self.reaction_times[n]) else self.reaction_times[n]
            rows.append(row)
        return rows

    @arguments_explained
    def draw(self, path: str | Path) -> None:
        """Draw the speed–accuracy curve, and reaction times if there are any, as .png, .svg or .pdf."""
        from cortexgraph.training.curves import TEST, TRAIN, figure_of, save_figure

        panels = 2 + (self.reaction_times is not None)
        with figure_of(panels, f"{self.name} on {Path(self.data).name}: {self.rule}", integers=False) as (figure, axes):
            own = self.at(self.rule.threshold)
            points = [(p.step, 100 * p.accuracy) for p in self.curve]
            axes[0].plot(*zip(*points, strict=True), ".-", color=TRAIN, label="all thresholds")
            axes[0].plot([own.step], [100 * own.accuracy], "o", color=TEST, label=str(self.rule))
            axes[0].set(xlabel="mean step of decision", ylabel="accuracy (%)")
            axes[0].legend(frameon=False)
            counts = [int((self.step == step).sum()) for step in self.steps]
            axes[1].bar(self.steps, counts, color=TRAIN)
            axes[1].set(xlabel="step of decision", ylabel="images", xticks=self.steps)
            if self.reaction_times is not None:
                axes[2].plot(self.xi, self.reaction_times, ".", color=TRAIN)
                axes[2].set(xlabel="uncertainty area ξ", ylabel="reaction time")
            save_figure(figure, [Path(path)])


@arguments_explained
def decide(
    run: str | Path | TrainedRun,
    stimuli: Stimuli,
    rule: str | Rule,
    *,
    at: At | None = None,
    steps: int | None = None,
    order: Order | None = None,
    reaction_times: str | Path | None = None,
    device: str = "auto",
    batch_size: int = EVALUATION_BATCH_SIZE,
) -> Decisions:
    """Let a trained network decide, for each image, at the first step at which a rule is met.

    Args:
        run: a run or its folder.
        stimuli: the images, of `cortexgraph.load_stimuli`.
        rule: such as `entropy < 0.3`, `max_probability > 0.9`, `margin > 0.5` or `cumulative entropy < 0.3`.
        at: steps of readout: `all` from the first response to T, or a list; by default those of the run.
        steps: number of steps T; by default that of the run.
        order: order of updates; by default that of the run.
        reaction_times: a CSV file with the columns `file` and `rt`, to correlate with.
        device: as in `TrainSettings`.
        batch_size: images at a time.

    Raises:
        CortexGraphError: for a rule of another form.
        CompileError: for a network that is read at a single step.
        DataError: for a missing or damaged run, one that was not trained to classify, or reaction times that do not
            match the images.
    """
    rule, run = read_rule(rule), opened(run)
    run.require_classes()
    times = None if reaction_times is None else read_reaction_times(reaction_times, stimuli.files)
    network = run.compile(steps, order, at=at, memory_format="channels_last")
    read = read_steps(network.unrolled)
    if len(read) < 2:
        found = f"the network is read at {steps_text(read)} alone"
        trained = f"the loss of training read {steps_text(run.read_in_training)}"
        repair = "Train it with --set readout.at=all; or read it at steps that were not trained, with --at all."
        raise CompileError(Diagnostic("single-readout", "readout.at", found, trained, repair))
    network.to(choose_device(device))
    values, predicted, areas = _answers(run, network, stimuli, rule, read, batch_size)
    return Decisions(
        name=run.spec.name,
        data=stimuli.name,
        rule=rule,
        files=stimuli.files,
        class_names=stimuli.classes,
        classes=run.classes,
        labels=run.labels(stimuli.classes),
        steps=read,
        read_in_training=run.read_in_training,
        values=values,
        predicted=predicted,
        macs=_costs(network, read),
        xi=areas,
        reaction_times=times,
    )


def _answers(
    run: TrainedRun, network: CompiledNetwork, stimuli: Stimuli, rule: Rule, read: Sequence[int], size: int
) -> tuple[Numbers, Whole, Numbers]:
    """The measure and the class [N, n] of each image at each step, and its uncertainty area [N]."""
    device, parts = next(network.parameters()).device, []
    with torch.inference_mode():
        for images in stimuli.batches(size):
            logits = logits_per_step(network(run.prepare(images.to(device)))).float().cpu()
            parts.append((*measure(logits, rule), uncertainty_area(logits, torch.tensor(read))))
    values, predicted, areas = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    return values, predicted, areas


def _costs(network: CompiledNetwork, read: Sequence[int]) -> tuple[int, ...]:
    """Multiply-adds for one image until each readout step: those of the network that is read up to it alone."""
    spec = network.spec
    return tuple(totals(*lower(spec.read_at(tuple(read[: n + 1])))).flops // 2 for n in range(len(read)))
