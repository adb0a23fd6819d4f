"""Released checkpoints under the names of a spec: the same outputs as the released model's module."""

from __future__ import annotations

import pickle
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest
import torch
import torchvision.models
from safetensors.torch import save_file
from torch import Tensor, nn

from cortexgraph.compiler import compile_spec
from cortexgraph.errors import CortexGraphError, DataError
from cortexgraph.network import CompiledNetwork
from cortexgraph.released import KeyMap, Weights, read_weights, write_weights
from cortexgraph.spec import NetworkSpec, save
from tests.released import modules
from tests.released.modules import randomised

slow = pytest.mark.slow
MODELS = [
    pytest.param("cornet_z_imagenet", modules.CORnetZ, id="cornet_z"),
    pytest.param("cornet_r_imagenet", lambda: modules.CORnetR(False), id="cornet_r", marks=slow),
    pytest.param("cornet_rt_imagenet", lambda: modules.CORnetR(True), id="cornet_rt"),
    pytest.param("cornet_s_imagenet", modules.CORnetS, id="cornet_s", marks=slow),  # 53 M parameters
    pytest.param("resnet18_imagenet", torchvision.models.resnet18, id="resnet18"),
    pytest.param("resnet50_imagenet", torchvision.models.resnet50, id="resnet50", marks=slow),
    pytest.param("alexnet_imagenet", torchvision.models.alexnet, id="alexnet", marks=slow),
    pytest.param("blt_imagenet", modules.BLT, id="blt", marks=slow),
    pytest.param("blt_vs_imagenet", modules.BLTVS, id="blt_vs", marks=slow),
]


def outputs(weights: Weights, x: Tensor) -> Tensor:
    network = compile_spec(weights.spec)
    network.load_state_dict(weights.state)
    with torch.no_grad():
        logits = network.eval()(x)
    assert isinstance(logits, Tensor)
    return logits


@pytest.mark.parametrize(("spec", "make"), MODELS)
def test_a_released_checkpoint_gives_the_outputs_of_its_module(
    spec: str, make: Callable[[], nn.Module], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    theirs = randomised(make())
    state = {f"module.{key}": value for key, value in theirs.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "released.pth")
    weights = read_weights(tmp_path / "released.pth", spec)
    x = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        expected = theirs(x)
    scale = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(outputs(weights, x), expected, rtol=0, atol=1e-5 * scale)
    assert weights.images.mean in {(0.485, 0.456, 0.406), (0.5, 0.5, 0.5)}
    assert (weights.classes[0], len(weights.classes)) == ("tench", 1000)
    write_weights(weights, tmp_path / "ours.safetensors")
    again = read_weights(tmp_path / "ours.safetensors")
    assert (again.spec, again.images, again.classes) == (weights.spec, weights.images, weights.classes)
    assert all(torch.equal(again.state[name], value) for name, value in weights.state.items())


@slow
def test_the_keras_file_of_bl_gives_the_outputs_of_its_module(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = randomised(modules.BL())
    keras(theirs.state_dict(), tmp_path / "bl_ecoset.h5")
    weights = read_weights(tmp_path / "bl_ecoset.h5", "bl_ecoset")
    x = torch.rand(1, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        expected = theirs(x)
    torch.testing.assert_close(outputs(weights, x), expected, rtol=0, atol=1e-5 * max(1.0, float(expected.abs().max())))


# ---- files -------------------------------------------------------------------


SMALL = {
    "name": "small",
    "input": {"channels": 3, "size": 8},
    "defaults": {"area": {"norm": "batch"}},
    "areas": {"V1": {"channels": 4, "size": 8}, "IT/a": {"channels": 6, "size": 4}},
    "connections": ["image -> V1 -> IT/a", "V1 -> V1"],
    "readout": {"from": "IT/a", "classes": 3},
    "time": {"steps": 3},
}
KEYS = """\
data: stripes
images: {resize: 10, mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25]}
classes: [cat, dog, fox]
words:
  area: {a: V1, b: IT_a}
  from: {a: image, b: V1}
keys:
  stage_{s}.conv: "{from s}_to_{area s}.conv"
  stage_{s}.bn: "{area s}.norm"
  lateral: V1_to_V1.conv
  fc: readout.linear
  pretext_head: null
"""
MODULES = {"stage_a.conv": "image_to_V1.conv", "stage_b.conv": "V1_to_IT_a.conv", "stage_a.bn": "V1.norm"}
MODULES |= {"stage_b.bn": "IT_a.norm", "lateral": "V1_to_V1.conv", "fc": "readout.linear"}


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    save(NetworkSpec.model_validate(SMALL), tmp_path / "small.yaml")
    (tmp_path / "small.keys.yaml").write_text(KEYS)
    return tmp_path / "small.yaml"


@pytest.fixture
def network() -> CompiledNetwork:
    torch.manual_seed(1)
    network = compile_spec(NetworkSpec.model_validate(SMALL))
    randomised(network)
    return network


def released(network: CompiledNetwork) -> dict[str, Tensor]:
    """The state of the network under the names of a checkpoint."""
    names = {mine: name for name, mine in MODULES.items()}
    split = {key: key.rpartition(".") for key in network.state_dict()}
    state = {f"{names[owner]}.{leaf}": network.state_dict()[key] for key, (owner, _, leaf) in split.items()}
    return state | {"pretext_head.weight": torch.zeros(2, 2)}


def keras(state: dict[str, Tensor], path: Path) -> None:
    """As `model.save_weights` of Keras writes it."""
    names = {"running_mean": "moving_mean", "running_var": "moving_variance"}
    with h5py.File(path, "w") as file:
        for key, value in state.items():
            layer, _, leaf = key.rpartition(".")
            if leaf == "num_batches_tracked":
                continue
            if "bn" in layer or "BatchNorm" in layer:
                leaf = {"weight": "gamma", "bias": "beta"}.get(leaf, names.get(leaf, leaf))
            elif value.ndim > 1:
                leaf = "kernel"
            tensor = value.permute(2, 3, 1, 0) if value.ndim == 4 else value.mT if value.ndim == 2 else value
            file[f"{layer}/{layer}/{leaf}:0"] = tensor.numpy()


Writer = Callable[[dict[str, Tensor], Path], None]
WRITERS: dict[str, Writer] = {
    "state.pth": torch.save,
    "old.pth": lambda state, path: torch.save(state, path, _use_new_zipfile_serialization=False),
    "wrapped.pth": lambda state, path: torch.save(
        {"epoch": 4, "args": Namespace(lr=0.1), "model": {f"module.{key}": v for key, v in state.items()}}, path
    ),
    "lightning.ckpt": lambda state, path: torch.save(
        {"state_dict": {f"model._orig_mod.{key}": v for key, v in state.items()}}, path
    ),
    "plain.safetensors": lambda state, path: save_file({k: v.contiguous() for k, v in state.items()}, path),
    "half.pt": lambda state, path: torch.save({key: value.double() for key, value in state.items()}, path),
    "keras.h5": keras,
}


@pytest.mark.parametrize("name", WRITERS)
def test_files_of_every_form_are_read(name: str, spec: Path, network: CompiledNetwork, tmp_path: Path) -> None:
    WRITERS[name](released(network), tmp_path / name)
    weights = read_weights(tmp_path / name, spec)
    expected = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    assert all(torch.equal(weights.state[key], value) for key, value in expected.items())
    assert weights.state.keys() == network.state_dict().keys()
    assert weights.unused == ("pretext_head.weight",)
    assert (weights.data, weights.classes, weights.images.resize) == ("stripes", ("cat", "dog", "fox"), 10)


def test_a_file_under_the_names_of_the_network_needs_no_map(network: CompiledNetwork, tmp_path: Path) -> None:
    torch.save(network.state_dict(), tmp_path / "own.pt")
    weights = read_weights(tmp_path / "own.pt", network.spec)
    assert all(torch.equal(weights.state[key], value) for key, value in network.state_dict().items())
    assert weights.classes == ("0", "1", "2")


def test_chunks_put_the_gates_of_a_cell_into_another_order(tmp_path: Path) -> None:
    spec = NetworkSpec.model_validate(SMALL | {"defaults": {"area": {"cell": "intersection"}}})
    network = compile_spec(spec)
    parts = network.state_dict()["V1.cell.gates.weight"].chunk(4)
    state = network.state_dict() | {"V1.cell.gates.weight": torch.cat([parts[n] for n in (2, 3, 0, 1)])}
    torch.save({f"x.{key}": value for key, value in state.items()}, tmp_path / "cell.pt")
    keys = {"x.V1.cell.gates.weight": {"to": "V1.cell.gates.weight", "chunks": [2, 3, 0, 1]}, "x.{a}.{b}": "{a}.{b}"}
    keys |= {"x.{a}.{b}.{c}": "{a}.{b}.{c}"}
    weights = read_weights(tmp_path / "cell.pt", spec, KeyMap.model_validate({"keys": keys}))
    assert all(torch.equal(weights.state[key], value) for key, value in network.state_dict().items())


# ---- what does not fit -------------------------------------------------------


class Harmful:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("touched"),)


def test_no_code_of_a_checkpoint_is_run(spec: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {}, "extra": Harmful()}, tmp_path / "harmful.pth")
    with pytest.raises(DataError, match=r"it holds an object of Python, `getattr`, .*but only tensors are read"):
        read_weights(tmp_path / "harmful.pth", spec)
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Harmful(), protocol=4))
    with pytest.raises(DataError, match=r"model.bin: the file is not whole, or torch did not write it\.\n  Download"):
        read_weights(tmp_path / "pytorch_model.bin", spec)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("name", WRITERS)
def test_a_truncated_file(name: str, spec: Path, network: CompiledNetwork, tmp_path: Path) -> None:
    WRITERS[name](released(network), tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    for size in (len(whole) - 1, len(whole) // 2, 20):
        (tmp_path / name).write_bytes(whole[:size])
        with pytest.raises(DataError, match=f"{name}: (the file is not whole|this is not a file of weights)"):
            read_weights(tmp_path / name, spec)


def test_what_is_no_checkpoint(spec: Path, tmp_path: Path) -> None:
    (tmp_path / "text.pth").write_text("hello, this is text")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    for name, found in [
        ("text.pth", "this is not a file of weights"),
        ("empty.pth", "there are no tensors in this file"),
    ]:
        with pytest.raises(DataError, match=found):
            read_weights(tmp_path / name, spec)
    with pytest.raises(DataError, match=r"gone\.pth: this file does not exist"):
        read_weights(tmp_path / "gone.pth", spec)


def test_everything_that_does_not_fit_is_said_at_once(spec: Path, network: CompiledNetwork, tmp_path: Path) -> None:
    state = released(network)
    state["stage_b.conv.weight"] = torch.zeros(6, 5, 3, 3)
    state["stage_c.conv.weight"] = torch.zeros(1)
    del state["stage_a.bn.weight"], state["stage_a.bn.bias"]
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(DataError) as error:
        read_weights(tmp_path / "x.pth", spec)
    assert [(one.code, one.place) for one in error.value.diagnostics] == [
        ("tensor-shape", "V1 -> IT/a"),
        ("unknown-key", "stage_c.conv.weight [1]"),
        ("missing-tensor", "V1"),
    ]
    shapes, unknown, missing = map(str, error.value.diagnostics)
    assert "`stage_b.conv.weight` has shape [6, 5, 3, 3], but `V1_to_IT_a.conv.weight` has shape [6, 4, 3, 3]" in shapes
    assert "no entry of the key map is for this tensor" in unknown
    assert "no tensor of the file gives `V1.norm`: weight [4], bias [4]" in missing


def test_another_model_is_one_finding(spec: Path, tmp_path: Path) -> None:
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), tmp_path / "other.pth")
    with pytest.raises(DataError, match=r"0 of the 102 tensors in this file fit the 13 of the network") as error:
        read_weights(tmp_path / "other.pth", spec)
    assert len(error.value.diagnostics) == 1


MAPS = {
    "keys: {fc: readout.linear, 'stage_{s}.conv': V9_to_V4.conv}\n": r"`V9_to_V4\.conv\.weight`, but the network",
    "keys: {fc: '*_to_V1.conv'}\n": r"`\*_to_V1\.conv\.weight` can be image_to_V1\.conv\.weight, V1_to_V1\.conv",
    "keys: {fc: '{x}.linear'}\n": r"`\{x\}` does not occur in `fc`",
    "keys: {'{a}': '{table a}.linear'}\n": "no table under `words` is called `table`",
    "keys: {'{a': V1}\n": "the braces of",
    "keys: {fc: {to: readout.linear, chunk: [0]}}\n": "chunk",
    "key: {}\n": "the key is not known|unknown key|`key`",
    "- 3\n": "this is not a mapping, but a key map with `keys` is needed",
    "keys: {a: b, a: c}\n": "appears here and on line 1",
    "keys: [": "cannot be read here",
}


@pytest.mark.parametrize("text", MAPS)
def test_a_wrong_map(text: str, spec: Path, network: CompiledNetwork, tmp_path: Path) -> None:
    (tmp_path / "wrong.keys.yaml").write_text(text)
    torch.save(released(network), tmp_path / "x.pth")
    with pytest.raises(CortexGraphError, match=MAPS[text]):
        read_weights(tmp_path / "x.pth", spec, tmp_path / "wrong.keys.yaml")
