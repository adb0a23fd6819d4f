"""Operations outside a spec."""

from __future__ import annotations

from cortexgraph.ops import Context, Operation, Shape, make_chain
from cortexgraph.spec import OperationSpec


def make_operation(name: str, shape: Shape, area_channels: int | None = None, /, **options: object) -> Operation:
    """One operation by its word, for an input of this shape."""
    context = Context(shape[0] if area_channels is None else area_channels)
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in options.items()}
    chain = make_chain([OperationSpec(name=name, options=plain)], shape, context)
    assert chain.whole, chain.problems
    return chain.links[0].operation
