"""`cortexgraph zoo`: the list, the comparison, its drawing."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest

import cortexgraph as cg
from cortexgraph.analysis import summarise, totals
from cortexgraph.compiler import lower
from cortexgraph.render import draw_beside
from cortexgraph.spec import load
from cortexgraph.spec import zoo as list_zoo
from cortexgraph.spec.loading import citation, short_citation
from cortexgraph.wording import SYNONYMS, similar
from tests.cli.conftest import Run


@pytest.mark.parametrize("name", ["ventral", "cornet_s", "blt_vs", "convlstm", "liao_resnet_unshared"])
def test_totals_are_those_of_the_whole_summary(name: str) -> None:
    graphs = lower(load(name))
    short, whole = totals(*graphs), summarise(*graphs)
    assert (short.parameters, short.flops) == (whole.parameters, whole.flops)
    assert (short.areas, sum(short.connections.values())) == (len(whole.areas), len(whole.connections))


def test_the_list_has_every_spec_and_its_source(run: Run) -> None:
    entries = json.loads(run("zoo", "--json").out)
    assert [entry["name"] for entry in entries] == list(list_zoo())
    by_name = {entry["name"]: entry for entry in entries}
    assert by_name["cornet_rt"]["responds_at"] == 4
    assert by_name["cornet_rt"]["source"] == "Kubilius et al. 2018"
    assert by_name["ventral"]["connections"] == {"feedforward": 4, "lateral": 4, "feedback": 3}
    assert by_name["ventral"]["parameters"] == 328_122


def test_a_list_of_some_is_a_table(run: Run) -> None:
    lines = run("zoo", "rcnn96", "cornet_z").out.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["rcnn96", "cornet_z"]
    assert "672 k" in lines[2]


def test_comparing_prints_a_column_for_each(run: Run) -> None:
    out = run("zoo", "--compare", "ventral", "ventral_feedforward").out
    row = next(line for line in out.splitlines() if line.startswith("parameters"))
    assert row.split() == ["parameters", "328,122", "328,069"]
    assert re.search(r"^lateral +4 +–", out, re.MULTILINE)


def test_a_drawing_of_no_format_is_refused_before_any_is_written(run: Run, tmp_path: Path) -> None:
    result = run("zoo", "--compare", "cornet_z", "ventral", "-o", "two.svg", "-o", "two.xyz")
    assert (result.code, result.out) == (1, "")
    assert "two.xyz: the suffix is `.xyz`" in result.err
    assert list(tmp_path.iterdir()) == []


def test_comparing_draws_them_side_by_side(run: Run, tmp_path: Path) -> None:
    run("zoo", "--compare", "cornet_z", "cornet_z", "--out", str(tmp_path / "two.svg"))
    svg = html.unescape((tmp_path / "two.svg").read_text())
    places = {}
    for number in (0, 1):
        found = re.search(rf'<g id="{number}-V1" class="node area area-V1">.*?<text [^>]*x="([-\d.]+)"', svg, re.DOTALL)
        assert found is not None
        places[number] = float(found[1])
    assert places[1] > places[0] + 100
    assert len(re.findall(r'<g id="[01]-V1_to_V2-arrow"', svg)) == 2


def test_side_by_side_keeps_signs_that_are_markup() -> None:
    spec = cg.load("cornet_z", {"name": "a & b"})
    assert "a &amp; b" in draw_beside([cg.build(spec), cg.build(spec)]).svg().replace("&#160;", " ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--compare", "ventral"], "give at least two specs"), (["ventral", "-o", "a.svg"], "give --compare too")],
)
def test_wrong_usage(run: Run, arguments: list[str], said: str) -> None:
    found = run("zoo", *arguments)
    assert found.code == 2
    assert said in " ".join(found.err.replace("│", " ").split())


def test_a_misspelt_name_is_one_finding(run: Run) -> None:
    found = run("zoo", "cornet-s")
    assert (found.code, found.out) == (1, "")
    assert "`cornet-s`: no such file, and no zoo spec of this name" in found.err
    assert "Did you mean `cornet_s`?" in found.err


@pytest.mark.parametrize("name", [name for name in list_zoo() if "_" in name])
def test_the_beginning_of_a_name_leads_to_a_name_that_begins_so(name: str) -> None:
    for part in {name[:at].rstrip("_") for at in range(3, len(name))} - {*list_zoo(), *SYNONYMS}:
        assert (similar(part, list_zoo()) or "").startswith(part)


def test_citations_are_short() -> None:
    assert citation(("liang2015recurrent", "he2016deep")) == "Liang & Hu 2015; He et al. 2016"
    assert citation(("mine2026",)) == "mine2026"
    assert short_citation("@misc{x, author = {{A lab}}, title = {{B} c}, year = {2024}}") == "A lab 2024"
    for name in list_zoo():
        assert re.fullmatch(r"[^;]+ \d{4}(; [^;]+ \d{4})*", citation(load(name).references)), name
