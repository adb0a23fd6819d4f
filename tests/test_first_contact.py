"""What a newcomer passes in Python: names and paths for specs, areas for records, numbers of NumPy, raw pixels."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.utils import prune

import cortexgraph as cg

IMAGES = torch.rand(2, 3, 32, 32)

TAKING_SPECS: dict[str, Callable[[Any], object]] = {
    "build": lambda spec: cg.build(spec).number_of_edges(),
    "check": cg.check,
    "compile": lambda spec: cg.compile(spec).source,
    "draw": lambda spec: cg.draw(spec).svg(),
    "draw_matrix": lambda spec: cg.draw_matrix(spec).svg(),
    "draw_schedule": lambda spec: cg.draw_schedule(spec).svg(),
    "draw_unrolled": lambda spec: cg.draw_unrolled(spec).svg(),
    "dumps": cg.dumps,
    "emit": cg.emit,
    "interpret": lambda spec: cg.interpret(spec, cg.compile(spec).state_dict(), IMAGES)[0].shape,
    "lesion": lambda spec: cg.lesion(spec, "feedback"),
    "page": lambda spec: len(cg.page(spec)),
    "share": cg.share,
    "summarise": cg.summarise,
    "unroll": lambda spec: cg.unroll(spec).number_of_nodes(),
    "unshare": cg.unshare,
}


@pytest.mark.parametrize("name", TAKING_SPECS)
def test_a_spec_may_be_named_by_its_path_or_zoo_name(name: str) -> None:
    call = TAKING_SPECS[name]
    expected = call(cg.load("ventral"))
    assert call("ventral") == expected
    assert call(cg.zoo()["ventral"]) == expected
    with pytest.raises(cg.SpecError, match=r"`ventrel`: no such file, and no zoo spec(.|\n)*Did you mean `ventral`"):
        call("ventrel")


@pytest.mark.parametrize("name", sorted(TAKING_SPECS.keys() - {"page"}))
def test_what_is_no_spec_is_refused(name: str) -> None:
    with pytest.raises(cg.SpecError, match=r"a dict was given, but a spec(.|\n)*`cg.NetworkSpec.model_validate`"):
        TAKING_SPECS[name]({"name": "x"})
    with pytest.raises(cg.SpecError, match=r"an int was given, but a spec(.|\n)*`cg.load`"):
        TAKING_SPECS[name](3)


def test_a_network_is_no_spec() -> None:
    with pytest.raises(cg.SpecError, match=r"a Ventral was given, but a spec(.|\n)*Give its `.spec`"):
        cg.draw(cg.compile("ventral"))  # type: ignore[arg-type]


def test_a_named_spec_is_saved(tmp_path: Path) -> None:
    cg.save("ventral", tmp_path / "copy.yaml")
    assert cg.load(tmp_path / "copy.yaml") == cg.load("ventral")


def recorded(record: Any) -> set[tuple[str, int]]:
    _, states = cg.compile("ventral", record=record)(IMAGES)
    return set(states)


def test_areas_stand_for_all_of_their_steps() -> None:
    assert recorded("V4") == recorded(["V4"]) == recorded({"V4": "all"}) == {("V4", step) for step in (3, 4, 5, 6)}
    assert recorded(["V4", "IT"]) == recorded({"V4": "all", "IT": "all"})
    assert recorded("all") == recorded(["V1", "V2", "V4", "IT"])
    with pytest.raises(cg.CompileError, match="no area is called `V9`"):
        cg.compile("ventral", record=["V4", "V9"])


def test_a_record_of_all_leaves_out_what_never_responds() -> None:
    short = cg.load("ventral", ["time.steps=3", "readout.from=V4"])
    assert {area for area, _ in recorded_of(short)} == {"V1", "V2", "V4"}


def recorded_of(spec: cg.NetworkSpec) -> set[tuple[str, int]]:
    return set(cg.compile(spec, record="all")(IMAGES)[1])


@pytest.mark.parametrize(
    "steps", [np.int64(5), [np.int32(5)], np.array([5]), torch.tensor(5), range(5, 6), [5, np.uint8(5)]], ids=str
)
def test_steps_may_be_whole_numbers_of_other_libraries(steps: Any) -> None:
    assert recorded({"V4": steps}) == {("V4", 5)}


@pytest.mark.parametrize("steps", [5.0, "five", [5.5], True, [True], None, [], np.array([5.0])], ids=str)
def test_other_steps_are_findings(steps: Any) -> None:
    with pytest.raises(cg.CompileError, match=r"record V4: .* but a record is `all`, `last`, a step or a list"):
        cg.compile("ventral", record={"V4": steps})


def test_the_number_of_steps_may_be_of_another_library() -> None:
    for steps in (np.int64(4), torch.tensor(4), np.uint8(4)):
        assert cg.compile("ventral", steps=steps).spec.time.steps == 4  # type: ignore[arg-type]
    for wrong in (0, 4.0, "4", True):
        with pytest.raises(cg.CompileError, match=r"steps: .* was given, but steps is a whole number from 1"):
            cg.compile("ventral", steps=wrong)  # type: ignore[arg-type]
    with pytest.raises(
        cg.CompileError, match=r"order: 'fast' was given, but order is simultaneous, sequential or a list"
    ):
        cg.compile("ventral", order="fast")  # type: ignore[arg-type]


def test_one_pass_may_be_named_alone() -> None:
    assert cg.compile("ventral", passes="prune").source == cg.compile("ventral", passes=["prune"]).source
    with pytest.raises(cg.CompileError, match="`pruned` is not a pass"):
        cg.compile("ventral", passes="pruned")
    with pytest.raises(cg.CompileError, match=r"`3` is not a pass(.|\n)*`\['prune'\]` is not a pass"):
        cg.compile("ventral", passes=[3, ["prune"]])  # type: ignore[list-item]


@pytest.mark.parametrize("passes", [3, True, 0.5])
def test_passes_are_a_list_of_names(passes: Any) -> None:
    match = rf"passes: {passes!r} was given, but passes is a list of names(.|\n)*`passes=\['prune'\]`"
    with pytest.raises(cg.CompileError, match=match):
        cg.compile("ventral", passes=passes)


@pytest.mark.parametrize("word", [3, None, ["feedback"], {"feedback"}], ids=str)
def test_a_lesion_takes_names(word: Any) -> None:
    for network in ("ventral", cg.compile("ventral")):
        with pytest.raises(
            cg.CompileError, match=r"lesion: .* was given, which is not a name(.|\n)*a separate argument"
        ):
            cg.lesion(network, word)


def test_labels_by_one_word() -> None:
    assert cg.draw("ventral", labels="all").svg() == cg.draw("ventral", labels=True).svg()
    assert cg.draw("ventral", labels="kernel").svg() == cg.draw("ventral", labels=["kernel"]).svg()
    with pytest.raises(cg.CompileError, match="labels: `kernels` was given, but the choices are"):
        cg.draw("ventral", labels="kernels")


@pytest.mark.parametrize("video", [False, True], ids=["image", "video"])
@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(2, 3, 32, 32, dtype=torch.uint8), r"x is uint8, but a tensor of floats(.|\n)*x.float\(\) / 255"),
        (torch.zeros(2, 3, 32, 32, dtype=torch.int64), r"x is int64, but a tensor of floats"),
        (torch.zeros(2, 3, 32, 32) > 0, r"x is bool, but a tensor of floats"),
        (np.zeros((2, 3, 32, 32), np.float32), r"x is a ndarray, but a tensor of floats(.|\n)*torch.as_tensor"),
        ([[0.0]], r"x is a list, but a tensor of floats(.|\n)*torch.as_tensor"),
    ],
    ids=["uint8", "int64", "bool", "numpy", "list"],
)
def test_images_that_are_no_floats_are_refused_with_the_repair(images: Any, message: str, video: bool) -> None:
    network = cg.compile("ventral", video=video)
    with pytest.raises(cg.DataError, match=message):
        network(images)


def test_the_interpreter_refuses_the_same_images() -> None:
    state = cg.compile("ventral").state_dict()
    for x, found in ((IMAGES.byte(), "uint8"), (IMAGES.numpy(), "a ndarray"), ([0.0], "a list")):
        with pytest.raises(cg.DataError, match=f"x is {found}, but a tensor of floats is needed"):
            cg.interpret("ventral", state, x)


def test_the_interpreter_refuses_short_videos_networks_and_other_types() -> None:
    network = cg.compile("ventral")
    state = network.state_dict()
    with pytest.raises(cg.DataError, match=r"x is \[2, 3, 3, 32, 32\], but .* a frame for each of 6 steps"):
        cg.interpret("ventral", state, torch.rand(2, 3, 3, 32, 32))
    for given in (network, None, [*state]):
        with pytest.raises(cg.DataError, match=r"tensors by their names are needed(.|\n)*`network.state_dict\(\)`"):
            cg.interpret("ventral", given, IMAGES)  # type: ignore[arg-type]
    with pytest.raises(cg.DataError, match=r"x is float64, but the parameters are float32(.|\n)*x.to\(torch.float32\)"):
        cg.interpret("ventral", state, IMAGES.double())


@pytest.mark.parametrize("given", ["ventral", torch.nn.Linear(1, 1), None], ids=str)
def test_only_compiled_networks_are_traced(given: Any) -> None:
    with pytest.raises(cg.CompileError, match=r"a \w+ was given, but a compiled network is needed"):
        cg.trace(given)


def test_the_interpreter_names_every_entry_that_a_state_dict_lacks() -> None:
    spec = cg.load("ventral", {"areas.IT.cell": "conv_gru"})
    state = cg.compile(spec).state_dict()
    cg.interpret(spec, state, IMAGES)
    for name in ("V1_to_V2.conv.weight", "V2.norm.0.bias", "IT.cell.shift"):
        del state[name]
    state["readout.linear.bias"] = torch.zeros(3)
    with pytest.raises(cg.DataError, match="it is missing, but the network has a parameter") as caught:
        cg.interpret(spec, state, IMAGES)
    assert {finding.place: finding.found for finding in caught.value.diagnostics} == {
        "V1_to_V2.conv.weight": "it is missing",
        "V2.norm.0.bias": "it is missing",
        "IT.cell.shift": "it is missing",
        "readout.linear.bias": "it is [3]",
    }


def test_images_of_another_size() -> None:
    network = cg.compile("ventral")
    with pytest.raises(ValueError, match=r"x is \[1, 3, 31, 31\], but \[B, 3, 32, 32\], or .*\n  Resize the"):
        network(torch.rand(1, 3, 31, 31))
    with pytest.raises(
        cg.DataError, match=r"x is \[1, 3, 31, 31\], but \[B, 3, 32, 32\], or \[B, T, 3, 32, 32\] of a video"
    ):
        cg.interpret("ventral", network.state_dict(), torch.rand(1, 3, 31, 31))


def test_torch_tools_take_parameters_gradients_and_states_as_they_are() -> None:
    """They flatten with `view`, which needs the contiguous layout."""
    network = cg.compile("ventral", record={"V4": [5]})
    logits, states = network(IMAGES)
    logits.sum().backward()
    parameters = [*network.parameters()]
    assert torch.nn.utils.parameters_to_vector(parameters).numel() == sum(p.numel() for p in parameters)
    assert states["V4", 5].view(2, -1).shape[0] == 2
    assert logits.view(-1).numel() == 20
    assert all(p.grad.view(-1).numel() == p.numel() for p in parameters if p.grad is not None)
    assert all(value.is_contiguous() for value in network.state_dict().values())
    prune.l1_unstructured(network.V1_to_V2.conv, "weight", 0.5)


# ---- how results print and show themselves -----------------------------------------


def test_findings_print_as_the_command_line_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    late = cg.load("ventral", ["time.steps=2"])
    print(cg.check(late))
    assert capsys.readouterr().out.endswith("choose another order or a shorter path.    [silent-readout]\n")
    assert repr(cg.check(late)) == "\n".join(str(finding) for finding in cg.check(late))
    assert str(cg.check("ventral")) == "no findings"
    assert cg.check("ventral") == []


def test_reprs_are_short() -> None:
    shown = [cg.draw("ventral"), cg.build("ventral"), cg.unroll("ventral"), cg.summarise("ventral"), cg.page("ventral")]
    assert [repr(thing) for thing in shown[:3]] == [
        "<Drawing of ventral: show it in a notebook, or save it with `.save(path)`>",
        "<AreaGraph ventral: 4 areas, 11 connections>",
        "<UnrolledGraph ventral: 24 updates in 6 steps, 31 nodes>",
    ]
    assert repr(shown[3]).startswith("<NetworkSummary: 4 areas, 11 connections, 6 steps, 328,122 parameters, ")
    assert all(len(repr(thing)) < 150 for thing in shown)
    assert len(repr(cg.compile("ventral").unrolled)) < 150


def test_notebooks_show_tables_and_pages() -> None:
    tables = cg.summarise("ventral")._repr_html_()
    assert "<td>V4</td><td>64</td>" in tables
    assert "<td>IT → V4</td><td>feedback</td>" in tables
    page = cg.page("ventral")
    assert page.startswith("<!")
    assert page._repr_html_().startswith('<iframe srcdoc="&lt;!')


def test_data_sets_do_not_print_their_pixels() -> None:
    data = cg.load_data("shapes", size=(8, 8), channels=3, train_images=10, test_images=10)
    assert repr(data.train) == "<10 images of 3 × 8 × 8>"
    assert len(repr(data)) < 700


def test_a_spec_stays_as_it_is_and_load_makes_a_changed_copy() -> None:
    spec = cg.load("ventral")
    with pytest.raises(AttributeError, match=r"a spec stays as it is \(TimeSpec.steps was set\); make a changed copy"):
        spec.time.steps = 12  # type: ignore[misc]
    changed = cg.load(spec, ["time.steps=12", "areas.V1.channels=8"])
    assert (changed.time.steps, changed.areas["V1"].channels, spec.time.steps) == (12, 8, 6)
    assert cg.load(spec) == spec
    assert cg.load(spec, ["readout.classes=7"]).readouts[0].classes == 7
    value = {"channels": 8}
    cg.load("ventral", {"areas.V1": value, "areas.V1.size": 32})
    assert value == {"channels": 8}
    with pytest.raises(cg.SpecError, match="is not an index"):
        cg.load(spec, ["connections[" + "9" * 5000 + "].kernel=1"])
    with pytest.raises(cg.SpecError, match=r"time.steps"):
        cg.load(spec, ["time.steps=0"])


def test_nothing_inside_a_spec_can_be_changed() -> None:
    """Also after edits; copies, pickles and comparisons are those of plain mappings."""
    spec = cg.load("ventral", {"areas.V1.body": [{"conv": {"kernel": 3}}, {"norm": {"kind": "batch"}}, "relu"]})
    for made in (spec, cg.lesion(spec, "feedback"), cg.share(spec), pickle.loads(pickle.dumps(spec)), deepcopy(spec)):
        areas, options = made.areas, made.areas["V1"].body[0].options  # type: ignore[index]
        changes: list[Callable[[], object]] = [
            *(lambda target=target: target.update(V9=1) for target in (areas, options)),
            *(lambda target=target: target.pop("V1", None) for target in (areas, options)),
            *(lambda target=target: target.setdefault("V9", 1) for target in (areas, options)),
            *(lambda target=target: target.__setitem__("V1", 1) for target in (areas, options)),
            *(lambda target=target: target.__delitem__("V1") for target in (areas, options)),
            *(lambda target=target: target.__ior__({"V9": 1}) for target in (areas, options)),
            areas.clear,
            areas.popitem,
        ]
        before = made.digest
        for change in changes:
            with pytest.raises(AttributeError, match=r"a spec stays as it is; make a changed copy: `cg.load"):
                change()
        for entries in (made.connections, made.areas["V1"].body, made.references):
            assert isinstance(entries, tuple)
            for name, arguments in {"append": [1], "extend": [()], "__setitem__": [0, 1], "__delitem__": [0]}.items():
                with pytest.raises(AttributeError, match=r"a spec stays as it is; .*\*spec.connections"):
                    getattr(entries, name)(*arguments)
        assert made.digest == before
        assert areas == dict(areas)
        assert cg.load(made) == made
    assert json.loads(json.dumps(spec.data()))["areas"]["V1"] == spec.data()["areas"]["V1"]


def test_other_things_than_runs_and_images_are_refused() -> None:
    network, data = cg.compile("ventral"), cg.load_data("shapes", size=(32, 32), channels=3, train_images=10)
    with pytest.raises(cg.DataError, match=r"a Ventral was given, but a run of `cg.load_run`"):
        cg.predict([], network)  # type: ignore[arg-type]
    with pytest.raises(cg.DataError, match=r"a str was given(.|\n)*`cg.load_data`"):
        cg.train("ventral", "shapes")  # type: ignore[arg-type]
    with pytest.raises(cg.DataError, match=r"the size is 28, but a height and a width(.|\n)*such as \(32, 32\)"):
        cg.load_data("shapes", size=28, channels=1)  # type: ignore[arg-type]
    with pytest.raises(cg.CompileError, match=r"split: (.|\n)*`test` or `train`|split"):
        cg.evaluate(network, data, split="Train")  # type: ignore[arg-type]


def test_a_misspelt_name_or_file_is_recognised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AttributeError, match=r"has no attribute `lession`; did you mean `lesion`"):
        cg.lession  # noqa: B018
    monkeypatch.chdir(tmp_path)
    cg.save("ventral", "anatomy.yaml")
    with pytest.raises(cg.SpecError, match=r"Did you mean `anatomy.yaml`"):
        cg.check("anatomi.yaml")
    with pytest.raises(cg.SpecError, match=r"Did you mean `anatomy.yaml`"):
        cg.check("anatomy")


@pytest.mark.parametrize("at", ["bogus", 0, [1.5], []])
def test_steps_of_readout_are_checked_as_in_a_spec(at: Any) -> None:
    with pytest.raises(cg.SpecError, match=r"^at"):
        cg.load_run("ventral-cifar10", at=at)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epoch": 2}, "epoch: 2 was given, but it is kept or best or last"),
        ({"epoch": "first"}, "epoch: 'first' was given"),
        ({"steps": 0}, "steps: 0 was given"),
        ({"record": "V9"}, "V9"),
    ],
)
def test_options_of_a_run_are_checked_when_it_is_opened(options: Any, message: str) -> None:
    with pytest.raises(cg.CompileError, match=message):
        cg.load_run("ventral-cifar10", **options)
