"""Specs from measured connectivity: levels, delays, bad rows, and the way back."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import cortexgraph as cg
from cortexgraph.arguments import ArgumentError
from cortexgraph.cli.app import app
from cortexgraph.connectome import (
    Projection,
    Rules,
    connectome_spec,
    csv_text,
    level_of_each,
    projections_of,
    read_connectome,
)
from cortexgraph.errors import DataError

MACAQUE = Path(__file__).parents[3] / "shared" / "data" / "macaque_markov2014.csv"
PUBLISHED = {
    **{"V1": 0.0, "V2": 0.28, "V3": 0.86, "V4": 0.89, "8l": 0.85, "TEO": 1.24, "MT": 1.27, "DP": 1.48, "FST": 1.61},
    **{"8m": 1.62, "LIP": 1.68, "TEpd": 1.69, "V3A": 1.74, "7A": 2.07, "MST": 2.17, "TH/TF": 2.20, "STPc": 2.36},
}
"""Levels of Markov et al. 2014, by beta regression on counts of neurons."""

needs_macaque = pytest.mark.skipif(not MACAQUE.exists(), reason="needs the macaque table beside the checkout")


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def made(levels: dict[str, float]) -> list[Projection]:
    """Every ordered pair of areas, with the SLN that the levels give."""
    return [Projection(a, b, 0.1, logistic(levels[b] - levels[a]), 7.0) for a in levels for b in levels if a != b]


def test_levels_are_found_again() -> None:
    levels = {"V1": 0.0, "V2": 0.7, "7a": 1.3, "TH/TF": 2.9}
    assert level_of_each(made(levels)) == pytest.approx(levels, abs=1e-3)


def test_an_sln_of_0_or_1_is_finite() -> None:
    found = level_of_each([Projection("V1", "V2", 0.1, 1.0), Projection("V2", "V1", 0.1, 0.0)])
    assert found == pytest.approx({"V1": 0.0, "V2": math.log(99)}, abs=1e-3)


def test_direction_delay_size_and_strength_follow_the_rules() -> None:
    levels = {"V1": 0.0, "V2": 1.0, "V4": 2.0}
    far = [Projection(p.source, p.target, p.weight, p.sln, 42.0) if p.source == "V4" else p for p in made(levels)]
    spec, warnings = connectome_spec(far, Rules(channels=4, stages=3, dt_ms=4.0))
    assert warnings == []
    graph = cg.build(spec)
    assert {c.label: c.kind for c in graph.connections if c.source != "image"} == {
        f"{a} -> {b}": "feedforward" if levels[a] < levels[b] else "feedback" for a in levels for b in levels if a != b
    }
    # 42 mm at 3.5 mm/ms take 12 ms, three steps of 4 ms; 7 mm take 2 ms, for which one step is the least
    assert {c.label: c.delay for c in graph.connections if c.source == "V4"} == {"V4 -> V1": 2, "V4 -> V2": 2}
    assert {c.delay for c in graph.connections if c.source != "V4"} == {0}
    assert [(a.name, a.shape) for a in graph.areas] == [("V1", (4, 32, 32)), ("V2", (8, 16, 16)), ("V4", (16, 8, 8))]
    assert {c.strength for c in spec.connections if c.source != "image"} == {0.1}
    assert cg.check(spec) == []


def test_weights_above_one_are_told_and_not_used() -> None:
    rows = [*made({"V1": 0.0, "V2": 1.0}), Projection("V3", "V1", 8.7, 0.1, 5.0, line=7)]
    spec, warnings = connectome_spec(rows)
    assert [w.code for w in warnings] == ["weight-above-one", "assumed-reciprocal"]
    assert (warnings[0].line, warnings[0].found) == (7, "the weight is 8.7")
    assert [c.strength for c in spec.connections if c.source == "V3"] == [None]
    strict, _ = connectome_spec(rows, Rules(min_weight=0.01))
    assert set(strict.areas) == {"V1", "V2"}


def test_areas_without_known_inputs() -> None:
    rows = [*made({"V1": 0.0, "V2": 1.0}), Projection("V3", "V1", 0.2, 0.1, 5.0)]
    spec, warnings = connectome_spec(rows)
    assert "`V3` were not measured: 1 reciprocal connections are assumed" in warnings[0].found
    assert [c.strength for c in spec.connections if (c.source, c.target) == ("V1", "V3")] == [None]
    alone, _ = connectome_spec(rows, Rules(reciprocal=False))
    assert set(alone.areas) == {"V1", "V2"}


BAD = """# a comment
source,target,FLN,SLN,distance
V1,V2,0.7,0.9,9
V2,V1,much,0.4,9
V2,V4,-0.1,1.4,9
V4,V2,0.1
,V2,0.1,0.3,9
V1,V2,0.2,0.9,9
"V1; rm",V2,0.1,0.2,-3
image,V2,nan,,
"""


def test_every_bad_row_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(BAD)
    with pytest.raises(DataError, match=r"bad.csv:4: weight: `much` is not a number") as caught:
        read_connectome(path)
    told = [(d.line, d.place, d.found) for d in caught.value.diagnostics]
    assert told == [
        (4, "weight", "`much` is not a number"),
        (5, "weight", "the value is -0.1"),
        (5, "sln", "the value is 1.4"),
        (6, "row", "the row has 3 values"),
        (7, "source", "the area is missing"),
        (8, "V1 -> V2", "this projection stands here and on line 3"),
        (9, "source", "`V1; rm` cannot be the name of an area"),
        (9, "distance_mm", "the value is -3"),
        (10, "source", "`image` cannot be the name of an area"),
        (10, "weight", "the value is nan"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the table is empty"),
        ("a,b\n1,2\n", r"the columns are `a` and `b`, but a column `source` or `from`, `target` or `to`, `weight`"),
        ("source,target,weight\n", "the table has no rows"),
        ("source;target;weight\nV1;V2;0,1\n", "Separate the columns by commas, not by `;`"),
        ("source,target,weight,SLN\nV1,V2,0.1,95\n", "the value is 95(.|\n)*Divide percentages by 100"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_connectome(path)


def test_without_sln_and_levels_there_is_no_hierarchy() -> None:
    with pytest.raises(DataError, match="nothing says where `V1` and `V2` lie in the hierarchy"):
        connectome_spec([Projection("V1", "V2", 0.5), Projection("V2", "V1", 0.5)])


def test_an_unknown_area_of_the_rules() -> None:
    with pytest.raises(DataError, match=r"readout_area: no area is called `V22`(.|\n)*mean `V2`"):
        connectome_spec(made({"V1": 0.0, "V2": 1.0}), Rules(readout_area="V22"))


def test_a_size_that_cannot_be_halved_at_each_stage() -> None:
    with pytest.raises(DataError, match=r"^size: 30 pixels cannot be halved 3 times(.|\n)*multiple of 8, such as 32"):
        connectome_spec(made({"V1": 0.0, "V2": 1.0}), Rules(size=30))
    assert connectome_spec(made({"V1": 0.0, "V2": 1.0}), Rules(size=4))[0].areas["V1"].size == 4


def same_network(found: cg.NetworkSpec, expected: cg.NetworkSpec) -> bool:
    return cg.emit(found).split("class ")[-1] == cg.emit(expected).split("class ")[-1] and [
        c.strength for c in found.connections
    ] == [c.strength for c in expected.connections]


def test_spec_to_table_to_spec(tmp_path: Path) -> None:
    spec, _ = connectome_spec(made({"V1": 0.0, "V2": 0.7, "7a": 1.3, "TH/TF": 2.9}), Rules(name="again"))
    path = tmp_path / "table.csv"
    path.write_text(csv_text(projections_of(spec)))
    again, warnings = connectome_spec(read_connectome(path), Rules(name="again"))
    assert warnings == []
    assert same_network(again, spec)


def test_table_to_text_to_table(tmp_path: Path) -> None:
    rows = made({"V1": 0.0, "TH/TF": 2.9})
    (tmp_path / "table.csv").write_text(csv_text(rows))
    again = read_connectome(tmp_path / "table.csv")
    assert [(p.source, p.target, p.weight, p.sln, p.distance_mm) for p in again] == [
        (p.source, p.target, p.weight, p.sln, p.distance_mm) for p in rows
    ]


def ranks(values: list[float]) -> torch.Tensor:
    return torch.tensor(values).argsort().argsort().double()


@needs_macaque
def test_the_levels_of_the_macaque_are_those_of_markov_2014_in_rank() -> None:
    found = level_of_each(read_connectome(MACAQUE))
    assert found.keys() == PUBLISHED.keys()
    names = list(PUBLISHED)
    pair = torch.stack([ranks([found[n] for n in names]), ranks([PUBLISHED[n] for n in names])])
    assert float(torch.corrcoef(pair)[0, 1]) == pytest.approx(0.966, abs=0.001)


@needs_macaque
def test_the_macaque_compiles_draws_trains_a_step_and_comes_back(tmp_path: Path) -> None:
    out = tmp_path / "macaque.yaml"
    done = CliRunner().invoke(app, ["import", "connectome", str(MACAQUE), "--out", str(out), "--channels", "4"])
    assert done.exit_code == 0, done.output
    assert done.output.count("weight-above-one") == 9
    spec = cg.load(out)
    assert (len(spec.areas), len([c for c in spec.connections if c.strength])) == (17, 88 - 9)
    assert {"TH/TF", "7A"} < set(spec.areas)
    assert cg.check(spec) == []
    assert "TH/TF" in cg.draw(spec).svg()
    network = cg.compile(spec)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    x, labels = torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    losses = []
    for _ in range(2):
        loss = torch.nn.functional.cross_entropy(network(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[1] < losses[0]
    assert all(
        p.grad is not None and p.grad.abs().max() > 0 for p in network.parameters() if p.requires_grad and p.ndim > 1
    )
    (tmp_path / "back.csv").write_text(csv_text(projections_of(spec)))
    again, _ = connectome_spec(read_connectome(tmp_path / "back.csv"), Rules(name="macaque", channels=4))
    assert same_network(again, spec)


def test_two_unknown_areas_are_two_findings() -> None:
    projections = [Projection("A", "B", 0.1, sln=0.8)]
    with pytest.raises(DataError, match=r"input_area: no area is called `X`(.|\n)*readout_area: no area is called `Y`"):
        connectome_spec(projections, Rules(input_area="X", readout_area="Y"))


# ---- what a table or the rules may not say ------------------------------------------


def written(folder: Path, *lines: str) -> Path:
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["source,target,weight,source_level,target_level", "V1,V2,0.1,1,5", "V2,V4,0.1,1,3"],
            r":3: V2 -> V4: the level of V2 is 1, but it is 5 on line 2",
        ),
        (["source,target,weight", "V1,V2,0.1,3,4"], r":2: row: the row has 5 values, but there are 3 columns"),
        (["source,target,weight,sln", "V1,V2,0.1,95"], r"the value is 95, but .*\n  Divide percentages by 100"),
        (["source;target;weight", "V1;V2;0.1"], r"a column .* is needed\.\n  Separate the columns by commas"),
    ],
)
def test_tables_that_contradict_themselves(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_connectome(written(tmp_path, *lines))


def test_empty_values_at_the_end_of_a_row_are_no_values(tmp_path: Path) -> None:
    assert len(read_connectome(written(tmp_path, "source,target,weight", "V1,V2,0.1,,"))) == 1


def test_distances_in_another_unit_are_told_and_a_path_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "source,target,weight,sln,distance", "V1,V2,0.1,0.9,0.009", "V2,V1,0.1,0.1,0.009")
    for source in (path, str(path)):
        _, warnings = connectome_spec(source)
        assert [each.code for each in warnings] == ["short-distances"]


def test_a_data_frame_is_a_table(tmp_path: Path) -> None:
    class Frame:
        """As of pandas, which is not needed."""

        def __init__(self, text: str) -> None:
            self.text = text

        def to_csv(self, *, index: bool) -> str:
            assert not index
            return self.text

    lines = ["source,target,weight,sln", "V1,V2,0.1,0.9", "V2,V1,,0.1"]
    frame = Frame("\n".join(lines))
    assert read_connectome(frame) == read_connectome(written(tmp_path, *lines))
    assert connectome_spec(frame)[0] == connectome_spec(read_connectome(frame))[0]
    with pytest.raises(DataError, match=r"^Frame:2: weight: `x` is not a number"):
        read_connectome(Frame("source,target,weight\nV1,V2,x"))
    with pytest.raises(ArgumentError, match=r"path: 5 was given(.|\n)*It means: a CSV file, or a DataFrame of pandas"):
        read_connectome(5)  # type: ignore[arg-type]


def test_rules_are_checked() -> None:
    with pytest.raises(DataError, match=r"min_weight: 'a' was given(.|\n)*dt_ms: 0 was given, but it must be a"):
        Rules(dt_ms=0, min_weight="a")  # type: ignore[arg-type]
    assert Rules(size=4).size == 4
