"""docs/conditions.md says what calibration.json and the conditions really do: formulas, anchors, limits, evidence, reasons."""

from __future__ import annotations

import ast
import importlib
import json
import operator
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from analyzer import calibration, roi
from analyzer.conditions import CONDITIONS
from analyzer.roi import Roi
from analyzer.values import Finding
from analyzer.vocabulary import ConditionName
from tests.analyzer import generated_skin as skin
from web.findings import wire_name

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "conditions.md").read_text(encoding="utf-8")
NUMBERS = json.loads((ROOT / "analyzer" / "calibration.json").read_text(encoding="utf-8"))
SIZE_LIMITS = ("MOST_ENLARGED", "LARGEST_SCALE", "MAX_SCALE")
SEVERITY = re.compile(r"Severity begins at: minimal ([\d.]+), low ([\d.]+), moderate ([\d.]+), high ([\d.]+)\.\n")


def section(name: str) -> str:
    """The part of the page about one condition."""
    assert PAGE.count(f"## `{name}`: ") == 1
    return PAGE.split(f"## `{name}`: ")[1].split("\n## ")[0]


def row(text: str, head: str) -> list[str]:
    """Cells of the one table row that begins with `head`."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {head} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def table(text: str, head: str) -> dict[str, list[str]]:
    """First cell, without backticks, → the other cells, of the table whose head begins with `head`."""
    body = text.split(f"| {head} |")[1].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in body]
    return {cells[0].strip("`"): cells[1:] for cells in rows}


def face(side: str = "") -> Roi:
    """A face on which everything can be measured; with only one half of its skin when a side is named."""
    mask = skin.skin_mask().copy()
    if side:
        mask[:, slice(256, None) if side == "left" else slice(256)] = False
    lab = skin.add_brown_spots(skin.add_red_blobs(skin.face(), skin.spread(10)), skin.spread(8, "chin", seed=9))
    return skin.roi_of(skin.add_pores(lab, skin.spread(60, "nose", "left_cheek", apart_px=9), deficit=0.2), mask=mask)


def measured(name: str) -> list[Finding]:
    return [CONDITIONS[name](face(side), gate=False) for side in ("", "left", "right")]


def refusals(source: Path) -> Iterator[tuple[str, str]]:
    """Code and sentence of every `not_measured(...)` in a source file."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("not_measured"):
            if isinstance(node.args[1], ast.Starred):
                assert ast.unparse(node.args[1]) == "*unreadable"
                yield from (roi.GREY, roi.COLOURED)
                if "roi.overexposed" in source.read_text(encoding="utf-8"):
                    yield roi.OVEREXPOSED
                continue
            code, sentence = node.args[1:3]
            yield text_of(code, source), text_of(sentence, source)


def text_of(node: ast.expr, source: Path) -> str:
    """A string in the source, written there or by the name of a constant or of a member of an enum."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    module = importlib.import_module(".".join(source.relative_to(ROOT).with_suffix("").parts))
    return str(operator.attrgetter(ast.unparse(node))(module))


def test_every_condition_has_its_section_and_no_other_has_one() -> None:
    assert re.findall(r"^## `(\w+)`: ", PAGE, re.MULTILINE) == list(CONDITIONS)


@pytest.mark.parametrize("name", CONDITIONS)
def test_formula_anchors_and_limits_are_those_of_the_calibration(name: str) -> None:
    formula, text = calibration.formulas()[name], section(name)
    assert f"(`{formula.name}`)" in text
    anchors = zip(map(float, row(text, "raw")), map(float, row(text, "score")), strict=True)
    assert tuple(anchors) == formula.anchors
    limits = SEVERITY.search(text)
    assert limits is not None
    assert tuple(map(float, limits.groups())) == formula.severity_limits


@pytest.mark.parametrize("name", CONDITIONS)
def test_evidence_is_what_the_condition_returns_and_has_a_unit(name: str) -> None:
    documented = table(section(name), "evidence")
    findings = measured(name)
    assert findings[0].score is not None
    assert set(documented) == {key for finding in findings for key in finding.evidence}
    assert all(unit and meaning for unit, meaning in documented.values())
    always = set.intersection(*(set(finding.evidence) for finding in findings if finding.score is not None))
    unsaid = [key for key in set(documented) - always if "absent" not in documented[key][1]]
    assert unsaid == [] or "has no evidence" in section(name)


@pytest.mark.parametrize("name", CONDITIONS)
def test_reasons_are_those_of_the_source_word_for_word(name: str) -> None:
    documented = {(code, cells[0]) for code, cells in table(section(name), "no score").items()}
    assert documented == set(refusals(ROOT / "analyzer" / "conditions" / f"{name}.py"))


def test_reasons_from_outside_the_conditions_are_named() -> None:
    outside = [pair for part in ("analyzer/calibration.py", "web/findings.py") for pair in refusals(ROOT / part)]
    assert {code for code, _ in outside} == {"undefined", "not_measured"}
    assert [pair for pair in outside if f'`{pair[0]}` ("{pair[1]}")' not in PAGE] == []


@pytest.mark.parametrize("name", CONDITIONS)
def test_limits_of_size_and_blur_are_those_of_the_source(name: str) -> None:
    module = importlib.import_module(f"analyzer.conditions.{name}")
    reasons = table(section(name), "no score")
    size = [getattr(module, limit) for limit in SIZE_LIMITS if hasattr(module, limit)]
    assert [f"more than {limit:g} working px per original px" for limit in size] == [
        cells[1] for code, cells in reasons.items() if code == "too_small"
    ]
    blur = [module.MAX_BLUR_PX] if hasattr(module, "MAX_BLUR_PX") else []
    assert [f"blur above {limit:g} working px" for limit in blur] == [
        cells[1] for code, cells in reasons.items() if code == "too_blurred"
    ]


@pytest.mark.parametrize("name", CONDITIONS)
def test_what_is_said_of_regions_spots_and_area_is_so(name: str) -> None:
    finding, text = measured(name)[0], section(name)
    assert ("`percentage`: none." in text) == (finding.area_fraction is None)
    assert ("Lesions: the" in text) == bool(finding.lesions)
    never = {
        "acne": {"nose", "left_under_eye", "right_under_eye"},
        "pigmentation": {"left_under_eye", "right_under_eye"},
    }
    assert {region for region, score in finding.regions.items() if score is None} == never.get(name, set())
    assert ("always `null`" in text) == (name in never)


def test_health_weights_and_their_source_are_those_of_the_calibration() -> None:
    health = NUMBERS["health"]
    text = PAGE.split("## Health score")[1]
    assert f"formula `{health['formula']}`" in text
    assert {name: float(cells[0]) for name, cells in table(text, "condition").items()} == health["weights"]
    assert health["source"].removeprefix("uncalibrated: ") in " ".join(text.split())


def test_names_on_the_wire_are_told() -> None:
    renamed = {name: wire_name(name) for name in CONDITIONS if wire_name(name) != name}
    assert renamed == {ConditionName.PIGMENTATION: "hyperpigmentation"}
    told = PAGE.split("**Names.**")[1].split("\n\n")[0]
    assert [pair for pair in renamed.items() if not all(f"`{name}`" in told for name in pair)] == []
