"""Random specs: small networks with any edges, sizes, orders, delays, operations, cells, windows and silence rules.

Choices are ordered from plain to special, so that hypothesis shrinks a failure to a readable spec.
"""

from __future__ import annotations

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from cortexgraph.checks import check_structure
from cortexgraph.graph import assemble
from cortexgraph.pipeline import unroll
from cortexgraph.spec import NetworkSpec

NAMES = ("V1", "TH/TF", "7a", "V1-L4", "train", "IT", "V1 (L2/3)", "x")
SIZES = (8, 4, 2)
NORMS = (
    None,
    {"kind": "batch"},
    {"kind": "batch", "per_step": True},
    {"kind": "group", "groups": 2},
    {"kind": "layer", "per_step": True},
    {"kind": "instance"},
    {"kind": "local_response"},
)
CELLS = (
    None,
    "leaky",
    {"leaky": {"decay": 0.7, "learned": True, "input": "rest", "activation": "tanh"}},
    {"leaky": {"tau_ms": 25.0}},
    {"conv_gru": 1},
    "conv_lstm",
    "ugrnn",
    "intersection",
    {"reciprocal_gated": {"kernel": 1}},
)
BODIES: tuple[list[Any] | None, ...] = (
    None,
    [],
    ["tanh", {"norm": {"kind": "batch", "per_step": True}}],
    [{"residual": [{"conv": 1}, {"norm": "layer"}, "elu", "conv"]}, "softplus"],
    [{"residual": {"body": ["separable"], "shortcut": [{"norm": {"kind": "batch", "per_step": True}}]}}],
    [{"depthwise": {"kernel": 3, "bias": False}}, "silu", {"dropout": 0.3}],
)
TRANSFORMS: tuple[list[Any], ...] = (
    [{"conv": {"kernel": 1}}, "tanh"],
    [{"conv": {"channels": 3}}, {"norm": "batch"}, "relu", {"conv": {"kernel": [1, 3]}}],
    [{"separable": {"kernel": 3}}],
    ["depthwise", {"conv": 1}],
    [{"max_pool": {"kernel": 3, "stride": 1, "padding": 1}}, {"conv": {"dilation": 2}}],
    [{"avg_pool": {"kernel": 3, "stride": 1, "padding": 1}}, {"residual": [{"conv": {"channels": 2}}]}, "conv"],
    [{"gabor": 3}],
    [{"dropout": {"p": 0.4, "channels": True}}, "conv"],
)


@st.composite
def specs(draw: st.DrawFn, max_areas: int = 4, max_steps: int = 4) -> NetworkSpec:
    """A spec whose readouts are live; a feedforward chain runs through all areas, which may fall silent again."""
    names = NAMES[: draw(st.integers(1, max_areas))]
    sizes = sorted((draw(st.sampled_from(SIZES)) for _ in names), reverse=True)
    areas = {name: _area(draw, size) for name, size in zip(names, sizes, strict=True)}
    steps = draw(st.integers(len(names), len(names) + max_steps - 1))
    connections = _connections(draw, names, areas, steps)
    spec: dict[str, Any] = {
        "cortexgraph": 1,
        "name": "random",
        "input": {"channels": 2, "size": 8, "present": draw(_windows(steps))},
        "areas": areas,
        "connections": connections,
        "readout": {"from": names[-1], "classes": 3, "pool": draw(st.sampled_from(["avg", "max", "flatten"]))},
        "time": {
            "steps": steps,
            "order": draw(_orders(names)),
            "silence": draw(st.sampled_from(["skip", "skip", "zero_input", "zero_drive"])),
            "dt_ms": 10.0,
        },
    }
    _tie(draw, connections)
    _add_readouts(draw, spec, names, steps)
    return NetworkSpec.model_validate(spec)


def _area(draw: st.DrawFn, size: int) -> dict[str, Any]:
    area: dict[str, Any] = {"channels": draw(st.sampled_from([2, 4])), "size": size}
    if draw(st.integers(0, 3)) == 3:
        area["body"] = draw(st.sampled_from([body for body in BODIES if body is not None]))
    else:
        norm, activation = draw(st.sampled_from(NORMS)), draw(st.sampled_from([None, "tanh", "softplus", "gelu"]))
        area |= {"norm": norm} if norm else {}
        area |= {"activation": activation} if activation else {}
    cell = draw(st.sampled_from(CELLS))
    area |= {"cell": cell} if cell else {}
    if draw(st.integers(0, 5)) == 5:
        area |= {"merge": "concat", "body": ["conv", "relu"]}
        area.pop("norm", None), area.pop("activation", None)
    return area | ({"weights": "per_step"} if draw(st.integers(0, 5)) == 5 else {})


# ---- connections ----------------------------------------------------------------


def _connections(
    draw: st.DrawFn, names: tuple[str, ...], areas: dict[str, dict[str, Any]], steps: int
) -> list[dict[str, Any]]:
    chain = [{"from": a, "to": b} for a, b in zip(("image", *names), names, strict=False)]
    ends = st.tuples(st.sampled_from(("image", *names)), st.sampled_from(names))
    extra = [{"from": a, "to": b} for a, b in draw(st.lists(ends, max_size=len(names) + 2))]
    channels = {name: area["channels"] for name, area in areas.items()} | {"image": 2}
    for connection in (*chain, *extra):
        same = channels[connection["from"]] == channels[connection["to"]]
        connection.update(_transform(draw, same))
        connection.update({"weights": "per_step"} if draw(st.integers(0, 5)) == 5 else {})
        gain = draw(st.sampled_from([None, None, None, "learned", -0.5]))
        connection.update({"gain": gain} if gain is not None else {})
    for connection in extra:
        connection.update(_timing(draw, steps))
        if areas[connection["to"]].get("merge") != "concat" and draw(st.integers(0, 3)) == 3:
            connection.update({"role": "modulate", "gate": draw(st.sampled_from(["linear", "tanh", "sigmoid"]))})
    return [*chain, *extra]


def _transform(draw: st.DrawFn, same: bool) -> dict[str, Any]:
    resize = draw(st.sampled_from([None, None, None, "bilinear", "pool", {"mode": "nearest", "at": "before"}]))
    found: dict[str, Any] = {"resize": resize} if resize else {}
    match draw(st.integers(0, 4)):
        case 4:
            return found | {"transform": draw(st.sampled_from([*TRANSFORMS, *([[]] if same else [])]))}
        case 3:
            return found | {"kernel": 3, "dilation": 2, "groups": 2}
    found["kernel"] = draw(st.sampled_from([1, 3]))
    return found | ({"bias": draw(st.booleans())} if draw(st.booleans()) else {})


def _timing(draw: st.DrawFn, steps: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    match draw(st.integers(0, 3)):
        case 1:
            found["delay"] = draw(st.integers(1, 2))
        case 2:
            found["delay_ms"] = draw(st.sampled_from([4.0, 10.0, 15.0]))
    window = draw(st.one_of(st.just("always"), _windows(steps)))
    found |= {"active": window} if window != "always" else {}
    silence = draw(st.sampled_from([None, None, None, "skip", "zero_input", "zero_drive"]))
    return found | ({"silence": silence} if silence else {})


def _tie(draw: st.DrawFn, connections: list[dict[str, Any]]) -> None:
    """Sometimes a connection more that shares the parameters of one, or uses them transposed."""
    if draw(st.integers(0, 2)) < 2:
        return
    owner = draw(st.sampled_from(connections))
    owner["name"] = "owner"
    geometry = {
        key: owner[key] for key in ("transform", "kernel", "dilation", "groups", "bias", "resize") if key in owner
    }
    single = "transform" not in owner and "dilation" not in owner and "resize" not in owner
    if single and owner["from"] != "image" and draw(st.booleans()):
        tie: dict[str, Any] = {"connection": "owner", "transpose": True}
        connections.append({"from": owner["to"], "to": owner["from"], "tie": tie})
    else:
        geometry |= {"dilation": 2} if "transform" not in owner and owner.get("kernel") == 3 else {}
        connections.append({"from": owner["from"], "to": owner["to"], **geometry, "tie": "owner", "delay": 1})


# ---- time -----------------------------------------------------------------------


def _windows(steps: int) -> st.SearchStrategy[Any]:
    listed = st.lists(st.integers(1, steps), min_size=1, unique=True)
    first = st.integers(1, steps)
    spans = first.flatmap(lambda a: st.integers(a, steps).map(lambda b: {"from": a, "to": b}))
    return st.one_of(st.sampled_from(["always", "first"]), listed, spans)


def _orders(names: tuple[str, ...]) -> st.SearchStrategy[Any]:
    group = st.lists(st.sampled_from(names), min_size=1, max_size=len(names), unique=True)
    explicit = st.lists(group, max_size=3).map(lambda groups: [[name] for name in names] + groups)
    backwards = st.just([[name] for name in reversed(names)])
    return st.one_of(st.sampled_from(["simultaneous", "sequential"]), explicit, backwards)


def _add_readouts(draw: st.DrawFn, spec: dict[str, Any], names: tuple[str, ...], steps: int) -> None:
    """Steps at which the readout's area is live, and sometimes a second readout."""
    trial = NetworkSpec.model_validate(spec)
    assume(not [finding for finding in check_structure(assemble(trial)) if finding.severity == "error"])
    unrolled = unroll(trial)
    readout = spec["readout"]
    readout["at"] = _at(draw, unrolled.live_steps(names[-1]), steps)
    other = draw(st.sampled_from(names))
    if draw(st.integers(0, 4)) == 4 and unrolled.live_steps(other):
        second = {"from": other, "name": "second", "classes": 2, "at": _at(draw, unrolled.live_steps(other), steps)}
        spec["readout"] = [readout, second]


def _at(draw: st.DrawFn, live: tuple[int, ...], steps: int) -> Any:
    assume(live)
    at: Any = draw(st.one_of(st.just("all"), st.lists(st.sampled_from(live), min_size=1, unique=True)))
    return "last" if at == [steps] and draw(st.booleans()) else at
