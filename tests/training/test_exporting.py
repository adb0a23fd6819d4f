"""Exported files compute what the network does, in programs that know nothing of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor

import cortexgraph as cg
from cortexgraph import cli, exporting
from cortexgraph.compiler import compile_spec
from cortexgraph.errors import CortexGraphError
from cortexgraph.exporting import export, export_network
from cortexgraph.extras import MissingPackageError
from cortexgraph.spec import load, zoo
from cortexgraph.training import load_run

BATCHES = (1, 3, 7)


def through_onnx(path: Path, x: Tensor) -> Tensor:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    kept = session.get_modelmeta().custom_metadata_map
    assert json.loads(kept["classes"]) == ["horizontal", "vertical", "diagonal"]
    assert json.loads(kept["mean"]) == [0.5]
    return torch.from_numpy(session.run(["logits"], {"images": x.numpy()})[0])


def through_pt2(path: Path, x: Tensor) -> Tensor:
    files = {"cortexgraph.json": ""}
    program = torch.export.load(path, extra_files=files)
    assert json.loads(files["cortexgraph.json"])["std"] == [0.3]
    logits: Tensor = program.module()(x)
    return logits


def through_source(path: Path, x: Tensor) -> Tensor:
    """The two files alone; that such a file needs only torch is tested with the emission."""
    names: dict[str, Any] = {"__name__": "net"}
    exec(compile(path.read_text(), path, "exec"), names)
    network = names["Tiny"]().eval()
    network.load_state_dict(torch.load(path.with_suffix(".pt"), weights_only=True))
    logits: Tensor = network(x).detach()
    return logits


@pytest.mark.parametrize(
    ("name", "through"), [("net.onnx", through_onnx), ("net.pt2", through_pt2), ("net.py", through_source)]
)
def test_an_exported_run_computes_the_run_s_logits(name: str, through, finished: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / name
    result = export(finished, path)
    assert result.difference <= exporting.TOLERANCE
    assert sorted(result.files) == sorted(tmp_path.iterdir())
    _, network = load_run(finished)
    for batch in BATCHES:
        x = torch.randn(batch, 1, 8, 8)
        torch.testing.assert_close(through(path, x), network(x).detach(), rtol=1e-4, atol=1e-4)


def test_a_run_can_be_exported_over_other_steps(finished: Path, tmp_path: Path) -> None:
    export(finished, tmp_path / "net.py", steps=3, order="sequential")
    source = (tmp_path / "net.py").read_text()
    assert "3 steps, sequential order" in source


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["RUN", "--to", "onnx", "--out", "no/such/folder/net.onnx"], "cannot be written"),
        (
            ["RUN", "--to", "coreml", "--out", "net.mlmodel"],
            "`coreml` was given, but the choices are `onnx`, `pt2`, `source` and `brainscore`",
        ),
        (["RUN", "--out", "net.mlmodel"], "the suffixes are .onnx, .pt2, .py"),
        (["RUN", "--to", "source", "--out", "net.pt"], "Write net.py."),
        (
            ["RUN", "--to", "pt2", "--out", "net.onnx"],
            "the suffix .onnx is that of onnx, but the format pt2 was asked for",
        ),
        (["RUN", "--steps", "1", "--out", "net.py"], "IT first responds at step 2"),
        ([".", "--out", "net.py"], "is not a cortexgraph run"),
        (["nowhere", "--out", "net.py"], "nowhere: this folder does not exist"),
    ],
)
def test_bad_input_is_one_clear_message_and_leaves_nothing(
    words: list[str],
    message: str,
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["cortexgraph", "export", *[str(finished) if word == "RUN" else word for word in words]]
    )
    with pytest.raises(SystemExit, match="1"):
        cli.main()
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_a_missing_library_is_named_before_any_work(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingPackageError, match=r"onnxscript is not installed.\n  Run: pip install onnxscript "):
        export(finished, tmp_path / "net.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_computes_something_else_is_not_written(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state dict that is saved is changed on its way, as a wrong exporter would."""
    save = torch.save
    monkeypatch.setattr(torch, "save", lambda state, path: save({k: 1.01 * v for k, v in state.items()}, path))
    with pytest.raises(
        exporting.CortexGraphError, match=r"differs from the network by .* but at most 1e-04 is rounding"
    ):
        export(finished, tmp_path / "net.py")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_computes_no_number_is_not_written(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = torch.save
    monkeypatch.setattr(torch, "save", lambda state, path: save({k: torch.nan * v for k, v in state.items()}, path))
    with pytest.raises(exporting.CortexGraphError, match="differs from the network by nan"):
        export(finished, tmp_path / "net.py")
    assert list(tmp_path.iterdir()) == []


def test_what_torch_refuses_is_told_with_its_reason(tmp_path: Path) -> None:
    network = compile_spec(load("ventral"), steps=4)
    network.V1_to_V2.register_forward_hook(lambda module, args, y: y if y.sum() > 0 else -y)  # on the values
    with pytest.raises(exporting.CortexGraphError, match=r"to pt2: torch refused: .*\n  .*cannot-export|source"):
        export_network(network, tmp_path / "net.pt2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow  # each takes about 10 s to export
@pytest.mark.parametrize("to", ["onnx", "pt2", "source"])
@pytest.mark.parametrize("name", sorted(zoo()))
def test_every_shipped_spec_can_be_exported(name: str, to: exporting.Format, tmp_path: Path) -> None:
    network = compile_spec(load(name)).train()
    result = export_network(network, tmp_path / "net", to)
    assert result.difference <= exporting.TOLERANCE
    assert network.training


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_export_that_is_not_a_number_is_refused(
    value: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the network, and in the exported file alone, in one batch alone, or in one number alone."""
    network = compile_spec(load("ventral", {"time.steps": 5, "input.size": 16}))
    write = exporting._write_source

    def wrong(*arguments: Any) -> exporting.Run:
        def run(x: Tensor) -> list[Tensor]:
            logits = written(x)
            logits[0][-1, -1] = value if len(x) == 1 else logits[0][-1, -1]
            return logits

        written = write(*arguments)
        return run

    monkeypatch.setattr(exporting, "_write_source", wrong)
    with pytest.raises(CortexGraphError, match=r"differs from the network by (nan|inf), but at most 1e-04"):
        export_network(network, tmp_path / "net.py")
    monkeypatch.undo()
    with torch.no_grad():
        list(network.parameters())[-1][0] = value
    with pytest.raises(CortexGraphError, match=r"logits are infinite or not a number\.\n  Check its weights"):
        export_network(network, tmp_path / "net.py")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("to", ["source", "pt2"])
def test_networks_of_videos_and_of_64_bits_are_exported(to: exporting.Format, tmp_path: Path) -> None:
    small = {f"areas.{area}.channels": 4 for area in ("V1", "V2", "V4", "IT")}
    spec = cg.load("ventral", small)
    for name, network in {"video": cg.compile(spec, video=True), "double": cg.compile(spec).double()}.items():
        exported = exporting.export_network(network, tmp_path / name, to)
        assert exported.difference < 1e-5


@pytest.mark.parametrize("sizes", [(28, 32), (32, 28), (7, 13)])
def test_sizes_that_divide_into_no_whole_ratio_resize_in_onnx_as_in_torch(
    sizes: tuple[int, int], tmp_path: Path
) -> None:
    text = f"""
name: resized
input: {{channels: 1, size: {sizes[0]}}}
areas: {{A: {{channels: 4, size: {sizes[1]}}}, B: {{channels: 3, size: {sizes[0]}}}}}
connections: [{{from: image, to: A, resize: nearest}}, {{from: A, to: B, resize: nearest}}]
readout: {{from: B, classes: 3}}
time: {{steps: 2, order: sequential}}
"""
    assert export_network(compile_spec(cg.loads(text)), tmp_path / "net.onnx").difference < 1e-6


def test_recorded_states_are_not_exported(tmp_path: Path) -> None:
    with pytest.raises(cg.CortexGraphError, match=r"also returns recorded states(.|\n)*without `record`"):
        exporting.export_network(cg.compile("ventral", record="V4"), tmp_path / "net.py")


def test_a_foreign_file_of_weights_is_kept(tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_text("mine")
    with pytest.raises(cg.DataError, match=r"net\.pt: a file of this name exists"):
        exporting.export_network(cg.compile("ventral"), tmp_path / "net.py")
    assert (tmp_path / "net.pt").read_text() == "mine"
