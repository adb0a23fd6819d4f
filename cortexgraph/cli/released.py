"""`import weights` and `import tnn`: checkpoints and configurations of other projects as files of cortexgraph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cortexgraph.cli import options
from cortexgraph.cli.specs import write_or_print

__all__ = ["import_weights"]


def import_weights(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help=".pth, .pt, .safetensors, or Keras' .h5.")],
    spec: Annotated[str, options.option("--spec", "SPEC", "The network: a spec file, or the name of a zoo spec.")],
    out: Annotated[
        Path | None, options.option("-o --out", "FILE", "Weights to write (.safetensors); with --guess a key map.")
    ] = None,
    key_map: options.MapOption = None,
    guess: Annotated[
        bool, options.option("--guess", None, "Propose a key map instead, from graph and shapes.")
    ] = False,
    overrides: options.SetOption = None,
) -> None:
    """Read the checkpoint of a released model for a spec, and write it as a file that `predict`, `eval`, … take.

    A key map says which tensor is which parameter, and how images are prepared. No code in the checkpoint is run.

    Example: cortexgraph import weights cornet_s-1d3f7974.pth --spec cornet_s_imagenet -o cornet_s.safetensors
    """
    options.prepare("train")
    from cortexgraph.released import find_key_map, guessed_key_map, read_weights, write_weights

    network = options.load_spec(spec, overrides)
    if guess:
        text, doubts = guessed_key_map(checkpoint, network)
        typer.echo("\n".join(f"uncertain: {doubt}" for doubt in doubts), err=True)
        write_or_print(text, out, ".yaml")
        return
    target = out or Path(f"{checkpoint.stem}.safetensors")
    weights = read_weights(checkpoint, network, key_map or find_key_map(spec))
    write_weights(weights, target)
    images = weights.images
    mean, std = (", ".join(f"{value:g}" for value in values) for values in (images.mean, images.std))
    typer.echo(
        f"wrote {target}: {len(weights.state)} tensors of {network.name}, images scaled by mean {mean}, std {std}"
    )
    if weights.unused:
        typer.echo(f"{len(weights.unused)} tensors of the checkpoint are not used: {', '.join(weights.unused)}")
