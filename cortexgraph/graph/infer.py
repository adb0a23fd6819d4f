"""What the spec leaves unsaid: levels, sizes, kinds and the transforms that bridge two sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cortexgraph.ops import ACTIVATIONS, NORMS, RESIZES, Conv, Operation, Resize, Shape
from cortexgraph.spec import IMAGE, AreaSpec, ConnectionSpec, NetworkSpec, NormSpec

__all__ = ["bodies", "kind", "levels", "norm_of", "pair", "sizes", "transform"]

Size = tuple[int, int]


def pair(value: int | tuple[int, int]) -> Size:
    """One number for both axes, or a pair."""
    return (value, value) if isinstance(value, int) else value


def levels(spec: NetworkSpec) -> dict[str, float]:
    """Level of each area: as declared, otherwise one above the area declared before it, the first 0."""
    found: dict[str, float] = {}
    before = -1.0
    for name, area in spec.areas.items():
        before = found[name] = before + 1 if area.level is None else area.level
    return found


def kind(source: str, target: str, level: Mapping[str, float]) -> str:
    """The hierarchy's word for a connection; the image lies below all areas."""
    if source == IMAGE or level[source] < level[target]:
        return "feedforward"
    return "lateral" if level[source] == level[target] else "feedback"


def sizes(spec: NetworkSpec, level: Mapping[str, float]) -> dict[str, Size | None]:
    """Height and width of the image and of each area; None where nothing determines it.

    An area without a size takes that of its first feedforward source whose size is known, divided by the
    connection's stride (1 if not given), unless the convolution leaves nothing of it.
    """
    found: dict[str, Size | None] = {IMAGE: pair(spec.input.size)}
    found |= {name: pair(area.size) if area.size else None for name, area in spec.areas.items()}
    for name in sorted(level, key=lambda name: level[name]):
        if found[name] is None:
            found[name] = next(_from_sources(spec, name, level, found), None)
    return found


def _from_sources(
    spec: NetworkSpec, name: str, level: Mapping[str, float], known: Mapping[str, Size | None]
) -> Iterator[Size]:
    for connection in spec.connections:
        source = known.get(connection.source)
        up = connection.target == name and kind(connection.source, name, level) == "feedforward"
        if up and source and connection.resize is None:
            conv = convolution(spec, connection, 1, 1, pair(connection.stride or 1))
            height, width = conv.output((1, *source))[1:]
            if min(height, width) >= 1:
                yield height, width


def convolution(
    spec: NetworkSpec, connection: ConnectionSpec, in_channels: int, out_channels: int, stride: Size
) -> Conv:
    """The connection's convolution, with the spec's and the language's defaults."""
    default = spec.defaults.connection
    return Conv(
        in_channels,
        out_channels,
        kernel=pair(connection.kernel or default.kernel or 3),
        stride=stride,
        dilation=pair(connection.dilation or default.dilation or 1),
        groups=connection.groups or default.groups or 1,
        bias=_bias(spec, connection),
    )


def _bias(spec: NetworkSpec, connection: ConnectionSpec) -> bool:
    """As declared; otherwise only where the target area has no norm, whose shift would make it redundant."""
    for declared in (connection.bias, spec.defaults.connection.bias):
        if declared is not None:
            return declared
    target = spec.areas.get(connection.target)
    return target is None or norm_of(spec, target) is None


def transform(spec: NetworkSpec, connection: ConnectionSpec, source: Shape, target: Shape) -> tuple[Operation, ...]:
    """Operations from the source's state to the target's shape.

    What is written (`stride`, `resize`) is taken literally. Otherwise sizes are bridged downwards by the stride
    of the convolution and upwards by nearest-neighbour upsampling after it.
    """
    up = source[1] < target[1] or source[2] < target[2]
    resize: Resize | None
    if connection.resize:
        resize, at = RESIZES[connection.resize.mode](target[1:]), connection.resize.at
    else:
        resize, at = (RESIZES["nearest"](target[1:]) if up and not connection.stride else None), "after"
    if connection.stride:
        stride = pair(connection.stride)
    elif resize or not all(target[1:]):
        stride = (1, 1)
    else:
        stride = (max(1, round(source[1] / target[1])), max(1, round(source[2] / target[2])))
    conv = convolution(spec, connection, source[0], target[0], stride)
    if resize is None:
        return (conv,)
    return (resize, conv) if at == "before" else (conv, resize)


def norm_of(spec: NetworkSpec, area: AreaSpec) -> NormSpec | None:
    norm = area.norm or spec.defaults.area.norm
    return None if norm is None or norm.kind == "none" else norm


def bodies(spec: NetworkSpec, area: AreaSpec) -> tuple[Operation, ...]:
    """Operations after the merge: norm, then activation; an unregistered name is left to the checks."""
    norm = norm_of(spec, area)
    activation = area.activation or spec.defaults.area.activation or "relu"
    body: list[Operation] = []
    if norm is not None and norm.kind in NORMS:
        body.append(NORMS[norm.kind](area.channels, norm.per_step, norm.groups))
    if activation in ACTIVATIONS:
        body.append(ACTIVATIONS[activation])
    return tuple(body)
