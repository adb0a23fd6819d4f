from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cortexgraph as cg
from cortexgraph.compiler import build, compile_spec, interpret
from cortexgraph.data import ImageData
from cortexgraph.errors import CompileError, CortexGraphError, DataError
from cortexgraph.graph import resolved
from cortexgraph.network import CompiledNetwork
from cortexgraph.spec import NetworkSpec
from cortexgraph.training import RunFolder, evaluate, load_run, train
from cortexgraph.training.evaluation import Tta, _views
from cortexgraph.training.reached import reached_steps

from .conftest import striped_data, tiny_spec
from .test_resume import Make


def normalised(data: ImageData) -> torch.Tensor:
    return (data.test.images / 255 - 0.5) / 0.3


def test_evaluation_is_what_the_reference_interpreter_says(finished: Path, data: ImageData) -> None:
    spec, network = load_run(finished)
    result = evaluate(finished, data, steps=6, device="cpu", batch_size=7)
    logits, _ = interpret(spec, network.state_dict(), normalised(data), steps=6)  # [N, 5, 3]
    assert [step.step for step in result.steps] == [2, 3, 4, 5, 6]
    for index, step in enumerate(result.steps):
        correct = (logits[:, index].argmax(1) == data.test.labels).double().mean().item()
        loss = torch.nn.functional.cross_entropy(logits[:, index], data.test.labels).item()
        assert step.accuracy == pytest.approx(correct)
        assert step.loss == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("tta", ["mirror", "mirror+shift"])
def test_views_by_hand(finished: Path, data: ImageData, tta: Tta) -> None:
    """Each view through the network by itself, with shifts by `roll` of an image that is padded by numpy."""
    network, images = load_run(finished).network, normalised(data)
    padded = torch.from_numpy(np.pad(images.numpy(), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="reflect"))
    shifted = [padded.roll((by, by), (2, 3))[:, :, 1:9, 1:9] for by in (-1, 1)]
    with torch.inference_mode():
        mirrored = [(network(view) + network(view.flip(-1))) / 2 for view in (images, *shifted)]
    expected = mirrored[0] if tta == "mirror" else mirrored[0] / 2 + (mirrored[1] + mirrored[2]) / 4
    result = evaluate(finished, data, device="cpu", tta=tta)
    accuracy = (expected.argmax(2) == data.test.labels[:, None]).double().mean(0)
    assert [step.accuracy for step in result.steps] == pytest.approx(accuracy.tolist())
    losses = [torch.nn.functional.cross_entropy(logits, data.test.labels).item() for logits in expected.unbind(1)]
    assert [step.loss for step in result.steps] == pytest.approx(losses, rel=1e-4)
    assert [row["tta"] for row in result.rows()] == [tta] * len(result.steps)
    assert result.title == f"tiny on stripes (tta: {tta})"


@pytest.mark.parametrize("tta", ["mirror", "mirror+shift"])
def test_views_of_videos_are_those_of_their_frames(tta: Tta) -> None:
    videos = torch.rand(2, 4, 3, 8, 8)
    of_videos, of_frames = _views(videos, tta), _views(videos.flatten(0, 1), tta)
    for (weight, view), (expected_weight, frames) in zip(of_videos, of_frames, strict=True):
        assert weight == expected_weight
        assert torch.equal(view.flatten(0, 1), frames)


def test_unknown_views(finished: Path, data: ImageData) -> None:
    with pytest.raises(CortexGraphError, match="mirror"):
        evaluate(finished, data, tta="mirrors")  # type: ignore[arg-type]


def test_evaluation_repeats_the_summary(finished: Path, data: ImageData) -> None:
    import json

    reported = json.loads((finished / "summary.json").read_text())["accuracy"]
    result = evaluate(finished, data, device="cpu")
    assert {str(step.step): step.accuracy for step in result.steps} == reported
    assert result.images == 24
    assert all(step.trained for step in result.steps)


def test_data_are_normalised_as_in_training(finished: Path, data: ImageData) -> None:
    other = replace(data, mean=(0.1,), std=(9.0,))
    assert evaluate(finished, other, device="cpu") == evaluate(finished, data, device="cpu")


def test_network_is_left_as_it_is(finished: Path, data: ImageData) -> None:
    _, network = load_run(finished)
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    of_network = evaluate(network, data, at="all", device="cpu")
    of_run = evaluate(finished, data, at="all", device="cpu").steps  # in another memory format
    for own, other in zip(of_network.steps, of_run, strict=True):
        assert replace(own, loss=0) == replace(other, loss=0)
        assert own.loss == pytest.approx(other.loss, rel=1e-5)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_chosen_steps_and_split(finished: Path, data: ImageData) -> None:
    result = evaluate(finished, data, at=(4, 2), split="train", device="cpu")
    assert [step.step for step in result.steps] == [2, 4]
    assert result.images == 48
    with pytest.raises(CompileError, match="first responds at step 2"):
        evaluate(finished, data, at=(1, 4), device="cpu")


def test_other_classes(finished: Path) -> None:
    other = striped_data(name="fruit", classes=("apple", "pear", "plum"))
    with pytest.raises(
        DataError, match=r"its 3 classes are apple, pear, plum, but the run was trained on stripes with"
    ):
        evaluate(finished, other, device="cpu")


@pytest.mark.parametrize("device", ["foo", "", "cpu:3", "cuda:300"])
def test_device_of_no_known_name(finished: Path, data: ImageData, device: str) -> None:
    with pytest.raises(CortexGraphError, match="but auto, cpu, mps, cuda and cuda:N are known"):
        evaluate(finished, data, device=device)


# ---- which readouts training reached --------------------------------------------


def feedforward(at: object) -> object:
    return tiny_spec(connections=["image -> V1 -> IT"], readout={"from": "IT", "classes": 3, "at": at})


def test_steps_that_training_did_not_reach_are_marked() -> None:
    last, every = feedforward("last"), feedforward("all")
    # Read out at step 4 alone, the norms of earlier updates were never trained.
    assert reached_steps(last, every) == {2: False, 3: False, 4: True}
    assert reached_steps(every, last) == {4: True}


def test_connection_that_training_did_not_reach_is_marked() -> None:
    def spec(steps: int) -> NetworkSpec:
        connections = ["image -> V1 -> IT", {"from": "IT", "to": "V1", "delay": 2}]
        return tiny_spec(connections=connections, defaults={}, time={"steps": steps})

    # IT@2 -> V1@5 -> IT@6
    assert reached_steps(spec(4), spec(6)) == {2: True, 3: True, 4: True, 5: True, 6: False}


def test_longer_runs_go_on_with_the_last_trained_set(data: ImageData, settings: Make, tmp_path: Path) -> None:
    short = compile_spec(tiny_spec())
    with torch.no_grad():
        for value in short.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5)
    state = short.state_dict()
    assert torch.equal(state["V1.norm.3.weight"], short.get_parameter("V1.norm.2.weight"))
    assert torch.equal(state["IT.norm.2.weight"], short.get_parameter("IT.norm.2.weight"))
    images = torch.randn(2, 1, 8, 8)
    expected = short.eval()(images)
    short.load_state_dict(state)
    assert torch.equal(short(images), expected)
    longer = compile_spec(tiny_spec(), steps=6).eval()
    longer.load_state_dict(state)
    assert torch.equal(longer.get_parameter("V1.norm.5.weight"), short.get_parameter("V1.norm.2.weight"))
    assert torch.equal(longer(images)[:, :3], expected)


# ---- loading ------------------------------------------------------------------------


def test_load_run(finished: Path, data: ImageData) -> None:
    spec, network = load_run(finished)
    assert spec == resolved(build(tiny_spec()))
    assert not network.training
    assert network(normalised(data)).shape == (24, 3, 3)


def test_no_run(tmp_path: Path, data: ImageData) -> None:
    with pytest.raises(DataError, match="this does not exist, but a folder that `cortexgraph train` wrote is needed"):
        load_run(tmp_path / "missing")
    with pytest.raises(DataError, match="this is not a cortexgraph run"):
        evaluate(tmp_path, data)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("cut", r"weights\.safetensors is not whole"),
        ("remove", r"weights\.safetensors is missing"),
        ("young", r"has not finished its first epoch\.\n  Resume it with `cortexgraph train --resume --out "),
        ("respec", r"weights\.safetensors belongs to another spec"),
        ("unspec", r"spec\.yaml cannot be read as a spec"),
    ],
)
def test_damaged_run(data: ImageData, settings: Make, tmp_path: Path, damage: str, message: str) -> None:
    run = tmp_path / "run"
    train(tiny_spec(), data, settings(epochs=1), run, quiet=True)
    weights, spec = run / "weights.safetensors", run / "spec.yaml"
    match damage:
        case "cut":
            weights.write_bytes(weights.read_bytes()[:-100])
        case "remove":
            weights.unlink()
        case "young":
            weights.unlink()
            RunFolder(run).last.unlink()
        case "respec":
            spec.write_text(spec.read_text().replace("tiny", "other"))
        case "unspec":
            spec.write_text("areas: [")
    with pytest.raises(DataError, match=message):
        load_run(run)


# ---- the whole language -----------------------------------------------------------


def test_a_run_with_cells_ties_and_two_readouts(data: ImageData, settings: Make, tmp_path: Path) -> None:
    spec = tiny_spec(
        areas={
            "V1": {"channels": 4, "size": 8, "cell": "leaky"},
            "IT": {"channels": 6, "size": 4, "cell": "conv_lstm", "weights": "per_step", "body": ["conv", "relu"]},
        },
        connections=[
            "image -> V1 -> IT",
            {"from": "IT", "to": "V1", "tie": {"connection": "V1 -> IT", "transpose": True}, "role": "modulate"},
            {"from": "V1", "to": "V1", "weights": "per_step"},
        ],
        readout=[{"from": "IT", "classes": 3, "at": "all"}, {"from": "V1", "name": "early", "classes": 3}],
    )
    run = tmp_path / "run"
    train(spec, data, settings(), run, quiet=True)
    _, network = load_run(run)
    assert [*network(data.test.images.float()[:2] / 255)] == ["IT", "early"]
    measured = evaluate(run, data, steps=6, at="all", device="cpu").steps
    assert [step.step for step in measured] == [2, 3, 4, 5, 6]
    assert [step.trained for step in measured] == [True] * 5


def test_per_step_weights_of_a_connection_are_settled(data: ImageData, settings: Make, tmp_path: Path) -> None:
    lateral = {"from": "V1", "to": "V1", "weights": "per_step"}
    spec = tiny_spec(connections=["image -> V1 -> IT", lateral], readout={"from": "IT", "classes": 3, "at": "last"})
    run = tmp_path / "run"
    train(spec, data, settings(), run, quiet=True)
    _, network = load_run(run)
    state = network.state_dict()
    trained, later = (state[f"V1_to_V1.conv.{n}.weight"] for n in (2, 3))
    assert torch.equal(trained, later)  # V1 at step 4 is read by nothing


def test_logits_that_are_no_numbers_count_as_wrong_and_are_told(data: ImageData, spec: NetworkSpec) -> None:
    """argmax takes the first NaN for the largest value, so that images of the first class seemed right."""
    network = cg.compile(spec).eval()
    with torch.no_grad():
        [*network.parameters()][-1].fill_(torch.nan)
    with pytest.warns(cg.CortexGraphWarning, match=r"logits at steps? .* are infinite or not a number for some images"):
        result = cg.evaluate(network, data)
    assert [step.accuracy for step in result.steps] == [0.0] * len(result.steps)


# ---- the very network that is given ---------------------------------------------------


def changes() -> dict[str, Callable[[CompiledNetwork], object]]:
    """What a user may do to a network, by name."""

    def hooked(network: CompiledNetwork) -> None:
        network.V1.register_forward_hook(lambda area, inputs, state: state * 0)

    def replaced(network: CompiledNetwork) -> None:
        network.IT.activation = torch.nn.Tanh()

    return {"hook": hooked, "module": replaced}


@pytest.mark.parametrize("options", [{}, {"steps": 6}, {"at": "all"}, {"at": [3], "order": "sequential"}])
@pytest.mark.parametrize("change", ["hook", "module"])
def test_hooks_and_replaced_modules_count(data: ImageData, change: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = cg.compile(tiny_spec(readout={"from": "IT", "classes": 3}))
    network.load_state_dict({k: v + 0.1 if v.is_floating_point() else v for k, v in network.state_dict().items()})
    before = evaluate(network, data, device="cpu", **options)
    changes()[change](network)
    after = evaluate(network, data, device="cpu", **options)
    assert [s.loss for s in after.steps] != [s.loss for s in before.steps]
    if not options:
        expected = torch.nn.functional.cross_entropy(network.eval()(normalised(data)), data.test.labels).item()
        assert after.steps[-1].loss == pytest.approx(expected, rel=1e-4)


def test_each_module_stays_in_its_mode_and_type(data: ImageData) -> None:
    network = cg.compile(tiny_spec()).to(torch.bfloat16)
    network.V1.eval()
    modes = [module.training for module in network.modules()]
    evaluate(network, data, device="cpu", steps=5)
    assert [module.training for module in network.modules()] == modes
    assert {parameter.dtype for parameter in network.parameters()} == {torch.bfloat16}


def test_networks_that_torch_wrapped(data: ImageData) -> None:
    network = cg.compile(tiny_spec())
    expected = evaluate(network, data, device="cpu")
    for wrapped in (torch.compile(network, backend="eager"), torch.nn.DataParallel(network)):
        assert evaluate(wrapped, data, device="cpu") == expected
        assert isinstance(cg.lesion(wrapped, "feedback"), torch.nn.Module)
    with pytest.raises(CompileError, match=r"a Linear was given, but a network of `cg.compile` is needed"):
        evaluate(torch.nn.Linear(2, 2), data)
    with pytest.raises(CompileError, match=r"a Linear was given, but a network of `cg.compile` is needed"):
        cg.lesion(torch.nn.Linear(2, 2), "feedback")


def test_a_network_that_records(data: ImageData) -> None:
    plain, recording = cg.compile(tiny_spec()), cg.compile(tiny_spec(), record="V1")
    recording.load_state_dict(plain.state_dict())
    assert evaluate(recording, data, device="cpu") == evaluate(plain, data, device="cpu")


def test_a_replaced_head_is_measured_with_its_own_classes(data: ImageData) -> None:
    network = cg.compile(tiny_spec(readout={"from": "IT", "classes": 7}))
    with pytest.raises(DataError, match=r"readout.classes: the network gives 7, but the data has 3 classes"):
        evaluate(network, data, device="cpu")
    network.readout.linear = torch.nn.Linear(6, 3)
    assert evaluate(network, data, device="cpu").classes == 3


@pytest.mark.parametrize("at", [3, [3], torch.tensor([3])])
def test_one_step_of_readout(data: ImageData, at: Any) -> None:
    assert [s.step for s in evaluate(cg.compile(tiny_spec()), data, at=at, device="cpu").steps] == [3]


def test_wrong_steps_of_readout_have_one_finding(data: ImageData) -> None:
    for at, place in (([0], "at"), ("x", "at"), (["last"], "at"), ([6.5], "at")):
        with pytest.raises(cg.SpecError, match=rf"^{place}") as error:
            evaluate(cg.compile(tiny_spec()), data, at=at, device="cpu")  # type: ignore[arg-type]
        assert len(error.value.diagnostics) == 1


@pytest.mark.parametrize("readout", [{"pool": "places", "classes": 3}, {"loss": "mse", "classes": 3}])
def test_a_network_that_answers_something_else_than_the_data(data: ImageData, readout: dict[str, object]) -> None:
    network = compile_spec(tiny_spec(readout={"from": "V1", "at": "all"} | readout))
    with pytest.raises(DataError, match=r"the network gives .* but the data has a class for each image"):
        evaluate(network, data)
