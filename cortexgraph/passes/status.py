"""What became of each node of an unrolled graph: for tables and drawings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cortexgraph.unrolling import Node, Repeat, UnrolledGraph

__all__ = ["Status", "statuses"]


@dataclass(frozen=True)
class Status:
    """What became of a node.

    Attributes:
        word: `executed`; `shared`: it has the value of an earlier node, which stands for it; `silent`: it has no
            value; `unread`: it has one that no readout or record needs.
        like: the earlier node of a shared one, and the conditions under which they are equal: for images and videos
            alike, or only for a static image, or only in evaluation.
    """

    word: Literal["executed", "shared", "silent", "unread"]
    like: Repeat | None = None


EXECUTED, SILENT, UNREAD = Status("executed"), Status("silent"), Status("unread")


def statuses(full: UnrolledGraph, kept: UnrolledGraph | None = None) -> dict[Node, Status]:
    """The status of each node of `full`, the graph before passes, for one static image in evaluation.

    An edge of `full` is executed if its head is, and its tail is executed or shared.

    Args:
        full: the graph before passes.
        kept: the graph after passes; by default every live update counts as executed.
    """
    return {node: _status(node, full, full if kept is None else kept) for node in full}


def _status(node: Node, full: UnrolledGraph, kept: UnrolledGraph) -> Status:
    if not full.live(node):
        return SILENT
    if node in kept.shared:
        return Status("shared", Repeat(kept.shared[node]))
    if node not in kept:
        return UNREAD
    like = kept.repeat(node)
    return EXECUTED if like is None else Status("shared", like)
