"""The typer application: every command with its function."""

from __future__ import annotations

from typing import Annotated

import typer

from cortexgraph.cli.compare import compare
from cortexgraph.cli.connectome import app as import_app
from cortexgraph.cli.draw import draw
from cortexgraph.cli.evaluate import evaluate
from cortexgraph.cli.export import export
from cortexgraph.cli.inspect import check, show
from cortexgraph.cli.make import compile_spec, new, schema
from cortexgraph.cli.page import page
from cortexgraph.cli.predict import predict
from cortexgraph.cli.record import record
from cortexgraph.cli.train import train
from cortexgraph.cli.zoo import zoo

__all__ = ["app"]

app = typer.Typer(
    help="Declare cortical areas and their connections; see, train and take apart the network that they make.",
    epilog="First steps: cortexgraph new my.yaml, then check, draw and train it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

for _name, _function in (
    ("check", check),
    ("show", show),
    ("draw", draw),
    ("page", page),
    ("compile", compile_spec),
    ("train", train),
    ("eval", evaluate),
    ("compare", compare),
    ("predict", predict),
    ("record", record),
    ("export", export),
    ("zoo", zoo),
    ("new", new),
    ("schema", schema),
):
    app.command(_name)(_function)
app.add_typer(import_app, name="import")


def _print_version(wanted: bool) -> None:
    if wanted:
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
