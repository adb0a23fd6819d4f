"""Configurations of PyTorchTNN: every kind of node of the 14 released ones, against a reader written by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from cortexgraph.compiler import compile_spec
from cortexgraph.errors import CortexGraphError
from cortexgraph.released import read_weights
from cortexgraph.released.tnn import Unroll, import_tnn
from tests import changes
from tests.cli.conftest import Run
from tests.released.modules import randomised
from tests.released.tnn_by_hand import TNN

Json = dict[str, Any]
CONCAT, SAME = {"name": "ResizeConcat"}, {"name": "Identity"}


def conv(channels: int, k: int | list[int] = 3, s: int | list[int] = 1, p: object = "same", **more: object) -> Json:
    options: Json = {"name": "Conv2dCell", "out_channels": channels, "ksize": k, "stride": s, "padding": p}
    return options | {"init_dict": None, "bias": 0.0, "activation": None, "batchnorm": None} | more


def pool(k: int = 2, s: object = 2, p: int = 0, **more: object) -> Json:
    return {"name": "MaxPool", "ksize": k, "stride": s, "padding": p} | more


def node(name: str, source: str | None, channels: int, pre: Json, cell: Json | str, post: Json, **more: object) -> Json:
    cell = {"name": cell} if isinstance(cell, str) else cell
    made: Json = {"name": name, "shape_from": source, "harbor_policy": CONCAT, "pre_memory": pre}
    return made | {"recurrent_cell": cell, "post_memory": post, "out_channels": channels} | more


def residual(forward: Json, back: Json | None) -> Json:
    options = {"feedforward_func_kwargs": forward, "residual_func_kwargs": back}
    return {"name": "ResidualAdd", **options, "activation": "ReLU"}


def decay(tau: float, trainable: bool) -> Json:
    return {"name": "TimeDecayRecurrentCell", "tau": tau, "trainable": trainable}


def edges(*pairs: str) -> list[Json]:
    return [dict(zip(("from", "to"), pair.split(" "), strict=True)) for pair in pairs]


VARY = {"batchnorm_timevary": True, "use_bias": False, "bias": None}
RESIDUAL: Json = {
    "nodes": [
        node("conv1", None, 4, conv(4, [7, 7], 2, 3, activation="ReLU", batchnorm=4, **VARY), "IdentityCell",
             pool(3, 2, 1)),
        node("b0", "conv1", 4, conv(4, [3, 3], 1, 1, activation="ReLU", batchnorm=4, **VARY), "IdentityCell",
             residual(conv(4, [3, 3], 1, 1, in_channels=4, batchnorm=4, **VARY), None), residual=True),
        node("b1", "b0", 6, conv(6, [3, 3], 2, 1, activation="ReLU", batchnorm=6, **VARY), "IdentityCell",
             residual(conv(6, [3, 3], 1, 1, in_channels=6, batchnorm=6, **VARY),
                      conv(6, [1, 1], 2, 0, in_channels=4, batchnorm=6, **VARY)), residual=True),
        node("fc", "b1", 5, {"name": "Identity"}, "IdentityCell", {"name": "Sequential", "list_of_func_kwargs": [
            {"name": "AdaptiveAvgPool", "output_size": [1, 1]},
            {"name": "FullyConnected", "out_channels": 5, "init_dict": None, "use_bias": True, "bias": 1.0,
             "activation": None, "batchnorm": None, "dropout": 0.0}]}, residual=False),
    ],
    "edges": edges("conv1 b0", "b0 b1", "b1 fc"),
    "input_nodes": ["conv1"], "output_node": "fc", "input_shape": [3, 24, 24], "num_timesteps": 6,
}  # fmt: skip
BASIC = {"name": "ConvRNNBasicCell", "state_shape": [12, 12], "out_channels": 4, "activation": "ReLU"}
BASIC |= {"ksize": [3, 3], "stride": 1, "padding": 1}
GATES = {"input_in_channels": 4, "out_channels": 4}
RECURRENT: Json = {
    "nodes": [
        node("a", None, 4, conv(4, [3, 3], [2, 2], 1), BASIC, {"name": "Identity"}),
        node("b", "a", 4, conv(4, activation="ELU"), decay(0.0, False), {"name": "Sequential", "list_of_func_kwargs": [
            {"name": "ActivationLayer", "activation": "ELU"}, pool(2, [2, 2], ceil_mode=True)]}),
        node("c", "b", 6, conv(6, activation="ELU"), decay(0.5, True), {"name": "Sequential", "list_of_func_kwargs": [
            residual(conv(6, in_channels=6), conv(6, 1, use_bias=False, bias=None, in_channels=8)),
            pool(3, 2, ceil_mode=True)]}, residual=True),
        node("d", "c", 4, conv(4, activation="ELU"), {"name": "IntersectionRNNCell", "ksize": [3, 3], **GATES},
             pool(1, 1)),
        node("e", "d", 4, conv(4, activation="ELU"), {"name": "ReciprocalGatedCell", "cell_depth": 4, **GATES},
             pool(2, 2, ceil_mode=True)),
        node("f", "e", 4, conv(4), {"name": "UGRNNCell", "ksize": 3, **GATES}, {"name": "Identity"},
             harbor_policy=SAME),
        node("g", "f", 5, conv(5, [2, 2], 1, "valid"), "IdentityCell",
             {"name": "AdaptiveAvgPool", "output_size": [1, 1]}),
    ],
    "edges": edges("a b", "b c", "c d", "d e", "e f", "f g", "c a", "a c", "d a"),
    "input_nodes": ["a"], "output_node": "g", "input_shape": [3, 24, 24], "num_timesteps": 7,
    "ff_order": ["a", "b", "c", "d", "e", "f", "g"],
}  # fmt: skip
SIZES = {
    "residual": {"conv1": (6, 6), "b0": (6, 6), "b1": (3, 3), "fc": (1, 1)},
    "recurrent": {"a": (12, 12), "b": (6, 6), "c": (3, 3), "d": (3, 3), "e": (2, 2), "f": (2, 2), "g": (1, 1)},
}
CONFIGS = {"residual": RESIDUAL, "recurrent": RECURRENT}


@pytest.mark.parametrize("unroll", ["simultaneous", "sequential"])
@pytest.mark.parametrize("name", CONFIGS)
def test_an_imported_network_equals_the_reader_at_every_node_and_step(
    name: str, unroll: Unroll, tmp_path: Path
) -> None:
    (tmp_path / "net.json").write_text(json.dumps(CONFIGS[name]))
    torch.manual_seed(0)
    theirs = randomised(TNN(CONFIGS[name], SIZES[name], features=6)).double()
    torch.save({"state_dict": {f"model.{k}": v.float() for k, v in theirs.state_dict().items()}}, tmp_path / "net.pth")
    theirs.load_state_dict({k: v.float().double() for k, v in theirs.state_dict().items()})
    spec, keys = import_tnn(tmp_path / "net.json", unroll=unroll)
    (tmp_path / "net.keys.yaml").write_text(keys)
    weights = read_weights(tmp_path / "net.pth", spec, tmp_path / "net.keys.yaml")
    assert weights.unused == (("b._recurrent_cell.tau",) if name == "recurrent" else ())
    network = compile_spec(spec, record=dict.fromkeys(SIZES[name], "all")).eval()
    network.load_state_dict(weights.state)
    x = torch.randn(2, 3, 24, 24, dtype=torch.float64)
    with torch.no_grad():
        expected = theirs(x, unroll == "sequential")
        logits, states = network.double()(x)
    output = CONFIGS[name]["output_node"]
    torch.testing.assert_close(logits, torch.stack([step[output].flatten(1) for step in expected], 1))
    assert float(logits.std()) > 1e-3
    late = {
        "conv1": 3,
        "b0": 4,
        "b1": 5,
    }  # steps from which no readout reads an area: there its norms were never trained
    for (area, step), value in states.items():
        if unroll == "sequential" or name == "recurrent" or step <= late.get(area, 9):
            torch.testing.assert_close(value, expected[step - 1][area], msg=f"{area} at step {step}")


def test_the_command_writes_a_spec_and_its_key_map(run: Run) -> None:
    Path("net.json").write_text(json.dumps(RECURRENT))
    result = run("import", "tnn", "net.json", "-o", "net.yaml")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("wrote net.yaml (")
    assert "net.keys.yaml; next: cortexgraph check net.yaml" in result.out
    assert run("check", "net.yaml").code == 0
    theirs = randomised(TNN(RECURRENT, SIZES["recurrent"], features=6))
    torch.save(theirs.state_dict(), "net.pth")
    assert run("import", "weights", "net.pth", "--spec", "net.yaml", "-o", "net.safetensors").code == 0
    assert Path("net.safetensors").exists()


def changed(*path: str | int, value: object) -> Json:
    """The configuration with another value somewhere; None removes it."""
    return changes.changed(RECURRENT, {path: value})


WRONG = {
    r"nodes\[2\]\.\S*ksiz: the key `ksiz` is unknown": changed("nodes", 2, "pre_memory", "ksiz", value=3),
    r"nodes\[0\]\.recurrent_cell": changed("nodes", 0, "recurrent_cell", "name", value="PeepholeCell"),
    r"nodes\[6\]\.pre_memory\S*padding_mode": changed("nodes", 6, "pre_memory", "padding_mode", value="reflect"),
    r"edges\[1\]\.to: no node is called `z`": changed("edges", 1, "to", value="z"),
    "no node is called `z`": changed("output_node", value="z"),
    "the size of `c` follows from itself": changed("nodes", 1, "shape_from", value="c"),
    "`e` has no input": changed("edges", 3, value={"from": "d", "to": "f"}),
    "`out_channels` is 9, but its operations give 4 channels": changed("nodes", 5, "out_channels", value=9),
    "`num_timesteps` is missing": changed("num_timesteps", value=None),
    "a reciprocal gated cell with 2 inputs is not supported": changed("edges", 8, value={"from": "a", "to": "e"}),
    "the key `output_node` is missing": changed("output_node", value=None),
}


@pytest.mark.parametrize("found", WRONG)
def test_what_is_wrong_with_a_configuration(found: str, run: Run) -> None:
    Path("net.json").write_text(json.dumps(WRONG[found]))
    with pytest.raises(CortexGraphError, match=found):
        import_tnn("net.json")
    assert run("import", "tnn", "net.json", "-o", "net.yaml").code == 1
    assert [path.name for path in Path().iterdir()] == ["net.json"]


def test_findings_come_at_once_with_their_lines(run: Run) -> None:
    config = changed("nodes", 2, "pre_memory", "ksiz", value=3)
    config["nodes"][4]["out_chanels"] = 3
    Path("net.json").write_text(json.dumps(config, indent=1))
    result = run("import", "tnn", "net.json", "-o", "net.yaml")
    assert "the key `ksiz` is unknown" in result.err
    assert "the key `out_chanels` is unknown" in result.err
    assert result.err.count("net.json:") == 2


def test_feedback_without_an_order_takes_the_longest_path(tmp_path: Path) -> None:
    config = changed("ff_order", value=None)
    (tmp_path / "net.json").write_text(json.dumps(config))
    spec, _ = import_tnn(tmp_path / "net.json", unroll="sequential")
    (tmp_path / "net.json").write_text(json.dumps(RECURRENT))
    assert spec == import_tnn(tmp_path / "net.json", unroll="sequential")[0]
    config["edges"] += edges("g h", "h a")
    config["nodes"].append(node("h", "g", 4, conv(4), "IdentityCell", SAME))
    (tmp_path / "net.json").write_text(json.dumps(config))
    with pytest.raises(CortexGraphError, match="nothing says in which order its nodes are computed"):
        import_tnn(tmp_path / "net.json", unroll="sequential")
