"""The statements of `__init__`: the modules of areas, heads, connections and readouts.

Chains of the same structure, such as the blocks of a residual network, are written once, as a local class.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from cortexgraph.codegen.text import Call, Code, Value, numbers, wrapped
from cortexgraph.graph import Area, Connection, Readout
from cortexgraph.graph.names import Namespace
from cortexgraph.ops import Chain, Link
from cortexgraph.ops.base import Constructor, text
from cortexgraph.unrolling import UnrolledGraph, heads_of, trained_sets

FILLS = {
    "he": "nn.init.kaiming_normal_",
    "orthogonal": "nn.init.orthogonal_",
    "identity": "identity_",
    "dirac": "dirac_",
    "zeros": "nn.init.zeros_",
}

GROUPS = ("feedforward", "lateral", "feedback", "tied: with the parameters of another connection")


@dataclass(frozen=True)
class Module:
    """A module that the network makes: `self.identifier = expression`.

    Attributes:
        identifier: its attribute.
        label: what it belongs to, for a reader.
        expression: what makes it.
    """

    identifier: str
    label: str
    expression: Code

    @property
    def text(self) -> str:
        start = f"self.{self.identifier} = "
        return start + self.expression if isinstance(self.expression, str) else self.expression.behind(start).laid_out()


@dataclass(frozen=True)
class ParameterGroup:
    """The modules of one kind, under a heading."""

    heading: str
    modules: tuple[Module, ...]


@dataclass(frozen=True)
class Sets:
    """Per-step parameters: how many sets there are, and which a readout reaches."""

    count: int
    trained: tuple[int, ...]


def parameter_groups(full: UnrolledGraph) -> Iterator[ParameterGroup]:
    """All modules, whether or not a readout reaches them, so that a state dict depends on the spec alone."""
    areas, trained, counts, heads = full.areas, trained_sets(full), full.sets, heads_of(full.areas)

    def sets(part: Area | Connection) -> Sets:
        return Sets(counts[part.identifier], tuple(sorted(trained.get(part.identifier, ()))))

    groups = {"areas": [_area(area, sets(area)) for area in areas.areas]}
    groups["start states"] = [*_starts(full)]
    groups["what several connections first do with a state"] = [
        Module(head.identifier, head.source, _module(head.links, Sets(1, ()))) for head in dict.fromkeys(heads.values())
    ]
    for connection in sorted(areas.connections, key=lambda c: GROUPS.index(_heading(c))):
        head = heads.get(connection.identifier)
        if links := connection.transform.links[0 if head is None else len(head.links) :]:
            groups.setdefault(_heading(connection), []).append(_connection(connection, links, sets(connection)))
    groups["interventions"] = [Module(p.name, p.label, p.change.constructor()) for p in areas.interventions]
    groups["readout" if len(areas.readouts) == 1 else "readouts"] = [_readout(readout) for readout in areas.readouts]
    yield from (ParameterGroup(heading, tuple(modules)) for heading, modules in groups.items() if modules)


def _heading(connection: Connection) -> str:
    return connection.kind if connection.owner is None else GROUPS[-1]


def _area(area: Area, sets: Sets) -> Module:
    end = "" if sets.trained or not area.parameters() else ".requires_grad_(False)"
    if not area.cell.has_memory:
        return Module(area.identifier, area.name, _module(area.body.links, sets, end))
    operations = (*(_link(link, sets) for link in area.body), _made("cell=", area.cell.constructor()))
    return Module(area.identifier, area.name, Call("Area(", operations, f"){end}"))


def _starts(full: UnrolledGraph) -> Iterator[Module]:
    """The learned start states; one that no readout depends on requires no gradient."""
    read = {node.name for node in full.live_past(full.readouts) if node.part == "start"}
    for area in full.areas.areas:
        if area.start == "learned":
            end = "" if area.name in read else ".requires_grad_(False)"
            call = Call("StartState(", tuple(map(str, area.shape)), f"){end}")
            yield Module(area.start_identifier, area.name, call)


def _connection(connection: Connection, links: tuple[Link, ...], sets: Sets) -> Module:
    frozen = not sets.trained and connection.parameters() and connection.owner is None
    end = ".requires_grad_(False)" if frozen else ""
    operations = [link.operation for _, link in connection.transform.walk()]
    weights = [(o.shape[0], shape) for o in operations for shape in o.parameters().values() if len(shape) > 1]
    fill = FILLS.get(connection.init) if connection.owner is None and weights else None
    if fill == "dirac_" and any(shape[1] != channels for channels, shape in weights):  # such as groups
        fill = "identity_"
    module = _module(links, sets, end) if fill is None else Call("started(", (_module(links, sets), fill), f"){end}")
    return Module(connection.identifier, f"{connection.source} → {connection.target}", module)


def _readout(readout: Readout) -> Module:
    if readout.transform is not None:
        links = tuple(_link(link, Sets(1, ())) for link in readout.transform)
        flatten = () if readout.is_map else ("flatten=nn.Flatten()",)
        return Module(readout.identifier, readout.name, Call("Chain(", (*links, *flatten)))
    pool, linear = _made("pool=", readout.pool.constructor()), _made("linear=", readout.linear.constructor())
    return Module(readout.identifier, readout.name, Call("Chain(", (pool, "flatten=nn.Flatten()", linear)))


def _module(links: tuple[Link, ...], sets: Sets, end: str = "") -> Code:
    """The expression that makes the module of operations one after another; of one without parameters, it alone."""
    if not links:
        return f"nn.Identity(){end}"
    chain = Chain(links[0].operation.shape, links)
    if len(links) == 1 and not chain.parameters() and not links[0].operation.chains() and links[0].owner is None:
        return f"{links[0].operation.constructor()}{end}"
    return _chain(links, sets, end=end)


def _chain(links: tuple[Link, ...], sets: Sets, start: str = "", end: str = "") -> Call:
    return Call(f"{start}Chain(", tuple(_link(link, sets) for link in links), f"){end}")


def _link(link: Link, sets: Sets) -> Code:
    start, constructor = f"{link.name}=", link.constructor
    if inner := link.operation.chains():
        parts = tuple(_chain(chain.links, sets, f"{part}=") for part, chain in inner.items())
        return Call(f"{start}{constructor}(", parts)
    if not link.per_step or link.owner is not None:
        return _made(start, constructor)
    arguments = (_made("lambda: ", constructor), Value("sets", str(sets.count), "int", keyword=True))
    if sets.trained == tuple(range(1, sets.count + 1)):
        return Call(f"{start}PerStep(", arguments)
    trained = Value("trained", numbers(sets.trained), "Collection[int]", keyword=True)
    return Call(f"{start}SomeSteps(", (*arguments, trained))


def _made(start: str, constructor: str) -> Code:
    """A constructor, cut into its arguments if it keeps them."""
    if not isinstance(constructor, Constructor):
        return start + constructor
    return Call(f"{start}{constructor.name}(", tuple(_arguments(constructor)))


FIRST_ARGUMENTS = {
    "nn.Upsample": "size",
    "nn.AdaptiveAvgPool2d": "size",
    "nn.MaxPool2d": "kernel_size",
    "nn.Dropout": "p",
    "SharedDropout": "p",
    "Gain": "value",
}
"""What the first argument of a module is; otherwise a number of channels."""


def _arguments(constructor: Constructor) -> Iterator[str | Value]:
    first = FIRST_ARGUMENTS.get(constructor.name, "width")
    for n, (keyword, value) in enumerate(constructor.arguments):
        code, name = text(value), keyword or ("kernel_size" if n == 2 else first)
        if code.startswith("self."):
            owner, dot, path = code.removeprefix("self.").partition(".")
            yield Value("owner", f"self.{owner}", "nn.Module", tail=dot + path)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield Value(name, code, type(value).__name__, keyword=bool(keyword))
        elif isinstance(value, tuple):
            yield Value(
                name,
                code,
                "int" if code.isdecimal() else f"tuple[{', '.join(['int'] * len(value))}]",
                keyword=bool(keyword),
            )
        else:
            yield f"{keyword}={code}" if keyword else code


# ---- classes of chains of one structure ------------------------------------------


@dataclass(frozen=True)
class Block:
    """A class for modules of one structure.

    Attributes:
        name: of the class.
        source: its text.
        modules: those that use it, by identifier.
    """

    name: str
    source: str
    modules: dict[str, Module]


def blocks_of(modules: Sequence[Module], taken: Collection[str]) -> list[Block]:
    """A class for each structure that several modules have, where that makes the file shorter.

    Two chains have one structure if they differ only in numbers, or in the module whose parameters they use. The
    classes have none of the names that are taken.
    """
    alike: dict[str, list[tuple[Module, Call]]] = {}
    for module in modules:
        if isinstance(module.expression, Call) and module.expression.start == "Chain(":
            structure = str(_filled(module.expression, iter(lambda: "·", "")))
            alike.setdefault(structure, []).append((module, module.expression))
    blocks: list[Block] = []
    for group in alike.values():
        name = next(n for i in range(len(taken) + 2) if (n := f"Block{i + 1 if i else ''}") not in taken)
        block = _block(name, group)
        before = sum(_lines(module.text) for module, _ in group)
        if len(group) > 1 and _lines(block.source) + 2 + sum(_lines(m.text) for m in block.modules.values()) < before:
            blocks.append(block)
            taken = {*taken, name}
    return blocks


def _lines(text: str) -> int:
    return text.count("\n") + 1


def _values(call: Call) -> Iterator[Value]:
    """The values in an expression."""
    for item in call.items:
        if isinstance(item, Value):
            yield item
        elif isinstance(item, Call):
            yield from _values(item)


def _filled(call: Call, codes: Iterator[Code]) -> Call:
    """The call with other code in place of each value."""

    def filled(item: str | Call | Value) -> str | Call | Value:
        if isinstance(item, Value):
            return replace(item, code=next(codes))
        return _filled(item, codes) if isinstance(item, Call) else item

    return replace(call, items=tuple(map(filled, call.items)))


def _block(name: str, group: Sequence[tuple[Module, Call]]) -> Block:
    """The class for these modules: what differs between them, and the modules that they use, are its arguments."""
    columns = [*zip(*(_values(call) for _, call in group), strict=True)]
    parameters: dict[tuple[Code, ...], tuple[str, str]] = {}
    names = Namespace(frozenset({"self"}))
    for column in columns:
        codes, types = tuple(value.code for value in column), {value.type for value in column}
        if (len(set(codes)) > 1 or "nn.Module" in types) and codes not in parameters:
            types -= {"int"} if "float" in types else set()
            parameters[codes] = names.claim(column[0].name), " | ".join(sorted(types))
    inside = (parameters.get(tuple(v.code for v in column), (column[0].code,))[0] for column in columns)
    call = _filled(replace(group[0][1], start="super().__init__(", end=")"), inside)
    arguments = (f"{argument}: {kind}" for argument, kind in parameters.values())
    signature = Call("def __init__(", ("self", *arguments), ") -> None:").laid_out(4)
    labels = "\n    ".join(wrapped(f"{', '.join(module.label for module, _ in group)}."))
    source = f'class {name}(Chain):\n    """{labels}"""\n\n    {signature}\n        {call.laid_out(8)}'
    using = {
        module.identifier: replace(module, expression=Call(f"{name}(", tuple(c[n] for c in parameters), expression.end))
        for n, (module, expression) in enumerate(group)
    }
    return Block(name, source, using)
