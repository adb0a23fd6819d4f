"""`compare`: variants of a spec × seeds, in one table and one figure. `brain`: a network against recordings."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cortexgraph.cli import options
from cortexgraph.errors import DataError
from cortexgraph.files import unwritable
from cortexgraph.wording import count_of

if TYPE_CHECKING:
    from cortexgraph.brain import BrainComparison
    from cortexgraph.experiment.compare import Comparison
    from cortexgraph.experiment.model import ExperimentSpec


def compare(
    file: Annotated[Path, typer.Argument(metavar="EXPERIMENT", help="An experiment file (.yaml or .json).")],
    out: Annotated[Path | None, options.option("-o --out", "DIR", "Folder of the experiment.", "runs/NAME")] = None,
    data: Annotated[
        str | None, options.option("--data", options.DATA, "Other images.", "those of the experiment")
    ] = None,
    download: options.DownloadOption = False,
    data_root: options.DataRootOption = None,
    jobs: Annotated[int, options.option("-j --jobs", "N", "Number of runs at a time.", min=1)] = 1,
    engine: Annotated[str, options.choice("--engine", "here|ray|slurm", "Where to train.")] = "here",
    overwrite: Annotated[
        bool, options.option("--overwrite", None, "Repeat the runs in DIR that belong to another experiment.")
    ] = False,
    reuse: Annotated[
        list[Path] | None,
        options.option("--reuse", "DIR", "Copy runs that other experiments in DIR have trained. Repeatable."),
    ] = None,
    dry_run: Annotated[bool, options.option("--dry-run", None, "Check the experiment and list its runs.")] = False,
) -> None:
    """Train variants of a spec with several seeds, and compare them in one table and one figure.

    Finished runs are not repeated: after an interruption, even a kill, the same command continues. A run that fails
    does not stop the others; the exit code is then 1.

    Example: cortexgraph compare examples/liao_poggio_2016/small/order.yaml --data path/to/cifar10 --jobs 2
    """
    options.prepare("train")
    from cortexgraph.experiment.compare import compare as run_experiment
    from cortexgraph.experiment.plan import folder_name, load_experiment

    experiment = load_experiment(file)
    options.check_text()
    folder = out or Path("runs") / folder_name(experiment.name)
    arguments: dict[str, object] = dict(experiment.data.arguments)
    arguments["source"] = options.located(str(arguments["source"]) if data is None else data)
    if download:
        arguments["download"] = True
    if data_root is not None:
        arguments["root"] = str(data_root.expanduser().resolve())
    if dry_run:
        _list(experiment, folder, arguments)
        return
    try:
        result = run_experiment(
            experiment,
            folder,
            data=arguments,
            jobs=jobs,
            engine=engine,
            overwrite=overwrite,
            reuse=reuse or (),
            tell=typer.echo,
        )
    except KeyboardInterrupt as stopped:
        typer.echo(f"{str(stopped) or 'Stopped.'} The same command continues.", err=True)
        raise typer.Exit(getattr(stopped, "exit_code", 130)) from None
    _report(result)
    if result.failures:
        for outcome in result.failures:
            typer.echo(f"{outcome.run}: {outcome.error.strip()}", err=True)
        raise typer.Exit(1)


def _list(experiment: ExperimentSpec, folder: Path, arguments: dict[str, object]) -> None:
    from cortexgraph.cli.tables import print_table
    from cortexgraph.compiler import unroll
    from cortexgraph.experiment.compare import prepare as prepare_runs
    from cortexgraph.unrolling import trained_parameters

    runs, outcomes = prepare_runs(experiment, folder, arguments)
    specs = {run.variant.name: run.variant.spec for run in runs}
    counts = {name: f"{trained_parameters(unroll(spec)):,}" for name, spec in specs.items()}
    rows = [
        (run.name, counts[run.variant.name], str(run.folder), "finished" if run.name in outcomes else "")
        for run in runs
    ]
    if experiment.search is not None:
        typer.echo(f"{experiment.search.trials} trials × {count_of(len(experiment.seeds), 'seed')}, in {folder}/runs")
        return
    print_table(f"Runs of {experiment.name}", ["run", "trained parameters>r", "folder", ""], rows)


def _report(result: Comparison) -> None:
    """Print the table of the last readout steps, and where everything is."""
    from math import isnan

    from cortexgraph.cli.tables import print_table
    from cortexgraph.training.tasks import metric_name

    rows = [row for row in result.table if row.last]
    if not rows:
        return
    axes = list(dict.fromkeys(axis for row in result.table for axis in row.values))
    cells = []
    for row in rows:
        values = [row.values.get(axis, "") for axis in axes] if row.values else [row.variant]
        digits = 2 if row.factor > 1 else 4
        spread = "" if isnan(row.sd) else f" ± {row.factor * row.sd:.{digits}f}"
        score = f"{row.factor * row.mean:.{digits}f}{spread}{'' if row.trained else '†'}"
        numbers = (str(row.step), f"{row.parameters:,}", score, f"{row.seconds:,.0f} s")
        cells.append((*values, row.evaluation, row.epoch, *numbers))
    seeds = max(len(row.scores) for row in result.table)
    print_table(
        f"Test {metric_name(rows[0].metric)} at the last readout step, mean ± s.d. over {count_of(seeds, 'seed')}",
        [
            *(axes or ["variant"]),
            "evaluation",
            "epoch",
            "step>r",
            "trained parameters>r",
            f"{rows[0].unit}>r",
            "time>r",
        ],
        cells,
    )
    if not all(row.trained for row in rows):
        typer.echo("† uses parameters that no readout of the training run depended on.")
    if result.best:
        typer.echo(result.best)
    typer.echo(f"wrote {result.folder}/table.csv, figure.svg and figure.png; the runs are in {result.folder}/runs")


def brain(
    run: options.RunArgument,
    data: Annotated[Path, options.option("--data", "FILE", "Recording: .nc (NetCDF), .npz or .csv.")],
    stimuli: Annotated[Path, options.option("--stimuli", "DIR", "Images that were shown, named by stimulus_id.")],
    out: Annotated[
        Path | None, options.option("-o --out", "DIR", "Folder for the tables (CSV) and figures.", "only print")
    ] = None,
    areas: Annotated[str | None, options.option("--areas", "V4,IT", "Which areas.", "all")] = None,
    at: Annotated[str, options.choice("--at", "all|last|STEPS", "Steps to compare, such as 4,6,8.")] = "all",
    steps: options.StepsOption = None,
    order: options.OrderOption = None,
    folds: Annotated[int, options.option("--folds", "N", "Parts of the stimuli for cross-validation.", min=2)] = 5,
    seed: Annotated[int, options.option("--seed", "N", "Of folds and of halves of repetitions.", min=0)] = 0,
    plots: Annotated[str, options.choice("--plots", "png|svg|pdf", "Format of the figures.")] = "png",
    device: options.DeviceOption = "auto",
    batch_size: options.BatchSizeOption = 100,
    spec: options.WeightsSpecOption = None,
    key_map: options.MapOption = None,
) -> None:
    """Compare every area and step of a trained network with recordings from the brain.

    For each region of the recording it gives representational similarity (RSA), linear CKA and cross-validated ridge
    encoding, each with its noise ceiling where there are repetitions, and the area and step that the region is
    committed to. Data with time bins also give the matrix of model steps and time bins. docs/brain.md describes the
    files and the measures.

    Example: cortexgraph brain runs/ventral-shapes --data neural.nc --stimuli my_stimuli --out comparison
    """
    options.prepare("train", "brain")
    if findings := unwritable(out, folder=True):
        raise DataError(findings)
    from cortexgraph.brain import compare_with_brain
    from cortexgraph.training import load_run

    result = compare_with_brain(
        load_run(run, spec=spec, key_map=key_map),
        data,
        stimuli,
        areas=options.read_names(areas),
        steps=options.read_steps(at),
        total_steps=steps,
        order=options.read_order(order),
        folds=folds,
        seed=seed,
        device=device,
        batch_size=batch_size,
        tell=lambda line: typer.echo(line, err=True),
    )
    _report_brain(result)
    for path in () if out is None else result.save(out, plots):
        typer.echo(f"wrote {path}")


def _report_brain(result: BrainComparison) -> None:
    """For each region and area its best step by each measure; then what each region is committed to."""
    from cortexgraph.cli.tables import print_table

    measures = {"rsa": "RSA", "cka": "CKA", "encoding": "encoding"}
    best = {name: result.best(name, ["region", "area"]).set_index(["region", "area"]) for name in measures}
    rows = []
    for region in result.scores.region.unique():
        for area in result.scores.area.unique():
            own = [best[name].loc[region, area] if (region, area) in best[name].index else None for name in measures]
            cells = ["–" if each is None else f"{each.score:.3f} @{each.step}" for each in own]
            rows.append((str(region), str(area), *cells))
        ceilings = (result.whole(name).set_index("region").loc[[region]].iloc[0] for name in measures)
        texts = (_range(each.ceiling_low, each.ceiling) for each in ceilings)
        rows.append((str(region), "noise ceiling", *texts))
    title = f"{result.name}: highest score of each area, and its step"
    print_table(title, ["region", "area", *(f"{name}>r" for name in measures.values())], rows)
    for row in result.commitment.itertuples():
        ceiling = f", {row.normalised:.0%} of the ceiling" if isfinite(row.normalised) else ""
        held_out = f"encoding of held-out stimuli {row.score:.3f}{ceiling}"
        typer.echo(f"{row.region} is committed to {row.area} at step {row.step}: {held_out}")


def _range(low: float, high: float) -> str:
    if not isfinite(high):
        return "–"
    return f"{high:.3f}" if low == high else f"{low:.3f}–{high:.3f}"
