"""One naming of parameters, whatever T, order, passes and recording; loading by the rule of the language."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cortexgraph.compiler import build, compile_spec, interpret, unroll
from cortexgraph.errors import CortexGraphError
from cortexgraph.passes import PASSES
from cortexgraph.spec import NetworkSpec, load
from cortexgraph.spec.model import ReadoutSpec
from tests.oracle import images, randomise, tensors
from tests.strategies import orders, specs


def per_step_parts(spec: NetworkSpec) -> set[str]:
    """Paths of what has one set for each live update."""
    graph = build(spec)
    chains = {area.identifier: area.body for area in graph.areas}
    chains |= {connection.identifier: connection.transform for connection in graph.connections}
    return {path for name, chain in chains.items() for path, link in chain.walk(name) if link.per_step}


def expected(spec: NetworkSpec, name: str, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """The entry that an entry takes from a state dict, by the rule: beyond the last set, the last."""
    path = next((path for path in per_step_parts(spec) if name.startswith(path + ".")), None)
    if path is None:
        return state[name]
    index, rest = name[len(path) + 1 :].split(".", 1)
    last = max(int(key[len(path) + 1 :].split(".")[0]) for key in state if key.startswith(path + "."))
    return state[f"{path}.{min(int(index), last)}.{rest}"]


def read_low(spec: NetworkSpec) -> NetworkSpec:
    """The spec with a readout of its first area, so that T may end before the others are live."""
    return spec.model_copy(update={"readouts": (ReadoutSpec(source=next(iter(spec.areas)), classes=2, at="all"),)})


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), spec=specs(), passes=st.lists(st.sampled_from([*PASSES]), unique=True), record=st.booleans())
def test_a_state_dict_loads_into_any_steps_order_passes_and_recording(
    data: st.DataObject, spec: NetworkSpec, passes: list[str], record: bool
) -> None:
    read = read_low(spec)
    every = st.integers(1, spec.time.steps + 2), orders(tuple(spec.areas))
    try:
        trained, loaded = (unroll(read, *data.draw(st.tuples(*every))) for _ in range(2))
        assume(trained.readouts and loaded.readouts)
    except CortexGraphError:
        assume(False)
    first = next(iter(spec.areas))
    source = randomise(compile_spec(read, trained.steps, trained.order))
    target = compile_spec(read, loaded.steps, loaded.order, {first: "all"} if record else None, passes)
    state = source.state_dict()
    target.load_state_dict(state)
    for name, value in tensors(target).items():
        assert torch.equal(value, expected(spec, name, state)), name


def test_an_area_that_is_silent_up_to_t_has_one_set_that_a_longer_t_takes_over() -> None:
    spec = load("ventral", {"readout.from": "V1", "readout.at": "all"})
    short, long = compile_spec(spec, steps=2), compile_spec(spec, steps=6, order="sequential")
    assert [name for name in short.state_dict() if name.startswith("IT.norm") and "weight" in name] == [
        "IT.norm.0.weight"
    ]
    assert not any(parameter.requires_grad for parameter in short.IT.parameters())
    randomise(short)
    long.load_state_dict(short.state_dict())
    for n in range(6):
        assert torch.equal(long.state_dict()[f"IT.norm.{n}.bias"], short.state_dict()["IT.norm.0.bias"])
    short.load_state_dict(long.state_dict())


def test_a_connection_has_sets_for_the_updates_of_those_that_are_tied_to_it() -> None:
    data = load("ventral").model_dump(mode="json", by_alias=True)
    data["areas"] |= {"late": {"channels": 16, "size": 32}}
    owner = {"from": "IT", "to": "late", "name": "owner", "kernel": 1, "weights": "per_step", "delay": 1}
    data["connections"] += [owner, {"from": "image", "to": "V1", "kernel": 1, "tie": "owner"}]
    data["input"]["channels"] = 128
    spec = NetworkSpec.model_validate(data)
    graph = unroll(spec)
    assert (graph.ordinals["late"], graph.ordinals["V1"]) == (1, 6)
    found = [name for name in compile_spec(spec).state_dict() if name.startswith("owner.")]
    assert found == [f"owner.conv.{n}.weight" for n in range(6)]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=specs())
def test_a_state_dict_loads_into_more_steps_and_back(spec: NetworkSpec) -> None:
    each = {"at": "all", "over_time": "each"}  # the classifier of states together is for listed steps
    readouts = (r.model_copy(update=each if r.over_time == "concat" else {"at": "all"}) for r in spec.readouts)
    read = spec.model_copy(update={"readouts": tuple(readouts)})
    short, long = compile_spec(read).eval(), compile_spec(read, steps=spec.time.steps + 2).eval()
    long.load_state_dict(short.state_dict())
    again = compile_spec(read).eval()
    again.load_state_dict(long.state_dict())
    state = again.state_dict()
    for name, value in short.state_dict().items():
        assert torch.equal(state[name], value), name
    x = images(spec, batch=2, dtype=torch.float32)
    one, more = short(x), long(x)
    first = spec.readouts[0].name or spec.readouts[0].source
    one, more = (logits if isinstance(logits, torch.Tensor) else logits[first] for logits in (one, more))
    torch.testing.assert_close(more[:, : one.shape[1]], one, rtol=1e-4, atol=1e-4)
    meant, _ = interpret(read, short.state_dict(), x, steps=spec.time.steps + 2)  # beyond the last set, the last
    meant = meant if isinstance(meant, torch.Tensor) else meant[first]
    torch.testing.assert_close(more, meant, rtol=1e-3, atol=1e-3)


def test_a_mismatch_names_the_connection_and_both_shapes() -> None:
    state = compile_spec(load("ventral")).state_dict()
    wider = compile_spec(load("ventral", {"areas.V2.channels": 24}))
    with pytest.raises(RuntimeError, match=r"V1_to_V2\.conv\.weight.*\[32, 16, 3, 3\].*\[24, 16, 3, 3\]"):
        wider.load_state_dict(state)


def test_a_missing_part_is_named() -> None:
    state = compile_spec(load("ventral")).state_dict()
    del state["V4.norm.0.weight"], state["IT_to_V4.conv.weight"]
    with pytest.raises(RuntimeError, match=r"Missing key\(s\).*V4\.norm\.0\.weight.*IT_to_V4\.conv\.weight"):
        compile_spec(load("ventral")).load_state_dict(state)


# ---- names -----------------------------------------------------------------------


def named() -> NetworkSpec:
    """Parallel connections with and without names, and transposed convolutions among others."""
    up = {"conv_transpose": {"kernel": 3, "stride": 1}}
    connections = [
        {"from": "image", "to": "V1", "name": "retina/LGN"},
        {"from": "image", "to": "V1", "transform": [up, "relu", {"conv": 3}, up]},
        {"from": "image", "to": "V1"},
        {"from": "V1", "to": "V2", "name": "V1 to V2, fast", "weights": "per_step", "transform": [{"conv": 3}, up]},
        {"from": "V2", "to": "V1", "kernel": 3, "resize": "transposed", "gain": "learned"},
        {"from": "V1", "to": "V2", "tie": "V1 to V2, fast", "delay": 1, "transform": [{"conv": 3}, up]},
        {"from": "V1", "to": "V1", "name": "image_to_V1", "kernel": 1},
    ]
    block = {"residual": {"body": [up, {"conv": 3}], "shortcut": [{"conv_transpose": {"kernel": 1, "stride": 1}}]}}
    return NetworkSpec.model_validate(
        {
            "name": "named",
            "input": {"channels": 3, "size": 8},
            "areas": {
                "V1": {"channels": 4, "size": 8, "body": [up, block, {"conv": 1}, "relu"]},
                "V2": {"channels": 4, "size": 8, "cell": "conv_gru"},
            },
            "connections": connections,
            "readout": {"from": "V2", "classes": 3},
            "time": {"steps": 4},
        }
    )


FORMER = {
    "V1.conv_transpose": "V1.conv",
    "V1.residual.body.conv_transpose": "V1.residual.body.conv",
    "V1.residual.body.conv": "V1.residual.body.conv_2",
    "V1.residual.shortcut.conv_transpose": "V1.residual.shortcut.conv",
    "V1.conv": "V1.conv_2",
    "V2.cell": "V2.cell",
    "V2.cell.input": "V2.cell.input",
    "V2.cell.state": "V2.cell.state",
    "retina_LGN.conv": "image_to_V1.conv",
    "image_to_V1_2.conv_transpose": "image_to_V1_2.conv",
    "image_to_V1_2.conv": "image_to_V1_2.conv_2",
    "image_to_V1_2.conv_transpose_2": "image_to_V1_2.conv_3",
    "image_to_V1_3.conv": "image_to_V1_3.conv",
    **{f"V1_to_V2_fast.conv.{n}": f"V1_to_V2.conv.{n}" for n in range(3)},
    **{f"V1_to_V2_fast.conv_transpose.{n}": f"V1_to_V2.conv_2.{n}" for n in range(3)},
    "V2_to_V1.conv_transpose": "V2_to_V1.conv",
    "V2_to_V1.gain": "V2_to_V1.gain",
    "image_to_V1_4.conv": "V1_to_V1.conv",
}
"""Paths of parameters of today, and those of version 0.1."""


def test_names_of_connections_and_words_of_operations_show_in_the_state_dict_and_the_emitted_file() -> None:
    network = compile_spec(named())
    assert {name.rpartition(".")[0] for name in network.state_dict()} == {*FORMER, "readout.linear"}
    assert "self.V1_to_V2_fast = " in network.source
    assert "conv_transpose=nn.ConvTranspose2d(" in network.source


def test_a_state_dict_of_version_0_1_loads_by_ends_and_roles() -> None:
    spec = named()
    source, target, again = randomise(compile_spec(spec)), compile_spec(spec, steps=6), compile_spec(spec)
    state = source.state_dict()
    split = {key: key.rpartition(".") for key in state}
    old = {f"{FORMER.get(path, path)}.{name}": state[key] for key, (path, _, name) in split.items()}
    assert len(old) == len(state)
    target.load_state_dict(old)
    again.load_state_dict(target.state_dict())
    for name, value in tensors(source).items():
        assert torch.equal(tensors(again)[name], value), name
    x = images(spec).float()
    (found, _), (expected, _) = interpret(spec, old, x), interpret(spec, state, x)
    assert torch.equal(found, expected)


def test_a_name_frees_no_number_so_that_no_path_of_version_0_1_means_another_connection() -> None:
    spec = named()
    plain = [c.model_copy(update={"name": None}) for c in spec.connections if c.tie is None]
    of_ends = {c.index: c.identifier for c in build(spec.model_copy(update={"connections": tuple(plain)})).connections}
    found = {c.index: c.identifier for c in build(spec).connections}
    assert [found[1], found[2]] == [of_ends[1], of_ends[2]] == ["image_to_V1_2", "image_to_V1_3"]


# ---- the model library of version 0.1 ----------------------------------------------

LIBRARY = json.loads((Path(__file__).parent / "goldens" / "state_dicts_0_1.json").read_text())
"""For each spec of version 0.1 the paths of its parameters (`[n]`: n per-step sets) and their tensors with shapes."""


def entries_of(paths: dict[str, str]) -> Iterator[tuple[str, torch.Tensor]]:
    for key, leaves in paths.items():
        path, _, sets = key.removesuffix("]").partition(".[")
        for owner in [f"{path}.{n}" for n in range(int(sets))] if sets else [path]:
            for leaf in leaves.split():
                name, _, shape = leaf.partition(":")
                yield f"{owner}.{name}", torch.empty([int(n) for n in shape.split("x") if n], device="meta")


@pytest.mark.parametrize("name", [*LIBRARY])
def test_weights_of_the_library_of_version_0_1_load(name: str) -> None:
    state = dict(entries_of(LIBRARY[name]))
    with torch.device("meta"):
        network = compile_spec(load(name))
    network.load_state_dict(state)
    assert len(network.state_dict()) == len(state)
