"""The emitted source as HTML, line by line."""

from __future__ import annotations

from dataclasses import dataclass

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

__all__ = ["SourceLine", "source_lines", "source_style"]

STYLE = "friendly"


@dataclass(frozen=True)
class SourceLine:
    """A line with its number from 1, as HTML that is ready to be put in."""

    number: int
    html: str


def source_lines(source: str) -> list[SourceLine]:
    """Every line, highlighted; no element of the HTML crosses the end of a line."""
    lexer = PythonLexer(stripnl=False, ensurenl=False)
    html = highlight(source, lexer, HtmlFormatter(nowrap=True, style=STYLE))
    return [SourceLine(n, line) for n, line in enumerate(html.removesuffix("\n").split("\n"), 1)]


def source_style() -> str:
    """The colours, for what stands in a `.source`."""
    rules: str = HtmlFormatter(style=STYLE).get_style_defs(".source")
    return "\n".join(rule for rule in rules.splitlines() if rule.startswith(".source ."))
