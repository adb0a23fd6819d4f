"""Attribution over time: how much each frame of the image, and each area at each step, adds to a readout.

Let F(x) be the readout of one class at one step, x the image as a video with a frame for each step, x' a baseline, and
γ(α) = x' + α (x − x') for α from 0 to 1. For each pixel of each frame, integrated gradients (Sundararajan et al. 2017):

    (x − x') ∫ ∂F/∂x (γ(α)) dα

For each unit of each area at each step, whose state at γ(α) is h(α), its conductance (Dhamdhere et al. 2019),
integrated along the path of states (Shrikumar et al. 2018), because a state inside the network has no straight path:

    ∫ ∂F/∂h (γ(α)) · dh/dα dα

∂F/∂h counts every way from h to F, also that through later states of the same area. Both are complete: the frames sum
to F(x) − F(x'), and so do all areas at the end of any step together with the later frames, without delays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from cortexgraph.arguments import arguments_explained
from cortexgraph.compiler import unroll
from cortexgraph.errors import CompileError, CortexGraphError, DataError, Diagnostic
from cortexgraph.extras import require
from cortexgraph.files import csv_table, replacing, write_text
from cortexgraph.loading import check_images
from cortexgraph.network import CompiledNetwork, unwrapped
from cortexgraph.training.evaluation import in_evaluation
from cortexgraph.training.run import with_readouts
from cortexgraph.unrolling import UnrolledGraph
from cortexgraph.wording import listed, suggest, unknown_area

INPUTS_AT_A_TIME = 16
"""Points of the path times images that one call of the network computes."""

Classes = int | str | Sequence[int | str]
Readout = Callable[[Tensor], tuple[Tensor, Mapping[tuple[str, int], Tensor]]]


@dataclass(frozen=True)
class Attribution:
    """What each frame, and each area at each step, adds to the readout of a class.

    Attributes:
        step: of the readout.
        targets: the class of each image, int64 [B].
        images: what was attributed, a video [B, T, C, H, W].
        frames: attributions to the image at each step, [B, T, C, H, W].
        states: attributions to the units of an area at the end of a step, [B, C, H, W] by (area, step), for all
            states that reach the readout.
        difference: by how much the readout exceeds that of the baseline, [B].
        gap: what the frames' sum lacks of it: the error of the numerical integration, [B].
    """

    step: int
    targets: Tensor
    images: Tensor
    frames: Tensor
    states: Mapping[tuple[str, int], Tensor]
    difference: Tensor
    gap: Tensor

    def sums(self) -> dict[str, dict[int, Tensor]]:
        """The sum over units [B], by area, from low to high and `image` first, and step."""
        every = {"image": {n: frame.flatten(1).sum(1) for n, frame in enumerate(self.frames.unbind(1), 1)}}
        for (area, step), values in self.states.items():
            every.setdefault(area, {})[step] = values.flatten(1).sum(1)
        return every

    def rows(self) -> list[dict[str, object]]:
        """For a table: the sum of each image, area and step."""
        return [
            {"image": n, "target": int(self.targets[n]), "area": area, "step": step, "attribution": value}
            for area, by_step in self.sums().items()
            for step, values in by_step.items()
            for n, value in enumerate(values.tolist())
        ]

    @arguments_explained
    def save(self, folder: str | Path) -> tuple[Path, ...]:
        """Write attribution.npz (all units), attribution.csv (sums), frames.png and states.png to a folder.

        Returns:
            The files.
        """
        from cortexgraph.probing.pictures import draw_frames, draw_states

        out = Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        names = ("attribution.npz", "attribution.csv", "frames.png", "states.png")
        arrays, table, frames, states = paths = tuple(out / name for name in names)
        units = {f"{area} step {step}": values.numpy() for (area, step), values in self.states.items()}
        scores = {"frames": self.frames, "targets": self.targets, "difference": self.difference, "gap": self.gap}
        with replacing(arrays) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **units, **{key: v.numpy() for key, v in scores.items()})
        write_text(table, csv_table(self.rows()))
        draw_frames(self.images, self.frames, frames)
        draw_states(self.sums(), states)
        return paths


@arguments_explained
def attribute(
    network: nn.Module,
    images: Tensor,
    target: Classes | None = None,
    step: int | None = None,
    *,
    areas: Sequence[str] | None = None,
    readout: str | None = None,
    baseline: Tensor | None = None,
    points: int = 64,
    classes: Sequence[str] = (),
) -> Attribution:
    """Attribute a readout at one step to the image at each frame and to each area at each step.

    Args:
        network: a network of `cortexgraph.compile`, or the `.network` of a run. It is run in evaluation mode.
        images: [B, C, H, W], or videos [B, T, C, H, W], normalised as in training (`prepare` of a run).
        target: the class, or that of each image: a number, or one of the names in `classes`; by default the class
            that the network sees in each image at the step.
        step: of the readout; by default the last at which the network is read.
        areas: whose states are attributed to; all by default.
        readout: its name; by default the first.
        baseline: of the shape of one image or of all; by default zeros, the mean colour of the training images.
        points: at which gradients are taken on the way from the baseline to the image.
        classes: names of the classes, in the order of the logits.

    Returns:
        The attributions, on the processor.

    Raises:
        CompileError: with all findings, for an unknown area, readout or class, or a step at which nothing is read.
        DataError: for images of another size.

    Examples:
        >>> import cortexgraph as cg
        >>> run = cg.load_run("ventral-cifar10")
        >>> images = run.prepare(torch.rand(1, 3, 32, 32))
        >>> result = cg.attribute(run.network, images, "cat", step=5, classes=run.classes, points=4)
        >>> result.states["V4", 4].shape, sorted(result.sums()["IT"])
        (torch.Size([1, 64, 8, 8]), [4, 5])
    """
    require("attribution")
    own = unwrapped(network)
    check_images(images, own.unrolled.areas.image_shape)
    name = readout or own.unrolled.areas.readouts[0].name
    view, targets, step = _prepared(own, name, target, step, areas, classes, images)
    device = next(own.parameters(), images).device
    video = images if images.ndim == 5 else images[:, None].expand(-1, view.spec.time.steps, -1, -1, -1)
    video = video.to(device)
    start = torch.zeros_like(video) if baseline is None else _video_of(baseline.to(video), video)
    position = view.unrolled.readout_steps(name).index(step)

    def read(x: Tensor) -> tuple[Tensor, Mapping[tuple[str, int], Tensor]]:
        result = view(x)
        logits, states = result if view.options.record else (result, {})
        logits = logits[name] if isinstance(logits, Mapping) else logits
        return (logits[:, position] if logits.ndim == 3 else logits), states

    with in_evaluation(view, device), torch.enable_grad():
        targets = (read(video)[0].argmax(1) if targets is None else targets).to(device)
        frames, difference, gap = _integrated(read, video, start, targets, points)
        states = _conducted(read, video, start, targets, points)
    images, frames, difference = (each.detach().cpu() for each in (video[:, :step], frames[:, :step], difference))
    return Attribution(step, targets.cpu(), images, frames, states, difference, gap.detach().cpu())


def _prepared(
    own: CompiledNetwork,
    readout: str,
    target: Classes | None,
    step: int | None,
    areas: Sequence[str] | None,
    classes: Sequence[str],
    images: Tensor,
) -> tuple[CompiledNetwork, Tensor | None, int]:
    """The network that reads at the step and records the areas up to it, the classes if given, and the step."""
    graph = own.unrolled
    names = [each.name for each in graph.areas.readouts]
    if readout not in names:
        repair = suggest(readout, names, "Give one of these.")
        expected = f"the readouts are {', '.join(names)}"
        raise CompileError(Diagnostic("unknown-readout", "readout", f"`{readout}` was given", expected, repair))
    steps = graph.readout_steps(readout)
    step = max(steps) if step is None else step
    count = graph.areas.readouts[names.index(readout)].classes
    targets, findings = _targets(target, count, classes, len(images))
    view = None
    try:
        read = own.spec if step in steps else with_readouts(own.spec, step)
        full = unroll(read, video=True)
        states, unread = _states_before(full, readout, step, areas)
        findings += unread
        view = own.under(read, None if findings else states)
    except CortexGraphError as error:
        findings += error.diagnostics
    if findings or view is None:
        raise CompileError(findings)
    return view, targets, step


def _states_before(
    full: UnrolledGraph, readout: str, step: int, areas: Sequence[str] | None
) -> tuple[dict[str, list[int]], list[Diagnostic]]:
    """The steps of each area at whose ends its state reaches the readout, and what is wrong with the areas."""
    combined = next(each for each in full.areas.readouts if each.name == readout).over_time != "each"
    ends = [node for node in full.readouts if node.name == readout and node.step <= step]
    past = full.live_past(node for node in ends if combined or node.step == step)
    known = [*full.areas.spec.areas]
    every = known if areas is None else [areas] if isinstance(areas, str) else [*dict.fromkeys(areas)]
    states = {name: [n for n in range(1, step + 1) if full.state(name, n) in past] for name in every if name in known}
    findings = []
    for name in every if areas is not None else ():
        if name not in known:
            findings.append(Diagnostic("unknown-area", "areas", *unknown_area(name, known)))
        elif not states[name] and past:
            found = f"no state of {name} reaches the readout at step {step}"
            findings.append(Diagnostic("dead-area", "areas", found, repair="Leave the area out, or read later."))
    return {name: steps for name, steps in states.items() if steps}, findings


def _targets(
    target: Classes | None, count: int, names: Sequence[str], images: int
) -> tuple[Tensor | None, list[Diagnostic]]:
    """The class of each image, int64 [B], if it is given, and what is wrong with it."""
    several = [target] * images if isinstance(target, int | str) else [*(target or ())]
    known: dict[int | str, int] = {name: number for number, name in enumerate(names)} | {n: n for n in range(count)}
    findings = []
    if target is not None and len(several) != images:
        found, expected = f"{len(several)} classes were given", f"there are {images} images"
        findings.append(Diagnostic("bad-target", "target", found, expected, "Give one class, or one for each image."))
    for each in dict.fromkeys(several):
        if each not in known:
            expected = f"the classes are {listed([*names])}" if names else f"the readout has {count} classes"
            repair = suggest(str(each), names, "Give one of these." if names else f"Give 0 to {count - 1}.")
            findings.append(Diagnostic("bad-target", "target", f"there is no class `{each}`", expected, repair))
    targets = None if target is None or findings else torch.tensor([known[each] for each in several])
    return targets, findings


def _video_of(baseline: Tensor, video: Tensor) -> Tensor:
    """The baseline of every frame of every image."""
    if baseline.ndim == 4 and len(baseline) == len(video):
        baseline = baseline[:, None]  # one image for each
    try:
        return baseline.expand_as(video).contiguous()
    except RuntimeError:
        found, expected = f"it is {[*baseline.shape]}", f"one image is {[*video.shape[2:]]}"
        repair = "Give one image, or one for each image."
        raise DataError(Diagnostic("bad-images", "baseline", found, expected, repair)) from None


def _integrated(read: Readout, video: Tensor, start: Tensor, targets: Tensor, points: int) -> tuple[Tensor, ...]:
    """Integrated gradients of the frames, the difference of the readouts, and what the sum lacks of it."""
    from captum.attr import IntegratedGradients

    method = IntegratedGradients(lambda x: read(x)[0])
    at_a_time = max(len(video), INPUTS_AT_A_TIME)
    frames, excess = method.attribute(
        video, start, targets, n_steps=points, internal_batch_size=at_a_time, return_convergence_delta=True
    )
    total = frames.flatten(1).sum(1)
    return frames, total - excess, -excess


def _conducted(
    read: Readout, video: Tensor, start: Tensor, targets: Tensor, points: int
) -> dict[tuple[str, int], Tensor]:
    """The conductance of every recorded state, by the trapezoidal rule along its path."""
    totals: dict[tuple[str, int], Tensor] = {}
    before: dict[tuple[str, int], tuple[Tensor, Tensor]] = {}
    for point in range(points + 1):
        x = torch.lerp(start, video, point / points).requires_grad_()
        logits, recorded = read(x)
        score = logits.gather(1, targets[:, None]).sum()
        moving = {key: state for key, state in recorded.items() if state.requires_grad}
        slopes = torch.autograd.grad(score, [*moving.values()], allow_unused=True) if moving else ()
        by_key = dict(zip(moving, slopes, strict=True))
        for key, state in recorded.items():
            slope = by_key.get(key)
            now = state.detach(), torch.zeros_like(state) if slope is None else slope
            if point:
                step = (now[1] + before[key][1]) / 2 * (now[0] - before[key][0])
                totals[key] = totals[key] + step if key in totals else step
            before[key] = now
    return {key: total.cpu() for key, total in totals.items()}
