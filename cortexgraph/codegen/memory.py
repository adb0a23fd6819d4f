"""How long `forward` holds states, and the segments that the backward pass recomputes (Chen et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from math import ceil, isqrt, prod
from typing import Literal

from cortexgraph.codegen.lower import lower
from cortexgraph.codegen.statements import Delete, last_uses
from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.unrolling import FLOAT_BYTES, Loop, Node, UnrolledGraph, numbers_within


@dataclass(frozen=True)
class MemoryBudget:
    """What the states of training may take.

    Attributes:
        gigabytes: in units of 10⁹ bytes, of 32-bit numbers.
        batch: number of images.
    """

    gigabytes: float
    batch: int


Checkpoint = Literal["sqrt"] | int | MemoryBudget
"""`sqrt` of the number of steps, a number of segments, or a budget from which that number follows."""


def read_checkpoint(text: str, batch: int) -> Checkpoint:
    """A checkpoint as options write it: `sqrt`, `11`, or `4GB` for such batches; CompileError for other text."""
    if text == "sqrt":
        return "sqrt"
    try:
        return MemoryBudget(float(text[:-2]), batch) if text.upper().endswith("GB") else int(text)
    except ValueError:
        raise _unknown(text, "4GB") from None


def _unknown(value: object, budget: str) -> CompileError:
    expected = f"it is sqrt, a number of segments from 1, or a memory such as {budget}"
    return CompileError(Diagnostic("checkpoint", "checkpoint", f"{value!r} was given", expected, "Give one of these."))


def runs_of(graph: UnrolledGraph, checkpoint: Checkpoint | None) -> int | None:
    """How many runs of the loop's body make a segment; None without checkpoints.

    Raises CompileError for an unknown checkpoint, a network without a loop, or where no number keeps to the budget.
    """
    if checkpoint is None:
        return None
    budget = isinstance(checkpoint, MemoryBudget) and 0 < checkpoint.gigabytes < float("inf") and checkpoint.batch >= 1
    number = isinstance(checkpoint, int) and not isinstance(checkpoint, bool) and checkpoint >= 1
    if not (checkpoint == "sqrt" or budget or number):
        raise _unknown(checkpoint, "`cortexgraph.codegen.MemoryBudget(gigabytes=4, batch=64)`")
    if graph.loop is None:
        found = "the network has no steady state of steps that repeat"
        repair = "Give more steps, leave the pass roll on, or leave checkpoint out."
        raise CompileError(Diagnostic("checkpoint", "checkpoint", found, "segments are made of these", repair))
    times = graph.loop.times
    if isinstance(checkpoint, MemoryBudget):
        return _within(graph, graph.loop, checkpoint)
    segments = isqrt(times) if checkpoint == "sqrt" else checkpoint
    return ceil(times / min(times, segments))


def _within(graph: UnrolledGraph, loop: Loop, budget: MemoryBudget) -> int | None:
    """The longest segments, of the fewest runs computed again, that keep to the budget; None where all fits."""
    body = [node for node in graph.live_updates() if loop.first <= node.step <= loop.last]
    carried = sum(prod(graph.areas.shape(name)) for name in {node.name for node in body})
    within = sum(numbers_within(graph, node) for node in body)  # what one run keeps for its gradient
    gigabytes = FLOAT_BYTES * budget.batch / 1e9
    if loop.times * within * gigabytes <= budget.gigabytes:
        return None
    needed = {n: (ceil(loop.times / n) * carried + n * within) * gigabytes for n in range(1, loop.times)}
    fitting = [runs for runs, size in needed.items() if size <= budget.gigabytes]
    if not fitting:
        found = f"{budget.gigabytes:g} GB were given for a batch of {budget.batch}"
        least = f"the states take at least {min(needed.values(), default=0):.2g} GB"
        repair = "Give more memory, or a smaller batch."
        raise CompileError(Diagnostic("checkpoint", "checkpoint", found, least, repair))
    return max(fitting)


# ---- lives of states ----------------------------------------------------------------


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
    """The lives of all states that `forward` computes, in their order, of a graph after passes, without loops.

    Recorded states are returned. `forward` deletes a state at the end of the step that reads it last.
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
