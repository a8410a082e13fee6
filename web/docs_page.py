"""The documentation page: its template, filled with the snippets and the table of error codes."""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path

from web.failure_codes import FailureCode, failure_codes

PAGES = Path(__file__).with_name("pages")
SNIPPETS = PAGES / "snippets"
LANGUAGES = {"curl": "curl", "python": "Python", "javascript": "JavaScript", "swift": "Swift", "kotlin": "Kotlin"}


@cache
def page() -> bytes:
    """Return the page as HTML."""
    template = (PAGES / "docs.html").read_text("utf-8")
    snippets = "\n".join(_snippet(name, title) for name, title in LANGUAGES.items())
    rows = "\n".join(map(_row, failure_codes()))
    return template.replace("<!-- snippets -->", snippets).replace("<!-- errors -->", rows).encode()


def _snippet(name: str, title: str) -> str:
    code = escape((SNIPPETS / f"{name}.txt").read_text("utf-8").rstrip())
    shown = " open" if name == next(iter(LANGUAGES)) else ""
    label = f'class="snippet" tabindex="0" role="region" aria-label="{title}"'
    return f"<details{shown}><summary>{title}</summary><pre {label}>{code}</pre></details>"


def _row(failure: FailureCode) -> str:
    code = f"<td>{failure.status}</td><td><code>{failure.code}</code></td>"
    return f"<tr>{code}<td>{escape(failure.meaning)}</td><td>{escape(failure.remedy)}</td></tr>"
