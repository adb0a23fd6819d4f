"""Small inputs on which version 0.1 failed; the files of the collection are read where they lie beside the checkout."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from cortexgraph.checks.shapes import batch_norm_over_one_value
from cortexgraph.compiler import build, check, compile_spec, interpret
from cortexgraph.data import load_data
from cortexgraph.errors import CompileError, CortexGraphError, GraphError, SpecError
from cortexgraph.graph import resolved
from cortexgraph.spec import NetworkSpec, load, loads
from cortexgraph.training import train
from cortexgraph.training.settings import TrainSettings
from tests.oracle import randomise

CASES = Path(__file__).parents[2] / "shared" / "cases"
SPECS = sorted(
    path for suffix in ("yaml", "json") for path in CASES.glob(f"*.{suffix}") if "experiment" not in path.stem
)
UNSOUND = {"c02_even_kernel": GraphError, "surrogate_connection": SpecError}


def network(areas: str, connections: str, readout: str = "{from: A, classes: 3}", size: int = 16) -> str:
    return (
        f"name: case\ninput: {{channels: 3, size: {size}}}\nareas: {{{areas}}}\nconnections: [{connections}]\n"
        f"readout: {readout}\ntime: {{steps: 5}}\n"
    )


@pytest.mark.skipif(not SPECS, reason=f"there is no folder {CASES.parent.name}/{CASES.name} beside the checkout")
def test_every_spec_of_the_collection_is_compiled_or_refused_with_a_repair() -> None:
    for path in SPECS:
        expected = UNSOUND.get(path.stem)
        if expected is None:
            compile_spec(load(path))
            continue
        with pytest.raises(CortexGraphError, match=r"\[.*\]") as caught:
            build(load(path))
        assert type(caught.value) is expected
        assert all(finding.repair for finding in caught.value.diagnostics)


# ---- half a character -------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "place"),
    [
        ({"connections": ["image -> A", "\ud800"]}, "connections[1]"),
        ({"connections": ["image -> A\udfff"]}, "connections[0]"),
        ({"name": "\ud800"}, "name"),
        ({"areas": {"A\ud800": {"channels": 2}}}, r"areas['A\ud800']"),
        ({"description": "\udc00"}, "description"),
        ({"areas": {"A": {"channels": 2, "body": [{"\ud800": 1, "relu": None}]}}}, r"areas.A.body[0]['\ud800']"),
        ({"areas": {"A": {"channels": 2, "\ud800": 1}}}, r"areas.A['\ud800']"),
        (
            {"connections": ["image -> A", {"from": "A", "to": "A", "tie": "\ud800", "weights": "shared"}]},
            "connections[1].tie",
        ),
    ],
)
def test_half_a_character_is_a_finding(data: dict[str, object], place: str) -> None:
    whole = {"name": "m", "input": {"size": 8}, "areas": {"A": {"channels": 2}}, "connections": ["image -> A"]}
    whole |= {"readout": {"from": "A", "classes": 2}, "time": {"steps": 1}}
    with pytest.raises(SpecError, match=r"(?s)half a character.*\[not-text\]") as caught:
        NetworkSpec.model_validate(whole | data)
    assert place in {finding.place for finding in caught.value.diagnostics}
    str(caught.value).encode()


def test_half_a_character_in_a_json_file_is_a_finding_with_its_line() -> None:
    text = (
        '{"name": "m", "input": {"size": 8}, "areas": {"A": {"channels": 2}},\n"connections": ["\\ud800"],'
        '"readout": {"from": "A", "classes": 2}, "time": {"steps": 1}}'
    )
    with pytest.raises(SpecError, match=r"m\.json:2: connections\[0\]: .*half a character"):
        loads(text, file="m.json")


# ---- all findings at once ----------------------------------------------------------

HIDDEN = """\
name: hidden
input: {chanels: 3, size: 16}
areas:
  A: {channels: 4, siz: 16, activation: ReLU, norm: BatchNorm}
  B: {filters: 6, size: 8, cell: GRU}
  C: {channels: 2, size: 8, body: [{Conv2d: 3}, ReLU], cel: lstm}
  D: {channels: 2, size: 5}
connections:
  - {from: image, to: A, kernel_size: 3, padding: 1}
  - {source: A, target: B, type: feedforward}
  - A <-> C
  - B -> X
  - A -> D
readout: {from: B, classes: 3, pool: none, at: [9]}
time: {steps: 3}
"""


def test_no_finding_hides_another() -> None:
    with pytest.raises(SpecError, match=r"Did you mean `channels`\?") as caught:
        loads(HIDDEN)
    assert {(finding.code, finding.place, finding.repair) for finding in caught.value.diagnostics} >= {
        ("unknown-key", "input.chanels", "Did you mean `channels`?"),
        ("unknown-key", "areas.A.siz", "Did you mean `size`?"),
        ("unknown-operation", "areas.A.activation", "Did you mean `relu`?"),
        ("unknown-operation", "areas.A.norm", "Did you mean `batch`?"),
        ("unknown-key", "areas.B.filters", "Did you mean `channels`?"),
        ("unknown-operation", "areas.B.cell", "Did you mean `conv_gru`?"),
        ("unknown-operation", "areas.C.body[0]", "Did you mean `conv`?"),
        ("unknown-operation", "areas.C.body[1]", "Did you mean `relu`?"),
        ("unknown-key", "areas.C.cel", "Did you mean `cell`?"),
        ("unknown-key", "connections[0].kernel_size image -> A", "Did you mean `kernel`?"),
        ("unknown-key", "connections[1].source A -> B", "Did you mean `from`?"),
        ("unknown-key", "connections[1].target A -> B", "Did you mean `to`?"),
        ("unknown-key", "connections[1].type A -> B", "Did you mean `kind`?"),
        ("bad-chain", "connections[2]", "Write each direction: `A -> C` and `C -> A`."),
        ("unknown-value", "readout.pool", "Did you mean `flatten`?"),
    }
    codes = [finding.code for finding in caught.value.diagnostics]
    assert {"unknown-area", "shape-mismatch", "step-beyond-end"} <= {*codes}
    assert "missing-key" not in codes  # `filters` and `source` are said once


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("areas: {A: {channels: 4, sizes: 16}}", []),
        ("areas: {A: {channels: 4, colour: 1}}", []),
        ("connections: [image -> A, A <- B]", []),
        ("connections: [image -> A, {from: A, to: A, role: driver}]", []),
        ("time: {steps: many}", []),
    ],
)
def test_nothing_is_said_that_only_follows_from_a_wrong_part(written: str, meant: list[str]) -> None:
    parts = {
        "areas": "areas: {A: {channels: 4, size: 16}}",
        "connections": "connections: [image -> A]",
        "time": "time: {steps: 3}",
    } | {written.split(":", maxsplit=1)[0]: written}
    text = "name: m\ninput: {size: 16}\nreadout: {from: A, classes: 2}\n" + "\n".join(parts.values())
    with pytest.raises(SpecError, match=r"\[[a-z-]+\]") as caught:
        loads(text)
    assert len(caught.value.diagnostics) == 1 + len(meant)


@pytest.mark.parametrize(
    ("entry", "repair"),
    [
        ("A <-> B", "Write each direction: `A -> B` and `B -> A`."),
        ("A ↔ B", "Write each direction: `A -> B` and `B -> A`."),
        ("A <- B", "Write it from its source on: `B -> A`."),
        ("A => B", "The arrow is `->`: write `A -> B`."),
    ],
)
def test_other_arrows(entry: str, repair: str) -> None:
    with pytest.raises(SpecError, match="is not a chain of areas") as caught:
        loads(network("A: {channels: 2, size: 16}, B: {channels: 2, size: 16}", f"image -> A, {entry}"))
    assert [finding.repair for finding in caught.value.diagnostics] == [repair]


# ---- repairs that work ------------------------------------------------------------


def repaired(text: str) -> str:
    """The text with the first repair of each connection carried out."""
    lines = text.splitlines()
    for finding in check(loads(text, file="case.yaml")):
        assert finding.line is not None
        line = lines[finding.line - 1]
        if kernel := re.search(r"write `(kernel: [^`]+)`", finding.repair):
            lines[finding.line - 1] = re.sub(r"kernel: (\d+|\[[^]]*\])", kernel[1], line)
        elif "remove `stride`" in finding.repair.lower():
            lines[finding.line - 1] = re.sub(r", stride: \d+", "", line)
        elif entry := re.search(r"Write it as a separate entry: `(\{[^`]+\})`", finding.repair):
            lines[finding.line - 1] = re.sub(r"\{.*\}", entry[1], line)
        elif resize := re.search(r"Write `(resize: \w+)`", finding.repair):
            lines[finding.line - 1] = re.sub(r"\}(,?)$", rf", {resize[1]}}}\1", line)
        else:
            raise AssertionError(finding.repair)
    return "\n".join(lines)


@pytest.mark.parametrize(
    "lines",
    [
        ["{from: image, to: A, kernel: 4}", "{from: A, to: A, kernel: 2}", "{from: A, to: B, kernel: 2}"],
        ["{from: image, to: A, kernel: [2, 3]}", "{from: A, to: B, kernel: 4}"],
        ["image -> A", "{from: A, to: B, stride: 4}", "{from: B, to: A, stride: 2}"],
        ["image -> A", "{from: A, to: B, transform: [{conv: {kernel: 3, stride: 1}}]}"],
        ["image -> A", "{from: A, to: C}", "{from: A, to: B}", "{from: C, to: B}"],
        ["image -> A", "{from: A, to: B}", "{from: B, to: A, kernel: 2, stride: 1}"],
    ],
    ids=["even kernels", "one even side", "strides", "a written stride", "no whole ratio", "upwards"],
)
def test_the_repair_of_a_size_works(lines: list[str]) -> None:
    areas = "A: {channels: 4, size: 16}, B: {channels: 6, size: 8}, C: {channels: 2, size: 7}"
    lines = [*lines, *["{from: A, to: C, resize: pool}"] * (not any("to: C" in line for line in lines))]
    lines += ["{from: C, to: B, resize: nearest}"] * (not any("from: C" in line for line in lines))
    text = network(areas, "\n" + ",\n".join(lines) + "\n", readout="{from: B, classes: 3}")
    findings = check(loads(text))
    assert {finding.code for finding in findings} == {"shape-mismatch"}
    for _ in range(len(findings) + 1):  # an even kernel may hide a ratio that is not whole, a stride an even kernel
        text = repaired(text)
    assert check(loads(text)) == []


@pytest.mark.parametrize(
    ("small", "large", "kernel"),
    [(17, 33, 3), (17, 33, 4), (17, 34, 3), (5, 13, 3), (8, 15, 5), (16, 33, 3), (7, 21, 2), (9, 17, 1), (8, 16, 3)],
)
def test_a_transposed_resize_reaches_any_size_near_a_whole_ratio(small: int, large: int, kernel: int) -> None:
    areas = f"A: {{channels: 2, size: {large}}}, B: {{channels: 3, size: {small}}}"
    down = "{from: A, to: B, resize: nearest}"
    text = network(areas, f"image -> A, {down}, {{from: B, to: A, kernel: {kernel}, resize: transposed}}", size=large)
    spec = loads(text)
    assert [finding for finding in check(spec) if finding.severity == "error"] == []
    net = randomise(compile_spec(spec)).eval()
    x = torch.rand(2, 3, large, large)
    expected, _ = interpret(spec, net.state_dict(), x)
    torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-4)
    again = resolved(build(spec))
    net.load_state_dict(compile_spec(again).state_dict())


@pytest.mark.parametrize(
    ("steps", "overrides"),
    [
        (2, {}),
        (3, {"readout.at": [2]}),
        (1, {"readout.at": "all"}),
        (3, {"time.order": "sequential", "input.present": [2]}),
    ],
)
def test_the_number_of_steps_that_a_silent_readout_needs_is_said(steps: int, overrides: dict[str, object]) -> None:
    spec = load("ventral", {"time.steps": steps} | overrides)
    finding = next((finding for finding in check(spec) if finding.code == "silent-readout"), None)
    if finding is None:
        return
    number = re.search(r"aise `time\.steps` to (\d+)", finding.repair)
    assert number is not None, finding.repair
    changes: dict[str, object] = {"time.steps": int(number[1])}
    if read := re.search(r"Read IT at step (\d+)", finding.repair):
        changes["readout.at"] = [int(read[1])]
    codes = {finding.code for finding in check(load("ventral", {"time.steps": steps} | overrides | changes))}
    assert "silent-readout" not in codes


@pytest.mark.parametrize("specimen", ["dead_connection", "per_step_once", "active_beyond_end", "delay_beyond_end"])
def test_raising_the_steps_to_the_number_that_is_said_repairs_it(specimen: str) -> None:
    path = Path(__file__).parent / "specs" / "invalid" / "graph" / f"{specimen}.yaml"
    (finding,) = check(load(path))
    number = re.search(r"aise `time\.steps` to (\d+)", finding.repair)
    assert number is not None, finding.repair
    assert check(load(path, {"time.steps": int(number[1]) - 1}))
    assert finding.code not in {finding.code for finding in check(load(path, {"time.steps": int(number[1])}))}


# ---- a batch norm over one value ---------------------------------------------------

LAST_BATCH = network(
    "A: {channels: 4, size: 32, norm: batch}, B: {channels: 8, size: 1, norm: batch}",
    "image -> A, {from: A, to: B, transform: [{linear: 8}]}",
    readout="{from: B, classes: 10}",
    size=32,
)


def test_a_batch_norm_over_one_value_is_a_finding_before_training(tmp_path: Path) -> None:
    graph = build(loads(LAST_BATCH))
    assert [finding.place for finding in batch_norm_over_one_value(graph, 1)] == ["areas.B"]
    assert list(batch_norm_over_one_value(graph, 2)) == []
    with pytest.raises(CompileError, match=r"(?s)areas\.B: .*`batch_size=2` or more.*\[batch-norm-over-one-value\]"):
        train(
            loads(LAST_BATCH),
            load_data("shapes", size=(32, 32), channels=3, train_images=20, test_images=10),
            TrainSettings(batch_size=1),
            tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


# ---- legal and absurd ----------------------------------------------------------------


def test_more_readouts_than_can_be_unrolled_are_a_finding() -> None:
    readouts = ", ".join(f"{{from: A, classes: 2, at: all, name: r{n}}}" for n in range(1000))
    spec = loads(network("A: {channels: 2, size: 8}", "image -> A", f"[{readouts}]"), overrides={"time.steps": 20_000})
    (finding,) = check(spec)
    assert (finding.code, finding.repair) == ("too-many-updates", "Choose at most 60 steps.")


def test_names_in_reprs_are_those_of_the_language() -> None:
    spec = load("ventral")
    assert repr(spec.connections[1]).startswith("ConnectionSpec(from='V1', to='V2'")
    assert "readout=(ReadoutSpec(from='IT'" in repr(spec)
    assert "source=" not in repr(spec)
