"""The documentation page: whole, true, and legible in both colour schemes; measured in Chromium where that is installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from html import unescape
from itertools import product
from pathlib import Path

import pytest
from flask import Response, request
from werkzeug.serving import make_server

from analyzer.settings import Settings
from application import create_app
from web.docs_page import LANGUAGES, PAGES, SNIPPETS, page
from web.failure_codes import failure_codes

STYLES = (PAGES.parent / "static" / "page.css", PAGES / "docs.css")
SCHEMES = ("light", "dark")
TEXTS = ("ink", "quiet", "accent", "trouble")
SURFACES = ("paper", "card")
LEAST_TEXT, LEAST_EDGE = 4.5, 3.0  # WCAG 2.2, 1.4.3 and 1.4.11, level AA
ROOT_PX = 16.0  # of a rem
LEAST_PX = 24.0  # WCAG 2.2, 2.5.8
SIZES = {"desk": "1280,900", "phone": "390,844"}
BROWSER = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--virtual-time-budget=5000", "--dump-dom",
)  # fmt: skip


def test_table_of_errors_is_that_of_the_service() -> None:
    rows = re.findall(r"<tr>(<td>.*?)</tr>", page().decode())
    shown = [[unescape(re.sub("<.*?>", "", cell)) for cell in re.findall("<td>(.*?)</td>", row)] for row in rows]
    expected = [[str(row.status), row.code, row.meaning, row.remedy] for row in failure_codes()]
    assert shown == expected
    assert len(expected) > 20


def test_snippets_are_shown_as_the_tests_run_them() -> None:
    shown = re.findall(r'<pre class="snippet".*?aria-label="(.*?)">(.*?)</pre>', page().decode(), re.DOTALL)
    assert [title for title, _ in shown] == list(LANGUAGES.values())
    for (_, code), name in zip(shown, LANGUAGES, strict=True):
        assert unescape(code) == (SNIPPETS / f"{name}.txt").read_text("utf-8").rstrip()


def test_page_says_which_snippets_are_run_and_speaks_of_privacy() -> None:
    text = re.sub(r"\s+", " ", page().decode())
    assert "in Swift is only checked for its syntax" in text
    assert "Nothing of it is kept" in text
    assert "<!--" not in text


def tokens(scheme: str) -> dict[str, str]:
    """Custom properties of the style sheets that hold a colour, as they are in a colour scheme."""
    found: dict[str, str] = {}
    for path in STYLES:
        blocks = re.findall(r"(@media[^{]*dark[^{]*\{\s*)?:root \{(.*?)\}", path.read_text("utf-8"), re.DOTALL)
        for dark, block in blocks:
            if scheme == "dark" or not dark:
                found |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
    return found


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2, 0..1, of a colour such as ``#a5b3af``."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(colour: str, other: str) -> float:
    light, dark = sorted((luminance(colour), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_computed_as_wcag_defines_it() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_texts_and_edges_stand_out(scheme: str) -> None:
    colours = tokens(scheme)
    texts = [*product(TEXTS, SURFACES), ("ink", "code"), ("accent-ink", "accent")]
    weak = {pair for pair in texts if contrast(colours[pair[0]], colours[pair[1]]) < LEAST_TEXT}
    weak |= {("edge", name) for name in SURFACES if contrast(colours["edge"], colours[name]) < LEAST_EDGE}
    assert weak == set()


def test_colours_stand_in_custom_properties_alone() -> None:
    assert set(tokens("light")) == set(tokens("dark"))
    for path in STYLES:
        rules = re.sub(r":root \{.*?\}", "", path.read_text("utf-8"), flags=re.DOTALL)
        used = re.findall(r"(?<![\w-])color: ([^;]+);", rules)
        assert not re.search(r"#[0-9a-f]{3,8}\b|rgba?\(", rules), path.name
        assert set(used) <= {f"var(--{name})" for name in (*TEXTS, "accent-ink")}, path.name


@pytest.mark.parametrize("control", ["nav a", "summary", "input, select", "input::file-selector-button", ".button"])
def test_controls_are_given_a_height(control: str) -> None:
    styles = "\n".join(path.read_text("utf-8") for path in STYLES)
    rule = re.findall(rf"^{re.escape(control)} \{{(.*?)\}}", styles, re.DOTALL | re.MULTILINE)[-1]
    height = re.search(r"min-height: ([\d.]+)rem", rule)
    assert height is not None
    assert float(height.group(1)) * ROOT_PX >= LEAST_PX


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A running service whose documentation page also measures itself."""
    app = create_app(Settings())
    app.after_request(_with_measurement)
    app.add_url_rule("/measure.js", view_func=_measure)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/docs"
    server.shutdown()
    thread.join()
    server.server_close()


def _measure() -> Response:
    return Response(Path(__file__).with_name("measure.js").read_text("utf-8"), mimetype="text/javascript")


def _with_measurement(response: Response) -> Response:
    if request.path == "/docs":
        response.set_data(response.get_data().replace(b"</body>", b'<script src="measure.js"></script></body>'))
    return response


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
def test_page_is_legible_and_its_controls_can_be_hit(address: str, tmp_path: Path, scheme: str, size: str) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed")
    dark = f"--blink-settings=preferredColorScheme={SCHEMES[::-1].index(scheme)}"
    options = [*BROWSER, f"--user-data-dir={tmp_path}", f"--window-size={SIZES[size]}", dark]
    dom = subprocess.run([browser, *options, address], capture_output=True, text=True, timeout=60, check=True).stdout
    measured = json.loads(unescape(re.findall(r'id="measured" data-result="(.*?)"', dom)[0]))
    assert measured["dark"] is (scheme == "dark")
    assert measured["overflow"] <= 0, "the page is wider than the window"
    assert len(measured["controls"]) > 40
    assert len(measured["texts"]) > 200
    assert [control for control in measured["controls"] if control[1] < LEAST_PX] == []
    assert [text for text in measured["texts"] if text[1] < LEAST_TEXT] == []
