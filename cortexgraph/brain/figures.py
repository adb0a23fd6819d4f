"""The two figures of a comparison: scores over steps by area, and model steps against time bins of the brain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cortexgraph.recording.plots import line_style
from cortexgraph.training.curves import GREY, LEGEND, figure_of, save_figure

if TYPE_CHECKING:
    import pandas

LABELS = {"rsa": "RSA (Spearman)", "cka": "linear CKA (debiased)", "encoding": "ridge encoding (median r)"}


def draw_scores(scores: pandas.DataFrame, name: str, path: Path) -> None:
    """A row for each region and a column for each measure: a line for each area over steps, and the noise ceiling."""
    whole = scores[scores.bin == "mean"]
    regions, areas = [*whole.region.unique()], [*whole.area.unique()]
    size = (3.3 * len(LABELS) + 1, 2.5 * len(regions) + 0.6)
    with figure_of(1, f"{name}: mean over time", size) as (figure, (empty,)):
        empty.remove()
        axes: Any = figure.subplots(len(regions), len(LABELS), squeeze=False, sharex=True)
        for row, region in zip(axes, regions, strict=True):
            for axis, measure in zip(row, LABELS, strict=True):
                _draw_panel(axis, whole[(whole.measure == measure) & (whole.region == region)], areas)
                axis.set(ylabel=f"{region}: {LABELS[measure]}", xlabel="step" if region == regions[-1] else "")
        axes[0][-1].legend(**LEGEND)
        save_figure(figure, [path])


def _draw_panel(axis: Any, rows: Any, areas: list[str]) -> None:
    for n, area in enumerate(areas):
        own = rows[rows.area == area]
        axis.plot(own.step, own.score, **line_style(n, area))
    low, high = rows.ceiling_low.iloc[0], rows.ceiling.iloc[0]
    if np.isfinite(high):
        axis.axhspan(low, high, color=GREY, alpha=0.4, linewidth=1)
    axis.axhline(0, color=GREY, linestyle=":", linewidth=0.8)
    axis.xaxis.get_major_locator().set_params(integer=True)


def draw_time(scores: pandas.DataFrame, committed: Mapping[str, str], name: str, path: Path) -> None:
    """For each region a matrix of encoding scores: steps of the area that it is committed to × time bins of the brain.

    For data without time bins: areas × steps.
    """
    encoding = scores[scores.measure == "encoding"]
    timed = (encoding.bin != "mean").any()
    size = (3.6 * len(committed) + 0.8, 3.2)
    with figure_of(len(committed), f"{name}: ridge encoding (median r)", size) as (figure, axes):
        image: Any = None
        for axis, (region, area) in zip(axes, committed.items(), strict=True):
            rows = encoding[encoding.region == region]
            if timed:
                rows = rows[(rows.area == area) & (rows.bin != "mean")].sort_values(["step", "time_bin_start"])
            down, across = ("step", "bin") if timed else ("area", "step")
            matrix = rows.pivot(index=down, columns=across, values="score")
            matrix = matrix.reindex(index=rows[down].unique(), columns=rows[across].unique())
            image = axis.imshow(
                matrix, vmin=0, vmax=encoding.score.max(), origin="lower", aspect="auto", cmap="viridis"
            )
            axis.set_xticks(range(len(matrix.columns)), matrix.columns, rotation=45 if timed else 0)
            axis.set_yticks(range(len(matrix.index)), matrix.index)
            axis.set(title=f"{region}: {area}" if timed else region)
            axis.set(xlabel="time bin of the brain (ms)" if timed else "step", ylabel="step" if timed else "area")
        figure.colorbar(image, ax=axes)
        save_figure(figure, [path])
