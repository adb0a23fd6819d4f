"""Random specs: small networks with any edges, sizes, orders, delays, operations, cells, windows and silence rules.

Most are of a few steps; some run for up to `LONGEST`, long enough to be rolled, and are read at a few steps only.
Norms stand inside transforms, beside connections with weights per step; several connections of different delays apply
one head (`_heads`) to one area or input. One in three has several inputs.

Choices are ordered from plain to special, so that hypothesis shrinks a failure to a readable spec. That each word of
the language is drawn is a test of its own (tests/test_strategies.py).
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from cortexgraph.checks import check_structure
from cortexgraph.compiler import unroll
from cortexgraph.graph import assemble
from cortexgraph.ops import ACTIVATIONS
from cortexgraph.spec import NetworkSpec

Entries = list[Any]

NAMES = ("V1", "TH/TF", "7a", "V1-L4", "train", "IT", "V1 (L2/3)", "x")
SIZES = (8, 4, 2)
LONGEST = 40
"""Steps: enough for a prologue, any period of a few areas repeated three times, and an epilogue."""
SILENCES = ("skip", "zero_input", "zero_drive")
INITS = ("default", "he", "orthogonal", "identity", "dirac", "zeros")
NORMS: tuple[dict[str, Any], ...] = (
    {"kind": "batch"},
    {"kind": "batch", "per_step": True},
    {"kind": "group", "groups": 2},
    {"kind": "layer", "per_step": True},
    {"kind": "instance"},
    {"kind": "local_response"},
    {"kind": "batch", "eps": 0.1, "momentum": 0.3},
    {"kind": "layer", "eps": 0.1},
)
CELLS: tuple[Any, ...] = (
    "simple",
    "leaky",
    {"leaky": {"decay": 0.7, "learned": True, "input": "rest", "activation": "tanh"}},
    {"leaky": {"tau_ms": 25.0}},
    {"conv_gru": 1},
    "conv_lstm",
    {"conv_lstm": {"peepholes": True}},
    "ugrnn",
    "intersection",
    {"reciprocal_gated": {"kernel": 1, "bias": True}},
)
SIGNS = ("excitatory", "inhibitory")
GATES = ("linear", "tanh", "sigmoid", "product", "logistic", "complement")
"""All but the divisive one, whose values must stay above −1."""
TAME = tuple(word for word in ACTIVATIONS if word != "square")
"""Activations under which the values of a loop do not grow faster than exponentially, until they are infinite."""
KEEPING: tuple[Entries, ...] = (
    *([word] for word in TAME),
    ["tanh", "square"],
    *([{"norm": norm}] for norm in NORMS),
    ["dropout"],
    [{"noise": 0.3}],
    [{"dropout": {"p": 0.4, "over_time": "shared"}}],
    [{"noise": {"std": 0.1}}],
    [{"noise": {"std": 0.1, "seed": 2, "evaluation": True}}],
    [{"dropout": {"p": 0.4, "channels": True}}],
    [{"depthwise": {"kernel": 3, "stride": 1}}],
    [{"max_pool": {"kernel": 3, "stride": 1, "padding": 1}}],
    [{"max_pool": {"kernel": 2, "ceil_mode": True}}, {"upsample": 2}],
    [{"pad": {"rim": 1, "mode": "replicate"}}, {"avg_pool": {"kernel": 3, "stride": 1}}],
    [{"pad": {"rim": 1, "mode": "reflect"}}, {"max_pool": {"kernel": 3, "stride": 1}}],
    [{"avg_pool": {"kernel": [3, 1], "stride": 1, "padding": [1, 0]}}],
    [{"upsample": {"factor": 2, "mode": "bilinear"}}, {"max_pool": 2}],
    [{"max_pool": 2}, {"upsample": 2}],
    [{"power": {"exponent": 0.5, "eps": 0.1}}],
    [{"clamp": {"max": 2.0}}, {"power": 1.5}],
    [{"clamp": {"min": -0.5, "max": 1.0}}],
    [{"product": {"body": [], "by": [{"avg_pool": {"kernel": 3, "stride": 1, "padding": 1}}, "sigmoid"]}}],
    [{"product": {"body": ["tanh"], "by": [{"pool": 1}, "complement"]}}],
    [{"local_response": {"neighbours": 3, "alpha": 0.5, "k": 2.0}}],
)
"""Operations that keep channels and size, whatever these are (from 2 × 2 on, even)."""

CONVERTING: tuple[Entries, ...] = (
    [{"conv": 1}],
    [{"conv": {"kernel": [1, 3], "dilation": 2, "groups": 2}}],
    [{"conv": {"channels": 3, "kernel": 1}}, "conv"],
    [{"separable": 3}],
    ["depthwise", {"conv": 1}],
    [{"gabor": {"kernel": 3, "phases": 2}}],
    [{"conv_transpose": {"kernel": 3, "stride": 1}}],
    [{"conv_transpose": {"kernel": [2, 3], "stride": 2}}, {"avg_pool": 2}],
    [{"conv": {"channels": 2}}, "pad_channels"],
    [{"conv": {"kernel": 1, "channels": 4}}, {"maxout": 2}, {"conv": 1}],
    [{"radial_basis": {"kernel": 1, "sigma": 2.0}}],
    [{"normalisation_pool": 3}],
)
"""Operations from any channels to those of the area, that keep the size (or take the stride that bridges it)."""

OUTPUTS: tuple[Entries, ...] = (
    ["tanh"],
    [{"norm": "layer"}, "relu"],
    [{"conv": 3}, "relu"],
    [{"max_pool": {"kernel": 3, "stride": 1, "padding": 1}}],
)
"""Operations that may follow a cell with memory."""

NORMED: tuple[Entries, ...] = (
    [{"conv": 1}, {"norm": "batch"}],
    [{"norm": "batch"}, {"conv": 1}],
    [{"conv": 3}, {"norm": {"kind": "batch", "per_step": True}}],
    [{"conv": 1}, {"norm": {"kind": "group", "groups": 2}}, "relu"],
)
"""Transforms with a norm, that keep the size (or take the stride that bridges it)."""

HEADS: tuple[Entries, ...] = (
    [{"bilinear": 8}],
    [{"nearest": [8, 6]}, "relu"],
    [{"pool": [2, 4]}],
    [{"antialiased": [2, 5]}],
    ["tanh"],
    [{"avg_pool": {"kernel": 3, "stride": 1, "padding": 1}}],
)
"""Operations without parameters, of any shape, with which several transforms begin."""

RESIZING: tuple[Entries, ...] = ([{"nearest": 6}], [{"bilinear": [5, 6]}], [{"pool": [3, 2]}], [{"linear": 4}])
"""Operations to a size of their own."""


TRANSFORMS: tuple[Entries, ...] = (
    [{"pool": 1}, {"conv": 1}],
    ["dropout", {"linear": 2}, "tanh"],
    [{"conv": {"kernel": 1, "channels": 2}}, "relu", {"pool": 1}],
)
"""Of readouts of two classes."""


@st.composite
def specs(draw: st.DrawFn, max_areas: int = 4, max_steps: int = 4, *, long: bool | None = None) -> NetworkSpec:
    """A spec whose readouts are live; a feedforward chain runs through all areas, which may fall silent again.

    It is of at most `max_steps` steps more than it has areas; a long one, of at most three areas, of up to `LONGEST`.
    By default one in eight is long.
    """
    long = draw(st.integers(0, 7)) == 7 if long is None else long
    names = NAMES[: draw(st.integers(1, min(3, max_areas) if long else max_areas))]
    areas, inputs = _areas(draw, names), _inputs(draw)
    steps = draw(st.integers(12, LONGEST) if long else st.integers(len(names), len(names) + max_steps - 1))
    connections = _connections(draw, names, areas, inputs, steps)
    spec: dict[str, Any] = {
        "cortexgraph": 1,
        "name": "random",
        **({"inputs": inputs} if len(inputs) > 1 else {"input": inputs["image"]}),
        "areas": areas,
        "connections": connections,
        "readout": {"from": names[-1], "classes": 3, "pool": draw(st.sampled_from(["avg", "max", "flatten"]))},
        "time": {
            "steps": steps,
            "order": draw(orders(names)),
            "silence": draw(st.sampled_from(["skip", *SILENCES])),
            "dt_ms": 10.0,
        },
    }
    if draw(st.integers(0, 3)) == 3:
        spec["defaults"] = _defaults(draw)
    if any("merge" in area for area in areas.values()) and draw(st.integers(0, 2)) == 2:
        _merge_by_default(spec)
    for each in inputs.values():
        each["present"] = draw(_windows(steps))
    _tie(draw, connections, inputs)
    if draw(st.integers(0, 3)) == 3:
        _heads(draw, names, connections, inputs)
    _add_readouts(draw, spec, names, steps)
    return NetworkSpec.model_validate(spec)


def _inputs(draw: st.DrawFn) -> dict[str, dict[str, Any]]:
    """The image alone, or with one or two inputs more, which may be smaller."""
    more = ("7a gaze", "right")[: max(0, draw(st.integers(-4, 2)))]
    shapes = {name: {"channels": draw(st.sampled_from([2, 4])), "size": draw(st.sampled_from(SIZES))} for name in more}
    return {"image": {"channels": 2, "size": 8}, **shapes}


# ---- areas ------------------------------------------------------------------------


def _areas(draw: st.DrawFn, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Areas from large to small; square ones, or of a height and a width."""
    heights = sorted((draw(st.sampled_from(SIZES)) for _ in names), reverse=True)
    widths = heights
    if draw(st.integers(0, 4)) == 4:
        widths = sorted((draw(st.sampled_from(SIZES)) for _ in names), reverse=True)
    areas = {
        name: _area(draw, height if height == width else [height, width])
        for name, height, width in zip(names, heights, widths, strict=True)
    }
    if len(names) > 1 and draw(st.integers(0, 4)) == 4:
        areas[names[1]]["level"] = 0  # beside the first
        areas[names[1]]["region"] = areas[names[0]]["region"] = "region"
    return areas


def _area(draw: st.DrawFn, size: Any) -> dict[str, Any]:
    area: dict[str, Any] = {"channels": draw(st.sampled_from([2, 4])), "size": size}
    if draw(st.integers(0, 3)) == 3:
        area["body"] = _kept(draw, blocks=True)
    else:
        if draw(st.booleans()):
            area["norm"] = draw(st.sampled_from(NORMS))
        if draw(st.booleans()):
            area["activation"] = draw(st.sampled_from(TAME))
    if draw(st.booleans()):
        area["cell"] = draw(st.sampled_from(CELLS))
    if draw(st.integers(0, 3)) == 3:
        area["output"] = draw(st.sampled_from(OUTPUTS))
    if draw(st.integers(0, 3)) == 3:
        area["start"] = draw(st.sampled_from(["zeros", "learned"]))
    if draw(st.integers(0, 3)) == 3:
        area["merge"] = "concat"
        if "body" in area:
            area["body"] = [*draw(st.sampled_from(CONVERTING)), *area["body"]]
    return area | ({"weights": "per_step"} if draw(st.integers(0, 5)) == 5 else {})


def _kept(draw: st.DrawFn, *, blocks: bool) -> Entries:
    """Operations one after another that keep the shape; with residual blocks where the area's channels are given."""
    parts = draw(st.lists(st.sampled_from(KEEPING), max_size=3))
    if blocks and draw(st.integers(0, 2)) == 2:
        inner = draw(st.lists(st.sampled_from([*CONVERTING, *KEEPING]), min_size=1, max_size=3))
        block: Any = [*chain.from_iterable(inner)]
        if draw(st.booleans()):
            shortcut = draw(st.lists(st.sampled_from(KEEPING), max_size=2))
            block = {"body": block, "shortcut": [*chain.from_iterable(shortcut)]}
        parts.insert(draw(st.integers(0, len(parts))), [{"residual": block}])
    return [*chain.from_iterable(parts)]


def _defaults(draw: st.DrawFn) -> dict[str, Any]:
    area: dict[str, Any] = {"norm": draw(st.sampled_from(NORMS))}
    if draw(st.booleans()):
        area = {"body": _kept(draw, blocks=False), "cell": draw(st.sampled_from(CELLS))}
    connection = {"kernel": 1, "bias": draw(st.booleans()), "weights": draw(st.sampled_from(["shared", "per_step"]))}
    return {"area": area, "connection": connection | {"init": draw(st.sampled_from(INITS))}}


def _merge_by_default(spec: dict[str, Any]) -> None:
    """Say of the areas that sum that they do, not of those that concatenate."""
    for area in spec["areas"].values():
        if area.pop("merge", "sum") == "sum":
            area["merge"] = "sum"
    spec.setdefault("defaults", {}).setdefault("area", {})["merge"] = "concat"


# ---- connections ----------------------------------------------------------------


def _connections(
    draw: st.DrawFn,
    names: tuple[str, ...],
    areas: dict[str, dict[str, Any]],
    inputs: dict[str, dict[str, Any]],
    steps: int,
) -> list[dict[str, Any]]:
    through = [{"from": a, "to": b} for a, b in zip(("image", *names), names, strict=False)]
    ends = st.tuples(st.sampled_from((*inputs, *names)), st.sampled_from(names))
    extra = [{"from": a, "to": b} for a, b in draw(st.lists(ends, max_size=len(names) + 2))]
    extra += [{"from": name, "to": draw(st.sampled_from(names))} for name in [*inputs][1:]]
    shapes = {name: (part["channels"], *_pair(part["size"])) for name, part in (inputs | areas).items()}
    for connection in (*through, *extra):
        connection.update(_transform(draw, shapes[connection["from"]], shapes[connection["to"]]))
        connection.update({"weights": "per_step"} if draw(st.integers(0, 5)) == 5 else {})
        connection.update({"init": draw(st.sampled_from(INITS))} if draw(st.integers(0, 3)) == 3 else {})
        connection.update({"weight_norm": True} if "kernel" in connection and draw(st.integers(0, 5)) == 5 else {})
        if "kernel" in connection and draw(st.integers(0, 3)) == 3:
            connection.update({"sign": draw(st.sampled_from(SIGNS))})
            connection.update({"gain": 0.5} if draw(st.booleans()) else {})
            continue
        gain = draw(st.sampled_from([None, None, None, "learned", -0.5]))
        connection.update({"gain": gain} if gain is not None else {})
    for connection in extra:
        connection.update(_timing(draw, steps))
        if areas[connection["to"]].get("merge") != "concat" and draw(st.integers(0, 3)) == 3:
            connection.update({"role": "modulate", "gate": draw(st.sampled_from(GATES))})
            if draw(st.integers(0, 3)) == 3:
                _inhibit(draw, connection)
    if draw(st.integers(0, 5)) == 5:
        through[-1].update(_timing(draw, steps))
    return [*through, *extra]


def _inhibit(draw: st.DrawFn, connection: dict[str, Any]) -> None:
    """Make a modulator shunting inhibition by a normalisation pool, which is never negative."""
    for key in ("kernel", "dilation", "groups", "bias", "gain", "resize", "weight_norm", "sign"):
        connection.pop(key, None)
    order = draw(st.sampled_from([1, 2]))
    connection.update({"gate": "divisive", "transform": [{"normalisation_pool": {"kernel": 3, "order": order}}]})


def _pair(size: Any) -> tuple[int, int]:
    return tuple(size) if isinstance(size, list) else (size, size)


def _heads(draw: st.DrawFn, names: tuple[str, ...], connections: list[dict[str, Any]], inputs: dict[str, Any]) -> None:
    """Two or three connections more from one area or input, whose transforms begin alike, mostly delayed."""
    source, head = draw(st.sampled_from((*names, *inputs))), draw(st.sampled_from(HEADS))
    for _ in range(draw(st.integers(2, 3))):
        rest = draw(st.sampled_from([[{"conv": 1}], *NORMED]))
        mode = draw(st.sampled_from(["nearest", "bilinear", "pool"]))
        connection: dict[str, Any] = {"from": source, "to": draw(st.sampled_from(names)), "transform": [*head, *rest]}
        connection |= {"resize": {"mode": mode, "at": "after"}} if _changes_size(head) else {}
        connection |= {"delay": delay} if (delay := draw(st.integers(0, 3))) else {}
        connections.append(connection | ({"weights": "per_step"} if draw(st.integers(0, 3)) == 3 else {}))


def _changes_size(head: Entries) -> bool:
    return isinstance(head[0], dict) and "avg_pool" not in head[0]


def _transform(draw: st.DrawFn, source: tuple[int, ...], target: tuple[int, ...]) -> dict[str, Any]:
    """What a connection does between two shapes."""
    resize = draw(
        st.sampled_from([None, None, None, "bilinear", "antialiased", "pool", {"mode": "nearest", "at": "before"}])
    )
    found: dict[str, Any] = {"resize": resize} if resize else {}
    match draw(st.integers(0, 10)):
        case 7 | 8:
            return found | {"transform": draw(st.sampled_from(NORMED))}
        case 6 | 9 if source[1] <= target[1] and source[2] <= target[2]:
            grows = source[1] < target[1] and source[2] < target[2]
            kernel = draw(st.sampled_from([2, 4, 3] if grows else [3, 5]))
            return {"resize": "transposed", "kernel": kernel} | ({"bias": True} if draw(st.booleans()) else {})
        case 5:
            changed = draw(st.sampled_from(RESIZING))
            mode = draw(st.sampled_from(["nearest", "bilinear", "pool"]))
            return {"transform": [*changed, {"conv": 1}], "resize": {"mode": mode, "at": "after"}}
        case 4 | 10:
            convert = [] if source[0] == target[0] and draw(st.booleans()) else draw(st.sampled_from(CONVERTING))
            return found | {"transform": [*_kept(draw, blocks=False), *convert, *_kept(draw, blocks=bool(convert))]}
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
    window = draw(st.one_of(st.just("always"), st.sampled_from(["always", "always", "never"]), _windows(steps)))
    found |= {"active": window} if window != "always" else {}
    silence = draw(st.sampled_from([None, None, None, *SILENCES]))
    return found | ({"silence": silence} if silence else {})


def _tie(draw: st.DrawFn, connections: list[dict[str, Any]], inputs: dict[str, Any]) -> None:
    """Sometimes a connection more that shares the parameters of one, or uses them transposed; or two more."""
    if draw(st.integers(0, 2)) < 2:
        return
    special = {"transform", "dilation", "weight_norm", "sign", "resize"}
    single = [c for c in connections if c["from"] not in inputs and not c.keys() & special]
    transposed = bool(single) and draw(st.booleans())
    owner = draw(st.sampled_from(single if transposed else connections))
    owner["name"] = "owner"
    geometry = {
        key: owner[key]
        for key in ("transform", "kernel", "dilation", "groups", "bias", "weight_norm", "sign", "resize")
        if key in owner
    }
    if transposed:
        tie: dict[str, Any] = {"connection": "owner", "transpose": True}
        late = {"delay": 1} if draw(st.booleans()) else {}
        gain = {"gain": "learned"} if draw(st.booleans()) else {}
        connections.append({"from": owner["to"], "to": owner["from"], "tie": tie, **late, **gain})
    else:
        plain = not geometry.keys() & {"transform", "dilation", "resize"}
        geometry |= {"dilation": 2} if plain and owner["kernel"] == 3 else {}
        tied = {"from": owner["from"], "to": owner["to"], **geometry, "tie": "owner", "name": "tied", "delay": 1}
        connections.append(tied)
        if draw(st.integers(0, 3)) == 3:
            connections.append({**tied, "tie": "tied", "name": "again", "delay": 2})


# ---- time -----------------------------------------------------------------------


def _windows(steps: int) -> st.SearchStrategy[Any]:
    listed = st.lists(st.integers(1, steps), min_size=1, unique=True)
    first = st.integers(1, steps)
    spans = first.flatmap(lambda a: st.integers(a, steps).map(lambda b: {"from": a, "to": b}))
    open_spans = first.map(lambda a: {"from": a})
    return st.one_of(st.sampled_from(["always", "first"]), listed, spans, open_spans)


def orders(names: tuple[str, ...]) -> st.SearchStrategy[Any]:
    group = st.lists(st.sampled_from(names), min_size=1, max_size=len(names), unique=True)
    explicit = st.lists(group, max_size=3).map(lambda groups: [[name] for name in names] + groups)
    backwards = st.just([[name] for name in reversed(names)])
    return st.one_of(st.sampled_from(["simultaneous", "sequential"]), explicit, backwards)


def _add_readouts(draw: st.DrawFn, spec: dict[str, Any], names: tuple[str, ...], steps: int) -> None:
    """Steps at which the readout's area is live, and sometimes a second and a third readout."""
    trial = NetworkSpec.model_validate(spec)
    assume(not [finding for finding in check_structure(assemble(trial)) if finding.severity == "error"])
    unrolled = unroll(trial)
    readouts = [spec["readout"]]
    readouts[0]["at"] = _at(draw, unrolled.live_steps(names[-1]), steps)
    for number in range(max(0, draw(st.integers(-3, 2)))):
        area = draw(st.sampled_from(names))
        if live := unrolled.live_steps(area):
            more = {"from": area, "name": f"readout {number + 2}", "classes": 2, "at": _at(draw, live, steps)}
            head = draw(
                st.sampled_from(
                    [*({"pool": each} for each in ("avg", "max", "places")), *({"transform": t} for t in TRANSFORMS)]
                )
            )
            readouts.append(more | head)
    for readout in readouts:
        over_time = draw(st.sampled_from(["each", "each", "mean", "cumulative", "concat"]))
        if over_time == "concat" and not isinstance(readout["at"], list):
            continue
        if over_time != "each" and readout["at"] != "last":
            readout |= {"over_time": over_time}
            readout["at"] = sorted(readout["at"]) if isinstance(readout["at"], list) else readout["at"]
    spec["readout"] = readouts if len(readouts) > 1 else readouts[0]


def _at(draw: st.DrawFn, live: tuple[int, ...], steps: int) -> Any:
    assume(live)
    at: Any = draw(st.one_of(st.just("all"), st.lists(st.sampled_from(live), min_size=1, unique=True)))
    return "last" if at == [steps] and draw(st.booleans()) else at
