"""A label leaves its own arrow to be seen."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest

import cortexgraph as cg
from cortexgraph.render import areas, labels
from cortexgraph.spec import NetworkSpec, load


def dense(count: int) -> NetworkSpec:
    names = [f"A{n}" for n in range(count)]
    return NetworkSpec.model_validate(
        {
            "name": "dense",
            "input": {"size": 8},
            "areas": {name: {"channels": 4, "size": 8} for name in names},
            "connections": [
                *(["image -> A0"]),
                *({"from": one, "to": other, "kernel": 3, "delay": 1} for one in names for other in names),
            ],
            "readout": {"from": names[-1], "classes": 2},
            "time": {"steps": count + 2},
        }
    )


@pytest.mark.parametrize("spec", [dense(5), load("ventral"), load("predictive_coding")], ids=lambda spec: spec.name)
def test_no_label_hides_its_own_arrow(spec: NetworkSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    shares: dict[str, float] = {}
    write = areas.add_labels

    def spied(canvas: Any, graph: Any, boxes: Any, curves: Any, counts: Any, words: Any) -> None:
        lines = defaultdict(list)
        text = canvas.text
        monkeypatch.setattr(
            canvas,
            "text",
            lambda key, at, *more, **rest: (lines[key.partition("-label")[0]].append(at), text(key, at, *more, **rest)),
        )
        write(canvas, graph, boxes, curves, counts, words)
        monkeypatch.setattr(canvas, "text", text)
        for connection in graph.connections:
            key = connection.identifier
            if places := lines[key]:
                middle = np.mean(places, axis=0)
                width = labels.label_width(connection, words, counts[key])
                away = np.abs(curves[key].samples(64) - middle)
                shares[key] = float(((away[:, 0] < width / 2) & (away[:, 1] < labels.LEAD * len(places) / 2)).mean())

    monkeypatch.setattr(areas, "add_labels", spied)
    cg.draw(spec, labels="all")
    assert len(shares) >= len(spec.connections) - 1
    assert max(shares.values()) <= labels.SEEN, {key: share for key, share in shares.items() if share > labels.SEEN}
