"""Make the pictures of the README and the docs: `python docs/make_images.py`."""

from __future__ import annotations

from pathlib import Path

import cortexgraph as cg

IMAGES = Path(__file__).parent / "images"
UP_AND_DOWN = ("V1", "V2", "V4", "IT", "V4", "V2", "V1")


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    ventral = cg.load("ventral")
    cg.draw(ventral, IMAGES / "ventral.svg")
    cg.draw_unrolled(ventral, IMAGES / "ventral-unrolled.svg")
    cg.draw_unrolled(ventral, IMAGES / "ventral-sequential.svg", steps=3, order="sequential")
    cg.draw_unrolled(ventral, IMAGES / "ventral-up-and-down.svg", steps=2, order=UP_AND_DOWN)


if __name__ == "__main__":
    main()
