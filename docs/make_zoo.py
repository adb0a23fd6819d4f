"""Writes docs/zoo.md and its drawings: python docs/make_zoo.py. A test fails if the page is out of date."""

from __future__ import annotations

from pathlib import Path

import cortexgraph as cg
from cortexgraph.analysis import totals
from cortexgraph.compiler import lower
from cortexgraph.spec import NetworkSpec, load, zoo
from cortexgraph.spec.loading import citation

TARGET = Path(__file__).parent / "zoo.md"
DRAWINGS = Path(__file__).parent / "images" / "zoo"

INTRODUCTION = """\
# The model library

These specs ship with cortexgraph. Use their names wherever a spec is expected (`cortexgraph show hmax`). They take 32
× 32 images, like those of CIFAR-10 (`binocular` two of them, one for each eye), and are narrow enough to train on a
laptop. If the published network has another size, a separate spec (`…_imagenet`, `bl_ecoset`) has that size and the
published number of parameters. `cortexgraph zoo` prints the tables; `cortexgraph zoo --compare A B` compares two
specs in a table and a drawing.

The tests compare every spec with an independent implementation (`tests/models`) on every state, logit and gradient.
For AlexNet and the ResNets of published size this is torchvision's implementation. All others are written by hand
from the equations of the paper or from the released code. The comment at the top of a spec lists our assumptions.
Sources are listed in [references.bib](references.bib).

The column “onset” gives the first of the T steps at which the readout's area can depend on the image. FLOPs are for
one image, two for each multiply-add. `docs/make_zoo.py` generates this page.
"""

GROUPS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "Residual networks as recurrent ones: Liao & Poggio 2016",
        "A ResNet whose blocks share weights is a recurrent network. Other specs have several states.",
        ("liao_",),
    ),
    ("Feedforward networks", "", ("alexnet", "resnet", "preact")),
    ("CORnet", "", ("cornet",)),
    (
        "Recurrent convolutional networks",
        "",
        ("rcnn", "recursive", "scene", "convlstm", "stacked", "deep_tr", "hierarchical", "clockwork", "loopy"),
    ),
    ("Before deep learning", "", ("neocognitron", "hmax", "predictive")),
    (
        "The ventral stream",
        "",
        ("ventral", "binocular", "spoerer", "bl_", "blt", "convrnn", "deconv", "leaky", "macaque"),
    ),
)


def page() -> str:
    """The text of docs/zoo.md."""
    parts, left = [INTRODUCTION], dict.fromkeys(zoo())
    for heading, text, starts in GROUPS:
        names = [name for name in left if name.startswith(starts)]
        left = {name: None for name in left if name not in names}
        specs = [load(name) for name in names]
        parts += [f"## {heading}\n", *([f"{text}\n"] if text else []), table(specs), gallery(specs)]
    assert not left, f"no group has {', '.join(left)}"
    return "\n".join(parts)


def table(specs: list[NetworkSpec]) -> str:
    rows = ["| spec | description | parameters | MFLOP | onset |", "|---|---|---:|---:|---:|"]
    for spec in specs:
        numbers = totals(*lower(spec))
        rows.append(
            f"| [`{spec.name}`](../specs/{spec.name}.yaml) | {spec.description} *{citation(spec.references)}* | "
            f"{numbers.parameters:,} | {numbers.flops / 1e6:,.0f} | {numbers.responds_at} of {numbers.steps} |"
        )
    return "\n".join(rows) + "\n"


def drawn(spec: NetworkSpec) -> bool:
    """Whether the page shows a drawing: a spec of published size looks like the small one."""
    return not spec.name.endswith("_imagenet") or spec.name.removesuffix("_imagenet") not in zoo()


def gallery(specs: list[NetworkSpec]) -> str:
    picture = '<a href="images/zoo/{0}.svg"><img src="images/zoo/{0}.svg" alt="{0}" height="360"></a>'
    return "\n".join(picture.format(spec.name) for spec in specs if drawn(spec)) + "\n"


def main() -> None:
    TARGET.write_text(page(), encoding="utf-8")
    DRAWINGS.mkdir(exist_ok=True, parents=True)
    wanted = {f"{name}.svg" for name in zoo() if drawn(load(name))}
    for file in DRAWINGS.glob("*.svg"):
        if file.name not in wanted:
            file.unlink()
    for name in sorted(wanted):
        cg.draw(load(name.removesuffix(".svg")), DRAWINGS / name)


if __name__ == "__main__":
    main()
