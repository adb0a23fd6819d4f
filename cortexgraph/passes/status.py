"""What became of each node of an unrolled graph: for tables and drawings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cortexgraph.unrolling import Node, UnrolledGraph


@dataclass(frozen=True)
class Status:
    """What became of a node.

    Attributes:
        word: `executed`; `held`: the area keeps the value of an earlier update; `shared`: it has the value of an
            earlier update, which stands for it; `silent`: it has no value; `unread`: it has one that no readout or
            record needs.
        like: the earlier node of a held or shared one.
    """

    word: Literal["executed", "held", "shared", "silent", "unread"]
    like: Node | None = None


def statuses(full: UnrolledGraph, kept: UnrolledGraph | None = None) -> dict[Node, Status]:
    """The status of each node of `full`, the unrolled graph; by `kept`, the graph after passes, if it is given.

    An edge of `full` is executed if its head is, and its tail is executed, held or shared.
    """
    return {node: _status(node, full, kept) for node in full}


def _status(node: Node, full: UnrolledGraph, kept: UnrolledGraph | None) -> Status:
    if not full.live(node):
        return Status("silent")
    if (origin := full.held(node)) is not None:
        return Status("held", origin)
    if kept is None or node in kept:
        return Status("executed")
    if full.static(node) and any(reader in kept for reader in full.successors(node)):
        return Status("executed")
    return Status("shared", kept.info.merged[node]) if node in kept.info.merged else Status("unread")
