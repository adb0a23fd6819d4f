"""A script that runs lines of the command line in one process, for tests that start Python themselves."""

from __future__ import annotations

from collections.abc import Sequence

RUN = """
import sys

from cortexgraph.cli import main

for words in {commands!r}:
    sys.argv = ["cortexgraph", *words.split()]
    try:
        main()
    except SystemExit as end:
        if end.code:
            sys.exit(f"{{words}}: {{end.code}}")
"""


def script(commands: Sequence[str]) -> str:
    """Code that runs the commands in turn and ends at the first that fails."""
    return RUN.format(commands=[*commands])
