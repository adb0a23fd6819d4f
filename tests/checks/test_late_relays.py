"""Relay areas that make a path a step late: the finding, and the order that its repair gives."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor
from torch.nn import functional as F

from cortexgraph.compiler import check
from cortexgraph.spec import NetworkSpec
from tests.models.parity import States, Weights, compare_by_hand


def network(connections: list[Any], *relays: str, **time: Any) -> NetworkSpec:
    areas = {"A": {"level": 0}, "B": {"level": 1}} | {name: {"level": 1, "activation": "sigmoid"} for name in relays}
    return NetworkSpec.model_validate(
        {
            "name": "relayed",
            "input": {"channels": 2, "size": 4},
            "defaults": {"connection": {"kernel": 1}},
            "areas": {name: {"channels": 3, "size": 4} | area for name, area in areas.items()},
            "connections": ["image -> A -> B", *connections],
            "readout": {"from": "B", "classes": 2},
            "time": {"steps": 4} | time,
        }
    )


def relay(source: str, target: str, **options: Any) -> dict[str, Any]:
    return {"from": source, "to": target, "transform": []} | options


GATING = {"role": "modulate", "gate": "product"}


def repaired(spec: NetworkSpec, repair: str) -> NetworkSpec:
    found = re.search("`(order: .*?)`", repair)
    assert found is not None
    data = spec.data()
    return NetworkSpec.model_validate(data | {"time": data["time"] | yaml.safe_load(found[1])})


def test_with_the_order_of_the_repair_the_network_multiplies_values_of_one_step() -> None:
    spec = network(["A -> m", relay("m", "B", **GATING)], "m")
    (finding,) = check(spec)
    assert (finding.code, finding.place) == ("late-relay", "areas.m")
    assert finding.found == "m passes A on to B a step late: through it B reads A of step t − 2"
    assert finding.repair == "Update m before B: `order: [[m], [A, B]]` under `time`."
    spec = repaired(spec, finding.repair)
    assert check(spec) == []

    def by_hand(w: Weights, x: Tensor) -> tuple[Tensor, States]:
        a = F.relu(w.conv("image_to_A.conv", x))
        states: States = {("A", t): a for t in range(1, 5)}
        m = torch.sigmoid(w.conv("A_to_m.conv", a))
        b = F.relu(w.conv("A_to_B.conv", a) * m)
        states |= {("m", t): m for t in range(2, 5)} | {("B", t): b for t in range(2, 5)}
        return w.classify(b.mean((2, 3))), states

    assert compare_by_hand(spec, by_hand, training=True, interpreted=True).worst < 1e-9


def test_relays_of_relays_get_an_order_together() -> None:
    spec = network(["A -> m", "A -> n", relay("m", "n"), relay("n", "B", **GATING)], "n", "m")
    findings = check(spec)
    assert [finding.place for finding in findings] == ["areas.n", "areas.m"]
    assert all("`order: [[m], [n], [A, B]]`" in finding.repair for finding in findings)
    assert check(repaired(spec, findings[0].repair)) == []


def test_a_thousand_relays_in_a_row() -> None:
    names = [f"m{n}" for n in range(1100)]
    rows = [f"A -> {names[0]}", *(relay("A", name) for name in names[1:])]
    rows += [relay(name, after) for name, after in zip(names, [*names[1:], "B"], strict=True)]
    findings = [finding for finding in check(network(rows, *names)) if finding.code == "late-relay"]
    assert len(findings) >= 200
    assert "`order: [[m0], [m1], [m2]," in findings[0].repair


@pytest.mark.parametrize(
    "spec",
    [
        network(["A -> m", relay("m", "B", **GATING)], "m", order="sequential"),
        network(["A -> m", relay("m", "B", delay=1, **GATING)], "m"),
        network(["A -> m", {"from": "m", "to": "B", **GATING}], "m"),  # more than a relay: it is convolved
        network(["A -> m", relay("m", "B", **GATING), "m -> A"], "m"),  # read by others too
        network(["image -> m", relay("m", "B", **GATING)], "m"),  # the image is no state
    ],
    ids=["in time", "delayed", "convolved", "read by others", "of the image"],
)
def test_other_areas_are_no_late_relays(spec: NetworkSpec) -> None:
    assert [finding.code for finding in check(spec)] == []
