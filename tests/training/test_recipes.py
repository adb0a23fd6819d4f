"""Recipes: settings as data, overridden by options, stored resolved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cortexgraph.data import ImageData
from cortexgraph.errors import SpecError
from cortexgraph.spec import NetworkSpec
from cortexgraph.training import RunFolder, TrainSettings, load_run, train
from cortexgraph.training.recipe import shipped_recipes
from cortexgraph.training.settings import stored_settings

pytestmark = pytest.mark.usefixtures("no_pictures")


def recipe(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text)
    return str(path)


def test_standard_is_in_force_and_is_the_defaults() -> None:
    assert TrainSettings().recipe == "standard"
    assert TrainSettings(recipe="standard") == TrainSettings()


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_hold_and_survive_json(name: str) -> None:
    settings = TrainSettings(recipe=name)
    assert settings.recipe == name
    assert TrainSettings.model_validate_json(settings.model_dump_json()) == settings
    assert stored_settings(settings.model_dump(mode="json")) == settings


def test_options_override_a_recipe(tmp_path: Path) -> None:
    file = recipe(tmp_path, "epochs: 30\noptimizer: sgd\nlr: 0.25\nschedule: linear\nwarmup: 0.2\nflip: alternating\n")
    settings = TrainSettings(recipe=file, epochs=2)
    assert (settings.recipe, settings.epochs, settings.lr, settings.warmup) == ("mine.yaml", 2, 0.25, 0.2)
    assert (settings.momentum, settings.weight_decay, settings.flip) == (0.9, 0.0005, "alternating")


def test_what_belongs_to_another_optimizer_or_schedule_lapses(tmp_path: Path) -> None:
    file = recipe(tmp_path, "optimizer: sgd\nlr: 0.25\nschedule: linear\nwarmup: 0.2\nclip: 1\n")
    settings = TrainSettings(recipe=file, optimizer="adamw", schedule="one-cycle")
    assert (settings.lr, settings.warmup, settings.clip) == (0.006, 0.3, 1)
    assert TrainSettings(recipe=file, optimizer="sgd", schedule="linear").lr == 0.25
    assert TrainSettings(recipe=file, optimizer="adamw", lr=0.1).lr == 0.1


def test_all_findings_at_once_with_their_places(tmp_path: Path) -> None:
    file = recipe(tmp_path, "# mine\nepochs: many\nflips: random\noptimizer: adam\nrecipe: strong\n")
    with pytest.raises(SpecError, match="a recipe cannot name another one") as error:
        TrainSettings(recipe=file, lr=-1)
    places = {(f.file, f.line, f.place) for f in error.value.diagnostics}
    own = {(file, 5, "recipe"), (file, 2, "epochs"), (file, 3, "flips"), (file, 4, "optimizer")}
    assert places == own | {(None, None, "settings.lr")}
    assert f"{file}:2: epochs: 'many' was given, but it must be a whole number." in str(error.value)
    assert "flips: this is not a setting" in str(error.value)
    assert "Did you mean `flip`?" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the recipe is not a mapping"),
        ("- epochs", "the recipe is not a mapping"),
        ("epochs: 3\nepochs: 4", "epochs"),
        ("epochs: [", "mine.yaml:2: column 1: the YAML cannot be read here"),
    ],
)
def test_what_is_no_recipe(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        TrainSettings(recipe=recipe(tmp_path, text))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "storng",
            r"recipe: 'storng' was given, but it must be .*strong or FILE\.\n  Did you mean `strong`",
        ),
        ("missing.yaml", r"missing\.yaml: the file cannot be read: No such file"),
        (3, r"settings\.recipe: '3' was given"),
    ],
)
def test_unknown_recipe(name: object, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        TrainSettings(recipe=name)  # type: ignore[arg-type]


def test_a_run_is_opened_without_its_recipe(spec: NetworkSpec, data: ImageData, tmp_path: Path) -> None:
    file = recipe(tmp_path, "epochs: 1\nbatch_size: 16\ndevice: cpu\nema: 0.5\nshift: 0\nmixup: 0.2\n")
    settings = TrainSettings(recipe=file, seed=3)
    train(spec, data, settings, tmp_path / "run", quiet=True)
    Path(file).unlink()
    stored = json.loads(RunFolder(tmp_path / "run").settings.read_text())["settings"]
    assert (stored["recipe"], stored["ema"], stored["lr"]) == ("mine.yaml", 0.5, 0.006)
    assert load_run(tmp_path / "run").settings == settings
    text = RunFolder(tmp_path / "run").summary_text.read_text()
    assert "- recipe: mine.yaml\n" in text
    assert "- weights: moving average with decay 0.5 per batch\n" in text
    assert "- augmentation: yes, shift 0, mixup 0.2\n" in text
