"""cortexgraph: a compiler from a declared graph of cortical areas to a readable, time-unrolled PyTorch module.

>>> import torch
>>> import cortexgraph as cg
>>> network = cg.compile(cg.load("ventral"))
>>> network(torch.rand(8, 3, 32, 32)).shape
torch.Size([8, 10])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cortexgraph.extras import homes_of, import_explained
from cortexgraph.version import __version__ as __version__

if TYPE_CHECKING:
    from cortexgraph.analysis import summarise_spec as summarise  # noqa: F401  (named in __all__ below)
    from cortexgraph.brain import compare_with_brain as compare_with_brain
    from cortexgraph.checks import register_check as register_check
    from cortexgraph.compiler import build as build
    from cortexgraph.compiler import check as check
    from cortexgraph.compiler import compile_spec as compile  # noqa: F401  (named in __all__ below)
    from cortexgraph.compiler import emit as emit
    from cortexgraph.compiler import interpret as interpret
    from cortexgraph.compiler import unroll as unroll
    from cortexgraph.data import load_data as load_data
    from cortexgraph.data import load_stimuli as load_stimuli
    from cortexgraph.data import register_data as register_data
    from cortexgraph.decisions import decide as decide
    from cortexgraph.drawing import draw as draw
    from cortexgraph.drawing import draw_matrix as draw_matrix
    from cortexgraph.drawing import draw_schedule as draw_schedule
    from cortexgraph.drawing import draw_unrolled as draw_unrolled
    from cortexgraph.edit import lesion as lesion
    from cortexgraph.edit import share as share
    from cortexgraph.edit import unshare as unshare
    from cortexgraph.errors import CompileError as CompileError
    from cortexgraph.errors import CortexGraphError as CortexGraphError
    from cortexgraph.errors import CortexGraphWarning as CortexGraphWarning
    from cortexgraph.errors import DataError as DataError
    from cortexgraph.errors import Diagnostic as Diagnostic
    from cortexgraph.errors import GraphError as GraphError
    from cortexgraph.errors import SpecError as SpecError
    from cortexgraph.exporting import export as export
    from cortexgraph.graph import AreaGraph as AreaGraph
    from cortexgraph.graph.interventions import ablate as ablate
    from cortexgraph.graph.interventions import add_noise as add_noise
    from cortexgraph.graph.interventions import clamp as clamp
    from cortexgraph.graph.interventions import patch as patch
    from cortexgraph.graph.interventions import scale as scale
    from cortexgraph.hub import from_pretrained as from_pretrained
    from cortexgraph.hub import push as push
    from cortexgraph.interventions import intervene as intervene
    from cortexgraph.ops import Cell as Cell
    from cortexgraph.ops import Elementwise as Elementwise
    from cortexgraph.ops import Operation as Operation
    from cortexgraph.ops import option as option
    from cortexgraph.ops import register_cell as register_cell
    from cortexgraph.ops import register_operation as register_operation
    from cortexgraph.ops.registry import json_schema as json_schema
    from cortexgraph.pages import page as page
    from cortexgraph.probing import attribute as attribute
    from cortexgraph.probing import preferred_stimulus as preferred_stimulus
    from cortexgraph.recording import record as record
    from cortexgraph.spec import NetworkSpec as NetworkSpec
    from cortexgraph.spec import dumps as dumps
    from cortexgraph.spec import load as load
    from cortexgraph.spec import loads as loads
    from cortexgraph.spec import save as save
    from cortexgraph.spec import zoo as zoo
    from cortexgraph.stepper import Stepper as Stepper
    from cortexgraph.streaming import State as State
    from cortexgraph.tracing import trace as trace
    from cortexgraph.training import TrainSettings as TrainSettings
    from cortexgraph.training import evaluate as evaluate
    from cortexgraph.training import load_run as load_run
    from cortexgraph.training import predict as predict
    from cortexgraph.training import train as train
    from cortexgraph.training.losses import register_loss as register_loss
    from cortexgraph.unrolling import UnrolledGraph as UnrolledGraph

_HOMES = homes_of(__file__)
"""Module and own name of each public name: imported on first use, so that checking and drawing never wait for torch."""

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> object:
    if name in _HOMES:
        home, own = _HOMES[name]
        if home == "cortexgraph.spec":
            import_explained("cortexgraph.checks")  # finds what wrong parts of a spec hide
        return getattr(import_explained(home), own)
    from cortexgraph.wording import similar

    guess = similar(name, __all__)
    raise AttributeError(f"module `cortexgraph` has no attribute `{name}`" + f"; did you mean `{guess}`?" * bool(guess))


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
