"""From an unrolled graph to what the templates see."""

from __future__ import annotations

import ast
import re
from dataclasses import replace
from functools import cache
from importlib import resources

from cortexgraph.codegen import forward
from cortexgraph.codegen.header import header
from cortexgraph.codegen.parameters import parameter_groups
from cortexgraph.codegen.sinks import Sinks
from cortexgraph.codegen.text import class_name, docstring_text
from cortexgraph.codegen.updates import Writer
from cortexgraph.codegen.variables import Variables
from cortexgraph.codegen.view import MemoryFormat, ModuleView
from cortexgraph.graph.names import Namespace
from cortexgraph.ops.source import taken_names
from cortexgraph.unrolling import UnrolledGraph
from cortexgraph.unrolling.carried import carries

__all__ = ["module_view", "operations_of", "runtime_sources"]


def module_view(
    full: UnrolledGraph, graph: UnrolledGraph, memory_format: MemoryFormat, runs: int | None = None
) -> ModuleView:
    """The emitted file of `graph`, which passes made from `full`; its loop in segments of so many runs of its body."""
    areas = full.areas
    writer = Writer(graph, Variables(graph), carries(graph))
    sinks = Sinks(writer)
    logits = "Tensor" if len(areas.readouts) == 1 else "dict[str, Tensor]"
    view = ModuleView(
        docstring=header(graph),
        class_name=class_name(
            Namespace().identifier(areas.spec.name, "network", length=40),
            taken_names(operations_of(graph), runtime_sources()),
        ),
        summary=docstring_text(f"The network `{areas.spec.name}`, unrolled over {graph.steps} steps."),
        steps_total=graph.steps,
        returns=f"tuple[{logits}, dict[tuple[str, int], Tensor]]" if graph.records else logits,
        returns_text=_returns(graph),
        parameters=tuple(parameter_groups(full)),
        channels_last=memory_format == "channels_last",
        check=f"check_image(x, ({', '.join(map(str, areas.image_shape))}), steps={graph.steps})",
        zeros=tuple(forward.zeros(writer)),
        frames=tuple(forward.frames(writer)),
        sinks=tuple(sinks.start()),
        steps=tuple(forward.steps(writer, sinks, runs)),
        results=tuple(sinks.results()),
    )
    return replace(view, check=f"still = {view.check}") if _asks_whether_still(view) else view


def _asks_whether_still(view: ModuleView) -> bool:
    lines = [line for step in view.steps for line in (*step.before, *step.lines, *step.after)]
    return any(re.search(r"\bstill\b", line.split("  #")[0]) for line in (*view.frames, *lines))


@cache
def runtime_sources() -> dict[str, str]:
    """The source of every definition of `cortexgraph.runtime`, by its name."""
    sources: dict[str, str] = {}
    for file in sorted(resources.files("cortexgraph.runtime").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".py"):
            text = file.read_text(encoding="utf-8")
            for node in ast.parse(text).body:
                if isinstance(node, ast.ClassDef | ast.FunctionDef):
                    start = min(part.lineno for part in (node, *node.decorator_list))
                    sources[node.name] = "\n".join(text.splitlines()[start - 1 : node.end_lineno])
    return sources


def operations_of(graph: UnrolledGraph) -> list[object]:
    """Every operation and cell of the network, also those inside others."""
    chains = [area.body for area in graph.areas.areas] + [c.transform for c in graph.areas.connections]
    found: list[object] = [link.operation for chain in chains for _, link in chain.walk()]
    return found + [area.cell for area in graph.areas.areas]


def _returns(graph: UnrolledGraph) -> str:
    """The forward contract in words."""
    if len(graph.areas.readouts) > 1:
        logits = "Logits by readout: [B, classes], or [B, n, classes] for n steps"
    else:
        (readout,) = graph.areas.readouts
        steps = graph.readout_steps(readout.name)
        logits = f"Logits [B, {len(steps)}, {readout.classes}] at {len(steps)} steps from {steps[0]} to {steps[-1]}"
        if readout.at == "last":
            logits = f"Logits [B, {readout.classes}] at step {steps[0]}"
    return f"{logits}, and the recorded states by (area, step)." if graph.records else f"{logits}."
