"""Reading neural recordings (NetCDF, npz, CSV) and the stimuli that belong to them."""

from __future__ import annotations

import csv
import os
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray

from cortexgraph.data import Stimuli
from cortexgraph.errors import CortexGraphWarning, DataError, Diagnostic
from cortexgraph.wording import count_of, quoted

Array = npt.NDArray[Any]

NAMES: Mapping[str, tuple[str, ...]] = {
    "stimulus_id": ("stimulus_id", "image_id", "image_file_name", "filename"),
    "repetition": ("repetition", "trial"),
    "neuroid_id": ("neuroid_id", "neuroid"),
    "region": ("region", "roi", "area"),
    "subject": ("subject", "animal", "monkey"),
    "time_bin_start": ("time_bin_start",),
    "time_bin_end": ("time_bin_end",),
}
"""Each coordinate, and the names under which it is found: those of Brain-Score's assemblies, then others in use."""

AXES = {
    "presentation": ("stimulus_id", "repetition"),
    "neuroid": ("neuroid_id", "region", "subject"),
    "time_bin": ("time_bin_start", "time_bin_end"),
}
MOST_SHOWN = 5


@dataclass(frozen=True)
class NeuralData:
    """Responses of neuroids (neurons, sites or voxels) to stimuli.

    Attributes:
        responses: [stimulus, repetition, neuroid, time bin], float64; NaN where there was no presentation.
        stimuli: the id of each stimulus.
        neuroids, regions, subjects: of each neuroid; regions are `all` and subjects empty where the data name none.
        bins: start and end of each time bin in ms; one bin of NaN for data without time.
    """

    responses: npt.NDArray[np.float64]
    stimuli: tuple[str, ...]
    neuroids: tuple[str, ...]
    regions: tuple[str, ...]
    subjects: tuple[str, ...]
    bins: tuple[tuple[float, float], ...]

    def of_region(self, region: str) -> NeuralData:
        """The neuroids of one region."""
        return self.of_places([n for n, name in enumerate(self.regions) if name == region])

    def of_places(self, places: Sequence[int]) -> NeuralData:
        """Some neuroids."""
        neuroids, regions, subjects = (
            tuple(values[n] for n in places) for values in (self.neuroids, self.regions, self.subjects)
        )
        return NeuralData(self.responses[:, :, [*places]], self.stimuli, neuroids, regions, subjects, self.bins)


def read_neural(data: str | Path | xarray.DataArray) -> NeuralData:
    """Read a recording.

    Args:
        data: an array with the dimensions presentation × neuroid [× time_bin] and the coordinates of Brain-Score's
            assemblies; or a file: NetCDF (.nc) with such an array, .npz with `responses` and the coordinates by name,
            or a long .csv with the columns stimulus_id, neuroid_id, response, and optionally the other coordinates.

    Raises:
        DataError: with everything that is wrong with it.
    """
    if isinstance(data, xarray.DataArray):
        return neural_data(data, "data")
    path = Path(data)
    readers = {".nc": _read_netcdf, ".npz": _read_npz, ".csv": _read_csv}
    if path.suffix not in readers or not os.path.isfile(path):  # noqa: PTH113 (false for a name that is too long)
        found = f"the suffix is `{path.suffix}`" if path.suffix not in readers else "this file does not exist"
        expected = "recordings are .nc (NetCDF), .npz or .csv files"
        raise DataError(Diagnostic("bad-recording", str(path), found, expected, "See docs/brain.md."))
    try:
        array = readers[path.suffix](path)
    except DataError:
        raise
    except Exception as error:  # the readers raise many kinds of their own on a damaged file
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise _bad(str(path), f"it cannot be read ({reason})", f"a {path.suffix} file is needed") from None
    return neural_data(array, str(path))


def _bad(place: str, found: str, expected: str = "", repair: str = "See docs/brain.md.") -> DataError:
    return DataError(Diagnostic("bad-recording", place, found, expected, repair))


# ---- files -------------------------------------------------------------------------


def _read_netcdf(path: Path) -> xarray.DataArray:
    with xarray.open_dataset(path) as dataset:
        arrays = [name for name, value in dataset.data_vars.items() if {"presentation", "neuroid"} <= {*value.dims}]
        if len(arrays) != 1:
            found = f"{count_of(len(arrays), 'variable')} have the dimensions presentation and neuroid"
            variables = {str(name): value.dims for name, value in dataset.data_vars.items()}
            raise _bad(str(path), found, f"one is needed (the file has {variables})")
        one = {name: value for name, value in dataset.variables.items() if name != arrays[0] and value.ndim == 1}
        return dataset.reset_coords()[arrays[0]].assign_coords(one).load()  # with coordinates stored as variables


def _read_npz(path: Path) -> xarray.DataArray:
    with np.load(path, allow_pickle=False) as arrays:
        if "responses" not in arrays or arrays["responses"].ndim not in {2, 3}:
            expected = "`responses` [presentation, neuroid] or [presentation, neuroid, time_bin] is needed"
            raise _bad(str(path), f"it holds {quoted(arrays.files)}", expected)
        axis_of = {name: axis for axis, names in AXES.items() for key in names for name in NAMES[key]}
        coordinates = {name: (axis_of[name], arrays[name]) for name in arrays.files if name in axis_of}
        responses = arrays["responses"]
        return xarray.DataArray(responses, dims=[*AXES][: responses.ndim], coords=coordinates)


def _read_csv(path: Path) -> xarray.DataArray:
    import pandas

    texts = {name: str for key in ("stimulus_id", "neuroid_id", "region", "subject") for name in NAMES[key]}
    table = pandas.read_csv(path, dtype=texts)
    table = table.rename(columns={next((n for n in names if n in table), key): key for key, names in NAMES.items()})
    if missing := [name for name in ("stimulus_id", "neuroid_id", "response") if name not in table]:
        raise _bad(str(path), f"the columns are {quoted(map(str, table))}", f"{quoted(missing)} are needed too")
    edges = [name for name in AXES["time_bin"] if name in table]
    if count := int(table[["stimulus_id", "neuroid_id", *edges]].isna().any(axis=1).sum()):
        raise _bad(
            str(path), f"{count_of(count, 'row')} without a stimulus, neuroid or time bin", "each row needs them"
        )
    owners = [name for name in AXES["neuroid"] if name in table]  # subjects may number their neuroids alike
    table["neuroid"] = table.groupby(owners, dropna=False).ngroup()
    table["bin"] = table.groupby(edges).ngroup() if edges else 0
    keys = ["stimulus_id", "neuroid", "bin"]
    if "repetition" not in table:
        table["repetition"] = table.groupby(keys).cumcount()
    if count := int(table.duplicated([*keys, "repetition"]).sum()):
        expected = "a stimulus, neuroid, time bin and repetition has one row"
        raise _bad(str(path), f"{count_of(count, 'row')} too many", expected, "Remove them, or number the repetitions.")
    stacked = table.set_index([*keys, "repetition"]).response.to_xarray()
    array = stacked.stack(presentation=("stimulus_id", "repetition")).reset_index("presentation")
    array = array.rename(bin="time_bin").transpose("presentation", "neuroid", "time_bin")
    named = table.drop_duplicates("neuroid").set_index("neuroid").loc[array.neuroid.values]
    own = {name: ("neuroid", named[name].to_numpy()) for name in owners}
    bins = table.drop_duplicates("bin").sort_values("bin")
    assigned: xarray.DataArray = array.assign_coords(
        own | {name: ("time_bin", bins[name].to_numpy()) for name in edges}
    )
    return assigned


# ---- checks ------------------------------------------------------------------------


def _coordinate(array: xarray.DataArray, key: str, axis: str) -> Array | None:
    """The values of a coordinate along an axis, under the first of its names that is there."""
    for name in NAMES[key]:
        if name in array.coords and array.coords[name].dims == (axis,):
            return np.asarray(array.coords[name].values)
    return None


def _texts(values: Array) -> tuple[str, ...]:
    return tuple(value.decode() if isinstance(value, bytes) else str(value) for value in values.tolist())


def neural_data(array: xarray.DataArray, place: str) -> NeuralData:
    """Check an assembly and collect the repetitions of each stimulus. Raises DataError with all findings."""
    levels = {name: array.indexes[name].nlevels for name in array.dims if name in array.indexes}
    array = array.reset_index([name for name, count in levels.items() if count > 1])
    if findings := [*_check_form(array, place)]:
        raise DataError(findings)
    if "time_bin" not in array.dims:
        array = array.expand_dims("time_bin")
    array = array.transpose(*AXES)
    ids = _texts(np.asarray(_coordinate(array, "stimulus_id", "presentation")))
    count = array.sizes["neuroid"]
    columns = {key: _coordinate(array, key, "neuroid") for key in AXES["neuroid"]}
    defaults = {"neuroid_id": map(str, range(count)), "region": ["all"] * count, "subject": [""] * count}
    neuroids, regions, subjects = (
        tuple(defaults[key]) if values is None else _texts(values) for key, values in columns.items()
    )
    edges = [_coordinate(array, key, "time_bin") for key in AXES["time_bin"]]
    starts, ends = (np.full(array.sizes["time_bin"], np.nan) if edge is None else edge.astype(float) for edge in edges)
    bins = tuple(zip(starts.tolist(), ends.tolist(), strict=True))
    repetitions = _coordinate(array, "repetition", "presentation")
    responses = _by_stimulus(array.values.astype(np.float64), ids, repetitions)
    return _without_gaps(NeuralData(responses, tuple(dict.fromkeys(ids)), neuroids, regions, subjects, bins), place)


def _check_form(array: xarray.DataArray, place: str) -> Iterator[Diagnostic]:
    dims = [str(name) for name in array.dims]
    if not {"presentation", "neuroid"} <= {*dims} <= {*AXES}:
        expected = "they must be presentation, neuroid and optionally time_bin"
        yield Diagnostic("bad-recording", place, f"its dimensions are {quoted(dims)}", expected, "Rename them.")
        return
    if not np.issubdtype(array.dtype, np.number) or np.issubdtype(array.dtype, np.complexfloating):
        yield Diagnostic("bad-recording", place, f"its values are {array.dtype}", "numbers are needed")
    elif np.isinf(array.values).any():
        found = f"{np.isinf(array.values).sum()} values are infinite"
        yield Diagnostic("bad-recording", place, found, repair="Remove them, or replace them by NaN.")
    required = {"stimulus_id": "presentation"}
    if array.sizes.get("time_bin", 1) > 1:
        required |= dict.fromkeys(AXES["time_bin"], "time_bin")
    for key, axis in required.items():
        if _coordinate(array, key, axis) is None:
            there = [str(name) for name, value in array.coords.items() if value.dims == (axis,)]
            found = f"the coordinates of {axis} are {quoted(there)}" if there else f"{axis} has no coordinates"
            repair = f"Name one of them {quoted(NAMES[key], 'or')}."
            yield Diagnostic("unknown-coordinate", place, found, f"`{key}` is needed", repair)
    edges = {key: _coordinate(array, key, "time_bin") for key in AXES["time_bin"]}
    for key, values in edges.items():
        if values is not None and not (np.issubdtype(values.dtype, np.number) and np.isfinite(values).all()):
            yield Diagnostic("bad-recording", place, f"not all of `{key}` are finite numbers", "they are times in ms")
    bins = [*zip(*(values.tolist() for values in edges.values() if values is not None), strict=False)]
    if len({*bins}) < len(bins):
        yield Diagnostic("bad-recording", place, "several time bins have the same start and end", "each has its own")


def _by_stimulus(values: Array, ids: Sequence[str], repetitions: Array | None) -> Array:
    """[stimulus, repetition, neuroid, time bin] of [presentation, neuroid, time bin]."""
    order = range(len(ids)) if repetitions is None else np.argsort(repetitions, kind="stable").tolist()
    places = {name: n for n, name in enumerate(dict.fromkeys(ids))}
    counts: Counter[str] = Counter()
    responses = np.full((len(places), max(Counter(ids).values(), default=0), *values.shape[1:]), np.nan)
    for presentation in order:
        name = ids[presentation]
        responses[places[name], counts[name]] = values[presentation]
        counts[name] += 1
    return responses


def _without_gaps(data: NeuralData, place: str) -> NeuralData:
    """The data without neuroids that have no response to a stimulus, with a warning that names them.

    Raises DataError if none is left of a region, or there is no data at all.
    """
    there = np.asarray(np.isfinite(data.responses).any(1))
    complete = np.asarray(there.all((0, 2)))
    left, missing = np.flatnonzero(complete), np.flatnonzero(~complete)
    lost = {*data.regions} - {data.regions[n] for n in left}
    if lost or not len(left):
        found = f"every neuroid of {quoted(sorted(lost))} has stimuli without a response" if lost else "it is empty"
        repair = "Remove these stimuli or the region."
        raise DataError(Diagnostic("nan-neuroids", place, found, "each stimulus needs one finite response", repair))
    if len(missing):
        names = few([data.neuroids[n] for n in missing])
        found = f"{place}: {len(missing)} of {len(complete)} neuroids are left out"
        warnings.warn(f"{found}, as stimuli have no finite response: {names}", CortexGraphWarning, stacklevel=4)
    return data.of_places(left.tolist())


# ---- stimuli -----------------------------------------------------------------------


def match_stimuli(stimuli: Stimuli, ids: Sequence[str], folder: Path | None) -> Stimuli:
    """The stimuli in the order of the ids of a recording.

    An id is a file's path in the folder or its name, with or without the suffix; or, in a folder with a table of a
    Brain-Score stimulus set (a .csv with `stimulus_id` and `filename`), an id of the table. Raises DataError with the
    ids that have no image, or more than one.
    """
    places: dict[str, set[int]] = {}
    for n, file in enumerate(stimuli.files):
        path = Path(file or str(n))  # images in memory go by their number
        for key in {file, path.name, path.stem, path.with_suffix("").as_posix()}:
            places.setdefault(key, set()).add(n)
    names = _stimulus_table(folder) if folder is not None else {}
    matches = {name: places.get(names.get(name, name), places.get(name, set())) for name in ids}
    if findings := [*_check_matches(matches, stimuli)]:
        raise DataError(findings)
    order = [min(matches[name]) for name in ids]
    if unused := [file for n, file in enumerate(stimuli.files) if n not in {*order}]:
        found = f"{stimuli.name}: {len(unused)} of {len(stimuli)} images have no response in the recording"
        warnings.warn(f"{found} and are not used, such as {unused[0]}", CortexGraphWarning, stacklevel=4)
    return stimuli.at(order)


def _stimulus_table(folder: Path) -> dict[str, str]:
    """File names by stimulus id, of the tables in a folder of stimuli."""
    names: dict[str, str] = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            for row in csv.DictReader(file):
                key = row.get("stimulus_id") or row.get("image_id")
                name = row.get("filename") or row.get("image_file_name") or row.get("stimulus_path_within_store")
                if key and name:
                    names[key] = name
    return names


def _check_matches(matches: Mapping[str, set[int]], stimuli: Stimuli) -> Iterator[Diagnostic]:
    there = f"{len(stimuli)} images are there, such as {quoted([file for file in stimuli.files if file][:2])}"
    repair = "Name the images by their stimulus_id, or add the .csv of the stimulus set."
    if names := [name for name, places in matches.items() if not places]:
        found = f"{_some(names, matches)} have no image there"
        yield Diagnostic("missing-stimuli", stimuli.name, found, there, repair)
    if names := [name for name, places in matches.items() if len(places) > 1]:
        found = f"{_some(names, matches)} have several images there"
        yield Diagnostic("ambiguous-stimuli", stimuli.name, found, "one is needed", repair)


def _some(names: Sequence[str], matches: Mapping[str, set[int]]) -> str:
    return f"{len(names)} of {len(matches)} stimuli of the recording ({few(names)})"


def few(names: Sequence[str]) -> str:
    """The first of some names."""
    return quoted(names[:MOST_SHOWN]) + ", …" * (len(names) > MOST_SHOWN)
