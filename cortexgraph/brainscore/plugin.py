"""Writing the folder of a model plug-in of Brain-Score: the emitted network, its weights, and what Brain-Score asks."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from cortexgraph.arguments import arguments_explained
from cortexgraph.compiler import unroll
from cortexgraph.errors import CortexGraphError, DataError, Diagnostic
from cortexgraph.files import check_new_folder, new_folder
from cortexgraph.loading import load_class
from cortexgraph.network import CompiledNetwork
from cortexgraph.spec.fields import pair
from cortexgraph.training.run import TrainedRun, opened
from cortexgraph.unrolling import Order, UnrolledGraph

REGIONS = ("V1", "V2", "V4", "IT")
"""What Brain-Score records from; an area of the same name is committed to the region."""
TOLERANCE = 1e-4
ASSUMED_STEP_MS = 10.0
"""Of a spec without `time.dt_ms`: an assumption, which the note of the plug-in states."""

TEST = '''"""Run by Brain-Score: the model loads under its name."""

import brainscore_vision


def test_has_identifier():
    assert brainscore_vision.load_model({name!r}).identifier == {name!r}
'''
INIT = """from brainscore_vision import model_registry

from .model import get_model

model_registry[{name!r}] = get_model
"""


@dataclass(frozen=True)
class Plugin:
    """What was written.

    Attributes:
        folder: to put into `brainscore_vision/models`.
        identifier: of the model in Brain-Score.
        regions: the area that is committed to each region.
        difference: the largest between the states of the folder's network and those of the run's.
        note: how steps are mapped to time.
    """

    folder: Path
    identifier: str
    regions: Mapping[str, str]
    difference: float
    note: str


@arguments_explained
def write_plugin(
    run: str | Path | TrainedRun, folder: str | Path, *, steps: int | None = None, order: Order | None = None
) -> Plugin:
    """Write a trained network as a model plug-in of Brain-Score.

    Every area at every step is a layer, such as `V4-t5`. A time bin of a recording is answered by the step that is
    nearest in time: a step takes `time.dt_ms` of the spec, and step 1 begins with the image.

    Args:
        run: a run or its folder, or the name of a trained network that ships.
        folder: to write; its name is that of the plug-in. It must not exist yet, or be empty.
        steps, order: unroll otherwise than the run was trained.

    Raises:
        DataError: if this is not a run, it is damaged, or the folder cannot be written.
        CompileError: if the network does not compile, or reads videos.
    """
    run, folder = opened(run), Path(folder)
    _check_folder(folder)
    network = run.compile(steps, order, record=dict.fromkeys(run.spec.areas, "all"))
    settings = _settings(run, network, unroll(run.spec, steps, order), folder.name)
    with new_folder(folder) as whole:
        for file, text in _contents(network, settings).items():
            (whole / file).write_text(text, encoding="utf-8")
        weights = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
        torch.save(weights, buffer := io.BytesIO())  # into a file, torch has an error of its own for a full disk
        (whole / "weights.pt").write_bytes(buffer.getvalue())
        difference = _difference(network, whole)
    dt = run.spec.time.dt_ms
    how = "as `time.dt_ms` says" if dt else "which is an assumption, as the spec has no `time.dt_ms`"
    note = f"a step takes {settings['step_ms']:g} ms, {how}; step 1 begins at {settings['onset_ms']:g} ms"
    return Plugin(folder, folder.name, settings["regions"], difference, f"{note} (model.json)")


def _contents(network: CompiledNetwork, settings: Mapping[str, Any]) -> dict[str, str]:
    """The text files of the plug-in."""
    name = settings["identifier"]
    return {
        "__init__.py": INIT.format(name=name),
        "model.py": files("cortexgraph.brainscore").joinpath("model.py.txt").read_text(encoding="utf-8"),
        "network.py": str(network.source),
        "model.json": json.dumps(settings, indent=1) + "\n",
        "test.py": TEST.format(name=name),
        "requirements.txt": "numpy\npillow\ntorch\n",
    }


def _check_folder(folder: Path) -> None:
    if not re.fullmatch(r"[A-Za-z_]\w*", folder.name):
        found, repair = (
            f"`{folder.name}` is not the name of a Python module",
            "Name it with letters, digits and `_` only.",
        )
        raise DataError(Diagnostic("plugin-name", str(folder), found, repair=repair))
    check_new_folder(folder)


def _settings(run: TrainedRun, network: CompiledNetwork, graph: UnrolledGraph, identifier: str) -> dict[str, Any]:
    """What model.json says. The last layer, which Brain-Score reads behaviour from, is that of the readout."""
    last = graph.areas.readouts[0].source
    names = sorted(run.spec.areas, key=lambda area: area == last)
    return {
        "identifier": identifier,
        "network": run.spec.name,
        "class": type(network).__bases__[1].__name__,
        "size": pair(run.spec.input.size),
        "mean": run.card.mean,
        "std": run.card.std,
        "step_ms": run.spec.time.dt_ms or ASSUMED_STEP_MS,
        "onset_ms": 0.0,
        "regions": {region: region for region in REGIONS if region in run.spec.areas},
        "layers": {f"{area}-t{step}": [area, step] for area in names for step in graph.live_steps(area)},
    }


def _difference(network: CompiledNetwork, folder: Path) -> float:
    """The largest difference between the states of the network that was written and those of the network.

    Raises CortexGraphError if it is more than rounding.
    """
    again = load_class((folder / "network.py").read_text(encoding="utf-8"), "plugin")().eval()
    again.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    images = torch.randn(2, *network.unrolled.areas.image_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        states, expected = again(images)[1], network(images)[1]
    difference = max(float((states[key] - value).abs().max()) for key, value in expected.items())
    if not difference <= TOLERANCE:
        found, repair = f"the states that were written differ by {difference:.1e}", "Report this; nothing was written."
        raise CortexGraphError(Diagnostic("export-differs", str(folder.name), found, repair=repair))
    return difference
