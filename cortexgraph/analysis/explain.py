"""What each pass does to a network: nodes before and after, and the multiply-adds that it saves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cortexgraph.compiler import Record, Roll, lower, wants_loop
from cortexgraph.passes import PASSES, chosen
from cortexgraph.spec import NetworkSpec
from cortexgraph.unrolling import UnrolledGraph

__all__ = ["Explanation", "PassEffect", "explain"]


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
    spec: NetworkSpec,
    steps: int | None = None,
    record: Record | None = None,
    passes: Sequence[str] | None = None,
    roll: Roll = "auto",
) -> Explanation:
    """What each pass removes, and the floating-point operations before and after.

    Args:
        spec: the network.
        steps: number of steps T; the spec's by default.
        record: states to keep.
        passes: names of the passes that run; all by default.
        roll: whether the steady state is written as a loop, as in `cg.compile`.

    Raises:
        GraphError: if the spec does not make a network.
        CompileError: for a readout or record of a silent area, an unknown pass, or a bad `record` or `roll`.

    Examples:
        >>> import cortexgraph as cg
        >>> [effect.updates for effect in explain(cg.load("ventral")).effects]
        [18, 12, 12, 12, 12]
    """
    graph, _ = lower(spec, steps, record=record, passes=[])
    rolled = wants_loop(graph.areas, roll)
    names = [name for name in chosen(passes) if rolled or name != "roll"]
    effects = [_effect("", "", graph)]
    for name in names:
        before, graph = graph, PASSES[name](graph)
        if name in {"prune", "share", "fold"}:
            effects.append(_effect(name, _did(name, before, graph), graph))
        else:  # they change how it is written, not what is computed
            last = effects[-1]
            did = _did(name, before, graph)
            effects.append(PassEffect(name, did, last.updates, last.evaluations, last.macs, last.macs_once))
    return Explanation(tuple(effects))


def _effect(name: str, did: str, graph: UnrolledGraph) -> PassEffect:
    """Count what is computed; what is folded counts for the batch, not for each image."""
    updates = evaluations = macs = once = 0
    readouts = {readout.name: readout.macs for readout in graph.areas.readouts}
    for node in graph:
        if not graph.live(node) or graph.repeat(node) is not None:
            continue
        cost, folded = 0, graph.folded(node)
        if node.kind == "drive":
            evaluations += 1
            cost = graph.evaluation(node)[0].macs
        elif node.kind == "update":
            updates += 1
            cost = graph.areas.area(node.name).macs
            for connection, source in graph.terms(node):
                if source.kind != "drive":
                    evaluations += 1
                    own = folded or (
                        graph.folded(source) and not connection.averages and not connection.transform.random
                    )
                    once, macs = (once + connection.macs, macs) if own else (once, macs + connection.macs)
        elif node.kind == "readout":
            cost = readouts[node.name]
        once, macs = (once + cost, macs) if folded else (once, macs + cost)
    return PassEffect(name, did, updates, evaluations, macs, once)


def _did(name: str, before: UnrolledGraph, after: UnrolledGraph) -> str:
    match name:
        case "prune":
            silent = sum(1 for node in before.updates() if not before.live(node))
            unread = sum(1 for node in before.live_updates() if node not in after)
            return f"leaves out {silent} silent, {unread} unread updates"
        case "share":
            return _shared(before, after)
        case "fold":
            count = sum(1 for node in after if node.kind in {"update", "drive"} and after.folded(node))
            return f"{count} values for a batch of one" if count else "nothing is the same for every image"
        case "roll":
            loop = after.loop
            if loop is None:
                return "no steady state"
            return f"steps {loop.first} to {loop.last + loop.skipped} as a loop"
    return "values let go after their last use"


def _shared(before: UnrolledGraph, after: UnrolledGraph) -> str:
    repeats = [repeat for node in after if (repeat := after.repeat(node)) is not None]
    updates = len(after.shared) + sum(1 for node in after.updates() if after.repeat(node) is not None)
    fewer = _effect("", "", before).evaluations - _effect("", "", after).evaluations
    conditions = ["static images"] * any(r.still for r in repeats) + ["evaluation"] * any(r.evaluation for r in repeats)
    where = f" (some in {' and '.join(conditions)} only)" if conditions else ""
    return f"shares {updates} updates, {fewer} evaluations{where}"
