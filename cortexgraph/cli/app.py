"""The typer application: every command with its function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from cortexgraph.cli.compare import compare
from cortexgraph.cli.compile import compile_spec, export
from cortexgraph.cli.draw import draw, page
from cortexgraph.cli.evaluate import evaluate, predict
from cortexgraph.cli.inspect import check, show, zoo
from cortexgraph.cli.record import record
from cortexgraph.cli.released import import_weights
from cortexgraph.cli.specs import import_connectome, new, schema
from cortexgraph.cli.train import train

__all__ = ["app"]

COMMANDS: dict[str, Callable[..., None]] = {
    "check": check,
    "show": show,
    "draw": draw,
    "page": page,
    "compile": compile_spec,
    "train": train,
    "eval": evaluate,
    "compare": compare,
    "predict": predict,
    "record": record,
    "export": export,
    "zoo": zoo,
    "new": new,
    "schema": schema,
}

app = typer.Typer(
    help="Declare cortical areas and their connections; draw, train and analyse the network they make.",
    epilog="First steps: cortexgraph new my.yaml, then check, draw and train it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for name, function in COMMANDS.items():
    app.command(name)(function)

import_app = typer.Typer(
    help="Make specs and weights from other sources.", no_args_is_help=True, rich_markup_mode="rich"
)
import_app.command("connectome")(import_connectome)
import_app.command("weights")(import_weights)
app.add_typer(import_app, name="import")


def _print_version(asked: bool) -> None:
    if asked:
        from cortexgraph.version import __version__

        typer.echo(f"cortexgraph {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass
