"""`eval` and `predict`: accuracy of a trained network, and what it sees in images, at each readout step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from cortexgraph.cli import options
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.files import unwritable
from cortexgraph.wording import PLOT_SUFFIXES, count_of, listed

if TYPE_CHECKING:
    from cortexgraph.data import Stimuli
    from cortexgraph.decisions import Decisions
    from cortexgraph.training import Evaluation, Predictions, TrainedRun
    from cortexgraph.training.evaluation import Tta


def evaluate(
    run: options.RunArgument,
    data: Annotated[
        str | None, options.option("--data", options.DATA, "Images of the same classes.", "those of the run")
    ] = None,
    targets: options.TargetsOption = None,
    at: options.AtOption = None,
    steps: options.StepsOption = None,
    order: options.OrderOption = None,
    split: options.SplitOption = "test",
    images: options.ImagesOption = None,
    csv: Annotated[Path | None, options.option("--csv", "FILE", "Also write the table as CSV.")] = None,
    plot: Annotated[
        Path | None, options.option("--plot", "FILE", f"Also draw accuracy over time: {listed(PLOT_SUFFIXES, 'or')}.")
    ] = None,
    device: options.DeviceOption = "auto",
    batch_size: options.BatchSizeOption = 500,
    tta: Annotated[
        str,
        options.choice(
            "--tta", "none|mirror|mirror+shift", "Average logits over mirrored or shifted views (Jordan 2024)."
        ),
    ] = "none",
    decide: Annotated[
        str | None,
        options.option("--decide", "RULE", 'When to decide, such as "entropy < 0.3": a step for each image.'),
    ] = None,
    reaction_times: Annotated[
        Path | None,
        options.option("--reaction-times", "FILE", "CSV of human reaction times (file, rt) to correlate with."),
    ] = None,
    download: options.DownloadOption = False,
    data_root: options.DataRootOption = None,
    spec: options.WeightsSpecOption = None,
    key_map: options.MapOption = None,
    intervene: options.InterveneOption = None,
) -> None:
    """Evaluate a run over time: accuracy at each readout step, also at steps that were not read out in training.

    The weights are those that the run keeps: of the epoch best on validation images, or of the last one.

    With --decide each image has a decision at the first step at which the rule is met: entropy (in nats) < N,
    max_probability > N or margin > N, or one of these over the probabilities so far, such as "cumulative entropy < 0.3"
    (docs/decisions.md). --csv has a row for each image then, and --plot draws speed against accuracy.

    Example: cortexgraph eval runs/ventral-shapes --at all --steps 12 --plot over_time.png

    Example: cortexgraph eval ventral-cifar10 --data cifar10 --images 500 --decide "entropy < 0.3" --csv decisions.csv

    Example: cortexgraph eval runs/ventral-shapes --intervene changes.yaml
    """
    options.prepare("train", *(["record"] if reaction_times is not None else []))
    from cortexgraph.data import load_data, load_stimuli
    from cortexgraph.training import evaluate as evaluate_run
    from cortexgraph.training import load_run

    updates = options.read_order(order)
    _check_decision(decide, reaction_times, tta)
    trained = replace(load_run(run, spec=spec, key_map=key_map), interventions=intervene)
    check_files(csv, plot)
    arguments = trained.data_arguments(options.located(data), data_root, targets) | {"download": download}
    if decide is not None:
        stimuli = load_stimuli(**arguments, split=split).chosen(images)
        readouts = None if at is None else options.read_steps(at)
        more = {"reaction_times": reaction_times, "device": device, "batch_size": batch_size}
        _decide(trained, stimuli, decide, {"at": readouts, "steps": steps, "order": updates, **more}, csv, plot)
        return
    if images is not None:
        arguments[f"{split}_images"] = images
    if trained.card.frames is not None:
        arguments["frames"] = trained.card.frames + (steps or trained.spec.time.steps) - trained.spec.time.steps
    result = evaluate_run(
        trained,
        load_data(**arguments),
        at=None if at is None else options.read_steps(at),
        steps=steps,
        order=updates,
        split=cast("Literal['test', 'train']", split),
        device=device,
        batch_size=batch_size,
        tta=cast("Tta", tta),
    )
    _print_evaluation(result)
    _write(result, csv, plot)


def _check_decision(decide: str | None, reaction_times: Path | None, tta: str) -> None:
    """Refuse options that do not go together, and a rule that is none, before the run is opened."""
    from cortexgraph.decisions.rule import read_rule

    if decide is None:
        if reaction_times is not None:
            repair = 'Add, for example, --decide "entropy < 0.3".'
            raise DataError(Diagnostic("missing-option", "--reaction-times", "there is no --decide", repair=repair))
        return
    read_rule(decide)
    if tta != "none":
        found, repair = "decisions are made on the image alone", "Leave --tta out."
        raise DataError(Diagnostic("conflict", "--tta", found, repair=repair))


def _decide(
    run: TrainedRun, stimuli: Stimuli, rule: str, more: dict[str, Any], csv: Path | None, plot: Path | None
) -> None:
    from cortexgraph.decisions import decide

    result = decide(run, stimuli, rule, **more)
    _print_decisions(result)
    _write(result, csv, plot)


def _write(result: Evaluation | Decisions, csv: Path | None, plot: Path | None) -> None:
    """Write the table and the figure that were asked for."""
    if csv is not None:
        _write_csv(csv, result.rows())
    if plot is not None:
        result.draw(plot)
        typer.echo(f"wrote {plot}")


def _print_decisions(result: Decisions) -> None:
    """How many images are decided at each step and how well, then all together and the correlations."""
    from cortexgraph.cli.tables import bar, print_table
    from cortexgraph.wording import count_text, step_ranges

    places, decided = result.places()
    rows, count = [], len(places)
    for n, step in enumerate(result.steps):
        here, known = places == n, (places == n) & (result.labels >= 0)
        right = (result.predicted[known, n] == result.labels[known]).mean() if known.any() else None
        accuracy, share = "" if right is None else f"{right:.2%}", here.sum() / count
        rows.append((str(step), f"{here.sum():,}", accuracy, count_text(result.macs[n]), bar(share, 30)))
    title = f"{result.name} on {Path(result.data).name}: {count:,} images, {result.rule}"
    print_table(title, ["step of decision>r", "images>r", "accuracy>r", "multiply-adds>r", ""], rows)
    whole = result.at(result.rule.threshold)
    saved = f"{count_text(round(whole.macs))} multiply-adds of {count_text(result.macs[-1])}"
    typer.echo(f"Mean step {whole.step:.2f}, accuracy {whole.accuracy:.2%}, {saved}; ξ {result.xi.mean():.3f}.")
    if not decided.all():
        typer.echo(f"{(~decided).sum():,} images never meet the rule: the last step decides.")
    if unread := [step for step in result.steps if step not in result.read_in_training]:
        typer.echo(f"The readout was not trained at {step_ranges(unread)}.")
    for each in result.correlations:
        if isnan(each.spearman):
            typer.echo(f"Reaction times and {each.measure}: no correlation, as one of the two is the same everywhere.")
            continue
        numbers = f"Spearman {each.spearman:.3f} (p = {each.spearman_p:.2g}), Pearson {each.pearson:.3f}"
        typer.echo(f"Reaction times and {each.measure}, {each.images:,} images: {numbers} (p = {each.pearson_p:.2g}).")


def check_files(csv: Path | None, plot: Path | None) -> None:
    """Refuse files that cannot be written, before the evaluation, which can take a while."""
    findings = unwritable(csv, plot)
    if plot is not None and plot.suffix not in PLOT_SUFFIXES:
        found = f"the suffix is not {listed(PLOT_SUFFIXES, 'or')}"
        findings.append(Diagnostic("suffix", str(plot), found, repair="Give one of these."))
    if findings:
        raise DataError(findings)


def _print_evaluation(result: Evaluation) -> None:
    from cortexgraph.cli.tables import bar, print_table
    from cortexgraph.training.tasks import ACCURACY, metric_name, metric_text
    from cortexgraph.wording import steps_text

    title = f"{result.title}: {count_of(result.images, f'{result.split} image')}"
    is_class = result.score == ACCURACY
    others = [*result.steps[0].metrics]
    names = [*([ACCURACY] if is_class else []), *others]
    loss = "cross-entropy (nats)" if is_class else "loss"
    columns = ["readout step>r", *(f"{metric_name(name)}>r" for name in names), f"{loss}>r", ""]
    rows = []
    for s in result.steps:
        values = {ACCURACY: s.accuracy, **s.metrics}
        texts = [metric_text(name, values[name]) for name in names]
        drawn = bar(min(1.0, max(0.0, values[result.score])), 30)
        rows.append((f"{s.step}{'' if s.trained else '†'}", *texts, f"{s.loss:.3f}", drawn))
    print_table(title, columns, rows)
    if not all(step.trained for step in result.steps):
        typer.echo(
            "† uses a connection, or the norm of an update, that no readout of the training run depended on;\n"
            "  train with --set readout.at=all, or with shared norms, to compare these steps."
        )
    if not all(step.read for step in result.steps):
        read = [step.step for step in result.steps if step.read]
        steps = f"{steps_text(read)} alone" if read else "none of these steps"
        typer.echo(f"Training read {steps}: at the other steps the readout was not trained.")


def predict(
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGE...", help="Images of any format that PIL reads, or folders of frames."),
    ],
    weights: Annotated[
        str, options.option("-w --weights", "NAME|RUN|FILE", "A trained network that ships, a run, or a checkpoint.")
    ] = "ventral-strong-cifar10",
    top: Annotated[int, options.option("--top", "N", "Number of classes to show.", min=1)] = 3,
    at: options.AtOption = None,
    steps: options.StepsOption = None,
    order: options.OrderOption = None,
    csv: Annotated[Path | None, options.option("--csv", "FILE", "Also write all probabilities as CSV.")] = None,
    device: options.DeviceOption = "auto",
    spec: options.WeightsSpecOption = None,
    key_map: options.MapOption = None,
) -> None:
    """Classify images with a trained network: class probabilities at each readout step.

    A network that was trained on other targets (docs/tasks.md) gives the numbers that it predicts; --csv has them all,
    for a network that answers for each place with a row for each place.

    Example: cortexgraph predict cat.jpg dog.png
    """
    options.prepare("train")
    from cortexgraph.training import load_run
    from cortexgraph.training import predict as predict_images

    check_files(csv, None)
    readouts = None if at is None else options.read_steps(at)
    run = load_run(weights, spec=spec, key_map=key_map)
    result = predict_images(images, run, at=readouts, steps=steps, order=options.read_order(order), device=device)
    _print_predictions(result, top)
    if csv is not None:
        _write_csv(csv, [*result.rows()])


def _print_predictions(result: Predictions, top: int) -> None:
    from cortexgraph.cli.tables import bar, print_table
    from cortexgraph.training.losses import CLASS

    for index, file in enumerate(result.files if result.kind != CLASS else ()):
        _print_values(str(file), result, index)
    for index, file in enumerate(result.files if result.kind == CLASS else ()):
        rows = []
        for label in result.probabilities[index, -1].argsort(descending=True)[:top].tolist():
            shares = result.probabilities[index, :, label].tolist()
            rows.append((result.classes[label], *(f"{share:.1%}" for share in shares), bar(shares[-1], 20)))
        columns = ["class", *(f"step {step}>r" for step in result.steps), ""]
        print_table(f"{file}: {result.best(index)}", columns, rows)
    typer.echo(f"{result.name}, trained on {result.data}.")


def _print_values(title: str, result: Predictions, index: int) -> None:
    """What is predicted for one image, at each step; of maps the mean over their places."""
    from cortexgraph.cli.tables import print_table

    values = result.values[index].flatten(2).mean(2) if result.values.ndim > 3 else result.values[index]  # [n, K]
    names = result.classes if len(result.classes) == values.shape[1] else [*map(str, range(values.shape[1]))]
    heading = "mean over places of" if result.values.ndim > 3 else "label" if result.kind == "labels" else "target"
    columns = [heading, *(f"step {step}>r" for step in result.steps)]
    rows = [(name, *(f"{value:.4g}" for value in values[:, n].tolist())) for n, name in enumerate(names)]
    print_table(title, columns, rows)


def _write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    from cortexgraph.files import csv_table, write_text

    write_text(path, csv_table(rows))
    typer.echo(f"wrote {path}")
