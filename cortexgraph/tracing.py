"""torch.fx graphs of compiled networks, whose nodes are named by area and step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cortexgraph.arguments import arguments_explained
from cortexgraph.errors import CompileError, Diagnostic

if TYPE_CHECKING:
    from torch import fx, nn

    from cortexgraph.network import CompiledNetwork


@arguments_explained
def trace(network: CompiledNetwork) -> fx.GraphModule:
    """The network as a graph of torch.fx, in which the update of V4 at step 3 is a node called `V4_step3`.

    Areas, connections and readouts are called as modules. Of several updates in one step the second is `V4_step3_1`.

    Args:
        network: from `cortexgraph.compile`.

    Raises:
        CompileError: if this is not a compiled network.

    Examples:
        >>> import cortexgraph as cg
        >>> graph = cg.trace(cg.compile(cg.load("ventral"))).graph
        >>> [node.name for node in graph.nodes if node.name.startswith("V4")]
        ['V4_step3', 'V4_step4', 'V4_step5']
    """
    from torch import fx

    from cortexgraph.network import CompiledNetwork

    if not isinstance(network, CompiledNetwork):
        found, expected = f"a {type(network).__name__} was given", "a compiled network is needed"
        raise CompileError(Diagnostic("no-network", "network", found, expected, "Give what `cg.compile` returns."))

    class Tracer(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return True

    unrolled = network.unrolled
    steps: dict[str, list[str]] = {}
    updates = [node for node in unrolled.live_updates() if unrolled.written(node)]
    for step, _, name in sorted(
        (step, node.group, node.name) for node in updates for step in unrolled.every_step(node)
    ):
        identifier = unrolled.areas.area(name).identifier
        steps.setdefault(identifier, []).append(f"{identifier}_step{step}")
    graph = Tracer().trace(network)
    for node in graph.nodes:
        if node.op == "call_module" and steps.get(str(node.target)):
            node._rename(steps[str(node.target)].pop(0))
    graph.lint()
    return fx.GraphModule(network, graph, type(network).__name__)
