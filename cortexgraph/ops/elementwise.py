"""Elementwise operations: activations, dropout, and what a connection does with its transform's result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from cortexgraph.ops.base import Context, Fault, Operation, Options, call, option
from cortexgraph.ops.registry import OPERATIONS, register_operation
from cortexgraph.ops.torch_names import F, Tensor, nn, torch
from cortexgraph.spec import OperationSpec
from cortexgraph.spec.connection import GateKind
from cortexgraph.spec.fields import Flag, Number, Positive, Probability, Seed
from cortexgraph.wording import suggest_registered

# ---- functions of each value ------------------------------------------------------


@dataclass(frozen=True)
class Elementwise(Operation):
    """Base of the functions of each value by itself; `activation` takes the word of one that needs no options."""

    role: ClassVar[str] = "activation"


# ---- activations ---------------------------------------------------------------


class Absolute(nn.Module):
    """y = |x|."""

    def forward(self, x: Tensor) -> Tensor:
        return x.abs()


class Saturating(nn.Module):
    """y = x₊ / (1 + x₊)."""

    def forward(self, x: Tensor) -> Tensor:
        positive = torch.relu(x)
        return positive / (1 + positive)


class Complement(nn.Module):
    """y = 1 − x."""

    def forward(self, x: Tensor) -> Tensor:
        return 1 - x


class ToPower(nn.Module):
    """y = (x + ε)^p; where p is not a natural number, negative values count as 0."""

    def __init__(self, exponent: float, eps: float = 0.0) -> None:
        super().__init__()
        self.exponent = exponent
        self.eps = eps
        self.rectifies = exponent < 0 or exponent % 1 != 0

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(x) if self.rectifies else x
        return (x + self.eps if self.eps else x) ** self.exponent


class Clamped(nn.Module):
    """y = x, and the bound for values beyond it."""

    def __init__(self, minimum: float | None = None, maximum: float | None = None) -> None:
        super().__init__()
        self.minimum = minimum
        self.maximum = maximum

    def forward(self, x: Tensor) -> Tensor:
        return torch.clamp(x, self.minimum, self.maximum)


ACTIVATIONS: Mapping[str, str] = {
    "relu": "nn.ReLU()",
    "leaky_relu": "nn.LeakyReLU()",
    "gelu": "nn.GELU()",
    "elu": "nn.ELU()",
    "silu": "nn.SiLU()",
    "tanh": "nn.Tanh()",
    "sigmoid": "nn.Sigmoid()",
    "softplus": "nn.Softplus()",
    "abs": "Absolute()",
    "saturating": "Saturating()",
    "square": "ToPower(2.0)",
    "complement": "Complement()",
    "identity": "nn.Identity()",
}
"""The constructor of each activation's module, by the word of the language."""

NOT_RISING = {"gelu", "silu", "abs", "square", "complement"}
"""The activations that fall somewhere."""


@dataclass(frozen=True)
class Activation(Elementwise):
    """y = f(x), elementwise."""

    equation: ClassVar[str] = "y = f(x)"

    kind: str

    def summary(self) -> str:
        return self.kind

    def rises(self) -> bool:
        return self.kind not in NOT_RISING

    def constructor(self) -> str:
        return ACTIVATIONS[self.kind]

    @classmethod
    def shifts(cls, options: Options) -> bool | None:
        return None if options["kind"] == "identity" else False


for _name in ACTIVATIONS:
    register_operation(_name, kind=_name)(Activation)


@register_operation("power")
@dataclass(frozen=True)
class Power(Elementwise):
    """A power: y = (x + ε)^p.

    Where p is not a natural number, negative values count as 0: y = (x₊ + ε)^p.
    """

    equation: ClassVar[str] = "y = (x + ε)^p"

    exponent: Number = option(2.0, "p, not 0.", main=True)
    eps: Number = option(0.0, "ε, 0 or more; above 0 for an exponent below 1, whose slope at 0 is infinite.")

    def summary(self) -> str:
        return f"power {self.exponent:g}"

    def constructor(self) -> str:
        return call("ToPower", self.exponent, eps=(self.eps, 0.0))

    def faults(self) -> Iterator[Fault]:
        if self.exponent == 0:
            yield "`exponent` is 0, which makes every value 1", "Give another number, such as 2."
        elif self.eps < 0:
            yield f"`eps` is {self.eps:g}, but it must be 0 or more", "Give a small number, such as 1e-5."
        elif self.exponent < 1 and self.eps == 0:
            found = f"a power of {self.exponent:g} has an infinite slope at 0, so that gradients become infinite"
            yield found, "Give `eps` above 0, such as `eps: 1e-5`."


@register_operation("clamp")
@dataclass(frozen=True)
class Clamp(Elementwise):
    """Values below `min` become `min`, values above `max` become `max`."""

    equation: ClassVar[str] = "y = min(max(x, a), b)"
    rising: ClassVar[bool] = True

    min: Number | None = option(None, "The least value a; default: no bound.")
    max: Number | None = option(None, "The greatest value b; default: no bound.", main=True, example=1.0)

    def summary(self) -> str:
        return (
            f"clamp to {'−∞' if self.min is None else f'{self.min:g}'} … {'∞' if self.max is None else f'{self.max:g}'}"
        )

    def constructor(self) -> str:
        return call("Clamped", minimum=(self.min, None), maximum=(self.max, None))

    def faults(self) -> Iterator[Fault]:
        if self.min is None and self.max is None:
            yield "neither `min` nor `max` is set", "Give at least one of them, such as `{clamp: {min: 0, max: 1}}`."
        elif self.min is not None and self.max is not None and self.min >= self.max:
            yield f"`min` is {self.min:g}, but `max` is {self.max:g}", "Give a `max` above `min`."


def activations() -> Iterator[str]:
    """The words that `activation` takes: the registered functions of each value that need no options."""
    for word in OPERATIONS:
        if issubclass(OPERATIONS[word].make_from, Elementwise) and function(word) is not None:
            yield word


def function(word: str) -> Operation | None:
    """The function of each value that a word stands for without options, if there is one."""
    if word not in OPERATIONS or not issubclass(OPERATIONS[word].make_from, Elementwise):
        return None
    return OPERATIONS.make(OperationSpec(name=word), (1, 1, 1), Context(1)).component


def unknown_activation(name: str) -> Iterator[Fault]:
    """What is wrong with the name of an activation, and the repair."""
    if function(name) is None:
        known = [*activations()]
        yield f"no activation is called `{name}`", suggest_registered(name, known, f"Choose one of {', '.join(known)}.")


# ---- dropout -------------------------------------------------------------------


class SharedDropout(nn.Module):
    """Dropout with one mask for all steps: a network draws it (`draw`) when it is called."""

    def __init__(self, p: float, size: tuple[int, int, int], channels: bool = False) -> None:
        super().__init__()
        self.p = p
        self.size = size
        self.channels = channels
        self.mask: Tensor | None = None

    def draw(self, x: Tensor) -> Tensor:
        drop = F.dropout2d if self.channels else F.dropout
        self.mask = drop(x.new_ones(len(x), *self.size), self.p)
        return self.mask

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        return x * (self.draw(x) if self.mask is None else self.mask)


@register_operation("dropout")
@dataclass(frozen=True)
class Dropout(Operation):
    """In training, zeros values with probability p and scales the rest by 1/(1 − p) (Srivastava et al. 2014).

    Each evaluation draws new values; with `over_time: shared` a call of the network draws one mask for all steps (Gal &
    Ghahramani 2016). With `channels: true` whole channels are dropped.
    """

    equation: ClassVar[str] = "y = x · m / (1 − p), m ~ Bernoulli(1 − p)"
    rising: ClassVar[bool] = True
    random: ClassVar[bool] = True

    p: Probability = option(0.5, "Probability of being dropped.", main=True)
    channels: Flag = option(False, "Whether whole channels are dropped.")
    over_time: Literal["each", "shared"] = option("each", "A mask for each evaluation, or one for all steps of a call.")

    def summary(self) -> str:
        return f"dropout {self.p:g}{', one mask for all steps' if self.masks() else ''}"

    def masks(self) -> bool:
        return self.over_time == "shared"

    def constructor(self) -> str:
        if self.masks():
            return call("SharedDropout", self.p, size=(self.shape, None), channels=(self.channels, False))
        return call("nn.Dropout2d" if self.channels else "nn.Dropout", self.p)

    @classmethod
    def shifts(cls, options: Options) -> bool | None:
        return None


# ---- noise ---------------------------------------------------------------------


class GaussianNoise(nn.Module):
    """y = x + std · n, with n from N(0, 1): in training, and in evaluation where that is asked for.

    Each evaluation draws new values; with a seed, the draw depends on it and on the number of the update alone.
    """

    stepwise = True

    def __init__(self, std: float, evaluation: bool = False, seed: int | None = None) -> None:
        super().__init__()
        self.std = std
        self.evaluation = evaluation
        self.seed = seed

    def forward(self, x: Tensor, update: int = 1) -> Tensor:
        if not (self.training or self.evaluation):
            return x
        if self.seed is None:
            return x + self.std * torch.randn_like(x)
        generator = torch.Generator(x.device).manual_seed(1_000_003 * self.seed + update)
        return x + self.std * torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)


@register_operation("noise")
@dataclass(frozen=True)
class Noise(Operation):
    """Adds Gaussian noise to each value, drawn at each evaluation: in training, and in evaluation if asked.

    It draws from torch's generator, so `torch.manual_seed` (in training, the seed of the run) repeats it. With a `seed`
    every call of the network draws the same noise (for the same shape, on the same kind of device): at the nth live
    update of the area what the seed and n give. Two operations with one seed draw alike.
    """

    equation: ClassVar[str] = "y = x + σ n, n ~ N(0, 1)"
    rising: ClassVar[bool] = True
    random: ClassVar[bool] = True

    std: Positive = option(1.0, "σ, the standard deviation.", main=True, example=0.1)
    evaluation: Flag = option(False, "Whether it is added in evaluation as well.")
    seed: Seed | None = option(None, "Its own seed, with which every call draws the same noise.", example=0)

    def summary(self) -> str:
        return f"noise {self.std:g}{f', seed {self.seed}' if self.seed is not None else ''}"

    def constructor(self) -> str:
        return call("GaussianNoise", self.std, evaluation=(self.evaluation, False), seed=(self.seed, None))

    def counts(self) -> bool:
        return self.seed is not None

    @classmethod
    def shifts(cls, options: Options) -> bool | None:
        return None


# ---- a connection's `gain`, `role` and `gate`, which specs do not name as operations ----


class Gain(nn.Module):
    """A factor: fixed, or learned and 1 at first."""

    def __init__(self, value: float = 1.0, learned: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(())) if learned else value

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


@dataclass(frozen=True)
class GainOperation(Operation):
    """y = g x, with a fixed g, or a learned one that starts at 1."""

    role: ClassVar[str] = "gain"

    value: float | None

    def parameters(self) -> Mapping[str, tuple[int, ...]]:
        return {"weight": ()} if self.value is None else {}

    def summary(self) -> str:
        return "learned gain" if self.value is None else f"gain {self.value:g}"

    def constructor(self) -> str:
        return call("Gain", learned=(True, None)) if self.value is None else call("Gain", self.value)


class Gate(nn.Module):
    """The factor that a modulator with value m multiplies by: 1 + m, 1 + tanh m, 2σ(m), or 1 / (1 + m)."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, m: Tensor) -> Tensor:
        if self.kind == "sigmoid":
            return 2 * torch.sigmoid(m)
        if self.kind == "divisive":
            return 1 / (1 + m)
        return 1 + (torch.tanh(m) if self.kind == "tanh" else m)


class Closing(nn.Module):
    """The factor 1 − σ(m)."""

    def forward(self, m: Tensor) -> Tensor:
        return 1 - torch.sigmoid(m)


GATES = {
    "linear": ("1 + m", 'Gate("linear")'),
    "tanh": ("1 + tanh m", 'Gate("tanh")'),
    "sigmoid": ("2σ(m)", 'Gate("sigmoid")'),
    "divisive": ("1 / (1 + m)", 'Gate("divisive")'),
    "product": ("m", "nn.Identity()"),
    "logistic": ("σ(m)", "nn.Sigmoid()"),
    "complement": ("1 − σ(m)", "Closing()"),
}
"""The factor of each gate as a formula, and the constructor of its module."""


@dataclass(frozen=True)
class GateOperation(Operation):
    """The factor that a modulator with value m multiplies by."""

    role: ClassVar[str] = "gate"

    kind: GateKind

    def summary(self) -> str:
        return f"gate {GATES[self.kind][0]}"

    def constructor(self) -> str:
        return GATES[self.kind][1]
