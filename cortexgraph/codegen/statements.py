"""Statements of an emitted `forward`: what each defines and reads, and how it prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from cortexgraph.codegen.text import WIDTH, Call, commented, fitted
from cortexgraph.unrolling import Node

__all__ = ["Assign", "Delete", "Do", "Loop", "Merged", "Section", "Segments", "Statement", "Term", "Update", "released"]


@dataclass(frozen=True)
class Statement:
    """Base of the statements.

    Attributes:
        defines: local names that it assigns.
        reads: local names that it reads, parameters of `forward` left out.
        node: the node of the unrolled graph that it computes, if it computes one.
    """

    defines: tuple[str, ...] = ()
    reads: frozenset[str] = frozenset()
    node: Node | None = None

    def lines(self, indent: int) -> list[str]:
        """Its lines of source, at a column."""
        raise NotImplementedError  # pragma: no cover

    def places(self, indent: int) -> Iterator[tuple[Node, int, int]]:
        """The nodes of statements inside this one, with the first and last of its lines, from 0."""
        yield from ()


@dataclass(frozen=True)
class Assign(Statement):
    """`name = value  # comment`, or `name: annotation = value`."""

    value: str | Call = ""
    comment: str = ""
    annotation: str = ""

    def lines(self, indent: int) -> list[str]:
        start = f"{', '.join(self.defines)}{f': {self.annotation}' if self.annotation else ''} = "
        if isinstance(self.value, Call):
            text = Call(start + self.value.start, self.value.items, self.value.end).laid_out(indent)
            return (" " * indent + text).splitlines()
        return fitted(commented(f"{' ' * indent}{start}{self.value}", self.comment))


@dataclass(frozen=True)
class Do(Statement):
    """An expression evaluated for its effect, or what is returned."""

    text: str = ""

    def lines(self, indent: int) -> list[str]:
        first, *rest = self.text.splitlines()  # the rest is laid out already
        return [*fitted(f"{' ' * indent}{first}"), *rest]


@dataclass(frozen=True)
class Delete(Statement):
    """`del` of names after their last use."""

    def lines(self, indent: int) -> list[str]:
        names = sorted(self.reads, key=self.order.index)
        line = f"{' ' * indent}del {', '.join(names)}"
        if len(line) <= WIDTH:
            return [line]
        return (" " * indent + Call("del (", tuple(names)).laid_out(indent, after=WIDTH)).splitlines()

    order: tuple[str, ...] = ()


# ---- updates -------------------------------------------------------------------


SHORT = 4
"""So many terms are read at a glance; with more, each stands on a line of its own."""


@dataclass(frozen=True)
class Term:
    """What an update reads through a connection: its code, and a comment on it."""

    code: str
    note: str


@dataclass(frozen=True)
class Merged:
    """The merged and gated input of an update.

    Attributes:
        drives: what is summed or concatenated.
        gates: what the merge is multiplied by.
        concatenates: whether the drives are concatenated.
        expands: whether the result, the same for every image, is needed for each image of the batch.
    """

    drives: tuple[Term, ...]
    gates: tuple[Term, ...] = ()
    concatenates: bool = False
    expands: bool = False

    def line(self) -> Term:
        """All on one line, with one comment that mirrors the code."""
        code, note = (self._joined([getattr(term, what) for term in self.drives]) for what in ("code", "note"))
        for gate in self.gates:
            code, note = f"{code} * {gate.code}", f"{note} * {gate.note}" if self._grouped else f"{note}, {gate.note}"
        return Term(f"expanded({code}, x)" if self.expands else code, note)

    @property
    def _grouped(self) -> bool:
        return bool(self.gates) and not self.concatenates and len(self.drives) > 1

    def _joined(self, parts: Sequence[str]) -> str:
        if self.concatenates:
            is_code = parts and parts[0] == self.drives[0].code
            return f"torch.cat([{', '.join(parts)}], dim=1)" if is_code else ", ".join(parts)
        text = " + ".join(parts)
        return f"({text})" if self._grouped else text

    def lines(self) -> Iterator[Term]:
        """A line for each term, with its comment."""
        lines = [*self._broken(), *(Term(f"* {gate.code}", gate.note) for gate in self.gates)]
        if self.expands:
            last = lines[-1]
            inner = [*lines[:-1], Term(f"{last.code},", last.note), Term("x,", "")]
            lines = [Term("expanded(", ""), *(Term(f"    {line.code}", line.note) for line in inner), Term(")", "")]
        last = lines[-1]
        yield from lines[:-1]
        yield Term(f"{last.code},", last.note)

    def _broken(self) -> Iterator[Term]:
        if self.concatenates:
            yield from (Term("torch.cat(", ""), Term("    [", ""))
            yield from (Term(f"        {term.code},", term.note) for term in self.drives)
            yield from (Term("    ],", ""), Term("    dim=1,", ""), Term(")", ""))
            return
        if self._grouped:
            yield Term("(", "")
        for n, term in enumerate(self.drives):
            yield Term(f"{'    ' * self._grouped}{'+ ' * (n > 0)}{term.code}", term.note)
        if self._grouped:
            yield Term(")", "")


@dataclass(frozen=True)
class Update(Statement):
    """Update of an area, `V1_2 = self.V1(merged, state, update=2)`: on one line, or under its comment, if it fits."""

    module: str = ""
    merged: Merged = field(default_factory=lambda: Merged(()))
    arguments: tuple[str, ...] = ()
    comment: str = ""

    def lines(self, indent: int) -> list[str]:
        targets = f"{', '.join(self.defines)} = "
        lines = self._call(f"{targets}{self.module}(", indent)
        if len(lines[0]) <= WIDTH:
            return lines
        return [f"{' ' * indent}{targets}(", *self._call(f"{self.module}(", indent + 4), f"{' ' * indent})"]

    def _call(self, start: str, indent: int) -> list[str]:
        outer, inner = " " * indent, " " * (indent + 4)
        merged = self.merged.line()
        short = f"{outer}{start}{', '.join([merged.code, *self.arguments])})"
        comment = f"# {merged.note}  {self.comment}"
        if len(short) + len(comment) + 2 <= WIDTH:
            return [f"{short}  {comment}"]
        if len(self.merged.drives) <= SHORT and max(len(short), indent + len(comment)) <= WIDTH:
            return [f"{outer}{comment}", short]
        terms = (commented(f"{inner}{term.code}", term.note) for term in self.merged.lines())
        broken = [line for term in terms for line in fitted(term)]
        return [f"{outer}{start}", *broken, *(f"{inner}{a}," for a in self.arguments), f"{outer})  # {self.comment}"]


# ---- loops ---------------------------------------------------------------------


@dataclass(frozen=True)
class Loop(Statement):
    """The steady state: a body that is run for many steps.

    Attributes:
        first, end, period: the steps: `for t in range(first, end, period)`.
        body: its statements; comments name the steps of a longer period.
        carried: for each name that a run finds, the name of what it leaves to the next, in the order of assignment.
        counts: whether the body reads t.
    """

    first: int = 1
    end: int = 1
    period: int = 1
    body: tuple[Statement, ...] = ()
    carried: tuple[tuple[str, str], ...] = ()
    counts: bool = False

    def range(self, start: str, end: str, counter: str = "t") -> str:
        """The head of a loop over these steps."""
        by = f", {self.period}" if self.period > 1 else ""
        return f"for {counter} in range({start}, {end}{by}):"

    def inner_lines(self, indent: int) -> list[str]:
        lines = [line for statement in self.body for line in statement.lines(indent)]
        return [*lines, *(f"{' ' * indent}{name} = {value}" for name, value in self.carried)]

    def places(self, indent: int) -> Iterator[tuple[Node, int, int]]:
        line = 1
        for statement in self.body:
            length = len(statement.lines(indent + 4))
            if statement.node is not None:
                yield statement.node, line, line + length - 1
            line += length

    def lines(self, indent: int) -> list[str]:
        head = self.range(str(self.first), str(self.end), "t" if self.counts else "_")
        if len(self.body) == 1 and not self.carried and isinstance(only := self.body[0], Do):
            container, _, value = only.text.partition(".append(")
            if value:  # the area is at rest, and only read out
                return [f"{' ' * indent}{container}.extend({value[:-1]} {head[:-1]})"]
        return [f"{' ' * indent}{head}", *self.inner_lines(indent + 4)]


@dataclass(frozen=True)
class Segments(Statement):
    """A loop in segments whose steps are recomputed in the backward pass (Chen et al. 2016).

    Attributes:
        loop: the loop.
        runs: how many runs of its body make a segment.
        made: names in the body of values that are read after the loop alone.
        gathered: names of lists and dictionaries that the body fills, with their types.
    """

    loop: Loop = field(default_factory=Loop)
    runs: int = 1
    made: tuple[str, ...] = ()
    gathered: tuple[tuple[str, str], ...] = ()

    def lines(self, indent: int) -> list[str]:
        loop, pad, inner = self.loop, " " * indent, " " * (indent + 4)
        carried = tuple(name for name, _ in loop.carried)
        ordered = tuple(sorted(carried))
        names = [name for name, _ in self.gathered]
        result = ", ".join(["carried", *(f"{name}_here" for name in names)])
        end = f"min(first + {self.runs * loop.period}, {loop.end})"
        lines = [f"{pad}def steps(first: int, *carried: Tensor) -> {'Any' if names else 'tuple[Tensor, ...]'}:"]
        lines += _unpacked((*ordered, *(["*_"] if self.made else [])), indent + 4)
        lines += [
            f"{inner}{name}: {kind} = {'{}' if kind.startswith('dict') else '[]'}" for name, kind in self.gathered
        ]
        lines += [f"{inner}{loop.range('first', end, 't' if loop.counts else '_')}", *loop.inner_lines(indent + 8)]
        returned = _tuple((*ordered, *self.made))
        lines += [f"{inner}return {', '.join([returned, *names])}", ""]
        lines += [f"{pad}carried = {_tuple(ordered)}"] if ordered else [f"{pad}carried: tuple[Tensor, ...] = ()"]
        lines += [f"{pad}for first in range({loop.first}, {loop.end}, {self.runs * loop.period}):"]
        lines += [f"{inner}{result} = recomputed(self, steps, first, *carried)"]
        lines += [f"{inner}{n} {'|=' if kind.startswith('dict') else '+='} {n}_here" for n, kind in self.gathered]
        return ["", *lines, *_unpacked((*ordered, *self.made), indent)]

    def places(self, indent: int) -> Iterator[tuple[Node, int, int]]:
        before = self.lines(indent).index(self.loop.inner_lines(indent + 8)[0]) - 1
        yield from ((node, first + before, last + before) for node, first, last in self.loop.places(indent + 4))


def _tuple(names: Sequence[str]) -> str:
    """`(a, b)`, or `(a,)`."""
    return f"({', '.join(names)}{',' if len(names) == 1 else ''})"


def _unpacked(names: Sequence[str], indent: int) -> list[str]:
    """The statement that unpacks `carried`."""
    pad = " " * indent
    if not names:
        return []
    if len(names) == 1:
        return [f"{pad}({names[0]},) = carried"]
    line = f"{pad}{', '.join(names)} = carried"
    if len(line) <= WIDTH:
        return [line]
    return (pad + Call("(", tuple(names), ") = carried").laid_out(indent, after=WIDTH)).splitlines()


# ---- sections and the life of values ---------------------------------------------


@dataclass(frozen=True)
class Section:
    """Statements under a banner: a step, a loop, or (without banner) what comes before."""

    banner: str
    statements: tuple[Statement, ...]


def released(sections: Sequence[Section], kept: Iterable[str]) -> list[Section]:
    """The sections with a `del` of each name after its last use: at the end of a section, or before a loop.

    Args:
        sections: all that `forward` does but return.
        kept: names that are returned, or read when steps are recomputed.
    """
    defined = [name for section in sections for statement in section.statements for name in statement.defines]
    last: dict[str, tuple[int, int]] = {}
    for n, section in enumerate(sections):
        for m, statement in enumerate(section.statements):
            last |= dict.fromkeys((*statement.defines, *(name for name in statement.reads if name in last)), (n, m))
    for name in (*kept, "_"):
        last.pop(name, None)
    result = []
    for n, section in enumerate(sections):
        statements: list[Statement] = []
        for m, statement in enumerate(section.statements):
            if isinstance(statement, Loop | Segments):
                statements += _deleted([name for name, place in last.items() if place < (n, m)], defined)
                last = {name: place for name, place in last.items() if place >= (n, m)}
            statements.append(statement)
        if n < len(sections) - 2:  # what the last step reads goes with the call
            statements += _deleted([name for name, place in last.items() if place[0] <= n], defined)
            last = {name: place for name, place in last.items() if place[0] > n}
        result.append(replace(section, statements=tuple(statements)))
    return result


def _deleted(names: list[str], defined: list[str]) -> list[Statement]:
    order = tuple(name for name in dict.fromkeys(defined) if name in set(names))
    return [Delete(reads=frozenset(order), order=order)] if order else []
