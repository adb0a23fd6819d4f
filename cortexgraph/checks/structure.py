"""Names, words and paths: what the areas, connections and readouts of a network refer to."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator

import networkx as nx

from cortexgraph.errors import Diagnostic
from cortexgraph.graph import AreaGraph
from cortexgraph.graph.transforms import sign_of
from cortexgraph.ops import CELLS, NORMS, OPERATIONS, Component, GainOperation, GateOperation, Problem, Registry
from cortexgraph.ops.elementwise import activations, function
from cortexgraph.spec import IMAGE, AreaDefaults, AreaSpec, ConnectionDefaults, ConnectionSpec
from cortexgraph.spec.messages import message_for
from cortexgraph.spec.origin import Path, path_text
from cortexgraph.wording import quoted, shortened, skeleton, suggest, suggest_registered, synonym, unknown_area


def unknown_names(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`unknown-area`, and `image-as-target` for a connection into an input."""
    spec, areas, inputs = graph.spec, [*graph.spec.areas], graph.input_names
    for index, connection in enumerate(spec.connections):
        if connection.source not in (*inputs, *areas):
            yield _unknown(graph, ("connections", index, "from"), connection.source, [*inputs, *areas])
        if _is_input(graph, connection.target):
            problem = f"a connection leads into {_called(graph, connection.target)}"
            path, repair = ("connections", index, "to"), "Reverse the connection, or remove it."
            yield spec.diagnostic("image-as-target", path, problem, "connections only start there", repair)
        elif connection.target not in areas:
            yield _unknown(graph, ("connections", index, "to"), connection.target, areas)
    for index, readout in enumerate(spec.readouts):
        if readout.source not in areas:
            yield (
                _unread(graph, index)
                if _is_input(graph, readout.source)
                else _unknown(graph, ("readout", index, "from"), readout.source, areas)
            )
    for index, group in enumerate(spec.time.order if isinstance(spec.time.order, tuple) else ()):
        for name in (group,) if isinstance(group, str) else group:
            if name not in areas:
                yield _unknown(graph, ("time", "order", index), name, areas)


def _unread(graph: AreaGraph, index: int) -> Diagnostic:
    path, last = ("readout", index, "from"), [*graph.spec.areas][-1]
    name = _called(graph, graph.spec.readouts[index].source)
    repair = f"Read an area that {name.partition(' (')[0]} drives, such as `from: {last}`."
    problem = f"{name} is read out"
    return graph.spec.diagnostic("unknown-area", path, problem, "a readout reads an area", repair)


def _is_input(graph: AreaGraph, name: str) -> bool:
    """Whether an input is meant, under its name or, of the image, a word of other tools, such as `input`."""
    inputs = graph.input_names
    return name not in graph.spec.areas and (name in inputs or (IMAGE in inputs and synonym(name, [IMAGE]) is not None))


def _called(graph: AreaGraph, name: str) -> str:
    if name in graph.input_names and name != IMAGE:
        return f"the input `{name}`"
    return "the image" if name == IMAGE else f"the image (`{shortened(name)}`)"


def inputs(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`bad-name` for an input and an area of one name; `unused-input` (a warning): no connection reads the input."""
    spec, read = graph.spec, {connection.source for connection in graph.spec.connections}
    for name in spec.inputs:
        if name in spec.areas:
            found, expected = f"an area is called `{name}` too", "connections name inputs and areas alike"
            yield spec.diagnostic("bad-name", ("inputs", name), found, expected, "Rename one of them.")
        elif name not in read and spec.named_inputs:
            found = f"no connection reads the input {name}"
            repair = f"Connect it, for example `{name} -> {next(iter(spec.areas))}`, or remove it."
            yield spec.diagnostic("unused-input", ("inputs", name), found, repair=repair, severity="warning")


def _unknown(graph: AreaGraph, path: Path, name: str, known: list[str]) -> Diagnostic:
    wording = unknown_area(name, known, "Declare the area under `areas`, or correct the name.")
    parts = [part.strip() for part in name.split(",")]
    if "," in name and {*parts} <= {*known}:
        repair = "Write each chain as a separate entry: split this one at the comma."
        if path[0] == "time":
            repair = f"Put a space after the comma and brackets around areas updated together: `[{', '.join(parts)}]`."
        wording = *wording[:2], repair
    return graph.spec.diagnostic("unknown-area", path, *wording)


def look_alikes(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`look-alike-names` (a warning): areas of different names that look the same: in Latin and Cyrillic, O and 0."""
    seen: dict[str, str] = {}
    for name in graph.spec.areas:
        other = seen.setdefault(skeleton(name), name)
        if other != name:
            problem = f"`{name}` looks like `{other}`, but is another area: {_difference(name, other)}"
            path, repair = ("areas", name), "Rename one of them."
            yield graph.spec.diagnostic("look-alike-names", path, problem, repair=repair, severity="warning")


def _difference(name: str, other: str) -> str:
    for character, there in zip(name, other, strict=False):
        if character != there:
            return f"it has {_spelt(character)} in place of {_spelt(there)}"
    return f"it has {len(name)} characters, not {len(other)}"


def _spelt(character: str) -> str:
    return f"{unicodedata.name(character, 'a character without a name').lower()} (U+{ord(character):04X})"


# ---- operations --------------------------------------------------------------


def unknown_words(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`unknown-operation`: a norm or activation in shorthand that is not registered."""
    spec = graph.spec
    places = [(("defaults", "area"), spec.defaults.area), *((("areas", n), a) for n, a in spec.areas.items())]
    for path, area in places:
        if area.norm is not None and area.norm.kind not in ("none", *NORMS):
            yield _unknown_word(graph, (*path, "norm"), "norm", area.norm.kind, ["none", *NORMS], suggest)
        if area.activation is not None and function(area.activation) is None:
            yield _unknown_word(graph, (*path, "activation"), "activation", area.activation, [*activations()])


def _unknown_word(
    graph: AreaGraph,
    path: Path,
    family: str,
    name: str,
    known: list[str],
    suggesting: Callable[[str, list[str], str], str] = suggest_registered,
) -> Diagnostic:
    problem, article = f"no {family} is called `{name}`", "an" if family[0] in "ao" else "a"
    repair = suggesting(name, known, f"Choose the name of {article} {family}.")
    return graph.spec.diagnostic("unknown-operation", path, problem, f"the names are {quoted(known)}", repair)


def operations(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`unknown-operation`, `bad-operation`, and what validation finds in the options of operations and cells."""
    spec = graph.spec
    for connection in graph.connections:
        for problem in connection.transform.problems:
            yield _finding(graph, ("connections", connection.index, "transform"), problem, OPERATIONS)
    for readout in graph.readouts:
        for problem in readout.transform.problems if readout.transform is not None else ():
            yield _finding(graph, ("readout", readout.index, "transform"), problem, OPERATIONS)
    seen: set[str] = set()
    for area in graph.areas:
        declared = spec.areas[area.name]
        for problem in area.body.problems:
            yield from _in_area(graph, area.name, "body", declared.body is None, problem, OPERATIONS, seen)
        for problem in area.output.problems:
            yield from _in_area(graph, area.name, "output", declared.output is None, problem, OPERATIONS, seen)
        for problem in area.cell_problems:
            yield from _in_area(graph, area.name, "cell", declared.cell is None, problem, CELLS, seen)


def _in_area(
    graph: AreaGraph, name: str, key: str, shared: bool, problem: Problem, registry: Registry[Component], seen: set[str]
) -> Iterator[Diagnostic]:
    """A problem of a body or cell; once for all areas that share it by `defaults`."""
    if not shared:
        yield _finding(graph, ("areas", name, key), problem, registry)
    elif str(problem) not in seen:
        seen.add(str(problem))
        yield _finding(graph, ("defaults", "area", key), problem, registry)


def _finding(graph: AreaGraph, path: Path, problem: Problem, registry: Registry[Component]) -> Diagnostic:
    place = (*path, *problem.path)
    if problem.detail is not None and problem.options is not None:
        message = message_for(problem.detail, tuple(problem.detail["loc"]), problem.options)
        inner = problem.inside[:-1] if problem.detail["type"] == "missing" else problem.inside
        repair = message.repair
        if not problem.inside and problem.detail["loc"]:  # the main option, written without its name
            repair = repair.replace(f"`{problem.detail['loc'][0]}", f"`{problem.word}", 1)
        return graph.spec.diagnostic(message.code, (*place, *inner), message.found, message.expected, repair)
    if problem.found:
        return graph.spec.diagnostic("bad-operation", place, problem.found, repair=problem.repair)
    return _unknown_word(graph, place, registry.family, problem.word, [*registry])


def empty_values(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`empty-value` (a warning): a key without a value, as in `norm: null`, which leaves that of the defaults."""
    spec, nothing = graph.spec, {"norm": "none", "activation": "identity"}
    parts: list[tuple[Path, AreaSpec | ConnectionSpec, AreaDefaults | ConnectionDefaults]] = [
        *((("areas", name), area, spec.defaults.area) for name, area in spec.areas.items()),
        *((("connections", n), each, spec.defaults.connection) for n, each in enumerate(spec.connections)),
    ]
    said = spec.origin.lines.keys() | spec.origin.overrides.keys()
    for entry, part, defaults in parts:
        for key in sorted(part.model_fields_set & type(defaults).model_fields.keys()):
            path = (*entry, key)
            empty = getattr(part, key) is None and getattr(defaults, key) is not None
            if empty and spec.origin.written(path) in said:
                found = f"`{key}` has no value, which leaves that of `defaults`"
                repair = f"Write `{key}: {nothing[key]}`, or remove the key." if key in nothing else "Remove the key."
                yield spec.diagnostic("empty-value", path, found, repair=repair, severity="warning")


# ---- weights -------------------------------------------------------------------


def signs(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`bad-sign`: a connection with a `sign` that its area, its gain or one of its operations contradicts."""
    spec = graph.spec
    for connection in graph.connections:
        declared, sign = spec.connections[connection.index], sign_of(spec, spec.connections[connection.index])
        path = ("connections", connection.index)
        if sign is None or not connection.transform.whole:
            continue
        area = spec.areas.get(connection.source)
        if area is not None and area.sign not in (None, sign):
            found, expected = f"the connection is {sign}", f"{connection.source} is {area.sign} (Dale's law)"
            yield spec.diagnostic("bad-sign", (*path, "sign"), found, expected, "Remove one of the two signs.")
        if declared.gain == "learned" or (declared.gain is not None and declared.gain < 0):
            word = "learned" if declared.gain == "learned" else "negative"
            found = f"the connection is {sign}, but its gain is {word}"
            repair = "Remove `gain`, or write a positive number: the sign says the rest."
            yield spec.diagnostic("bad-sign", (*path, "gain"), found, repair=repair)
        for link in connection.transform:
            if not isinstance(link.operation, GainOperation | GateOperation) and not link.operation.rises():
                found = f"the connection is {sign}, but its {link.operation.summary()} may turn the sign of a change"
                expected = "its operations are convolutions and linear layers, pooling, resizing and rising functions"
                repair = "Move the operation into the `body` of an area, or remove the sign."
                yield spec.diagnostic("bad-sign", path, found, expected, repair)


def starts_of_weights(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`bad-init`: weights that start where |v| has no slope, or v / ‖v‖ no value, or that another form would undo."""
    for connection in graph.connections:
        operations = [link.operation for _, link in connection.transform.walk()] if connection.owner is None else []
        for key, word, excluded in (
            ("positive", "a `sign`", {"zeros", "identity", "dirac", "whitened"}),
            ("weight_norm", "weight norm", {"zeros", "whitened"}),
        ):
            if connection.init in excluded and any(getattr(operation, key, False) for operation in operations):
                found = f"the convolution has {word}, and starts as `{connection.init}`"
                expected = "|v| has no slope, and v / ‖v‖ no value, where v is 0" * (connection.init != "whitened")
                repair = "Write `init: he`, `orthogonal` or `default`."
                path = ("connections", connection.index, "init")
                yield graph.spec.diagnostic("bad-init", path, found, expected, repair)


# ---- orders, kinds and paths -------------------------------------------------


def order(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`order-omits-area` and `order-repeats-area`."""
    declared = graph.spec.time.order
    if isinstance(declared, str):
        return
    groups = [(group,) if isinstance(group, str) else group for group in declared]
    named = {name for group in groups for name in group}
    omitted = [name for name in graph.spec.areas if name not in named]
    if omitted and named <= graph.spec.areas.keys():  # otherwise it may be misspelt
        problem, expected = f"the order never updates {quoted(omitted)}", "every area must be in at least one group"
        repair = "Add the area to a group, or remove it from `areas`."
        yield graph.spec.diagnostic("order-omits-area", ("time", "order"), problem, expected, repair)
    for index, group in enumerate(groups):
        repeated = [name for name, count in Counter(group).items() if count > 1]
        if repeated:
            problem = f"one group updates {quoted(repeated)} more than once"
            expected = "all areas of a group are updated at the same time"
            repair = "Put the second update into a separate group."
            yield graph.spec.diagnostic("order-repeats-area", ("time", "order", index), problem, expected, repair)


def declared_kind(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`kind-against-hierarchy`: for example a connection called feedback that goes up."""
    for connection in graph.connections:
        declared = graph.spec.connections[connection.index].kind
        if declared is None or declared == connection.kind:
            continue
        levels = (
            f"{name} is at level {graph.area(name).level:g}"
            if graph.is_area(name)
            else f"{_called(graph, name)} lies below all areas"
            for name in (connection.source, connection.target)
        )
        yield graph.spec.diagnostic(
            "kind-against-hierarchy",
            ("connections", connection.index, "kind"),
            f"the connection is declared {declared}",
            f"{' and '.join(levels)}, which makes it {connection.kind}",
            f"Remove `kind`, write `{connection.kind}`, or set the `level` of the areas.",
        )


def unreachable(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`unreachable-area`: no path from an input leads to the area, so it stays silent for ever."""
    names = graph.input_names
    if any(not {c.source, c.target} <= {*names, *graph.spec.areas} for c in graph.spec.connections):
        return  # the path may lead over a name that is misspelt
    reached = set[str]().union(*(nx.descendants(graph, name) for name in names))
    start = _called(graph, names[0]) if len(names) == 1 else "any input"
    for name in (area.name for area in graph.areas if area.name not in reached):
        problem = f"no path of connections leads from {start} to {name}: it would stay silent"
        repair = f"Connect it, for example `{names[0]} -> {name}`, or remove it."
        yield graph.spec.diagnostic("unreachable-area", ("areas", name), problem, repair=repair)


def repeated_readouts(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`repeated-readout`: two readouts of one name."""
    seen: set[str] = set()
    for readout in graph.readouts:
        if readout.name in seen:
            problem = f"another readout is called `{readout.name}` too"
            expected = "a readout is called by its `name`, or else by its area"
            repair = "Give one of them another `name`."
            yield graph.spec.diagnostic("repeated-readout", ("readout", readout.index), problem, expected, repair)
        seen.add(readout.name)


def one_class(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`one-class` (a warning): a classifier that has nothing to decide."""
    for readout in graph.readouts:
        if readout.classes == 1 and not readout.is_map and graph.spec.readouts[readout.index].loss is None:
            problem = "the readout has one class: the cross-entropy of its only answer is 0 for every image"
            repair = "Write the number of classes, unless you train it with another loss, such as mse."
            path = ("readout", readout.index, "classes")
            yield graph.spec.diagnostic("one-class", path, problem, repair=repair, severity="warning")


def duplicate_connections(graph: AreaGraph) -> Iterator[Diagnostic]:
    """`duplicate-connection` (a warning): two connections that differ in nothing but their parameters."""
    seen: dict[str, int] = {}
    for index, declared in enumerate(graph.spec.connections):
        content = declared.model_dump_json(by_alias=True, exclude={"name"})
        if content in seen and declared.tie is None:
            first = graph.spec.origin.written(("connections", seen[content]))
            problem = f"the connection is the same as {path_text(first)}"
            repair = "Remove one of them, unless you want two sets of parameters."
            path = ("connections", index)
            yield graph.spec.diagnostic("duplicate-connection", path, problem, repair=repair, severity="warning")
        seen.setdefault(content, index)
