"""Draw the figure of docs/interventions.md: python docs/make_interventions.py."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from matplotlib import pyplot as plt

import cortexgraph as cg

TARGET = Path(__file__).parent / "images" / "ventral-interventions.svg"
AREAS, STEPS = ("IT", "V4", "V2", "V1"), 6
INTERVENTIONS = {
    '("V4", 4): cg.ablate()': {("V4", 4): cg.ablate()},
    '("V2 -> V1", "all"): cg.scale(0)': {("V2 -> V1", "all"): cg.scale(0)},
    '("V1", (1, 2)): cg.scale(0.5)': {("V1", (1, 2)): cg.scale(0.5)},
}


@torch.no_grad()
def main() -> None:
    """Show, for each intervention, by how much the state of each area changes at each step."""
    run = cg.load_run("ventral-cifar10")
    network = run.compile(record="all")
    images = run.prepare(cg.load_data("shapes", size=(32, 32), channels=3, test_images=100).test.images)
    intact = network(images)[1]
    plt.rcParams |= {"svg.hashsalt": "", "font.size": 8}
    figure, axes = plt.subplots(1, len(INTERVENTIONS), figsize=(9, 2), sharey=True, layout="constrained")
    for axis, (title, interventions) in zip(axes, INTERVENTIONS.items(), strict=True):
        changed = cg.intervene(network, interventions)(images)[1]
        table = [[math.nan] * STEPS for _ in AREAS]
        for (area, step), state in intact.items():
            table[AREAS.index(area)][step - 1] = float((changed[area, step] - state).norm() / state.norm())
        shown = axis.imshow(table, cmap="Reds", vmin=0, vmax=1, extent=(0.5, STEPS + 0.5, -0.5, 3.5))
        axis.set(title=title, xlabel="step", yticks=[3, 2, 1, 0], yticklabels=AREAS)
        axis.set_facecolor("0.9")
    figure.colorbar(shown, ax=axes, label="change / state")
    figure.savefig(TARGET, metadata={"Date": None})


if __name__ == "__main__":
    main()
