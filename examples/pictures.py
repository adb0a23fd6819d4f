"""Draw the pictures of docs/drawing.md; the README shows some of them.

    python examples/pictures.py [FOLDER]

The script writes the pictures into FOLDER (default: `docs/images`) and prints their names.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cortexgraph as cg

UP_AND_DOWN = ("V1", "V2", "V4", "IT", "V4", "V2", "V1")


def two_streams() -> cg.NetworkSpec:
    """Return a spec of two regions, each with a bottom-up population and a top-down population that gates it."""
    return cg.NetworkSpec.model_validate(
        {
            "name": "two streams",
            "input": {"channels": 3, "size": 32},
            "defaults": {"area": {"norm": "batch"}},
            "areas": {
                "V1 up": {"channels": 16, "size": 32, "region": "V1", "level": 1},
                "V1 down": {"channels": 16, "size": 32, "region": "V1", "level": 1},
                "V4 up": {"channels": 32, "size": 16, "region": "V4", "level": 2},
                "V4 down": {"channels": 32, "size": 16, "region": "V4", "level": 2},
                "IT": {"channels": 64, "size": 8, "level": 3},
            },
            "connections": [
                "image -> V1 up -> V4 up -> IT -> V4 down -> V1 down",
                {"from": "V4 down", "to": "V4 up", "role": "modulate", "gate": "sigmoid", "kernel": 1},
                {"from": "V1 down", "to": "V1 up", "role": "modulate", "gate": "sigmoid", "kernel": 1},
            ],
            "readout": {"from": "IT", "classes": 10},
            "time": {"steps": 6},
        }
    )


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ventral, cornet = cg.load("ventral"), cg.load("cornet_s")
    drawings = {
        # Areas: the hierarchy, labels of connections, regions.
        "ventral": cg.draw(ventral),
        "ventral-labels": cg.draw(ventral, labels=True),
        "ventral-width": cg.draw(ventral, width="parameters"),
        "two-streams": cg.draw(two_streams()),
        "macaque-matrix": cg.draw_matrix(cg.load("macaque_hierarchy"), width="parameters"),
        # Updates over time, under three orders.
        "ventral-unrolled": cg.draw_unrolled(ventral),
        "ventral-sequential": cg.draw_unrolled(ventral, steps=3, order="sequential"),
        "ventral-up-and-down": cg.draw_unrolled(ventral, steps=2, order=UP_AND_DOWN),
        # A long unrolling, and parts of an unrolling.
        "ventral-folded": cg.draw_unrolled(ventral, steps=250),
        "ventral-upstream": cg.draw_unrolled(ventral, upstream="V4@4"),
        "ventral-between": cg.draw_unrolled(ventral, between=("V1@2", "readout@6")),
        # The executed updates, in order.
        "ventral-schedule": cg.draw_schedule(ventral),
        "cornet_s-schedule": cg.draw_schedule(cornet),
    }
    for name, drawing in drawings.items():
        print(drawing.save(folder / f"{name}.svg"))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "images")
