"""No mistake hides another: specs with several of different kinds, each of which is reported at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import cortexgraph as cg
from cortexgraph.errors import CortexGraphError, Diagnostic

SPECS: dict[str, tuple[str, set[tuple[str, str]]]] = {
    "misspelt keys and words": (
        """\
name: a
input: {size: 32, chanels: 3}
areas:
  V1: {channels: 8, size: 32, actvation: relu, norm: bach}
  V2: {channels: 16, size: 16, activation: rleu, cell: {leeky: {decay: 0.5}}}
connections:
  - image -> V1 -> V2
  - {from: V2, to: V1, kernal: 3, resize: bilinaer}
readout: {from: V3, classes: 10}
time: {steps: 4, order: sequental}
""",
        {
            ("unknown-key", "input.chanels"),
            ("unknown-key", "areas.V1.actvation"),
            ("unknown-operation", "areas.V1.norm"),
            ("unknown-operation", "areas.V2.activation"),
            ("unknown-operation", "areas.V2.cell"),
            ("unknown-key", "connections[1].kernal V2 -> V1"),
            ("unknown-value", "connections[1].resize V2 -> V1"),
            ("unknown-area", "readout.from"),
            ("unknown-value", "time.order"),
        },
    ),
    "wrong types beside unknown areas": (
        """\
name: 7
input: {size: big}
areas:
  V1: {channels: "8", size: 32}
  V2: {channels: 16, size: 16, norm: {kind: batch, per_step: yes}}
connections:
  - image -> V1 -> V9
  - {from: V8, to: V2, kernel: 3.5}
readout: {from: V2, classes: 10, at: [2, 9]}
time: {steps: 4}
""",
        {
            ("wrong-type", "name"),
            ("wrong-type", "input.size"),
            ("wrong-type", "areas.V1.channels"),
            ("wrong-type", "areas.V2.norm.per_step"),
            ("unknown-area", "connections[0].to V1 -> V9"),
            ("unknown-area", "connections[1].from V8 -> V2"),
            ("wrong-type", "connections[1].kernel V8 -> V2"),
            ("step-beyond-end", "readout.at"),
        },
    ),
    "conflicts beside words": (
        """\
name: c
input: {size: 32}
areas:
  V1: {channels: 8, size: 32, body: [Conv2d], activation: relu}
  V2: {channels: 8, size: 32, norm: {kind: batch, groups: 4}}
connections:
  - {from: image, to: V1, kernel: 3, dilation: 2, transform: [{conv: {kernal: 3}}]}
  - {from: V1, to: V2, gate: tanh, delay: 1, delay_ms: 10}
  - {from: V2, to: V2, tie: V1 -> V2, init: zeros, weights: shared}
readout: {from: V2, classes: 10}
time: {steps: 4}
""",
        {
            ("conflict", "areas.V1"),
            ("unknown-operation", "areas.V1.body[0]"),
            ("conflict", "areas.V2.norm"),
            ("conflict", "connections[0] image -> V1"),
            ("unknown-key", "connections[0].transform[0].conv.kernal image -> V1"),
            ("conflict", "connections[1] V1 -> V2"),
            ("conflict", "connections[2] V2 -> V2"),
        },
    ),
    "options of operations": (
        """\
name: d
input: {size: 32}
areas:
  V1: {channels: 8, size: 32, body: [{conv: {kernel: 0}}, {norm: {kind: grup}}, {dropout: 2}]}
  V2: {channels: 8, size: 16, cell: {leaky: {decay: high}}}
connections:
  - {from: image, to: V1, transform: [{depthwise: {kernel: [3, 3, 3]}}, {conv: 1, relu: 1}]}
  - {from: V1, to: V2, transform: [{residual: [{conv: {padding: -1}}]}, foo]}
readout: {from: V2, classes: 10, pool: none}
time: {steps: 4}
""",
        {
            ("out-of-range", "areas.V1.body[0].conv.kernel"),
            ("bad-operation", "areas.V1.body[1]"),
            ("out-of-range", "areas.V1.body[2].dropout"),
            ("wrong-type", "areas.V2.cell.leaky.decay"),
            ("bad-operation", "connections[0].transform[1] image -> V1"),
            ("out-of-range", "connections[1].transform[0].residual[0].conv.padding V1 -> V2"),
            ("unknown-operation", "connections[1].transform[1] V1 -> V2"),
            ("unknown-value", "readout.pool"),
        },
    ),
    "missing parts": (
        """\
name: e
input: {channels: 3}
areas:
  V1: {size: 32}
  V2: 16
connections:
  - {from: V1}
  - {to: V2, kernel: 3}
  - image -> V7
readout: {from: V2, at: lst}
""",
        {
            ("missing-key", "input"),
            ("missing-key", "areas.V1"),
            ("wrong-type", "areas.V2"),
            ("missing-key", "connections[0]"),
            ("missing-key", "connections[1]"),
            ("unknown-area", "connections[2].to image -> V7"),
            ("missing-key", "readout"),
            ("unknown-value", "readout.at"),
            ("missing-key", ""),
        },
    ),
    "chains and arrows": (
        """\
name: f
input: {size: 32}
areas:
  V1: {channels: 8, size: 32, level: 1e999}
  V2: {channels: 8, size: 16, activation: Relu6}
connections:
  - image => V1
  - V1 <-> V2
  - V1
  - [V2 -> , {from: V2, to: V5, kind: sideways}]
  - []
readout: {from: IT, classes: 0}
time: {steps: 4}
""",
        {
            ("out-of-range", "areas.V1.level"),
            ("unknown-operation", "areas.V2.activation"),
            ("bad-chain", "connections[0]"),
            ("bad-chain", "connections[1]"),
            ("bad-chain", "connections[2]"),
            ("bad-chain", "connections[3][0]"),
            ("unknown-value", "connections[3][1].kind V2 -> V5"),
            ("unknown-area", "connections[3][1].to V2 -> V5"),
            ("bad-chain", "connections[4]"),
            ("unknown-area", "readout.from"),
            ("out-of-range", "readout.classes"),
        },
    ),
    "steps and delays": (
        """\
name: g
input: {size: 32, present: {from: 5, to: 2}}
areas:
  V1: {channels: 8, size: 32}
  V2: {channels: 8, size: 16, region: ""}
connections:
  - {from: image, to: V1, active: [1, 99]}
  - {from: V1, to: V2, delay: -1}
  - {from: V2, to: V1, active: sometimes}
  - {from: V2, to: VX, delay_ms: fast}
readout: [{from: V2, classes: 3, at: [2, 2]}, {from: V2, classes: 3, name: V2}]
time: {steps: 4, dt_ms: 0}
""",
        {
            ("conflict", "input.present"),
            ("bad-name", "areas.V2.region"),
            ("out-of-range", "connections[1].delay V1 -> V2"),
            ("unknown-value", "connections[2].active V2 -> V1"),
            ("wrong-type", "connections[3].delay_ms V2 -> VX"),
            ("unknown-area", "connections[3].to V2 -> VX"),
            ("repeated-readout", "readout[1]"),
            ("out-of-range", "time.dt_ms"),
        },
    ),
    "shapes beside a misspelt key": (
        """\
name: h
input: {size: 32}
areas:
  V1: {channels: 8, size: 32}
  V2: {channels: 8, size: 16}
  V3: {channels: 8, size: 8, nrom: batch}
connections:
  - image -> V1 -> V2 -> V3
  - {from: V1, to: V2, stride: 3}
  - {from: V1, to: V1, groups: 3}
  - {from: V2, to: V1, kind: feedforward}
  - {from: V2, to: V2, transform: [{conv: {kernel: 3, channels: 5}}]}
readout: {from: V3, classes: 10, colour: red}
time: {steps: 4}
""",
        {
            ("unknown-key", "areas.V3.nrom"),
            ("shape-mismatch", "connections[1] V1 -> V2"),
            ("channel-groups", "connections[2].groups V1 -> V1"),
            ("kind-against-hierarchy", "connections[3].kind V2 -> V1"),
            ("channel-mismatch", "connections[4] V2 -> V2"),
            ("unknown-key", "readout.colour"),
        },
    ),
    "bad names": (
        """\
name: "a\\nb"
input: {size: 32}
areas:
  image: {channels: 8, size: 32}
  "V'1": {channels: 8, size: 16, activation: rellu}
  V2: {channels: 8, size: 16, nrm: batch, body: [cnv]}
connections:
  - {from: image, to: V2, name: "x{y}"}
  - {from: V2, to: V2, transform: [{max_pol: 2}]}
readout: {from: V2, classes: 10, at: never}
time: {steps: 0}
""",
        {
            ("bad-name", "name"),
            ("bad-name", "areas.image"),
            ("bad-name", "areas['V'1']"),
            ("unknown-operation", "areas['V'1'].activation"),
            ("unknown-key", "areas.V2.nrm"),
            ("conflict", "areas.V2"),
            ("unknown-operation", "areas.V2.body[0]"),
            ("bad-name", "connections[0].name image -> V2"),
            ("unknown-operation", "connections[1].transform[0] V2 -> V2"),
            ("unknown-value", "readout.at"),
            ("out-of-range", "time.steps"),
        },
    ),
    "defaults, ties and a duplicate key": (
        """\
name: i
input: {size: 32}
defaults: {area: {activation: swishh, norm: {kind: goup}}, connection: {kernel: 3, bias: "no"}}
areas:
  V1: {channels: 8, size: 32, size: 16}
  V2: {channels: 8, size: 16, merge: add}
connections:
  - image -> V1 -> V2
  - {from: V2, to: V2, tie: V2 -> V9}
  - {from: V1, to: V3, gain: learnt}
readout: {form: V2, classes: 10}
time: {steps: 4, order: [[V1], [V4]]}
""",
        {
            ("unknown-operation", "defaults.area.activation"),
            ("unknown-operation", "defaults.area.norm"),
            ("wrong-type", "defaults.connection.bias"),
            ("duplicate-key", "areas.V1.size"),
            ("unknown-value", "areas.V2.merge"),
            ("bad-tie", "connections[1].tie V2 -> V2"),
            ("unknown-area", "connections[2].to V1 -> V3"),
            ("unknown-value", "connections[2].gain V1 -> V3"),
            ("unknown-key", "readout.form"),
            ("unknown-area", "time.order[1]"),
        },
    ),
}


def findings(text: str) -> list[Diagnostic]:
    try:
        return cg.check(cg.loads(text, file="many.yaml"))
    except CortexGraphError as error:
        return list(error.diagnostics)


@pytest.mark.parametrize("name", SPECS)
def test_every_mistake_is_reported_in_one_go(name: str) -> None:
    text, expected = SPECS[name]
    found = {(finding.code, finding.place) for finding in findings(text)}
    assert expected - found == set(), "hidden"
    assert found - expected == set(), "follows from another"


@pytest.mark.parametrize(
    "command",
    [
        ["-m", "cortexgraph", "check", "mine.yaml"],
        ["-m", "cortexgraph", "train", "mine.yaml"],
        ["-m", "cortexgraph", "zoo", "--compare", "mine.yaml", "ventral"],
        ["-c", "import cortexgraph as cg\ntry: cg.load('mine.yaml')\nexcept cg.SpecError as error: print(error)"],
        [
            "-c",
            "import cortexgraph as cg\ntry: cg.NetworkSpec.model_validate(__import__('yaml').safe_load("
            "open('mine.yaml')))\nexcept cg.SpecError as error: print(error)",
        ],
        ["-c", "import cortexgraph as cg\ntry: cg.draw('mine.yaml')\nexcept cg.SpecError as error: print(error)"],
    ],
)
def test_nothing_is_hidden_in_a_fresh_process(command: list[str], tmp_path: Path) -> None:
    """Whatever is imported first."""
    text, expected = SPECS["misspelt keys and words"]
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    run = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=False)
    said = run.stdout + run.stderr
    assert sum(said.count(f"[{code}]") for code in {code for code, _ in expected}) == len(expected), said
