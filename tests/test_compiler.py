"""The contract of `cg.compile`: what forward takes and returns, recording, loading of state dicts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import cortexgraph as cg
from cortexgraph.spec import NetworkSpec
from tests.oracle import randomise

SMALL = {f"areas.{area}.channels": 2 for area in ("V1", "V2", "V4", "IT")}


def small(**overrides: Any) -> NetworkSpec:
    return cg.load("ventral", SMALL | {name.replace("__", "."): value for name, value in overrides.items()})


@pytest.fixture
def x() -> Tensor:
    return torch.randn(3, 3, 32, 32)


def test_one_readout_step_gives_one_row_of_logits(x: Tensor) -> None:
    module = cg.compile(small())
    assert module(x).shape == (3, 10)
    assert [node.step for node in module.unrolled.readouts] == [module.spec.time.steps]


@pytest.mark.parametrize(("at", "steps"), [("all", [4, 5, 6]), ([4, 6], [4, 6]), ([5], [5])])
def test_several_readout_steps_are_stacked(at: object, steps: list[int], x: Tensor) -> None:
    module = cg.compile(small(time__steps=6, readout__at=at)).eval()
    assert module(x).shape == (3, len(steps), 10)
    assert [node.step for node in module.unrolled.readouts] == steps
    for n, step in enumerate(steps):
        single = cg.compile(small(time__steps=step)).eval()
        single.load_state_dict(module.state_dict())
        torch.testing.assert_close(single(x), module(x)[:, n])


def test_recording_returns_states_at_the_end_of_steps(x: Tensor) -> None:
    module = cg.compile(small(), steps=5, record={"V4": "all", "IT": [5], "V1": "last", "V2": 3})
    logits, states = module(x)
    assert logits.shape == (3, 10)
    assert list(states) == [("V4", 3), ("V2", 3), ("V4", 4), ("V4", 5), ("IT", 5), ("V1", 5)]
    assert states["V4", 3].shape == (3, 2, 8, 8)


def test_recording_changes_neither_logits_nor_the_state_dict(x: Tensor) -> None:
    plain, recorded = cg.compile(small()).eval(), cg.compile(small(), record={"V1": "all"}).eval()
    assert list(plain.state_dict()) == list(recorded.state_dict())
    trained = [[n for n, p in module.named_parameters() if p.requires_grad] for module in (plain, recorded)]
    assert trained[0] == trained[1]
    recorded.load_state_dict(plain.state_dict())
    torch.testing.assert_close(recorded(x)[0], plain(x))


def test_a_video_of_equal_frames_is_a_static_image(x: Tensor) -> None:
    module = cg.compile(small(), steps=5).eval()
    torch.testing.assert_close(module(x.unsqueeze(1).expand(-1, 5, -1, -1, -1)), module(x))


def test_a_video_shows_its_frames_in_order() -> None:
    module = cg.compile(small(), steps=5).eval()
    video = torch.randn(2, 5, 3, 32, 32, requires_grad=True)
    (gradient,) = torch.autograd.grad(module(video).square().sum(), video)
    reached = [bool(gradient[:, t].abs().sum() > 0) for t in range(5)]
    assert reached == [True, True, False, False, False]  # IT@5 sees the image of steps 1 and 2 only


@pytest.mark.parametrize("shape", [(2, 3, 32, 31), (2, 1, 32, 32), (3, 32, 32), (2, 4, 3, 32, 32)])
def test_an_image_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    module = cg.compile(small(), steps=5)
    with pytest.raises(ValueError, match=r"\[B, (5, )?3, 32, 32\]"):
        module(torch.zeros(shape))


@pytest.mark.parametrize(
    ("steps", "order"), [(9, "sequential"), (12, "simultaneous"), (4, "simultaneous"), (1, "sequential")]
)
def test_a_state_dict_loads_into_another_time_course(steps: int, order: str) -> None:
    """Beyond the trained range the last per-step set is reused; sets too many are left out."""
    trained = randomise(cg.compile(small(), steps=6))
    state = {name: value.clone() for name, value in trained.state_dict().items()}
    other = cg.compile(small(), steps=steps, order=order)
    assert other.load_state_dict(trained.state_dict()).missing_keys == []
    for area in ("V1", "V2", "V4", "IT"):
        sets = list(getattr(other, area).norm)
        known = len(getattr(trained, area).norm)
        for n, norm in enumerate(sets):
            expected = state[f"{area}.norm.{min(n, known - 1)}.weight"]
            assert torch.equal(norm.weight, expected)
    assert trained.state_dict().keys() == state.keys()
    assert other(torch.randn(1, 3, 32, 32)).shape == (1, 10)


def test_a_state_dict_of_another_network_is_refused_in_torchs_words() -> None:
    shared = cg.compile(cg.load("ventral", SMALL | {"defaults.area.norm": "batch"})).state_dict()
    with pytest.raises(RuntimeError, match=r"Missing key.*V1\.norm\.0\.weight"):
        cg.compile(small()).load_state_dict(shared)


def test_interpreter_and_module_agree_on_a_state_dict_of_another_time_course() -> None:
    trained = randomise(cg.compile(small(), steps=5).double()).eval()
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    longer = cg.compile(small(), steps=8).double().eval()
    longer.load_state_dict(trained.state_dict())
    logits, _ = cg.interpret(small(), trained.state_dict(), x, steps=8)
    torch.testing.assert_close(longer(x), logits)


def test_sets_that_no_readout_reaches_require_no_gradient() -> None:
    module = cg.compile(small(), steps=6)
    wanted = {
        name: [norm.weight.requires_grad for norm in getattr(module, name).norm] for name in ("V1", "V2", "V4", "IT")
    }
    assert wanted == {
        "V1": [True, True, True, False, False, False],
        "V2": [True, True, True, False, False],
        "V4": [True, True, True, False],
        "IT": [True, True, True],
    }
    module(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in module.parameters())


def test_passes_change_no_result(x: Tensor) -> None:
    pruned, whole = cg.compile(small()).eval(), cg.compile(small(), passes=[]).eval()
    whole.load_state_dict(pruned.state_dict())
    torch.testing.assert_close(whole(x), pruned(x))
    assert len(list(whole.unrolled.updates())) > len(list(pruned.unrolled.updates()))


def test_the_module_carries_source_spec_and_graph() -> None:
    spec = small()
    module = cg.compile(spec, order="sequential")
    assert isinstance(module, nn.Module)
    assert module.source == cg.emit(spec, order="sequential")
    assert module.spec.time.order == module.unrolled.order == "sequential"


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"record": {"V5": "all"}}, r"no area is called `V5`, but there are `V1`, .*\n  Name a declared area\."),
        (
            {"record": {"V1": [0, 99]}},
            r"record V1: step 0, 99 was asked for, but the network runs for 8 steps",
        ),
        (
            {"record": {"V1": "often"}},
            r"'often' was asked for, but a record is `all`, `last`, a step or a list",
        ),
        (
            {"record": {"IT": [2]}},
            r"record IT: IT first responds at step 4 .*, but a record at step 2 of 8 would be empty",
        ),
        ({"record": {"V1": None}}, r"record V1: None was asked for, but a record is `all`"),
        ({"record": {"V1": [2, "4"]}}, r"record V1: \[2, '4'\] was asked for, but a record is `all`"),
        ({"steps": 3}, r"IT first responds at step 4 \(image → V1 → V2 → V4 → IT under simultaneous order\)"),
        ({"steps": 0}, r"steps: 0 was given, but steps is a whole number from 1"),
        (
            {"order": "random"},
            r"order: 'random' was given, but order is simultaneous, sequential or a list",
        ),
        ({"passes": ["shrink"]}, r"`shrink` is not a pass, but the passes are prune, cse, fold, roll, release"),
    ],
)
def test_what_cannot_be_done_is_said(options: dict[str, Any], match: str) -> None:
    with pytest.raises(cg.CompileError, match=match):
        cg.compile(small(time__steps=8), **options)


def test_an_order_given_in_python_is_checked() -> None:
    with pytest.raises(cg.GraphError, match=r"^order=\[\[V1\]\]: the order never updates `V2`, `V4` and `IT`"):
        cg.compile(small(), order=[["V1"]])


def test_every_finding_about_a_request_comes_at_once() -> None:
    with pytest.raises(cg.CompileError, match="V5") as caught:
        cg.compile(small(), record={"V5": "all", "V1": [99]})
    assert [finding.code for finding in caught.value.diagnostics] == ["unknown-area", "step-beyond-end"]
