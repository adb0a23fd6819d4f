"""Where each part of a spec was written, so that findings name a file, a line and a place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cortexgraph.errors import Diagnostic, Severity
from cortexgraph.wording import shortened

Path = tuple[str | int, ...]


def path_text(path: Path) -> str:
    """The path as text, which `--set` reads too.

    >>> path_text(("connections", 3, "kernel"))
    'connections[3].kernel'
    >>> path_text(("areas", "TH/TF", "size"))
    "areas['TH/TF'].size"
    """
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isidentifier():
            text += f".{shortened(part)}" if text else shortened(part)
        else:
            text += f"['{shortened(part)}']"
    return text


@dataclass(frozen=True)
class Origin:
    """File and lines of a spec; empty for a spec made in Python.

    Attributes:
        file: the file as the user named it.
        lines: line (from 1) of each path of the file's data, before shorthand is expanded.
        connections: for each connection after expansion, its path in the file, such as ``(4, 0)`` for the
            first item of the list that is the fifth entry.
        overrides: what set the value at each path from outside the file, such as ``--set time.steps=4``.
        one_readout: whether `readout` is written as a mapping, not as a list of them.
        renamed: the key as written of each path whose last key is a repaired one until the file is corrected.
    """

    file: str | None = None
    lines: Mapping[Path, int] = field(default_factory=dict)
    connections: tuple[tuple[int, ...], ...] = ()
    overrides: Mapping[Path, str] = field(default_factory=dict)
    one_readout: bool = True
    renamed: Mapping[Path, str] = field(default_factory=dict)

    def written(self, path: Path) -> Path:
        """The path as the user wrote it: the index of an expanded connection becomes that of its entry."""
        first, *rest = (self.renamed.get(path[: n + 1], part) for n, part in enumerate(path)) if path else ("",)
        match path:
            case ("connections", int(index), *_) if 0 <= index < len(self.connections):
                return (first, *self.connections[index], *rest[1:])
            case ("readout", 0, *_) if self.one_readout:
                return (first, *rest[1:])
        return (first, *rest) if path else ()

    def override(self, path: Path) -> Path | None:
        """The overridden path that the path is, or lies in, if any."""
        path = self.written(path)
        return next((path[:n] for n in range(len(path), -1, -1) if path[:n] in self.overrides), None)

    def line(self, path: Path) -> int | None:
        """Line of the path, or of its nearest enclosing part."""
        path = self.written(path)
        return next((self.lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in self.lines), None)

    def diagnostic(
        self,
        code: str,
        path: Path,
        found: str,
        expected: str = "",
        repair: str = "",
        *,
        label: str = "",
        severity: Severity = "error",
    ) -> Diagnostic:
        """A finding at `path` (after expansion); `label` is added to the place, such as `V4 -> V2`.

        For a value that was set from outside the file, the place names the override instead of a line.
        """
        written = self.written(path)
        place = path_text(written)
        file, line = self.file, self.line(path)
        if (setting := self.override(path)) is not None:
            flag = shortened(self.overrides[setting])
            place, file, line = (f"{flag} ({place})" if written != setting else flag), None, None
        place = " ".join(part for part in (place, label) if part)
        return Diagnostic(code, place, found, expected, repair, severity, file, line)
