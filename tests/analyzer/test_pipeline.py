"""The whole story on real bytes: a portrait goes through, others are refused by name; large, turned and small ones alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from analyzer import photo, pipeline
from analyzer.conditions import CONDITIONS
from analyzer.ensemble import Ensemble
from analyzer.errors import Abandoned, BadPhoto, ModelUnavailable, TooManyPixels, UnsupportedType
from analyzer.values import Box, Demographics, ModelState, Photo, Prediction, Report, Rgb
from tests.analyzer.predictions import CLASSES, DETAILS, LOADED, Answering, prediction, probable, weak
from tests.conftest import SKIN_DATA

SIDE = 1024  # px, of the portrait as it is used here
FACE = Box(355, 125, 195, 215)  # of the astronaut at that size, marked by hand: mid-forehead to chin, cheek to cheek
REFUSALS_OF_A_PROFILE = {"no_face", "face_cut_off", "not_enough_skin"}
PROFILE_TURN_DEG = 35.0


@cache
def portrait(side: int = SIDE) -> Rgb:
    return np.asarray(cv2.resize(data.astronaut(), (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def jpeg(rgb: Rgb, quality: int = 95) -> bytes:
    return cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def png(rgb: Rgb) -> bytes:
    return cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()


def with_orientation(rgb: Rgb, orientation: int) -> bytes:
    """JPEG of a picture whose stored pixels are turned so that Exif `orientation` makes it upright again."""
    quarters = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]
    image = Image.fromarray(np.ascontiguousarray(np.rot90(rgb, quarters)))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = BytesIO()
    image.save(file, "JPEG", quality=95, subsampling=0, exif=exif)
    return file.getvalue()


def on_canvas(rgb: Rgb, width: int, height: int, x: int, y: int) -> Rgb:
    """A picture laid on a larger dull one."""
    canvas = np.full((height, width, 3), (96, 100, 104), np.uint8)
    canvas[y : y + rgb.shape[0], x : x + rgb.shape[1]] = rgb
    return canvas


@cache
def report_of(data: bytes) -> Report:
    return pipeline.analyze_photo(data, Ensemble())


@pytest.fixture(scope="module")
def usual() -> Report:
    return report_of(jpeg(portrait()))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    common = max(width, 0.0) * max(height, 0.0)
    return common / (one.area + other.area - common)


def original_box(report: Report) -> Box:
    assert report.face is not None
    return report.face.box.scaled(1 / report.photo.scale)


def scores(report: Report) -> dict[str, float | None]:
    return {finding.name: finding.score for finding in report.findings}


def assert_alike(one: Report, other: Report, *, within: float) -> None:
    assert [f.score is None for f in one.findings] == [f.score is None for f in other.findings]
    for first, second in zip(one.findings, other.findings, strict=True):
        if first.score is not None:
            assert second.score == pytest.approx(first.score, abs=within), first.name


def test_a_portrait_gives_a_full_report(usual: Report) -> None:
    assert usual.error_code is None
    assert [finding.name for finding in usual.findings] == list(CONDITIONS)
    assert overlap(original_box(usual), FACE) > 0.7
    assert usual.skin_tone is not None
    assert usual.roi is not None
    assert all(check.passed for check in usual.checks)
    assert usual.guidance.message == "Analysis complete"
    assert usual.health_score is not None
    assert 0 < usual.health_score <= 100
    assert 0 <= usual.confidence <= 1
    assert usual.summary
    assert set(usual.timings_ms) == {"decode", "face", "roi", "conditions", "ensemble"}
    assert all(time >= 0 for time in usual.timings_ms.values())


def test_every_finding_is_measured_or_says_why_not(usual: Report) -> None:
    measured = [finding for finding in usual.findings if finding.score is not None]
    assert len(measured) >= 4
    for finding in usual.findings:
        assert finding.source == "classical"
        assert 0 <= finding.confidence <= 1
        if finding.score is None:
            assert finding.reason
            assert not finding.detected
            continue
        assert finding.interval is not None
        low, high = finding.interval
        assert 0 <= low <= finding.score <= high <= 1
        assert all(value is None or 0 <= value <= 1 for value in finding.regions.values())
        assert all(math.isfinite(value) for value in finding.evidence.values())
        assert finding.area_fraction is None or 0 <= finding.area_fraction <= 1


def test_lesions_lie_in_the_face_in_original_pixels(usual: Report) -> None:
    face = original_box(usual)
    for lesion in (lesion for finding in usual.findings for lesion in finding.lesions):
        x, y = lesion.box.centre
        assert face.x - 0.5 * face.width < x < face.x + 1.5 * face.width
        assert face.y - 0.8 * face.height < y < face.y + 1.5 * face.height


def test_the_same_bytes_give_the_same_report(usual: Report) -> None:
    again = pipeline.analyze_photo(jpeg(portrait()), Ensemble())
    assert again.findings == usual.findings
    assert again.checks == usual.checks
    assert again.skin_tone == usual.skin_tone


def test_the_missing_ensemble_says_so(usual: Report) -> None:
    assert not usual.model.available
    assert usual.model.reason == Ensemble().state().reason
    assert usual.model.reason


def test_an_ensemble_that_fails_leaves_the_rest_and_its_own_reason(usual: Report) -> None:
    broken = Answering(ModelUnavailable("The self-test failed.", "Publish it again."))
    report = pipeline.analyze_photo(jpeg(portrait()), broken)
    assert report.findings == usual.findings
    assert report.model == ModelState(False, "The self-test failed.")
    assert report.prediction is None


def test_a_prediction_stands_beside_what_was_measured(usual: Report) -> None:
    report = pipeline.analyze_photo(jpeg(portrait()), Answering(prediction()))
    assert report.findings == usual.findings
    assert report.prediction is not None
    assert report.model == LOADED
    assert report.timings_ms["ensemble"] >= 0
    assert report.summary.startswith(usual.summary)
    assert len(report.summary) > len(usual.summary)


def test_a_weak_model_changes_nothing_of_the_report(usual: Report) -> None:
    for top in CLASSES:
        report = pipeline.analyze_photo(jpeg(portrait()), Answering(weak(probable(top, 0.99))))
        changed = {"photo", "face", "roi", "model", "timings_ms", "prediction"}
        for field in set(Report.__dataclass_fields__) - changed:
            assert getattr(report, field) == getattr(usual, field), (top, field)


def test_the_state_is_that_of_the_artefact_that_answered_though_it_is_exchanged_meanwhile() -> None:
    class Exchanged(Answering):
        def predict(self, roi: Any, demographics: Demographics) -> Prediction:
            self._state = ModelState(True, None, {**DETAILS, "version": "6.2"})
            return prediction(version="6.2")

    report = pipeline.analyze_photo(jpeg(portrait()), Exchanged(prediction()))
    assert report.model.details["version"] == "6.2"


def test_what_people_say_of_themselves_reaches_the_ensemble() -> None:
    double, told = Answering(prediction()), Demographics(age=61, gender="female")
    pipeline.analyze_photo(jpeg(portrait()), double, demographics=told)
    pipeline.analyze_photo(jpeg(portrait()), double)
    assert double.told == [told, Demographics()]


def test_a_refused_photo_is_not_shown_to_the_ensemble() -> None:
    double = Answering(prediction())
    report = pipeline.analyze_photo(png(blurred(portrait())), double)
    assert (report.error_code in {"blur", "no_face"}, report.prediction, double.told) == (True, None, [])
    assert report.model == LOADED


def test_demographics_are_echoed_and_change_no_number(usual: Report) -> None:
    told = Demographics(age=61, ethnicity="x", gender="y", fitzpatrick="VI")
    report = pipeline.analyze_photo(jpeg(portrait()), Ensemble(), demographics=told)
    assert report.demographics == told
    assert report.findings == usual.findings
    assert (report.health_score, report.skin_tone) == (usual.health_score, usual.skin_tone)


def dark(rgb: Rgb) -> Rgb:
    return (rgb * 0.02).astype(np.uint8)


def grey(rgb: Rgb) -> Rgb:
    return np.repeat(rgb @ np.float32([0.299, 0.587, 0.114])[:, None], 3, axis=2).astype(np.uint8)


def burnt(rgb: Rgb) -> Rgb:
    return np.clip(rgb.astype(np.float32) * 2.2 + 60, 0, 255).astype(np.uint8)


def blurred(rgb: Rgb) -> Rgb:
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), 9), np.uint8)


def small(rgb: Rgb) -> Rgb:
    return np.asarray(cv2.resize(rgb, (400, 400), interpolation=cv2.INTER_AREA), np.uint8)


def beheaded(rgb: Rgb) -> Rgb:
    """The picture's right edge runs through the middle of the face."""
    return np.ascontiguousarray(rgb[:, : round(FACE.x + 0.62 * FACE.width)])


REFUSED: dict[str, tuple[Callable[[Rgb], Rgb], set[str]]] = {
    "no face": (lambda rgb: rgb[500:, :300], {"no_face"}),
    "a cat": (lambda _: data.chelsea(), {"no_face"}),
    "dark": (dark, {"too_dark", "no_face"}),
    "overexposed": (burnt, {"too_bright", "no_face"}),
    "blurred": (blurred, {"blur", "no_face"}),
    "small": (small, {"face_too_small"}),
    "cut off": (beheaded, {"face_cut_off", "no_face"}),
    "black and white": (grey, {"colour_cast"}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_analysed_is_refused_by_name(name: str) -> None:
    change, codes = REFUSED[name]
    report = report_of(png(np.ascontiguousarray(change(portrait()))))
    assert report.error_code in codes
    assert report.findings == ()
    assert report.skin_tone is None
    assert report.primary_condition == "unknown"
    assert report.health_score is None
    assert report.guidance.message
    assert report.guidance.suggestions
    stop = next(check for check in report.checks if check.code == report.error_code)
    assert not stop.passed
    assert stop.refuses


SEEN = {**{name: change for name, (change, _) in REFUSED.items()}, "as it is": lambda rgb: rgb}


@pytest.mark.parametrize("name", SEEN)
def test_a_face_is_accepted_exactly_when_its_analysis_is_not_refused(name: str) -> None:
    """The page goes on to the analysis as soon as a face is listed."""
    picture = png(np.ascontiguousarray(SEEN[name](portrait())))
    detection, report = pipeline.detect_faces(picture), report_of(picture)
    assert detection.error_code == report.error_code
    assert bool(detection.faces) is (report.error_code is None)
    assert detection.checks == report.checks
    assert detection.faces_found >= len(detection.faces)
    assert (detection.faces_found > 0) is (report.face is not None)
    if detection.faces:
        assert report.face is not None
        assert detection.faces[0].box == report.face.box
        assert detection.guidance.message == "Face found"
    else:
        assert detection.guidance == report.guidance


def test_a_second_face_warns_and_only_acceptable_faces_are_listed() -> None:
    head = portrait()[60:420, 250:650]
    least = np.asarray(cv2.resize(head, None, fx=0.45, fy=0.45, interpolation=cv2.INTER_AREA), np.uint8)
    canvas = on_canvas(head, 1000, 500, 40, 70)
    canvas[70 : 70 + head.shape[0], 520 : 520 + head.shape[1]] = head[:, ::-1]
    twins = pipeline.detect_faces(png(canvas))
    assert len(twins.faces) == twins.faces_found == 2
    check = next(check for check in twins.checks if check.code == "several_faces")
    assert (check.passed, check.refuses, check.value) == (False, False, 1.0)
    assert report_of(png(canvas)).error_code is None
    unequal = on_canvas(head, 1000, 500, 40, 70)
    unequal[200 : 200 + least.shape[0], 650 : 650 + least.shape[1]] = least
    found = pipeline.detect_faces(png(unequal))
    assert found.faces_found == 2
    assert len(found.faces) == 1
    assert found.faces[0].box.width > 150


@pytest.mark.parametrize("change", [grey, lambda rgb: np.asarray(cv2.GaussianBlur(rgb, (0, 0), 5), np.uint8)])
def test_a_second_face_whose_skin_cannot_be_measured_is_not_listed(change: Callable[[Rgb], Rgb]) -> None:
    head = portrait()[60:420, 250:650]
    canvas = on_canvas(head, 1000, 500, 40, 70)
    canvas[70 : 70 + head.shape[0], 520 : 520 + head.shape[1]] = change(head[:, ::-1])
    found = pipeline.detect_faces(png(canvas))
    assert (found.error_code, found.faces_found, len(found.faces)) == (None, 2, 1)


def test_a_large_photo_is_measured_on_a_reduced_copy_in_original_pixels() -> None:
    """4000 px, face 780 px wide on the picture: cut so that the face fills half of it, as in a selfie."""
    close = portrait(4000)[250:2250, 900:2900]
    large = np.asarray(cv2.resize(close, (4000, 4000), interpolation=cv2.INTER_CUBIC), np.uint8)
    report = report_of(jpeg(large, 90))
    assert report.error_code is None
    assert report.photo.scale == 0.25
    assert report.photo.original_size == (4000, 4000)
    assert max(report.photo.rgb.shape) == 1000
    factor = 4000 / SIDE
    expected = Box(
        2 * (FACE.x * factor - 900),
        2 * (FACE.y * factor - 250),
        *(2 * side * factor for side in (FACE.width, FACE.height)),
    )
    assert overlap(original_box(report), expected) > 0.7
    assert report.roi.scale == pytest.approx(512 / (original_box(report).width * 1.25), rel=0.35)
    for lesion in (lesion for finding in report.findings for lesion in finding.lesions):
        assert overlap(lesion.box, Box(0, 0, 4000, 4000)) > 0
        assert lesion.box.centre[0] > 1000


def distant() -> Rgb:
    """A face of 300 px in a photo of 2400 × 2200: the reduced copy leaves 150 px of it."""
    return on_canvas(portrait(1500), 2400, 2200, 450, 350)


def test_a_face_that_is_small_in_the_reduced_copy_is_decoded_with_more_detail() -> None:
    report, alone = report_of(jpeg(distant())), report_of(jpeg(portrait(1500)))
    assert report.error_code is None
    assert report.photo.scale == 1.0
    factor = 1500 / SIDE
    moved = Box(FACE.x * factor + 450, FACE.y * factor + 350, FACE.width * factor, FACE.height * factor)
    assert overlap(original_box(report), moved) > 0.6
    assert report.roi.scale == pytest.approx(alone.roi.scale, rel=0.12)
    assert "too_small" not in str([finding.reason for finding in report.findings if finding.name == "acne"])


def test_no_more_is_decoded_than_the_face_needs() -> None:
    """A face of 870 px in a photo of 4400: a quarter leaves too little of it, a half enough."""
    report = report_of(jpeg(portrait(4400), 90))
    assert report.error_code is None
    assert report.face is not None
    assert report.photo.scale == 0.5
    assert report.face.box.width >= pipeline.FACE_WIDTH


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_a_photo_stored_on_its_side_gives_the_report_of_the_upright_one(orientation: int) -> None:
    upright = report_of(with_orientation(portrait(), 1))
    turned = report_of(with_orientation(portrait(), orientation))
    assert turned.error_code is None
    assert turned.photo.original_size == upright.photo.original_size
    assert overlap(original_box(turned), original_box(upright)) > 0.9
    assert_alike(upright, turned, within=0.12)
    assert turned.skin_tone is not None
    assert upright.skin_tone is not None
    # The light comes from one side and the fringe shines: a few pixels of it more or less move the median.
    assert turned.skin_tone.ita_deg == pytest.approx(upright.skin_tone.ita_deg, abs=4.0)


def test_a_mirrored_photo_gives_the_same_colours_with_sides_exchanged(usual: Report) -> None:
    mirrored = report_of(jpeg(np.ascontiguousarray(portrait()[:, ::-1])))
    assert mirrored.error_code is None
    box = original_box(mirrored)
    assert overlap(Box(SIDE - box.x - box.width, box.y, box.width, box.height), original_box(usual)) > 0.8
    for side, other in (("left", "right"), ("right", "left")):
        one, two = (
            np.median(report.roi.lab[report.roi.regions[f"{name}_cheek"]], axis=0)
            for report, name in ((usual, side), (mirrored, other))
        )
        np.testing.assert_allclose(one, two, atol=2.0)


@pytest.mark.parametrize("call", [pipeline.detect_faces, partial(pipeline.analyze_photo, ensemble=Ensemble())])
def test_what_is_no_picture_is_raised_not_reported(call: Callable[..., object]) -> None:
    whole = jpeg(portrait())
    with pytest.raises(UnsupportedType):
        call(b"%PDF-1.7 nothing to see")
    with pytest.raises(BadPhoto) as cut:
        call(whole[: len(whole) // 2])
    assert cut.value.code == "truncated_image"
    with pytest.raises(TooManyPixels):
        call(whole, max_pixels=SIDE * SIDE - 1)


def test_the_pixel_limit_is_taken_as_given() -> None:
    assert pipeline.detect_faces(jpeg(portrait()), max_pixels=SIDE * SIDE).faces


def test_the_second_decode_keeps_the_pixel_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    decode = photo.decode

    def noted(data: bytes, *, min_short_side: int | None = None, max_pixels: int) -> Photo:
        asked.append(max_pixels)
        return decode(data, min_short_side=min_short_side, max_pixels=max_pixels)

    monkeypatch.setattr(photo, "decode", noted)
    pipeline.detect_faces(jpeg(distant()), max_pixels=7_000_000)
    assert asked == [7_000_000, 7_000_000]


def selfies(kind: str) -> list[Path]:
    """Views of all subjects; one name that is skipped where the pictures are absent."""
    return sorted(SKIN_DATA.glob(f"skin_defects/*/*/{kind}.jpg")) or [SKIN_DATA / "acne" / "0" / "absent.jpg"]


@pytest.mark.data
@pytest.mark.parametrize("path", selfies("front"), ids=lambda path: f"{path.parts[-3]}-{path.parts[-2]}")
def test_front_views_give_full_reports(path: Path) -> None:
    report = pipeline.analyze_photo(path.read_bytes(), Ensemble())
    assert report.error_code is None
    assert [finding.name for finding in report.findings] == list(CONDITIONS)
    assert sum(finding.score is not None for finding in report.findings) >= 6
    assert report.skin_tone is not None
    assert report.health_score is not None


@pytest.mark.data
@pytest.mark.parametrize("path", selfies("*_side"), ids=lambda path: f"{path.parts[-3]}-{path.parts[-2]}-{path.stem}")
def test_side_views_give_a_report_or_the_right_refusal(path: Path) -> None:
    report = pipeline.analyze_photo(path.read_bytes(), Ensemble())
    if report.error_code is not None:
        assert report.error_code in REFUSALS_OF_A_PROFILE
        assert report.guidance.suggestions
        return
    assert len(report.findings) == len(CONDITIONS)
    turned = next(check for check in report.checks if check.code == "not_frontal")
    assert turned.value is None or turned.value > 0


@pytest.mark.data
def test_phone_files_come_out_upright_and_analysed(skin_data: Path) -> None:
    paths = sorted((skin_data / "phone_originals").glob("*.jpg"))
    assert len(paths) == 3
    for path in paths:
        report = pipeline.analyze_photo(path.read_bytes(), Ensemble())
        assert report.error_code is None, path.name
        assert report.face is not None
        assert abs(report.face.roll_deg) < 20
        width, height = report.photo.original_size
        assert height > width
        box = original_box(report)
        assert box.x > 0
        assert box.y > 0
        assert box.x + box.width < width
        assert box.y + box.height < height


@pytest.mark.parametrize("begun", range(6))
def test_no_stage_begins_once_the_report_is_not_wanted(begun: int) -> None:
    answers = iter([True] * begun + [False])
    stages = ("decode", "face", "decode", "roi", "conditions", "ensemble")
    picture = jpeg(on_canvas(portrait(1600), 3000, 2100, 500, 300))
    with pytest.raises(Abandoned) as given_up:
        pipeline.analyze_photo(picture, Ensemble(), is_wanted=lambda: next(answers))
    assert given_up.value.stage == stages[begun]
    assert set(stages) == set(pipeline.STAGES)


def test_a_detection_that_is_not_wanted_ends_too() -> None:
    with pytest.raises(Abandoned):
        pipeline.detect_faces(jpeg(portrait()), is_wanted=lambda: False)
