"""`train`: train a spec on images."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, overload

import typer

from cortexgraph.cli.options import OrderOption, SetOption, StepsOption, changes
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.spec import NetworkSpec, load
from cortexgraph.spec.overrides import Override
from cortexgraph.training.settings import TrainSettings

if TYPE_CHECKING:
    from cortexgraph.training import Summary

__all__ = ["load_images", "located", "share_processor", "train"]

SpecOrNothing = Annotated[
    str | None,
    typer.Argument(metavar="SPEC", help="A spec file, or the name of a zoo spec; with --resume that of the run."),
]
DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="shapes|cifar10|DIR",
        help="Built-in shapes, CIFAR-10, or a folder with train/CLASS/* and test/CLASS/*.",
        show_default="shapes",
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="RUN", help="Folder of the run.", show_default="runs/SPEC-DATA"),
]
DownloadOption = Annotated[bool, typer.Option("--download", help="Download CIFAR-10 if it is not there.")]
DataRootOption = Annotated[
    Path | None, typer.Option("--data-root", metavar="DIR", help="Where CIFAR-10 is kept.", show_default=False)
]


def _setting(name: str, kind: str = "", default: str | None = None) -> Any:
    """An option for a field of `TrainSettings`; not giving it leaves the default, or what a resumed run has."""
    field = TrainSettings.model_fields[name]
    option = "--" + name.replace("_", "-")
    return typer.Option(
        option if kind else f"{option}/--no-{name.replace('_', '-')}",
        metavar=kind or None,
        help=field.description,
        show_default=default or str(field.default),
        rich_help_panel="How to train",
    )


def train(
    spec: SpecOrNothing = None,
    data: DataOption = None,
    out: OutOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run in RUN, exactly.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the run in RUN.")] = False,
    epochs: Annotated[int | None, _setting("epochs", "N")] = None,
    batch_size: Annotated[int | None, _setting("batch_size", "N")] = None,
    optimizer: Annotated[str | None, _setting("optimizer", "sgd|adamw")] = None,
    lr: Annotated[float | None, _setting("lr", "X", "by optimizer")] = None,
    weight_decay: Annotated[float | None, _setting("weight_decay", "X", "by optimizer")] = None,
    schedule: Annotated[str | None, _setting("schedule", "one-cycle|step|cosine|constant")] = None,
    label_smoothing: Annotated[float | None, _setting("label_smoothing", "X")] = None,
    loss_over: Annotated[str | None, _setting("loss_over", "all|last")] = None,
    clip: Annotated[float | None, _setting("clip", "X")] = None,
    augment: Annotated[bool | None, _setting("augment")] = None,
    seed: Annotated[int | None, _setting("seed", "N")] = None,
    precision: Annotated[str | None, _setting("precision", "32|bf16|16")] = None,
    device: Annotated[str | None, _setting("device", "auto|cpu|mps|cuda[:N]")] = None,
    devices: Annotated[int | None, _setting("devices", "N")] = None,
    channels_last: Annotated[bool | None, _setting("channels_last")] = None,
    checkpoint: Annotated[str | None, _setting("checkpoint", "none|sqrt|N|4GB")] = None,
    deterministic: Annotated[bool | None, _setting("deterministic")] = None,
    train_images: Annotated[
        int | None, typer.Option("--train-images", metavar="N", help="Use only so many.", show_default="all")
    ] = None,
    test_images: Annotated[
        int | None, typer.Option("--test-images", metavar="N", help="Use only so many.", show_default="all")
    ] = None,
    download: DownloadOption = False,
    data_root: DataRootOption = None,
    overrides: SetOption = None,
    steps: StepsOption = None,
    order: OrderOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
) -> None:
    """Train a spec on images and leave a folder with weights, metrics, curves and a summary.

    Ctrl-C leaves a run that --resume continues exactly; it needs no other option than --out.

    Example: cortexgraph train ventral --data shapes --epochs 12 --out runs/first
    """
    given = {
        "epochs": epochs,
        "batch_size": batch_size,
        "optimizer": optimizer,
        "lr": lr,
        "weight_decay": weight_decay,
        "schedule": schedule,
        "label_smoothing": label_smoothing,
        "loss_over": loss_over,
        "clip": clip,
        "augment": augment,
        "seed": seed,
        "precision": precision,
        "device": device,
        "devices": devices,
        "channels_last": channels_last,
        "checkpoint": checkpoint,
        "deterministic": deterministic,
    }
    asked = {"source": data, "root": data_root, "train_images": train_images, "test_images": test_images}
    wishes = {name: value for name, value in asked.items() if value is not None} | {"download": download}
    _run(spec, changes(overrides, steps, order), wishes, given, out, resume=resume, overwrite=overwrite, quiet=quiet)


def share_processor() -> None:
    """Let torch's threads sleep, not spin, while they wait for each other; to be called before torch is imported.

    Where other programs use the processor, spinning threads take from each other what they wait for: training
    the ventral stream on 2 cores with one of them in use was measured 5 to 20 times slower. On an idle machine
    sleeping costs a few per cent. A policy that the user has set in the environment stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _run(
    spec: str | None,
    overrides: list[str | Override],
    wishes: dict[str, Any],
    given: Mapping[str, Any],
    out: Path | None,
    *,
    resume: bool,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Gather spec, data and settings, train, and say what came of it."""
    share_processor()
    from cortexgraph.training import Interrupted, RunFolder
    from cortexgraph.training import train as train_network
    from cortexgraph.training.engine import is_first_process

    if resume and out is None:
        raise typer.BadParameter("--resume needs the folder of the run", param_hint="--out")
    if spec is None and not resume:
        raise typer.BadParameter("a spec file, or the name of a zoo spec, is needed", param_hint="SPEC")
    before = RunFolder(out) if resume and out is not None else None
    if before is not None:
        before.check_startable(resume=True)
        if spec is None and not before.spec.exists():
            raise before.damaged(before.spec, "is missing")
    network = load(spec or str(before.spec if before else ""), overrides)
    settings = _settings(given, before)
    arguments = _data_arguments(wishes, before)
    folder = out or _free_folder(network, str(arguments["source"]))
    if is_first_process():  # before the data is loaded, which can take a while
        RunFolder(folder).check_startable(resume=resume, overwrite=overwrite)
    try:
        summary = train_network(
            network,
            load_images(network, arguments),
            settings,
            folder,
            resume=resume,
            overwrite=overwrite,
            quiet=quiet,
            origin={name: value for name, value in arguments.items() if name != "download"},
            command=["cortexgraph", *sys.argv[1:]],
        )
    except KeyboardInterrupt as stopped:
        if RunFolder(folder).is_run and not RunFolder(folder).is_finished:  # not before the data is loaded
            message = str(stopped) or "Stopped."
            typer.echo(f"{message} Resume with: cortexgraph train --resume --out {shlex.quote(str(folder))}", err=True)
        raise typer.Exit(stopped.exit_code if isinstance(stopped, Interrupted) else 130) from None
    if not quiet and is_first_process():
        _report(summary)


def _settings(given: Mapping[str, Any], before: Any) -> TrainSettings:
    """The settings given, over those of the run that is resumed or the defaults."""
    stored = before.read_settings().get("settings", {}) if before is not None else {}
    return TrainSettings.model_validate(stored | {name: value for name, value in given.items() if value is not None})


def _data_arguments(wishes: dict[str, Any], before: Any) -> dict[str, Any]:
    """Arguments of `load_data`: those given, over those of the run that is resumed, over `shapes`."""
    stored = before.read_card()["load_data"] if before is not None else None
    found: dict[str, Any] = {"source": "shapes"} | (stored or {}) | wishes
    found["source"] = located(found["source"])
    if found.get("root") is not None:
        found["root"] = str(Path(found["root"]).expanduser().resolve())
    return found


@overload
def located(source: str) -> str: ...
@overload
def located(source: None) -> None: ...
def located(source: str | None) -> str | None:
    """A data set as it is named from any working directory: a folder by its whole path."""
    if source is None:
        return None
    from cortexgraph.data.load import as_path, is_name

    path = as_path(source)
    return str(path.resolve()) if not is_name(source) and path.is_dir() else source


def load_images(spec: NetworkSpec, arguments: Mapping[str, Any]) -> Any:
    """The data set of some arguments of `load_data`, in the size that the network takes."""
    from cortexgraph.data import load_data

    size = spec.input.size
    pair = (size, size) if isinstance(size, int) else (size[0], size[1])
    return load_data(**{**arguments, "size": pair, "channels": spec.input.channels})


def _free_folder(spec: NetworkSpec, source: str) -> Path:
    """runs/SPEC-DATA, or with -2, -3, … where that is taken."""
    name = f"{spec.name}-{Path(source).name}".replace("/", "_").replace(" ", "_")
    base = Path("runs")
    for number in range(1, 10_000):
        folder = base / (name if number == 1 else f"{name}-{number}")
        if not folder.exists():
            return folder
    raise DataError(
        Diagnostic("run-folder", str(base), f"all names from {name} to {folder.name} are taken", repair="Give --out.")
    )


def _report(summary: Summary) -> None:
    """Accuracy per readout step, where the run is, and what to do next."""
    from rich.console import Console

    from cortexgraph.cli.tables import make_table

    table = make_table(
        f"{summary.name} on {Path(summary.data).name}",
        ["readout step>r", "test accuracy>r", f"best epoch ({summary.best_epoch})>r"],
    )
    for step, accuracy in summary.accuracy.items():
        table.add_row(str(step), f"{accuracy:.2%}", f"{summary.best_accuracy[step]:.2%}")
    console = Console()
    console.print(table)
    console.print(
        f"{summary.parameters:,} trained parameters, {summary.epochs} epochs in {summary.seconds:,.0f} s "
        f"on {summary.device}.\n"
        f"Run:  {summary.run}  (summary.md, curves.png, metrics.csv, weights.safetensors, …)\n"
        f"Next: cortexgraph eval {summary.run} --at all\n"
        f"      tensorboard --logdir {summary.run}",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
