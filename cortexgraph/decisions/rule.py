"""Rules by which a network decides, such as `entropy < 0.3`, and the measures that they compare with a threshold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from cortexgraph.errors import CortexGraphError, Diagnostic
from cortexgraph.wording import quoted, shortened, suggest

if TYPE_CHECKING:
    from torch import Tensor

MEASURES = {"entropy": "<", "max_probability": ">", "margin": ">"}
"""By name, on which side of the threshold the network is sure."""
RANGES = {
    "entropy": "from 0 to log K nats for K classes",
    "max_probability": "from 1/K to 1 for K classes",
    "margin": "from 0 to 1",
}

FORM = re.compile(
    r"\s*(?:(cumulative)[\s_]+)?([A-Za-z_]\w*)\s*(<=?|>=?)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*"
)


@dataclass(frozen=True)
class Rule:
    """The network decides at the first readout step at which a measure passes a threshold.

    With p(t) = softmax of the logits at readout step t, the measures are the entropy −Σ p log p in nats (below the
    threshold; Spoerer et al. 2020), the largest probability (above), and the margin between the two largest (above).

    Attributes:
        measure: its name.
        threshold: that it must pass.
        cumulative: whether p(t) is the mean of the probabilities at all readout steps up to t.
    """

    measure: str
    threshold: float
    cumulative: bool = False

    def __str__(self) -> str:
        return f"{'cumulative ' * self.cumulative}{self.measure} {MEASURES[self.measure]} {self.threshold:g}"

    def passes(self, values: npt.NDArray[np.float64], threshold: float | None = None) -> npt.NDArray[np.bool_]:
        """Whether values of the measure pass the threshold, or another one."""
        limit = self.threshold if threshold is None else threshold
        return np.less(values, limit) if MEASURES[self.measure] == "<" else np.greater(values, limit)


def read_rule(rule: str | Rule) -> Rule:
    """Read a rule from text. Nothing in it is executed.

    Raises:
        CortexGraphError: if it has another form, or no image can meet it.

    Examples:
        >>> read_rule("cumulative max_probability > .9")
        Rule(measure='max_probability', threshold=0.9, cumulative=True)
    """
    if isinstance(rule, Rule):
        return _possible(rule, f"rule {rule}")
    match, place = FORM.fullmatch(rule), f"--decide `{shortened(rule)}`"
    if match is None:
        expected = "a rule is a measure, `<` or `>`, and a number"
        repair = 'Write, for example, "entropy < 0.3" or "cumulative max_probability > 0.9".'
        raise CortexGraphError(Diagnostic("bad-decision-rule", place, "this is not a rule", expected, repair))
    cumulative, name, side, number = match.groups()
    if name not in MEASURES:
        expected, repair = f"there are {quoted(list(MEASURES))}", suggest(name, MEASURES, "Name one of these.")
        found = f"`{shortened(name)}` is not a measure"
        raise CortexGraphError(Diagnostic("bad-decision-rule", place, found, expected, repair))
    if side[0] != MEASURES[name]:
        found = f"the network would decide while it is unsure ({name} {side} {number})"
        expected = "it decides when sure"
        repair = f"Write `{name} {MEASURES[name]} {number}`."
        raise CortexGraphError(Diagnostic("bad-decision-rule", place, found, expected, repair))
    if not isfinite(float(number)):
        raise CortexGraphError(Diagnostic("bad-decision-rule", place, f"the threshold is {number}", "it is too large"))
    return _possible(Rule(name, float(number), bool(cumulative)), place)


def _possible(rule: Rule, place: str) -> Rule:
    """The rule, if an image can meet it."""
    least_is_sure = MEASURES[rule.measure] == "<"
    if rule.threshold <= 0 if least_is_sure else rule.threshold >= 1:
        found, expected = "no image can meet this rule", f"{rule.measure} is {RANGES[rule.measure]}"
        repair = f"Give a threshold {'above 0' if least_is_sure else 'below 1'}."
        raise CortexGraphError(Diagnostic("bad-decision-rule", place, found, expected, repair))
    return rule


def measure(logits: Tensor, rule: Rule) -> tuple[Tensor, Tensor]:
    """The measure of a rule, and the class that is chosen: logits [B, n, classes] → float [B, n], int64 [B, n]."""
    import torch

    p = logits.double().softmax(2)
    if rule.cumulative:
        p = p.cumsum(1) / torch.arange(1, p.shape[1] + 1, device=p.device)[:, None]
    if rule.measure == "entropy":
        values = torch.special.entr(p).sum(2)
    elif rule.measure == "max_probability":
        values = p.amax(2)
    else:
        largest = p.topk(min(2, p.shape[2]), 2).values
        values = largest[..., 0] - largest[..., -1] * (p.shape[2] > 1)
    return values, p.argmax(2)


def uncertainty_area(logits: Tensor, steps: Tensor) -> Tensor:
    """The area ξ under the uncertainty of each image over time (Goetschalckx et al. 2023).

    Logits z of K classes are evidence e = exp(clip(z / 10, −10, 10)) for a Dirichlet distribution with α = e + 1
    (Sensoy et al. 2018); its uncertainty is u(t) = K / Σ α, and ξ = ∫ u(t) dt by the trapezoidal rule. That paper
    trains its networks with the evidential loss; of a network trained with cross-entropy, ξ still falls with the size
    of the logits, but its scale means nothing.

    Args:
        logits: [B, n, classes].
        steps: the n steps at which they were read.

    Returns:
        [B].
    """
    import torch

    evidence = (logits.double() / 10).clip(-10, 10).exp()
    uncertainty = logits.shape[2] / (evidence + 1).sum(2)  # [B, n]
    return torch.trapezoid(uncertainty, steps.to(uncertainty), dim=1)
