"""`data pack`: pack images into shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cortexgraph.cli import options
from cortexgraph.wording import count_of


def pack(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with train/CLASS/* and test/CLASS/*.")],
    out: Annotated[Path, options.option("-o --out", "OUT", "Folder of the shards, which must not exist.")],
    shard_size: Annotated[str, options.option("--shard-size", "256MB", "About the size of a shard.")] = "256MB",
    quiet: Annotated[bool, options.option("-q --quiet", None, "Print only errors.")] = False,
) -> None:
    """Pack a folder of images into shards, for disks and networks on which many small files are slow.

    The shards are tar files as WebDataset and tar read them, with the images as they are. --data OUT streams them.

    Example: cortexgraph data pack path/to/images -o packed
    """
    options.prepare("train")
    from cortexgraph.data.load import read_size
    from cortexgraph.data.pack import pack as pack_folder

    packed = pack_folder(source, out, shard_bytes=read_size(shard_size) or 1)
    if not quiet:
        images = " and ".join(f"{count:,} {split}" for split, count in packed.images.items())
        typer.echo(f"{images} images in {count_of(packed.shards, 'shard')} ({packed.bytes / 10**6:,.1f} MB): {out}")
