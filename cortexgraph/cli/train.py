"""`train`: train a spec on images."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic.fields import FieldInfo

from cortexgraph.cli import options
from cortexgraph.errors import CortexGraphError, Diagnostic
from cortexgraph.registrations import imported
from cortexgraph.spec import NetworkSpec
from cortexgraph.spec.fields import pair
from cortexgraph.spec.overrides import Override
from cortexgraph.training.settings import TrainSettings, choices_of, kind_of, stored_settings
from cortexgraph.training.tasks import frames_needed, target_arguments
from cortexgraph.wording import count_of

if TYPE_CHECKING:
    from cortexgraph.training import RunFolder, Summary


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each field of `TrainSettings`, in place of its `**settings`.

    An option that is not given is None: it leaves the default, or the value of the run that is resumed.
    """
    settings: dict[str, object] = {}
    for name, field in TrainSettings.model_fields.items():
        kind: Any = list[str] if kind_of(name) is tuple else kind_of(name)
        settings[name] = Annotated[kind | None, _setting(name, field)]
    return options.with_options(command, settings)


def _setting(name: str, field: FieldInfo) -> object:
    flag = name.replace("_", "-")
    is_flag = isinstance(field.default, bool)
    return typer.Option(
        f"--{flag}/--no-{flag}" if is_flag else f"--{flag}",
        metavar=None if is_flag else _metavar(name, field),
        help=field.description,
        show_default=_default(field),
        rich_help_panel="Training settings",
    )


def _metavar(name: str, field: FieldInfo) -> str:
    extra = field.json_schema_extra
    own = extra.get("metavar") if isinstance(extra, dict) else None
    return str(own or "|".join(choices_of(name)) or ("N" if kind_of(name) is int else "X"))


def _default(field: FieldInfo) -> str:
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    return str(extra.get("default", field.default))


SpecArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="SPEC",
        help="A spec file, or the name of a zoo spec; with --resume or --from RUN by default that of the run.",
    ),
]
DATA = "Built-in shapes, CIFAR-10, a folder with train/CLASS/* and test/CLASS/*, shards or arrays (docs/data.md)."
DataOption = Annotated[str | None, options.option("--data", options.DATA, DATA, "shapes")]
VIDEO = "The innermost folders of DIR are videos, with a frame for each step."
VideoOption = Annotated[bool, options.option("--video", None, VIDEO)]
OutOption = Annotated[Path | None, options.option("-o --out", "RUN", "Folder of the run.", "runs/SPEC-DATA")]
ResumeOption = Annotated[bool, options.option("--resume", None, "Resume the interrupted run in RUN bit for bit.")]
EXTEND = "Continue the finished run in RUN for N epochs; the schedule starts again."
ExtendOption = Annotated[int | None, options.option("--extend", "N", EXTEND, "none", min=1)]
FROM = "Start from the weights of a run or a file; readouts for other classes stay new."
FromOption = Annotated[str | None, options.option("--from", "RUN|FILE", FROM)]
OverwriteOption = Annotated[bool, options.option("--overwrite", None, "Replace the run in RUN.")]
TrainImagesOption = Annotated[int | None, options.option("--train-images", "N", "Number of training images.", "all")]
TestImagesOption = Annotated[int | None, options.option("--test-images", "N", "Number of test images.", "all")]
LOGGER = "What tracks the metrics; metrics.csv is always written."
LoggerOption = Annotated[
    str | None, options.option("--logger", "csv,tensorboard,wandb,mlflow", LOGGER, "csv,tensorboard")
]
QuietOption = Annotated[bool, options.option("-q --quiet", None, "Print only errors.")]


@_with_settings
def train(
    spec: SpecArgument = None,
    data: DataOption = None,
    targets: options.TargetsOption = None,
    video: VideoOption = False,
    out: OutOption = None,
    resume: ResumeOption = False,
    extend: ExtendOption = None,
    init_from: FromOption = None,
    overwrite: OverwriteOption = False,
    train_images: TrainImagesOption = None,
    test_images: TestImagesOption = None,
    resize: options.ResizeOption = None,
    data_memory: options.MemoryOption = None,
    workers: options.WorkersOption = None,
    download: options.DownloadOption = False,
    data_root: options.DataRootOption = None,
    logger: LoggerOption = None,
    overrides: options.SetOption = None,
    steps: options.StepsOption = None,
    order: options.OrderOption = None,
    quiet: QuietOption = False,
    **settings: object,
) -> None:
    """Train a spec on images, and write a folder with weights, metrics, curves and a summary.

    With --targets, a loss such as mse and the readout say what the columns are: several numbers or labels, or maps
    (docs/tasks.md).

    Ctrl-C stops the run after the current batch. --resume, which needs only --out, then continues it bit for bit.
    --extend, which also needs only --out, continues a finished run.

    Example: cortexgraph train ventral --data shapes --epochs 12 --out runs/first
    """
    options.prepare("train")
    from cortexgraph.training import RunFolder
    from cortexgraph.training.processes import is_first_process, on_these_machines, resumed_on_these_machines

    _check_usage(spec, out, init_from, "--resume" if resume else "--extend" if extend else "")
    before = _run_to_go_on_with(RunFolder(out), resume, extend, overwrite) if out and (resume or extend) else None
    started = before.read_settings() if before is not None else None
    changed = {name: value for name, value in settings.items() if value not in (None, [])}
    with _at_options(changed):
        stored = None if before is None else resumed_on_these_machines(before.train_settings()).model_dump()
        chosen = _chosen_settings(changed, stored)
    network = options.load_spec(spec, overrides, steps, order) if spec is not None else None
    network = network or _spec_of_run(before, init_from, options.changes(overrides, steps, order))
    from cortexgraph.data import load_data  # what follows takes seconds to import
    from cortexgraph.training import train as train_network
    from cortexgraph.training.engine import DEFAULT_TRACKERS, check_trackers, reuse_freed_memory

    reuse_freed_memory()
    asked = {"source": data, "root": data_root, "train_images": train_images, "test_images": test_images}
    asked |= {"resize": resize, "memory": data_memory, "workers": workers, "targets": targets}
    arguments = _data_arguments(asked, before)
    arguments |= target_arguments(network, chosen.loss)
    arguments |= {"frames": frames_needed(network)} if video else {}
    trackers = started.logger if started is not None else DEFAULT_TRACKERS
    if (names := options.read_names(logger)) is not None:
        trackers = names
    folder = out or _free_folder(network, str(arguments["source"]))
    check_trackers(trackers, folder)
    options.check_text()
    if before is None:  # before the data is loaded, which can take a while
        RunFolder(folder).check_startable(overwrite=overwrite)
    shape = {"size": pair(network.input.size), "channels": network.input.channels}
    try:
        processes = on_these_machines(chosen).devices
        images = load_data(**{**arguments, "download": download, **shape}, processes=processes)
        with _at_options(changed):
            summary = train_network(
                network,
                images,
                chosen,
                folder,
                resume=resume,
                extend=extend or 0,
                init_from=init_from,
                overwrite=overwrite,
                quiet=quiet,
                logger=trackers,
                origin=arguments,
                command=["cortexgraph", *sys.argv[1:]],
            )
    except KeyboardInterrupt as stopped:
        raise _exit(stopped, RunFolder(folder)) from None
    if not quiet and is_first_process():
        _report(summary)


def _check_usage(spec: str | None, out: Path | None, init_from: str | None, going_on: str) -> None:
    """Refuse arguments that do not go together; `going_on` is the option by which a run goes on."""
    if going_on and out is None:
        raise typer.BadParameter(f"{going_on} needs the folder of the run", param_hint="--out")
    if going_on and init_from is not None:
        raise typer.BadParameter(f"with {going_on}, the run has its own weights: leave out --from", param_hint="--from")
    if spec is None and not going_on and (init_from is None or Path(init_from).is_file()):
        raise typer.BadParameter("a spec file, or the name of a zoo spec, is needed", param_hint="SPEC")


def _run_to_go_on_with(run: RunFolder, resume: bool, extend: int | None, overwrite: bool) -> RunFolder:
    """The run that is resumed or extended, or its extension if it has one."""
    run.check_startable(resume=resume, extend=bool(extend), overwrite=overwrite)
    return run.extension if run.extension.is_run else run


def _spec_of_run(before: RunFolder | None, init_from: str | None, changes: Sequence[str | Override]) -> NetworkSpec:
    """The spec of the run that goes on, or of that whose weights training starts from, with the changes."""
    from cortexgraph.training.named_runs import find_run

    source = before or find_run(str(init_from))
    if not source.is_run:
        raise source.no_run()
    return source.read_spec(changes)


def _exit(stopped: KeyboardInterrupt, run: RunFolder) -> BaseException:
    """What ends the command after Ctrl-C or SIGTERM; it says how to resume what has begun."""
    from cortexgraph.training import Interrupted
    from cortexgraph.training.processes import is_first_process

    code = stopped.exit_code if isinstance(stopped, Interrupted) else 130
    if not (run.is_being_extended or (run.is_run and not run.is_finished)):  # before the data was loaded
        return typer.Exit(code)
    if is_first_process():
        imports = [word for name in imported() for word in ("--import", name)]
        command = shlex.join(["cortexgraph", "train", "--resume", "--out", str(run.path), *imports])
        typer.echo(f"{str(stopped) or 'Stopped.'} Resume with: {command}", err=True)
    return SystemExit(code)


def _chosen_settings(changed: dict[str, object], stored: Mapping[str, object] | None) -> TrainSettings:
    """The settings of the options, over the recipe or over what the run that is resumed has stored."""
    if stored is None:
        return TrainSettings.model_validate(changed)
    named = {"recipe": TrainSettings.model_validate(changed).recipe} if "recipe" in changed else {}
    return stored_settings({**stored, **changed, **named})


@contextmanager
def _at_options(changed: Mapping[str, object]) -> Iterator[None]:
    """Findings of the block about settings that were typed as options name the options as their places."""
    try:
        yield
    except CortexGraphError as error:
        raise type(error)([_at_option(finding, changed) for finding in error.diagnostics]) from error.__cause__


def _at_option(finding: Diagnostic, changed: Mapping[str, object]) -> Diagnostic:
    name = finding.place.removeprefix("settings.").partition(".")[0]
    is_typed = finding.file is None and name in changed
    return replace(finding, place=f"--{name.replace('_', '-')}") if is_typed else finding


def _data_arguments(values: Mapping[str, object], before: RunFolder | None) -> dict[str, Any]:
    """Arguments of `load_data`: the values that are set, over those of the run that is resumed, over `shapes`."""
    stored = (before.read_card().arguments if before is not None else None) or {}
    set_values = {name: value for name, value in values.items() if value is not None}
    arguments: dict[str, Any] = {"source": "shapes"} | stored | set_values
    arguments["source"] = options.located(arguments["source"])
    paths = {name: arguments[name] for name in ("root", "targets") if arguments.get(name) is not None}
    arguments |= {name: str(Path(path).expanduser().resolve()) for name, path in paths.items()}
    return arguments


def _free_folder(spec: NetworkSpec, source: str) -> Path:
    """runs/SPEC-DATA, or with -2, -3, … where that is taken."""
    name = f"{spec.name}-{Path(source).name}".replace("/", "_").replace(" ", "_")
    folders = (Path("runs") / (f"{name}-{number}" if number > 1 else name) for number in count(1))
    return next(folder for folder in folders if not folder.exists())


def _report(summary: Summary) -> None:
    """Print the accuracy at each readout step, where the run is, and what to do next."""
    from cortexgraph.cli.tables import print_table

    print_table(
        f"{summary.name} on {Path(summary.data).name}",
        ["readout step>r", *(f"{column}>r" for column in summary.columns())],
        summary.rows(),
    )
    typer.echo(
        f"{summary.parameters_text}, {count_of(summary.epochs, 'epoch')} in {summary.seconds:,.0f} s "
        f"on {summary.device}.\n"
        f"Run:  {summary.run}  (summary.md, curves.png, metrics.csv, weights.safetensors, …)\n"
        f"Next: {_next_step(summary)}\n"
        f"      tensorboard --logdir {shlex.quote(str(summary.run))}"
    )


def _next_step(summary: Summary) -> str:
    """Evaluation over time, with what it can be expected to show."""
    command, read = f"cortexgraph eval {shlex.quote(str(summary.run))}", summary.read_in_training
    if len(read) > 1:
        return f"{command} --at all"
    return (
        f"{command}\n      (training read step {read[0]} alone: `--at all` shows steps at which the readout was not "
        "trained;\n      to compare steps, train with --set readout.at=all)"
    )
