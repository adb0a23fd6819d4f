"""Draw the figures of docs/brain.md: python docs/make_brain.py."""

from __future__ import annotations

import tempfile
from pathlib import Path

import cortexgraph as cg
from cortexgraph.brain import simulate_recording

if __name__ == "__main__":
    run = cg.load_run("ventral-cifar10")
    stimuli = cg.load_stimuli("shapes", size=(32, 32), channels=3, test_images=100)
    hidden = {"A": [("V4", step) for step in (3, 4, 5, 6)], "B": [("IT", step) for step in (4, 5, 6, 6)]}
    recording = simulate_recording(run, stimuli, hidden, neuroids=100, repetitions=8, bin_ms=25)
    with tempfile.TemporaryDirectory() as folder:
        for path in cg.compare_with_brain(run, recording, stimuli).save(folder)[2:]:
            (Path(__file__).parent / "images" / f"brain-{path.name}").write_bytes(path.read_bytes())
