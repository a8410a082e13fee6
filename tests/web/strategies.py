"""Hypothesis strategies: whatever the pipeline's types allow, sound or not, and records with one wrong value."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
from hypothesis import strategies as st

from analyzer.quality import REFUSALS
from analyzer.report import primary_condition
from analyzer.values import (
    Box,
    Check,
    Demographics,
    Detection,
    Face,
    Finding,
    Grade,
    Guidance,
    Lesion,
    ModelState,
    Photo,
    Prediction,
    Recommendations,
    Report,
    SkinTone,
)
from analyzer.vocabulary import (
    CheckCode,
    ConditionName,
    Fitzpatrick,
    ItaGroup,
    ModelSource,
    ReasonCode,
    Region,
    Severity,
    Source,
    Verdict,
)
from tests.analyzer.predictions import CLASSES, corner

NUMBERS = st.one_of(
    st.floats(),
    st.floats(width=32).map(np.float32),
    st.sampled_from([0.0, -0.0, 1.0, 1e308, -1e308, 5e-324, float("nan"), float("inf"), float("-inf"), 2.0**63]),
)
SHARES = st.floats(0.0, 1.0)
REFUSED = st.sampled_from(list(REFUSALS))
FINITE = st.floats(-1e6, 1e6)
TEXTS = st.text(st.characters(exclude_categories=()), min_size=1, max_size=12)  # lone surrogates too
STAGES = ("decode", "face", "roi", "conditions", "ensemble")
WRONG = st.sampled_from(
    [None, object(), "unsure", "\ud800", -1, 10**400, float("nan"), b"\xff", (), [[]], {"a": object()}]
)


def photos() -> st.SearchStrategy[Photo]:
    sides = st.integers(1, 24)
    return st.builds(
        lambda height, width, size, scale: Photo(np.full((height, width, 3), 120, np.uint8), size, scale, "image/png"),
        sides,
        sides,
        st.tuples(st.integers(1, 100_000), st.integers(1, 100_000)),
        st.floats(1e-6, 1.0),
    )


def boxes(number: st.SearchStrategy[Any]) -> st.SearchStrategy[Box]:
    return st.builds(Box, number, number, number, number)


def points(number: st.SearchStrategy[Any], count: int) -> st.SearchStrategy[Any]:
    rows = st.lists(st.tuples(number, number), min_size=count, max_size=count)
    return rows.map(lambda places: np.array(places, np.float64).clip(-3e38, 3e38).astype(np.float32))


def faces(number: st.SearchStrategy[Any]) -> st.SearchStrategy[Face]:
    return st.builds(
        Face,
        box=boxes(number),
        confidence=number,
        eyes=st.none() | points(number, 2),
        roll_deg=number,
        method=TEXTS,
        yaw_deg=st.none() | number,
        landmarks=st.none() | st.dictionaries(TEXTS, points(number, 3), max_size=2),
    )


def checks(number: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Check, ...]]:
    check = st.builds(
        Check,
        code=st.sampled_from(CheckCode),
        passed=st.booleans() | st.booleans().map(np.bool_),
        refuses=st.booleans(),
        value=st.none() | number,
        limit=number,
        unit=TEXTS,
        advice=TEXTS,
    )
    return st.lists(check, max_size=4).map(tuple)


def lesions(number: st.SearchStrategy[Any]) -> st.SearchStrategy[Lesion]:
    return st.builds(Lesion, boxes(number), number, st.none() | st.sampled_from(Region))


def measured(name: ConditionName, number: st.SearchStrategy[Any], share: Any) -> st.SearchStrategy[Finding]:
    evidence = st.dictionaries(st.sampled_from(["spots", "count", "raw"]) | TEXTS, number, max_size=3)
    return st.builds(
        Finding,
        name=st.just(name),
        score=share,
        interval=st.none() | st.tuples(share, share),
        severity=st.sampled_from(Severity),
        confidence=share,
        formula=TEXTS,
        area_fraction=share,
        lesions=st.lists(lesions(number), max_size=2).map(tuple),
        regions=st.dictionaries(REGIONS, st.none() | share, max_size=2),
        evidence=evidence,
        source=st.sampled_from(Source),
    )


REGIONS = st.sampled_from([region for region in Region if region is not Region.WHOLE])


def unmeasured(name: ConditionName) -> st.SearchStrategy[Finding]:
    return st.builds(
        lambda code, sentence: Finding(
            name, None, None, Severity.NONE, 0.0, f"{name}-1", reason=f"{code}: {sentence}", reason_code=code
        ),
        st.sampled_from(ReasonCode),
        TEXTS,
    )


def findings(number: st.SearchStrategy[Any], share: Any) -> st.SearchStrategy[tuple[Finding, ...]]:
    """Any of the eight, in any order, each measured or not."""
    names = st.lists(st.sampled_from(ConditionName), unique=True, max_size=8)
    return names.flatmap(
        lambda chosen: st.tuples(*(measured(name, number, share) | unmeasured(name) for name in chosen))
    )


def predictions(number: st.SearchStrategy[Any], share: Any) -> st.SearchStrategy[Prediction]:
    grades = st.builds(Grade, share, share, st.integers(0, 3), st.tuples(share, share, share, share))
    kinds = st.none() | st.dictionaries(st.sampled_from(ConditionName).map(str), grades, min_size=1, max_size=3)

    def build(graded: dict[str, Grade] | None, shares: dict[str, Any], **parts: Any) -> Prediction:
        probabilities = shares if graded is None else {name: grade.probability for name, grade in graded.items()}
        return Prediction(probabilities=probabilities, grades=graded, wordings={}, activation=corner, **parts)

    return st.builds(
        build,
        graded=kinds,
        shares=st.fixed_dictionaries(dict.fromkeys(CLASSES, share)),
        version=TEXTS,
        threshold=st.none() | share,
        distance=st.none() | number.map(abs),
        distance_limit=st.none() | number.map(abs),
        speaks=st.booleans(),
        silence_reason=st.none() | TEXTS,
    )


def models(number: st.SearchStrategy[Any]) -> st.SearchStrategy[ModelState]:
    details = st.fixed_dictionaries(
        {"version": TEXTS, "source": st.sampled_from(ModelSource)},
        optional={"accuracy": TEXTS | number, "classes": st.integers(0, 99), "features": TEXTS, "sha256": TEXTS},
    )
    absent = TEXTS.map(lambda reason: ModelState(False, reason))
    return absent | details.map(lambda fields: ModelState(True, None, fields))


def tones(number: st.SearchStrategy[Any]) -> st.SearchStrategy[SkinTone]:
    return st.builds(
        SkinTone,
        number,
        st.sampled_from(ItaGroup),
        st.sampled_from(Fitzpatrick),
        st.integers(1, 10),
        st.booleans(),
        st.none() | TEXTS,
    )


def guidance() -> st.SearchStrategy[Guidance]:
    return st.builds(Guidance, TEXTS, st.lists(TEXTS, max_size=2).map(tuple))


def timings(number: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(STAGES), number, max_size=3)


def detections(number: st.SearchStrategy[Any] = NUMBERS) -> st.SearchStrategy[Detection]:
    """What `pipeline.detect_faces` may answer."""
    return st.builds(
        Detection,
        photo=photos(),
        faces=st.lists(faces(number), max_size=3).map(tuple),
        faces_found=st.integers(0, 2**70),
        checks=checks(number),
        error_code=st.none() | REFUSED,
        guidance=guidance(),
        timings_ms=timings(number),
    )


def reports(number: st.SearchStrategy[Any] = NUMBERS, share: Any = NUMBERS) -> st.SearchStrategy[Report]:
    """What `pipeline.analyze_photo` may answer, refusals included; its headline follows from its findings."""
    texts = st.lists(TEXTS, max_size=2).map(tuple)
    whole = st.builds(
        Report,
        photo=photos(),
        face=faces(number),
        checks=checks(number),
        error_code=st.none(),
        guidance=guidance(),
        findings=findings(number, share),
        skin_tone=st.none() | tones(number),
        primary_condition=st.just(Verdict.UNKNOWN),
        primary_concerns=st.lists(st.sampled_from(ConditionName), max_size=3).map(tuple),
        health_score=st.none() | number,
        confidence=share,
        summary=TEXTS,
        recommendations=st.builds(Recommendations, texts, texts, texts, texts, st.booleans()),
        model=models(number),
        demographics=st.builds(
            Demographics,
            st.none() | st.integers(0, 120),
            st.none() | TEXTS,
            st.none() | TEXTS,
            st.none() | st.sampled_from(Fitzpatrick),
        ),
        timings_ms=timings(number),
        prediction=st.none() | predictions(number, share),
    ).map(lambda report: replace(report, primary_condition=primary_condition(report.findings)))
    return whole | st.tuples(whole, REFUSED).map(lambda refusal: refused(*refusal))


def refused(report: Report, code: CheckCode) -> Report:
    """A refusal of the same photo."""
    return replace(
        report, error_code=code, findings=(), skin_tone=None, primary_condition=Verdict.UNKNOWN, prediction=None
    )


@st.composite
def spoilt(draw: st.DrawFn, record: Any, depth: int = 4) -> Any:
    """Give a record one value, of its own or of a record inside it, that its type does not allow."""
    name = draw(st.sampled_from([part.name for part in fields(record)]))
    held = getattr(record, name)
    inner = [entry for entry in held if is_dataclass(entry)] if isinstance(held, tuple) else []
    if depth and is_dataclass(held) and draw(st.booleans()):
        return replace(record, **{name: draw(spoilt(held, depth - 1))})
    if depth and inner and draw(st.booleans()):
        changed = draw(spoilt(inner[0], depth - 1))
        return replace(record, **{name: (changed, *held[1:])})
    return replace(record, **{name: draw(WRONG)})
