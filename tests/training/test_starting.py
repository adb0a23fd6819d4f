"""Training that starts from weights, and parts that stay frozen."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cortexgraph.compiler import compile_spec
from cortexgraph.data import ImageData
from cortexgraph.errors import CompileError, CortexGraphError, DataError
from cortexgraph.spec import NetworkSpec, load
from cortexgraph.training import Interrupted, RunFolder, TrainSettings, load_run, train
from cortexgraph.training.starting import freeze, load_weights
from tests.released.modules import CORnetZ, randomised

from .conftest import striped_data, tiny_spec
from .test_resume import assert_equal_runs, interrupt_after

pytestmark = pytest.mark.usefixtures("no_pictures")

Make = Callable[..., TrainSettings]
CLASSES = ("horizontal", "vertical", "diagonal")


def other_classes() -> ImageData:
    """The first two classes under other names."""
    data = striped_data()
    parts = {name: getattr(data, name) for name in ("train", "test")}
    kept = {name: part[(part.labels < 2).nonzero()[:, 0].tolist()] for name, part in parts.items()}
    return striped_data(classes=("lying", "standing"), **kept)


def two_classes() -> NetworkSpec:
    return tiny_spec(readout={"from": "IT", "classes": 2, "at": "all"})


# ---- weights -----------------------------------------------------------------------


def test_fine_tuning_with_other_classes(
    finished: Path, settings: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a learning rate of nearly nothing, all but the readout is what it was, and the readout is a new one."""
    chosen = settings(epochs=1, lr=1e-12, weight_decay=0)
    summary = train(two_classes(), other_classes(), chosen, tmp_path / "run", init_from=finished)
    assert "; the readout is new: it has 2 classes, the weights have 3\n" in capsys.readouterr().out
    before, initial = load_file(finished / "weights.safetensors"), load_file(tmp_path / "run" / "initial.safetensors")
    torch.manual_seed(chosen.seed)
    new = compile_spec(two_classes()).state_dict()
    for name, value in initial.items():
        assert torch.equal(value, new[name] if name.startswith("readout.") else before[name])
    after = load_file(tmp_path / "run" / "weights.safetensors")
    learned = [name for name in after if not re.search("running_|tracked", name)]
    torch.testing.assert_close([after[name] for name in learned], [initial[name] for name in learned])
    assert summary.init_from == str(finished)
    assert "- initial weights: " in (tmp_path / "run" / "summary.md").read_text()


def test_classes_of_the_same_number_and_other_names(finished: Path) -> None:
    network = compile_spec(tiny_spec())
    start = load_weights(network, load_run(finished), ("cat", "dog", "fish"))
    assert str(start).endswith("; the readout is new: the classes have other names")
    assert not torch.equal(
        network.state_dict()["readout.linear.weight"], load_run(finished).weights["readout.linear.weight"]
    )
    assert load_weights(network, load_run(finished), CLASSES).new_readouts == ()


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".ckpt"])
def test_weights_of_a_file(finished: Path, tmp_path: Path, suffix: str) -> None:
    file, state = tmp_path / f"weights{suffix}", load_file(finished / "weights.safetensors")
    if suffix == ".safetensors":
        save_file(state, file)
    else:
        torch.save(state if suffix == ".pt" else torch.load(finished / "checkpoints/last.ckpt"), file)
    network = compile_spec(tiny_spec())
    assert str(load_weights(network, file, CLASSES)) == f"starts from the weights of {file}"
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_a_released_checkpoint_with_a_readout_for_other_classes(tmp_path: Path) -> None:
    """The key map beside the spec says which tensor is which parameter."""
    torch.manual_seed(0)
    theirs = randomised(CORnetZ())
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "cornet_z.pth")
    network = compile_spec(load("cornet_z_imagenet", ["readout.classes=5"]))
    start = load_weights(network, tmp_path / "cornet_z.pth", list("abcde"))
    assert start.new_readouts == ("the readout is new: it has 5 classes, the weights have 1000",)
    shapes = sorted(tuple(value.shape) for name, value in theirs.state_dict().items() if "decoder" not in name)
    own = {name: value for name, value in network.state_dict().items() if not name.startswith("readout.")}
    assert sorted(tuple(value.shape) for value in own.values()) == shapes
    sums = sorted(float(value.sum()) for name, value in theirs.state_dict().items() if "decoder" not in name)
    assert sorted(float(value.sum()) for value in own.values()) == sums


def test_more_steps_than_the_weights_had(finished: Path) -> None:
    network = compile_spec(tiny_spec(time={"steps": 8}))
    load_weights(network, finished, CLASSES)
    sets, trained = network.state_dict(), load_run(finished).weights
    assert torch.equal(sets["IT.norm.2.weight"], trained["IT.norm.2.weight"])


def test_nothing_is_compiled_to_read_a_file(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = compile_spec(tiny_spec())
    monkeypatch.setattr("cortexgraph.released.weights.compile_spec", None)
    load_weights(network, finished / "weights.safetensors", CLASSES)
    for name, value in load_run(finished).weights.items():
        assert torch.equal(network.state_dict()[name], value)


def test_weights_that_do_not_fit(data: ImageData, finished: Path, settings: Make, tmp_path: Path) -> None:
    """One finding for each tensor, with its area or connection, and nothing is written."""
    spec = tiny_spec(
        areas={"V1": {"channels": 4, "size": 8}, "IT": {"channels": 6, "size": 4}, "MT": {"channels": 2, "size": 4}},
        connections=["image -> V1", {"from": "V1", "to": "IT", "kernel": 5}, "V1 -> MT -> IT", "V1 -> V1", "IT -> IT"],
    )
    with pytest.raises(DataError, match=r"IT_to_V1") as error:
        train(spec, data, settings(), tmp_path / "run", init_from=finished, quiet=True)
    found = {(f.code, f.place, f.found.split("`")[1]) for f in error.value.diagnostics}
    assert ("unexpected-tensor", "IT_to_V1.conv.weight", "IT_to_V1.conv.weight") in found
    assert ("tensor-shape", "V1 -> IT", "V1_to_IT.conv.weight") in found
    assert {
        ("missing-tensor", "V1 -> MT", "V1_to_MT.conv.weight"),
        ("missing-tensor", "MT", "MT.norm.0.weight"),
    } <= found
    assert len(found) == len(error.value.diagnostics)
    assert str(error.value).splitlines()[-1].startswith("  Give weights of a network with these areas and")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("source", "words"),
    [("nothing/here", "does not exist"), ("ventral-cifar100", "Did you mean"), ("torn.pt", "whole")],
)
def test_weights_that_cannot_be_read(
    spec: NetworkSpec, data: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("torn.pt").write_bytes(b"PK torn")
    with pytest.raises(DataError, match=words):
        train(spec, data, None, "run", init_from=source, quiet=True)
    with pytest.raises(DataError, match="a run that is resumed or extended has its own weights"):
        train(spec, data, None, "run", init_from=source, resume=True, quiet=True)
    assert not Path("run").exists()


def test_resumed_without_the_run_that_it_started_from(
    data: ImageData, finished: Path, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted in the first epoch: the initial weights are those that the run has kept."""
    source, chosen = load_run(finished), settings(freeze=("V1", "V1 -> IT"), validation=12)
    train(tiny_spec(), data, chosen, tmp_path / "whole", init_from=source, quiet=True)
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_train_batch_end", 2)
        with pytest.raises(Interrupted, match="after 0 of 3"):
            train(tiny_spec(), data, chosen, tmp_path / "run", init_from=source, quiet=True)
    train(tiny_spec(), data, chosen, tmp_path / "run", resume=True, quiet=True)
    assert_equal_runs(tmp_path / "whole", tmp_path / "run")


def test_initial_weights_that_were_changed(
    data: ImageData, finished: Path, settings: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    with monkeypatch.context() as patch:
        interrupt_after(patch, "on_train_batch_end", 2)
        with pytest.raises(Interrupted, match="after 0 of 3"):
            train(tiny_spec(), data, settings(), run.path, init_from=finished, quiet=True)
    save_file({name: value + 1 for name, value in load_file(run.initial).items()}, run.initial)
    with pytest.raises(DataError, match=r"initial\.safetensors is not whole"):
        train(tiny_spec(), data, settings(), run.path, resume=True, quiet=True)


# ---- frozen parts ------------------------------------------------------------------


def test_frozen_tensors_do_not_change(data: ImageData, settings: Make, tmp_path: Path, finished: Path) -> None:
    """Bit for bit, running statistics included; weight decay and momentum do not move them either."""
    gradients: dict[str, Any] = {}
    chosen = settings(epochs=2, lr=0.1, weight_decay=0.1, freeze=("V1", "V1 -> IT, IT -> IT"))
    with pytest.MonkeyPatch.context() as patch:
        step = torch.optim.AdamW.step
        patch.setattr(
            torch.optim.AdamW, "step", lambda self, *a, **k: (gradients.update(self.state), step(self, *a, **k))[1]
        )
        train(tiny_spec(), data, chosen, tmp_path / "run", init_from=finished, quiet=True)
    before, after = (load_file(tmp_path / "run" / f"{name}.safetensors") for name in ("initial", "weights"))
    frozen = [name for name in before if name.split(".")[0] in {"V1", "V1_to_IT", "IT_to_IT"}]
    assert any("running_mean" in name for name in frozen)
    assert all(torch.equal(before[name], after[name]) for name in frozen)
    rest = [name for name in before if name not in frozen]
    assert all(not torch.equal(before[name], after[name]) for name in rest)
    network = compile_spec(tiny_spec())
    count = freeze(network, chosen.freeze).parameters
    assert count == sum(
        p.numel() for name, p in compile_spec(tiny_spec()).named_parameters() if name in frozen and p.requires_grad
    )
    summary = RunFolder(tmp_path / "run").read_summary()
    assert summary.frozen_parameters == count
    assert summary.parameters == sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert "- frozen: V1, V1 -> IT, IT -> IT\n" in (tmp_path / "run" / "summary.md").read_text()


def test_no_gradient_is_computed_for_frozen_parts() -> None:
    network = compile_spec(tiny_spec())
    modules = freeze(network, ["V1", "-> V1"]).modules
    network(torch.rand(2, 1, 8, 8)).sum().backward()
    assert len(modules) == 4  # V1, and its connections from the image, V1 and IT
    without = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is None}
    assert {"V1", "image_to_V1", "V1_to_V1", "IT_to_V1"} <= without
    assert not {"V1_to_IT", "IT_to_IT", "readout"} & without


def test_freezing_a_tied_connection_freezes_the_parameters_that_it_shares() -> None:
    spec = tiny_spec(
        connections=[
            "image -> V1 -> IT",
            {"from": "IT", "to": "V1", "tie": {"connection": "V1 -> IT", "transpose": True}},
        ]
    )
    network = compile_spec(spec)
    freeze(network, ["IT -> V1"])
    assert not network.get_parameter("V1_to_IT.conv.weight").requires_grad


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["V11"], r"freeze V11: no part of the network has this name.*\n.*Did you mean `V1`"),
        (["V1 -> I"], r"Did you mean `V1 -> IT`"),
        (["V1, V9"], r"freeze V9: no part of the network has this name"),
        (["V1", "IT", "-> V1", "-> IT", "readout"], r"nothing is left to train"),
    ],
)
def test_what_cannot_be_frozen(
    spec: NetworkSpec, data: ImageData, settings: Make, tmp_path: Path, words: list[str], message: str
) -> None:
    with pytest.raises(CompileError, match=message):
        train(spec, data, settings(freeze=words), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_an_area_without_parameters_is_not_frozen() -> None:
    network = compile_spec(tiny_spec(defaults={"area": {"norm": None}}))
    with pytest.raises(CortexGraphError, match=r"this part has no parameters\.\n.*`-> V1`"):
        freeze(network, ["V1"])


def test_a_single_name() -> None:
    assert TrainSettings(freeze="V1").freeze == ("V1",)  # type: ignore[arg-type]
    assert TrainSettings(freeze=["V1", "IT"]).freeze == ("V1", "IT")  # type: ignore[arg-type]
