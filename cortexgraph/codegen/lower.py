"""From an unrolled graph to the statements of `forward`: what enters, the steps, the loop, and what is returned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain

from cortexgraph.codegen.names import Names
from cortexgraph.codegen.sinks import Sinks
from cortexgraph.codegen.statements import (
    Assign,
    Comment,
    Do,
    Loop,
    Merged,
    Section,
    Segments,
    Statement,
    Term,
    Unpack,
    Update,
    released,
)
from cortexgraph.codegen.text import WIDTH, Call, Code, literal
from cortexgraph.graph import Area, Connection
from cortexgraph.passes.roll import Carried, carried_values, parts_read
from cortexgraph.unrolling import Node, UnrolledGraph


def lower(graph: UnrolledGraph, runs: int | None = None) -> list[Section]:
    """The statements of `forward` in the order of execution.

    With `runs`, this many runs of the loop's body are one segment that the backward pass recomputes.
    """
    return _Lowering(graph).sections(runs)


class _Lowering:
    def __init__(self, graph: UnrolledGraph) -> None:
        self.graph = graph
        self.names = Names(graph)
        self.sinks = Sinks(graph, self.names, self.step)
        self.counts = False  # whether a step or ordinal was written as a function of t
        self.evaluations = Counter(node.name for node in graph if node.kind == "evaluation" and not node.part)
        self.carried = carried_values(graph, graph.loop) if graph.loop is not None else []
        last = graph.loop.last if graph.loop is not None else 0
        ends = ((v.start, v.back, v.part) for v in self.carried)
        self.kept = {(v.start, v.part) for v in self.carried} | {
            (node._replace(step=last + 1 - back), part) for node, back, part in (*ends, *self._read_after())
        }

    def sections(self, runs: int | None) -> list[Section]:
        graph, loop = self.graph, self.graph.loop
        nodes = [node for node in graph if graph.live(node) and graph.written(node) and not graph.given(node)]
        nodes = [node for node in nodes if node.kind not in {"image", "state"} and not self._only_given(node)]
        first = [node for node in nodes if node.kind == "zero" or self._enters(node)]
        by_step: dict[int, list[Node]] = {}
        for node in nodes:
            if node not in set(first):
                by_step.setdefault(node.step, []).append(node)
        sections = [
            Section("", (*self._entering(), *chain.from_iterable(map(self._statements, first)), *self.sinks.start()))
        ]
        kept = {name for statement in self.sinks.start() for name in statement.defines}
        for step in sorted(by_step):
            warms_up = not graph.segment(step)
            if loop is None or not loop.first <= step <= loop.last:
                sections.append(Section(f"step {self._time(step)}", self._step(by_step[step]), warms_up))
            elif step == min(s for s in by_step if s >= loop.first):
                section = replace(self._loop(by_step, runs), warms_up=warms_up)
                sections.append(section)
                kept |= {
                    n for s in section.statements if isinstance(s, Segments) for n in s.reads - set(self._starts())
                }
        if graph.info.releases:
            results = self.sinks.result()
            sections = released([*sections, Section("", (results,))], kept)[:-1]
        return [*sections, Section("", (self.sinks.result(),))]

    def _entering(self) -> Iterator[Statement]:
        """What enters: the inputs, and what a stream carries."""
        graph, piece = self.graph, self.graph.info.piece
        for each in graph.areas.inputs:
            shape = (*[graph.steps + 1 - graph.first] * (each.name in graph.videos), *each.shape)
            if (name := self.names.inputs[each.name]) != "x":
                yield Do(code=f"{name} = x[{literal(each.name)}]")
            yield Do(code=Call("check_shape(", (name, *map(str, shape))))
        if piece is not None and piece.takes:
            read = {part for reader in graph if not graph.given(reader) for part in self._parts(reader)}
            read |= {(value.start, value.part) for value in self.carried}  # by the first run of a loop
            names = (self.names.made(*p) if p in read and not self.names.is_input(p[0]) else "_" for p in piece.takes)
            yield Unpack(tuple(names), value="state")
        if graph.first == 1 and any(part.masks for part in graph.areas.chains.values()):
            yield Do(code=Call("draw_masks(", ("self", self.names.batch)))

    def _only_given(self, node: Node) -> bool:
        """Whether zeros were read by earlier pieces of a stream alone."""
        return node.kind == "zero" and all(map(self.graph.given, self.graph.successors(node)))

    def _enters(self, node: Node) -> bool:
        """Whether an evaluation stands before the first step: of a static image it always does.

        Running statistics move in the order of the steps, so that what else moves the same ones keeps it in its place:
        a tied connection, or the same connection where it reads zeros before the image is shown.
        """
        if node.kind != "evaluation" or not self.names.from_static_image(node):
            return False
        if not self.graph.applied(node).averages:
            return True
        connection, _ = self.graph.evaluated(node)
        return self.evaluations[connection.identifier] == 1 and not self._tied(connection)

    def _inlined(self, node: Node) -> bool:
        """Whether an evaluation is written inside the one update that reads it, at once."""
        if node.kind != "evaluation" or node.part or self.graph.given(node) or self._enters(node):
            return False
        readers = [reader for reader in self.graph.successors(node) if self.graph.live(reader)]
        if [(reader.kind, reader.step, reader.group) for reader in readers] != [("update", node.step, node.group)]:
            return False
        connection, _ = self.graph.evaluated(node)
        in_order = len(self.graph.terms(readers[0])) == 1 or not self._tied(connection)
        return in_order or not connection.statistics

    def _tied(self, connection: Connection) -> bool:
        """Whether another connection uses the same parameters, and moves the same running statistics."""
        others = self.graph.areas.connections
        return connection.owner is not None or any(other.owner == connection.identifier for other in others)

    def _step(self, nodes: Sequence[Node]) -> tuple[Statement, ...]:
        computed = [node for node in nodes if node.kind in {"update", "evaluation"} and not self._inlined(node)]
        sinks = [node for node in nodes if node.kind in {"readout", "record"}]
        return tuple(chain.from_iterable([*map(self._statements, computed), *map(self.sinks.gather, sinks)]))

    def _statements(self, node: Node) -> Iterator[Statement]:
        if node.kind == "zero":
            yield self._zero(node)
        else:
            statement = self._update(node) if node.kind == "update" else self._evaluation(node)
            yield statement
            yield from self._changes(node, statement)

    def _changes(self, node: Node, statement: Statement) -> Iterator[Statement]:
        """The interventions on a state that is just made."""
        area, name = self.graph.areas.area(node.name) if node.kind == "update" else None, statement.defines[0]
        for placed in self.graph.areas.changes(area.identifier, node.step) if area is not None and name != "_" else ():
            call = Call(f"self.{placed.name}(", (name,))
            yield Assign((name,), frozenset({name}), value=call, comment="intervention")

    def _zero(self, node: Node) -> Statement:
        shape, name = self.graph.areas.shape(node.name), self.names.made(node)
        value, comment = self._zeros(shape, node), "start state" if node.part else "a silent source counts as zeros"
        if node.part and (area := self.graph.areas.area(node.name)).start == "learned":
            one = "[:1]" * self.graph.constant(node)
            value = Call(f"self.{area.start_identifier}(", (f"{self.names.batch}{one}",))
        return Assign((name,), node=node, value=value, comment=comment)

    def _zeros(self, shape: Sequence[int], node: Node) -> Call:
        """Zeros for the batch, or for a batch of one where the node that reads or makes them is constant."""
        x = self.names.batch
        start, batch = (f"{x}.new_zeros(", "1") if self.graph.constant(node) else ("zeros(", x)
        return Call(start, (batch, *map(str, shape)))

    # ---- time -------------------------------------------------------------------

    def _time(self, step: int) -> int:
        """The step of time of a step of the graph outside the loop."""
        loop = self.graph.loop
        return step + (loop.skipped if loop is not None and step >= loop.end else 0)

    def step(self, node: Node) -> str:
        """The step of time of a node; inside a loop a function of the step t."""
        return self._step_at(node, node.step)

    def _step_at(self, reader: Node, step: int) -> str:
        loop = self.graph.loop
        if loop is None or not loop.first <= reader.step < loop.end:
            return str(step + (loop.skipped if loop is not None and reader.step >= loop.end else 0))
        return self._of_t(1, step - loop.first)

    def _of_t(self, factor: int, offset: int) -> str:
        """`t + 2`, `3 * t`, …"""
        self.counts = True
        sign = f" {'+' if offset > 0 else '-'} {abs(offset)}" if offset else ""
        return ("t" if factor == 1 else f"{factor} * t") + sign

    def ordinal(self, node: Node) -> str:
        """The ordinal of an update (of an evaluation: of its first reader), in a loop as a function of the step t."""
        loop = self.graph.loop
        area = self.graph.evaluated(node)[0].target if node.kind == "evaluation" else node.name
        ordinal = self.graph.ordinal(node)
        rate = loop.rates[area] if loop is not None and node.step >= loop.first else 0
        if loop is None or not rate:
            return str(ordinal)
        if node.step >= loop.end:
            return str(ordinal + rate * (loop.times - loop.shown))
        if rate % loop.period:
            return f"{ordinal} + {rate} * (({self._of_t(1, -loop.first)}) // {loop.period})"
        return self._of_t(rate // loop.period, ordinal - rate // loop.period * loop.first)

    # ---- evaluations and updates ---------------------------------------------------

    def _evaluation(self, node: Node) -> Statement:
        connection, source = self.graph.evaluated(node)
        head = self.names.heads.get(connection.identifier)
        if node.part:
            assert head is not None
            code: Code = Call(f"self.{head.identifier}(", (self._value(source, node),))
            shape, note = head.chain.output, head.chain.summary(" and ")
        else:
            code, shape, note = self._call(connection, source, node), connection.output_shape, connection.kind
        static = " (the image is static: computed once)" if self._enters(node) else ""
        comment = f"{note}{static}  {self._shape(shape, node)}"
        return Assign((self.names.made(node),), self._read(source, node), node, code, comment)

    def _shape(self, shape: Sequence[int], node: Node) -> str:
        numbers = ", ".join(map(str, shape))
        return f"[1, {numbers}], the same for every image" if self.graph.constant(node) else f"[B, {numbers}]"

    def _read(self, source: Node, reader: Node, part: str = "h") -> frozenset[str]:
        if self._inlined(source):
            return self._read(self.graph.evaluated(source)[1], source)
        return frozenset() if self.names.is_input(source) else frozenset({self.names.read(source, reader, part)})

    def _value(self, source: Node, reader: Node) -> str:
        if self.names.is_input(source):  # frames are counted from 0
            return self.names.input(source, lambda: self._step_at(reader, source.step - self.graph.first))
        return self._name(source, reader)

    def _expanded(self, code: Code) -> Call:
        """A value that is the same for every image, for each image of the batch."""
        return Call("expanded(", (code, self.names.batch))

    def _name(self, source: Node, reader: Node, part: str = "h") -> str:
        """The name under which a value is read, without its gradient where that is cut."""
        return self.names.read(source, reader, part) + ".detach()" * self.graph.detached(source, reader)

    def _call(self, connection: Connection, source: Node, reader: Node) -> Code:
        """The code of what a reader makes of a value through a connection."""
        if self._inlined(source):
            return self._call(connection, self.graph.evaluated(source)[1], source)
        value: Code = self._value(source, reader)
        if source.kind == "evaluation" and not source.part:
            return value
        head = self.names.heads.get(connection.identifier)
        links = connection.transform.links
        if head is not None:
            value = value if source.kind == "evaluation" else Call(f"self.{head.identifier}(", (value,))
            links = links[len(head.links) :]
        if not links:
            return value
        if self.graph.constant(source) and not self._pure(connection):
            value = self._expanded(value)
        update = (f"update={self.ordinal(reader)}",) if connection.transform.counts else ()
        return Call(f"self.{connection.identifier}(", (value, *update))

    def _changed(self, connection: Connection, source: Node, reader: Node) -> Code:
        """The code of what an update reads through a connection, under interventions."""
        code = self._call(connection, source, reader)
        for placed in self.graph.areas.changes(connection.identifier, reader.step):
            value = self._expanded(code) if self.graph.constant(source) and self._pure(connection) else code
            code = Call(f"self.{placed.name}(", (value,))
        return code

    def _pure(self, connection: Connection) -> bool:
        return not (connection.statistics or connection.transform.random)

    def _update(self, node: Node) -> Statement:
        graph, area = self.graph, self.graph.areas.area(node.name)
        terms, before = graph.terms(node), graph.memory(node)
        reads = frozenset[str]().union(*(self._read(source, node) for _, source in terms))
        arguments: list[Code] = []
        if before is not None:
            expands = graph.constant(before) and not graph.constant(node)
            for part in _continued(area, before):
                reads |= self._read(before, node, part)
                name = self._name(before, node, part)
                arguments.append(self._expanded(name) if expands else name)
        if area.body.counts:
            arguments.append(f"update={self.ordinal(node)}")
        return Update(
            self._targets(node),
            reads,
            node,
            f"self.{area.identifier}",
            self._merged(node, area, terms),
            tuple(arguments),
            self._shape(area.shape, node),
        )

    def _targets(self, node: Node) -> tuple[str, ...]:
        """The names assigned to the visible state and to the hidden states; `_` for those that nothing reads."""
        cell, graph = self.graph.areas.area(node.name).cell, self.graph
        if not cell.hidden:
            return (self.names.made(node),)
        edges = [data for _, _, data in graph.out_edges(node, data=True)]
        later = {part for value, part in self.kept if value == node}
        continued = any(data["memory"] for data in edges) or bool(later & {*cell.hidden})
        seen = any(not data["memory"] or data["connections"] for data in edges) or "h" in later
        visible = seen or (continued and "h" in cell.reads)
        hidden = (self.names.made(node, name) if continued else "_" for name in cell.hidden)
        return (self.names.made(node) if visible else "_", *hidden)

    def _merged(self, node: Node, area: Area, terms: Sequence[tuple[Connection, Node]]) -> Merged:
        graph, constant = self.graph, self.graph.constant(node)
        code = {c.identifier: Term(self._changed(c, source, node), _note(c)) for c, source in terms}
        single = {
            c.identifier
            for c, source in terms
            if graph.constant(source) and (source.kind == "evaluation" or self._pure(c))
            if not graph.areas.changes(c.identifier, node.step)
        }
        gates = tuple(code[c.identifier] for c, _ in terms if c.role == "modulate")
        drives = [code[c.identifier] for c, _ in terms if c.role == "drive"]
        if not drives:
            zeros = self._zeros(area.body.shape, node)
            return Merged((Term(zeros, "nothing drives it"),), gates)
        if area.merge == "concat":
            drives = [self._part(c, code, node, single) for c in graph.areas.incoming(area.name) if c.role == "drive"]
            return Merged(tuple(drives), gates, concatenates=True)
        expands = not constant and len(single) == len(terms)
        return Merged(tuple(drives), gates, expanded_to=self.names.batch * expands)

    def _part(self, c: Connection, code: dict[str, Term], node: Node, single: set[str]) -> Term:
        """A part of a concatenation: a drive for each image of the batch, or zeros."""
        if c.identifier not in code:
            return Term(self._zeros(c.output_shape, node), f"{c.kind}, nothing")
        term = code[c.identifier]
        expands = c.identifier in single and not self.graph.constant(node)
        return Term(self._expanded(term.code), term.note) if expands else term

    # ---- the loop ------------------------------------------------------------------

    def _loop(self, by_step: dict[int, list[Node]], runs: int | None) -> Section:
        loop = self.graph.loop
        assert loop is not None
        body: list[Statement] = []
        self.counts = False
        for step in range(loop.first, loop.last + 1):
            if loop.period > 1:
                body.append(Comment(text=f"step {step - loop.first + 1} of {loop.period}"))
            body += self._step(by_step.get(step, []))
        inside = dict.fromkeys(name for statement in body for name in statement.defines)
        starts = self._starts()
        reads = frozenset[str]().union(*(statement.reads for statement in body)) - inside.keys()
        end = loop.first + loop.period * loop.times
        carried = tuple((self.names.before(v.start, v.back, v.part), self._now(v)) for v in reversed(self.carried))
        statement: Statement = Loop(
            tuple(inside), reads | starts.keys(), None, loop.first, end, loop.period, tuple(body), carried, self.counts
        )
        left = self._left()
        each = f"{'one' if loop.period == 1 else loop.period} before"
        banner = f"steps {loop.first} to {end - 1}: each as the {each}"
        if runs is not None and isinstance(statement, Loop):
            known = dict(carried)
            last_values = tuple(dict.fromkeys(v for _, v in left if v in inside and v not in known))
            gathered = tuple((n, k) for n, k in self.sinks.containers() if any(n in s.reads for s in body))
            statement = Segments(last_values, statement.reads, None, statement, runs, last_values, gathered)
            banner += f"; backward recomputes {runs * loop.period} at a time"
        entering = [Assign((name,), frozenset({value}), value=value) for name, value in starts.items()]
        leaving = [Assign((name,), frozenset({value}), value=value) for name, value in left]
        return Section(banner, (*entering, statement, *leaving))

    def _starts(self) -> dict[str, str]:
        """The names that the first run finds, with the values that they begin with."""
        return {
            self.names.before(v.start, v.back, v.part): self.names.read(v.start, v.start, v.part) for v in self.carried
        }

    def _now(self, value: Carried) -> str:
        """The name, at the end of a run, of the value that is `back` steps before the next."""
        loop = self.graph.loop
        assert loop is not None
        if value.back <= loop.period:
            node = value.start._replace(step=loop.last + 1 - value.back)
            return self.names.read(node, node, value.part)
        return self.names.before(value.start, value.back - loop.period, value.part)

    def _left(self) -> list[tuple[str, str]]:
        """What is read after the loop, under the names of its last steps, and the names in the loop."""
        loop = self.graph.loop
        assert loop is not None
        left: dict[str, str] = {}
        for source, back, part in self._read_after():
            if back <= loop.period:
                node = source._replace(step=loop.last + 1 - back)
                now = self.names.read(node, node, part)
            else:
                now = self.names.before(source, back, part)
            left[self.names.left(source, part)] = now
        return [*left.items()]

    def _read_after(self) -> Iterator[tuple[Node, int, str]]:
        """Values of the loop that are read after it: how many steps back from its end, and which part."""
        graph, loop = self.graph, self.graph.loop
        if loop is None:
            return
        for reader in (node for node in graph if node.step >= loop.end and graph.live(node)):
            for source, part in self._parts(reader):
                if loop.first <= source.step < loop.end and source.kind in {"update", "evaluation"}:
                    yield source, loop.end - source.step, part

    def _parts(self, reader: Node) -> Iterator[tuple[Node, str]]:
        for source, _, edge in self.graph.in_edges(reader, data=True):
            if self.graph.live(source):
                yield from ((source, part) for part in parts_read(self.graph, source, edge))


def _continued(area: Area, before: Node) -> tuple[str, ...]:
    """The tensors of an old state that the cell reads; of a start state the visible one, for hidden ones begin at 0."""
    return tuple("h" for name in area.cell.reads if name in {"h", "state"}) if before.part else area.cell.reads


def banner(text: str) -> str:
    """The comment above a step."""
    return f"# ---- {text} ".ljust(WIDTH - 30, "-")


def _note(connection: Connection) -> str:
    delay = f", delay {connection.delay}" if connection.delay else ""
    return f"{connection.kind}{delay}{' gates' if connection.role == 'modulate' else ''}"
