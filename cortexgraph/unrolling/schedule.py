"""The order of transitions: in which groups the areas are updated within a step."""

from __future__ import annotations

from cortexgraph.graph import AreaGraph

__all__ = ["Groups", "Order", "groups_of", "order_name"]

Order = str | tuple[str | tuple[str, ...], ...]
Groups = tuple[tuple[str, ...], ...]


def groups_of(graph: AreaGraph, order: Order) -> Groups:
    """Groups of area names; within a group every read happens before any write, and groups run one by one.

    `simultaneous` is one group of all areas, `sequential` one group for each area from low to high; an explicit
    order is taken as written, where a bare name is a group of one.
    """
    names = tuple(area.name for area in graph.areas)
    if order == "simultaneous":
        return (names,)
    if order == "sequential":
        return tuple((name,) for name in names)
    return tuple((group,) if isinstance(group, str) else tuple(group) for group in order)


def order_name(order: Order) -> str:
    """The order in words, for headings."""
    if isinstance(order, str):
        return order
    groups = ((group,) if isinstance(group, str) else group for group in order)
    return ", ".join(group[0] if len(group) == 1 else f"({' '.join(group)})" for group in groups)
