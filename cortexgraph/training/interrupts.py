"""Ctrl-C and SIGTERM: finish the batch, then leave a run that can be resumed."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interrupted", "Interrupts", "StopTraining"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopTraining(BaseException):
    """Leaves Lightning's loops from within; Lightning itself ends the process on a KeyboardInterrupt."""


class Interrupted(KeyboardInterrupt):
    """Training was stopped by a signal and can be resumed.

    Attributes:
        signal: its number.
        exit_code: what a shell expects: 128 + signal.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal = signal_number
        self.exit_code = 128 + signal_number


class Interrupts:
    """Remembers that a signal came; the second one ends the process at once.

    Attributes:
        received: number of the signal that came, if one did.
    """

    def __init__(self) -> None:
        self.received: int | None = None

    def install(self) -> None:
        """Take over Ctrl-C and SIGTERM (signals belong to the main thread: elsewhere nothing happens)."""
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                signal.signal(number, self._handle)

    def check(self) -> None:
        """Raise StopTraining if a signal came."""
        if self.received is not None:
            raise StopTraining

    @contextmanager
    def handled(self) -> Iterator[Interrupts]:
        """Take over the signals for a block, and give them back."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        self.install()
        try:
            yield self
        finally:
            if threading.current_thread() is threading.main_thread():
                for number, handler in before.items():
                    signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self.received = number
        print("\nStopping after this batch; once more to stop at once.", file=sys.stderr, flush=True)
