"""Several inputs: named, of different shapes, images or videos, through everything that takes a network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import cortexgraph as cg
from cortexgraph.errors import CortexGraphError
from cortexgraph.exporting import export
from cortexgraph.unrolling import Focus, focused
from tests.oracle import images

DATA: dict[str, Any] = {
    "name": "two eyes",
    "inputs": {"left": {"size": 8}, "7a gaze": {"channels": 2, "size": 1, "present": {"from": 2}}},
    "areas": {"V1": {"channels": 4, "size": 8}, "V2": {"channels": 4, "size": 4}},
    "connections": ["left -> V1 -> V2 -> V1", {"from": "7a gaze", "to": "V2", "delay": 1}],
    "readout": {"from": "V2", "classes": 3, "at": "all"},
    "time": {"steps": 5},
}
SPEC = cg.NetworkSpec.model_validate(DATA)


@pytest.fixture(scope="module")
def network() -> Any:
    torch.manual_seed(0)
    return cg.compile(SPEC, record="all").eval()


def x_of(video: tuple[str, ...] = (), batch: int = 2, steps: int = 5) -> dict[str, Tensor]:
    x = images(SPEC, batch, steps, static=[name for name in SPEC.inputs if name not in video], dtype=torch.float32)
    assert isinstance(x, dict)
    return x


# ---- the language ----------------------------------------------------------------


def test_one_input_is_called_image_and_several_have_names() -> None:
    one = cg.load("ventral")
    assert [*one.inputs] == ["image"]
    assert one.input.size == 32
    assert "inputs" not in cg.dumps(one)
    assert cg.loads(cg.dumps(SPEC)) == SPEC
    assert cg.load(SPEC, {"inputs.left.channels": 1}).inputs["left"].channels == 1
    assert cg.check(SPEC) == []


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"inputs": {}}, r"the key `input` is missing"),
        ({"input": {"size": 8}}, r"`input` and `inputs` are both set"),
        ({"inputs": {"left": 3}}, r"inputs\.left: the value is `3`, but it must be a mapping with `size`"),
        ({"inputs": 3}, r"it must be a mapping of names to inputs, such as `left: \{size: 32\}`"),
        ({"inputs": {"left": {}}}, r"inputs\.left: the key `size` is missing"),
    ],
)
def test_inputs_that_cannot_be_are_findings(changes: dict[str, Any], finding: str) -> None:
    with pytest.raises(cg.SpecError, match=finding):
        cg.NetworkSpec.model_validate(DATA | changes)


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"connections": ["lft -> V1 -> V2", "7a gaze -> V2"]}, "no area is called `lft`.*Did you mean `left`"),
        ({"connections": ["left -> V1 -> V2", "7a gaze -> V2 -> left"]}, "a connection leads into the input `left`"),
        ({"readout": {"from": "left", "classes": 2}}, "the input `left` is read out.*Read an area that the input"),
        ({"connections": ["left -> V1 -> V1", "V2 -> V1"]}, "leads from any input to V2.*`left -> V2`"),
        ({"inputs": {**DATA["inputs"], "V1": {"size": 8}}}, "an area is called `V1` too"),
        (
            {"inputs": {**DATA["inputs"], "left": {"size": 8, "present": [9]}}},
            r"inputs\.left\.present: step 9 is named",
        ),
    ],
)
def test_names_of_inputs_are_checked(changes: dict[str, Any], finding: str) -> None:
    findings = " ".join(str(each) for each in cg.check(cg.NetworkSpec.model_validate(DATA | changes)))
    assert re.search(finding, findings, re.DOTALL), findings


# ---- what is computed ------------------------------------------------------------


@pytest.mark.parametrize("video", [(), ("left",), ("7a gaze",), ("left", "7a gaze")])
def test_images_and_videos_stand_beside_each_other(network: Any, video: tuple[str, ...]) -> None:
    x = x_of(video)
    with torch.no_grad():
        (logits, states), (expected, meant) = network(x), cg.interpret(SPEC, network.state_dict(), x)
        again = cg.compile(SPEC, video=video)
        again.load_state_dict(network.state_dict())
        torch.testing.assert_close(again(x), expected)
    torch.testing.assert_close(logits, expected)
    assert all(torch.allclose(states[key], meant[key], atol=1e-5) for key in meant)
    assert again.unrolled.videos == set(video)


def test_the_emitted_file_says_what_it_takes() -> None:
    source = cg.emit(SPEC, video=["7a gaze"])
    assert "def forward(self, x: dict[str, Tensor]) -> Tensor:" in source
    text = "videos (a frame for each step) and images by input, left [B, 3, 8, 8] and 7a gaze [B, 5, 2, 1, 1]"
    assert text in " ".join(source.split())
    assert 'input_7a_gaze = x["7a gaze"]' in source
    assert "check_shape(input_7a_gaze, 5, 2, 1, 1)" in source


@pytest.mark.parametrize(
    ("changed", "finding"),
    [
        (lambda x: x["left"], r"x is a Tensor, but the network has the inputs `left` and `7a gaze`"),
        (lambda x: {"left": x["left"]}, r"x is a dict of `left`, but"),
        (lambda x: x | {"right": x["left"]}, r"x is a dict of `left`, `7a gaze` and `right`, but"),
        (lambda x: x | {"left": x["left"][:1]}, r"x has 1 images of left and 2 of 7a gaze"),
        (lambda x: x | {"left": x["left"][:, :2]}, r'x\["left"\] is \[2, 2, 8, 8\], but \[B, 3, 8, 8\]'),
        (lambda x: x | {"7a gaze": 3}, r'x\["7a gaze"\] is a int'),
    ],
)
def test_other_values_are_findings(network: Any, changed: Any, finding: str) -> None:
    with pytest.raises(CortexGraphError, match=finding):
        network(changed(x_of()))
    with pytest.raises(CortexGraphError, match=finding):
        cg.interpret(SPEC, network.state_dict(), changed(x_of()))


def test_an_unknown_video_is_a_finding() -> None:
    with pytest.raises(cg.CompileError, match=r"`lft` was given, but the inputs are `left` and `7a gaze`"):
        cg.compile(SPEC, video=["lft"])


def test_a_stream_goes_on_where_one_input_moves_and_one_changes(network: Any) -> None:
    x, plain = x_of(("7a gaze",)), cg.compile(SPEC).eval()
    plain.load_state_dict(network.state_dict())
    stepper = cg.Stepper(plain)
    logits = [stepper.step(x | {"7a gaze": x["7a gaze"][:, t]})[0] for t in range(5)]
    with torch.no_grad():
        torch.testing.assert_close(torch.cat([each for each in logits if each is not None], 1), plain(x))
        _, state = plain(x_of(), steps=2, return_state=True)
        other = x_of()
        moved = {name: torch.stack([other[name]] * 3, 1) for name in other}
        torch.testing.assert_close(plain(other, state, steps=3), plain(moved, state))
    with pytest.raises(cg.DataError, match="videos of 3 and 5 frames were given"):
        plain(moved | {"left": x_of(("left",))["left"]}, return_state=True)


def test_a_loop_of_your_own_trains_it() -> None:
    network, x = cg.compile(SPEC), x_of(batch=8)
    optimizer, losses = torch.optim.SGD(network.parameters(), 0.1), []
    for _ in range(8):
        loss = torch.nn.functional.cross_entropy(network(x)[:, -1], torch.arange(8) % 3)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    left = cg.lesion(network, "7a gaze -> V2")
    assert [*left.spec.inputs] == [*SPEC.inputs]
    assert [finding.code for finding in cg.check(left.spec)] == ["unused-input"]
    torch.testing.assert_close(left(x), left(x | {"7a gaze": torch.zeros(8, 2, 1, 1)}))


# ---- what is shown ---------------------------------------------------------------


def test_each_input_has_a_node_of_its_own() -> None:
    for drawing in (cg.draw(SPEC), cg.draw_unrolled(SPEC), cg.draw_matrix(SPEC)):
        assert ">left<" in drawing.svg()
        assert ">7a gaze<" in drawing.svg()
    assert 'id="input_7a_gaze@2"' in cg.draw_unrolled(SPEC).svg()
    graph = cg.unroll(SPEC)
    assert "left@1" not in {str(node) for node in focused(graph, Focus(downstream="7a gaze"))}
    with pytest.raises(cg.CompileError, match=r"7a gaze is not shown at step 1.\s+See `inputs\['7a gaze'\]\.present`"):
        focused(graph, Focus(downstream="7a gaze@1"))


def test_receptive_fields_are_those_in_each_input() -> None:
    v2 = cg.summarise(SPEC).areas[1]
    assert v2.receptive_fields_px == {
        "left": {2: (5, 5), 3: (5, 5), 4: (8, 8), 5: (8, 8)},
        "7a gaze": {2: (0, 0), 3: (1, 1), 4: (1, 1), 5: (1, 1)},
    }
    assert v2.receptive_field_px == v2.receptive_fields_px["left"]


# ---- what takes one input ----------------------------------------------------------


def test_what_needs_one_input_says_so_and_writes_nothing(network: Any, tmp_path: Path) -> None:
    refusal = r"two eyes has the inputs `left` and `7a gaze`, but this needs a network of one input"
    data = cg.load_data("shapes", size=(8, 8), channels=3, train_images=20, test_images=10)
    with pytest.raises(cg.SpecError, match=refusal):
        cg.train(SPEC, data, out=tmp_path / "run")
    with pytest.raises(cg.SpecError, match=refusal):
        cg.evaluate(network, data)
    with pytest.raises(cg.SpecError, match=refusal):
        cg.preferred_stimulus(network, "V2", [0], 3)
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "name",
    ["net.py", pytest.param("net.pt2", marks=pytest.mark.slow), pytest.param("net.onnx", marks=pytest.mark.slow)],
)
def test_it_can_be_exported(name: str, tmp_path: Path) -> None:
    assert export(cg.compile(SPEC), tmp_path / name).difference < 1e-5


def test_one_input_takes_the_tensor_alone() -> None:
    with pytest.raises(cg.DataError, match=r"x is a mapping(.|\n)*Give the tensor alone"):
        cg.compile("ventral")({"image": torch.zeros(1, 3, 32, 32)})
