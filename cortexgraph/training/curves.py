"""Pictures of training and of accuracy over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cortexgraph.files import replacing
from cortexgraph.training.records import EpochRecord, best_epoch
from cortexgraph.training.tasks import ACCURACY, is_share, metric_name, metric_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#222222")
"""Okabe & Ito (2008): colour-blind readers tell them apart too."""
TRAIN, TEST, *_ = COLOURS
GREY = "#999999"
LEGEND: dict[str, Any] = {"frameon": False, "loc": "center left", "bbox_to_anchor": (1, 0.5)}
"""Right of the axes, where nothing is covered."""
ABOVE: dict[str, Any] = {"frameon": False, "loc": "lower center", "bbox_to_anchor": (0.5, 1), "ncols": 2}
"""Above the axes, for few entries."""


def draw_curves(history: Sequence[EpochRecord], title: str, paths: Sequence[Path]) -> None:
    """Loss and accuracy against epochs, and accuracy by readout step where there are several."""
    several, split = len(history[-1].scores) > 1, history[-1].split
    with figure_of(3 if several else 2, title) as (figure, axes):
        epochs = [record.epoch for record in history]
        losses = [r.train_loss for r in history], [r.loss for r in history]
        _two_lines(axes[0], epochs, *losses, split)
        score = history[-1].score
        axes[0].set_ylabel("loss (nats)" if score == ACCURACY else "loss")
        axes[0].margins(y=0.08)  # the highest point stands below the end of the axis
        lowest = 0.0 if len(epochs) == 1 else max(axes[0].get_ylim()[0], min(0.0, *losses[0], *losses[1]))
        axes[0].set_ylim(lowest, axes[0].get_ylim()[1])
        train, other = [scaled(score, r.train_score) for r in history], [scaled(score, r.last_score) for r in history]
        _two_lines(axes[1], epochs, train, other, split)
        best = best_epoch(history)
        label = f"best on {split}: {metric_text(score, best.last_score, 1)}"
        axes[1].plot([best.epoch], [scaled(score, best.last_score)], "o", color=TEST, label=label)
        axes[1].set_ylabel(axis_label(score))
        for axis in axes[:2]:
            axis.legend(**ABOVE)
        if several:
            _by_step(figure, axes[2], history)
        for axis in axes:
            axis.set_xlabel("epoch")
            if len(epochs) == 1:
                low, high = axis.get_ylim()
                axis.set(xlim=(epochs[0] - 1, epochs[0] + 2), ylim=(low, high + 0.05 * (high - low)))
        save_figure(figure, paths)


def scaled(score: str, value: float) -> float:
    """A value of a metric as figures show it: shares in per cent."""
    return 100 * value if is_share(score) else value


def axis_label(score: str) -> str:
    """The label of an axis of this metric."""
    return f"{metric_name(score)}{' (%)' * is_share(score)}"


def draw_accuracy_over_time(
    steps: Sequence[int],
    accuracy: Sequence[float],
    trained: Sequence[bool],
    chance: float | None,
    title: str,
    paths: Sequence[Path],
    score: str = ACCURACY,
) -> None:
    """Accuracy in [0, 1], or another score, against the step of readout; steps with untrained parameters are hollow."""
    with figure_of(1, title) as (figure, axes):
        percent = [scaled(score, value) for value in accuracy]
        axes[0].plot(steps, percent, "o-", color=TEST, label="readout")
        hollow = [index for index, reached in enumerate(trained) if not reached]
        if hollow:
            places = [steps[n] for n in hollow], [percent[n] for n in hollow]
            axes[0].plot(*places, "o", color=TEST, markerfacecolor="white", label="uses untrained parameters")
        if chance is not None:
            axes[0].axhline(100 * chance, color=GREY, linestyle=":", label="chance")
            axes[0].set_ylim(0, 100)
        axes[0].set(xlabel="step of readout", ylabel=axis_label(score))
        axes[0].legend(**ABOVE)
        save_figure(figure, paths)


def _two_lines(axis: Axes, epochs: Sequence[int], train: Sequence[float], other: Sequence[float], split: str) -> None:
    marker = "o" if len(epochs) == 1 else "." if len(epochs) < 40 else None
    axis.plot(epochs, train, color=TRAIN, linestyle="--", marker=marker, label="train (augmented)")
    axis.plot(epochs, other, color=TEST, marker=marker, label=split)


def _by_step(figure: Figure, axis: Axes, history: Sequence[EpochRecord]) -> None:
    """One line for each readout step, from light (early) to dark (late)."""
    from matplotlib import colormaps

    epochs, steps, score = [record.epoch for record in history], list(history[-1].scores), history[-1].score
    for index, step in enumerate(steps):
        colour = colormaps["viridis_r"]((index + 1) / len(steps))
        values = [scaled(score, record.scores[step]) for record in history]
        axis.plot(epochs, values, color=colour, marker="o" if len(epochs) == 1 else ".", label=f"step {step}")
    axis.set_ylabel(f"{history[-1].split} {metric_name(score)} by readout step{' (%)' * is_share(score)}")
    axis.legend(**LEGEND, ncols=1 + len(steps) // 13)


@contextmanager
def figure_of(
    panels: int, title: str, size: tuple[float, float] | None = None, *, integers: bool = True
) -> Iterator[tuple[Figure, Sequence[Axes]]]:
    """A figure of panels side by side, of a size in inches; it needs no display and leaves the user's matplotlib alone.

    `integers` says whether the ticks of x are whole numbers.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.rcsetup import cycler
    from matplotlib.ticker import MaxNLocator

    style: dict[Any, object] = {
        "axes.prop_cycle": cycler(color=COLOURS),
        "axes.spines.top": False,
        "axes.spines.right": False,
        "font.size": 9,
        "svg.fonttype": "none",
        "svg.hashsalt": "cortexgraph",
    }
    with matplotlib.rc_context(style):
        figure = Figure(figsize=size or (4 * panels, 3.2), layout="constrained")
        figure.suptitle(title.replace("$", r"\$"), fontsize=10, wrap=True)
        axes = figure.subplots(1, panels, squeeze=False)[0]
        for axis in axes:
            axis.xaxis.set_major_locator(MaxNLocator(integer=integers))
        yield figure, axes


def save_figure(figure: Figure, paths: Sequence[Path]) -> None:
    """Write the figure, whole or not at all; an SVG has no date in it."""
    for path in paths:
        metadata = {"Date": None} if path.suffix == ".svg" else None
        with replacing(path, durable=True) as temporary:
            figure.savefig(temporary, dpi=200, metadata=metadata)
