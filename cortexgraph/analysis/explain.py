"""What each pass does to a network: nodes before and after, and the multiply-adds that it saves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cortexgraph.checks.behaviour import Record
from cortexgraph.compiler import lower
from cortexgraph.passes import PASSES
from cortexgraph.program import CompileOptions, Roll
from cortexgraph.spec import SpecLike
from cortexgraph.unrolling import Node, UnrolledGraph, evaluations, macs_of


@dataclass(frozen=True)
class PassEffect:
    """What is left after a pass, for one static image in evaluation.

    Attributes:
        name: the pass; empty for the network before passes.
        did: what it did, in words.
        updates: number of updates that are computed.
        evaluations: number of evaluations of connections.
        macs: multiply-adds for each image.
        macs_once: multiply-adds for a batch, of what is the same for every image.
    """

    name: str
    did: str
    updates: int
    evaluations: int
    macs: int
    macs_once: int = 0

    @property
    def flops(self) -> int:
        """Floating-point operations for each image: two for each multiply-add."""
        return 2 * self.macs


@dataclass(frozen=True)
class Explanation:
    """The passes in their order, the first entry standing for the network before them."""

    effects: tuple[PassEffect, ...]

    @property
    def saved(self) -> float:
        """The part of the floating-point operations for each image that passes saved."""
        first, last = self.effects[0].macs, self.effects[-1].macs
        return 1 - last / first if first else 0.0


def explain(
    spec: SpecLike,
    steps: int | None = None,
    record: Record | None = None,
    passes: Sequence[str] | None = None,
    roll: Roll = "auto",
) -> Explanation:
    """What each pass removes, and the floating-point operations before and after.

    Args:
        spec: the network, or its path or zoo name.
        steps: number of steps T; the spec's by default.
        record: states to keep.
        passes: names of the passes that run; all by default.
        roll: whether the steady state is written as a loop, as in `cg.compile`.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for a readout or record of a silent area, an unknown pass, or a bad `record` or `roll`.

    Examples:
        >>> import cortexgraph as cg
        >>> [effect.updates for effect in explain("ventral").effects]
        [18, 12, 12, 12, 12, 12, 12]
    """
    options = CompileOptions(record, passes, roll)
    full, graph = lower(spec, steps, record=record, passes=[])
    live = replace(_effect("", "", full), updates=sum(1 for _ in full.live_updates()))  # held ones cost nothing
    effects = [live, _effect("settle", _settled(full, graph), graph)]
    for name in options.pass_names:
        before, graph = graph, PASSES[name](graph)
        effects.append(_effect(name, _did(name, before, graph), graph))
    return Explanation(tuple(effects))


def _effect(name: str, did: str, graph: UnrolledGraph) -> PassEffect:
    """Count what is computed; what is the same for every image counts for the batch, not for each image."""
    updates = count = macs = once = 0
    for node in graph:
        if node.kind not in {"update", "evaluation", "readout"} or not graph.carried_out(node):
            continue
        updates += node.kind == "update"
        count += sum(1 for _ in evaluations(graph, node))
        cost = macs_of(graph, node)
        of_constants = cost if graph.constant(node) else _macs_of_constants(graph, node)
        once, macs = once + of_constants, macs + cost - of_constants
    return PassEffect(name, did, updates, count, macs, once)


def _macs_of_constants(graph: UnrolledGraph, node: Node) -> int:
    """Multiply-adds of the connections that an update evaluates for a batch of one."""
    return sum(
        connection.macs
        for connection, source in (graph.terms(node) if node.kind == "update" else ())
        if not (connection.statistics or connection.transform.random)
        and graph.constant(source)
        and source.kind != "evaluation"
    )


def _settled(full: UnrolledGraph, settled: UnrolledGraph) -> str:
    held = sum(1 for node in full.live_updates() if full.held(node) is not None)
    idle = sum(1 for node in full.live_updates() if full.carried_out(node) and node not in settled)
    unread = f", leaves out {idle} unread ones with a norm" if idle else ""
    return f"holds {held} updates that would repeat the last one{unread}"


def _did(name: str, before: UnrolledGraph, after: UnrolledGraph) -> str:
    match name:
        case "prune":
            silent = sum(1 for node in before.updates() if not before.live(node))
            unread = sum(1 for node in before.live_updates() if node not in after)
            return f"leaves out {silent} silent, {unread} unread updates"
        case "cse":
            fewer = _effect("", "", before).evaluations - _effect("", "", after).evaluations
            return f"shares {len(after.info.merged)} updates, {fewer} evaluations"
        case "fold":
            count = sum(1 for node in after if node.kind in {"update", "evaluation"} and after.constant(node))
            return f"{count} values for a batch of one" if count else "nothing is the same for every image"
        case "roll":
            loop = after.loop
            return "no steady state" if loop is None else f"steps {loop.first} to {loop.end - 1} as a loop"
    return "values deleted after their last use"
