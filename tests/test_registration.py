"""Operations, cells and checks of the user's own."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

import cortexgraph as cg
from cortexgraph.checks import REGISTERED
from cortexgraph.cli import main
from cortexgraph.errors import CompileError
from cortexgraph.ops import CELLS, OPERATIONS
from cortexgraph.ops.evaluate import evaluate_operation
from cortexgraph.spec.fields import Positive
from tests.oracle import compare


class Doubled(nn.Module):
    """y = factor · x."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


@dataclass(frozen=True)
class Doubling(cg.Operation):
    """Multiplies."""

    equation: ClassVar[str] = "y = f x"
    helpers: ClassVar[tuple[Any, ...]] = (Doubled,)

    factor: Positive = cg.option(2.0, "The factor.", main=True)

    def summary(self) -> str:
        return f"times {self.factor:g}"

    def constructor(self) -> str:
        return f"Doubled({self.factor})"


@pytest.fixture
def doubling() -> Iterator[None]:
    cg.register_operation("doubling")(Doubling)
    yield
    OPERATIONS.remove("doubling")


def network(**area: Any) -> cg.NetworkSpec:
    return cg.NetworkSpec.model_validate(
        {
            "name": "own",
            "input": {"channels": 2, "size": 4},
            "areas": {"A": {"channels": 2, "size": 4} | area},
            "connections": [{"from": "image", "to": "A", "transform": []}],
            "readout": {"from": "A", "classes": 2},
            "time": {"steps": 1},
        }
    )


def test_an_operation_is_checked_compiled_and_carried_along(doubling: None) -> None:
    spec = network(body=[{"doubling": 3.0}])
    assert cg.check(spec) == []
    module = cg.compile(spec, record={"A": "all"})
    x = torch.ones(1, 2, 4, 4)
    assert float(module(x)[1]["A", 1].mean()) == 3.0
    assert "class Doubled(nn.Module)" in module.source
    assert "import cortexgraph" not in module.source


class Sine(nn.Module):
    """y = sin x."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(x)


@dataclass(frozen=True)
class SineFunction(cg.Elementwise):
    """A sine."""

    equation: ClassVar[str] = "y = sin x"
    helpers: ClassVar[tuple[Any, ...]] = (Sine,)

    def summary(self) -> str:
        return "sine"

    def constructor(self) -> str:
        return "Sine()"


def test_a_function_of_each_value_is_an_activation_of_areas_and_cells() -> None:
    (finding,) = cg.check(network(activation="sine"))
    assert finding.code == "unknown-operation"
    cg.register_operation("sine")(SineFunction)
    try:
        for area in ({"activation": "sine"}, {"body": [], "cell": {"leaky": {"activation": "sine"}}}):
            spec = network(**area)
            assert cg.check(spec) == []
            module = cg.compile(spec, record={"A": "all"})
            x = torch.rand(1, 2, 4, 4)
            assert torch.equal(module(x)[1]["A", 1], torch.sin(x))
            assert module.source.count("class Sine(nn.Module)") == 1
            assert torch.equal(cg.interpret(spec, module.state_dict(), x)[1]["A", 1], torch.sin(x))
    finally:
        OPERATIONS.remove("sine")


def test_its_options_are_checked_like_those_of_any_other(doubling: None) -> None:
    (finding,) = cg.check(network(body=[{"doubling": -1}]))
    assert finding.code == "out-of-range"
    assert finding.place == "areas.A.body[0].doubling"
    (finding,) = cg.check(network(body=[{"doubling": {"facter": 1.0}}]))
    assert finding.repair == "Did you mean `factor`?"


def test_editors_learn_of_it(doubling: None) -> None:
    assert "doubling" in str(cg.json_schema()["$defs"]["Operation"])
    assert "facter" not in str(cg.json_schema())


def test_what_is_not_registered_cannot_be_named() -> None:
    (finding,) = cg.check(network(body=[{"doubling": 3.0}]))
    assert finding.code == "unknown-operation"
    for name in ("torch.nn.ReLU", "__import__", "os.system"):
        (finding,) = cg.check(network(body=[name]))
        assert finding.code == "unknown-operation"


@pytest.mark.parametrize("name", ["conv", "relu", "norm"])
def test_a_name_is_registered_once(name: str) -> None:
    with pytest.raises(ValueError, match=f"operation `{name}` is registered already"):
        cg.register_operation(name)(Doubling)


@pytest.mark.parametrize("name", ["", "Doubling", "two words", "a.b", "x" * 65])
def test_a_name_must_be_a_word_of_the_language(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be an operation"):
        cg.register_operation(name)(Doubling)
    with pytest.raises(ValueError, match="cannot be a cell"):
        cg.register_cell(name)(CELLS["simple"].make_from)


def test_a_helper_without_source_is_refused(doubling: None, monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Any] = {}
    exec("from torch import nn\nclass Nowhere(nn.Module):\n    pass", made)
    monkeypatch.setattr(Doubling, "helpers", (made["Nowhere"],))
    with pytest.raises(CompileError, match="its source cannot be found"):
        cg.emit(network(body=["doubling"]))


def test_a_helper_cannot_take_the_place_of_another_definition(doubling: None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Chain(Doubled):
        """Named like what chains are made of."""

    monkeypatch.setattr(Doubling, "helpers", (Chain,))
    with pytest.raises(CompileError, match=r"another definition called `Chain`(.|\n)*a free name"):
        cg.emit(network(body=["doubling"]))


def test_a_check_of_ones_own_runs_with_the_others() -> None:
    @cg.register_check
    def small(graph: cg.AreaGraph) -> Iterator[cg.Diagnostic]:
        """`few-channels`."""
        for area in graph.areas:
            if area.channels < 4:
                yield graph.spec.origin.diagnostic("few-channels", ("areas", area.name), f"{area.name} is narrow")

    try:
        assert [finding.code for finding in cg.check(network())] == ["few-channels"]
        with pytest.raises(cg.GraphError, match="A is narrow"):
            cg.build(network())
    finally:
        REGISTERED.remove(small)
    assert cg.check(network()) == []


class Standardised(nn.Module):
    """A batch norm without scale and shift."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


@dataclass(frozen=True)
class Standardising(cg.Operation):
    """Each channel, less its mean and over its deviation: of the batch in training, of running averages otherwise."""

    equation: ClassVar[str] = "y = (x − μ_c) / √(σ²_c + ε)"
    helpers: ClassVar[tuple[Any, ...]] = (Standardised,)
    averages: ClassVar[bool] = True

    def summary(self) -> str:
        return "standardised"

    def constructor(self) -> str:
        return f"Standardised({self.shape[0]})"


@pytest.mark.parametrize("training", [True, False])
def test_an_operation_of_ones_own_is_held_to_its_equation(training: bool) -> None:
    x = torch.randn(3, 2, 4, 5, dtype=torch.float64) + 1
    old = {"running_mean": torch.rand(2).double(), "running_var": torch.rand(2).double() + 0.5}
    entries = {f"norm.{name}": value for name, value in (old | {"num_batches_tracked": torch.tensor(3)}).items()}
    found, move = evaluate_operation(Standardising((2, 4, 5)), x, entries, training)
    mean, variance = (x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)) if training else old.values()
    torch.testing.assert_close(found, (x - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt())
    assert (move is not None) == training
    if move is not None:
        expected = {
            "norm.running_mean": 0.9 * old["running_mean"] + 0.1 * mean,
            "norm.running_var": 0.9 * old["running_var"] + 0.1 * x.var((0, 2, 3)),
            "norm.num_batches_tracked": torch.tensor(4),
        }
        torch.testing.assert_close(move(entries), expected)


@pytest.mark.parametrize("passes", [None, []])
def test_running_averages_of_ones_own_move_where_a_readout_depends_on_them(passes: list[str] | None) -> None:
    cg.register_operation("standardise")(Standardising)
    try:
        spec = network(body=["standardise", "relu"])
        data = spec.model_dump(mode="json", by_alias=True)
        data["connections"] += [{"from": "A", "to": "A", "kernel": 1}]
        data |= {"readout": {"from": "A", "classes": 2, "at": [2]}, "time": {"steps": 4}}
        found = compare(cg.NetworkSpec.model_validate(data), passes=passes)
    finally:
        OPERATIONS.remove("standardise")
    assert found.averages == 3
    assert found.stable


# ---- one file is all that a new operation or cell needs ----------------------------

MODULE = '''
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

import cortexgraph as cg


class Mixed(nn.Module):
    """y = W x over channels, times a factor."""

    def __init__(self, channels: int, factor: float) -> None:
        super().__init__()
        self.factor = factor
        self.weight = nn.Parameter(torch.randn(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * torch.einsum("oc,bchw->bohw", self.weight, x)


@cg.register_operation("mix")
@dataclass(frozen=True)
class Mix(cg.Operation):
    """A linear mixture of channels."""

    equation: ClassVar[str] = "y = f W x"
    helpers: ClassVar[tuple[type, ...]] = (Mixed,)

    factor: float = cg.option(1.0, "The factor.", main=True)

    def summary(self) -> str:
        return f"mix × {self.factor:g}"

    def constructor(self) -> str:
        return f"Mixed({self.shape[0]}, {self.factor})"

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {"weight": (self.shape[0], self.shape[0])}


class Averaged(nn.Module):
    """h' = (1 - r) h + r x."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return self.rate * x if h is None else (1 - self.rate) * h + self.rate * x


@cg.register_cell("averaging")
@dataclass(frozen=True)
class Averaging(cg.Cell):
    """A moving average of the input."""

    equation: ClassVar[str] = "h' = (1 - r) h + r x"
    helpers: ClassVar[tuple[type, ...]] = (Averaged,)

    rate: float = cg.option(0.5, "The rate r.", main=True)

    def summary(self) -> str:
        return f"mean {self.rate:g}"

    def constructor(self) -> str:
        return f"Averaged({self.rate})"
'''


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[None]:
    """A module of one file that registers an operation and a cell."""
    path = tmp_path / "plugin.py"
    path.write_text(MODULE)
    spec = importlib.util.spec_from_file_location("plugin", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["plugin"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield
    OPERATIONS.remove("mix")
    CELLS.remove("averaging")
    del sys.modules["plugin"]


def test_one_file_makes_an_operation_and_a_cell_known_everywhere(
    plugin: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = network(body=["relu", {"mix": 2.0}, "mix"], cell={"averaging": {"rate": 0.25}}).model_dump(by_alias=True)
    data["connections"][0]["transform"] = [{"mix": 3.0}]
    spec = cg.NetworkSpec.model_validate(data | {"time": {"steps": 3}})
    assert cg.check(spec) == []
    cg.save(spec, tmp_path / "own.yaml")
    assert cg.load(tmp_path / "own.yaml") == spec
    monkeypatch.setattr(sys, "argv", ["cortexgraph", "show", str(tmp_path / "own.yaml")])
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit, match="0"):
        main()
    assert "mix × 3" in capsys.readouterr().out
    area = cg.build(spec).area("A")
    assert area.parameters() == 2 * 4
    assert area.macs == 2 * 4 * 16  # by default each weight counts once at each place
    source = cg.emit(spec)
    assert "class Mixed(nn.Module)" in source
    assert "class Averaged(nn.Module)" in source
    network_ = cg.compile(spec)
    assert {"A.mix.weight", "A.mix_2.weight"} <= network_.state_dict().keys()
    for training in (True, False):
        assert compare(spec, training=training).stable
    cg.draw(network(body=["mix"], cell={"averaging": 0.25}), tmp_path / "drawing.svg")
    assert "mix × 1 · mean 0.25" in (tmp_path / "drawing.svg").read_text()
    definitions = cg.json_schema()["$defs"]
    assert "mix" in definitions["Operation"]["anyOf"][0]["enum"]
    assert "averaging" in definitions["Cell"]["anyOf"][0]["enum"]


def test_findings_about_ones_own_are_those_of_any_other(plugin: None) -> None:
    (finding,) = cg.check(network(body=["mixx"]))
    assert (finding.code, finding.repair) == ("unknown-operation", "Did you mean `mix`?")
    (finding,) = cg.check(network(cell="averagin"))
    assert (finding.code, finding.repair) == ("unknown-operation", "Did you mean `averaging`?")
    (finding,) = cg.check(network(cell={"averaging": {"rates": 1}}))
    assert (finding.place, finding.repair) == ("areas.A.cell.averaging.rates", "Did you mean `rate`?")


# ---- operations that are not what they declare ---------------------------------------


class Scaled(nn.Module):
    """x · g."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.gain


class Twice(nn.Module):
    """The channels twice."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, x], 1)


@pytest.mark.parametrize(
    ("helpers", "constructor", "message"),
    [
        ((Scaled,), "Scaled()", r"its module has parameters of shapes \[\(1,\)\], but `parameters\(\)` declares \[\]"),
        ((Twice,), "Twice()", r"its module returns \[4, 4, 4\], but `output\(\)` declares \[2, 4, 4\]"),
        (
            (),
            "Nowhere()",
            r"the emitted file does not define `Nowhere`.*\n  Add the class or function to the `hel",
        ),
    ],
)
def test_a_module_must_be_what_its_operation_declares(helpers: Any, constructor: str, message: str) -> None:
    @cg.register_operation("own_one")
    @dataclass(frozen=True)
    class Own(cg.Operation):
        equation = "x"

        def summary(self) -> str:
            return "own"

        def constructor(self) -> str:
            return constructor

    Own.helpers = helpers
    try:
        with pytest.raises(CompileError, match=message):
            cg.compile(network(body=["own_one"]))
    finally:
        OPERATIONS.remove("own_one")


@pytest.mark.parametrize("register", [cg.register_operation, cg.register_cell])
@pytest.mark.parametrize("other", [Scaled, len, 3])
def test_only_descriptions_are_registered(register: Any, other: Any) -> None:
    with pytest.raises(ValueError, match=r"is not a dataclass derived from cortexgraph\.(Operation|Cell), which"):
        register("own_one")(other)
