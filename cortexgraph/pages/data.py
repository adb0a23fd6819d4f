"""What the page's script knows: the unrolled graph as plain lists, small enough for a thousand updates and more."""

from __future__ import annotations

from typing import Any

from cortexgraph.analysis import NetworkSummary
from cortexgraph.codegen import Emitted
from cortexgraph.passes import statuses
from cortexgraph.render.updates import node_key
from cortexgraph.unrolling import UnrolledGraph
from cortexgraph.wording import by

__all__ = ["script_data"]


def script_data(full: UnrolledGraph, kept: UnrolledGraph, emitted: Emitted, summary: NetworkSummary) -> dict[str, Any]:
    """Nodes, edges and connections, which refer to each other by their places in the lists.

    A node is [id in the drawings, kind, name, step, status, node that it equals, first line, last line, receptive
    field]; an edge is [tail, head, connections, whether it is a cell's memory].
    """
    found = statuses(full, kept)
    shown = [node for node in full if node.kind != "zero"]
    places = {node: place for place, node in enumerate(shown)}
    fields = {area.name: area.receptive_field_px for area in summary.areas}
    nodes = []
    for node in shown:
        status = found[node]
        like = places.get(status.like) if status.like is not None else None
        field = fields.get(node.name, {}).get(node.step) if node.kind == "update" else None
        extent = None if field is None else "the whole image" if field == summary.image_size else f"{by(field)} pixels"
        first, last = emitted.lines_of(node) or (None, None)
        nodes.append([node_key(full, node), node.kind, node.name, node.step, status.word, like, first, last, extent])
    numbers = {connection.identifier: n for n, connection in enumerate(full.areas.connections)}
    edges = [
        [places[tail], places[head], [numbers[c.identifier] for c in data["connections"]], int(data["memory"])]
        for tail, head, data in full.edges(data=True)
        if tail in places
    ]
    connections = [
        {
            "id": connection.identifier,
            "source": connection.source,
            "target": connection.target,
            "kind": connection.kind,
            "modulates": connection.role == "modulate",
            "delay": connection.delay,
            "does": connection.transform.summary() or "passes it on as it is",
        }
        for connection in full.areas.connections
    ]
    return {
        "steps": full.steps,
        "nodes": nodes,
        "edges": edges,
        "connections": connections,
        "areas": {area.identifier: area.name for area in full.areas.areas},
        "readouts": {readout.name: readout.source for readout in full.areas.readouts},
    }
