"""`compare`: variants of a spec × seeds, in one table and one figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cortexgraph.cli.train import DataRootOption, DownloadOption, located, share_processor

if TYPE_CHECKING:
    from cortexgraph.experiment.compare import Comparison

__all__ = ["compare"]


def compare(
    experiment: Annotated[Path, typer.Argument(metavar="EXPERIMENT", help="An experiment file (.yaml or .json).")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Folder of the experiment.", show_default="runs/NAME"),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", metavar="shapes|cifar10|DIR", help="Other images.", show_default="those of the experiment"
        ),
    ] = None,
    download: DownloadOption = False,
    data_root: DataRootOption = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", metavar="N", min=1, help="Runs at a time.")] = 1,
    engine: Annotated[
        str, typer.Option("--engine", metavar="here|ray|slurm", help="Where the runs are carried out.")
    ] = "here",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Repeat runs in DIR that another experiment made.")
    ] = False,
    reuse: Annotated[
        list[Path] | None,
        typer.Option(
            "--reuse", metavar="DIR", help="Take over runs that other experiments in DIR have trained. Repeatable."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, list the runs, and stop.")] = False,
) -> None:
    """Train variants of a spec with several seeds, and compare them in one table and one figure.

    Runs that are finished are not repeated: after an interruption, also a kill, the same command goes on. A run that
    fails does not stop the others; then the exit code is 1.

    Example: cortexgraph compare examples/liao_poggio_2016/small/order.yaml --data path/to/cifar10 --jobs 2
    """
    share_processor()
    from cortexgraph.experiment.compare import compare as carry_out
    from cortexgraph.experiment.plan import folder_name, load_experiment

    found = load_experiment(experiment)
    folder = out or Path("runs") / folder_name(found.name)
    arguments = _data(found.data.arguments, data, download=download, root=data_root)
    if dry_run:
        _list(found, folder, arguments)
        return
    try:
        result = carry_out(
            found,
            folder,
            data=arguments,
            jobs=jobs,
            engine=engine,
            overwrite=overwrite,
            reuse=reuse or (),
            tell=typer.echo,
        )
    except KeyboardInterrupt as stopped:
        typer.echo(f"{str(stopped) or 'Stopped.'} The same command goes on.", err=True)
        raise typer.Exit(getattr(stopped, "exit_code", 130)) from None
    _report(result)
    if result.failures:
        for outcome in result.failures:
            typer.echo(f"{outcome.run}: {outcome.error.strip()}", err=True)
        raise typer.Exit(1)


def _data(asked: dict[str, Any], source: str | None, *, download: bool, root: Path | None) -> dict[str, Any]:
    """The arguments of `load_data`."""
    asked["source"] = located(asked["source"] if source is None else source)
    if download:
        asked["download"] = True
    if root is not None:
        asked["root"] = str(root.expanduser().resolve())
    return asked


def _list(experiment: Any, folder: Path, arguments: dict[str, Any]) -> None:
    from rich.console import Console

    from cortexgraph.cli.tables import make_table
    from cortexgraph.compiler import compile_spec
    from cortexgraph.experiment.compare import prepare
    from cortexgraph.training.summary import count_parameters

    table = make_table(f"Runs of {experiment.name}", ["run", "trained parameters>r", "folder", ""])
    counts: dict[str, int] = {}
    runs, outcomes = prepare(experiment, folder, arguments)
    for run in runs:
        if run.variant.name not in counts:
            counts[run.variant.name] = count_parameters(compile_spec(run.variant.spec))
        table.add_row(
            run.name, f"{counts[run.variant.name]:,}", str(run.folder), "finished" if run.name in outcomes else ""
        )
    Console().print(table)


def _report(result: Comparison) -> None:
    """The table of the last readout steps, and where everything is."""
    from math import isnan

    from rich.console import Console

    from cortexgraph.cli.tables import make_table

    if not result.table:
        return
    axes = list(dict.fromkeys(axis for row in result.table for axis in row.values)) or ["variant"]
    columns = [*axes, "evaluation", "step>r", "parameters>r", "accuracy (%)>r", "time>r"]
    seeds = max(len(row.accuracies) for row in result.table)
    table = make_table(f"Test accuracy at the last readout step, mean ± s.d. over {seeds} seeds", columns)
    for row in (row for row in result.table if row.last):
        values = [row.values.get(axis, "") for axis in axes] if row.values else [row.variant]
        spread = "" if isnan(row.sd) else f" ± {100 * row.sd:.2f}"
        mark = "" if row.trained else "†"
        accuracy = f"{100 * row.mean:.2f}{spread}{mark}".replace(" ", "\u00a0")
        numbers = [str(row.step), f"{row.parameters:,}", accuracy, f"{row.seconds:,.0f}\u00a0s"]
        table.add_row(*values, row.evaluation, *numbers)
    console = Console()
    console.print(table)
    if not all(row.trained for row in result.table if row.last):
        console.print("† uses parameters that no readout of the training run depended on.", highlight=False)
    typer.echo(f"wrote {result.folder}/table.csv, figure.svg and figure.png; the runs are in {result.folder}/runs")
