"""How long the emitted `forward` needs each state, by its own statements."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from cortexgraph.codegen.lower import lower
from cortexgraph.codegen.statements import Delete, last_uses
from cortexgraph.unrolling import Node, UnrolledGraph


@dataclass(frozen=True)
class Life:
    """How long a state is needed.

    Attributes:
        node: the update that makes it.
        first: the place of the update among the statements of `forward`.
        lasts: of each tensor of the state, the visible one and the hidden ones of the cell as far as they are read,
            the place of the last statement that reads it.
        reader: the node that reads it last; None if nothing does, or if `forward` returns it or what it makes of it.
        returned: whether the last to read it is the end of `forward`.
    """

    node: Node
    first: int
    lasts: tuple[int, ...]
    reader: Node | None
    returned: bool

    @property
    def last(self) -> int:
        """The place of the last statement that reads the state."""
        return max((self.first, *self.lasts))


def lives(graph: UnrolledGraph) -> Iterator[Life]:
    """The lives of all states that `forward` computes, in the order of execution.

    Recorded states are returned. `forward` deletes a state at the end of the step that reads it last.

    Args:
        graph: the graph after passes, without a loop.
    """
    assert graph.loop is None
    sections = (section.statements for section in lower(graph))
    statements = [statement for statement in chain.from_iterable(sections) if not isinstance(statement, Delete)]
    last, end = last_uses(enumerate(statements)), len(statements) - 1
    for statement in statements:
        if statement.node is not None and statement.node.kind == "record":
            last |= dict.fromkeys(statement.reads & last.keys(), end)
    for place, statement in enumerate(statements):
        if statement.node is not None and statement.node.kind == "update":
            lasts = tuple(last[name] for name in statement.defines if name in last)
            until = max((place, *lasts))
            reader = statements[until].node if until > place else None
            yield Life(statement.node, place, lasts, reader, until == end)
