"""Images that are read as they are needed, by worker processes, where memory does not hold them all."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from cortexgraph.data.decode import Reader, read_into, require_readable
from cortexgraph.data.images import Images
from cortexgraph.errors import DataError, Diagnostic

MOST_WORKERS = 8
"""Worker processes that are started unless a number is given."""
AHEAD = 2
"""Batches that each worker reads in advance."""


@dataclass(frozen=True, repr=False)
class StreamedImages(Images):
    """Images that a reader gives one at a time, in worker processes.

    Attributes:
        reader: gives image n of the source.
        numbers: of the N images in the source, int64 [N].
        labels, targets, shape: as of all `Images`.
        identity: changes whenever the images of the source do; it stands for them in digests.
        workers: how many processes read; 0 reads in this one.
        frames: how many each has, where they are videos.
        device: where `read` gives the images.
    """

    reader: Reader
    numbers: Tensor
    labels: Tensor
    shape: tuple[int, int, int]
    identity: str
    targets: Tensor | None = None
    workers: int = 0
    frames: int | None = None
    device: torch.device = torch.device("cpu")  # noqa: RUF009  (it cannot be changed)
    streamed = True

    def __getitem__(self, rows: Sequence[int]) -> StreamedImages:
        """The images in these rows."""
        targets = None if self.targets is None else self.targets[rows]
        return replace(self, numbers=self.numbers[rows], labels=self.labels[rows], targets=targets)

    def on(self, device: torch.device) -> StreamedImages:
        """The same images, which `read` gives on this device."""
        return replace(self, device=device)

    def read(self, batches: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Images, uint8 [B, C, H, W], and targets, [B, …], for each batch of rows, int64 [B].

        Raises:
            DataError: naming every image of a batch that cannot be read, or if a worker process ends.
        """
        every = list(batches)
        for rows, (images, findings) in zip(every, self._loaded(every), strict=True):
            require_readable(findings)
            yield images.to(self.device, non_blocking=True), self.goals(rows).to(self.device)

    def _loaded(self, batches: Sequence[Tensor]) -> Iterator[Any]:
        """What the workers return for each batch."""
        workers = min(self.workers, len(batches))
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "This DataLoader will create")  # more workers than processors
                warnings.filterwarnings("ignore", ".*use of fork", DeprecationWarning)
                yield from DataLoader(
                    _Batches(
                        self.reader, self.numbers, self.shape if self.frames is None else (self.frames, *self.shape)
                    ),
                    batch_sampler=[rows.tolist() for rows in batches],
                    num_workers=workers,
                    prefetch_factor=AHEAD if workers else None,
                    collate_fn=_as_it_is,
                    worker_init_fn=_begin_worker,
                    pin_memory=self.device.type == "cuda",
                    generator=torch.Generator(),  # otherwise a number of the global one is used up
                )
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            problem = f"a process that reads images ended ({' '.join(str(error).split())})"
            repair = "Check memory and shared memory (/dev/shm), or read in fewer processes: --workers 1, or 0."
            raise DataError(Diagnostic("worker-ended", "workers", problem, repair=repair)) from None

    def update(self, digest: Any) -> None:
        """Add the images and their targets to a digest of `hashlib`."""
        digest.update(f"{self.identity} {self.shape}".encode())
        for values in (self.numbers, self.labels, *([] if self.targets is None else [self.targets])):
            digest.update(values.contiguous().numpy().data)


def usual_workers() -> int:
    """As many processes as there are processors, at most eight."""
    return min(os.cpu_count() or 1, MOST_WORKERS)


class _Batches(Dataset[Any]):
    """Reads whole batches."""

    def __init__(self, reader: Reader, numbers: Tensor, shape: tuple[int, ...]) -> None:
        self.reader, self.numbers, self.shape = reader, numbers, shape

    def __getitems__(self, rows: list[int]) -> tuple[Tensor, list[Diagnostic]]:
        """The images, uint8 [B, C, H, W], and what is wrong with those that cannot be read."""
        images = torch.empty((len(rows), *self.shape), dtype=torch.uint8)
        if get_worker_info() is not None:
            images.share_memory_()  # type: ignore[no-untyped-call]  # now: a filled one would be copied
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd metadata
            numbers = self.numbers[rows].tolist()
            findings = [f for image, n in zip(images, numbers, strict=True) for f in read_into(image, self.reader, n)]
        return images, findings


def _as_it_is(batch: Any) -> Any:
    return batch


def _begin_worker(_: int) -> None:
    """Leave Ctrl-C to the main process, which ends its workers once the batch is trained."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
