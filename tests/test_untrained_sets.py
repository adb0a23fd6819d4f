"""Parameters per step that training did not reach: the last trained set is used, and a warning says so once."""

from __future__ import annotations

import copy
import pickle
import warnings

import pytest
import torch
from torch.nn import functional

import cortexgraph as cg
from cortexgraph.network import CompiledNetwork

LONGER = """
name: longer
input: {channels: 2, size: 4}
defaults: {area: {norm: {kind: batch, per_step: true}}}
areas: {A: {channels: 3, size: 4}, B: {channels: 3, size: 4}}
connections: [image -> A -> B -> A]
readout: {from: B, classes: 3}
time: {steps: 4}
"""

BEYOND = r"T = 6, .* reach: A has 3 trained sets for 5 updates, B has 3 trained sets for 5 updates"


def trained(network: CompiledNetwork, batches: int = 2) -> CompiledNetwork:
    torch.manual_seed(0)
    optimiser = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    for _ in range(batches):
        optimiser.zero_grad()
        functional.cross_entropy(network.train()(torch.randn(8, 2, 4, 4)), torch.arange(8) % 3).backward()
        optimiser.step()
    return network


def longer(network: CompiledNetwork, steps: int = 6) -> CompiledNetwork:
    other = cg.compile(network.spec, steps=steps)
    other.load_state_dict(network.state_dict())
    return other


def is_quiet(network: CompiledNetwork) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network.eval()
        network(torch.randn(2, 2, 4, 4))
    return True


def test_it_is_said_once_with_the_numbers_of_sets() -> None:
    network = longer(trained(cg.compile(cg.loads(LONGER))))
    with pytest.warns(cg.CortexGraphWarning, match=BEYOND):
        network.eval()
    assert is_quiet(network)
    assert is_quiet(network.train())
    assert is_quiet(copy.deepcopy(network))
    assert is_quiet(pickle.loads(pickle.dumps(network)))


def test_it_is_said_on_loading_into_a_network_in_evaluation() -> None:
    source = trained(cg.compile(cg.loads(LONGER)))
    other = cg.compile(source.spec, steps=6).eval()
    with pytest.warns(cg.CortexGraphWarning, match=BEYOND):
        other.load_state_dict(source.state_dict())
    part = torch.nn.ModuleDict({"inner": cg.compile(source.spec, steps=6)}).eval()
    with pytest.warns(cg.CortexGraphWarning, match=BEYOND):
        part.load_state_dict({f"inner.{name}": value for name, value in source.state_dict().items()})


def test_nothing_is_said_where_training_reached_all_that_is_used() -> None:
    network = trained(cg.compile(cg.loads(LONGER)))
    assert is_quiet(network)
    assert is_quiet(longer(network, steps=4))
    assert is_quiet(longer(network, steps=3))
    assert is_quiet(longer(cg.compile(cg.loads(LONGER))))  # nothing was trained


def test_nothing_is_said_while_training_goes_on_with_more_steps() -> None:
    network = longer(trained(cg.compile(cg.loads(LONGER))))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained(network)
    assert is_quiet(network)


def test_recorded_updates_that_no_readout_reaches_count() -> None:
    source = trained(cg.compile(cg.loads(LONGER)))
    recording = cg.compile(source.spec, record="A")
    recording.load_state_dict(source.state_dict())
    with pytest.warns(cg.CortexGraphWarning, match=r"T = 4, .* reach: A has 3 trained sets for 4 updates"):
        recording.eval()
    own = trained_recording()
    with pytest.warns(cg.CortexGraphWarning, match=r"A has 3 trained sets for 4 updates"):
        own.eval()


def trained_recording() -> CompiledNetwork:
    network = cg.compile(cg.loads(LONGER), record="A")
    network.train()(torch.randn(8, 2, 4, 4))
    return network


def test_a_loop_counts_with_all_of_its_updates() -> None:
    network = longer(trained(cg.compile(cg.loads(LONGER))), steps=40)
    assert network.unrolled.loop is not None
    with pytest.warns(UserWarning, match=r"T = 40, .* A has 3 trained sets for 39 updates, B has 3"):
        network.eval()


def test_weights_per_step_without_a_norm() -> None:
    spec = cg.loads(LONGER.replace("defaults: {area: {norm: {kind: batch, per_step: true}}}", ""))
    network = trained(cg.compile(cg.unshare(spec)))
    with pytest.warns(cg.CortexGraphWarning, match=r"T = 6, .*image -> A has 3 trained sets for 5 updates"):
        longer(network).eval()


def test_a_state_dict_that_keeps_variables_holds_the_parameters_themselves() -> None:
    network = cg.compile("ventral")
    state = network.state_dict(keep_vars=True)
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        assert state[name] is tensor
    assert state.keys() == network.state_dict().keys()
    torch.manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    plain = network.state_dict()
    unlike = [
        name for name, tensor in network.state_dict(keep_vars=True).items() if not torch.equal(tensor, plain[name])
    ]
    assert unlike  # sets that training does not reach: a plain state dict has the last trained one in their place
    assert all(".norm." in name for name in unlike)
