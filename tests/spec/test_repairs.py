"""Repairs work: where a finding's repair is an edit, the finding is gone once the edit is made."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cortexgraph as cg
from cortexgraph.errors import CortexGraphError, Diagnostic

SPECIMENS = sorted((Path(__file__).parents[1] / "specs" / "invalid").rglob("*.yaml"))

BROKEN = """\
name: broken
input: {channels: CHANNELS, size: SIZE, colour: 1}
areas:
  A: {channels: 4, size: 16}
  B: {channels: 8.0, size: 8}
  C: {channels: "4", size: 4}
connections:
  - image => A
  - A -> B -> C
  - {from: A, to: A, kernel: 4}
  - {from: B, to: B, kernel: [2, 4]}
  - {from: C, to: B, stride: 2}
  - {from: A, to: C, stride: 3, kind: feedback}
  - {from: B, to: A, delay_mss: 0}
readout: {from: C, classes: 3, at: 12}
time: {steps: 5, dt_ms: 0}
"""


def findings(text: str) -> list[Diagnostic]:
    try:
        return list(cg.check(cg.loads(text, file="x.yaml")))
    except CortexGraphError as error:
        return list(error.diagnostics)


def edited(text: str, finding: Diagnostic) -> str | None:
    """The text with the repair made in the finding's line, or anywhere for `time.steps`; None if it is no edit."""
    if raised := re.search(r"aise `time\.steps` to (\d+)", finding.repair):
        return re.sub(r"steps: \d+", f"steps: {raised[1]}", text)
    lines = text.splitlines()
    if finding.line is None or finding.line > len(lines):
        return None
    line = lines[finding.line - 1]
    value = re.search(r"(?:the value is|called|the key) (?:the text )?`([^`]+)`", finding.found)
    key = finding.place.split(" ")[0].rpartition(".")[2]
    new = None
    if value and (guess := re.search(r"Did you mean `([^`]+)`|[Rr]ename.* to `([^`]+)`", finding.repair)):
        new = line.replace(value[1], next(filter(None, guess.groups())), 1)
    elif quotes := re.search(
        r"the quotes: `([^`]+)`|in (?:quotes|brackets): `([^`]+)`|rite `([^`]+)`, without", finding.repair
    ):
        written = re.search(rf"\b{re.escape(key)}: *(\"[^\"]*\"|'[^']*'|[^,}}#]+)", line)
        new = line.replace(written[1].rstrip(), next(filter(None, quotes.groups())), 1) if written else None
    elif chain := re.search(r"rite (?:it from its source on: )?`([^`]*->[^`]*)`", finding.repair):
        new = re.sub(r"(- +).*", rf"\1{chain[1]}", line) if line.strip().startswith("- ") and "{" not in line else None
    elif within := re.search(r"(?:[Ww]rite|Add)(?:, for example,)? `(\w+): ([^`]+)`", finding.repair):
        pair = rf"\b{within[1]}: *(\[[^\]]*\]|\{{[^}}]*\}}|[^,}}\s]+)"
        new = re.sub(pair, f"{within[1]}: {within[2]}", line, count=1)
        if new == line:
            new = re.sub(r"\}(?=[^}]*$)", f", {within[1]}: {within[2]}}}", line)
    elif removed := re.search(r"[Rr]emove `(\w+)`", finding.repair):
        new = re.sub(rf", *{removed[1]}: *(\[[^\]]*\]|\{{[^}}]*\}}|[^,}}]+)", "", line, count=1)
    elif finding.repair == "Remove it." and finding.code == "unknown-key":
        new = re.sub(rf",? *{key}: *(\[[^\]]*\]|\{{[^}}]*\}}|[^,}}]+)", "", line, count=1)
    if new is None or new == line:
        return None
    lines[finding.line - 1] = new
    return "\n".join(lines) + "\n"


def assert_repairs_work(text: str) -> int:
    """Each edit makes its finding go away; the number of edits."""
    edits = 0
    for finding in findings(text):
        repaired = edited(text, finding)
        if repaired is not None:
            edits += 1
            left = [each for each in findings(repaired) if (each.code, each.place) == (finding.code, finding.place)]
            assert not left, f"{finding}\n{repaired}"
    return edits


def test_repairs_of_the_specimens() -> None:
    assert sum(assert_repairs_work(path.read_text(encoding="utf-8")) for path in SPECIMENS) > 25


@pytest.mark.parametrize(
    ("channels", "size"), [("0", "70000"), ("1e3", "0"), ("70000", "16.5"), ('"3"', "[16]"), ("3", "16")]
)
def test_repairs_of_one_broken_spec_until_nothing_is_left(channels: str, size: str) -> None:
    text = BROKEN.replace("CHANNELS", channels).replace("SIZE", size)
    for _ in range(30):
        assert_repairs_work(text)
        edits = [new for finding in findings(text) if (new := edited(text, finding)) is not None]
        if not edits:
            break
        text = edits[0]
    assert [str(finding) for finding in findings(text) if finding.severity == "error"] == []


def test_two_chains_in_one_entry() -> None:
    text = BROKEN.replace("A -> B -> C", "A -> B, B -> C")
    repairs = {finding.repair for finding in findings(text) if finding.code == "unknown-area"}
    assert repairs == {"Write each chain as a separate entry: split this one at the comma."}
