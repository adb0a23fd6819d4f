"""The command line: exit code 0, 1 for a finding in the user's input, 2 for wrong usage."""

from __future__ import annotations

import io
import sys

__all__ = ["main"]


def main() -> None:
    """Entry point of `cortexgraph`."""
    from cortexgraph.cli.app import app
    from cortexgraph.errors import CortexGraphError
    from cortexgraph.extras import MissingPackageError, explained

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # `→` where the terminal, or a redirected file, has no such sign
    try:
        app(prog_name="cortexgraph")
    except CortexGraphError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except ModuleNotFoundError as error:
        finding = explained(error)
        if not isinstance(finding, MissingPackageError):
            raise
        print(finding, file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # the reader of our output has gone, as in `cortexgraph show … | head`
        sys.stderr.close()
        sys.exit(0)
