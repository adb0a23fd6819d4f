"""Simulated recordings with a known answer, to test a comparison before it meets data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray

from cortexgraph.arguments import arguments_explained
from cortexgraph.brain.compare import recorded_patterns
from cortexgraph.data import Stimuli
from cortexgraph.training.run import TrainedRun, opened


@arguments_explained
def simulate_recording(
    run: str | Path | TrainedRun,
    stimuli: Stimuli,
    hidden: Mapping[str, Sequence[tuple[str, int]]],
    *,
    neuroids: int = 40,
    repetitions: int = 10,
    noise: float = 1.0,
    bin_ms: float = 20,
    seed: int = 0,
) -> xarray.DataArray:
    """Copy units of a network at known steps, add noise, and call it a recording.

    Args:
        run: a run or its folder.
        stimuli: images; the names of their files, or their numbers, become the stimulus ids.
        hidden: by region, the area and step that each time bin copies, such as `{"IT": [("V4", 4), ("V4", 5)]}`.
        neuroids: units of each region, drawn at random; all where the area has no more.
        repetitions: presentations of each stimulus.
        noise: standard deviation of the Gaussian noise of a presentation, relative to that of the units over
            stimuli.
        bin_ms: duration of a time bin.
        seed: of units and noise.

    Returns:
        [presentation, neuroid, time_bin] with the coordinates of Brain-Score's assemblies.
    """
    run, random = opened(run), np.random.default_rng(seed)
    pairs = [pair for bins in hidden.values() for pair in bins]
    areas, steps = [*dict.fromkeys(area for area, _ in pairs)], sorted({step for _, step in pairs})
    states = {
        (area, step): patterns.reshape(len(patterns), -1).astype(np.float64)
        for area, step, patterns in recorded_patterns(run, stimuli, areas, steps, {})
    }
    regions = []
    for bins in hidden.values():
        count = min(neuroids, *(states[pair].shape[1] for pair in bins))
        units = {area: random.permutation(states[area, step].shape[1])[:count] for area, step in bins}
        values = np.stack([states[area, step][:, units[area]] for area, step in bins], 2)
        regions.append(values / np.sqrt(values.var(0).mean()))
    signal = np.concatenate(regions, 1)  # [stimulus, neuroid, time bin]
    responses = signal + noise * random.standard_normal((repetitions, *signal.shape))
    names = [Path(file or str(n)).stem for n, file in enumerate(stimuli.files)]
    count, named = signal.shape[2], [*zip(hidden, regions, strict=True)]
    return xarray.DataArray(
        responses.reshape(-1, *signal.shape[1:]),
        dims=("presentation", "neuroid", "time_bin"),
        coords={
            "stimulus_id": ("presentation", names * repetitions),
            "repetition": ("presentation", np.repeat(np.arange(repetitions), len(stimuli))),
            "neuroid_id": ("neuroid", [f"{name}-{n}" for name, each in named for n in range(each.shape[1])]),
            "region": ("neuroid", [name for name, each in named for _ in range(each.shape[1])]),
            "time_bin_start": ("time_bin", np.arange(count) * bin_ms),
            "time_bin_end": ("time_bin", np.arange(1, count + 1) * bin_ms),
        },
        name="responses",
    )
