"""`page`: one HTML file of a network, from its contents and the templates."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from cortexgraph.analysis import RESNET18, summarise
from cortexgraph.arguments import arguments_explained
from cortexgraph.compiler import lower, program, retimed
from cortexgraph.errors import DataError, Diagnostic
from cortexgraph.files import write_text
from cortexgraph.pages import contents
from cortexgraph.program import CompileOptions
from cortexgraph.render import Drawing, draw_areas, draw_updates
from cortexgraph.render.style import KINDS
from cortexgraph.spec import NetworkSpec, load
from cortexgraph.spec.overrides import Override
from cortexgraph.unrolling import Order, UnrolledGraph, order_name
from cortexgraph.version import __version__
from cortexgraph.wording import count_text, shortened


class Page(str):
    """A page as HTML text, which notebooks show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<Page of {len(self) // 1000} kB: show it in a notebook, or write it with `cg.page(spec, path)`>"

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{escape(self)}" style="width: 100%; height: 640px; border: 0"></iframe>'


@arguments_explained
def page(
    subject: NetworkSpec | str | Path,
    path: str | Path | None = None,
    steps: int | None = None,
    order: Order | None = None,
    overrides: Sequence[str | Override] = (),
) -> Page:
    """Make a page that shows a network; it works offline and needs only a browser.

    Args:
        subject: a spec, its file or zoo name, or a run (its folder, or its name where it ships or is on the hub), whose
            training is shown too.
        path: where to write the page; a name that ends in .html.
        steps: number of steps T; that of the spec by default.
        order: order of updates; that of the spec by default.
        overrides: of a file or run, as `--set` takes them.

    Returns:
        The page as HTML; notebooks show it.

    Raises:
        GraphError, CompileError: if the spec does not make a network.
        DataError: for a folder that is not a cortexgraph run, or a file that cannot be written.
    """
    if path is not None:
        check_path(Path(path))
    run: contents.RunView | None = None
    if isinstance(subject, NetworkSpec):
        spec = subject
    elif (folder := contents.run_of(subject)) is not None:
        spec, run = contents.read_view(folder, overrides)
    else:
        spec = load(subject, overrides)
    html = Page(_html(retimed(spec, steps, order), run))
    if path is not None:
        write_text(path, html)
    return html


def check_path(path: Path) -> None:
    """Raise DataError if a page cannot have this name."""
    if path.suffix.lower() not in {".html", ".htm"}:
        problem = f"the suffix is `{shortened(path.suffix)}`" if path.suffix else "the file name has no suffix"
        name = shortened(path.with_suffix(".html").name, 200) if path.name else ""
        repair = f"Name the file {name}." if name else "Name a file, such as page.html."
        raise DataError(Diagnostic("unknown-format", shortened(str(path), 200), problem, "a page is .html", repair))


def _html(spec: NetworkSpec, run: contents.RunView | None) -> str:
    full, kept = lower(spec)
    summary, emitted = summarise(full, kept), program(spec, CompileOptions()).emitted
    script = template_text("page.js")
    return _template().render(
        spec=spec,
        run=run,
        heading=_heading(full),
        order=order_name(full.order),
        areas_svg=_inline(draw_areas(full.areas)),
        updates_svg=_inline(draw_updates(full, kept, fold="never")),
        area_table=contents.area_table(full, kept, summary),
        connection_table=contents.connection_table(full, summary),
        totals=[
            (spec.name, count_text(summary.parameters), count_text(summary.macs)),
            *((known.name, count_text(known.parameters), count_text(known.macs)) for known in RESNET18),
        ],
        lines=contents.source_lines(emitted.source),
        data=contents.script_data(full, kept, emitted, summary),
        style="\n".join([template_text("page.css"), contents.source_style(), _kind_style()]),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        version=__version__,
    )


def _heading(full: UnrolledGraph) -> str:
    counts = [(len(full.areas.areas), "area"), (len(full.areas.connections), "connection"), (full.steps, "step")]
    return ", ".join(f"{count} {word}{'s' * (count != 1)}" for count, word in counts)


def _inline(drawing: Drawing) -> str:
    """The SVG element without the XML prolog."""
    return re.sub(r"^.*?(?=<svg\b)", "", drawing.svg(), count=1, flags=re.DOTALL)


def _kind_style() -> str:
    """CSS that gives the names of connection kinds the colours of their arrows."""
    return "\n".join(f"td.{kind} {{ color: {look.color}; }}" for kind, look in KINDS.items())


def template_text(name: str) -> str:
    """The text of a file of `templates`."""
    return files("cortexgraph.pages").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("cortexgraph.pages"),
        undefined=StrictUndefined,
        autoescape=True,  # names come from specs
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":")}
    return environment.get_template("page.html.jinja")
