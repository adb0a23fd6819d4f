"""The emitted file: readable, stable, standing on its own."""

from __future__ import annotations

import ast
import contextlib
import io
import os
import runpy
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cortexgraph.compiler import compile_spec, emit
from cortexgraph.errors import CompileError
from cortexgraph.spec import NetworkSpec, load, zoo
from tests.conftest import Golden
from tests.oracle import compare, images
from tests.strategies import specs

ROOT = Path(__file__).parents[2]
UP_AND_DOWN = (("V1",), ("V2", "V4"), ("IT",), "V2")

HOSTILE = {
    "name": "hostile",
    "description": 'ends """ here\n\\N{BULLET} {{ 7 * 7 }} {% raw %} \x00 import os; os.abort()',
    "input": {"size": 8},
    "areas": {name: {"channels": 2, "size": 8} for name in ("class", "train", "TH/TF", "TH-TF", "7a", "x", "視覚")},
    "connections": ["image -> class -> train -> TH/TF -> TH-TF -> 7a -> x -> 視覚 -> class"],
    "readout": {"from": "視覚", "classes": 2, "at": "all"},
    "time": {"steps": 9},
}


VARIANTS = {
    "ventral_4_simultaneous": {"steps": 4},
    "ventral_2_sequential": {"steps": 2, "order": "sequential"},
    "ventral_2_explicit_recorded": {"steps": 2, "order": UP_AND_DOWN, "record": {"V2": "all", "IT": [2]}},
}


def variant(name: str) -> str:
    """The source without its line of version and digest, which changes with every release."""
    source = emit(load("ventral"), **VARIANTS[name])  # type: ignore[arg-type]
    line = next(line for line in source.splitlines() if line.startswith("Emitted by cortexgraph"))
    return source.replace(line + "\n", "")


@pytest.mark.parametrize("name", VARIANTS)
def test_emitted_source_is_as_reviewed(name: str, golden: Golden) -> None:
    golden(f"{name}.py.txt", variant(name))


def every_source() -> dict[str, str]:
    sources = {name: emit(load(name)) for name in zoo()}
    sources |= {name: emit(load("ventral"), **options) for name, options in VARIANTS.items()}  # type: ignore[arg-type]
    sources["hostile"] = emit(NetworkSpec.model_validate(HOSTILE), record={"TH/TF": "all"})
    areas = {f"very long name of an area, number {n}": {"channels": 2, "size": 8} for n in range(3)}
    long = {
        "areas": areas,
        "connections": [" -> ".join(["image", *areas]), *[f"{a} -> {b}" for a in areas for b in areas]],
    }
    sources["long"] = emit(
        NetworkSpec.model_validate(HOSTILE | long | {"readout": {"from": list(areas)[-1], "classes": 2}})
    )
    sources["many steps"] = emit(load("ventral"), steps=30)
    for count in range(8, 14):  # widths around the formatter's
        sources[f"{count} readouts"] = emit(load("ventral", {"readout.at": [*range(4, 4 + count)]}), steps=20)
        sources[f"{count} readouts recorded"] = emit(
            load("ventral", {"readout.at": [*range(4, 4 + count)]}), steps=20, record={"V1": "all"}
        )
    sources["rolled"] = emit(load("ventral", {"readout.at": "all"}), steps=100, record={"V4": "all"})
    sources["segments"] = emit(load("convrnn_rgc"), steps=40, checkpoint=4)
    sources["segments with readouts"] = emit(
        load("convrnn_rgc", {"readout.at": "all"}), steps=40, checkpoint=4, record="all"
    )
    sources["rolled with delays"] = emit(load("leaky_ms"), steps=100)
    sources["rolled up and down"] = emit(load("ventral"), steps=50, order=UP_AND_DOWN)
    sources["zero input"] = emit(load("ventral", {"time.silence": "zero_input", "defaults.area.norm": "batch"}))
    early = load(
        "ventral_feedforward", {"time.order": "sequential", "readout.at": "all", "defaults.area.norm": "batch"}
    )
    sources["conditional"] = emit(early)
    windows = [n for n in range(1, 60) if n % 7 not in (0, 3, 5)]
    norm = {"kind": "group", "per_step": True}
    far = {"from": "image", "to": "7th area with a long name", "delay": 1}
    sources["windows"] = emit(
        NetworkSpec.model_validate(
            HOSTILE
            | {
                "description": "\\ " * 200 + "視覚" * 100 + '"' * 30,
                "input": {"size": 8, "present": windows},
                "areas": {"7th area with a long name": {"channels": 2, "size": 8, "norm": norm}},
                "connections": ["image -> 7th area with a long name", far, far],
                "readout": {"from": "7th area with a long name", "classes": 2, "at": windows[::2]},
                "time": {"steps": 60},
            }
        )
    )
    return sources


def assert_ruff_is_silent(folder: Path) -> None:
    for command in (["format", "--check", "--diff"], ["check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--config", str(ROOT / "pyproject.toml"), "--no-cache"]
        result = subprocess.run([*ruff, str(folder)], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr


def test_the_projects_own_formatter_and_linter_have_nothing_to_say(tmp_path: Path) -> None:
    for name, source in every_source().items():
        (tmp_path / f"{name}.py").write_text(source)
    assert_ruff_is_silent(tmp_path)


def test_nor_about_random_networks(tmp_path: Path) -> None:
    count = 0

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(spec=specs(), more=st.sampled_from([0, 0, 12]), roll=st.sampled_from(["never", "always"]))
    def write(spec: NetworkSpec, more: int, roll: Any) -> None:
        nonlocal count
        try:
            (tmp_path / f"{count}.py").write_text(emit(spec, steps=spec.time.steps + more, roll=roll))
        except CompileError:
            assume(False)  # silent after so many steps
        count += 1

    write()
    assert count >= 40
    assert_ruff_is_silent(tmp_path)


def with_long_names(spec: NetworkSpec, length: int) -> NetworkSpec:
    """The spec with areas whose names have so many characters."""
    long = {
        name: (name + " of the primate visual cortex, as it is drawn in figures").ljust(64, "x") for name in spec.areas
    }
    long = {name: text[: length - 2] + f" {n}" for n, (name, text) in enumerate(long.items())}
    data = spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    data["areas"] = {long[name]: area for name, area in data["areas"].items()}
    for part in (*data["connections"], *data["readout"]):
        part |= {end: long.get(part[end], part[end]) for end in ("from", "to") if end in part}
    return NetworkSpec.model_validate(data)


def test_nor_about_long_names(tmp_path: Path) -> None:
    for name in ("ventral", "convrnn_rgc"):
        for length in (24, 40):
            (tmp_path / f"{name}_{length}.py").write_text(emit(with_long_names(load(name), length)))
    assert_ruff_is_silent(tmp_path)


def test_emission_is_byte_identical_in_another_process() -> None:
    code = "import sys; from cortexgraph.compiler import emit; from cortexgraph.spec import load\n"
    code += "sys.stdout.write(emit(load('ventral'), record={'V4': 'all', 'IT': 'last'}))\n"
    code += "sys.stdout.write(emit(load('ventral', {'readout.at': [4, 20]}), steps=20))  # what a loop leaves"
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"  # another than that of this process
    command, environment = [sys.executable, "-c", code], os.environ | {"PYTHONHASHSEED": seed, "PYTHONUTF8": "1"}
    other = subprocess.run(command, capture_output=True, check=True, cwd=ROOT, env=environment).stdout.decode()
    with contextlib.redirect_stdout(io.StringIO()) as here:
        exec(code, {})
    assert other == here.getvalue()
    assert other.startswith('"""ventral: ')


def test_the_emitted_file_needs_only_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs where cortexgraph, pydantic, networkx, jinja2 and Lightning cannot be imported."""
    (tmp_path / "emitted.py").write_text(emit(load("ventral"), steps=4))
    for name in ("cortexgraph", "pydantic", "networkx", "jinja2", "lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError):
        exec("import cortexgraph.ops", {})
    emitted = runpy.run_path(str(tmp_path / "emitted.py"))
    assert emitted["Ventral"]()(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_nothing_written_in_a_spec_is_executed() -> None:
    source = emit(NetworkSpec.model_validate(HOSTILE))
    tree = ast.parse(source)
    assert "{{ 7 * 7 }}" in (ast.get_docstring(tree) or "")
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Import) and node.names[0].name != "torch"]
    module = compile_spec(NetworkSpec.model_validate(HOSTILE))
    assert module(torch.randn(1, 3, 8, 8)).shape == (1, 3, 2)
    assert module.train_2 is not None
    assert callable(module.train)


@pytest.mark.parametrize("per_step", [True, False])
@pytest.mark.parametrize("name", ["area", "per step", "ordered dict", "Tensor", "true", "value error", "7a", "視覚"])
def test_the_name_of_a_spec_hides_nothing_that_the_file_uses(name: str, per_step: bool) -> None:
    norm = {"norm": {"kind": "batch", "per_step": per_step}}
    module = compile_spec(NetworkSpec.model_validate(HOSTILE | {"name": name, "defaults": {"area": norm}}))
    assert module(torch.randn(2, 3, 8, 8)).shape == (2, 3, 2)
    with pytest.raises(ValueError, match="expected"):
        module(torch.randn(2, 3, 8, 7))


def test_a_traceback_shows_the_emitted_line() -> None:
    module = compile_spec(load("ventral"), steps=4)
    module.V1_to_V2 = None  # break it as a user's surgery might
    with pytest.raises(TypeError, match="'NoneType' object is not callable") as caught:
        module(torch.randn(1, 3, 32, 32))
    shown = "".join(traceback.format_exception(caught.value))
    assert "V2_2 = self.V2(self.V1_to_V2(V1_1), update=1)" in shown
    assert "<cortexgraph ventral " in shown


@pytest.mark.parametrize("video", [False, True])
def test_torch_compile_takes_the_whole_graph(video: bool) -> None:
    spec = load("ventral", {f"areas.{area}.channels": 4 for area in ("V1", "V2", "V4", "IT")})
    module = compile_spec(spec, steps=4, record={"V4": "all"}, video=video).double().eval()
    x = images(spec, video_steps=4 if video else None)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    (logits, states), (expected, expected_states) = compiled(x), module(x)
    torch.testing.assert_close(logits, expected)
    assert states.keys() == expected_states.keys()


@pytest.mark.slow
def test_torch_compile_with_inductor() -> None:
    spec = load("ventral", {f"areas.{area}.channels": 4 for area in ("V1", "V2", "V4", "IT")})
    module = compile_spec(spec, steps=4).eval()
    x = images(spec).float()
    torch.testing.assert_close(torch.compile(module, fullgraph=True)(x), module(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["t", "range", "expanded", "zeros", "check_shape", "list", "recomputed"])
def test_a_connection_may_have_the_name_of_what_forward_uses(name: str) -> None:
    spec = NetworkSpec.model_validate(
        {
            "name": "names",
            "input": {"channels": 2, "size": 4},
            "areas": {"A": {"channels": 2, "cell": "conv_gru"}},
            "connections": [
                {"from": "image", "to": "A", "name": name},
                {"from": "A", "to": "A", "silence": "zero_input"},
            ],
            "readout": {"from": "A", "classes": 2},
            "time": {"steps": 8},
        }
    )
    assert compare(spec, roll="always").worst < 1e-8
    compile_spec(spec, checkpoint=2)(torch.randn(2, 2, 4, 4)).sum().backward()
