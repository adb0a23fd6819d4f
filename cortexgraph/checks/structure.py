"""Names, orders and paths: what the areas, connections and readouts of a network refer to."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator

import networkx as nx

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.spec import IMAGE
from cortexgraph.spec.origin import Path
from cortexgraph.wording import quoted, skeleton, suggest

__all__ = [
    "declared_kind",
    "duplicate_connections",
    "look_alikes",
    "order",
    "repeated_readouts",
    "unknown_names",
    "unreachable",
]


def unknown_names(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`unknown-area`, and `image-as-target` for a connection into the image."""
    spec = graph.spec
    areas = spec.areas
    for index, connection in enumerate(spec.connections):
        label = f"{connection.source} -> {connection.target}"
        if connection.source not in areas and connection.source != IMAGE:
            yield _unknown(graph, ("connections", index, "from"), connection.source, [IMAGE, *areas], label)
        if connection.target == IMAGE:
            yield spec.origin.diagnostic(
                "image-as-target",
                ("connections", index, "to"),
                "a connection leads into the image",
                "the image only sends",
                "Turn the connection round, or leave it out.",
                label=label,
            )
        elif connection.target not in areas:
            yield _unknown(graph, ("connections", index, "to"), connection.target, [*areas], label)
    for index, readout in enumerate(spec.readouts):
        if readout.source not in areas:
            yield _unknown(graph, ("readout", index, "from"), readout.source, [*areas])
    for index, group in enumerate(spec.time.order if isinstance(spec.time.order, tuple) else ()):
        for name in (group,) if isinstance(group, str) else group:
            if name not in areas:
                yield _unknown(graph, ("time", "order", index), name, [*areas])


def _unknown(graph: AreaGraph, path: Path, name: str, known: list[str], label: str = "") -> Diagnostic:
    return graph.spec.origin.diagnostic(
        "unknown-area",
        path,
        f"no area is called `{name}`",
        f"there are {quoted(known)}",
        suggest(name, known, "Declare the area under `areas`, or correct the name."),
        label=label,
    )


def look_alikes(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`look-alike-names` (a warning): areas of different names that look the same: in Latin and Cyrillic, O and 0."""
    seen: dict[str, str] = {}
    for name in graph.spec.areas:
        other = seen.setdefault(skeleton(name), name)
        if other != name:
            yield graph.spec.origin.diagnostic(
                "look-alike-names",
                ("areas", name),
                f"`{name}` looks like the area `{other}`, and is another one: {_difference(name, other)}",
                repair="Rename one of them.",
                severity="warning",
            )


def _difference(name: str, other: str) -> str:
    for sign, there in zip(name, other, strict=False):
        if sign != there:
            return f"{_spelt(sign)} stands for {_spelt(there)}"
    return f"it has {len(name)} characters, not {len(other)}"


def _spelt(sign: str) -> str:
    return f"{unicodedata.name(sign, 'a character without a name').lower()} (U+{ord(sign):04X})"


def order(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`order-omits-area` and `order-repeats-area`."""
    declared = graph.spec.time.order
    if isinstance(declared, str):
        return
    groups = [(group,) if isinstance(group, str) else group for group in declared]
    named = {name for group in groups for name in group}
    omitted = [name for name in graph.spec.areas if name not in named]
    if omitted and named <= graph.spec.areas.keys():  # otherwise it may be misspelt
        yield graph.spec.origin.diagnostic(
            "order-omits-area",
            ("time", "order"),
            f"the order never updates {quoted(omitted)}",
            "every area must stand in at least one group",
            "Add the area to a group, or remove it from `areas`.",
        )
    for index, group in enumerate(groups):
        repeated = [name for name, count in Counter(group).items() if count > 1]
        if repeated:
            yield graph.spec.origin.diagnostic(
                "order-repeats-area",
                ("time", "order", index),
                f"one group updates {quoted(repeated)} more than once",
                "within a group every read happens before any write",
                "Put the second update into a group of its own.",
            )


def declared_kind(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`kind-against-hierarchy`: for example a connection called feedback that goes up."""
    for connection in graph.connections:
        declared = graph.spec.connections[connection.index].kind
        if declared is None or declared == connection.kind:
            continue
        levels = (
            f"{name} is at level {graph.area(name).level:g}" if name != IMAGE else "the image lies below all areas"
            for name in (connection.source, connection.target)
        )
        yield graph.spec.origin.diagnostic(
            "kind-against-hierarchy",
            ("connections", connection.index, "kind"),
            f"the connection is declared {declared}",
            f"{' and '.join(levels)}, which makes it {connection.kind}",
            f"Leave `kind` out, write `{connection.kind}`, or set the `level` of the areas.",
            label=connection.label,
        )


def unreachable(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`unreachable-area`: no path from the image leads to the area, so it stays silent for ever."""
    if any(not {c.source, c.target} <= {IMAGE, *graph.spec.areas} for c in graph.spec.connections):
        return  # the path may lead over a name that is misspelt
    reached = nx.descendants(graph, IMAGE)
    for area in graph.areas:
        if area.name not in reached:
            yield graph.spec.origin.diagnostic(
                "unreachable-area",
                ("areas", area.name),
                f"no path of connections leads from the image to {area.name}: it would stay silent",
                repair=f"Connect it, for example `image -> {area.name}`, or remove it.",
            )


def repeated_readouts(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`repeated-readout`: two readouts of one name."""
    count = Counter(readout.name for readout in graph.readouts)
    seen: set[str] = set()
    for readout in graph.readouts:
        if count[readout.name] > 1 and readout.name in seen:
            yield graph.spec.origin.diagnostic(
                "repeated-readout",
                ("readout", readout.index),
                f"another readout is called `{readout.name}` too",
                "a readout is called by its `name`, or else by its area",
                "Give one of them another `name`.",
            )
        seen.add(readout.name)


def duplicate_connections(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`duplicate-connection` (a warning): two connections that differ in nothing but their parameters."""
    seen: dict[str, int] = {}
    for index, declared in enumerate(graph.spec.connections):
        content = declared.model_dump_json(by_alias=True, exclude={"name"})
        if content in seen and declared.tie is None:
            yield graph.spec.origin.diagnostic(
                "duplicate-connection",
                ("connections", index),
                f"connections[{seen[content]}], as they are counted, says the same",
                repair="Leave one of them out, unless two sets of parameters are meant.",
                label=f"{declared.source} -> {declared.target}",
                severity="warning",
            )
        seen.setdefault(content, index)
