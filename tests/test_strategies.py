"""The random specs say everything: each word of the language is drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, get_args

from hypothesis import HealthCheck, Phase, given, settings

from cortexgraph.graph import assemble
from cortexgraph.graph.transforms import merge_of
from cortexgraph.ops import CELLS, NORMS, OPERATIONS, BatchNorm, Norm
from cortexgraph.spec import NetworkSpec, Span
from cortexgraph.spec.connection import ConnectionSpec, ResizeSpec
from cortexgraph.spec.model import ReadoutSpec
from cortexgraph.unrolling.heads import Head, heads_of
from tests.strategies import GATES, INITS, SILENCES, specs

WINDOWS = ("always", "first", "span", "open span", "list")

WANTED = {
    *(f"operation {word}" for word in OPERATIONS),
    *(f"cell {word}" for word in CELLS),
    *(f"norm {kind}" for kind in NORMS),
    *(f"resize {mode}" for mode in get_args(ResizeSpec.model_fields["mode"].annotation)),
    *(f"resize {at}" for at in get_args(ResizeSpec.model_fields["at"].annotation)),
    *(f"gate {gate}" for gate in ("divisive", *GATES)),
    *(f"{owner} {window}" for owner in ("present", "active") for window in WINDOWS),
    "active never",
    *(f"{owner} silence {silence}" for owner in ("network", "connection") for silence in SILENCES),
    *(f"init {init}" for init in INITS),
    *(f"pool {pool}" for pool in get_args(ReadoutSpec.model_fields["pool"].annotation)),
    *(
        f"readout {at}"
        for at in ("last", "all", "list", "several", "each", "mean", "cumulative", "concat", "transform")
    ),
    *(f"order {order}" for order in ("simultaneous", "sequential", "explicit", "with repeated areas")),
    *("merge sum", "merge concat", "gain learned", "gain number", "delay", "delay_ms", "parallel connections"),
    *("operation gain", "operation gate", "tie", "tie transposed", "tie of a tie"),
    *("weights per step of an area", "weights per step of a connection"),
    *("norm per step", "norm eps", "norm momentum", "batch norm in a transform", "several areas of a level"),
    *("region", "not square", "defaults", "merge by default", "output"),
    *(
        "start zeros",
        "start learned",
        "noise of a seed",
        "dropout shared over time",
        "sign excitatory",
        "sign inhibitory",
        "weight norm",
    ),
    *("long", "long, read at few steps", "zeros before an image with a norm", "weights per step beside a norm"),
    "several inputs",
    *("head of several delays", "transposed into a concatenation", "memory in a concatenation"),
}
"""Words of the language, and what only together found defects of version 0.1."""


def said(spec: NetworkSpec) -> Iterator[str]:
    """What a spec makes use of."""
    graph = assemble(spec)
    chains = [area.body for area in graph.areas] + [connection.transform for connection in graph.connections]
    links = [link for chain in chains for _, link in chain.walk()]
    yield from (f"operation {link.word}" for link in links)
    yield from ("dropout shared over time" for link in links if link.operation.masks())
    yield from ("noise of a seed" for link in links if link.operation.counts())
    norms = [link for link in links if isinstance(link.operation, Norm) and link.word == "norm"]
    yield from (f"norm {link.options['kind']}" for link in norms)
    yield from ("norm per step" for link in norms if link.per_step)
    yield from (f"norm {key}" for link in norms for key in ("eps", "momentum") if link.options[key] is not None)
    for chain in chains[len(spec.areas) :]:
        yield from ("batch norm in a transform" for _, link in chain.walk() if isinstance(link.operation, BatchNorm))
    for area in spec.areas.values():
        cell = area.cell or spec.defaults.area.cell
        yield f"cell {cell.name if cell else 'simple'}"
        yield f"merge {merge_of(spec, area)}"
        yield from [f"start {area.start}"] * (area.start is not None)
        yield from ["output"] * (area.output is not None)
        yield from ["weights per step of an area"] * (area.weights == "per_step") + ["region"] * bool(area.region)
        yield from ["not square"] * isinstance(area.size, tuple)
    yield from ["several areas of a level"] * (len({area.level for area in graph.areas}) < len(spec.areas))
    yield from ["defaults"] * (spec.defaults.connection.init is not None)
    yield from ["merge by default"] * (spec.defaults.area.merge is not None)
    ends = Counter((c.source, c.target) for c in spec.connections)
    yield from ["parallel connections"] * (max(ends.values()) > 1)
    for connection in spec.connections:
        yield from _said_of(connection, spec)
    yield from _said_of_time(spec)


def together(spec: NetworkSpec) -> Iterator[str]:
    """What a spec makes use of at once."""
    graph = assemble(spec)
    steps = spec.time.steps
    if steps >= 12:
        yield "long"
        few = any(isinstance(readout.at, tuple) and len(readout.at) < steps / 2 for readout in spec.readouts)
        yield from ["long, read at few steps"] * few
    by_delay: dict[Head, set[int]] = {}
    for connection in graph.connections:
        if (head := heads_of(graph).get(connection.identifier)) is not None:
            by_delay.setdefault(head, set()).add(connection.delay)
        if connection.statistics and connection.source in spec.inputs and connection.silence == "zero_input":
            late = connection.delay or spec.inputs[connection.source].present not in ("always", "first")
            yield from ["zeros before an image with a norm"] * bool(late)
        beside = graph.incoming(connection.target)
        if connection.statistics and any(c.per_step and c is not connection for c in beside):
            yield "weights per step beside a norm"
        declared = spec.connections[connection.index].resize
        concat = graph.area(connection.target).merge == "concat"
        if concat and declared is not None and declared.mode == "transposed":
            yield "transposed into a concatenation"
        yield from ["memory in a concatenation"] * (concat and graph.area(connection.target).cell.has_memory)
    yield from ["head of several delays"] * any(len(delays) > 1 for delays in by_delay.values())


def _said_of(connection: ConnectionSpec, spec: NetworkSpec) -> Iterator[str]:
    named = {c.name: c for c in spec.connections if c.name}
    yield f"active {_window(connection.active)}"
    yield f"init {connection.init or spec.defaults.connection.init or 'default'}"
    yield from [f"connection silence {connection.silence}"] * bool(connection.silence)
    yield from [f"gate {connection.gate}"] * (connection.role == "modulate")
    yield from ["delay"] * bool(connection.delay) + ["delay_ms"] * bool(connection.delay_ms)
    yield from ["weights per step of a connection"] * (connection.weights == "per_step")
    if connection.resize is not None:
        yield from (f"resize {connection.resize.mode}", f"resize {connection.resize.at}")
    yield from [f"sign {connection.sign}"] * bool(connection.sign) + ["weight norm"] * bool(connection.weight_norm)
    if connection.gain is not None:
        yield "gain learned" if connection.gain == "learned" else "gain number"
    if connection.tie is not None:
        yield "tie transposed" if connection.tie.transpose else "tie"
        yield from ["tie of a tie"] * (named[connection.tie.connection].tie is not None)


def _said_of_time(spec: NetworkSpec) -> Iterator[str]:
    yield from (f"present {_window(each.present)}" for each in spec.inputs.values())
    yield from ["several inputs"] * (len(spec.inputs) > 1)
    yield f"network silence {spec.time.silence}"
    yield from ["readout several"] * (len(spec.readouts) > 1)
    for readout in spec.readouts:
        yield f"pool {readout.pool}"
        yield f"readout {readout.over_time}"
        yield from ["readout transform"] * (readout.transform is not None)
        yield f"readout {readout.at if isinstance(readout.at, str) else 'list'}"
    if isinstance(spec.time.order, str):
        yield f"order {spec.time.order}"
    else:
        yield "order explicit"
        turns = [name for group in spec.time.order for name in group]
        yield from ["order with repeated areas"] * (len(turns) > len(set(turns)))


def _window(window: Any) -> str:
    if isinstance(window, Span):
        return "open span" if window.last is None else "span"
    return window if isinstance(window, str) else "list"


def test_every_word_of_the_language_is_drawn() -> None:
    counts: Counter[str] = Counter()
    everything = settings(
        max_examples=320,
        deadline=None,
        phases=[Phase.generate],
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    @everything
    @given(spec=specs())
    def draw(spec: NetworkSpec) -> None:
        counts.update({*said(spec), *together(spec)})

    draw()
    assert {word for word in WANTED if not counts[word]} == set(), "give tests/strategies.py what it never draws"
    assert set(counts) == WANTED, "what is drawn beyond the list belongs into it"
