"""Pictures of attributions and of preferred stimuli."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from cortexgraph.training.curves import figure_of, save_figure

MOST_ROWS, MOST_COLUMNS = 12, 10

Floats = npt.NDArray[np.floating[Any]]


def draw_frames(images: Tensor, frames: Tensor, path: Path) -> None:
    """Each image, and beside it the attributions to its frames, summed over channels: red adds, blue takes away."""
    rows, shown = min(len(images), MOST_ROWS), _spread(frames.shape[1])
    maps = frames.sum(2).numpy()  # [B, T, H, W]
    with figure_of(1, "attribution to the image at each step", size=(1.1 * len(shown) + 2.2, 1.1 * rows + 0.7)) as (
        figure,
        (whole,),
    ):
        whole.remove()
        grid: Any = figure.subplots(rows, 1 + len(shown), squeeze=False)
        for n, line in enumerate(grid):
            line[0].imshow(_picture(images[n, 0]))
            most = np.abs(maps[n]).max() or 1
            for axis, frame in zip(line[1:], shown, strict=True):
                last = axis.imshow(maps[n, frame], cmap="RdBu_r", vmin=-most, vmax=most)
                axis.set_title(f"step {frame + 1}: {maps[n, frame].sum():.2g}", fontsize=8)
            figure.colorbar(last, ax=[*line[1:]], shrink=0.8, aspect=10)
        _without_ticks(grid)
        save_figure(figure, [path])


def draw_states(sums: Mapping[str, Mapping[int, Tensor]], path: Path) -> None:
    """The summed attribution of each area at each step, averaged over images; the highest area is on top."""
    areas = [*sums][::-1]
    steps = sorted({step for by_step in sums.values() for step in by_step})
    values = np.full((len(areas), len(steps)), np.nan)
    for row, area in enumerate(areas):
        for step, each in sums[area].items():
            values[row, steps.index(step)] = float(each.mean())
    size = (0.55 * len(steps) + 2.4, 0.32 * len(areas) + 1.3)
    with figure_of(1, "attribution to each area at each step", size=size) as (figure, (axis,)):
        most = np.nanmax(np.abs(values)) or 1
        image = axis.imshow(values, cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto")
        axis.set_yticks(range(len(areas)), [area.replace("$", r"\$") for area in areas])
        axis.set_xticks(range(len(steps)), [str(step) for step in steps])
        axis.set_xlabel("step")
        for row, column in zip(*np.nonzero(np.isfinite(values)), strict=True) if len(steps) <= MOST_COLUMNS else ():
            value = values[row, column]
            colour = "white" if abs(value) > 0.6 * most else "black"
            axis.text(column, row, f"{value:.2g}", ha="center", va="center", fontsize=7, color=colour)
        figure.colorbar(image, ax=axis)
        save_figure(figure, [path])


def draw_stimuli(stimuli: Tensor, names: Sequence[str], title: str, path: Path) -> None:
    """A grid of stimuli [N, C, H, W], or videos [N, T, C, H, W] with a row each; grey is 0."""
    if stimuli.ndim == 5:
        shown = _spread(stimuli.shape[1])
        pictures = [_picture(video[frame], float(video.abs().max())) for video in stimuli for frame in shown]
        labels = [f"{name}, step {frame + 1}" for name in names for frame in shown]
        columns = len(shown)
    else:
        pictures, labels = [_picture(one, float(one.abs().max())) for one in stimuli], [*names]
        columns = int(np.ceil(np.sqrt(len(labels))))
    rows = -(-len(labels) // columns)
    with figure_of(1, title, size=(max(1.2 * columns, 3), 1.35 * rows + 0.5)) as (figure, (whole,)):
        whole.remove()
        grid: Any = figure.subplots(rows, columns, squeeze=False)
        for axis, picture, label in zip(grid.flat, pictures, labels, strict=False):
            axis.imshow(picture)
            axis.set_title(label, fontsize=7)
        _without_ticks(grid)
        save_figure(figure, [path])


def _spread(count: int) -> list[int]:
    """The frames that are shown, at most MOST_COLUMNS, with the first and the last."""
    return [*dict.fromkeys(np.linspace(0, count - 1, min(count, MOST_COLUMNS)).round().astype(int).tolist())]


def _picture(values: Tensor, most: float | None = None) -> Floats:
    """[C, H, W] as a picture [H, W, 3]: from its own minimum to its maximum, or with grey for 0 and up to `most`."""
    shown = values if len(values) == 3 else values.mean(0, keepdim=True).expand(3, -1, -1)
    low, high = (float(shown.min()), float(shown.max())) if most is None else (-most, most)
    picture: Floats = ((shown - low) / ((high - low) or 1)).permute(1, 2, 0).numpy()
    return picture


def _without_ticks(grid: Any) -> None:
    for axis in grid.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        for side in axis.spines.values():
            side.set_visible(False)
