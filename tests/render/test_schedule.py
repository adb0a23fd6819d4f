"""The executed schedule: costs against the analysis and against a replay of what is held."""

from __future__ import annotations

from math import prod

import pytest

import cortexgraph as cg
from cortexgraph.analysis import summarise
from cortexgraph.compiler import lower
from cortexgraph.passes import statuses
from cortexgraph.render.schedule import costs_of
from tests.render.test_updates import classes
from tests.render.test_views import SPECS

UP_AND_DOWN = ("V1", "V2", "V4", "IT", "V4", "V2", "V1")


@pytest.mark.parametrize("name", SPECS)
def test_multiply_adds_are_those_of_the_analysis(name: str) -> None:
    full, kept = lower(cg.load(name))
    found, summary = costs_of(full, kept), summarise(full, kept)
    assert sum(found.macs.values()) == summary.macs
    read = {node.step for node in full.readouts}
    for step in summary.steps:
        if step.step not in read:
            assert found.macs.get(step.step, 0) == step.macs


@pytest.mark.parametrize("order", ["simultaneous", "sequential", UP_AND_DOWN])
def test_what_is_held_is_what_a_replay_needs(order: str | tuple[str, ...]) -> None:
    full, kept = lower(cg.load("ventral"), order=order)
    found, status = costs_of(full, kept), statuses(full, kept)
    executed = [node for node in full if status[node].word == "executed" and node.kind in {"update", "readout"}]
    needed = {}  # for each point of the replay, the states that it or a later point reads, and what it has just made
    for at, node in enumerate(executed):
        later = executed[at:]
        old = {source for reader in later for source in full.predecessors(reader) if source in executed[:at]}
        needed[node] = old | ({node} if node.kind == "update" else set())
    assert found.states == max(map(len, needed.values()))
    sizes = [sum(prod(full.areas.area(state.name).shape) for state in held) for held in needed.values()]
    assert found.numbers == max(sizes)


def test_every_update_has_its_mark_with_its_number() -> None:
    full, kept = lower(cg.load("ventral"))
    drawn = classes(cg.draw_schedule(cg.load("ventral")))
    for node, status in statuses(full, kept).items():
        if node.kind == "update":
            key = f"schedule-{full.areas.area(node.name).identifier}@{node.step}.{node.group}"
            assert drawn[key] >= {"update", status.word, f"step-{node.step}"}
    order = [node for node, _ in sorted(costs_of(full, kept).number.items(), key=lambda entry: entry[1])]
    assert order == [node for node in kept if node.kind == "update"]
