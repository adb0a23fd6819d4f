"""The tables of the page, as texts."""

from __future__ import annotations

from dataclasses import dataclass

from cortexgraph.analysis import NetworkSummary
from cortexgraph.passes import statuses
from cortexgraph.unrolling import UnrolledGraph
from cortexgraph.wording import by, count_text, fields_text, paths_text, step_ranges

__all__ = ["AreaRow", "ConnectionRow", "area_rows", "connection_rows"]

WORDS = ("executed", "held", "shared", "silent", "unread")


@dataclass(frozen=True)
class AreaRow:
    """An area in the order of the hierarchy, highest first; `identifier` is that of its box in the drawing."""

    identifier: str
    name: str
    channels: str
    size: str
    parameters: str
    macs: str
    memory: str
    responds: str
    executed: str
    held: str
    shared: str
    silent: str
    unread: str
    field: str
    paths: str


@dataclass(frozen=True)
class ConnectionRow:
    """A connection as declared."""

    identifier: str
    name: str
    kind: str
    transform: str
    delay: str
    size: str
    window: str
    parameters: str
    macs: str
    responds: str
    evaluated: str
    paths: str


def area_rows(full: UnrolledGraph, kept: UnrolledGraph, summary: NetworkSummary, *, several: bool) -> list[AreaRow]:
    """One row for each area; with several readouts, paths are given by name."""
    steps: dict[tuple[str, str], list[int]] = {}
    for node, status in statuses(full, kept).items():
        if node.kind == "update":
            steps.setdefault((node.name, status.word), []).append(node.step)
    rows = []
    for area in reversed(summary.areas):
        of = {word: step_ranges(steps.get((area.name, word), [])) for word in WORDS}
        rows.append(
            AreaRow(
                identifier=full.areas.area(area.name).identifier,
                name=area.name,
                channels=str(area.channels),
                size=by(area.size),
                parameters=count_text(area.parameters),
                macs=count_text(area.macs),
                memory=f"{count_text(area.state_bytes)}B",
                responds=_response(area.first_response),
                field=fields_text(area.receptive_field_px, summary.image_size),
                paths=paths_text(area.steps_to_readout, several=several),
                **of,
            )
        )
    return rows


def connection_rows(full: UnrolledGraph, summary: NetworkSummary, *, several: bool) -> list[ConnectionRow]:
    """One row for each connection."""
    return [
        ConnectionRow(
            identifier=connection.identifier,
            name=found.name,
            kind=found.kind,
            transform=found.transform,
            delay=str(found.delay) if found.delay else "",
            size=by(found.size),
            window=by(found.window),
            parameters=count_text(found.parameters),
            macs=count_text(found.macs),
            responds=_response(found.first_response),
            evaluated=step_ranges(found.evaluated),
            paths=paths_text(found.steps_to_readout, several=several),
        )
        for connection, found in zip(full.areas.connections, summary.connections, strict=True)
    ]


def _response(step: int | None) -> str:
    return f"step {step}" if step else "never"
