"""The commented spec that `cortexgraph new` writes."""

from __future__ import annotations

import json
import re

from cortexgraph.spec.loading import loads

__all__ = ["starter"]

PLAIN = re.compile(r"(?!(?i:true|false|null)$)[A-Za-z][A-Za-z0-9_ -]*")
"""Names that YAML reads as text without quotes."""

TEMPLATE = """\
# A network of cortical areas for cortexgraph.
#
#   cortexgraph check FILE        say what is wrong with it, all findings at once
#   cortexgraph draw FILE         a picture of its areas and connections
#   cortexgraph train FILE --data shapes --out runs/first
#
# For completion in your editor: `cortexgraph schema > cortexgraph.schema.json` beside this file, and as
# first line here: `# yaml-language-server: $schema=cortexgraph.schema.json`

cortexgraph: 1                       # version of the language
name: @NAME@
description: A first hypothesis. Say here what the network is to show.
# references: [liao2016bridging]     # BibTeX keys of your sources

# The image. `size` is in pixels: one number, or [height, width].
# `present`: always (default), first (only at step 1), or a list of steps such as [1, 2, 3].
input: {channels: 3, size: 32}

# What every area and every connection has unless it says otherwise.
defaults:
  area: {activation: relu, norm: {kind: batch, per_step: true}}   # norm parameters of their own per update
  connection: {kernel: 3}            # also: dilation, groups, bias

# Areas from low to high: their order is the hierarchy.
# Also for one area: level (its place in the hierarchy), norm (such as `norm: none`), activation, cell (memory, such as
# `cell: {leaky: {decay: 0.5}}`), body (operations of your own choice), merge (sum or concat), region.
areas:
  V1: {channels: 16, size: 32}
  V2: {channels: 32, size: 16}
  IT: {channels: 64, size: 8}

# Who reads whom. An arrow is a connection, a chain of arrows several; a mapping says more:
#   kernel, stride, dilation, groups, bias   its convolution (default stride: the ratio of the two sizes)
#   resize                                   how it bridges sizes, such as {mode: bilinear, at: before}
#   kind                                     feedforward, lateral or feedback: checked against the hierarchy
#   delay                                    extra steps that the signal takes (default 0)
#   transform                                operations in place of the convolution, such as [{depthwise: 3}, {conv: 1}]
#   role: modulate                           gates its target's input instead of adding to it
#   active, weights, tie, gain, silence      see docs/language.md, as for every other key
connections:
  - {from: image, to: V1, kernel: 5}
  - V1 -> V2 -> IT                                # feedforward
  - [V1 -> V1, V2 -> V2, IT -> IT]                # lateral
  - {from: IT, to: V2, kernel: 1, delay: 0}       # feedback
  - V2 -> V1

# A linear classifier on one area. `pool`: avg, max or flatten; `at`: last, all, or steps such as [4, 6].
readout: {from: IT, pool: avg, classes: 10, at: last}

# `order` of updates within a step: simultaneous, sequential (a sweep from low to high in each step),
# or groups of your own, such as [[V1], [V2, IT]].
time: {steps: 6, order: simultaneous}
"""


def starter(name: str) -> str:
    """A small, fully commented spec of that name, which loads without a finding.

    Raises:
        SpecError: if the name cannot be the name of a network.
    """
    quoted = json.dumps(name, ensure_ascii=True)
    text = TEMPLATE.replace("@NAME@", name if PLAIN.fullmatch(name) else quoted)
    loads(text)
    return text
