"""Ties: connections that use the parameters of another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from cortexgraph.graph.model import Connection
from cortexgraph.ops import Chain, Conv, ConvTranspose, GainOperation, GateOperation, Link
from cortexgraph.spec import NetworkSpec
from cortexgraph.spec.shorthand import chain_names

__all__ = ["TieError", "roots", "tied"]


class TieError(Exception):
    """Why a tie cannot be made: found, expected, repair; as of `Diagnostic`."""

    def __init__(self, found: str, expected: str = "", repair: str = "") -> None:
        super().__init__(found)
        self.found, self.expected, self.repair = found, expected, repair


def _by_call(spec: NetworkSpec) -> dict[str | tuple[str, ...], list[int]]:
    """The connections by all that a tie may call them: their names, and their ends."""
    found: dict[str | tuple[str, ...], list[int]] = {}
    for index, connection in enumerate(spec.connections):
        found.setdefault((connection.source, connection.target), []).append(index)
        if connection.name is not None:
            found.setdefault(connection.name, []).append(index)
    return found


def _owner(spec: NetworkSpec, index: int, by_call: Mapping[str | tuple[str, ...], list[int]]) -> int:
    """The index of the connection that this one names in its `tie`.

    Raises:
        TieError: if there is none, or several.
    """
    tie = spec.connections[index].tie
    assert tie is not None
    ends = tuple(chain_names(tie.connection) or ())
    found: list[int] = sorted({*by_call.get(tie.connection, ()), *by_call.get(ends, ())})
    if len(found) == 1:
        return found[0]
    if not found:
        raise TieError(
            f"no connection is called `{tie.connection}`",
            repair="Write the ends of a declared connection, as in `V1 -> V2`.",
        )
    raise TieError(
        f"{len(found)} connections are `{tie.connection}`",
        repair="Give one of them a `name`, and write that name here.",
    )


def roots(spec: NetworkSpec) -> dict[int, int | TieError]:
    """For each tied connection the one at the end of its line of ties, or why the line leads nowhere or in a circle."""
    by_call = _by_call(spec)
    found: dict[int, int | TieError] = {}
    for index, connection in enumerate(spec.connections):
        if connection.tie is not None and index not in found:
            line = [index]
            end = _end(spec, line, by_call, found)
            found |= dict.fromkeys(line, end)
    return found


def _end(
    spec: NetworkSpec,
    line: list[int],
    by_call: Mapping[str | tuple[str, ...], list[int]],
    known: Mapping[int, int | TieError],
) -> int | TieError:
    """Follow a line of ties to its end, and add what it passes."""
    passed = set(line)
    while True:
        try:
            after = _owner(spec, line[-1], by_call)
        except TieError as problem:
            return problem
        if after in known or spec.connections[after].tie is None:
            return known.get(after, after)
        if after in passed:
            through = " through others" * (len(line) > 1)
            return TieError(f"the connection is tied to itself{through}", repair="Leave the tie out.")
        passed.add(after)
        line.append(after)


def tied(connection: Connection, owner: Connection, transpose: bool) -> Connection:
    """The connection with the parameters of its owner.

    Raises:
        TieError: if they do not fit.
    """
    if transpose:
        chain = _transposed(connection, owner)
    else:
        known = dict(owner.transform.walk(owner.identifier))
        chain = _shared(connection.transform, owner.identifier, known, owner)
    return replace(connection, transform=chain, owner=owner.identifier)


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
    wanted = dict(link.operation.parameters())
    found = dict(own.operation.parameters()) if own else {}
    if own is None or wanted != found:
        raise TieError(
            f"{link.operation.summary()} has parameters {_shapes(wanted)}",
            f"{owner.label} has {_shapes(found)} there" if own else f"{owner.label} has no such operation there",
            "Give both connections the same operations, kernels and channels, or leave `tie` out.",
        )
    if bool(own.options.get("per_step")) != bool(link.options.get("per_step")):
        raise TieError(
            f"{link.operation.summary()} is {_per_step(link)}",
            f"that of {owner.label} is {_per_step(own)}",
            "Write `per_step` alike at both connections.",
        )
    same = own.operation.constructor() == link.operation.constructor()
    if not same and not isinstance(link.operation, Conv):
        raise TieError(
            f"{link.operation.summary()} differs from {own.operation.summary()} of {owner.label}",
            repair="Only a convolution may differ, in stride, padding and dilation.",
        )
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
        raise TieError(
            f"the transform of {owner.label} is {owner.transform.summary() or 'empty'}",
            "only a single convolution, undilated and without groups, can be transposed",
            "Tie to a connection whose transform is one convolution.",
        )
    if shape[0] != conv.channels or connection.target_shape[0] != conv.shape[0]:
        raise TieError(
            f"the connection goes from {shape[0]} to {connection.target_shape[0]} channels",
            f"the transpose of {owner.label} goes from {conv.channels} to {conv.shape[0]}",
            "Tie it to the connection between the same two areas, the other way round.",
        )
    first = Link("conv_transpose", "conv_transpose", {}, operation, per_step=link.per_step, owner=path, same=False)
    return Chain(shape, (first, *_after(connection.transform, operation)))


def _after(chain: Chain, operation: ConvTranspose) -> Iterator[Link]:
    """The connection's own gain and gate, on what the transpose gives."""
    for link in chain:
        if isinstance(link.operation, GainOperation | GateOperation):
            yield replace(link, operation=replace(link.operation, shape=operation.output()))
