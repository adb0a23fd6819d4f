"""Environment variables that are read as numbers."""

from __future__ import annotations

import os
import re

from cortexgraph.errors import CompileError, Diagnostic
from cortexgraph.wording import shortened

DATE = "SOURCE_DATE_EPOCH"
NUMBERS = (
    r"(LOCAL_|NODE_|GROUP_)?RANK|(LOCAL_)?WORLD_SIZE|MASTER_PORT"
    rf"|SLURM_(NTASKS|NTASKS_PER_NODE|PROCID|LOCALID|NODEID|JOB_ID|JOBID|NNODES)|{DATE}"
)
"""What torch, Lightning, matplotlib and Cairo read as whole numbers."""


def check_numbers(names: str = NUMBERS) -> None:
    """Refuse variables that must be whole numbers and are not, before a library ends the process over one.

    Args:
        names: a pattern of the variables that matter.

    Raises:
        CompileError: with every such variable.
    """
    findings = [
        Diagnostic(
            "environment", name, f"`{shortened(value)}` is set", "it must be a whole number", f"Run: unset {name}"
        )
        for name, value in os.environ.items()
        if re.fullmatch(names, name) and (value or name != DATE) and not re.fullmatch("[0-9]{1,18}", value)
    ]
    if findings:
        raise CompileError(findings)
