"""Arguments of wrong types are findings, whatever the public function; missing states are explained."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import cortexgraph as cg
from cortexgraph.arguments import ArgumentError, arguments_explained

IMAGES = torch.rand(1, 3, 32, 32)
WRONG = [8.5, b"x", [5], {"a": 1}, torch.rand(2)]
TINY = cg.loads("""
cortexgraph: 1
name: tiny
input: {channels: 3, size: 8}
areas: {V1: {channels: 2, size: 8}, V2: {channels: 2, size: 4}}
connections: [image -> V1 -> V2]
readout: {from: V2, classes: 2}
time: {steps: 2}
""")


@cache
def data() -> Any:
    return cg.load_data("shapes", size=(32, 32), channels=3, train_images=20, test_images=20)


@cache
def pictures(folder: Path) -> Path:
    for split in ("train", "test"):
        for name in ("a", "b"):
            (folder / split / name).mkdir(parents=True)
            Image.new("RGB", (32, 32)).save(folder / split / name / "0.png")
    return folder


SPEC: dict[str, Callable[[Path], dict[str, Any]]] = {
    name: lambda _: {"spec": TINY}
    for name in (
        *("build", "check", "compile", "draw", "draw_matrix", "draw_schedule", "draw_unrolled", "dumps", "emit"),
        *("load", "summarise", "unroll"),
    )
}
CALLS: dict[str, Callable[[Path], dict[str, Any]]] = SPEC | {
    "interpret": lambda _: {"spec": TINY, "state_dict": cg.compile(TINY).state_dict(), "x": IMAGES[..., :8, :8]},
    "loads": lambda _: {"text": cg.dumps(TINY)},
    "save": lambda folder: {"spec": TINY, "path": folder / "v.yaml"},
    "page": lambda _: {"subject": TINY},
    "share": lambda _: {"network": TINY},
    "unshare": lambda _: {"network": TINY},
    "trace": lambda _: {"network": cg.compile(TINY)},
    "load_data": lambda _: {"source": "shapes", "size": (8, 8), "channels": 3, "train_images": 20, "test_images": 20},
    "load_stimuli": lambda folder: {"source": str(pictures(folder / "data")), "size": (32, 32), "channels": 3},
    "load_run": lambda _: {"path": "ventral-cifar10"},
    "evaluate": lambda _: {"run": "ventral-cifar10", "data": data(), "at": "last"},
    "export": lambda folder: {"run": "ventral-cifar10", "path": folder / "x.py"},
    "register_loss": lambda _: {"name": "x"},
    "register_data": lambda _: {"name": "x"},
}
"""Arguments with which each function works."""


@pytest.mark.parametrize("name", CALLS)
def test_wrong_arguments_are_findings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    function, arguments = getattr(cg, name), CALLS[name](tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for parameter in inspect.signature(function).parameters:
            for value in WRONG:
                try:
                    function(**{**arguments, parameter: value})
                except cg.CortexGraphError as error:
                    assert error.diagnostics, (parameter, value)


def test_every_public_function_explains_its_arguments() -> None:
    from cortexgraph.ops import option  # not a function of the user's data

    functions = [getattr(cg, name) for name in cg.__all__]
    own = [each for each in functions if inspect.isfunction(each) and each is not option]
    bare = {each.__name__ for each in own if not hasattr(each, "__wrapped__")}
    assert bare == {"zoo", "json_schema"}, "decorate it with `arguments_explained`"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cg.draw("ventral", width=8.5), r"width: 8.5 was given, .*`str \| Sequence\[str\] \| None`"),  # type: ignore[arg-type]
        (lambda: cg.load("ventral", [5]), r"overrides: \[5\] was given(.|\n)*changes, as"),  # type: ignore[list-item]
        (lambda: cg.compile("ventral", record=5), r"record: 5 was given(.|\n)*It means: states to return"),  # type: ignore[arg-type]
        (lambda: cg.draw("ventral", b"x"), r"path: b'x' was given"),  # type: ignore[arg-type]
        (lambda: cg.load_run("ventral-cifar10", steps=5, at=[4]).compile(record=5), r"record: 5 was given"),  # type: ignore[arg-type]
        (lambda: cg.draw("ventral").save(5), r"path: 5 was given"),  # type: ignore[arg-type]
    ],
)
def test_the_finding_names_argument_type_and_meaning(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()
    with pytest.raises(TypeError, match=message):  # as Python's own would be
        call()


@pytest.mark.parametrize("images", ["x", None, [[1], [1, 2]], {"a": 1}])
def test_other_things_than_images_are_refused(images: Any) -> None:
    with pytest.raises(cg.DataError, match=r"images: they are a \w+, but a tensor or an array is needed"):
        cg.load_run("ventral-cifar10").prepare(images)


def test_only_wrong_arguments_are_blamed() -> None:
    @arguments_explained
    def fails(steps: int, names: tuple[str, int], *more: str, tell: Callable[[str], None] = print) -> None:
        """Fail.

        Args:
            steps, names: how many; and what.
        """
        raise ZeroDivisionError("of its own")

    with pytest.raises(ZeroDivisionError, match="of its own"):
        fails(np.int64(3), ("a", 1), "b")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError) as caught:
        fails(3.0, ("a", "b"), "b", 5, tell=None)  # type: ignore[arg-type]
    assert [finding.place for finding in caught.value.diagnostics] == ["steps", "names", "more", "tell"]
    with pytest.raises(ArgumentError, match=r"^names: this argument is missing\.\n  It means: how many\."):
        fails(3)  # type: ignore[call-arg]
    with pytest.raises(ArgumentError, match=r"^stpes: no argument has this name\.\n  Did you mean `steps`\?"):
        fails(stpes=3)  # type: ignore[call-arg]
    with pytest.raises(ArgumentError, match=r"^size: this argument is missing\.\n.*\(32, 32\)(.|\n)*channels: this"):
        cg.load_data("CIFAR10")  # type: ignore[call-arg]


# ---- states ------------------------------------------------------------------------


@pytest.mark.parametrize("key", [("V4", 1), ("IT", 5), ("V9", 3)])
def test_a_state_that_was_not_recorded(key: tuple[str, int]) -> None:
    _, states = cg.compile("ventral", record="V4")(IMAGES)
    with pytest.raises(
        KeyError, match=r"\) is not a recorded state, but the recorded states are V4 at steps 3–6(.|\n)*is silent"
    ):
        states[key]
    assert states.get(key) is None
    assert key not in states


def test_a_state_is_named_by_area_and_step() -> None:
    network = cg.compile("ventral", record={"V4": [5]}).eval()
    _, states = network(IMAGES)
    with pytest.raises(cg.CompileError, match=r"V4' is not a recorded state(.|\n)*such as `states\[\('V4', 5\)\]`"):
        states["V4"]
    with pytest.raises(cg.CompileError, match=r"\('V4', 1\) is not a recorded state"):
        cg.interpret("ventral", network.state_dict(), IMAGES)[1]["V4", 1]
    batched = torch.func.vmap(lambda image: network(image[None])[1])(torch.rand(2, 3, 32, 32))
    assert batched["V4", 5].shape == (2, 1, 64, 8, 8)
