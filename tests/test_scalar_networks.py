"""Networks of single numbers: the meaning of a spec written once more, in plain Python floats.

Every map is 1 × 1 and every area has one channel, so that a state is a number and a convolution is w x + b. What
follows is section 3 of the design as a person would write it for numbers; it shares nothing with the interpreter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import exp, tanh
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cortexgraph.compiler import check, compile_spec, interpret
from cortexgraph.spec import NetworkSpec
from tests.oracle import randomise, record_all

Numbers = Mapping[str, list[float]]
"""A state dict, each entry as a flat list."""


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


# ---- cells: the body's result u, what is carried, and the weights of the cell ---------------------------------


def leaky(u: float, old: dict[str, float], w: Numbers) -> dict[str, float]:
    return {"h": 0.7 * old["h"] + u}


def settling(u: float, old: dict[str, float], w: Numbers) -> dict[str, float]:
    a = 1 - 10 / 25  # dt / τ
    return {"h": a * old["h"] + (1 - a) * u}


def learned(u: float, old: dict[str, float], w: Numbers) -> dict[str, float]:
    return {"h": tanh(sigmoid(w["alpha"][0]) * old["h"] + u)}


def gru(u: float, old: dict[str, float], w: Numbers) -> dict[str, float]:
    (w_r, w_z, w_n), (b_r, b_z, b_n), (u_r, u_z, u_n) = w["input.weight"], w["input.bias"], w["state.weight"]
    r, z = sigmoid(w_r * u + u_r * old["h"] + b_r), sigmoid(w_z * u + u_z * old["h"] + b_z)
    n = tanh(w_n * u + b_n + r * (u_n * old["h"] + w["shift"][0]))
    return {"h": (1 - z) * n + z * old["h"]}


def gates(u: float, h: float, w: Numbers) -> list[float]:
    """Each row of W [u, h] + b."""
    weight, bias = w["gates.weight"], w["gates.bias"]
    return [weight[2 * n] * u + weight[2 * n + 1] * h + b for n, b in enumerate(bias)]


def lstm(u: float, old: dict[str, float], w: Numbers) -> dict[str, float]:
    i, f, g, o = gates(u, old["h"], w)
    c = sigmoid(f) * old["c"] + sigmoid(i) * tanh(g)
    return {"h": sigmoid(o) * tanh(c), "c": c}


def ugrnn(u: float, old: dict[str, float], w: Numbers) -> dict[str, float]:
    g, c = gates(u, old["h"], w)
    g = sigmoid(g + 1)
    return {"h": g * old["h"] + (1 - g) * tanh(c)}


def intersection(u: float, old: dict[str, float], w: Numbers) -> dict[str, float]:
    g_y, y, g_m, m = gates(u, old["m"], w)
    g_y, g_m = sigmoid(g_y + 1), sigmoid(g_m + 1)
    return {"h": g_y * u + (1 - g_y) * max(0.0, y), "m": g_m * old["m"] + (1 - g_m) * tanh(m)}


def reciprocal(u: float, old: dict[str, float], w: Numbers) -> dict[str, float]:
    (hh, hc), (ch, cc) = w["from_h.weight"], w["from_c.weight"]
    h, c = old["h"], old["c"]
    return {
        "h": tanh((1 - sigmoid(ch * c)) * u + (1 - sigmoid(hh * h)) * h),
        "c": tanh((1 - sigmoid(hc * h)) * u + (1 - sigmoid(cc * c)) * c),
    }


Cell = Callable[[float, dict[str, float], Numbers], dict[str, float]]
CELLS: dict[str, tuple[Any, Cell]] = {
    "leaky": ({"leaky": 0.7}, leaky),
    "settling": ({"leaky": {"tau_ms": 25.0}}, settling),
    "learned": ({"leaky": {"learned": True, "activation": "tanh"}}, learned),
    "gru": ({"conv_gru": 1}, gru),
    "lstm": ({"conv_lstm": 1}, lstm),
    "ugrnn": ({"ugrnn": 1}, ugrnn),
    "intersection": ({"intersection": 1}, intersection),
    "reciprocal": ({"reciprocal_gated": 1}, reciprocal),
}
GATES: dict[str, Callable[[float], float]] = {
    "linear": lambda m: 1 + m,
    "tanh": lambda m: 1 + tanh(m),
    "sigmoid": lambda m: 2 * sigmoid(m),
    "product": lambda m: m,
    "logistic": sigmoid,
    "complement": lambda m: 1 - sigmoid(m),
}


# ---- the meaning --------------------------------------------------------------------------------------------


class Brain:
    """A network of numbers; a silent state is None."""

    def __init__(self, spec: dict[str, Any], numbers: Numbers, frames: list[float]) -> None:
        self.spec, self.numbers, self.frames = spec, numbers, frames
        self.written: dict[str, list[tuple[int, int, float | None]]] = {name: [] for name in spec["areas"]}
        self.carried: dict[str, dict[str, float]] = {name: {} for name in spec["areas"]}
        self.updates = dict.fromkeys(spec["areas"], 0)
        self.used_up: set[int] = set()
        self.states: dict[tuple[str, int], float] = {}

    def run(self) -> dict[tuple[str, int], float]:
        for t in range(1, self.spec["time"]["steps"] + 1):
            for k, group in enumerate(self.groups()):
                results = {area: self.update(area, t, k) for area in group}  # every read before any write
                for area, carried in results.items():
                    self.carried[area] = carried
                    self.written[area].append((t, k, carried.get("h")))
            for area, writes in self.written.items():
                if writes and (value := writes[-1][2]) is not None:
                    self.states[area, t] = value
        return self.states

    def groups(self) -> list[list[str]]:
        order, names = self.spec["time"]["order"], list(self.spec["areas"])
        if order == "simultaneous":
            return [names]
        return [[name] for name in names] if order == "sequential" else order

    def read(self, connection: dict[str, Any], t: int, k: int) -> float | None:
        """The source as it stood just before group k of step t − delay."""
        t -= connection["delay"]
        if connection["from"] == "image":
            return self.frames[t - 1] if t >= 1 and within(self.spec["input"]["present"], t, t == 1) else None
        before = [value for s, g, value in self.written[connection["from"]] if (s, g) < (t, k)]
        return before[-1] if before else None

    def effect(self, index: int, t: int, k: int) -> float | None:
        """What a connection adds, or the factor of its gate; None if it is left out."""
        connection = self.spec["connections"][index]
        if not within(connection["active"], t, index not in self.used_up):
            return None
        value = self.read(connection, t, k)
        silence = connection.get("silence", self.spec["time"]["silence"])
        if value is None and silence == "skip":
            return None
        self.used_up.add(index)
        m = 0.0
        if value is None and silence == "zero_drive":
            return 0.0 if connection["role"] == "drive" else 1.0
        if value is not None or silence == "zero_input":
            name = f"c{index}"
            m = self.numbers[f"{name}.weight"][0] * (value or 0.0) + self.numbers[f"{name}.bias"][0]
            m *= self.numbers[f"{name}.gain"][0] if connection.get("gain") == "learned" else 1.0
        return m if connection["role"] == "drive" else GATES[connection["gate"]](m)

    def update(self, area: str, t: int, k: int) -> dict[str, float]:
        """What the area carries from now on: nothing where it falls silent."""
        declared = self.spec["areas"][area]
        incoming = [n for n, connection in enumerate(self.spec["connections"]) if connection["to"] == area]
        effects = {n: e for n in incoming if (e := self.effect(n, t, k)) is not None}
        drives = [e for n, e in effects.items() if self.spec["connections"][n]["role"] == "drive"]
        old = self.carried[area] if declared["cell"] else {}
        if not drives and not old and self.spec["time"]["silence"] == "skip":
            return {}
        u = sum(drives)
        for n, factor in effects.items() if drives else ():
            u *= factor if self.spec["connections"][n]["role"] == "modulate" else 1.0
        self.updates[area] += 1
        if declared["norm"]:  # a layer norm of one number leaves its shift, which tells the ordinal
            u = self.numbers[f"{area}.shift.{self.updates[area]}"][0]
        u = tanh(u)
        if not declared["cell"]:
            return {"h": u}
        own = {name[len(area) + 6 :]: value for name, value in self.numbers.items() if name.startswith(f"{area}.cell.")}
        return CELLS[declared["cell"]][1](u, {"h": 0.0, "c": 0.0, "m": 0.0} | old, own)


def within(window: Any, t: int, first: bool) -> bool:
    if window == "first":
        return first
    if isinstance(window, dict):
        return bool(window["from"] <= t <= window.get("to", t))
    return window == "always" or t in window


# ---- the same networks, as specs ------------------------------------------------------------------------------


def as_spec(brain: dict[str, Any]) -> NetworkSpec:
    areas = {}
    for name, area in brain["areas"].items():
        areas[name] = {"channels": 1, "size": 1, "level": 0, "activation": "tanh"}
        areas[name] |= {"norm": {"kind": "layer", "per_step": True}} if area["norm"] else {}
        areas[name] |= {"cell": CELLS[area["cell"]][0]} if area["cell"] else {}
    connections = [
        {key: value for key, value in c.items() if not (key == "gate" and c["role"] == "drive")}
        | {"kernel": 1, "bias": True}
        for c in brain["connections"]
    ]
    return NetworkSpec.model_validate(
        {
            "name": "numbers",
            "input": {"channels": 1, "size": 1, "present": brain["input"]["present"]},
            "areas": areas,
            "connections": connections,
            "readout": {"from": brain["read"], "classes": 1, "at": "all"},
            "time": brain["time"] | {"dt_ms": 10.0},
        }
    )


def numbers_of(module: Any, brain: dict[str, Any]) -> Numbers:
    """The state dict under the names that a person would give."""
    identifiers = [c.identifier for c in sorted(module.unrolled.areas.connections, key=lambda c: c.index)]
    found = {}
    for name, tensor in module.state_dict().items():
        owner, *rest = name.split(".")
        if owner in identifiers:
            key = f"c{identifiers.index(owner)}.{'gain' if rest[0] == 'gain' else rest[-1]}"
        elif rest[0] == "norm":
            key = f"{owner}.{'shift' if rest[2] == 'bias' else 'scale'}.{int(rest[1]) + 1}"
        else:
            key = name
        found[key] = tensor.reshape(-1).tolist()
    return found


def compare(brain: dict[str, Any], video: bool) -> dict[tuple[str, int], float]:
    """Assert that numbers, interpreter and compiled module agree; the states."""
    torch.manual_seed(0)
    spec, steps = as_spec(brain), brain["time"]["steps"]
    module = randomise(compile_spec(spec, record=record_all(spec)).double()).eval()
    x = torch.randn(1, *([steps] if video else []), 1, 1, 1, dtype=torch.float64)
    numbers = numbers_of(module, brain)
    expected = Brain(brain, numbers, x.reshape(-1).tolist() if video else [x.item()] * steps).run()
    weight, bias = numbers["readout.linear.weight"][0], numbers["readout.linear.bias"][0]
    read = [weight * expected[brain["read"], t] + bias for t in range(1, steps + 1) if (brain["read"], t) in expected]
    twice = torch.cat([x, x])  # torch refuses to normalise a single number in all
    for logits, states in (interpret(spec, module.state_dict(), twice), module(twice)):
        assert {key: value[0].item() for key, value in states.items()} == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert logits[0].reshape(-1).tolist() == pytest.approx(read, rel=1e-9, abs=1e-9)
    return expected


# ---- comparison -------------------------------------------------------------------------------------------------


def brain(
    connections: list[dict[str, Any]], areas: dict[str, dict[str, Any]], read: str, **time: Any
) -> dict[str, Any]:
    """A network of numbers, with what is left unsaid."""
    present = time.pop("present", "always")
    plain = {"delay": 0, "active": "always", "role": "drive", "gate": "linear"}
    return {
        "input": {"present": present},
        "areas": {name: {"cell": None, "norm": False} | area for name, area in areas.items()},
        "connections": [plain | connection for connection in connections],
        "read": read,
        "time": {"steps": 5, "order": "simultaneous", "silence": "skip"} | time,
    }


AB = [{"from": "image", "to": "A"}, {"from": "A", "to": "B"}, {"from": "B", "to": "A"}]


@pytest.mark.parametrize("cell", [None, *CELLS])
@pytest.mark.parametrize("order", ["simultaneous", "sequential", [["B"], ["A"], ["A", "B"]]], ids=str)
def test_cells_under_orders(cell: str | None, order: Any) -> None:
    areas = {"A": {"cell": cell}, "B": {"cell": cell, "norm": True}}
    states = compare(brain(AB, areas, "B", order=order, present=[1, 3]), video=True)
    assert len(states) >= 5


@pytest.mark.parametrize("silence", ["skip", "zero_input", "zero_drive"])
@pytest.mark.parametrize("of_connection", [None, "skip", "zero_input", "zero_drive"])
@pytest.mark.parametrize("gate", [None, *GATES])
def test_silence_and_gates(silence: str, of_connection: str | None, gate: str | None) -> None:
    late = {"from": "image", "to": "A", "active": {"from": 3}, "gain": "learned"}
    back = {"from": "B", "to": "A", "delay": 1} | ({"role": "modulate", "gate": gate} if gate else {})
    back |= {"silence": of_connection} if of_connection else {}
    compare(brain([late, {"from": "A", "to": "B"}, back], {"A": {}, "B": {}}, "B", silence=silence), video=False)


@pytest.mark.parametrize("silence", ["zero_input", "zero_drive"])
def test_norms_over_one_number_of_what_no_image_reaches(silence: str) -> None:
    """Such values are computed for a batch of one, but for these, which torch would refuse."""
    compare(brain(AB, {"A": {"norm": True}, "B": {"norm": True}}, "B", silence=silence, present=[3]), video=False)


WINDOWS = st.one_of(
    st.sampled_from(["always", "first"]),
    st.lists(st.integers(1, 6), min_size=1, max_size=4, unique=True),
    st.integers(1, 4).map(lambda t: {"from": t}),
    st.integers(1, 4).map(lambda t: {"from": t, "to": t + 1}),
)


@st.composite
def brains(draw: st.DrawFn) -> dict[str, Any]:
    names = ["A", "B", "C"][: draw(st.integers(1, 3))]
    areas = {name: {"cell": draw(st.sampled_from([None, *CELLS])), "norm": draw(st.booleans())} for name in names}
    connections = [{"from": "image", "to": "A"}]
    for _ in range(draw(st.integers(1, 6))):
        connection: dict[str, Any] = {
            "from": draw(st.sampled_from(["image", *names])),
            "to": draw(st.sampled_from(names)),
        }
        connection |= {"delay": draw(st.sampled_from([0, 0, 1, 3])), "active": draw(WINDOWS)}
        connection |= draw(st.sampled_from([{}, {"gain": "learned"}]))
        connection |= draw(st.sampled_from([{}, {}, *({"role": "modulate", "gate": gate} for gate in GATES)]))
        connection |= draw(st.sampled_from([{}, {}, *({"silence": s} for s in ("skip", "zero_input", "zero_drive"))]))
        connections.append(connection)
    groups = st.lists(st.lists(st.sampled_from(names), min_size=1, unique=True), max_size=2)
    order = draw(st.sampled_from(["simultaneous", "sequential", "explicit"]))
    if order == "explicit":
        order = [[name] for name in draw(st.permutations(names))] + draw(groups)
    silence = draw(st.sampled_from(["skip", "skip", "zero_input", "zero_drive"]))
    return brain(
        connections, areas, draw(st.sampled_from(names)), order=order, silence=silence, present=draw(WINDOWS), steps=6
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(network=brains(), video=st.booleans())
def test_random_networks_of_numbers(network: dict[str, Any], video: bool) -> None:
    spec = as_spec(network)
    assume(not [finding for finding in check(spec) if finding.severity == "error"])
    compare(network, video)


def test_a_leaky_number_by_hand() -> None:
    """1 at the first step, then half of it at each: whatever computes it, the first numbers are these."""
    spec = NetworkSpec.model_validate(
        {
            "name": "hand",
            "input": {"channels": 1, "size": 1, "present": "first"},
            "areas": {"A": {"channels": 1, "size": 1, "body": [], "cell": {"leaky": 0.5}}},
            "connections": [{"from": "image", "to": "A", "transform": [], "gain": 2.0}],
            "readout": {"from": "A", "classes": 1},
            "time": {"steps": 4},
        }
    )
    _, states = interpret(spec, compile_spec(spec).state_dict(), torch.full((1, 1, 1, 1), 3.0))
    assert [float(states["A", t]) for t in (1, 2, 3, 4)] == [6.0, 3.0, 1.5, 0.75]
