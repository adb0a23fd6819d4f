"""When areas first respond: where windows, pulses, delays and orders meet, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from cortexgraph.compiler import check, unroll
from cortexgraph.spec import NetworkSpec
from cortexgraph.unrolling import first_responses

AB = ["image -> A", {"from": "A", "to": "B"}]


def network(connections: list[Any], *, present: Any = "always", at: Any = "last", **time: Any) -> NetworkSpec:
    names = sorted({name for c in connections for name in (c.split(" -> ") if isinstance(c, str) else [c["to"]])})
    areas = {name: {"channels": 1, "size": 4} for name in names if name != "image"}
    return NetworkSpec.model_validate(
        {
            "name": "latency",
            "input": {"channels": 1, "size": 4, "present": present},
            "areas": areas,
            "connections": connections,
            "readout": {"from": "B", "classes": 2, "at": at},
            "time": {"steps": 4} | time,
        }
    )


def responses(spec: NetworkSpec) -> dict[str, tuple[int, str]]:
    graph = unroll(spec)
    found = first_responses(graph.areas, graph.groups)
    return {name: (response.step, " → ".join(response.path)) for name, response in found.items()}


def read(**changes: Any) -> dict[str, Any]:
    return {"from": "A", "to": "B"} | changes


@pytest.mark.parametrize(
    ("spec", "response"),
    [
        (network(AB), (2, "image → A → B")),
        (network(AB, order="sequential"), (1, "image → A → B")),
        (network(AB, order=["B", "A"]), (2, "image → A → B")),
        (network(AB, order=["B", "A", "B"]), (1, "image → A → B")),
        (network(["image -> A", read(delay=1)], order=["B", "A", "B"]), (2, "image → A → B")),
        (network(["image -> A", read(delay=70)], at="all"), (72, "image → A → B")),
        (network(AB, present=[3]), (4, "image → A → B")),
        (network(["image -> A", read(active={"from": 3})]), (3, "image → A → B")),
        (network(["image -> A", read(active=[4])], order=["B", "A", "B"]), (4, "image → A → B")),
        # A is silent again when the window opens: nothing arrives that way
        (network(["image -> A", read(active={"from": 3})], present="first"), None),
        (network(["image -> A", read(active=[2, 4], delay=1)], present=[2]), (4, "image → A → B")),
        (network(["image -> A", read(active=[2, 3], delay=1)], present=[2]), None),
        # a pulse that goes round and round
        (network(["image -> A", "A -> C -> A", read(active={"from": 4})], present="first"), (4, "image → A → B")),
        (network(["image -> A", "A -> C -> A", read(active=[3])], present="first"), None),
        (network(["image -> A", "A -> C -> A", read(active=[3], delay=1)], present="first"), (3, "image → A → B")),
        # a modulator makes nothing live; a source that counts as zeros does
        (network(["image -> A", read(role="modulate"), {"from": "image", "to": "B", "delay": 2}]), (3, "image → B")),
        (network(["image -> A", read(silence="zero_input", active=[1, 3])], present=[3]), (1, "A (zeros) → B")),
        (network(["image -> A", read(silence="zero_drive", active=[2])], present=[3]), (2, "B")),
        (network(AB, silence="zero_input"), (1, "A (zeros) → B")),
    ],
)
def test_the_first_response_and_its_path(spec: NetworkSpec, response: tuple[int, str] | None) -> None:
    assert responses(spec).get("B") == response


def test_an_area_that_never_responds_is_said_to() -> None:
    (finding,) = check(network(["image -> A", read(active={"from": 3})], present="first"))
    assert finding.code == "silent-readout"
    assert finding.found == "B never responds"


def test_a_response_after_the_last_step_is_named() -> None:
    (finding,) = check(network(["image -> A", read(delay=3)]))
    assert finding.found == "B first responds at step 5 (image → A → B under simultaneous order)"
    assert finding.expected == "a readout at step 4 of 4 would be empty"
