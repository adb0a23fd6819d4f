"""The chains of a network: what a connection does between two areas, and what an area does after the merge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cortexgraph.ops import (
    CELLS,
    NORMS,
    OPERATIONS,
    RESIZES,
    Cell,
    Chain,
    Context,
    GainOperation,
    GateOperation,
    Link,
    Operation,
    Shape,
    Simple,
    make_chain,
    shifts,
)
from cortexgraph.ops.elementwise import function
from cortexgraph.ops.registry import Made
from cortexgraph.spec import (
    AreaSpec,
    ConnectionDefaults,
    ConnectionSpec,
    NetworkSpec,
    NormSpec,
    OperationSpec,
    ReadoutSpec,
)
from cortexgraph.spec.connection import SHORTHAND
from cortexgraph.spec.fields import pair


def merge_of(spec: NetworkSpec, area: AreaSpec) -> str:
    """How the area merges its drives: `sum` or `concat`."""
    return area.merge or spec.defaults.area.merge or "sum"


def _norm_of(spec: NetworkSpec, area: AreaSpec) -> NormSpec | None:
    """The norm that `norm` asks for, if the area has no explicit body."""
    norm = area.norm or spec.defaults.area.norm
    return None if written_body(spec, area) is not None or norm is None or norm.kind == "none" else norm


def written_body(spec: NetworkSpec, area: AreaSpec) -> tuple[OperationSpec, ...] | None:
    """The explicit body: the area's own, or that of the defaults if the area sets neither body, norm nor activation."""
    if area.body is not None or area.norm is not None or area.activation is not None:
        return area.body
    return spec.defaults.area.body


def _normalises(spec: NetworkSpec, area: AreaSpec | None) -> bool:
    """Whether the area's body begins with a norm, whose shift makes the bias of what it adds up redundant."""
    if area is None:
        return False
    written = written_body(spec, area)
    if written is not None:
        return bool(written and shifts(written[0]))
    norm = _norm_of(spec, area)
    entry = OperationSpec(name="norm", options={"kind": norm.kind}) if norm is not None else None
    return merge_of(spec, area) == "sum" and entry is not None and bool(shifts(entry))


# ---- connections -------------------------------------------------------------


def sign_of(spec: NetworkSpec, connection: ConnectionSpec) -> str | None:
    """`excitatory`, `inhibitory`, or None: the sign of the connection, or of the area that it reads."""
    source = spec.areas.get(connection.source)
    return connection.sign or (source.sign if source is not None else None)


def _entries_of(spec: NetworkSpec, connection: ConnectionSpec) -> tuple[OperationSpec, ...]:
    """The connection's operations with the spec's defaults for convolutions; without resizing, gain and gate."""
    defaults = _plain_options(spec.defaults.connection) | ({"positive": True} if sign_of(spec, connection) else {})
    if connection.transform is not None:
        return tuple(_with_defaults(entry, defaults) for entry in connection.transform)
    options, target = _plain_options(connection), spec.areas.get(connection.target)
    transposed = connection.resize is not None and connection.resize.mode == "transposed"
    if target is not None and merge_of(spec, target) == "concat" and not options and not transposed:
        return ()
    return (_with_defaults(OperationSpec(name="conv_transpose" if transposed else "conv", options=options), defaults),)


def _plain_options(declared: ConnectionDefaults) -> dict[str, object]:
    """The shorthand keys that are set, as options of a convolution."""
    values = {key: getattr(declared, key, None) for key in SHORTHAND}
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in values.items() if value is not None
    }


def _with_defaults(entry: OperationSpec, defaults: dict[str, object]) -> OperationSpec:
    """The entry with the defaults that it does not set, if it is a convolution, also in its inner chains.

    A linear layer takes only that its weights are positive.
    """
    if not defaults or entry.name not in OPERATIONS:
        return entry
    kind, options = OPERATIONS[entry.name], entry.options
    fields = kind.options.model_fields.keys()
    taken = fields if {"kernel", "bias"} <= fields else fields & {"positive"}
    own = {key: value for key, value in defaults.items() if key in taken}
    if not own:
        return OperationSpec(name=entry.name, options=_inside_with_defaults(options, defaults))
    written = {} if options is None else options if isinstance(options, dict) else {str(kind.main): options}
    return OperationSpec(name=entry.name, options=own | written)


def _inside_with_defaults(options: object, defaults: dict[str, object]) -> object:
    """Options whose values are chains (lists of words and of `{word: options}`) with the defaults in each."""
    if isinstance(options, dict):
        return {key: _inside_with_defaults(value, defaults) for key, value in options.items()}
    if not isinstance(options, list):
        return options
    return [_written_with_defaults(entry, defaults) for entry in options]


def _written_with_defaults(entry: object, defaults: dict[str, object]) -> object:
    parts = {entry: None} if isinstance(entry, str) else entry
    if not (isinstance(parts, dict) and len(parts) == 1 and parts.keys() <= {*OPERATIONS}):
        return entry
    ((name, options),) = parts.items()
    return _with_defaults(OperationSpec(name=name, options=options), defaults).model_dump()


def _context_of_connection(spec: NetworkSpec, connection: ConnectionSpec) -> Context:
    """Defaults of options in the connection's transform, except the stride."""
    target = spec.areas.get(connection.target)
    bias = next((b for b in (connection.bias, spec.defaults.connection.bias) if b is not None), None)
    channels = target.channels if target else 1
    return Context(channels, not _normalises(spec, target) if bias is None else bias, dt_ms=spec.time.dt_ms)


def unbridged(spec: NetworkSpec, connection: ConnectionSpec, source: Shape) -> Chain:
    """The transform with a stride of 1 where none is written."""
    return make_chain(_entries_of(spec, connection), source, _context_of_connection(spec, connection))


def transform(spec: NetworkSpec, connection: ConnectionSpec, source: Shape, target: Shape) -> Chain:
    """Operations from the source's state to the target's size, with gain and gate.

    What is written (`stride`, `resize`) is taken literally. Otherwise sizes are bridged downwards by the stride
    of the first convolution (without one, by average pooling), and upwards by nearest-neighbour upsampling after
    the other operations.
    """
    entries, context = _entries_of(spec, connection), _context_of_connection(spec, connection)
    apart = (connection.weights or spec.defaults.connection.weights) == "per_step"
    bridge = connection.resize
    if bridge is None:
        chain = _bridged(entries, source, target, context, apart, literal=connection.stride is not None)
    elif bridge.mode == "transposed":
        chain = make_chain(_with_stride(entries, source, target), source, context, apart=apart)
    elif bridge.at == "before":
        before = _link(RESIZES[bridge.mode](source, target[1:]), bridge.mode)
        after = make_chain(entries, before.operation.output(), context, apart=apart)
        chain = replace(after, shape=source, links=(replace(before, name=_free(before.name, after)), *after.links))
    else:
        chain = _resized(make_chain(entries, source, context, apart=apart), bridge.mode, target)
    gain = connection.gain
    if sign_of(spec, connection) == "inhibitory" and not isinstance(gain, str):
        gain = -1.0 if gain is None else -gain
    if gain is not None:
        chain = _then(chain, GainOperation(chain.output, None if isinstance(gain, str) else float(gain)))
    if connection.role == "modulate":
        chain = _then(chain, GateOperation(chain.output, connection.gate or "linear"))
    return chain


def _bridged(
    entries: Sequence[OperationSpec], source: Shape, target: Shape, context: Context, apart: bool, literal: bool
) -> Chain:
    """The chain with sizes bridged, unless sizes are written literally."""
    chain = make_chain(entries, source, context, apart=apart)
    height, width = chain.output[1:]
    if literal or not all(target[1:]) or min(height, width) < 1 or (height, width) == target[1:]:
        return chain
    if source[1] < target[1] or source[2] < target[2]:
        return _resized(chain, "nearest", target)
    if any("stride" in link.by_place for link in chain):
        ratio = (max(1, round(height / target[1])), max(1, round(width / target[2])))
        return make_chain(entries, source, replace(context, stride=ratio), apart=apart)
    if any("stride" in OPERATIONS[link.word].by_place for link in chain):
        return chain  # every stride is written, and taken literally
    return _resized(chain, "pool", target)


def _with_stride(entries: tuple[OperationSpec, ...], source: Shape, target: Shape) -> tuple[OperationSpec, ...]:
    """The transposed convolution whose result has the target's size.

    Its stride is the ratio of sizes, unless one is written; where the default rim leaves another size, the padding and
    the output padding follow from it.
    """
    (entry,) = entries
    if not isinstance(entry.options, dict) or not all(source[1:]) or not all(target[1:]):
        return entries
    ratio = [max(1, round(t / s)) for s, t in zip(source[1:], target[1:], strict=True)]
    options = {"stride": ratio} | entry.options
    transposed = (OperationSpec(name=entry.name, options=options),)
    chain = make_chain(transposed, source, Context(1))
    if not chain.whole or chain.output[1:] == target[1:]:
        return transposed
    kernel, stride = (pair(OPERATIONS[entry.name].read(options, Context(1))[0][key]) for key in ("kernel", "stride"))
    rims = [_rim(*sizes) for sizes in zip(source[1:], target[1:], kernel, stride, strict=True)]
    if any(rim is None for rim in rims):
        return transposed
    padding, output_padding = (list(both) for both in zip(*(rim for rim in rims if rim is not None), strict=True))
    return (OperationSpec(name=entry.name, options=options | {"padding": padding, "output_padding": output_padding}),)


def _rim(source: int, target: int, kernel: int, stride: int) -> tuple[int, int] | None:
    """Padding and output padding of a transposed convolution from one size to another along an axis, if there are."""
    beyond = (source - 1) * stride + kernel - target
    padding = max(0, (beyond + 1) // 2)
    output_padding = 2 * padding - beyond
    return (padding, output_padding) if padding < kernel and output_padding < stride else None


def _link(operation: Operation, word: str = "") -> Link:
    options = {"size": operation.output()[1:]} if word else {}
    return Link(operation.role, word or operation.role, options, operation)


def _resized(chain: Chain, mode: str, target: Shape) -> Chain:
    """The chain with its result resized to the target's size."""
    return _then(chain, RESIZES[mode](chain.output, target[1:]), mode)


def _then(chain: Chain, operation: Operation, word: str = "") -> Chain:
    """The chain with one more operation, under a name that is free."""
    link = _link(operation, word)
    return replace(chain, links=(*chain.links, replace(link, name=_free(link.name, chain))))


def _free(name: str, chain: Chain) -> str:
    """The name, or the first of name_2, name_3, … that no operation of the chain has."""
    taken = {link.name for link in chain}
    return next(free for n in range(1, len(taken) + 2) if (free := f"{name}_{n}" if n > 1 else name) not in taken)


# ---- areas -------------------------------------------------------------------


def body(spec: NetworkSpec, area: AreaSpec, merged: Shape) -> Chain:
    """The area's chain on its merged input."""
    return make_chain(_body_entries(spec, area), merged, _context_of_area(spec, area), apart=area.weights == "per_step")


def _body_entries(spec: NetworkSpec, area: AreaSpec) -> tuple[OperationSpec, ...]:
    """Operations after the merge: as written, or norm, then activation; an unregistered name is left to the checks."""
    written = written_body(spec, area)
    if written is not None:
        return written
    entries: list[OperationSpec] = []
    if merge_of(spec, area) == "concat":
        entries.append(OperationSpec(name="conv", options={"kernel": 3}))
    norm = _norm_of(spec, area)
    if norm is not None and norm.kind in NORMS:
        entries.append(OperationSpec(name="norm", options=norm.model_dump(exclude_none=True)))
    activation = area.activation or spec.defaults.area.activation or "relu"
    if function(activation) is not None:
        entries.append(OperationSpec(name=activation))
    return tuple(entries)


def cell(spec: NetworkSpec, area: AreaSpec, shape: Shape) -> Made[Cell]:
    """The area's cell, as declared or by default."""
    entry = area.cell or spec.defaults.area.cell
    return Made(Simple(shape)) if entry is None else CELLS.make(entry, shape, _context_of_area(spec, area))


def output(spec: NetworkSpec, area: AreaSpec, shape: Shape, *, remembers: bool) -> Chain:
    """The area's operations after its cell; after one with memory their parameters are shared, as the cell's are."""
    entries = (area.output if area.output is not None else spec.defaults.area.output) or ()
    apart = area.weights == "per_step" and not remembers
    return make_chain(entries, shape, _context_of_area(spec, area), apart=apart)


def start(spec: NetworkSpec, area: AreaSpec) -> str | None:
    """The area's state before step 1, if it has one."""
    return area.start or spec.defaults.area.start


def joined(first: Chain, second: Chain) -> Chain:
    """Two chains one after another, the operations of the second under names that are free."""
    for link in second:
        first = replace(first, links=(*first.links, replace(link, name=_free(link.name, first))))
    return first


def readout(spec: NetworkSpec, declared: ReadoutSpec, shape: Shape) -> Chain | None:
    """The chain of a readout in place of pooling and linear layer, if it has one; of places, a 1 × 1 convolution."""
    entries = declared.transform
    if entries is None:
        if declared.pool != "places":
            return None
        entries = (OperationSpec(name="conv", options={"kernel": 1}),)
    return make_chain(entries, shape, Context(declared.classes, bias=True, dt_ms=spec.time.dt_ms))


def _context_of_area(spec: NetworkSpec, area: AreaSpec) -> Context:
    """Defaults of options in the area's body and cell."""
    return Context(area.channels, bias=True, dt_ms=spec.time.dt_ms)
