"""Chains, lists and words in place of mappings."""

import pytest

from cortexgraph.errors import SpecError
from cortexgraph.spec import AreaSpec, ConnectionSpec, loads
from cortexgraph.spec.shorthand import chain_names, connection_paths, expand_connections

SPEC = """
name: short
input: {size: 8}
areas: {A: {channels: 2}, B: {channels: 2}, C: {channels: 2}}
connections: %s
readout: {from: A, classes: 2}
time: {steps: 1}
"""


def ends(connections: str) -> list[tuple[str, str]]:
    return [(c.source, c.target) for c in loads(SPEC % connections).connections]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("[A -> B -> C]", [("A", "B"), ("B", "C")]),
        ("[A->B]", [("A", "B")]),
        ("[[A -> B, B -> C -> A], C -> C]", [("A", "B"), ("B", "C"), ("C", "A"), ("C", "C")]),
        ("[A -> B, {from: A, to: B, kernel: 1}]", [("A", "B"), ("A", "B")]),
        ("[[[{from: C, to: A}]]]", [("C", "A")]),
        ("[]", []),
    ],
)
def test_connections_expand(written: str, expected: list[tuple[str, str]]):
    assert ends(written) == expected


def test_paths_lead_to_the_entry_that_was_written():
    raw = ["A -> B -> C", [{"from": "A", "to": "B"}, ["C -> A"]], ConnectionSpec(source="A", target="A")]
    assert connection_paths(raw) == ((0,), (0,), (1, 0), (1, 1, 0), (2,))
    assert len(expand_connections(raw)) == len(connection_paths(raw))


def test_what_is_not_a_list_is_left_for_validation():
    assert expand_connections("A -> B") == "A -> B"
    assert connection_paths({"A": "B"}) == ()


@pytest.mark.parametrize("text", ["", "A", "A ->", "-> A", "A -> -> B", "A > B", " -> "])
def test_no_chain(text: str):
    assert chain_names(text) is None


@pytest.mark.parametrize("written", ["batch", "{kind: batch}"])
def test_word_for_a_norm(written: str):
    spec = loads(SPEC % "[A -> B]", overrides=[f"areas.A.norm={written}"])
    assert spec.areas["A"].norm == AreaSpec(channels=1, norm="batch").norm


def test_norm_none_is_a_norm_and_null_is_the_default():
    spec = loads(SPEC % "[A -> B]", overrides=["areas.A.norm=none", "areas.B.norm=null"])
    assert spec.areas["A"].norm is not None
    assert spec.areas["A"].norm.kind == "none"
    assert spec.areas["B"].norm is None


def test_word_for_a_resizing():
    (connection,) = loads(SPEC % "[{from: A, to: B, resize: bilinear}]").connections
    assert connection.resize is not None
    assert (connection.resize.mode, connection.resize.at) == ("bilinear", "after")


def test_bad_entries_are_reported_together_with_the_rest():
    with pytest.raises(SpecError, match="bad-chain") as caught:
        loads(SPEC % '[A ->, B > C, A -> B, {from: A, to: B, kernl: 1}, [], "", [A -> B, [7]]]')
    found = [(finding.code, finding.place) for finding in caught.value.diagnostics]
    assert found == [
        ("bad-chain", "connections[0]"),
        ("bad-chain", "connections[1]"),
        ("unknown-key", "connections[3].kernl A -> B"),
        ("bad-chain", "connections[4]"),
        ("bad-chain", "connections[5]"),
        ("wrong-type", "connections[6][1][0]"),
    ]


@pytest.mark.parametrize(
    ("entry", "repair"),
    [
        ("B > C", "write `B -> C`"),
        ("B → C → A", "write `B -> C -> A`"),
        ("B --> C", "write `B -> C`"),
        ("B => C", "write `B -> C`"),
        ("B", "`B -> V2`"),
        ("B ->", "both sides"),
    ],
)
def test_bad_chain_says_how_to_write_it(entry: str, repair: str):
    with pytest.raises(SpecError, match=repair):
        loads(SPEC % f"['{entry}']")
