"""Every check finds what its invalid specimen shows, and nothing in the valid ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from cortexgraph.compiler import build, check, lower
from cortexgraph.errors import CortexGraphError, GraphError
from cortexgraph.spec import load

SPECS = Path(__file__).parent.parent / "specs"
INVALID = sorted((SPECS / "invalid" / "graph").glob("*.yaml"))
VALID = sorted((SPECS / "valid" / "graph").glob("*.yaml"))


def expected(path: Path) -> str:
    return path.read_text().splitlines()[0].removeprefix("# expect: ")


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_an_invalid_specimen_has_its_finding_and_no_other(path: Path) -> None:
    findings = check(load(path))
    assert [finding.code for finding in findings] == [expected(path)]
    (finding,) = findings
    assert finding.file == str(path)
    assert finding.line is not None
    assert finding.repair.endswith((".", "?"))


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_errors_stop_compilation_and_warnings_do_not(path: Path) -> None:
    spec = load(path)
    if check(spec)[0].severity == "warning":
        lower(spec)
    else:
        with pytest.raises(CortexGraphError, match=rf"\[{expected(path)}\]"):
            lower(spec)


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_a_valid_specimen_has_no_finding(path: Path) -> None:
    assert check(load(path)) == []


def test_all_findings_come_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "cortexgraph: 1\nname: bad\ninput: {size: 16}\n"
        "areas:\n  V1: {channels: 4, size: 16, norm: bach}\n  V2: {channels: 4, size: 7}\n"
        "connections:\n  - image -> V1 -> V2\n  - V1 -> V3\n"
        "readout: {from: V2, classes: 3, at: [9]}\ntime: {steps: 4}\n"
    )
    with pytest.raises(GraphError, match=r"Did you mean `batch`\?") as caught:
        build(load(path))
    codes = {finding.code for finding in caught.value.diagnostics}
    assert codes == {"unknown-operation", "shape-mismatch", "unknown-area", "step-beyond-end"}
    lines = [finding.line for finding in caught.value.diagnostics]
    assert lines == sorted(lines)


def test_a_silent_readout_says_when_and_by_which_path(tmp_path: Path) -> None:
    findings = check(load("ventral", ["time.steps=3"]))
    assert [finding.found for finding in findings] == [
        "IT first responds at step 4 (image → V1 → V2 → V4 → IT under simultaneous order)"
    ]
    assert findings[0].expected == "a readout at step 3 of 3 would be empty"


def test_a_readout_after_an_area_fell_silent_says_when_it_is_live() -> None:
    findings = check(load("ventral", {"input.present": [1, 2], "time.steps": 40}))
    assert findings == []  # lateral connections keep the areas alive
    spec = SPECS / "invalid" / "graph" / "readout_never.yaml"
    (finding,) = check(load(spec, {"input.present": [1, 2], "time.steps": 9, "readout.at": "last"}))
    assert finding.found.startswith("V2 first responds at step 2 ")
    assert finding.repair == "V2 falls silent when nothing drives it: read it at step 2 or 3."


def test_a_shape_mismatch_gives_both_numbers() -> None:
    (finding,) = check(load(SPECS / "invalid" / "graph" / "stride_up.yaml"))
    assert finding.place == "connections[1] V2 -> V1"
    assert "maps 8 to 4, but V1 is 16." in str(finding)
    assert "needs `resize`" in finding.repair


def test_every_code_has_an_invalid_and_a_valid_specimen() -> None:
    invalid = {expected(path) for path in INVALID}
    valid = {
        code for path in VALID for code in path.read_text().splitlines()[0].removeprefix("# valid for: ").split(", ")
    }
    assert invalid == valid
