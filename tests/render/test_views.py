"""Every picture of every spec that ships, of a measured connectome, and of a thousand updates."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

import cortexgraph as cg
from cortexgraph.render import Drawing
from tests.conftest import Golden

ROOT = Path(__file__).parents[2]
SPECS = sorted(cg.zoo())
MACAQUE = ROOT.parent / "shared" / "data" / "macaque_markov2014.csv"
needs_macaque = pytest.mark.skipif(not MACAQUE.is_file(), reason="the connectome lies beside the checkout only")
STARTS = {".svg": b"<?xml", ".png": b"\x89PNG\r\n", ".pdf": b"%PDF-"}

# Markov et al. 2014: hierarchical levels.
LEVELS = {
    "V1": 0.0, "V2": 0.28, "8l": 0.85, "V3": 0.86, "V4": 0.89, "TEO": 1.24, "MT": 1.27, "DP": 1.48, "FST": 1.61,
    "8m": 1.62, "LIP": 1.68, "TEpd": 1.69, "V3A": 1.74, "7A": 2.07, "MST": 2.17, "TH/TF": 2.20, "STPc": 2.36,
}  # fmt: skip


def macaque() -> cg.NetworkSpec:
    """Seventeen areas, the 88 measured connections, and one from V4 to each area that was not injected."""
    lines = [line for line in MACAQUE.read_text().splitlines() if not line.startswith("#")]
    measured = [{"from": r["source"], "to": r["target"], "strength": float(r["fln"])} for r in csv.DictReader(lines)]
    reached = {connection["to"] for connection in measured}
    return cg.NetworkSpec.model_validate(
        {
            "name": "macaque",
            "input": {"channels": 3, "size": 32},
            "defaults": {"area": {"norm": "batch"}, "connection": {"kernel": 1}},
            "areas": {
                name: {"channels": 16, "size": 16 if level else 32, "level": level} for name, level in LEVELS.items()
            },
            "connections": ["image -> V1", *measured, *(f"V4 -> {name}" for name in LEVELS if name not in reached)],
            "readout": {"from": "TEO", "classes": 10},
            "time": {"steps": 6},
        }
    )


def views(spec: cg.NetworkSpec, **options: Any) -> dict[str, Drawing]:
    return {
        "areas": cg.draw(spec, labels=len(spec.areas) < 10),
        "matrix": cg.draw_matrix(spec, width="parameters"),
        "unrolled": cg.draw_unrolled(spec, **options),
        "schedule": cg.draw_schedule(spec, **options),
    }


def saved(drawing: Drawing, folder: Path, suffixes: Iterable[str] = tuple(STARTS)) -> None:
    for suffix in suffixes:
        assert drawing.save(folder / f"picture{suffix}").read_bytes().startswith(STARTS[suffix])


@pytest.mark.parametrize("name", SPECS)
def test_every_view_of_every_spec(name: str, tmp_path: Path) -> None:
    for drawing in views(cg.load(name)).values():
        saved(drawing, tmp_path, STARTS if name == "ventral" else (".svg", ".pdf"))


@pytest.mark.slow(reason="half a minute: cairo, which writes the PDF, also fills millions of pixels for each view")
@pytest.mark.parametrize("name", SPECS)
def test_every_view_of_every_spec_in_pixels(name: str, tmp_path: Path) -> None:
    for drawing in views(cg.load(name)).values():
        saved(drawing, tmp_path, [".png"])


@needs_macaque
def test_every_view_of_the_macaque(tmp_path: Path) -> None:
    spec = macaque()
    for view, drawing in views(spec).items():
        saved(drawing, tmp_path)
        for name in ("TH/TF", "7A"):
            assert f">{name}<" in drawing.svg(), (view, name)
    wide = cg.draw(spec, width="strength").svg()
    assert "8.7 strength" in wide
    assert "no strength" in wide


@pytest.mark.parametrize("fold", ["auto", "never"])
def test_a_thousand_updates_are_drawn_within_ten_seconds(fold: str, tmp_path: Path) -> None:
    start = time.process_time()
    drawings = views(cg.load("ventral"), steps=250, fold=fold)
    for drawing in drawings.values():
        saved(drawing, tmp_path)
    assert time.process_time() - start < 10  # all four, in all three formats
    assert ("V1@200.0" in drawings["unrolled"].source) == (fold == "never")


@pytest.mark.parametrize("view", ["matrix", "unrolled", "schedule"])
def test_golden_of_a_folded_network(view: str, golden: Golden) -> None:
    spec = cg.load("ventral", ["time.steps=45", "connections[0].delay=1", "readout.at=[20, 40]"])
    golden(f"{view}_ventral.dot", views(spec)[view].source)
