"""The documentation names what there is: routes, conditions, settings, targets, benchmarks; its links lead on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import pytest
from skimage import data as samples

from analyzer import settings
from analyzer.conditions import CONDITIONS
from application import create_app

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ENVIRONMENT_EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md")])
READ_CALL = re.compile(r'(?:env\.get\(\s*|\(\s*env,\s*)"([A-Z][A-Z0-9_]+)"')


def routes() -> list[str]:
    rules = create_app(settings.Settings()).url_map.iter_rules()
    return sorted({rule.rule for rule in rules if rule.endpoint not in ("asset", "static")})


def setting_names() -> list[str]:
    names = READ_CALL.findall((ROOT / "analyzer" / "settings.py").read_text(encoding="utf-8"))
    return sorted(set(names))


def targets() -> list[str]:
    return re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE)


def benchmarks() -> list[str]:
    return sorted(
        path.stem
        for path in (ROOT / "benchmarks").glob("*.py")
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    )


def test_what_is_asked_for_was_found() -> None:
    assert "/api/v6/skin/analyze-hare-run" in routes()
    assert len(setting_names()) >= len(settings.Settings.__dataclass_fields__) - 1
    assert {"serve", "test", "check", "bench", "clean", "help"} <= set(targets())
    assert {"latency", "load"} <= set(benchmarks())


def test_readme_names_every_route() -> None:
    assert [route for route in routes() if f"`{route}`" not in README and f" {route}`" not in README] == []


def test_readme_names_every_condition() -> None:
    assert [name for name in CONDITIONS if f"`{name}`" not in README] == []


def test_readme_and_example_name_every_setting() -> None:
    assert [name for name in setting_names() if f"`{name}`" not in README] == []
    assert [
        name for name in setting_names() if not re.search(rf"^#? ?{name}=", ENVIRONMENT_EXAMPLE, re.MULTILINE)
    ] == []


def test_readme_names_no_setting_that_is_not_read() -> None:
    table = README.split("## Configuration")[1].split("\n## ")[0]
    named = set(re.findall(r"^\| `([A-Z0-9_]+)`", table, re.MULTILINE))
    assert named == set(setting_names())


def test_readme_names_every_make_target() -> None:
    assert [name for name in targets() if f"make {name}" not in README] == []


def test_readme_names_every_benchmark() -> None:
    assert [name for name in benchmarks() if f"benchmarks.{name}" not in README] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    inner = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in inner if not (page.parent / link).exists()] == []


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs" / "decisions" / "README.md").read_text(encoding="utf-8")
    files = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert files
    assert [file.name for file in files if f"({file.name})" not in index] == []


def test_architecture_names_every_module() -> None:
    picture = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    modules = [*(ROOT / "analyzer").rglob("*.py"), *(ROOT / "web").rglob("*.py"), *(ROOT / "training").rglob("*.py")]
    named = set(re.findall(r"\w+\.py", picture))
    assert {path.name for path in modules} - {"__init__.py"} <= named


def test_answer_in_readme_is_still_what_the_service_answers() -> None:
    """Names and types of every field; the numbers are those of the day it was written."""
    shown = json.loads(README.split("```json")[1].split("```")[0])
    enlarged = cv2.resize(samples.astronaut()[..., ::-1], (1024, 1024), interpolation=cv2.INTER_CUBIC)
    portrait = cv2.imencode(".jpg", enlarged)[1].tobytes()
    client = create_app(settings.Settings()).test_client()
    answer = client.post("/api/v6/skin/analyze-hare-run", data=portrait, content_type="image/jpeg").json
    assert outline(shown).items() <= outline(answer).items()


def outline(value: object, path: str = "") -> dict[str, str]:
    """Path → type of each field in a JSON value; of a list, its first entry."""
    if isinstance(value, dict):
        return {name: kind for key, item in value.items() for name, kind in outline(item, f"{path}.{key}").items()}
    if isinstance(value, list):
        return outline(value[0], f"{path}[]") if value else {}
    return {path: "number" if type(value) in (int, float) else type(value).__name__}
