"""One naming of parameters, whatever T, order, passes and recording; loading by the rule of the language."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings

from cortexgraph.pipeline import build, compile_spec
from cortexgraph.spec import NetworkSpec, load
from tests.oracle import images, record_all
from tests.strategies import specs


def shapes(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def per_step_parts(spec: NetworkSpec) -> set[str]:
    """Paths of what has one set for each live update."""
    graph = build(spec)
    chains = {area.identifier: area.body for area in graph.areas}
    chains |= {connection.identifier: connection.transform for connection in graph.connections}
    return {path for name, chain in chains.items() for path, link in chain.walk(name) if link.per_step}


def without_sets(spec: NetworkSpec, names: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Names without the numbers of per-step sets."""
    parts = per_step_parts(spec)
    found = {}
    for name, shape in names.items():
        part = next((part for part in parts if name.startswith(part + ".")), None)
        found[name if part is None else f"{part}.n.{name[len(part) + 1 :].split('.', 1)[1]}"] = shape
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=specs())
def test_names_and_shapes_depend_on_the_spec_alone(spec: NetworkSpec) -> None:
    names = shapes(compile_spec(spec))
    assert shapes(compile_spec(spec, passes=[])) == names
    assert shapes(compile_spec(spec, record=record_all(spec))) == names
    longer = spec.model_copy(update={"readouts": tuple(r.model_copy(update={"at": "all"}) for r in spec.readouts)})
    other = shapes(compile_spec(longer, steps=spec.time.steps + 2))
    assert without_sets(spec, other) == without_sets(spec, names)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=specs())
def test_a_state_dict_loads_into_more_steps_and_back(spec: NetworkSpec) -> None:
    read = spec.model_copy(update={"readouts": tuple(r.model_copy(update={"at": "all"}) for r in spec.readouts)})
    short, long = compile_spec(read).eval(), compile_spec(read, steps=spec.time.steps + 2).eval()
    long.load_state_dict(short.state_dict())
    again = compile_spec(read).eval()
    again.load_state_dict(long.state_dict())
    for name, value in short.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
    x = images(spec, batch=2).float()
    one, more = short(x), long(x)
    first = spec.readouts[0].name or spec.readouts[0].source
    one, more = (logits if isinstance(logits, torch.Tensor) else logits[first] for logits in (one, more))
    torch.testing.assert_close(more[:, : one.shape[1]], one, rtol=1e-4, atol=1e-4)


def test_a_mismatch_names_the_connection_and_both_shapes() -> None:
    state = compile_spec(load("ventral")).state_dict()
    wider = compile_spec(load("ventral", {"areas.V2.channels": 24}))
    with pytest.raises(RuntimeError, match=r"V1_to_V2\.conv\.weight.*\[32, 16, 3, 3\].*\[24, 16, 3, 3\]"):
        wider.load_state_dict(state)


def test_a_missing_part_is_named() -> None:
    state = compile_spec(load("ventral")).state_dict()
    del state["V4.norm.0.weight"], state["IT_to_V4.conv.weight"]
    with pytest.raises(RuntimeError, match=r"Missing key\(s\).*V4\.norm\.0\.weight.*IT_to_V4\.conv\.weight"):
        compile_spec(load("ventral")).load_state_dict(state)
