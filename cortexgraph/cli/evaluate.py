"""`eval`: accuracy of a trained network at each step of readout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cortexgraph.cli.options import DeviceOption, OrderOption, SplitOption, StepsOption, check_split
from cortexgraph.cli.train import DataRootOption, DownloadOption, located, share_processor
from cortexgraph.errors import DataError, Diagnostic

if TYPE_CHECKING:
    from cortexgraph.training import Evaluation

__all__ = ["evaluate", "parse_order", "parse_steps"]


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, as `cortexgraph train` left it.")],
    data: Annotated[
        str | None,
        typer.Option(
            "--data", metavar="shapes|cifar10|DIR", help="Images of the same classes.", show_default="those of the run"
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="all|STEPS",
            help="Steps of readout: all from the first response on, or a list such as 4,6,8.",
            show_default="as trained",
        ),
    ] = None,
    steps: StepsOption = None,
    order: OrderOption = None,
    split: SplitOption = "test",
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Also write the table as CSV.")] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Also draw accuracy over time: .png, .svg or .pdf.")
    ] = None,
    device: DeviceOption = "auto",
    batch_size: Annotated[int, typer.Option("--batch-size", metavar="N", min=1, help="Images at a time.")] = 500,
    download: DownloadOption = False,
    data_root: DataRootOption = None,
) -> None:
    """Evaluate a run over time: accuracy at each step of readout, also at steps that training did not read.

    The weights are those of the run's best epoch.

    Example: cortexgraph eval runs/ventral-shapes --at all --steps 12 --plot over_time.png
    """
    share_processor()
    from cortexgraph.data import load_data
    from cortexgraph.training import evaluate as evaluate_run
    from cortexgraph.training import load_run

    check_split(split)
    readouts, groups = parse_steps(at), parse_order(order)
    opened = load_run(run)
    _check_files(csv, plot)
    result = evaluate_run(
        opened,
        load_data(**{**opened.data_arguments(located(data), data_root), "download": download}),
        at=readouts,
        steps=steps,
        order=groups,
        split=split,  # type: ignore[arg-type]
        device=device,
        batch_size=batch_size,
    )
    _print(result)
    _write(result, csv, plot)


def parse_steps(text: str | None) -> Any:
    """Steps of readout as `--at` gives them: `all`, or numbers with commas."""
    if text is None or text == "all":
        return text
    try:
        return tuple(int(step) for step in text.split(","))
    except ValueError:
        raise typer.BadParameter("all, or steps with commas such as 4,6,8", param_hint="--at") from None


def parse_order(text: str | None) -> Any:
    """An order as `--order` gives it: a word, or a list in YAML."""
    from cortexgraph.spec.overrides import written_override

    return None if text is None else written_override(("time", "order"), text, f"--order {text}").value


def _check_files(csv: Path | None, plot: Path | None) -> None:
    """What can be said of the files to be written before the evaluation, which can take a while."""
    findings = [
        Diagnostic("unwritable", str(path), f"there is no folder {path.parent}", repair="Make it, or name another.")
        for path in (csv, plot)
        if path is not None and not path.parent.is_dir()
    ]
    if plot is not None and plot.suffix not in {".png", ".svg", ".pdf"}:
        repair = "Give one of these."
        findings.append(Diagnostic("suffix", str(plot), "the suffix is not .png, .svg or .pdf", repair=repair))
    if findings:
        raise DataError(findings)


def _print(result: Evaluation) -> None:
    from rich.console import Console

    from cortexgraph.cli.tables import make_table

    table = make_table(
        f"{result.name} on {Path(result.data).name}: {result.images:,} {result.split} images",
        ["readout step>r", "accuracy>r", "loss (nats)>r", ""],
    )
    for step in result.steps:
        bar = "█" * round(30 * step.accuracy)
        table.add_row(f"{step.step}{'' if step.trained else '†'}", f"{step.accuracy:.2%}", f"{step.loss:.3f}", bar)
    console = Console()
    console.print(table)
    if not all(step.trained for step in result.steps):
        console.print(
            "† uses a connection, or the norm of an update, that no readout of the training run depended on;\n"
            "  train with --set readout.at=all, or with shared norms, to compare these steps.",
            markup=False,
            highlight=False,
        )


def _write(result: Evaluation, csv: Path | None, plot: Path | None) -> None:
    from cortexgraph.files import write_text
    from cortexgraph.training.curves import draw_accuracy_over_time
    from cortexgraph.training.history import csv_text

    if csv is not None:
        write_text(csv, csv_text(result.rows()))
        typer.echo(f"wrote {csv}")
    if plot is not None:
        draw_accuracy_over_time(
            [step.step for step in result.steps],
            [step.accuracy for step in result.steps],
            [step.trained for step in result.steps],
            1 / result.classes,
            f"{result.name} on {Path(result.data).name}",
            [plot],
        )
        typer.echo(f"wrote {plot}")
