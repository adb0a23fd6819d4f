"""Preferred stimuli: images, or videos, that drive a unit of an area most at one step (Erhan et al. 2009).

The search goes uphill in the Fourier coefficients of the stimulus, each divided by its frequency, which favours smooth
stimuli (Olah et al. 2017), under a fixed root-mean-square contrast; the stimulus is moved by some pixels at each turn.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf, prod
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from cortexgraph.arguments import arguments_explained
from cortexgraph.errors import CompileError, CortexGraphError, CortexGraphWarning, Diagnostic
from cortexgraph.network import CompiledNetwork, unwrapped
from cortexgraph.program import check_choice
from cortexgraph.training.evaluation import in_evaluation
from cortexgraph.wording import count_of, listed

STARTS, DRAWS = 32, 32
"""Random stimuli from which each unit chooses the one that drives it most, and how often more are drawn for some."""

RATE = 0.05
"""Of Adam; the coefficients start with variance 1, and the contrast does not depend on their size."""

Place = Literal["centre", "all"]


@dataclass(frozen=True)
class PreferredStimuli:
    """The stimuli that drive some units of an area most.

    Attributes:
        area: whose units.
        step: when.
        units: the channels, N of them.
        stimuli: in the units of the network's input, [N, C, H, W], or videos [N, T, C, H, W].
        responses: of the units to them, [N].
    """

    area: str
    step: int
    units: tuple[int, ...]
    stimuli: Tensor
    responses: Tensor

    @arguments_explained
    def draw(self, path: str | Path) -> None:
        """Draw the stimuli as .png, .svg or .pdf: a grid of images, or a row for each video.

        Grey is 0, the mean of the training images; each stimulus is scaled to its own largest value.
        """
        from cortexgraph.probing.pictures import draw_stimuli

        names = [f"unit {unit}" for unit in self.units]
        draw_stimuli(self.stimuli, names, f"preferred stimuli of {self.area} at step {self.step}", Path(path))


@arguments_explained
def preferred_stimulus(
    network: nn.Module,
    area: str,
    unit: int | Sequence[int] = 0,
    step: int | None = None,
    *,
    over: Place = "centre",
    video: bool = False,
    contrast: float = 1.0,
    smoothness: float = 1.0,
    jitter: int = 2,
    iterations: int = 256,
    seed: int = 0,
) -> PreferredStimuli:
    """Search for the stimuli that drive units of an area most at one step.

    Args:
        network: a network of `cortexgraph.compile`, or the `.network` of a run. It is run in evaluation mode.
        area: its name.
        unit: a channel, or several, counted from 0.
        step: at whose end the state counts; by default the last.
        over: `centre`, the unit in the middle of the area, or `all`, the mean of its channel over space.
        video: whether each step has a frame of its own; otherwise the image is static.
        contrast: root mean square of the stimulus, in standard deviations of the training images.
        smoothness: the power of the frequency by which coefficients are divided; 0 for none.
        jitter: largest shift of the stimulus during the search, in pixels.
        iterations: of the search.
        seed: of the random starts.

    Returns:
        The stimuli, on the processor.

    Raises:
        CompileError: with all findings, for an unknown area or unit, or a step at which the area is silent.

    Examples:
        >>> import cortexgraph as cg
        >>> network = cg.load_run("ventral-cifar10").network
        >>> cg.preferred_stimulus(network, "V4", unit=[3, 7], step=5, iterations=2).stimuli.shape
        torch.Size([2, 3, 32, 32])
    """
    check_choice("over", over, ("centre", "all"))
    own = unwrapped(network)
    at = own.spec.time.steps if step is None else step
    units = (unit,) if isinstance(unit, int) else tuple(unit)
    view = _recording(own, area, units, at)
    kind = next(own.parameters(), torch.zeros(()))
    random = torch.Generator().manual_seed(seed)
    shape = ((own.spec.time.steps,) if video else ()) + own.unrolled.areas.image_shape
    stimulus = _parametrised(shape, contrast, smoothness, kind)

    def responses(x: Tensor) -> Tensor:
        state: Tensor = view(x)[1][area, at]
        return state[:, :, state.shape[2] // 2, state.shape[3] // 2] if over == "centre" else state.mean((2, 3))

    with in_evaluation(view, kind.device), torch.enable_grad():
        draw = partial(torch.randn, STARTS, *shape[:-1], shape[-1] // 2 + 1, 2, generator=random)
        coefficients = _starts(lambda: draw().to(kind), lambda x: responses(stimulus(x))[:, list(units)])
        optimizer = torch.optim.Adam([coefficients], RATE)
        for _ in range(iterations):
            shift = torch.randint(-jitter, jitter + 1, (2,), generator=random).tolist()
            driven = _own(responses(stimulus(coefficients).roll(shift, (-2, -1))), units)
            (slope,) = torch.autograd.grad(-driven.sum(), [coefficients], materialize_grads=True)
            coefficients.grad = slope
            optimizer.step()
        with torch.no_grad():
            stimuli = stimulus(coefficients)
            reached = _own(responses(stimuli), units)
    if silent := [str(unit) for unit, response in zip(units, reached.tolist(), strict=True) if response == 0]:
        what = f"{listed(silent)} of {area} did not respond at step {at} to any stimulus that was tried"
        warnings.warn(f"unit{'s' * (len(silent) > 1)} {what}: the stimuli are noise", CortexGraphWarning, stacklevel=3)
    return PreferredStimuli(area, at, units, stimuli.cpu(), reached.cpu())


@torch.no_grad()
def _starts(draw: Callable[[], Tensor], responses: Callable[[Tensor], Tensor]) -> Tensor:
    """For each unit the coefficients that drive it most; none responds where a nonlinearity holds it at 0."""
    best, most = torch.zeros(()), torch.tensor(-inf)
    for _ in range(DRAWS):
        starts = draw()
        values, which = responses(starts).max(0)  # [N]
        best = torch.where((values > most.to(values)).view(-1, *[1] * (starts.ndim - 1)), starts[which], best)
        most = values.maximum(most.to(values))
        if most.all():
            break
    return best.requires_grad_()


def _own(responses: Tensor, units: Sequence[int]) -> Tensor:
    """The response of each unit [N] to its own stimulus."""
    return responses[range(len(units)), list(units)]


def _recording(own: CompiledNetwork, area: str, units: Sequence[int], step: int) -> CompiledNetwork:
    """The network that returns the area's state at the step; CompileError with all findings."""
    findings: list[Diagnostic] = []
    areas = own.unrolled.areas
    channels = areas.area(area).channels if areas.is_area(area) else None
    if beyond := [str(unit) for unit in units if channels is not None and not 0 <= unit < channels]:
        found = f"unit {', '.join(beyond)} of {area} was asked for"
        expected = f"it has {count_of(channels or 0, 'channel')}"
        findings.append(Diagnostic("unknown-unit", "units", found, expected, "Count channels from 0."))
    if not units:
        findings.append(Diagnostic("unknown-unit", "units", "no unit was named", repair="Name one, such as 0."))
    view: CompiledNetwork | None = None
    try:
        view = own.under(own.spec, {area: [step]})
    except CortexGraphError as error:
        findings += error.diagnostics
    if findings or view is None:
        raise CompileError(findings)
    return view


def _parametrised(
    shape: tuple[int, ...], contrast: float, smoothness: float, kind: Tensor
) -> Callable[[Tensor], Tensor]:
    """From coefficients [N, …, H, W // 2 + 1, 2] to stimuli [N, …, H, W] of this contrast."""
    rows, columns = (torch.fft.fftfreq(shape[-2]), torch.fft.rfftfreq(shape[-1]))
    frequency = (rows[:, None] ** 2 + columns**2).sqrt().clamp(min=1 / max(shape[-2:]))
    scale = (frequency**-smoothness).to(kind)[..., None]

    def stimulus(coefficients: Tensor) -> Tensor:
        pixels: Tensor = torch.fft.irfft2(torch.view_as_complex(coefficients * scale), shape[-2:])
        size: Tensor = pixels.flatten(1).norm(dim=1) / prod(shape) ** 0.5
        return pixels * contrast / size.view(-1, *[1] * len(shape))

    return stimulus
