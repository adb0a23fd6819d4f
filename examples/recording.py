"""Record a network over time and look at the recording with xarray: `python examples/recording.py OUT [RUN]`.

Without RUN, the folder of a run, a small one is trained first, on few images and for a moment only. The picture of
dissimilarities in docs/inspection.md is that of a run of `cortexgraph train ventral --epochs 5 --train-images 8000`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import xarray

import cortexgraph as cg
from cortexgraph.data import load_data, load_stimuli
from cortexgraph.recording import dissimilarity, record, separation
from cortexgraph.training import TrainSettings, train

IMAGES = {"size": (32, 32), "channels": 3}


def main(out: Path, run: Path | None = None) -> None:
    out.mkdir(parents=True, exist_ok=True)
    if run is None:
        run = out / "run"
        spec = cg.load("ventral", {"readout.at": "all", "areas.V1.channels": 8, "areas.V2.channels": 8})
        data = load_data("shapes", train_images=160, test_images=20, **IMAGES)
        train(spec, data, TrainSettings(epochs=1, batch_size=32, device="cpu"), run, overwrite=True, quiet=True)

    # Every area at every step at which it is live, for 60 images; V1 alone would be `areas=["V1"]`.
    stimuli = load_stimuli("shapes", test_images=60, **IMAGES)
    written = record(run, stimuli, out / "acts.nc", plots="png")
    print("wrote", written.path, *written.plots)

    # One area: named dimensions, and steps at which it is silent left out.
    v4 = xarray.open_dataset(out / "acts.nc", group="V4").state
    print(v4.dims, "steps", v4.step.values.tolist())

    # Time course: mean over units, for each class.
    course = v4.mean(("channel", "y", "x")).groupby("class_name").mean()
    print("star", [f"{value:.3f}" for value in course.sel(class_name="star").values])

    # Dissimilarity of the states, and how far apart the classes are, at each step.
    for step in v4.step.values:
        matrix = dissimilarity(v4.sel(step=step).values)
        print(f"V4@{step}: {separation(matrix, v4.label.values):+.3f} between minus within classes")

    # What the network says at each step, and where it changes its mind.
    logits = xarray.open_dataset(out / "acts.nc").logits
    said = logits.argmax("class")
    print("accuracy", [f"{share:.1%}" for share in (said == logits.label).mean("image").values])
    changed = (said.diff("readout_step") != 0).any("readout_step")
    print(f"{int(changed.sum())} of {len(said)} images are called differently at different steps")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "recording"), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
