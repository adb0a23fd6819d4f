"""The typer application: every command with its function."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import wraps
from itertools import takewhile
from typing import Annotated

import typer
from typer.core import TyperCommand

from cortexgraph.cli import options
from cortexgraph.cli.compare import brain, compare
from cortexgraph.cli.compile import compile_spec, export
from cortexgraph.cli.data import pack
from cortexgraph.cli.draw import draw, page
from cortexgraph.cli.evaluate import evaluate, predict
from cortexgraph.cli.hub import push
from cortexgraph.cli.inspect import check, show, zoo
from cortexgraph.cli.record import attribute, preferred, record
from cortexgraph.cli.specs import import_connectome, import_tnn, import_weights, new, schema
from cortexgraph.cli.train import train
from cortexgraph.errors import Diagnostic, UsageError
from cortexgraph.registrations import import_registrations
from cortexgraph.wording import similar

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
    "attribute": attribute,
    "preferred": preferred,
    "brain": brain,
    "export": export,
    "push": push,
    "zoo": zoo,
    "new": new,
    "schema": schema,
}


class Command(TyperCommand):
    """A command that reports all unknown options and all missing values at once."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override, unused-ignore]
        """Check the names of options and that values follow them, then parse as usual."""
        if findings := [*self._findings(ctx, [*takewhile(lambda word: word != "--", args)])]:
            raise UsageError(findings)
        return super().parse_args(ctx, args)

    def _findings(self, ctx: typer.Context, words: list[str]) -> Iterator[Diagnostic]:
        """Each unknown option with the one that was probably meant, and each that another one follows in place of
        a value.
        """
        options = {flag: param for param in self.get_params(ctx) for flag in (*param.opts, *param.secondary_opts)}
        names = {flag.lstrip("-").replace("-", "_"): flag for flag in options if flag.startswith("--")}
        for word in dict.fromkeys(word.partition("=")[0] for word in words):
            if word[:2] == "--" and word not in options:
                guess = similar(word.lstrip("-").replace("-", "_"), names)
                repair = f"Did you mean {names[guess]}?" if guess else f"See `{ctx.command_path} --help`."
                yield Diagnostic("usage", ctx.command_path, f"no such option: {word}", repair=repair)
        for place, word in enumerate(words):
            param = options.get(word)
            if param is None or param.param_type_name != "option" or getattr(param, "is_flag", False):
                continue
            following = words[place + 1 : place + 1 + param.nargs]
            if len(following) < param.nargs or any(
                each in options or re.match("--|-[a-zA-Z]$", each) for each in following
            ):
                missing = "the value is missing" if param.nargs == 1 else f"{param.nargs} values are needed"
                repair = f"Write `{word} {param.metavar}`; see `{ctx.command_path} --help`."
                yield Diagnostic("usage", word, missing, repair=repair)


def _import(names: list[str] | None) -> None:
    import_registrations(names or ())


IMPORT = "Import Python that registers data, losses, cells or others of yours (docs/data.md). Repeatable."
ImportOption = Annotated[
    list[str] | None, options.option("--import", "FILE|MODULE", IMPORT, is_eager=True, callback=_import)
]


def with_import(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the option `--import`, which is carried out before the other arguments are read."""

    @wraps(command)
    def importing(*, imports: list[str] | None = None, **arguments: object) -> None:
        command(**arguments)

    return options.with_options(importing, {"imports": ImportOption})


app = typer.Typer(
    help="Declare cortical areas and their connections; draw, train and analyse the network they make.",
    epilog="First steps: cortexgraph new my.yaml, then check, draw and train it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
import_app = typer.Typer(
    help="Make specs and weights from other sources.", no_args_is_help=True, rich_markup_mode="rich"
)
data_app = typer.Typer(help="Prepare data sets.", no_args_is_help=True, rich_markup_mode="rich")
GROUPS: list[tuple[typer.Typer, dict[str, Callable[..., None]]]] = [
    (app, COMMANDS),
    (import_app, {"connectome": import_connectome, "weights": import_weights, "tnn": import_tnn}),
    (data_app, {"pack": pack}),
]
for group, commands in GROUPS:
    for name, function in commands.items():
        group.command(name, cls=Command)(with_import(function))
app.add_typer(import_app, name="import")
app.add_typer(data_app, name="data")


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
