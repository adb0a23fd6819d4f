"""A disk that fills up while a file is written: a finding, no crash of the process, and nothing left behind.

Each attempt runs in a process of its own whose files may not grow beyond a limit, which HDF5 and torch take like a
full disk.
"""

from __future__ import annotations

import ast
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import cortexgraph as cg
from cortexgraph.errors import DataError
from cortexgraph.exporting import export_network
from cortexgraph.files import replacing
from cortexgraph.recording.sinks import Variable, opened_sink
from cortexgraph.released.keymap import Images
from cortexgraph.released.weights import Weights, write_weights

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")

ROOT = Path(__file__).parents[2]
VARIABLES = (
    Variable("state", "IT", {"image": 500, "step": 3, "c": 100}, {"file": ("image", np.array(["ab"] * 500))}),
    Variable("logits", "", {"image": 500, "readout_step": 3, "class": 10}),
)


def in_process(limit: int, write: Callable[[], object]) -> str:
    """What happens to a process that writes with files of at most `limit` bytes."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            sys.dont_write_bytecode = True  # Python would keep the halves of files
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            write()
            code = 0
        except DataError as error:
            code = 2 if "it cannot be written: file too large" in str(error) else 3
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return ("written", "traceback", "finding", "another finding")[os.WEXITSTATUS(status)]


LIMITS = (100, 3000, 20_000, 100_000, 300_000, 580_000, 600_000, 620_000, 650_000, 700_000)


def record(out: Path) -> None:
    with replacing(out) as temporary, opened_sink(temporary, VARIABLES, {"network": "net"}) as sink:
        for start in range(0, 500, 50):
            sink.append(0, start, np.ones((50, 3, 100), np.float32))
            sink.append(1, start, np.ones((50, 3, 10), np.float32))
        sink.close()


def outcomes(out: Path) -> list[tuple[str, list[str]]]:
    """What happens at each limit, and which files are left."""
    record(out)  # imports what the processes below would import one after the other
    out.unlink()
    return [
        (in_process(limit, lambda: record(out)), [path.name for path in sorted(out.parent.iterdir())])
        for limit in LIMITS
    ]


def test_a_recording(tmp_path: Path) -> None:
    """From a process that has one thread: the threads of HDF5 and torch in that of the tests do not survive a fork."""
    files = [tmp_path / suffix / f"acts.{suffix}" for suffix in ("nc", "npz")]
    for out in files:
        out.parent.mkdir()
    code = (
        "import sys, pathlib, tests.recording.test_full_disk as t\n"
        "print([t.outcomes(pathlib.Path(out)) for out in sys.argv[1:]])"
    )
    process = subprocess.run(
        [sys.executable, "-c", code, *map(str, files)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for out, results in zip(files, ast.literal_eval(process.stdout), strict=True):
        for limit, (outcome, left) in zip(LIMITS, results, strict=True):
            assert outcome in {"finding", "written"}, (out, limit)
            assert outcome == "finding" or limit > 600_000, (out, limit)
            assert left == ([out.name] if outcome == "written" else []), (out, limit)


def kept(make: Callable[..., object]) -> Callable[..., object]:
    """The function, which gives its first result again whatever its arguments are."""
    results: list[object] = []

    def first(*arguments: object, **options: object) -> object:
        if not results:
            results.append(make(*arguments, **options))
        return results[0]

    return first


@pytest.mark.parametrize("suffix", ["pt2", "py", "onnx"])
def test_an_export(tmp_path: Path, suffix: str, network: cg.CompiledNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / f"net.{suffix}"
    for module in (torch.export, torch.onnx):  # which take seconds: the processes below write what was made first
        monkeypatch.setattr(module, "export", kept(module.export))
    export_network(network, out)  # also imports what the processes below would import one after the other
    size = sum(path.stat().st_size for path in tmp_path.iterdir())
    for path in tmp_path.iterdir():
        path.unlink()
    for limit in (0, 1000, size // 2):
        assert in_process(limit, lambda: export_network(network, out)) == "finding", limit
        assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def network() -> cg.CompiledNetwork:
    return cg.compile(cg.load("ventral", {"time.steps": 4, "input.size": 16, "areas.IT.channels": 8}))


@pytest.mark.parametrize("limit", [0, 1000, 20_000])
def test_imported_weights(tmp_path: Path, limit: int, network: cg.CompiledNetwork) -> None:
    images = Images(mean=(0.0,), std=(1.0,))
    weights = Weights(tmp_path / "w.pth", network.spec, dict(network.state_dict()), images, "noise", ("a",))
    assert in_process(limit, lambda: write_weights(weights, tmp_path / "w.safetensors")) == "finding"
    assert list(tmp_path.iterdir()) == []
