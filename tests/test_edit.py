"""Weights shared over time and per step: the same network, and the ordinary deep ResNet that it is; and lesions."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import cortexgraph as cg
from tests.oracle import images, in_64_bits, randomise
from tests.strategies import specs

BLOCK = ["norm", "relu", {"conv": 3}, "norm", "relu", {"conv": 3}]


def resnet(blocks: int, **norm: Any) -> cg.NetworkSpec:
    """A pre-activation ResNet of `blocks` blocks as a recurrent network of one state: h ← h + f(h)."""
    entry = {"norm": {"kind": "batch", **norm}}
    block = [entry if part == "norm" else part for part in BLOCK]
    return cg.NetworkSpec.model_validate(
        {
            "name": "resnet",
            "input": {"size": 8},
            "defaults": {"area": {"body": []}, "connection": {"bias": False}},
            "areas": {
                "h": {"channels": 6, "size": 8},
                "post": {"channels": 6, "size": 8, "body": [{"norm": "batch"}, "relu"]},
            },
            "connections": [
                {"from": "image", "to": "h", "active": "first"},
                {"from": "h", "to": "h", "transform": [{"residual": block}]},
                {"from": "h", "to": "post", "transform": []},
            ],
            "readout": {"from": "post", "classes": 5},
            "time": {"steps": blocks + 1, "order": "sequential"},
        }
    )


class Block(nn.Module):
    """x + conv(relu(bn(conv(relu(bn(x)))))), He et al. 2016."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(torch.relu(self.bn1(x)))
        return x + self.conv2(torch.relu(self.bn2(y)))


class ResNet(nn.Module):
    """An ordinary deep network, written by hand, every block with weights of its own."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.blocks = nn.Sequential(*(Block(6) for _ in range(blocks)))
        self.bn, self.fc = nn.BatchNorm2d(6), nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn(self.blocks(self.stem(x))))
        return self.fc(x.mean((2, 3)))


def load_by_hand(network: nn.Module, blocks: int) -> ResNet:
    """The ordinary ResNet with the weights of a compiled network; update 1 of h is the image alone."""
    state, deep = network.state_dict(), ResNet(blocks)
    found = {"stem.weight": state["image_to_h.conv.0.weight"]}
    for n in range(blocks):
        for name, part in (("bn1", "norm"), ("conv1", "conv"), ("bn2", "norm_2"), ("conv2", "conv_2")):
            start = f"h_to_h.residual.body.{part}.{n + 1}."
            found |= {f"blocks.{n}.{name}.{key[len(start) :]}": state[key] for key in state if key.startswith(start)}
    found |= {f"bn.{key[len('post.norm.0.') :]}": state[key] for key in state if key.startswith(f"post.norm.{blocks}.")}
    found |= {f"fc.{key}": state[f"readout.linear.{key}"] for key in ("weight", "bias")}
    deep.load_state_dict(found)
    return deep.to(memory_format=torch.channels_last)  # the layout of compiled networks, for equality to the last bit


def trained(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


@pytest.mark.parametrize("per_step", [False, True], ids=["shared norms", "norms per step"])
def test_a_shared_resnet_is_its_recurrent_network(per_step: bool) -> None:
    """Unshared, it is the ordinary deep ResNet to the last bit; trained apart and shared again, a recurrent one."""
    blocks = 5
    torch.manual_seed(0)
    recurrent = randomise(cg.compile(resnet(blocks, per_step=per_step))).eval()
    unshared = cg.unshare(recurrent)
    deep = load_by_hand(unshared, blocks).eval()
    x = torch.randn(4, 3, 8, 8).to(memory_format=torch.channels_last)
    expected = recurrent(x)
    assert torch.equal(unshared(x), expected)
    assert torch.equal(deep(x), expected)
    assert trained(unshared) == sum(p.numel() for p in deep.parameters())
    conv, norm = 2 * 6 * 6 * 9, 2 * 2 * 6
    rest = 3 * 6 * 9 + 2 * 6 + 6 * 5 + 5
    assert trained(recurrent) == rest + conv + norm * (blocks if per_step else 1)
    assert trained(deep) == rest + blocks * (conv + norm)


def test_the_deep_resnet_and_the_unshared_network_train_alike() -> None:
    """Also in training mode, where the norms take their statistics from the batch: logits and gradients."""
    torch.manual_seed(1)
    unshared = cg.unshare(randomise(cg.compile(resnet(3)))).double()
    deep = load_by_hand(unshared, 3).double()
    x = torch.randn(4, 3, 8, 8, dtype=torch.float64).to(memory_format=torch.channels_last)
    for network in (unshared, deep):
        network.train()(x).square().sum().backward()
    assert torch.equal(unshared(x), deep(x))
    for n in range(3):
        found = unshared.get_parameter(f"h_to_h.residual.body.conv_2.{n + 1}.weight").grad
        expected = deep.get_parameter(f"blocks.{n}.conv2.weight").grad
        assert found is not None
        assert found.abs().max() > 0
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_sharing_takes_the_mean_the_first_or_the_last_set_that_a_readout_reaches() -> None:
    unshared = randomise(cg.unshare(cg.compile(resnet(3))))
    prefix = "h_to_h.residual.body.conv"
    sets = [unshared.state_dict()[f"{prefix}.{n}.weight"] for n in range(4)]
    for take, expected in (("first", sets[1]), ("last", sets[3]), ("mean", torch.stack(sets[1:]).mean(0))):
        shared = cg.share(unshared, take)
        assert torch.equal(shared.state_dict()[f"{prefix}.weight"], expected)
        assert cg.check(shared.spec) == []


def test_norms_may_stay_per_step() -> None:
    unshared = randomise(cg.unshare(cg.compile(resnet(3))))
    shared = cg.share(unshared, norms=False)
    names = set(shared.state_dict())
    assert {"h_to_h.residual.body.norm.3.weight", "post.norm.3.weight", "h_to_h.residual.body.conv.weight"} <= names
    assert torch.equal(shared.state_dict()["post.norm.3.bias"], unshared.state_dict()["post.norm.3.bias"])
    assert cg.share(shared).state_dict().keys() == cg.share(unshared).state_dict().keys()


@settings(max_examples=16, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=specs())
def test_any_network_computes_the_same_unshared_and_comes_back(spec: cg.NetworkSpec) -> None:
    torch.manual_seed(0)
    network = cg.share(randomise(cg.compile(spec).double()).eval(), "last")
    unshared = cg.unshare(network)
    x = images(spec)
    for found, expected in ((unshared(x), network(x)), (cg.share(unshared, "first")(x), network(x))):
        pairs = zip(found.values(), expected.values(), strict=True) if isinstance(found, dict) else [(found, expected)]
        assert all(torch.equal(a, b) for a, b in pairs)
    assert cg.share(unshared, "last").spec == network.spec
    back = cg.share(unshared, "last").state_dict()
    assert all(torch.equal(back[name], tensor) for name, tensor in network.state_dict().items())


def test_a_spec_from_a_file_keeps_its_lines() -> None:
    spec = cg.load("ventral")
    assert cg.unshare(spec).origin.file == spec.origin.file
    assert cg.share(cg.unshare(spec), norms=False) == spec


@pytest.mark.parametrize("default", [{"norm": "batch"}, {"body": ["relu", {"norm": "group"}]}], ids=["norm", "body"])
def test_norms_of_the_defaults_stay_per_step_too(default: dict[str, Any]) -> None:
    data = cg.load("ventral").model_dump(mode="json", by_alias=True, exclude_unset=True)
    spec = cg.NetworkSpec.model_validate(data | {"defaults": {"area": default}})
    unshared = cg.unshare(spec)
    kept = {name for name in cg.compile(unshared).state_dict() if "norm" in name}
    assert {name for name in cg.compile(cg.share(unshared, norms=False)).state_dict() if "norm" in name} == kept
    assert cg.share(unshared) == spec


def test_an_unknown_choice_of_weights() -> None:
    with pytest.raises(cg.CompileError, match=r"'median' was given, but `mean`, `first` and `last` are known"):
        cg.share(cg.load("ventral"), "median")


# ---- lesions -----------------------------------------------------------------


CONCAT = """
name: parts
input: {channels: 3, size: 8}
areas:
  A: {channels: 2, size: 8}
  B: {channels: 4, size: 8, merge: concat}
connections:
  - image -> A -> B -> B
  - {from: image, to: B, transform: [{conv: {kernel: 1, channels: 3}}]}
readout: {from: B, classes: 4}
time: {steps: 4}
"""


def test_a_cut_drive_of_a_concatenation_is_zeros() -> None:
    """Against the module written by hand, with the weights of the whole network."""
    torch.manual_seed(0)
    network = randomise(cg.compile(cg.loads(CONCAT)).double()).eval()
    cut = cg.lesion(network, "lateral")
    weights = dict(network.named_modules())
    x = torch.randn(3, 3, 8, 8, dtype=torch.float64)
    a, skip = torch.relu(weights["image_to_A"](x)), weights["image_to_B"](x)
    expected = []
    for drive in (torch.zeros_like(a), a):  # A reaches B at step 2
        parts = [drive, skip, torch.zeros(3, 4, 8, 8, dtype=torch.float64)]
        expected.append(torch.relu(weights["B"].conv(torch.cat(parts, 1))))
    compiled = cg.compile(cut.spec, record={"B": [1, 4]}).double()
    compiled.load_state_dict(cut.state_dict())
    logits, states = compiled.eval()(x)
    torch.testing.assert_close(states["B", 1], expected[0])
    torch.testing.assert_close(states["B", 4], expected[1])
    torch.testing.assert_close(logits, weights["readout"](expected[1]))
    assert torch.equal(cut(x), logits)
    assert cg.check(cut.spec) == []


def test_a_connection_to_which_another_is_tied_can_be_cut_alone() -> None:
    spec = cg.loads(
        """
        name: tied
        input: {channels: 3, size: 8}
        areas: {A: {channels: 4, size: 8}, B: {channels: 4, size: 8}}
        connections:
          - [image -> A, image -> B, A -> B]
          - {from: B, to: A, tie: A -> B}
        readout: {from: A, classes: 4}
        time: {steps: 3}
        """.replace("\n        ", "\n")
    )
    network = randomise(cg.compile(spec)).eval()
    cut = cg.lesion(network, "A -> B")
    assert [c.active for c in cut.spec.connections] == ["always", "always", "never", "always"]
    x = torch.randn(2, 3, 8, 8)
    b = torch.relu(network.image_to_B(x))
    a = torch.relu(network.image_to_A(x) + network.A_to_B(b))
    torch.testing.assert_close(cut(x), network.readout(a))
    assert len(cg.lesion(spec, "A -> B", "B -> A").connections) == 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(spec=specs(), data=st.data())
def test_a_lesion_is_a_connection_that_is_never_active(spec: cg.NetworkSpec, data: st.DataObject) -> None:
    """The weights that are carried over, by the reference interpreter with all weights."""
    torch.manual_seed(0)
    connection = data.draw(st.sampled_from(spec.connections))
    ends = f"{connection.source} -> {connection.target}"
    try:
        with in_64_bits(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "the first response comes later", cg.CortexGraphWarning)
            network = randomise(cg.compile(spec)).eval()
            cut = cg.lesion(network, ends)
    except (cg.CompileError, cg.GraphError):
        assume(False)
    declared = spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for entry in declared["connections"]:
        if f"{entry['from']} -> {entry['to']}" == ends:
            entry["active"] = "never"
    x = images(spec)
    expected, _ = cg.interpret(cg.NetworkSpec.model_validate(declared), network.state_dict(), x)
    torch.testing.assert_close(cut(x), expected, rtol=1e-8, atol=1e-8)


def test_sets_that_move_to_later_steps_are_told() -> None:
    """Without V1 -> IT, IT first responds a step later, with the set of its first response in training."""
    spec = cg.loads(
        """
name: skip
defaults: {area: {norm: {kind: batch, per_step: true}}}
input: {size: 8}
areas: {V1: {channels: 3, size: 8}, V2: {channels: 3, size: 8}, IT: {channels: 3, size: 8}}
connections: [image -> V1 -> V2 -> IT, V1 -> IT]
readout: {from: IT, classes: 2}
time: {steps: 5}
"""
    )
    network = cg.compile(spec)
    with pytest.warns(cg.CortexGraphWarning, match=r"first response comes later in IT \(step 3, not 2\); their param"):
        cut = cg.lesion(network, "V1 -> IT")
    assert "IT_5 = self.IT(self.V2_to_IT(V2_4) + self.V1_to_IT(V1_4), update=4)" in network.source
    assert "IT_5 = self.IT(self.V2_to_IT(V2_4), update=3)" in cut.source


def test_a_word_that_names_no_connection() -> None:
    with pytest.raises(
        cg.CompileError, match=r"lesion V4 -> V9: this does not name a connection(.|\n)*mean `V4 -> V4`(.|\n)*`lateral`"
    ):
        cg.lesion("ventral", "V4 -> V9", "latral")


def test_what_is_left_must_be_a_network() -> None:
    concat = cg.lesion(cg.loads(CONCAT.replace("image -> A -> B -> B", "[image -> B, B -> A, A -> A]")), "feedforward")
    with pytest.raises(cg.CompileError, match=r"B never responds"):
        cg.compile(concat)
    with pytest.raises(cg.GraphError, match=r"areas.V1: no path of connections leads from the image to V1"):
        cg.compile(cg.lesion("ventral", "feedforward"))


def test_what_the_user_froze_stays_frozen() -> None:
    network = cg.compile("ventral", steps=4)
    network.V1_to_V2.requires_grad_(False)
    for edited in (cg.lesion(network, "V4 -> V2"), cg.unshare(network)):
        assert isinstance(edited, torch.nn.Module)
        frozen = {name for name, parameter in edited.named_parameters() if not parameter.requires_grad}
        if "V1_to_V2.conv.weight" in dict(edited.named_parameters()):
            assert "V1_to_V2.conv.weight" in frozen
        assert "V2_to_V4.conv.weight" not in frozen


def test_what_is_frozen_stays_so_under_other_names() -> None:
    """`share` and `unshare` rename parameters: one set becomes several and back."""
    network = cg.compile("ventral", steps=4)
    for part in (network.V1, network.V1_to_V2):
        part.requires_grad_(False)
    for edited in (cg.unshare(network), cg.share(network), cg.share(cg.unshare(network))):
        assert isinstance(edited, torch.nn.Module)
        frozen = {name.partition(".")[0] for name, p in edited.named_parameters() if not p.requires_grad}
        assert {"V1", "V1_to_V2"} <= frozen
        assert not any(p.requires_grad for part in ("V1", "V1_to_V2") for p in edited.get_submodule(part).parameters())
        assert edited.get_parameter("readout.linear.weight").requires_grad


def test_a_share_of_frozen_and_trained_sets_is_trained() -> None:
    network = cg.compile("ventral", steps=6)
    network.IT.norm[0].requires_grad_(False)
    assert all(p.requires_grad for p in cg.share(network).IT.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n: n.V4.register_forward_hook(lambda *_: None), r"V4 has a hook"),
        (lambda n: setattr(n.IT, "activation", nn.Tanh()), r"IT.activation is Tanh\(\), not ReLU\(\)"),
        (
            lambda n: setattr(n.readout, "linear", nn.Linear(128, 5)),
            r"readout.linear is Linear\(in_features=128",
        ),
        (lambda n: nn.utils.parametrizations.weight_norm(n.V1_to_V2.conv), r"V1_to_V2.conv.parametrizations was added"),
    ],
)
@pytest.mark.parametrize("edit", [lambda n: cg.lesion(n, "feedback"), cg.share, cg.unshare])
def test_what_no_spec_says_is_not_dropped(edit: Any, change: Any, message: str) -> None:
    network = cg.compile("ventral", steps=4)
    change(network)
    with pytest.raises(cg.CompileError, match=rf"modules of the network were changed: .*{message}"):
        edit(network)


def test_unshared_sets_are_trained_ones() -> None:
    """Equal sets are copies of a trained one, so that nothing is said of sets that training did not reach."""
    network = cg.compile(resnet(3))
    network.train()(torch.randn(4, 3, 8, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cg.unshare(network.eval())
        cg.unshare(network).eval()


def test_a_run_is_not_a_network() -> None:
    with pytest.raises(cg.CompileError, match=r"a TrainedRun was given.*\n  Give its `.network`, or its `.spec`"):
        cg.lesion(cg.load_run("ventral-cifar10"), "feedback")  # type: ignore[call-overload]
