"""The page in a real browser: no errors, and what is lit and said is what networkx finds in the unrolled graph."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

import cortexgraph as cg
from cortexgraph.render.updates import node_key
from cortexgraph.unrolling import UnrolledGraph
from tests.pages.test_page import AREA, HOSTILE, hostile_spec

pytestmark = pytest.mark.browser

Opened = Callable[..., Any]


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Opened]:
    """Opens the page of a spec; at the end, nothing may have gone wrong in it."""
    said: list[str] = []
    tabs: list[Any] = []

    def go(spec: Any, **options: Any) -> Any:
        path = tmp_path / "page.html"
        cg.page(spec, path, **options)
        tab = browser.new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        tab.on("request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None)
        tab.goto(path.as_uri())
        tabs.append(tab)
        return tab

    yield go
    for tab in tabs:
        tab.close()
    assert [line for line in said if not line.startswith("data:")] == []


def click(tab: Any, selector: str) -> None:
    """A click in the middle of an element; arrows are thin, so the event is sent to the part itself."""
    tab.locator(selector).first.dispatch_event("click")


def update(key: str) -> str:
    return f'figure.updates [id="{key}"]'


def lit(tab: Any, kind: str) -> set[str]:
    found: list[str] = tab.eval_on_selector_all(f"figure.updates .node.{kind}", "parts => parts.map(part => part.id)")
    return set(found)


def cones(graph: UnrolledGraph, name: str, step: int) -> tuple[set[str], set[str]]:
    alive = graph.subgraph([node for node in graph if graph.live(node) and node.kind != "zero"])
    node = graph.state(name, step)
    before, after = nx.ancestors(alive, node), nx.descendants(alive, node)
    return {node_key(graph, other) for other in before}, {node_key(graph, other) for other in after}


@pytest.mark.parametrize("order", ["simultaneous", "sequential", ("V1", "V2", "V4", "IT", "V4", "V2", "V1")])
def test_what_drives_v2_at_step_3_and_does_it_reach_the_readout(opened: Opened, order: Any) -> None:
    tab = opened(cg.load("ventral"), order=order)
    graph = cg.unroll(cg.load("ventral"), order=order)
    node = graph.state("V2", 3)
    assert node is not None
    click(tab, update(node_key(graph, node)))
    before, after = cones(graph, "V2", 3)
    assert (lit(tab, "it"), lit(tab, "before"), lit(tab, "after")) == ({node_key(graph, node)}, before, after)
    answer = tab.inner_text(".answer")
    assert "V2 at step 3. It is computed." in answer
    assert "feedforward: 3 × 3 conv, stride 2" in answer
    assert "It reaches a readout: V2@3 → " in answer
    assert "the readout at step 6" in answer
    tab.keyboard.press("Escape")
    assert lit(tab, "on") == set()
    assert "Click an update" in tab.inner_text(".answer")


def test_what_the_pointer_is_over_is_lit_until_something_is_chosen(opened: Opened) -> None:
    tab = opened(cg.load("ventral"))
    tab.hover(update("V4@4.0"))
    tab.wait_for_selector(update("V4@4.0") + ".it")
    before, after = cones(cg.unroll(cg.load("ventral")), "V4", 4)
    assert (lit(tab, "before"), lit(tab, "after")) == (before, after)
    assert "Click an update" in tab.inner_text(".answer")
    tab.hover("h1")
    assert lit(tab, "on") == set()
    click(tab, update("V1@1.0"))
    tab.hover(update("V4@4.0"))
    tab.wait_for_timeout(200)
    assert lit(tab, "it") == {"V1@1.0"}


def test_silent_and_unread_updates_are_told_apart(opened: Opened) -> None:
    tab = opened(cg.load("ventral"))
    click(tab, update("IT@2.0"))
    assert "It is silent (⊥)" in tab.inner_text(".answer")
    assert "IT first responds at step 4: IT@4" in tab.inner_text(".answer")
    click(tab, update("V1@5.0"))
    answer = tab.inner_text(".answer")
    assert "never computed, because no readout depends on it" in answer
    assert "Nothing of it reaches a readout." in answer
    tab.click(".answer a >> text=V1@4")  # an input of it
    assert lit(tab, "it") == {"V1@4.0"}


def test_an_update_leads_to_its_lines_and_a_line_to_its_update(opened: Opened) -> None:
    tab = opened(cg.load("ventral"))
    click(tab, update("V4@4.0"))
    marked = "\n".join(tab.locator(".line.it").all_inner_texts())
    assert "V4_4 = self.V4(" in marked
    assert "[B, 64, 8, 8]" in marked
    assert "V4_3 = " not in marked
    tab.locator(".line", has_text="IT_6 = self.IT(").click()
    assert lit(tab, "it") == {"IT@6.0"}
    assert tab.evaluate("decodeURIComponent(location.hash)") == "#IT@6.0"


def test_the_slider_goes_through_the_steps(opened: Opened) -> None:
    tab = opened(cg.load("ventral"))
    tab.focus(".slider")
    for _ in range(5):
        tab.keyboard.press("ArrowRight")
    assert tab.inner_text(".step") == "5 of 6 · executed: V4, IT · unread: V1, V2"
    assert tab.locator("figure.areas .node.unread").count() == 2
    assert tab.locator("figure.updates .cluster.now").get_attribute("id") == "updates-step-5"
    click(tab, 'figure.areas [id="V4"]')  # at the step of the slider
    assert lit(tab, "it") == {"V4@5.0"}


def test_areas_connections_and_rows_can_be_chosen(opened: Opened) -> None:
    tab = opened(cg.load("ventral"))
    click(tab, 'figure.areas [id="V2"]')
    assert lit(tab, "it") == {f"V2@{step}.0" for step in range(2, 7)}
    assert "Computed at steps 2–4; live but never read at steps 5–6; silent at step 1." in tab.inner_text(".answer")
    click(tab, 'figure.areas [id="V4_to_V2-arrow"]')
    assert "V4 → V2. feedback: 3 × 3 conv → nearest to 16 × 16" in tab.inner_text(".answer")
    assert lit(tab, "before") == {"V4@3.0", "V4@4.0", "V4@5.0"}
    tab.click("tr[data-area=IT]")
    assert lit(tab, "it") == {"IT@4.0", "IT@5.0", "IT@6.0"}
    tab.focus(update("V1@1.0"))
    tab.keyboard.press("Enter")
    assert lit(tab, "it") == {"V1@1.0"}


def test_it_fits_a_laptop_and_paper(opened: Opened) -> None:
    tab = opened(cg.load("ventral"))
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1366
    box = tab.locator(".answer").bounding_box()
    assert box["y"] + box["height"] <= 768  # graphs and answer are seen without scrolling
    printed = tab.pdf(prefer_css_page_size=True)
    assert printed.startswith(b"%PDF")
    tab.emulate_media(media="print")
    assert not tab.is_visible(".slider")
    assert tab.evaluate("getComputedStyle(document.querySelector('pre.source')).maxHeight") == "none"


def test_hostile_names_are_only_names(opened: Opened) -> None:
    tab = opened(hostile_spec())
    assert tab.evaluate("window.hacked") is None
    assert tab.inner_text(".description") == HOSTILE
    click(tab, "figure.areas .node.area")
    assert AREA in tab.inner_text(".answer")
    click(tab, "figure.updates .node.update.executed")
    assert AREA in tab.inner_text(".answer")


def test_a_thousand_updates(opened: Opened) -> None:
    """Folded or not, every step can be visited, and an answer counts all updates."""
    tab = opened(cg.load("ventral"), steps=250)
    tab.fill(".slider", "130")
    assert tab.inner_text(".step").startswith("130 of 250")
    click(tab, 'figure.areas [id="V4"]')
    answer = tab.inner_text(".answer")
    assert "V4 at step 130. It is computed." in answer
    assert "V1 at steps 1–128" in answer
    assert "… 112 more …" in answer


def test_arrows_can_be_clicked_along_their_whole_length(opened: Opened) -> None:
    """At nine points along a dashed arrow, three pixels beside it, the pointer meets the arrow."""
    tab = opened(cg.load("ventral"))
    hits = tab.evaluate(
        """() => {
          const arrow = document.querySelector('figure.areas [id="V4_to_V2-arrow"]');
          const path = arrow.querySelector("path");
          const matrix = path.getScreenCTM();
          return [1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => {
            const point = path.getPointAtLength(path.getTotalLength() * n / 10).matrixTransform(matrix);
            return document.elementFromPoint(point.x + 3, point.y)?.closest("g.edge")?.id === arrow.id;
          });
        }"""
    )
    assert hits == [True] * 9


def test_search_keys_and_zoom(opened: Opened) -> None:
    tab = opened(cg.load("ventral"))
    tab.fill(".search", "v4@3")
    tab.press(".search", "Enter")
    assert lit(tab, "it") == {"V4@3.0"}
    tab.fill(".search", "V2")
    tab.press(".search", "Enter")
    assert "V2. Computed at" in tab.inner_text(".answer")
    tab.fill(".search", "nothing")
    tab.press(".search", "Enter")
    assert tab.evaluate("document.querySelector('.search').validationMessage") == "no such area or update"
    tab.evaluate("document.activeElement.blur()")
    tab.keyboard.press("ArrowRight")
    assert tab.inner_text(".step").startswith("1 of 6")
    height = "document.querySelector('figure.updates svg').getBoundingClientRect().height"
    before = tab.evaluate(height)
    tab.keyboard.press("+")
    assert tab.evaluate(height) == pytest.approx(1.25 * before, rel=0.01)
    tab.keyboard.press("0")
    frame = "document.querySelector('figure.updates')"
    for length in ("Height", "Width"):
        assert tab.evaluate(f"{frame}.scroll{length} - {frame}.client{length}") <= 1


def test_dark_mode(opened: Opened) -> None:
    tab = opened(cg.load("ventral"))
    tab.emulate_media(color_scheme="dark")
    assert "invert" in tab.evaluate("getComputedStyle(document.body).filter")


def test_a_phone(opened: Opened) -> None:
    """On 390 pixels nothing sticks out, and every control can be reached."""
    tab = opened(cg.load("ventral"))
    tab.set_viewport_size({"width": 390, "height": 844})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    for part in (".slider", ".search", ".zoom-fit", ".save-updates", "figure.updates", ".answer"):
        box = tab.locator(part).bounding_box()
        assert box["x"] >= 0, part
        assert box["x"] + box["width"] <= 390, part


def test_a_picture_is_dragged_and_a_drag_is_not_a_click(opened: Opened) -> None:
    tab = opened(cg.load("ventral"), steps=16)
    start = tab.locator(update("V2@5.0")).bounding_box()
    left = "document.querySelector('figure.updates').scrollLeft"
    tab.evaluate(f"{left} = 40")
    box = tab.locator(update("V2@5.0")).bounding_box()
    tab.mouse.move(box["x"] + 10, box["y"] + 10)
    tab.mouse.down()
    tab.mouse.move(box["x"] - 60, box["y"] + 10, steps=4)
    tab.mouse.up()
    assert tab.evaluate(left) == 110
    assert start is not None
    assert "Click an update" in tab.inner_text(".answer")
    tab.locator(update("V2@5.0")).click()
    assert lit(tab, "it") == {"V2@5.0"}


def test_the_picture_shown_can_be_saved(opened: Opened, tmp_path: Path) -> None:
    tab = opened(cg.load("ventral"))
    click(tab, update("V4@4.0"))
    for name, part in (("areas", "V4"), ("updates", "V4@4.0")):
        with tab.expect_download() as download:
            tab.click(f".save-{name}")
        assert download.value.suggested_filename == f"ventral-{name}.svg"
        download.value.save_as(tmp_path / "saved.svg")
        root = ET.parse(tmp_path / "saved.svg").getroot()
        parts = {group.attrib["id"]: group.get("class", "") for group in root.iter("{http://www.w3.org/2000/svg}g")}
        assert "it" in parts[part].split()
        style = root.find("{http://www.w3.org/2000/svg}style")
        assert style is not None
        assert "svg.focus .node.it.it path" in str(style.text)
        assert "hit" not in {path.get("class") for path in root.iter("{http://www.w3.org/2000/svg}path")}


def test_long_unrollings_are_cut_until_all_steps_are_asked_for(opened: Opened) -> None:
    """By the button, or by going to a step that is not shown."""
    width = "document.querySelector('figure.updates svg').getBoundingClientRect().width"
    shown = "document.querySelector('.unfold').hidden"
    assert opened(cg.load("ventral"), steps=24).evaluate(shown)
    tab = opened(cg.load("ventral"), steps=60)
    assert tab.inner_text(".unfold") == "Show all 60 steps"
    few = tab.evaluate(width)
    tab.click(".unfold")
    assert tab.evaluate(width) > 2 * few
    assert tab.evaluate(shown)
    tab = opened(cg.load("ventral"), steps=60)
    tab.fill(".slider", "20")
    assert not tab.evaluate(shown)
    tab.fill(".slider", "50")
    assert tab.evaluate(shown)


def test_kinds_of_connections_have_colours_of_their_own_and_states_their_shapes(opened: Opened) -> None:
    tab = opened(cg.load("ventral"))
    strokes = {
        kind: tab.get_attribute(f"figure.updates .edge.executed.{kind} path:not(.hit)", "stroke")
        for kind in ("feedforward", "lateral", "feedback")
    }
    assert len({*strokes.values()}) == 3
    looks = {
        state: tab.evaluate(
            """(state) => { const path = document.querySelector(`figure.updates .node.update.${state} path`);
              return [path.getAttribute("stroke-dasharray"), path.getAttribute("fill")].join(); }""",
            state,
        )
        for state in ("executed", "unread", "silent")
    }
    assert len({*looks.values()}) == 3
