"""The executed schedule: costs against the analysis and against a replay of what is held."""

from __future__ import annotations

import ast
from math import prod
from typing import Any

import pytest
import yaml

import cortexgraph as cg
from cortexgraph.analysis import summarise
from cortexgraph.codegen import Emitted, emit_source
from cortexgraph.compiler import lower
from cortexgraph.passes import statuses
from cortexgraph.render.schedule import costs_of
from cortexgraph.unrolling import Node, UnrolledGraph
from tests.render.test_updates import classes
from tests.render.test_views import SPECS

UP_AND_DOWN = ("V1", "V2", "V4", "IT", "V4", "V2", "V1")


@pytest.mark.parametrize("name", SPECS)
def test_multiply_adds_are_those_of_the_analysis(name: str) -> None:
    full, kept = lower(cg.load(name))
    found, summary = costs_of(kept), summarise(full, kept)
    assert sum(found.macs.values()) == summary.macs
    read = {node.step for node in full.readouts}
    for step in summary.steps:
        if step.step not in read:
            assert found.macs.get(step.step, 0) == step.macs


@pytest.mark.parametrize("order", ["simultaneous", "sequential", UP_AND_DOWN])
def test_what_is_held_is_what_a_replay_needs(order: str | tuple[str, ...]) -> None:
    full, kept = lower(cg.load("ventral"), order=order)
    found, status = costs_of(kept), statuses(full, kept)
    executed = [node for node in full if status[node].word == "executed" and node.kind in {"update", "readout"}]
    needed = {}  # for each point of the replay, the states that it or a later point reads, and what it has just made
    for at, node in enumerate(executed):
        later = executed[at:]
        old = {source for reader in later for source in full.predecessors(reader) if source in executed[:at]}
        needed[node] = old | ({node} if node.kind == "update" else set())
    assert found.states == max(map(len, needed.values()))
    sizes = [sum(prod(full.areas.area(state.name).shape) for state in held) for held in needed.values()]
    assert found.numbers == max(sizes)


RESTING = {
    "name": "resting",
    "input": {"channels": 3, "size": 32},
    "areas": {
        "V1": {"channels": 8, "size": 32},
        "MT": {"channels": 10, "size": 16},
        "IT": {"channels": 16, "size": 8, "cell": "conv_lstm"},
    },
    "connections": ["image -> V1 -> MT -> IT", {"from": "V1", "to": "MT", "delay": 2}, "MT -> MT"],
    "readout": {"from": "IT", "classes": 3, "at": "last"},
    "time": {"steps": 6},
}


TWO = [{"from": "IT", "classes": 3, "at": "last"}, {"from": "MT", "classes": 3, "at": "all"}]
EVERY, SOME = ({"readout": {"from": "IT", "classes": 3, "at": at}} for at in ("all", [4, 6]))
VARIANTS: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "all steps": ("ventral", EVERY, {"steps": 9}),
    "some steps": ("ventral", SOME, {}),
    "sequential": ("ventral", EVERY, {"order": "sequential"}),
    "up and down": ("ventral", EVERY, {"order": UP_AND_DOWN}),
    "at rest": (RESTING, EVERY, {"steps": 12}),
    "two readouts": (RESTING, {"readout": TWO}, {}),
    "recorded": (RESTING, {}, {"record": {"V1": [1], "MT": "all"}}),
    "no passes": (RESTING, {}, {"passes": []}),
}
"""Specs, changes of them, and options: several readouts and steps of readout, states at rest, hidden states."""


def changed(spec: Any, changes: dict[str, Any]) -> cg.NetworkSpec:
    data = spec if isinstance(spec, dict) else yaml.safe_load(cg.dumps(cg.load(spec)))
    return cg.NetworkSpec.model_validate(data | changes)


def held_in_source(full: UnrolledGraph, emitted: Emitted) -> tuple[int, int]:
    """The most states, and numbers in them, whose names the source of `forward` still reads, counted in its text."""
    function = next(
        each
        for each in ast.walk(ast.parse(emitted.source))
        if isinstance(each, ast.FunctionDef)
        and each.name == "forward"
        and each.end_lineno == emitted.source.count("\n")
    )
    statements = [each for each in function.body if not isinstance(each, ast.Delete)]
    updates = [(node, lines) for node, lines in emitted.lines.items() if node.kind == "update"]
    node_at = {line: node for node, (first, last) in updates for line in range(first, last + 1)}
    made: dict[str, tuple[Node, int]] = {}
    last: dict[str, int] = {}
    for n, statement in enumerate(statements):
        names = [each for each in ast.walk(statement) if isinstance(each, ast.Name)]
        returned = isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]).startswith("states[")
        for each in names:
            if isinstance(each.ctx, ast.Load) and each.id in made:
                last[each.id] = len(statements) if returned else max(last[each.id], n)
        node = node_at.get(statement.lineno)
        for each in names if node is not None else []:
            if isinstance(each.ctx, ast.Store) and each.id != "_":
                made[each.id], last[each.id] = (node, n), n
    most, numbers = 0, 0
    for n in range(len(statements)):
        live = [name for name, (_, start) in made.items() if start <= n <= last[name]]
        most = max(most, len({made[name][0] for name in live}))
        numbers = max(numbers, sum(prod(full.areas.area(made[name][0].name).shape) for name in live))
    return most, numbers


@pytest.mark.parametrize("name", [*SPECS, *VARIANTS])
def test_what_is_held_is_what_the_emitted_source_holds(name: str) -> None:
    spec, changes, options = VARIANTS.get(name, (name, {}, {}))
    full, kept = lower(changed(spec, changes), **options)
    found = costs_of(kept)
    assert (found.states, found.numbers) == held_in_source(full, emit_source(full, kept))


def test_a_state_that_is_read_out_is_also_held_for_later_reads() -> None:
    """The area is read out at every step, and reads its own state of the step before."""
    drawn = classes(cg.draw_schedule(changed("ventral", EVERY)))
    assert {key for key, words in drawn.items() if "held" in words and "IT" in key} == {
        "schedule-held-IT@4.0",
        "schedule-held-IT@5.0",
    }


def test_the_legend_has_an_entry_for_each_look() -> None:
    source = cg.draw_schedule(changed(RESTING, {"readout": TWO}), steps=12).source
    assert "held for a later read" in source
    assert "equal to an earlier one" in source


def test_every_update_has_its_mark_with_its_number() -> None:
    full, kept = lower(cg.load("ventral"))
    drawn = classes(cg.draw_schedule(cg.load("ventral")))
    for node, status in statuses(full, kept).items():
        if node.kind == "update":
            key = f"schedule-{full.areas.area(node.name).identifier}@{node.step}.{node.group}"
            assert drawn[key] >= {"update", status.word, f"step-{node.step}"}
    assert [life.node for life in costs_of(kept).lives] == [node for node in kept if node.kind == "update"]
