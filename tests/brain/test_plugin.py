"""The plug-in answers what Brain-Score asks of a model; a stand-in has what the plug-in imports of Brain-Score."""

from __future__ import annotations

import importlib
import json
import sys
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import xarray
from PIL import Image

import cortexgraph as cg
from cortexgraph.data import Stimuli
from cortexgraph.errors import DataError
from cortexgraph.recording import record
from cortexgraph.training.run import TrainedRun

pytestmark = pytest.mark.usefixtures("one_thread")


class Wrapper:
    """The parts of Brain-Score's `PytorchWrapper` that a model commitment calls."""

    def __init__(self, model: torch.nn.Module, preprocessing: Any, identifier: str) -> None:
        self._model, self._preprocess, self.identifier = model, preprocessing, identifier
        self._device = torch.device("cpu")

    def __call__(self, stimuli: Sequence[str], layers: Sequence[str], **options: Any) -> xarray.DataArray:
        activations = self.get_activations(self._preprocess(stimuli), layers)  # type: ignore[attr-defined]
        assert isinstance(activations, OrderedDict)
        flat = [values.reshape(len(stimuli), -1) for values in activations.values()]
        names = [name for name, values in zip(activations, flat, strict=True) for _ in range(values.shape[1])]
        coords = {
            "stimulus_path": ("presentation", [*stimuli]),
            "layer": ("neuroid", names),
            "neuroid_num": ("neuroid", [n for values in flat for n in range(values.shape[1])]),
        }
        return xarray.DataArray(np.concatenate(flat, 1), coords=coords, dims=("presentation", "neuroid"))


class Commitment:
    """The parts of Brain-Score's `ModelCommitment` that the plug-in relies on."""

    def __init__(self, identifier: str, activations_model: Any, layers: Sequence[str]) -> None:
        self.identifier, self.activations_model, self.layers = identifier, activations_model, layers
        self.do_behavior = False

    def start_recording(self, recording_target: str, time_bins: Sequence[tuple[int, int]]) -> None:
        self.asked = recording_target, time_bins

    def look_at(self, *arguments: Any) -> str:
        return "chosen by Brain-Score"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The registry of models of a stand-in, in which the plug-in's folder is a package."""
    models: dict[str, Any] = {}
    modules = {
        "brainscore_vision": {"model_registry": models},
        "brainscore_vision.model_helpers.activations.pytorch": {
            "PytorchWrapper": Wrapper,
            "load_images": lambda paths: [Image.open(path) for path in paths],
        },
        "brainscore_vision.model_helpers.brain_transformation": {"ModelCommitment": Commitment},
        "brainscore_core.supported_data_standards.brainio.assemblies": {
            "NeuroidAssembly": xarray.DataArray,
            "walk_coords": lambda assembly: [(name, c.dims, c.values) for name, c in assembly.coords.items()],
        },
    }
    for name, contents in modules.items():
        module = ModuleType(name)
        vars(module).update(contents)
        monkeypatch.setitem(sys.modules, name, module)
        for end in range(1, name.count(".") + 1):
            parent = ".".join(name.split(".")[:end])
            monkeypatch.setitem(sys.modules, parent, sys.modules.get(parent) or ModuleType(parent))
    monkeypatch.syspath_prepend(tmp_path)
    yield models
    for name in [name for name in sys.modules if name.split(".")[0] == "tiny_plugin"]:
        del sys.modules[name]


def test_the_plugin_gives_the_recorded_states(
    run: TrainedRun, stimuli: Stimuli, folder: Path, registry: dict[str, Any], tmp_path: Path
) -> None:
    exported = cg.export(run, tmp_path / "tiny_plugin", "brainscore")
    assert exported.difference < 1e-6
    assert exported.note.startswith("a step takes 10 ms, as `time.dt_ms` says; step 1 begins at 0 ms")
    importlib.import_module("tiny_plugin")
    model = registry["tiny_plugin"]()
    paths = [str(folder / file) for file in stimuli.files[:10]]
    record(run, stimuli.chosen(80), tmp_path / "states.nc")

    def expected(area: str, step: int) -> Any:
        with xarray.open_dataset(tmp_path / "states.nc", group=area) as group:
            return group.state.sel(step=step)[:10].values.reshape(10, -1)

    images = model.activations_model._preprocess(paths)
    assert [*model.activations_model.get_activations(images, ["logits", "V4-t5"])] == ["logits", "V4-t5"]
    assert model.layers[-1] == "IT-t6"
    model.start_recording("V4", [(20, 30), (45, 49), (200, 300)])
    seen = model.look_at(paths)
    assert seen.dims == ("presentation", "neuroid", "time_bin")
    for n, step in enumerate((3, 5, 6)):
        np.testing.assert_allclose(seen[..., n].values, expected("V4", step), rtol=1e-4, atol=1e-5)
    assert seen.region.values.tolist() == ["V4"] * 128
    assert seen.time_bin_start.values.tolist() == [20, 45, 200]
    model.start_recording("IT", [(0, 10)])  # IT is silent at step 1
    single = model.look_at(paths)
    assert single.dims == ("presentation", "neuroid")
    np.testing.assert_allclose(single.values, expected("IT", 3), rtol=1e-4, atol=1e-5)
    model.start_recording("V1", [(0, 10)])
    assert model.look_at(paths) == "chosen by Brain-Score"


def test_a_step_without_a_duration_is_said_to_be_an_assumption(tmp_path: Path) -> None:
    exported = cg.export("ventral-cifar10", tmp_path / "ventral", "brainscore")
    assert "10 ms, which is an assumption, as the spec has no `time.dt_ms`" in exported.note
    settings = json.loads((tmp_path / "ventral" / "model.json").read_text())
    assert settings["regions"] == {area: area for area in ("V1", "V2", "V4", "IT")}
    names = ["__init__.py", "model.json", "model.py", "network.py", "requirements.txt", "test.py", "weights.pt"]
    assert sorted(path.name for path in (tmp_path / "ventral").iterdir()) == names


def test_a_folder_that_cannot_be_a_plugin_is_refused_and_nothing_is_written(run: TrainedRun, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    for name, message in {"my-model": "is not the name of a Python module", "full": "this exists already"}.items():
        with pytest.raises(DataError, match=message):
            cg.export(run, tmp_path / name, "brainscore")
    with pytest.raises(DataError, match=r"but a run of `cg\.load_run`, or its folder, is needed"):
        cg.export(run.network, tmp_path / "model", "brainscore")
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "notes.txt"]
