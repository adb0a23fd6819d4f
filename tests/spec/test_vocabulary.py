"""Words of other tools are understood: findings name the word of the language, or say where it belongs."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

import cortexgraph as cg
from cortexgraph.errors import CortexGraphError
from tests.changes import TWO_AREAS

AREA, CONNECTION, READOUT = ("areas", "V1"), ("connections", 1), ("readout",)


def repairs(path: tuple[Any, ...], key: str, value: Any, without: str = "") -> list[str]:
    data = copy.deepcopy(TWO_AREAS)
    part: Any = data
    for step in path:
        part = part[step] if isinstance(part, list) else part.setdefault(step, {})
    part.pop(without, None)
    part[key] = value
    try:
        return [finding.repair for finding in cg.check(cg.loads(json.dumps(data), file="v.json"))]
    except CortexGraphError as error:
        return [finding.repair for finding in error.diagnostics]


@pytest.mark.parametrize(
    ("path", "key", "meant"),
    [
        (AREA, "filters", "channels"),
        (AREA, "out_channels", "channels"),
        (AREA, "width", "size"),
        (CONNECTION, "kernel_size", "kernel"),
        (CONNECTION, "source", "from"),
        (CONNECTION, "target", "to"),
        (CONNECTION, "type", "kind"),
        (CONNECTION, "upsampling", "resize"),
        (CONNECTION, "latency", "delay"),
        (READOUT, "num_classes", "classes"),
        (READOUT, "layer", "from"),
        (("time",), "T", "steps"),
        (("time",), "dt", "dt_ms"),
        ((), "image", "input"),
        ((), "title", "name"),
        ((), "edges", "connections"),
        ((), "layers", "areas"),
    ],
)
def test_a_key_of_other_tools(path: tuple[Any, ...], key: str, meant: str) -> None:
    assert f"Did you mean `{meant}`?" in repairs(path, key, 1, without=meant)


@pytest.mark.parametrize(
    ("path", "key", "repair"),
    [
        (CONNECTION, "padding", "write a transform: `[{conv: {kernel: 3, padding: 1}}]`"),
        (CONNECTION, "pool", "`transform: [{max_pool: 2}]`"),
        (CONNECTION, "filters", "an entry of `areas`, where it is called `channels`"),
        (CONNECTION, "activation", "an entry of `areas`"),
        (CONNECTION, "inhibitory", "`sign: inhibitory`"),
        (CONNECTION, "bidirectional", "`V1 -> V2` and `V2 -> V1`"),
        (CONNECTION, "depthwise", "`transform: [{depthwise: 3}, {conv: 1}]`"),
        (("defaults",), "norm", "It belongs in `defaults.area`: move it there."),
        (("defaults",), "kernel", "It belongs in `defaults.connection`: move it there."),
        (("defaults",), "areas", "Did you mean `area`?"),
        (("defaults",), "edges", "Did you mean `connection`?"),
        (AREA, "channels:8", "Put a space after the colon: `channels: 8`."),
        (("areas",), "V3:{channels", "Put a space after the colon: `V3: {channels`."),
        (AREA, "kernel_size", "an entry of `connections`, where it is called `kernel`"),
        (AREA, "stride", "an entry of `connections`: move it there"),
        (AREA, "recurrent", "`V1 -> V1`"),
        (AREA, "dropout", "{dropout: 0.5}"),
        (("time",), "tau", "{tau_ms: 20}"),
        ((), "steps", "belongs in `time`: move it there"),
        ((), "T", "belongs in `time`, where it is called `steps`"),
        ((), "seed", "`cortexgraph train`"),
    ],
)
def test_a_key_that_belongs_elsewhere(path: tuple[Any, ...], key: str, repair: str) -> None:
    assert any(repair in each for each in repairs(path, key, 1))


@pytest.mark.parametrize(
    ("path", "key", "value", "meant"),
    [
        (AREA, "cell", "gru", "conv_gru"),
        (AREA, "cell", "LSTM", "conv_lstm"),
        (AREA, "cell", "RNN", "simple"),
        (AREA, "activation", "ReLU", "relu"),
        (AREA, "activation", "swish", "silu"),
        (AREA, "norm", "BatchNorm2d", "batch"),
        (AREA, "norm", "ln", "layer"),
        (AREA, "merge", "add", "sum"),
        (AREA, "body", ["BatchNorm2d"], "norm"),
        (CONNECTION, "transform", ["Linear"], "linear"),
        (CONNECTION, "transform", ["res_block"], "residual"),
        (CONNECTION, "transform", ["pointwise"], "conv"),
        (CONNECTION, "transform", ["AdaptiveAvgPool2d"], "avg_pool"),
        (CONNECTION, "resize", "deconv", "transposed"),
        (CONNECTION, "kind", "top-down", "feedback"),
        (CONNECTION, "kind", "recurrent", "lateral"),
        (CONNECTION, "active", "every", "always"),
        (CONNECTION, "role", "gating", "modulate"),
        (READOUT, "pool", "none", "flatten"),
        (READOUT, "at", "every", "all"),
        (("time",), "order", "parallel", "simultaneous"),
    ],
)
def test_a_word_of_other_tools(path: tuple[Any, ...], key: str, value: Any, meant: str) -> None:
    assert f"Did you mean `{meant}`?" in repairs(path, key, value)


@pytest.mark.parametrize(
    ("path", "key", "value", "repair"),
    [
        (
            CONNECTION,
            "role",
            "inhibit",
            "Write `sign: inhibitory` to subtract, or `role: modulate` with `gate: divisive`",
        ),
        (CONNECTION, "transform", "Conv2d", "Put it in brackets: `[conv]`."),
        (AREA, "body", [{"dropout": 50}], "Write, for example, `dropout: 0.5`"),
        (CONNECTION, "from", "input", "Did you mean `image`?"),
        (READOUT, "from", "image", "Read an area that the image drives, such as `from: V2`."),
        (AREA, "size", 15, "Write it as a separate entry: `{from: image, to: V1, resize: pool}`"),
        (CONNECTION, "transform", [{"conv2d": {"kernel_size": 3}}], "Did you mean `conv`?"),
        (CONNECTION, "transform", [{"conv2d": {"kernel_size": 3}}], "Did you mean `kernel`?"),
    ],
)
def test_the_repair_of_a_value(path: tuple[Any, ...], key: str, value: Any, repair: str) -> None:
    assert any(each.startswith(repair) for each in repairs(path, key, value))


@pytest.mark.parametrize(("path", "key"), [(CONNECTION, "activation"), (CONNECTION, "norm"), (AREA, "stride")])
def test_a_word_of_the_language_is_no_misspelling_of_another(path: tuple[Any, ...], key: str) -> None:
    """`activation` is as near to `dilation` as a misspelling is."""
    assert not [each for each in repairs(path, key, 1) if "Did you mean" in each]


@pytest.mark.parametrize(
    ("written", "repair"),
    [
        ("V1 <-> V2", "Write each direction: `V1 -> V2` and `V2 -> V1`."),
        ("V1 <- V2", "Write it from its source on: `V2 -> V1`."),
        ("V1, V2", "The arrow is `->`: write `V1 -> V2`."),
        ("V1 - V2", "The arrow is `->`: write `V1 -> V2`."),
        ("V1 => V2", "The arrow is `->`: write `V1 -> V2`."),
        ("(V1, V2)", "The arrow is `->`: write `V1 -> V2`."),
        ("(V1 -> V2)", "Remove the brackets: write `V1 -> V2`."),
        ("V1 -> (V2)", "Remove the brackets: write `V1 -> V2`."),
    ],
)
def test_another_arrow(written: str, repair: str) -> None:
    data = copy.deepcopy(TWO_AREAS)
    data["connections"].append(written)
    with pytest.raises(CortexGraphError, match="bad-chain") as caught:
        cg.loads(json.dumps(data), file="v.json")
    assert [finding.repair for finding in caught.value.diagnostics] == [repair]
