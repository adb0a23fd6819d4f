"""Every option with choices, of every command: a bad value is answered with the choices of that option."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
import typer

from cortexgraph.cli.app import app
from cortexgraph.codegen import MemoryFormat
from cortexgraph.compiler import Roll
from cortexgraph.experiment.compare import ENGINES
from cortexgraph.exporting import Format
from cortexgraph.recording.plots import PLOT_FORMATS
from cortexgraph.render import WEIGHTS, Fold
from cortexgraph.training import TrainSettings
from tests.cli.conftest import Run

PLACEHOLDERS = {"N": "number", "STEPS": "steps", "4GB": "4GB"}
ARGUMENTS = {"train": ["ventral"], "record": ["run", "-o", "a.npz"], "export": ["run", "-o", "a.onnx"]}
OTHERS = {
    "order": "a spec's own language answers",
    "data": "any folder",
    "init_from": "any run or file",
    "imports": "any file",
    "validation": "any number",
    "protocol": "any file",
}


def options() -> Iterator[tuple[str, str, str]]:
    """Command, option and choices of every option that shows its choices in help."""
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for name, command in commands.items():
        for option in getattr(command, "params", []):
            if "|" in (option.metavar or "") and option.opts[0].startswith("--") and option.name not in OTHERS:
                yield name, max(option.opts, key=len), option.metavar


CHOICES = [each for each in options() if each[1] != "--weights"]


def test_there_are_many() -> None:
    assert len(CHOICES) > 20
    assert {command for command, _, _ in CHOICES} == {
        "draw", "compile", "train", "eval", "predict", "record", "attribute", "preferred", "brain", "export",
        "compare",
    }  # fmt: skip


@pytest.mark.parametrize("value", ["foo", "", "9" * 5000, "all,", "cuda:", "[red]", "\udcff"])
@pytest.mark.parametrize(("command", "option", "choices"), CHOICES, ids=[f"{c} {o}" for c, o, _ in CHOICES])
def test_a_bad_value_is_answered_with_the_choices_of_the_option(
    run: Run, command: str, option: str, choices: str, value: str
) -> None:
    result = run(command, *ARGUMENTS.get(command, ["ventral"]), option, value)
    assert (result.code, result.out) == (1, "")
    assert "Traceback" not in result.err
    assert len(result.err) < 700
    own = choices.split("|")
    first = result.err.splitlines()[0]
    assert first.startswith(f"{option}: ")
    names = {} if command == "train" else PLACEHOLDERS
    assert [word for word in own if names.get(word, word) not in first] == []
    foreign = {word for _, other, words in CHOICES if other != option for word in words.split("|")} - {*own}
    said = first.split(", but ")[1].replace("`", " ").replace(",", " ").replace(".", " ").split()
    assert foreign & {*said} - {"N"} == set()


def test_a_near_word_is_suggested(run: Run) -> None:
    assert "Did you mean `always`?" in run("compile", "ventral", "--roll", "alway").err
    assert "Did you mean `train`?" in run("eval", "run", "--split", "trian").err


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--memory-format", get_args(MemoryFormat)),
        ("--roll", get_args(Roll)),
        ("--width", (*WEIGHTS, "8.5cm")),
        ("--fold", get_args(Fold)),
        ("--to", get_args(Format)),
        ("--plots", PLOT_FORMATS),
        ("--engine", ENGINES),
    ],
)
def test_the_choices_are_those_of_the_function_behind(option: str, words: Any) -> None:
    assert {choices for _, name, choices in CHOICES if name == option} != set()
    for _, name, choices in CHOICES:
        assert name != option or {*choices.split("|")} == {*words}


def test_every_setting_is_an_option_of_train() -> None:
    command: Any = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    assert {*TrainSettings.model_fields} <= {option.name for option in command.params}


@pytest.mark.parametrize(
    ("words", "repair"),
    [
        (["record", "run", "-o", "a.nc", "--total-steps", "8"], "Give --steps."),
        (["record", "run", "-o", "a.nc", "--steps", "all"], "Choose steps with --at all"),
        (["record", "run", "-o", "a.nc", "--steps", "4,6"], "Choose steps with --at 4,6"),
        (["eval", "run", "--steps", "4,6"], "Choose steps with --at 4,6"),
        (["show", "ventral", "--steps", "9" * 5000], "Write for example --steps 8."),
        (["import", "connectome", "a.csv", "--steps", "x", "-o", "a.yaml"], "Write for example --steps 8."),
    ],
)
def test_steps_is_a_number_everywhere_and_which_steps_is_at(run: Run, words: list[str], repair: str) -> None:
    result = run(*words)
    assert (result.code, result.out) == (1, "")
    assert repair in result.err
