"""Runs functions in a process with bounds on processor time and memory: a hostile input cannot hang the tests."""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 10
"""Of processor time; the slowest answer takes half of it on the slowest machine that was tried."""

BYTES = 500_000_000
"""Beyond what the process has when it starts."""


def bounded(function: Callable[..., Any], *arguments: Any, seconds: int = SECONDS) -> Any:
    """The function's result, from a process of its own, which is killed at the bounds.

    Raises:
        AssertionError: if it was killed, or raised.
    """
    spawn = multiprocessing.get_context("forkserver")
    spawn.set_forkserver_preload(["cortexgraph.compiler"])
    receiver, sender = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_run, args=(sender, function, arguments, seconds))
    process.start()
    sender.close()
    try:
        done, result = receiver.recv()
    except EOFError:
        process.join()
        raise AssertionError(f"killed by signal {-(process.exitcode or 0)}: too slow or too large") from None
    process.join()
    assert done, result
    return result


def codes_of(text: str, file: str) -> list[str]:
    """The codes of all findings about a spec, errors or not."""
    from cortexgraph.compiler import check
    from cortexgraph.errors import CortexGraphError
    from cortexgraph.spec import loads

    try:
        return [finding.code for finding in check(loads(text, file=file))]
    except CortexGraphError as error:
        assert str(error).encode().decode().replace("\n", "").isprintable()
        return [finding.code for finding in error.diagnostics]


def _run(sender: Any, function: Callable[..., Any], arguments: tuple[Any, ...], seconds: int) -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    resource.setrlimit(resource.RLIMIT_CPU, (int(used) + seconds, int(used) + seconds))
    try:
        sender.send((True, function(*arguments)))
    except BaseException as error:
        sender.send((False, f"{type(error).__name__}: {error}"[:2000]))
