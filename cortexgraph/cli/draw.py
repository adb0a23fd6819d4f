"""`draw`: pictures of a spec."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cortexgraph.cli.options import OrderOption, SetOption, SpecArgument, StepsOption, load_spec

__all__ = ["draw"]

AREAS, MATRIX, UNROLLED, SCHEDULE = "areas", "matrix", "unrolled", "schedule"
VIEWS_OF = {
    "--labels": (AREAS,),
    "--width": (AREAS, MATRIX),
    "--upstream": (UNROLLED,),
    "--downstream": (UNROLLED,),
    "--between": (UNROLLED,),
    "--fold": (UNROLLED, SCHEDULE),
}
"""The pictures that an option goes with."""


def draw(
    spec: SpecArgument,
    out: Annotated[
        list[Path] | None,
        typer.Option("--out", "-o", help="Picture to write: .svg, .png, .pdf or .dot. Repeatable."),
    ] = None,
    unrolled: Annotated[bool, typer.Option("--unrolled", help="Draw the updates over time, not the areas.")] = False,
    schedule: Annotated[
        bool, typer.Option("--schedule", help="Draw what is executed when, and how long it is held.")
    ] = False,
    matrix: Annotated[bool, typer.Option("--matrix", help="Draw the matrix of connections.")] = False,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels", metavar="WORDS", help="Beside arrows: all, or of kernel, delay, parameters, strength (commas)."
        ),
    ] = None,
    width: Annotated[
        str | None,
        typer.Option("--width", metavar="WHAT", help="What the width of a line says: parameters or strength."),
    ] = None,
    upstream: Annotated[
        str | None, typer.Option("--upstream", metavar="V4@3", help="Unrolled: only what drives V4 at step 3.")
    ] = None,
    downstream: Annotated[
        str | None, typer.Option("--downstream", metavar="V2@2", help="Unrolled: only what V2 reaches from step 2.")
    ] = None,
    between: Annotated[
        tuple[str, str] | None,
        typer.Option("--between", metavar="A B@8", help="Unrolled: only what lies on a path from A to B at step 8."),
    ] = None,
    fold: Annotated[
        str | None,
        typer.Option("--fold", metavar="WHEN", help="Draw steps that are alike once: auto (default), always, never."),
    ] = None,
    overrides: SetOption = None,
    steps: StepsOption = None,
    order: OrderOption = None,
) -> None:
    """Draw a spec: its areas, their updates over time, the schedule, or the matrix of connections.

    Without --out it writes <name>.svg (<name>-unrolled.svg, <name>-schedule.svg, <name>-matrix.svg) into the current
    folder. A focus (--upstream, --downstream, --between) draws a part of the unrolled graph.

    Example: cortexgraph draw ventral --unrolled --out ventral.pdf
    Example: cortexgraph draw ventral --between V1@2 IT@6
    """
    from cortexgraph.render import check_suffixes

    given: dict[str, Any] = {"--labels": labels, "--width": width, "--fold": fold}
    given |= {"--upstream": upstream, "--downstream": downstream, "--between": between}
    given = {option: value for option, value in given.items() if value is not None}
    flags = {UNROLLED: unrolled, SCHEDULE: schedule, MATRIX: matrix}
    view = _view([name for name, wanted in flags.items() if wanted], given)
    check_suffixes(out or [])
    network = load_spec(spec, overrides, steps, order)
    drawing = _draw(view, network, {option.removeprefix("--"): value for option, value in given.items()})
    for path in out or [Path(f"{network.name}{f'-{view}' * (view != AREAS)}.svg".replace("/", "_"))]:
        typer.echo(f"wrote {drawing.save(path)}")


def _view(asked: list[str], given: dict[str, Any]) -> str:
    """The picture that is asked for.

    Raises:
        BadParameter: for two pictures at once, or an option of another picture.
    """
    if len(asked) > 1:
        raise typer.BadParameter("choose one picture", param_hint=" and ".join(f"--{view}" for view in asked))
    focus = [option for option in given if VIEWS_OF[option] == (UNROLLED,)]
    if len(focus) > 1:
        raise typer.BadParameter("a drawing has one focus", param_hint=" and ".join(focus))
    view = asked[0] if asked else UNROLLED if focus or "--fold" in given else AREAS
    for option in given:
        if view not in VIEWS_OF[option]:
            views = " or ".join(VIEWS_OF[option])
            raise typer.BadParameter(f"goes with the picture {views}, not with {view}", param_hint=option)
    return view


def _draw(view: str, network: Any, options: dict[str, Any]) -> Any:
    import cortexgraph as cg

    if "labels" in options:
        words = [word.strip() for word in options["labels"].split(",") if word.strip()]
        options["labels"] = words if words != ["all"] else True
    draw_view: Any = {AREAS: cg.draw, MATRIX: cg.draw_matrix, UNROLLED: cg.draw_unrolled, SCHEDULE: cg.draw_schedule}[
        view
    ]
    return draw_view(network, **options)
