"""A process that carries out one run, read from its input: `python -m cortexgraph.experiment.worker`."""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time

__all__ = ["main"]


def main() -> int:
    """Carry out the run on standard input, and say on standard error what went wrong."""
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    from cortexgraph.experiment.run import carry_out

    run, overwrite = pickle.load(sys.stdin.buffer)  # from the process that started this one
    outcome = carry_out(run, overwrite=overwrite)
    print(outcome.error, file=sys.stderr)
    return int(bool(outcome.error))


def _end_with_parent(parent: int) -> None:
    """End this process when the one that started it is gone, so that a killed comparison leaves none behind."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
