"""Sections of text, tables and plots -> the same report as Markdown, as one HTML file that needs nothing else, and as plain text."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

TEMPLATES = Path(__file__).parent / "templates"
NUMBER = re.compile(r"[-+−≥<]? ?\d[\d.]*( \(.+\))?|–")  # a cell that is set to the right
MARKED = {
    "met": "good",
    "not shown": "open",
    "not met": "bad",
    "not measured": "none",
    "too few": "none",
    "error": "bad",
    "warning": "open",
    "note": "none",
}


@dataclass(frozen=True)
class Table:
    """Rows of cells below a head; the note says what a reader must know of them."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@dataclass(frozen=True)
class Plot:
    """A PNG inside the folder of the report, and what it shows."""

    path: Path
    text: str


@dataclass(frozen=True)
class Section:
    """A part of a report under its own title."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()


@dataclass(frozen=True)
class Document:
    """A report: what matters most first, in plain sentences, then its sections."""

    title: str
    lead: Sequence[str]
    sections: Sequence[Section]


def markdown(document: Document, folder: Path) -> str:
    """The report as Markdown; plots are links into its folder."""
    lines = [f"# {_escaped(document.title)}", "", *_spaced(document.lead)]
    for section in document.sections:
        lines += [f"## {_escaped(section.title)}", "", *_spaced(section.paragraphs)]
        for table in section.tables:
            lines += [_row(table.head), _row(["---"] * len(table.head)), *map(_row, table.rows), ""]
            lines += _spaced([table.note] if table.note else [])
        for plot in section.plots:
            lines += [f"![{_escaped(plot.text)}]({quote(plot.path.relative_to(folder).as_posix())})", ""]
    return "\n".join(lines)


def html(document: Document) -> str:
    """The report as one HTML file: pictures inside it, no script, nothing fetched from anywhere."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("report.html")
    return template.render(document=document, inlined=_inlined, columns=_to_the_right, marked=MARKED)


def text(table: Table) -> str:
    """A table for a terminal."""
    widths = [max(map(len, column)) for column in zip(table.head, *table.rows, strict=True)]
    lines = [table.head, ["-" * width for width in widths], *table.rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_escaped, cells))} |"


def _escaped(text: str) -> str:
    """Text that means nothing to Markdown; names of classes and files come from outside."""
    flat = " ".join(text.split())
    return re.sub(r"([\\|`*\[\]])", r"\\\1", flat).replace("&", "&amp;").replace("<", "&lt;")


def _spaced(paragraphs: Sequence[str]) -> list[str]:
    return [line for paragraph in paragraphs for line in (_escaped(paragraph), "")]


def _to_the_right(table: Table) -> list[bool]:
    """Which columns hold numbers; the first one names its row."""
    columns = zip(table.head, *table.rows, strict=True)
    return [place > 0 and any(map(NUMBER.fullmatch, column)) for place, column in enumerate(columns)]


def _inlined(plot: Plot) -> str:
    return f"data:image/png;base64,{base64.b64encode(plot.path.read_bytes()).decode()}"
