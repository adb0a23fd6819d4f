"""`import weights` and `import tnn`: checkpoints and configurations of other projects as files of cortexgraph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from cortexgraph.cli import options
from cortexgraph.cli.specs import check_suffix, write_or_print
from cortexgraph.errors import CompileError
from cortexgraph.files import replacing
from cortexgraph.wording import count_of


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
    counted = f"{count_of(len(weights.state), 'tensor')} of {network.name}"
    typer.echo(f"wrote {target}: {counted}, images scaled by mean {mean}, std {std}")
    if weights.unused:
        count = count_of(len(weights.unused), "tensor")
        typer.echo(f"not used: {count} of the checkpoint: {', '.join(weights.unused)}")


def import_tnn(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="Configuration of PyTorchTNN, a JSON file.")],
    out: Annotated[Path, options.option("-o --out", "SPEC", "Spec file to write, .yaml; the key map goes beside it.")],
    name: Annotated[str | None, options.option("--name", "NAME", "Name of the network.", "that of the file")] = None,
    unroll: Annotated[
        str, options.choice("--unroll", "simultaneous|sequential", "As `forward` or `full_unroll` of PyTorchTNN.")
    ] = "simultaneous",
    steps: options.StepsOption = None,
) -> None:
    """Turn a configuration of PyTorchTNN into a spec and the key map of its state dicts.

    Example: cortexgraph import tnn rgc_shallow.json -o rgc_shallow.yaml
    """
    from cortexgraph.compiler import check
    from cortexgraph.released.keymap import SUFFIX
    from cortexgraph.released.tnn import Unroll
    from cortexgraph.released.tnn import import_tnn as spec_of
    from cortexgraph.spec import dumps

    check_suffix(out, ".yaml", ".yml")
    spec, keys = spec_of(config, name or out.stem, steps=steps, unroll=cast("Unroll", unroll))
    if errors := [finding for finding in check(spec) if finding.severity == "error"]:
        raise CompileError(errors)
    beside = out.with_name(out.stem + SUFFIX)
    with replacing(beside) as key_map, replacing(out) as network:  # both or neither
        key_map.write_text(keys, encoding="utf-8")
        network.write_text(dumps(spec), encoding="utf-8")
    typer.echo(f"wrote {out} ({options.parts_text(spec)}) and {beside}; next: cortexgraph check {out}")
