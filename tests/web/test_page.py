"""The page for people and the documentation page: whole, from this service alone, reading only fields that are there."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from analyzer import combination, settings
from analyzer.conditions import CONDITIONS
from application import create_app
from tests.web import records
from tests.web.conftest import FakePipeline
from web import findings, shapes

WEB = Path(__file__).resolve().parents[2] / "web"
STATIC = WEB / "static"
SCRIPTS = sorted(STATIC.glob("*.js"))
PAGES = {"/": STATIC / "index.html", "/docs": WEB / "pages" / "docs.html"}


class Page(HTMLParser):
    """Address, scripts, ids, tags with attributes, and text inside script and style."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address
        self.scripts = sorted(PAGES[address].parent.glob("*.js"))
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline: list[str] = []
        self._open = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style") and data.strip():
            self.inline.append(data)

    @property
    def ids(self) -> list[str]:
        return [attributes["id"] or "" for _, attributes in self.tags if "id" in attributes]


@pytest.fixture(scope="module", params=PAGES)
def page(request: pytest.FixtureRequest) -> Page:
    parsed = Page(request.param)
    parsed.feed(PAGES[request.param].read_text(encoding="utf-8"))
    return parsed


def test_page_and_all_it_names_is_served(page: Page) -> None:
    client = create_app(settings.Settings()).test_client()
    with client.get(page.address) as answer:
        assert answer.mimetype == "text/html"
    names = [a.get("href") or a.get("src") for tag, a in page.tags if tag in ("link", "script")]
    imports = [
        f"static/{name}" for path in page.scripts for name in re.findall(r'from "\./(.+?)"', path.read_text("utf-8"))
    ]
    for name in (*names, *imports):
        with client.get(f"/{name}") as answer:
            assert answer.status_code == 200, name


def test_nothing_comes_from_elsewhere() -> None:
    for path in (*STATIC.iterdir(), *PAGES["/docs"].parent.glob("*.*")):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//[a-z]+\.|@import", text), path.name


def test_no_inline_script_or_style(page: Page) -> None:
    assert page.inline == []
    attributes = {name for _, held in page.tags for name in held}
    assert not {name for name in attributes if name.startswith("on") or name == "style"}


def test_ids_are_unique_and_those_in_scripts_exist(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    wanted = {name for path in page.scripts for name in re.findall(r'\bat\("([a-z-]+)"\)', path.read_text("utf-8"))}
    assert wanted
    assert wanted <= set(page.ids)


def test_labels_refer_to_something(page: Page) -> None:
    referred = {
        name
        for _, attributes in page.tags
        for key in ("aria-labelledby", "aria-describedby", "for")
        for name in (attributes.get(key) or "").split()
    }
    assert referred <= set(page.ids)


def test_pictures_have_a_text_alternative(page: Page) -> None:
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")


def test_every_condition_has_a_name_on_the_page() -> None:
    names = re.search(r"const NAMES = \{(.*?)\}", (STATIC / "report.js").read_text("utf-8"), re.DOTALL)
    assert names is not None
    assert set(re.findall(r"(\w+):", names.group(1))) == set(CONDITIONS)


def test_every_outcome_of_the_ensemble_has_a_name_and_all_that_is_read_of_it_is_there() -> None:
    script = (STATIC / "report.js").read_text("utf-8")
    outcomes = re.search(r"const OUTCOMES = \{(.*?)\}", script, re.DOTALL)
    assert outcomes is not None
    named = set(re.findall(r"(\w+):", outcomes.group(1))) | set(CONDITIONS)
    assert {combination.HEALTHY, combination.PROFESSIONAL, *map(findings.wire_name, CONDITIONS)} <= named
    read = set(re.findall(r"\bensemble\.(\w+)", script))
    assert {"experimental", "abstained", "abstention_reason", "probabilities", "top"} <= read
    assert read <= set(shapes.Ensemble.model_fields)


def test_text_is_never_put_in_as_html() -> None:
    assert not [
        path.name
        for path in sorted(WEB.rglob("*.js"))
        if re.search(r"innerHTML|outerHTML|insertAdjacentHTML|eval\(", path.read_text("utf-8"))
    ]


def test_the_page_knows_the_limits_of_the_service() -> None:
    """What the service would refuse for its size is shrunk by the page, so both must mean the same size."""
    text = (STATIC / "upload.js").read_text("utf-8")
    limits = dict(re.findall(r"^const ([A-Z_]+) = ([0-9_* ]+);", text, re.MULTILINE))
    factors = [int(factor) for factor in limits["LARGEST_BYTES"].split("*")]
    assert int(limits["MOST_PIXELS"]) == settings.Settings().max_pixels
    assert math.prod(factors) * 4 / 3 < settings.Settings().max_body_bytes
    assert int(limits["REDUCED_LONG_SIDE"]) ** 2 < settings.Settings().max_pixels


def test_page_keeps_nothing() -> None:
    forbidden = r"localStorage|sessionStorage|indexedDB|document\.cookie|serviceWorker"
    assert not [path.name for path in sorted(WEB.rglob("*.js")) if re.search(forbidden, path.read_text("utf-8"))]


SHOW = """
import {{ show }} from "{script}";
const made = () => ({{ style: {{}}, children: [], className: "", textContent: "", setAttribute() {{}},
  append(...parts) {{ this.children.push(...parts); }}, replaceChildren(...parts) {{ this.children = parts; }},
  get firstElementChild() {{ return made(); }} }});
const ids = {{}};
globalThis.document = {{ createElement: made, getElementById: (id) => (ids[id] ??= made()) }};
show({answer});
const text = (part) => [part.textContent, ...part.children.map(text)].filter(Boolean).join("|");
console.log(JSON.stringify(ids.conditions.children.map((item) => [item.className, text(item)])));
"""


@pytest.mark.skipif(not shutil.which("node"), reason="node is absent: apt-get install nodejs")
def test_what_was_not_measured_never_looks_like_nothing_there(
    client: FlaskClient, fake: FakePipeline, tmp_path: Path
) -> None:
    answer = client.post(records.ANALYZE, json={"image": records.encoded(records.picture())}).json
    script = tmp_path / "report.mjs"
    shutil.copy(STATIC / "report.js", script)
    (tmp_path / "page.mjs").write_text(SHOW.format(script=script.as_uri(), answer=json.dumps(answer)))
    ended = subprocess.run(["node", tmp_path / "page.mjs"], capture_output=True, text=True, check=True)
    shown = {text.split("|")[0]: (look, text) for look, text in json.loads(ended.stdout)}
    assert len(shown) == len(CONDITIONS)
    assert shown["Redness"][0] == "none"
    assert shown["Pores"] == ("unmeasured", "Pores|not measured|The photo is too blurred.")
