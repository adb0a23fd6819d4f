"""Arguments and options that several commands share, and how their values are read."""

from __future__ import annotations

import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer
from typer.models import OptionInfo

from cortexgraph.errors import CortexGraphError, Diagnostic
from cortexgraph.extras import check_numbers, require
from cortexgraph.spec import NetworkSpec, load
from cortexgraph.spec.overrides import Override, written_override
from cortexgraph.wording import GPU, PRINTED_WIDTH, count_of, listed, shortened, suggest

if TYPE_CHECKING:
    from cortexgraph.unrolling import Order

# ---- options with choices ----------------------------------------------------------

FORMS = {
    "N": ("[1-9][0-9]{0,5}", "a number"),
    "UNITS": ("[0-9]{1,6}(-[0-9]{1,6})?( *, *[0-9]{1,6}(-[0-9]{1,6})?)*", "units such as 0-8 or 3,7"),
    "STEPS": ("[0-9]{1,9}( *, *[0-9]{1,9})*", "steps such as 4,6,8"),
    "cuda:N": (GPU, "`cuda:N`"),
    "8.5cm": (PRINTED_WIDTH, "a printed width such as `8.5cm`"),
}
"""Choices that are not words: how they are written, and what a finding calls them."""


def option(flags: str, metavar: str | None, help: str, default: str | None = None, **more: Any) -> OptionInfo:
    """An option: its flags, such as `-o --out`, what its value is, its help, and what help calls the default."""
    info: OptionInfo = typer.Option(*flags.split(), metavar=metavar, help=help, show_default=default or True, **more)
    return info


def with_options(command: Callable[..., None], added: Mapping[str, object]) -> Callable[..., None]:
    """The command with further options, by name, in place of its `**` arguments; one that is not given is None."""
    signature = inspect.signature(command, eval_str=True)
    parameters = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    parameters += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in added.items()
    ]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def choice(flags: str, choices: str, help: str, default: str | None = None) -> OptionInfo:
    """An option whose choices are written as help shows them, such as `all|last|STEPS`; other values are refused."""
    return option(flags, choices, help, default, callback=_check_choice)


def _check_choice(param: typer.CallbackParam, value: str | list[str] | None) -> str | list[str] | None:
    choices = str(param.metavar).split("|")
    patterns = [FORMS[word][0] if word in FORMS else re.escape(word) for word in choices]
    for word in [value] if isinstance(value, str) else value or ():
        if not re.fullmatch("|".join(patterns), word):
            raise CortexGraphError(unknown_value(param.opts[0], word, choices))
    return value


def unknown_value(place: str, value: str, choices: Sequence[str]) -> Diagnostic:
    """The finding for a value that is not one of the choices."""
    words = [FORMS[word][1] if word in FORMS else f"`{word}`" for word in choices]
    repair = suggest(value, choices, "Give one of these.")
    expected = f"the choices are {listed(words)}"
    return Diagnostic("bad-choice", place, f"`{shortened(value)}` was given", expected, repair)


def _refuse_total_steps(value: str | None) -> None:
    if value is not None:
        repair = "Give --steps."
        finding = Diagnostic("renamed-option", "--total-steps", "this option has another name now", repair=repair)
        raise CortexGraphError(finding)


def _read_number_of_steps(text: str) -> int:
    """T as `--steps` gives it."""
    if re.fullmatch("-?[0-9]{1,9}", text):
        return int(text)
    which = re.fullmatch("all|last|" + FORMS["STEPS"][0], text)
    repair = f"Choose steps with --at {text}, where the command has it." if which else "Write for example --steps 8."
    expected = "it is the number of steps T, a whole number"
    raise CortexGraphError(Diagnostic("wrong-type", "--steps", f"`{shortened(text)}` was given", expected, repair))


# ---- options and arguments ---------------------------------------------------------

SpecArgument = Annotated[
    str, typer.Argument(metavar="SPEC", help="A spec file (.yaml or .json), or the name of a zoo spec.")
]
RunArgument = Annotated[
    Path,
    typer.Argument(
        metavar="RUN",
        help="Folder that `cortexgraph train` wrote, a trained network that ships, hf://org/name, or a released "
        "checkpoint.",
    ),
]
WeightsSpecOption = Annotated[
    str | None, option("--spec", "SPEC", "Network of a released checkpoint, such as cornet_s_imagenet.")
]
InterveneOption = Annotated[
    Path | None, option("--intervene", "FILE", "Changes of states, such as - {at: V4, steps: 4, ablate: zero}.")
]
MapOption = Annotated[
    Path | None, option("--map", "FILE", "Key map of a released checkpoint.", "the one beside the spec")
]
SetOption = Annotated[
    list[str] | None, option("--set", "PATH=VALUE", "Override a field, such as areas.V1.channels=64. Repeatable.")
]
StepsOption = Annotated[
    int | None, option("--steps", "T", "Number of steps T, in place of time.steps.", parser=_read_number_of_steps)
]
ORDERS = "Order of updates, in place of time.order: simultaneous, sequential, or [[V1], [V2, V4], [IT]]."
OrderOption = Annotated[str | None, option("--order", "ORDER", ORDERS)]
AtOption = Annotated[
    str | None, choice("--at", "all|last|STEPS", "Readout steps, such as 4,6,8; all: from the onset on.", "as trained")
]
TotalStepsOption = Annotated[str | None, option("--total-steps", None, "", hidden=True, callback=_refuse_total_steps)]
SplitOption = Annotated[str, choice("--split", "test|train", "Which images.")]
ImagesOption = Annotated[int | None, option("--images", "N", "Number of images, balanced over classes.", "all", min=1)]
DeviceOption = Annotated[str, choice("--device", "auto|cpu|mps|cuda|cuda:N", "Where to compute.")]
BatchSizeOption = Annotated[int, option("--batch-size", "N", "Images at a time.", min=1)]
DownloadOption = Annotated[bool, option("--download", None, "Download CIFAR-10 if it is not there.")]
DataRootOption = Annotated[Path | None, option("--data-root", "DIR", "Folder that holds CIFAR-10.")]
TargetsOption = Annotated[
    Path | None,
    option("--targets", "FILE", "CSV with the targets of a folder's images: file (train/cat.png), then their columns."),
]
DATA = "shapes|cifar10|PATH"
ResizeOption = Annotated[
    int | None,
    option("--resize", "PX", "Bring the shorter side to PX, then cut out the middle.", "the network's size", min=1),
]
MemoryOption = Annotated[
    str | None,
    option("--data-memory", "2GB", "What images may take in memory; more are read as needed.", "half of the memory"),
]
WorkersOption = Annotated[
    int | None,
    option("--workers", "N", "Processes that read images which are not kept in memory.", "processors, ≤ 8", min=0),
]


# ---- what commands do with them ----------------------------------------------------


def load_spec(
    spec: str, overrides: list[str] | None = None, steps: int | None = None, order: str | None = None
) -> NetworkSpec:
    """The spec with its overrides: the one way in which commands read specs."""
    import cortexgraph.checks  # noqa: F401  (finds what wrong parts hide)

    return load(spec, changes(overrides, steps, order))


def changes(overrides: list[str] | None, steps: int | None, order: str | None) -> list[str | Override]:
    """All overrides, each with the text that findings quote."""
    every: list[str | Override] = list(overrides or ())
    if steps is not None:
        every.append(Override(("time", "steps"), steps, f"--steps {steps}"))
    if order is not None:
        every.append(written_override(("time", "order"), order, f"--order {order}"))
    return every


def read_order(text: str | None) -> Order | None:
    """The order that `--order` gives: a word, or a list in YAML."""
    return None if text is None else written_override(("time", "order"), text, f"--order {text}").value


def read_steps(text: str, place: str = "--at") -> Literal["all", "last"] | tuple[int, ...]:
    """Which steps: `all`, `last`, or numbers with commas."""
    if text in {"all", "last"}:
        return cast("Literal['all', 'last']", text)
    if not re.fullmatch(FORMS["STEPS"][0], text):
        raise CortexGraphError(unknown_value(place, text, ["all", "last", "STEPS"]))
    return tuple(int(step) for step in text.split(","))


def read_names(text: str | None) -> list[str] | None:
    """Names with commas between them; None without any text."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def parts_text(spec: NetworkSpec) -> str:
    """How many areas, connections and steps a spec has."""
    counts = ((len(spec.areas), "area"), (len(spec.connections), "connection"), (spec.time.steps, "step"))
    return ", ".join(count_of(count, word) for count, word in counts)


def read_units(text: str) -> tuple[int, ...]:
    """Units as numbers and ranges with commas, such as `0-8,12`; the last of a range is among them."""
    ranges = [[int(number) for number in part.split("-")] for part in text.split(",")]
    return tuple(dict.fromkeys(unit for ends in ranges for unit in range(ends[0], ends[-1] + 1)))


def located(source: str | None) -> str | None:
    """A data set as it is named from any working directory: a folder by its whole path."""
    if source is None:
        return None
    from cortexgraph.data.load import as_path, is_name

    path = as_path(source)
    return str(path.resolve()) if not is_name(source) and path.exists() else source


def prepare(*extras: str) -> None:
    """Check packages and environment variables, and set those that torch reads when it is imported.

    Torch's threads sleep while they wait for each other, unless the user's environment says otherwise. Spinning threads
    were 5 to 20 times slower in training on 2 cores of which another program used one; on an idle machine, sleeping
    costs a few per cent.
    """
    for extra in extras:
        require(extra)
    check_numbers()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def check_text() -> None:
    """Refuse arguments that are not valid text, before the files of a run store them; the finding names every one."""
    findings = [
        Diagnostic("not-utf8", shortened(word), "this argument is not valid UTF-8", repair="Rename the file or folder.")
        for word in sys.argv[1:]
        if word != word.encode(errors="replace").decode()
    ]
    if findings:
        raise CortexGraphError(findings)
