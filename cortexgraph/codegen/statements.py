"""Statements of an emitted `forward`: what each defines and reads, and how it prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

from cortexgraph.codegen.text import WIDTH, Call, Code, assigned, laid_out, term
from cortexgraph.unrolling import Node

Place = TypeVar("Place")


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
        """The nodes that it computes, with the first and last of their lines, from 0."""
        if self.node is not None:
            yield self.node, 0, len(self.lines(indent)) - 1


@dataclass(frozen=True)
class Assign(Statement):
    """`target = value  # comment`; the target is by default the names that it defines."""

    value: Code = ""
    comment: str = ""
    target: str = ""

    def lines(self, indent: int) -> list[str]:
        return assigned(self.target or ", ".join(self.defines), self.value, indent, self.comment)


@dataclass(frozen=True)
class Do(Statement):
    """An expression evaluated for its effect."""

    code: Code = ""

    def lines(self, indent: int) -> list[str]:
        return (" " * indent + laid_out(self.code, indent)).splitlines()


@dataclass(frozen=True)
class Append(Statement):
    """`container.append(value)`."""

    container: str = ""
    value: Code = ""

    def lines(self, indent: int) -> list[str]:
        return (" " * indent + Call(f"{self.container}.append(", (self.value,)).laid_out(indent)).splitlines()


@dataclass(frozen=True)
class Comment(Statement):
    """`# text`."""

    text: str = ""

    def lines(self, indent: int) -> list[str]:
        return [f"{' ' * indent}# {self.text}"]


@dataclass(frozen=True)
class Delete(Statement):
    """`del` of names after their last use, in their order."""

    names: tuple[str, ...] = ()

    def lines(self, indent: int) -> list[str]:
        line = f"{' ' * indent}del {', '.join(self.names)}"
        if len(line) <= WIDTH:
            return [line]
        return (" " * indent + Call("del (", self.names).laid_out(indent, after=WIDTH)).splitlines()


@dataclass(frozen=True)
class Unpack(Statement):
    """`a, b = values`, to the names that it defines."""

    value: str = ""

    def lines(self, indent: int) -> list[str]:
        return _unpacked(self.defines, indent, self.value)


# ---- updates -------------------------------------------------------------------


SHORT = 4
"""Up to this many terms stand on one line; with more, each stands on its own line."""


@dataclass(frozen=True)
class Term:
    """What an update reads through a connection: its code, and a comment on it."""

    code: Code
    note: str


@dataclass(frozen=True)
class Merged:
    """The merged and gated input of an update.

    Attributes:
        drives: what is summed or concatenated.
        gates: what the merge is multiplied by.
        concatenates: whether the drives are concatenated.
        expanded_to: the batch, where the result is the same for every image and needed for each; otherwise empty.
    """

    drives: tuple[Term, ...]
    gates: tuple[Term, ...] = ()
    concatenates: bool = False
    expanded_to: str = ""

    @property
    def _grouped(self) -> bool:
        return bool(self.gates) and not self.concatenates and len(self.drives) > 1

    def line(self) -> tuple[str, str]:
        """The code on one line, and one comment that mirrors it."""
        separator = ", " if self.concatenates else " + "
        code, note = separator.join(str(t.code) for t in self.drives), separator.join(t.note for t in self.drives)
        if self.concatenates:
            code = f"torch.cat([{code}], dim=1)"
        elif self._grouped:
            code, note = f"({code})", f"({note})"
        code = " * ".join([code, *(str(gate.code) for gate in self.gates)])
        note = (" * " if self._grouped else ", ").join([note, *(gate.note for gate in self.gates)])
        return (f"expanded({code}, {self.expanded_to})" if self.expanded_to else code), note

    def lines(self, indent: int) -> Iterator[str]:
        """A line for each term, with its comment."""
        lines = [*self._broken(), *(_Line(gate.code, gate.note, "* ") for gate in self.gates)]
        lines[-1] = lines[-1]._replace(end=",")
        if self.expanded_to:
            inner = (line._replace(depth=line.depth + 1) for line in (*lines, _Line(self.expanded_to, end=",")))
            lines = [_Line("expanded("), *inner, _Line(")", end=",")]
        for line in lines:
            yield from term(line.start, line.code, line.end, indent + 4 * line.depth, line.note)

    def _broken(self) -> list[_Line]:
        if self.concatenates:
            parts = (_Line(drive.code, drive.note, end=",", depth=2) for drive in self.drives)
            tail = (_Line("]", end=",", depth=1), _Line("dim=1", end=",", depth=1), _Line(")"))
            return [_Line("torch.cat("), _Line("[", depth=1), *parts, *tail]
        depth = int(self._grouped)
        terms = [_Line(drive.code, drive.note, "+ " if n else "", depth=depth) for n, drive in enumerate(self.drives)]
        return [_Line("("), *terms, _Line(")")] if self._grouped else terms


class _Line(NamedTuple):
    """One line of a merge that is broken over several."""

    code: Code
    note: str = ""
    start: str = ""
    end: str = ""
    depth: int = 0


@dataclass(frozen=True)
class Update(Statement):
    """Update of an area, `V1_2 = self.V1(merged, state, update=2)`: on one line, or under its comment, if it fits."""

    module: str = ""
    merged: Merged = field(default_factory=lambda: Merged(()))
    arguments: tuple[Code, ...] = ()
    comment: str = ""

    def lines(self, indent: int) -> list[str]:
        targets = f"{', '.join(self.defines)} = "
        lines = self._call(f"{targets}{self.module}(", indent)
        if len(lines[0]) <= WIDTH:
            return lines
        return [f"{' ' * indent}{targets}(", *self._call(f"{self.module}(", indent + 4), f"{' ' * indent})"]

    def _call(self, start: str, indent: int) -> list[str]:
        outer = " " * indent
        code, note = self.merged.line()
        short = f"{outer}{start}{', '.join([code, *map(str, self.arguments)])})"
        comment = f"# {note}  {self.comment}"
        if len(short) + len(comment) + 2 <= WIDTH:
            return [f"{short}  {comment}"]
        if len(self.merged.drives) <= SHORT and max(len(short), indent + len(comment)) <= WIDTH:
            return [f"{outer}{comment}", short]
        arguments = (line for argument in self.arguments for line in term("", argument, ",", indent + 4))
        return [f"{outer}{start}", *self.merged.lines(indent + 4), *arguments, f"{outer})  # {self.comment}"]


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

    def head(self, start: str, end: str) -> str:
        """The head of a loop over these steps."""
        by = f", {self.period}" if self.period > 1 else ""
        return f"for {'t' if self.counts else '_'} in range({start}, {end}{by})"

    def inner_lines(self, indent: int) -> list[str]:
        lines = [line for statement in self.body for line in statement.lines(indent)]
        return [*lines, *(f"{' ' * indent}{name} = {value}" for name, value in self.carried)]

    def places(self, indent: int) -> Iterator[tuple[Node, int, int]]:
        line = 1
        for statement in self.body:
            yield from ((node, first + line, last + line) for node, first, last in statement.places(indent + 4))
            line += len(statement.lines(indent + 4))

    def lines(self, indent: int) -> list[str]:
        head = self.head(str(self.first), str(self.end))
        if len(self.body) == 1 and not self.carried and isinstance(only := self.body[0], Append):
            return [f"{' ' * indent}{only.container}.extend({only.value} {head})"]  # at rest, and only read out
        return [f"{' ' * indent}{head}:", *self.inner_lines(indent + 4)]


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
        ordered = tuple(sorted(name for name, _ in loop.carried))
        names = [name for name, _ in self.gathered]
        result = ", ".join(["carried", *(f"{name}_here" for name in names)])
        end = f"min(first + {self.runs * loop.period}, {loop.end})"
        lines = [f"{pad}def steps(first: int, *carried: Tensor) -> {'Any' if names else 'tuple[Tensor, ...]'}:"]
        lines += _unpacked((*ordered, *(["*_"] if self.made else [])), indent + 4)
        lines += [f"{inner}{n}: {kind} = {'{}' if kind.startswith('dict') else '[]'}" for n, kind in self.gathered]
        lines += [f"{inner}{loop.head('first', end)}:", *loop.inner_lines(indent + 8)]
        lines += [*_returned(_tuple((*ordered, *self.made)), names, indent + 4), ""]
        lines += assigned("carried" if ordered else "carried: tuple[Tensor, ...]", _tuple(ordered), indent)
        lines += [f"{pad}for first in range({loop.first}, {loop.end}, {self.runs * loop.period}):"]
        lines += [f"{inner}{result} = recomputed(self, steps, first, *carried)"]
        lines += [f"{inner}{n} {'|=' if kind.startswith('dict') else '+='} {n}_here" for n, kind in self.gathered]
        return ["", *lines, *_unpacked((*ordered, *self.made), indent)]

    def places(self, indent: int) -> Iterator[tuple[Node, int, int]]:
        before = self.lines(indent).index(self.loop.inner_lines(indent + 8)[0]) - 1
        yield from ((node, first + before, last + before) for node, first, last in self.loop.places(indent + 4))


def _tuple(names: Sequence[str]) -> Call:
    """`(a, b)`, or `(a,)`."""
    return Call("(", tuple(names), ",)" if len(names) == 1 else ")")


def _returned(value: Call, names: Sequence[str], indent: int) -> list[str]:
    """The statement that returns a value, and others by their names."""
    line = f"{' ' * indent}return {', '.join([str(value), *names])}"
    if len(line) <= WIDTH:
        return [line]
    call = Call("return (", (value, *names)) if names else value.behind("return ")
    return (" " * indent + call.laid_out(indent)).splitlines()


def _unpacked(names: Sequence[str], indent: int, value: str = "carried") -> list[str]:
    """The statement that unpacks a tuple."""
    pad = " " * indent
    if len(names) < 2:
        return [f"{pad}({name},) = {value}" for name in names]
    line = f"{pad}{', '.join(names)} = {value}"
    if len(line) <= WIDTH:
        return [line]
    return (pad + Call("(", tuple(names), f") = {value}").laid_out(indent, after=WIDTH)).splitlines()


# ---- sections and the life of values ---------------------------------------------


@dataclass(frozen=True)
class Section:
    """Statements under a banner: a step, a loop, or (without banner) what comes before.

    Attributes:
        banner: the text of the comment above them.
        statements: in the order of execution.
        warms_up: whether they run without gradient.
    """

    banner: str
    statements: tuple[Statement, ...]
    warms_up: bool = False


def last_uses(statements: Iterable[tuple[Place, Statement]]) -> dict[str, Place]:
    """For each name that statements define, the place of the last statement that defines or reads it."""
    last: dict[str, Place] = {}
    for place, statement in statements:
        last |= dict.fromkeys((*statement.defines, *(name for name in statement.reads if name in last)), place)
    last.pop("_", None)
    return last


def released(sections: Sequence[Section], kept: Iterable[str]) -> list[Section]:
    """The sections with a `del` of each name after its last use: at the end of a section, or before a loop.

    Kept are names that are returned, or read when steps are recomputed.
    """
    defined = [name for section in sections for statement in section.statements for name in statement.defines]
    last = last_uses(
        ((n, m), statement) for n, section in enumerate(sections) for m, statement in enumerate(section.statements)
    )
    for name in kept:
        last.pop(name, None)

    def deleted(before: tuple[int, int]) -> Iterator[Statement]:
        names = tuple(name for name in dict.fromkeys(defined) if name in last and last[name] < before)
        for name in names:
            del last[name]
        yield from [Delete(reads=frozenset(names), names=names)] if names else []

    result = []
    for n, section in enumerate(sections):
        statements: list[Statement] = []
        for m, statement in enumerate(section.statements):
            if isinstance(statement, Loop | Segments):
                statements += deleted((n, m))
            statements.append(statement)
        if n < len(sections) - 2:  # what the last step reads goes with the call
            statements += deleted((n + 1, 0))
        result.append(replace(section, statements=tuple(statements)))
    return result
