"""Record a network over time and analyse the recording with xarray: `python examples/recording.py OUT [RUN]`.

RUN is the folder of a run. Without it, the script first trains a small network on a few images for one epoch. The
figure of dissimilarities in docs/inspection.md comes from `cortexgraph train ventral --epochs 5 --train-images 8000`.
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

    # Record every area at every step at which it is live, for 60 images. `areas=["V1"]` would record V1 only.
    stimuli = load_stimuli("shapes", test_images=60, **IMAGES)
    written = record(run, stimuli, out / "acts.nc", plots="png")
    print("wrote", written.path, *written.plots)

    # Open one area. The dimensions are named, and steps at which the area is silent are absent.
    v4 = xarray.open_dataset(out / "acts.nc", group="V4").state
    print(v4.dims, "steps", v4.step.values.tolist())

    # Time course: mean over units for each class.
    course = v4.mean(("channel", "y", "x")).groupby("class_name").mean()
    print("star", [f"{value:.3f}" for value in course.sel(class_name="star").values])

    # Dissimilarity of the states and separation of the classes at each step.
    for step in v4.step.values:
        matrix = dissimilarity(v4.sel(step=step).values)
        print(f"V4@{step}: {separation(matrix, v4.label.values):+.3f} between minus within classes")

    # Predicted classes at each step, and images whose predicted class changes.
    logits = xarray.open_dataset(out / "acts.nc").logits
    predicted = logits.argmax("class")
    print("accuracy", [f"{share:.1%}" for share in (predicted == logits.label).mean("image").values])
    changed = (predicted.diff("readout_step") != 0).any("readout_step")
    print(f"{int(changed.sum())} of {len(predicted)} images change their predicted class over time")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "recording"), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
