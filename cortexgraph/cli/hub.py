"""`push`: share a trained network on the Hugging Face hub, or write the folder that would be shared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cortexgraph.cli import options
from cortexgraph.errors import DataError, Diagnostic


def push(
    run: options.RunArgument,
    name: Annotated[str | None, typer.Argument(metavar="[ORG/NAME]", help="Where to put it on the hub.")] = None,
    to: Annotated[
        Path | None, options.option("--to", "DIR", "Write this folder and upload nothing, to see what would go.")
    ] = None,
    licence: Annotated[
        str | None, options.option("--license", "ID", "Licence for the card, such as mit or cc-by-4.0.", "none")
    ] = None,
    data: Annotated[
        str | None, options.option("--data", "WORDS", "What the images were.", "the name of the data set")
    ] = None,
    datasets: Annotated[
        list[str] | None, options.option("--dataset", "ID", "Data set of the hub, for the card. Repeatable.")
    ] = None,
    private: Annotated[bool, options.option("--private", None, "Make a new repository private.")] = False,
    spec: options.WeightsSpecOption = None,
    key_map: options.MapOption = None,
) -> None:
    """Share a trained network on the Hugging Face hub: spec, weights (safetensors), summary, and a card with a drawing.

    Anyone opens it with cg.from_pretrained("org/name"); commands take hf://org/name as a run. Log in with
    `hf auth login` first. Without --to it is uploaded at once.

    Example: cortexgraph push runs/ventral-shapes --to shared --license mit
    """
    if (name is None) == (to is None):
        found = f"{'neither' if name is None else 'both'} of ORG/NAME and --to is given"
        repair = "Give --to DIR first, to see what would go."
        raise DataError(Diagnostic("usage", "push", found, "one of the two is needed", repair))
    options.prepare("train", *(["hub"] if name is not None else []))
    from cortexgraph import hub
    from cortexgraph.training import load_run

    trained, chosen = load_run(run, spec=spec, key_map=key_map), datasets or None
    if to is not None:
        hub.write_shared(trained, to, data=data, licence=licence, datasets=chosen)
        typer.echo(f"wrote {to}; nothing was uploaded")
    else:
        address = hub.push(trained, str(name), private=private, data=data, licence=licence, datasets=chosen)
        typer.echo(f"shared at {address}; open it with cg.from_pretrained({name!r})")
    if licence is None:
        typer.echo("The card names no licence: others may not use it. Give one with --license.")
