"""Weight tying: connections that use the parameters of another one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from cortexgraph.graph.model import Connection
from cortexgraph.ops import Chain, Conv, ConvTranspose, GainOperation, GateOperation, Link
from cortexgraph.spec import NetworkSpec
from cortexgraph.spec.shorthand import chain_names


class TieError(Exception):
    """Why a tie cannot be made: found, expected, repair; as of `Diagnostic`."""

    def __init__(self, found: str, expected: str = "", repair: str = "") -> None:
        super().__init__(found, expected, repair)


def tied_connections(spec: NetworkSpec, connections: Iterable[Connection]) -> list[Connection]:
    """The connections, with each tied one on the parameters of its owner; one that cannot be tied says why."""
    by_index = {connection.index: connection for connection in connections}
    ends = _ends(spec)
    return [_tied(spec, connection, ends, by_index) for connection in by_index.values()]


def _tied(
    spec: NetworkSpec, connection: Connection, ends: Mapping[int, int | TieError], by_index: Mapping[int, Connection]
) -> Connection:
    tie = spec.connections[connection.index].tie
    if tie is None:
        return connection
    end = ends[connection.index]
    problem = None
    try:
        if isinstance(end, TieError):
            raise end
        owner = by_index.get(end)
        if owner is not None and owner.transform.whole:  # otherwise the owner has a finding already
            if tie.transpose:
                chain = _transposed(connection, owner)
            else:
                known = dict(owner.transform.walk(owner.identifier))
                chain = _shared(connection.transform, owner.identifier, known, owner)
            return replace(connection, transform=chain, owner=owner.identifier)
    except TieError as error:
        problem = error.args
    return replace(connection, transform=replace(connection.transform, sound=False), tie_problem=problem)


# ---- which connection a tie names --------------------------------------------


def _ends(spec: NetworkSpec) -> dict[int, int | TieError]:
    """For each tied connection the one at the end of its line of ties, or why the line leads nowhere or in a circle."""
    by_call: dict[str | tuple[str, ...], list[int]] = {}  # all that a tie may call a connection: its name, its ends
    for index, connection in enumerate(spec.connections):
        by_call.setdefault((connection.source, connection.target), []).append(index)
        if connection.name is not None:
            by_call.setdefault(connection.name, []).append(index)
    ends: dict[int, int | TieError] = {}
    for index, connection in enumerate(spec.connections):
        if connection.tie is not None and index not in ends:
            line = [index]
            end = _followed(spec, line, by_call, ends)
            ends |= dict.fromkeys(line, end)
    return ends


def _followed(
    spec: NetworkSpec,
    line: list[int],
    by_call: Mapping[str | tuple[str, ...], list[int]],
    known: Mapping[int, int | TieError],
) -> int | TieError:
    """Follow a line of ties to its end, and add the connections that it passes."""
    passed = set(line)
    while (tie := spec.connections[line[-1]].tie) is not None:
        called = {*by_call.get(tie.connection, ()), *by_call.get(tuple(chain_names(tie.connection) or ()), ())}
        if not called:
            repair = "Write the ends of a declared connection, as in `V1 -> V2`."
            return TieError(f"no connection is called `{tie.connection}`", repair=repair)
        if len(called) > 1:
            repair = "Give one of them a `name`, and write that name here."
            return TieError(f"{len(called)} connections are called `{tie.connection}`", repair=repair)
        (after,) = called
        if after in known or spec.connections[after].tie is None:
            return known.get(after, after)
        if after in passed:
            through = " through others" * (len(line) > 1)
            return TieError(f"the connection is tied to itself{through}", repair="Remove the tie.")
        passed.add(after)
        line.append(after)
    return line[-1]


# ---- its parameters ----------------------------------------------------------


def _shared(chain: Chain, prefix: str, known: Mapping[str, Link], owner: Connection) -> Chain:
    links: list[Link] = []
    for link in chain:
        path = f"{prefix}.{link.name}"
        inner = link.operation.chains()
        if inner:
            parts = {name: _shared(part, f"{path}.{name}", known, owner) for name, part in inner.items()}
            links.append(replace(link, operation=link.operation.with_chains(parts)))
        elif not link.operation.parameters() or isinstance(link.operation, GainOperation):
            links.append(link)
        else:
            links.append(_tied_link(link, path, known.get(path), owner))
    return replace(chain, links=tuple(links))


def _tied_link(link: Link, path: str, own: Link | None, owner: Connection) -> Link:
    needed, summary = dict(link.operation.parameters()), link.operation.summary()
    if own is None or needed != dict(own.operation.parameters()):
        there = f"has {_shapes(own.operation.parameters())} there" if own else "has no such operation there"
        repair = "Give both connections the same operations, kernels and channels, or remove `tie`."
        raise TieError(f"{summary} has parameters {_shapes(needed)}", f"{owner.label} {there}", repair)
    if bool(own.options.get("per_step")) != bool(link.options.get("per_step")):
        expected = f"that of {owner.label} is {_per_step(own)}"
        raise TieError(f"{summary} is {_per_step(link)}", expected, "Set `per_step` alike on both connections.")
    if getattr(own.operation, "positive", False) != getattr(link.operation, "positive", False):
        found = "the weights of one of them have one sign"
        raise TieError(found, f"those of {owner.label} are used as they are", "Give both connections a `sign`.")
    same = own.operation.constructor() == link.operation.constructor()
    if not same and not isinstance(link.operation, Conv):
        problem = f"{summary} differs from {own.operation.summary()} of {owner.label}"
        raise TieError(problem, repair="Only a convolution may differ, in stride, padding and dilation.")
    return replace(link, per_step=own.per_step, owner=path, same=same)


def _per_step(link: Link) -> str:
    return "per step" if link.options.get("per_step") else "shared over steps"


def _shapes(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {' × '.join(map(str, shape)) or '1'}" for name, shape in shapes.items()) or "none"


def _transposed(connection: Connection, owner: Connection) -> Chain:
    learned = [(path, link) for path, link in owner.transform.walk(owner.identifier) if link.operation.parameters()]
    learned = [(path, link) for path, link in learned if not isinstance(link.operation, GainOperation)]
    path, link = learned[0] if len(learned) == 1 else ("", None)
    conv = link.operation if link is not None and link == owner.transform.links[0] else None
    shape, size = connection.source_shape, connection.target_shape[1:]
    operation = conv.transposed(shape, size) if isinstance(conv, Conv) else None
    if link is None or not isinstance(conv, Conv) or operation is None:
        problem = f"the transform of {owner.label} is {owner.transform.summary() or 'empty'}"
        expected = "only a single convolution, undilated and without groups, can be transposed"
        raise TieError(problem, expected, "Tie to a connection whose transform is one convolution.")
    if shape[0] != conv.channels or connection.target_shape[0] != conv.shape[0]:
        problem = f"the connection goes from {shape[0]} to {connection.target_shape[0]} channels"
        expected = f"the transpose of {owner.label} goes from {conv.channels} to {conv.shape[0]}"
        raise TieError(problem, expected, "Tie it to the connection between the same two areas, the other way round.")
    first = Link("conv_transpose", "conv_transpose", {}, operation, per_step=link.per_step, owner=path, same=False)
    return Chain(shape, (first, *_after(connection.transform, operation)))


def _after(chain: Chain, operation: ConvTranspose) -> Iterator[Link]:
    """The connection's own gain and gate, on what the transpose gives."""
    for link in chain:
        if isinstance(link.operation, GainOperation | GateOperation):
            yield replace(link, operation=replace(link.operation, shape=operation.output()))
