"""`compare_with_brain`: every area and step of a trained network against every region and time bin of a recording."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import xarray

from cortexgraph.arguments import arguments_explained
from cortexgraph.brain import measures
from cortexgraph.brain.figures import draw_scores, draw_time
from cortexgraph.brain.measures import Floats
from cortexgraph.brain.neural import NeuralData, few, match_stimuli, read_neural
from cortexgraph.data import Stimuli, load_stimuli
from cortexgraph.errors import CortexGraphError, CortexGraphWarning, DataError, Diagnostic
from cortexgraph.files import csv_table, write_text
from cortexgraph.recording import record
from cortexgraph.training.run import TrainedRun, opened
from cortexgraph.unrolling import Order
from cortexgraph.wording import listed, quoted

if TYPE_CHECKING:
    import pandas
    from rsatoolbox.rdm import RDMs

MEASURES = ("rsa", "cka", "encoding")
LEAST_PER_FOLD = 4
"""Stimuli in a fold: a correlation over fewer says nothing."""
MOST_PARTS = 8
"""Dissimilarity matrices of a region: more repetitions are averaged in this many parts."""

Patterns = Iterator[tuple[str, int, npt.NDArray[np.float32]]]


@dataclass(frozen=True, eq=False)
class BrainComparison:
    """The agreement of a network with a recording.

    Attributes:
        scores: a row for each measure (`rsa`, `cka`, `encoding`), region, time bin, area and step, with the score, its
            noise ceiling (`ceiling_low` to `ceiling`, NaN where there is none) and `normalised`, the score divided by
            the ceiling. Data with several time bins also have rows for the mean over all of them (`bin` is `mean`).
        commitment: for each region, the area and step with the highest encoding score on one half of the stimuli, and
            the score on the other half of a regression that was fitted on the first.
        name: of the network.
    """

    scores: pandas.DataFrame
    commitment: pandas.DataFrame
    name: str

    def whole(self, measure: str) -> pandas.DataFrame:
        """The rows of a measure for the mean over time."""
        return self.scores[(self.scores.measure == measure) & (self.scores.bin == "mean")]

    def best(self, measure: str = "encoding", by: Sequence[str] = ("region",)) -> pandas.DataFrame:
        """The row with the highest score of a measure, in the mean over time, for each region (or other columns)."""
        rows = self.whole(measure).dropna(subset="score")
        return rows.loc[rows.groupby([*by], sort=False).score.idxmax()]

    def save(self, folder: str | Path, form: str = "png") -> tuple[Path, ...]:
        """Write scores.csv, commitment.csv and the two figures into a folder, which is made.

        Raises:
            DataError: if it cannot be written.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            found = f"it cannot be made ({getattr(error, 'strerror', None) or error})"
            raise DataError(Diagnostic("unwritable", str(folder), found, repair="Name another folder.")) from None
        tables = {"scores.csv": self.scores, "commitment.csv": self.commitment}
        for name, table in tables.items():
            write_text(folder / name, csv_table(cast(Any, table.to_dict("records"))))
        pictures = (folder / f"scores.{form}", folder / f"time.{form}")
        committed = dict(zip(self.commitment.region, self.commitment.area, strict=True))
        draw_scores(self.scores, self.name, pictures[0])
        draw_time(self.scores, committed, self.name, pictures[1])
        return (*(folder / name for name in tables), *pictures)


@dataclass(frozen=True)
class _Region:
    """What one region's responses are compared by, in each window of time.

    Attributes:
        means: [stimulus, neuroid, window].
        ceilings: [neuroid, window], the highest correlation to be expected.
        kept: places of the stimuli that RSA compares.
        grams, rdms, bounds: of each window.
    """

    means: Floats
    ceilings: Floats
    kept: npt.NDArray[np.int64]
    grams: list[Floats]
    rdms: list[RDMs | None]
    bounds: list[tuple[float, float]]


@arguments_explained
def compare_with_brain(
    run: str | Path | TrainedRun,
    data: str | Path | xarray.DataArray,
    stimuli: str | Path | Stimuli,
    *,
    areas: str | Sequence[str] | None = None,
    steps: str | int | Sequence[int] = "all",
    total_steps: int | None = None,
    order: Order | None = None,
    folds: int = 5,
    seed: int = 0,
    device: str = "auto",
    batch_size: int = 100,
    tell: Callable[[str], None] = lambda line: None,
) -> BrainComparison:
    """Compare the states of a trained network with recordings from the brain.

    Args:
        run: a run or its folder.
        data: the recording, as for `cortexgraph.brain.read_neural`.
        stimuli: the folder of the images that were shown, or the images.
        areas: a name or several; all areas by default.
        steps: `all` at which an area is live, `last`, a step or a list.
        total_steps: number of steps T; that of the spec by default.
        order: order of updates; that of the spec by default.
        folds: parts of the stimuli for cross-validation.
        seed: of folds and of random halves of repetitions.
        device: as in `TrainSettings`.
        batch_size: images at a time, at most.
        tell: is called with a line about the progress.

    Raises:
        DataError: for a recording that cannot be read, or whose stimuli are not in the folder or too few.
        CompileError: for an unknown area, or steps that do not exist or at which an area is silent.
    """
    run = opened(run)
    neural, shown = _inputs(run, data, stimuli, folds)
    regions = {name: _region(neural.of_region(name), seed) for name in dict.fromkeys(neural.regions)}
    windows = [("mean", *_span(neural.bins))]
    windows += [(f"{start:g}–{end:g}", start, end) for start, end in neural.bins if len(neural.bins) > 1]
    options: dict[str, Any] = {"total_steps": total_steps, "order": order, "device": device, "batch_size": batch_size}
    rows: list[dict[str, object]] = []
    halves: list[dict[str, Any]] = []
    for area, step, patterns in recorded_patterns(run, shown, areas, steps, options, tell):
        tell(f"{area} at step {step}")
        place = {"area": area, "step": step}
        features = measures.rotated(patterns)
        compared = _compared(patterns, features, regions, windows, folds, seed)
        rows += [row | place | _normalised(row["ceiling"], score) for row, score in compared]
        halves += [row | place for row in _on_halves(features, regions, folds, seed)]
    return BrainComparison(_frame(rows), _committed(halves), run.spec.name)


def _frame(rows: Sequence[Mapping[str, object]]) -> pandas.DataFrame:
    import pandas

    return pandas.DataFrame([*rows])


# ---- input -------------------------------------------------------------------------


def _inputs(
    run: TrainedRun, data: str | Path | xarray.DataArray, stimuli: str | Path | Stimuli, folds: int
) -> tuple[NeuralData, Stimuli]:
    """The recording, and the images in the order of its stimuli. Raises DataError with what is wrong with either."""
    findings: list[Diagnostic] = []

    def collected(read: Callable[[], Any]) -> Any:
        try:
            return read()
        except CortexGraphError as error:
            findings.extend(error.diagnostics)

    folder = None if isinstance(stimuli, Stimuli) else Path(stimuli)
    neural = collected(lambda: read_neural(data))
    images: Any = stimuli if folder is None else collected(lambda: _images(run, folder))
    if neural is not None and images is not None:
        images = collected(lambda: match_stimuli(images, neural.stimuli, folder))
    if folds < 2:
        found, repair = f"{folds} was given", "Give 5, for example."
        findings.append(Diagnostic("out-of-range", "folds", found, "it must be 2 or more", repair))
    elif neural is not None and len(neural.stimuli) < 2 * folds * LEAST_PER_FOLD:  # halves are cross-validated too
        expected = f"{2 * folds * LEAST_PER_FOLD} are needed for {folds} folds of each half"
        found, repair = f"there are {len(neural.stimuli)} stimuli", "Use fewer --folds, or more stimuli."
        findings.append(Diagnostic("few-stimuli", "data", found, expected, repair))
    if findings:
        raise DataError(findings)
    return neural, images


def _images(run: TrainedRun, folder: Path) -> Stimuli:
    if not folder.is_dir():
        found, repair = "this folder does not exist", "Give the folder with the images that were shown."
        raise DataError(Diagnostic("missing-directory", str(folder), found, repair=repair))
    arguments = run.data_arguments(str(folder.resolve()))
    return load_stimuli(**arguments)


def recorded_patterns(
    run: TrainedRun,
    stimuli: Stimuli,
    areas: str | Sequence[str] | None,
    steps: str | int | Sequence[int],
    options: Mapping[str, Any],
    tell: Callable[[str], None] = lambda line: None,
) -> Patterns:
    """Area, step and states [stimulus, channel, y, x], one at a time from a temporary file."""
    with tempfile.TemporaryDirectory(prefix="cortexgraph-") as folder:
        path = Path(folder) / "states.nc"
        recording = record(run, stimuli, path, areas=areas, steps=steps, tell=tell, **options)
        with xarray.open_datatree(path) as tree:
            groups = {str(group.attrs["area"]): group for group in tree.children.values()}
            for each in recording.areas:
                for n, step in enumerate(each.steps):
                    yield each.area, step, groups[each.area].to_dataset().state[:, n].to_numpy()


# ---- the brain's side --------------------------------------------------------------


def _span(bins: Sequence[tuple[float, float]]) -> tuple[float, float]:
    return min(start for start, _ in bins), max(end for _, end in bins)


def _region(data: NeuralData, seed: int) -> _Region:
    """The mean over time, then each time bin where there are several."""
    responses = data.responses
    if len(data.bins) > 1:
        responses = np.concatenate([responses.mean(3, keepdims=True), responses], 3)
    (means,) = measures.shares(responses, 1, seed)
    windows = range(responses.shape[3])
    parts, kept = _parts(data, responses, seed)
    matrices = [measures.rdms([part[..., n] for part in parts]) for n in windows]
    return _Region(
        means,
        np.sqrt(measures.reliability(responses, seed=seed)),
        kept,
        [measures.centred_gram(means[..., n]) for n in windows],
        matrices,
        [(np.nan, np.nan) if each is None else measures.rsa_bounds(each) for each in matrices],
    )


def _parts(data: NeuralData, responses: Floats, seed: int) -> tuple[list[Floats], npt.NDArray[np.int64]]:
    """What RSA compares: responses [stimulus, neuroid, window] of each subject, and the places of these stimuli.

    With fewer than two subjects, those of parts of the repetitions. Stimuli that were shown once are left out then, and
    neuroids that lack a response in a part; a warning names them. If too few are left, there is one part, and no noise
    ceiling.
    """
    (means,) = measures.shares(responses, 1, seed)
    every = np.arange(len(means))
    subjects = [name for name in dict.fromkeys(data.subjects) if data.subjects.count(name) > 1]
    if len(subjects) > 1:
        return [means[:, [each == name for each in data.subjects]] for name in subjects], every
    counts = np.isfinite(responses).any((2, 3)).sum(1)
    kept = np.flatnonzero(counts > 1)
    if len(kept) >= measures.LEAST_STIMULI:
        parts = measures.shares(responses[kept], min(int(counts[kept].min()), MOST_PARTS), seed)
        whole = np.asarray(np.isfinite(parts).all((0, 1, 3)))
        if whole.sum() > 1:
            _warn_of_missing(data, kept, whole)
            return [*parts[:, :, whole]], kept
    found = f"{data.regions[0]}: a stimulus has fewer than two repetitions, so there is no noise ceiling"
    if len(kept) == len(means):
        found = f"{data.regions[0]}: nearly all neuroids lack repetitions, so RSA has no noise ceiling"
    elif len(kept):
        found = f"{data.regions[0]}: only {len(kept)} stimuli have two repetitions, so there is no noise ceiling"
    warnings.warn(found, CortexGraphWarning, stacklevel=2)
    return [means], every


def _warn_of_missing(data: NeuralData, kept: npt.NDArray[np.int64], whole: npt.NDArray[np.bool_]) -> None:
    """Name the stimuli and neuroids that have too few repetitions for RSA."""
    region, once = data.regions[0], np.setdiff1d(np.arange(len(data.stimuli)), kept)
    parts = [f"stimuli {few([data.stimuli[n] for n in once])}"] * (len(once) > 0)
    parts += [f"neuroids {few([data.neuroids[n] for n in np.flatnonzero(~whole)])}"] * (not whole.all())
    if parts:
        found = f"{region}: RSA leaves out {listed(parts)}, which have too few repetitions"
        warnings.warn(found, CortexGraphWarning, stacklevel=2)


# ---- comparison --------------------------------------------------------------------


def _compared(
    patterns: npt.NDArray[np.float32],
    features: Floats,
    regions: Mapping[str, _Region],
    windows: Sequence[tuple[str, float, float]],
    folds: int,
    seed: int,
) -> Iterator[tuple[dict[str, Any], float]]:
    """A row without its score, and the score, for each measure, region and window of time."""
    kept = {region.kept.tobytes(): region.kept for region in regions.values()}
    matrices = {key: measures.rdms([patterns[places].astype(np.float64)]) for key, places in kept.items()}
    gram = measures.centred_gram(patterns)
    encoded = _by_region(regions, lambda y: measures.encoding_scores(features, y, folds, seed))
    for name, region in regions.items():
        for n, (window, start, end) in enumerate(windows):
            matrix, brain, (low, high) = matrices[region.kept.tobytes()], region.rdms[n], region.bounds[n]
            ceiling = _median(region.ceilings[:, n])
            scores = {
                "rsa": (np.nan if matrix is None or brain is None else measures.rsa_scores(matrix, brain), low, high),
                "cka": (measures.linear_cka(gram, region.grams[n]), np.nan, np.nan),
                "encoding": (_median(encoded[name][:, n]), ceiling, ceiling),
            }
            where = {"region": name, "bin": window, "time_bin_start": start, "time_bin_end": end}
            for measure, (score, lowest, highest) in scores.items():
                yield {"measure": measure, **where, "ceiling_low": lowest, "ceiling": highest}, score


def _normalised(ceiling: float, score: float) -> dict[str, float]:
    return {"score": score, "normalised": score / ceiling if ceiling > 0 else np.nan}


def _median(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")


def _on_halves(features: Floats, regions: Mapping[str, _Region], folds: int, seed: int) -> Iterator[dict[str, Any]]:
    """Encoding scores of each region within one random half of the stimuli, and from it to the other half."""
    first, second = np.array_split(np.random.default_rng(seed).permutation(len(features)), 2)
    selected = _by_region(regions, lambda y: measures.encoding_scores(features[first], y[first], folds, seed))
    heldout = _by_region(regions, lambda y: measures.transfer_scores(features, y, first, second))
    for name, region in regions.items():
        ceiling = _median(region.ceilings[:, 0])
        score = {"region": name, "selection_score": _median(selected[name][:, 0]), "ceiling": ceiling}
        yield score | _normalised(ceiling, _median(heldout[name][:, 0]))


def _by_region(regions: Mapping[str, _Region], score: Callable[[Floats], Floats]) -> dict[str, Floats]:
    """Scores [neuroid, window] by region, of all targets [stimulus, target] of all regions at once."""
    targets = [region.means.reshape(len(region.means), -1) for region in regions.values()]
    parts = np.split(score(np.concatenate(targets, 1)), np.cumsum([each.shape[1] for each in targets])[:-1])
    return {
        name: part.reshape(region.ceilings.shape) for (name, region), part in zip(regions.items(), parts, strict=True)
    }


def _committed(halves: Sequence[dict[str, Any]]) -> pandas.DataFrame:
    """The area and step of each region that is best on the first half."""
    table = _frame(halves).dropna(subset="selection_score")
    if table.empty:
        names = quoted(dict.fromkeys(str(row["region"]) for row in halves))
        found = f"no area has an encoding score for {names}: the states or the responses do not vary over stimuli"
        raise DataError(Diagnostic("constant-patterns", "data", found, repair="Check the recording and the images."))
    best = table.loc[table.groupby("region", sort=False).selection_score.idxmax()]
    columns = ["region", "area", "step", "selection_score", "score", "ceiling", "normalised"]
    return best[columns].reset_index(drop=True)
