"""From an experiment's file to its runs, and every mistake in it said at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from cortexgraph.compiler import unroll
from cortexgraph.errors import CortexGraphError, SpecError
from cortexgraph.experiment.plan import Run, folder_name, load_experiment, plan
from cortexgraph.unrolling import trained_parameters
from tests.experiment.conftest import Write


def planned(write: Write, rest: str) -> list[Run]:
    experiment = write(rest)
    return plan(experiment, Path("out"), experiment.data.model_dump(exclude_none=True))


GRID = """
seeds: [0, 3]
variants:
  plain: {}
  fast: {set: {time.order: sequential}, settings: {lr: 0.1}}
grid:
  time.steps: [3, 4]
  width: {narrow: {}, wide: {areas.V1.channels: 8, areas.IT.channels: 12}}
"""


def test_the_grid(write: Write) -> None:
    runs = planned(write, GRID)
    assert len(runs) == 2 * 2 * 2 * 2
    assert len({run.folder for run in runs}) == len(runs)
    run = next(r for r in runs if r.name == "fast, 4, wide, seed 3")
    assert run.variant.values == {"variant": "fast", "time.steps": "4", "width": "wide"}
    assert (run.variant.spec.time.steps, run.variant.spec.time.order) == (4, "sequential")
    assert run.variant.spec.areas["IT"].channels == 12
    assert (run.settings.lr, run.settings.seed, run.settings.epochs) == (0.1, 3, 1)


def test_a_variant_without_connections(write: Write) -> None:
    """They are cut from the spec with its overrides, in each combination with the grid."""
    rest = "variants: {a: {}, b: {lesion: lateral, set: {areas.V1.channels: 8}}}\ngrid: {time.steps: [3, 4]}"
    ends = {
        run.variant.name: [(each.source, each.target) for each in run.variant.spec.connections]
        for run in planned(write, rest)
    }
    sweep = [("image", "V1"), ("V1", "IT"), ("IT", "V1")]
    whole = [*sweep, ("V1", "V1")]
    assert ends == {"a, 3": whole, "a, 4": whole, "b, 3": sweep, "b, 4": sweep}
    b = planned(write, rest.replace("lateral", "[lateral, IT -> V1]"))[-1].variant.spec
    assert (b.areas["V1"].channels, len(b.connections)) == (8, 2)


def test_a_recipe_lies_beside_the_experiment(write: Write, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("lr: 0.25\nepochs: 7\n")
    rest = "settings: {recipe: mine.yaml, epochs: 1}\nvariants: {a: {}, b: {settings: {recipe: standard}}}"
    a, b = planned(write, rest)
    assert (a.settings.recipe, a.settings.lr, a.settings.epochs) == ("mine.yaml", 0.25, 1)
    assert (b.settings.recipe, b.settings.lr, b.settings.epochs) == ("standard", 0.006, 1)
    (tmp_path / "mine.yaml").write_text("lr: -1\n")
    with pytest.raises(SpecError, match=r"mine\.yaml:1: lr: -1 was given"):
        planned(write, rest)


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("variants: {a: {set: {time.stepz: 4}}}", r"tiny.yaml:\d+: a: time.stepz.*the key `stepz` is unknown"),
        ("variants: {a: {set: {areas.V7.channels: 4}}}", r"a: areas.V7.channels=4: no area is called `V7`"),
        (
            "variants: {a: {sett: {}}}",
            r"tiny.yaml:\d+: variants.a.sett: the key `sett` is unknown(.|\n)*mean `settings`",
        ),
        ("variants: {a: {lesion: lateralz}}", r"tiny.yaml:\d+: a: lesion lateralz: this does not name a connection"),
        ("variants: {a: {lesion: V1 -> IT}}", r"tiny.yaml:\d+: a: .*IT"),
        ("variants: {a: {}, a: {}}", r"tiny.yaml:\d+: variants.a: the key `a` appears here and on line"),
        ("variants: {a b: {}, a/b: {}}", r"a/b: `a/b` is called like `a b` as a folder"),
        ("variants: {a: {spec: nothing.yaml}}", r"a: `.*nothing.yaml`: no such file"),
        ("settings: {epochz: 3}", r"settings.epochz: this is not a setting"),
        ("settings: {epochs: 0}", r"settings.epochs: 0 was given"),
        ("settings: {seed: 3}", r"settings.seed: a seed is given here"),
        ("seeds: [1, 1]", r"tiny.yaml:\d+: seeds: `1` occurs more than once"),
        ("seeds: [-1]", r"seeds\[0\]: the value is `-1`, but it must be at least 0"),
        ("grid: {time.steps: [3, 4, 3]}", r"tiny.yaml:\d+: grid\['time.steps'\]: `3` occurs more than once"),
        ("grid: {time.order: [[[V1], [IT]], [[V1], [IT]]]}", r"grid\['time.order'\].*occurs more than once"),
        ("grid: {time.steps: 4}", r"grid\['time.steps'\]: the value is `4`, but it must be a list of values"),
        ("grid: {time.steps: [3, 1]}", r"net.yaml:\d+: readout.at: IT first responds at step 2"),
        (
            "evaluate: {cut: {lesion: lateralz}}",
            r"evaluate.cut lesion lateralz: this does not name a connection(.|\n)*`lateral`",
        ),
        ("evaluate: {cut: {lesion: V1 -> IT}}", r"evaluate.cut"),
        ("evaluate: {cut: {intervene: no.yaml}}", r"no.yaml: evaluate.cut: the file cannot be read"),
        (
            "evaluate: {cut: {intervene: a.yaml, lesion: lateral}}",
            r"evaluate.cut: `lesion` and `intervene` are both set",
        ),
        ("evaluate: {early: {at: [1]}}", r"evaluate.early.*IT first responds at step 2"),
        ("match_parameters: {to: b}", r"match_parameters: no variant is called `b`"),
        ("match_parameters: {to: 10}", r"the nearest that .* comes to 10 trained parameters"),
        ("spec: null", r"the spec: a spec to vary is missing"),
        ("data: {train_images: 0}", r"data.train_images"),
        ("figure: {x: stepp}", r"tiny.yaml:\d+: figure.x: `stepp` is not an axis of this experiment(.|\n)*mean `step`"),
        ("figure: {series: weights}", r"figure.series: `weights` is not an axis of this experiment"),
    ],
)
def test_a_mistake_is_told_with_its_place(write: Write, rest: str, message: str) -> None:
    with pytest.raises(CortexGraphError, match=message):
        planned(write, rest)


def test_all_mistakes_are_told_at_once_and_each_of_them_once(write: Write) -> None:
    with pytest.raises(SpecError, match=r"time\.stepz") as caught:
        planned(
            write, "variants: {a: {set: {time.stepz: 4}}, b: {set: {areas.V7.size: 4}}}\ngrid: {time.steps: [3, 4]}"
        )
    assert len(caught.value.diagnostics) == 2


@pytest.mark.parametrize(
    "mistake",
    ["seeds: [0, 0]", "seedz: [0]", "cortexgraph: 2", "evaluate: {x: {att: last}}", "match_parameters: {to: 0}"],
)
def test_a_mistake_in_the_form_hides_none_in_the_variants(write: Write, mistake: str) -> None:
    variants = "variants: {a: {set: {time.stepz: 4}}, b: {settings: {epochs: 0}, set: {areas.V7.size: 4}}}"
    with pytest.raises(SpecError, match=r"time\.stepz") as caught:
        write(f"{mistake}\n{variants}")
    places = [finding.place for finding in caught.value.diagnostics]
    assert len(places) == 4
    assert places[1:] == ["a: time.stepz=4", "b: settings.epochs", "b: areas.V7.size=4"]


def test_a_mistake_in_the_variants_tells_nothing_false_about_the_rest(write: Write) -> None:
    with pytest.raises(SpecError, match="sett") as caught:
        write("spec: null\nvariants: {a: {spec: net.yaml, sett: {}}}\nmatch_parameters: {to: a}\nfigure: {x: colour}")
    assert len(caught.value.diagnostics) == 1


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "order.yaml").write_text("")
    with pytest.raises(SpecError, match=r"odrer.yaml: this file does not exist\.\n  Did you mean `order.yaml`\?"):
        load_experiment(tmp_path / "odrer.yaml")
    with pytest.raises(SpecError, match=r"nope.yaml: this file does not exist\.\n  Name an experiment file"):
        load_experiment(tmp_path / "nothing" / "nope.yaml")


@pytest.mark.parametrize("name", ["..", ".", "../../x", "a/b", "..."])
def test_folders_stay_inside_the_folder_above(write: Write, name: str) -> None:
    assert (Path("runs") / folder_name(name)).resolve().parent == Path("runs").resolve()
    (run,) = planned(write, f'grid: {{description: ["{name}"]}}')
    assert run.folder.resolve().parent.parent == Path("out/runs").resolve()


def test_parameters_are_matched_by_one_factor_for_all_channels(write: Write) -> None:
    rest = "variants: {one: {}, other: {set: {connections: [image -> V1 -> IT], areas.V1.channels: 40, "
    rest += "areas.IT.channels: 60}}, big: {set: {areas.V1.channels: 64, areas.IT.channels: 96}}}\n"
    runs = planned(write, rest + "match_parameters: {to: big, tolerance: 0.02}")
    counts = [trained_parameters(unroll(run.variant.spec)) for run in runs]
    assert counts[2] == max(counts[2], 90_000)
    assert all(abs(count - counts[2]) <= 0.02 * counts[2] for count in counts)
    ratios = {runs[0].variant.spec.areas["IT"].channels / runs[0].variant.spec.areas["V1"].channels}
    assert all(abs(ratio - 1.5) < 0.05 for ratio in ratios)
