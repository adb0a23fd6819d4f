"""Packages that only some features need, and the message when one is not installed."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from cortexgraph.errors import CortexGraphError, Diagnostic

__all__ = ["EXTRAS", "MissingPackageError", "explain", "require"]

EXTRAS: dict[str, dict[str, str]] = {
    "train": {
        "filelock": "filelock",
        "lightning": "lightning",
        "matplotlib": "matplotlib",
        "PIL": "pillow",
        "safetensors": "safetensors",
        "tensorboard": "tensorboard",
        "torchvision": "torchvision",
    },
    "record": {"h5netcdf": "h5netcdf", "h5py": "h5py", "xarray": "xarray"},
    "onnx": {"onnx": "onnx", "onnxruntime": "onnxruntime", "onnxscript": "onnxscript"},
    "ray": {"ray": "ray"},
    "slurm": {"submitit": "submitit"},
}
"""For each extra of `pyproject.toml`, its packages: the module that is imported, and the name to install it by."""

PURPOSE = {
    "train": "training, evaluation, data sets and recordings",
    "record": "NetCDF recordings",
    "onnx": "ONNX files",
    "ray": "--engine ray",
    "slurm": "--engine slurm",
}


class MissingPackageError(CortexGraphError):
    """A feature needs packages that are not installed; `names` says which."""

    code = "missing-extra"

    def __init__(self, extra: str, names: Iterable[str]) -> None:
        self.extra, self.names = extra, tuple(names)
        verb = "is" if len(self.names) == 1 else "are"
        found = f"{' and '.join(self.names)} {verb} not installed"
        repair = f"Run: pip install {' '.join(self.names)}"
        super().__init__(Diagnostic(self.code, PURPOSE[extra], found, repair=repair))

    def __reduce__(self) -> tuple[type[MissingPackageError], tuple[str, tuple[str, ...]]]:  # type: ignore[override]
        return type(self), (self.extra, self.names)


def require(extra: str) -> None:
    """Refuse to begin what needs an extra while one of its packages is not installed.

    Raises:
        MissingPackageError: that names the missing packages, and how to install them.
    """
    missing = [package for module, package in EXTRAS[extra].items() if not _is_installed(module)]
    if missing:
        raise MissingPackageError(extra, missing)


def explain(error: ModuleNotFoundError) -> MissingPackageError | None:
    """The finding for an import that failed because an extra is not installed; None for any other import."""
    module = (error.name or "").split(".")[0]
    for extra, packages in EXTRAS.items():
        if module in packages:
            missing = [package for name, package in packages.items() if not _is_installed(name)]
            return MissingPackageError(extra, missing or [packages[module]])
    return None


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ValueError:  # `sys.modules` holds None: the import is blocked
        return False
