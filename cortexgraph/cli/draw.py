"""`draw` and `page`: pictures of a spec, and a page to explore it in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cortexgraph.cli import options

AREAS, MATRIX, UNROLLED, SCHEDULE = "areas", "matrix", "unrolled", "schedule"
VIEWS_OF = {
    "labels": (AREAS,),
    "upstream": (UNROLLED,),
    "downstream": (UNROLLED,),
    "between": (UNROLLED,),
    "fold": (UNROLLED, SCHEDULE),
}
"""The pictures that an option applies to, where it does not apply to all."""


def draw(
    spec: options.SpecArgument,
    out: Annotated[
        list[Path] | None, options.option("-o --out", "FILE", "Picture to write: .svg, .png, .pdf or .dot. Repeatable.")
    ] = None,
    unrolled: Annotated[bool, options.option("--unrolled", None, "Draw the updates over time, not the areas.")] = False,
    schedule: Annotated[
        bool, options.option("--schedule", None, "Draw which updates are executed when, and how long states are held.")
    ] = False,
    matrix: Annotated[bool, options.option("--matrix", None, "Draw the matrix of connections.")] = False,
    labels: Annotated[
        str | None, options.option("--labels", "WORDS", "Beside arrows: all, or kernel,delay,parameters,strength.")
    ] = None,
    width: Annotated[
        list[str] | None,
        options.choice(
            "--width",
            "parameters|strength|8.5cm",
            "Printed width, such as 8.5cm: all text has 6 pt or more. Or what the width of lines shows: the number of "
            "parameters, or the measured strength. Repeatable.",
        ),
    ] = None,
    upstream: Annotated[
        str | None, options.option("--upstream", "V4@3", "Unrolled: only what drives V4 at step 3.")
    ] = None,
    downstream: Annotated[
        str | None, options.option("--downstream", "V2@2", "Unrolled: only what V2 reaches from step 2.")
    ] = None,
    between: Annotated[
        tuple[str, str] | None,
        options.option("--between", "A B@8", "Unrolled: only what lies on a path from A to B at step 8."),
    ] = None,
    fold: Annotated[str | None, options.choice("--fold", "auto|always|never", "Draw equal steps once.", "auto")] = None,
    overrides: options.SetOption = None,
    steps: options.StepsOption = None,
    order: options.OrderOption = None,
) -> None:
    """Draw a spec: its areas, their updates over time, the schedule, or the matrix of connections.

    Without --out it writes <name>.svg (<name>-unrolled.svg, <name>-schedule.svg, <name>-matrix.svg) into the current
    folder. A focus (--upstream, --downstream, --between) draws a part of the unrolled graph.

    Example: cortexgraph draw ventral --unrolled --width 8.5cm --out ventral.pdf
    Example: cortexgraph draw ventral --between V1@2 IT@6
    """
    from cortexgraph import drawing
    from cortexgraph.render import check_suffixes

    words = options.read_names(labels)
    chosen: dict[str, object] = {"labels": words if words != ["all"] else True, "width": width or None, "fold": fold}
    chosen |= {"upstream": upstream, "downstream": downstream, "between": between}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    flags = {UNROLLED: unrolled, SCHEDULE: schedule, MATRIX: matrix}
    view = _view([name for name, is_set in flags.items() if is_set], [*chosen])
    check_suffixes(out or [])
    network = options.load_spec(spec, overrides, steps, order)
    picture = getattr(drawing, "draw" if view == AREAS else f"draw_{view}")(network, **chosen)
    for path in out or [Path(f"{network.name}{f'-{view}' * (view != AREAS)}.svg".replace("/", "_"))]:
        typer.echo(f"wrote {picture.save(path)}")
    for remark in picture.remarks:
        typer.echo(f"{remark[:1].upper()}{remark[1:]}.", err=True)


def _view(views: list[str], chosen: list[str]) -> str:
    """The picture that is asked for. Raises BadParameter for two pictures at once, or an option of another picture."""
    if len(views) > 1:
        raise typer.BadParameter("choose one picture", param_hint=" and ".join(f"--{view}" for view in views))
    focus = [name for name in chosen if VIEWS_OF.get(name) == (UNROLLED,)]
    if len(focus) > 1:
        raise typer.BadParameter("choose one focus", param_hint=" and ".join(f"--{name}" for name in focus))
    view = views[0] if views else UNROLLED if focus or "fold" in chosen else AREAS
    for name in chosen:
        if view not in VIEWS_OF.get(name, (view,)):
            pictures = " or ".join(VIEWS_OF[name])
            raise typer.BadParameter(f"applies to the picture {pictures}, not to {view}", param_hint=f"--{name}")
    return view


def page(
    subject: Annotated[str, typer.Argument(metavar="SPEC|RUN", help="A spec file, the name of a zoo spec, or a run.")],
    out: Annotated[Path | None, options.option("-o --out", "FILE", "Page to write: .html.", "<name>.html")] = None,
    watch: Annotated[
        bool, options.option("--watch", None, "Serve the page on this machine, and show each save of the spec file.")
    ] = False,
    overrides: options.SetOption = None,
    steps: options.StepsOption = None,
    order: options.OrderOption = None,
) -> None:
    """Write a page to explore a network in the browser: one file, which works offline.

    It shows both graphs to click through (what drives V2 at step 3, and does any of it reach the readout?), a slider
    over steps, numbers, the source with links from each update to its lines, and the training curves of a run.

    With --watch the page is served on the loopback address while you write the spec: each save redraws it and shows
    the findings beside their lines; while the spec has errors, the last good picture stays.

    Example: cortexgraph page runs/ventral-shapes -o ventral.html
    Example: cortexgraph page mine.yaml --watch
    """
    if watch:
        from cortexgraph.pages.watch import watch as serve

        if out is not None:
            raise typer.BadParameter("it serves the page: leave out --out", param_hint="--watch")
        serve(subject, options.changes(overrides, steps, order), typer.echo)
        return
    from cortexgraph.pages import page as write_page

    source = Path(subject)
    name = source.resolve().name if source.is_dir() else source.name.removesuffix(source.suffix)
    path = out or Path(f"{name}.html")
    write_page(subject, path, overrides=options.changes(overrides, steps, order))
    typer.echo(f"wrote {path} ({path.stat().st_size / 1000:,.0f} kB)")
