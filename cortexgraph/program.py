"""How a network is compiled (`CompileOptions`), and the result (`Program`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from cortexgraph.checks.behaviour import Record, named_steps
from cortexgraph.codegen import Checkpoint, Emitted, MemoryFormat
from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.graph import Placed
from cortexgraph.passes import chosen
from cortexgraph.spec import NetworkSpec
from cortexgraph.unrolling import UnrolledGraph

Roll = Literal["auto", "always", "never"]
"""Whether to write the steady state as a loop; `always` and `auto` are the same."""

Backend = Literal["eager", "inductor"]
"""`eager` runs the emitted source as it stands; `inductor` hands it to `torch.compile`, which makes kernels of it."""


@dataclass(frozen=True)
class CompileOptions:
    """How a network is compiled; see `compile_spec`."""

    record: Record | None = None
    passes: str | Sequence[str] | None = None
    roll: Roll = "auto"
    memory_format: MemoryFormat = "contiguous"
    backend: Backend = "eager"
    checkpoint: Checkpoint | None = None
    video: bool | Sequence[str] = False
    tbptt: int | None = None
    interventions: tuple[Placed, ...] = ()

    def check(self) -> None:
        """Raise a CompileError for a value that is not one of the choices."""
        check_choice("roll", self.roll, get_args(Roll))
        check_choice("memory_format", self.memory_format, get_args(MemoryFormat))
        check_choice("backend", self.backend, get_args(Backend))
        if self.tbptt is not None and (isinstance(self.tbptt, bool) or self.tbptt < 1):
            found, expected = f"{self.tbptt!r} was given", "tbptt is a number of steps from 1"
            raise CompileError(Diagnostic("bad-time", "tbptt", found, expected))
        if self.checkpoint is not None and self.backend != "eager":
            found = "a checkpoint and the backend inductor were given"
            finding = Diagnostic("checkpoint", "checkpoint", found, "torch.compile chooses itself", "Give one.")
            raise CompileError(finding)

    @property
    def recorded_steps(self) -> tuple[int, ...]:
        """The steps that `record` names by their numbers."""
        return named_steps(self.record or {})

    @property
    def pass_names(self) -> list[str]:
        """The passes that run."""
        return chosen(self.passes, loops=self.roll != "never" or self.checkpoint is not None)


@dataclass(frozen=True)
class Program:
    """An emitted network: its spec and options, the graph before and after passes, and the source."""

    spec: NetworkSpec
    options: CompileOptions
    full: UnrolledGraph
    kept: UnrolledGraph
    emitted: Emitted

    @property
    def source(self) -> str:
        return self.emitted.source


def check_choice(place: str, value: str, choices: Sequence[str]) -> None:
    """Reject a value that is not one of the choices. Raises CompileError if it is none of them."""
    if value not in choices:
        expected = f"it is {' or '.join(choices)}"
        raise CompileError(Diagnostic("unknown-choice", place, f"{value!r} was given", expected, "Give one of these."))
