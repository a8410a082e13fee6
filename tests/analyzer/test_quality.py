"""The quality gate: each check fires on a picture made for it, says what it measured, and leaves good pictures alone."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from analyzer import geometry, quality
from analyzer.values import Box, Check, Face, Photo
from analyzer.vocabulary import CheckCode
from tests.analyzer import generated_skin as made
from tests.analyzer.generated_skin import Lab

REFUSING = {"no_face", "face_too_small", "face_cut_off", "too_dark", "too_bright", "blur", "not_enough_skin"}
WARNING = {
    "face_unsure", "several_faces", "tilted", "not_frontal", "overexposed", "uneven_light", "low_contrast", "eyes_closed",
    "colour_cast",
}  # fmt: skip
PAGE = Path(__file__).resolve().parents[2] / "docs" / "quality.md"
SIZE = (1200, 1000)  # px, of the made picture

tones = pytest.mark.parametrize("tone", made.TONES)


def photo(scale: float = 1.0) -> Photo:
    width, height = SIZE
    rgb = np.zeros((height, width, 3), np.uint8)
    return Photo(rgb, (round(width / scale), round(height / scale)), scale, "image/png")


def seen(
    *,
    middle: tuple[float, float] = (600.0, 500.0),
    height: float = 400.0,
    roll_deg: float = 0.0,
    yaw_deg: float | None = 0.0,
    confidence: float = 0.999,
) -> Face:
    """A face as a detector with landmarks would report it; `height` is that of its landmark oval."""
    oval = made.landmarks()["face_oval"]
    factor, angle = height / float(np.ptp(oval[:, 1])), np.radians(roll_deg)
    turn = factor * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.column_stack([turn, np.array(middle) - turn @ oval.mean(axis=0)])
    points = {name: geometry.transform(matrix, group) for name, group in made.landmarks().items()}
    eyes = np.stack([points["right_eye"].mean(axis=0), points["left_eye"].mean(axis=0)])
    side = 0.8 * height
    box = Box(middle[0] - side / 2, middle[1] - side / 2, side, side)
    return Face(box, confidence, eyes, roll_deg, "made", yaw_deg, points)


def face_check(code: str, *faces: Face, scale: float = 1.0) -> Check:
    return named(quality.check_faces(photo(scale), faces), code)


def roi_check(code: str, lab: Lab, **how: object) -> Check:
    return named(quality.check_roi(made.roi_of(lab, **how)), code)  # type: ignore[arg-type]


def named(checks: tuple[Check, ...], code: str) -> Check:
    return next(check for check in checks if check.code == code)


def in_light(lab: Lab, factor: float) -> Lab:
    """The same skin in `factor` times the light, through a camera that cuts off at white."""
    rgb = np.clip(made.to_rgb(lab).astype(np.float32) * factor ** (1 / 2.2), 0, 255).astype(np.uint8)
    return cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def blurred(lab: Lab, sigma_px: float) -> Lab:
    return np.asarray(cv2.GaussianBlur(lab, (0, 0), sigma_px), np.float32)


def all_checks(lab: Lab, *faces: Face) -> tuple[Check, ...]:
    return quality.check_faces(photo(), faces or (seen(),)) + quality.check_roi(made.roi_of(lab))


@tones
def test_a_good_picture_passes_every_check(tone: str) -> None:
    checks = all_checks(made.face(tone))
    assert [check.code for check in checks if not check.passed] == []
    assert {check.code for check in checks} == REFUSING | WARNING == set(CheckCode)
    assert len(checks) == len({check.code for check in checks})
    assert quality.refusal(checks) is None
    assert quality.guidance(checks, "Face found").message == "Face found"
    assert quality.guidance(checks, "Face found").suggestions == ()


@tones
def test_each_check_says_what_it_measured_against_what(tone: str) -> None:
    for check in all_checks(made.face(tone)):
        assert type(check.passed) is bool
        assert type(check.value) is float
        assert check.unit
        assert re.fullmatch(r"[A-Z].*[.]", check.advice)
        assert check.refuses is (check.code in REFUSING)


def test_every_refusal_has_its_sentence() -> None:
    assert set(quality.REFUSALS) == REFUSING | {"colour_cast"}
    assert all(re.fullmatch(r"[A-Z].*[.]", sentence) for sentence in quality.REFUSALS.values())


def test_no_face_is_all_there_is_to_say_of_an_empty_picture() -> None:
    checks = quality.check_faces(photo(), ())
    assert [(check.code, check.passed, check.refuses, check.value) for check in checks] == [
        ("no_face", False, True, 0.0)
    ]
    told = quality.guidance(checks, "")
    assert told.message == quality.REFUSALS["no_face"]
    assert len(told.suggestions) == 1


def test_an_unlikely_face_is_no_face() -> None:
    assert not face_check("no_face", seen(confidence=quality.MIN_CONFIDENCE - 0.01)).passed
    assert face_check("no_face", seen(confidence=quality.MIN_CONFIDENCE)).passed


@pytest.mark.parametrize(("confidence", "passed"), [(0.9, False), (quality.SURE_CONFIDENCE, True)])
def test_a_face_that_may_be_none_warns_and_never_refuses(confidence: float, passed: bool) -> None:
    check = face_check("face_unsure", seen(confidence=confidence))
    assert (check.passed, check.refuses, check.value) == (passed, False, confidence)


@pytest.mark.parametrize(("others", "counted"), [((380,), 1), ((380, 300), 2), ((150,), 0), ((), 0)])
def test_other_faces_count_when_they_rival_the_first(others: tuple[int, ...], counted: int) -> None:
    check = face_check("several_faces", seen(), *(seen(height=height, middle=(200, 300)) for height in others))
    assert check.value == counted
    assert check.passed is (counted == 0)


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.25])
def test_the_size_of_a_face_is_that_in_the_original(scale: float) -> None:
    """A reduced copy does not make a face too small."""
    for width, passed in ((quality.MIN_FACE_PX + 1, True), (quality.MIN_FACE_PX - 1, False)):
        check = face_check("face_too_small", seen(height=width * scale / 0.8), scale=scale)
        assert check.passed is passed
        assert check.value == pytest.approx(width, rel=0.01)


def test_a_face_that_fills_a_small_picture_is_not_told_to_move_closer() -> None:
    far, near = (face_check("face_too_small", seen(height=height), scale=8.0) for height in (400.0, 700.0))
    assert not far.passed
    assert not near.passed
    assert "Move closer" in far.advice
    assert "original size" in near.advice


def test_a_face_that_leaves_the_picture_is_cut_off() -> None:
    shares = [face_check("face_cut_off", seen(middle=(x, 500.0))) for x in (600, 200, 120, 60, 0)]
    values = [check.value or 0.0 for check in shares]
    assert values[0] == pytest.approx(1.0)
    assert values[-1] == pytest.approx(0.5, abs=0.03)
    assert all(before >= after for before, after in pairwise(values))
    assert shares[0].passed
    assert not shares[-1].passed


def test_a_forehead_above_the_picture_counts_as_cut_off() -> None:
    """The landmark oval ends below the hairline: what it leaves out must be inside too."""
    oval = made.landmarks()["face_oval"][:, 1]
    factor = 400.0 / float(np.ptp(oval))
    face = seen(middle=(600.0, 1.0 + factor * float(oval.mean() - oval.min())))
    assert face.landmarks is not None
    assert face.landmarks["face_oval"][:, 1].min() == pytest.approx(1.0, abs=0.1)
    assert 0.85 < quality.share_inside(photo(), face) < 0.99


@pytest.mark.parametrize("roll_deg", [0.0, 20.0, 44.0, 46.0, 90.0, 180.0, -60.0])
def test_the_share_inside_does_not_depend_on_the_roll(roll_deg: float) -> None:
    """Of a face on the upper edge and the same one on the lower edge, the parts inside make one whole."""
    assert quality.share_inside(photo(), seen(height=700, roll_deg=roll_deg)) == pytest.approx(1.0)
    turned = seen(middle=(600.0, 0.0), roll_deg=roll_deg)
    opposite = seen(middle=(600.0, 1000.0), roll_deg=roll_deg)
    both = quality.share_inside(photo(), turned) + quality.share_inside(photo(), opposite)
    assert both == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("roll_deg", [-50.0, -36.0, -20.0, 0.0, 34.0, 36.0, 170.0])
def test_a_tilted_head_warns(roll_deg: float) -> None:
    check = face_check("tilted", seen(roll_deg=roll_deg))
    assert check.passed is (abs(roll_deg) <= quality.MAX_TILT_DEG)
    assert check.value == pytest.approx(abs(roll_deg))


def test_the_tilt_of_a_profile_is_not_that_of_its_eyes() -> None:
    """Both eyes in one place, the line between them upright: the head is not."""
    face = seen()
    assert face.landmarks is not None
    points = dict(face.landmarks)
    points["left_eye"] = points["right_eye"] + np.float32([0, 8])
    points["nose"] = points["nose"] + points["left_eye"].mean(axis=0) - points["nose"][0]
    points["face_oval"] = points["face_oval"] + np.float32([points["nose"][0, 0] - points["face_oval"][18, 0], 0])
    check = face_check("tilted", replace(face, landmarks=points, roll_deg=90.0))
    assert check.passed
    assert check.value == pytest.approx(0.0, abs=3.0)


@pytest.mark.parametrize("yaw_deg", [-85.0, -36.0, -34.0, 0.0, 34.0, 36.0, 60.0])
def test_a_turned_head_warns_and_never_refuses(yaw_deg: float) -> None:
    check = face_check("not_frontal", seen(yaw_deg=yaw_deg))
    assert check.passed is (abs(yaw_deg) <= quality.MAX_YAW_DEG)
    assert not check.refuses


def test_an_unknown_turn_is_not_measured_and_passes() -> None:
    check = face_check("not_frontal", seen(yaw_deg=None))
    assert check.passed
    assert check.value is None


@tones
def test_too_little_light_is_too_dark(tone: str) -> None:
    values = [roi_check("too_dark", in_light(made.face(tone), factor)) for factor in (1.0, 0.3, 0.05, 0.01)]
    assert all((before.value or 0) > (after.value or 0) for before, after in pairwise(values))
    assert values[0].passed
    assert not values[-1].passed


def test_dark_skin_in_good_light_is_not_too_dark() -> None:
    """Down to the darkest Monk tone, and the dark generated face in a third of the light."""
    darkest = made.face("dark") - np.float32([20.0, 5.0, 8.0])
    darkest[..., 0] = np.maximum(darkest[..., 0], 8.0)
    dark = in_light(made.face("dark"), 0.35)
    for lab in (made.face("dark"), dark):
        assert [c.code for c in quality.check_roi(made.roi_of(lab)) if not c.passed and c.refuses] == []
    lit = darkest + made.blobs(np.float32([[256, 120], [190, 280], [322, 280]]), 25)[..., None] * np.float32([18, 0, 2])
    assert roi_check("too_dark", lit).passed


@tones
def test_skin_that_loses_one_channel_is_overexposed(tone: str) -> None:
    face = made.face(tone)
    brightest = float(made.roi_of(face).rgb[made.skin_mask()].max(axis=1).mean()) / 255
    checks = [roi_check("overexposed", in_light(face, factor / brightest**2.2)) for factor in (0.3, 0.6, 1.1, 2.0)]
    assert all((before.value or 0) <= (after.value or 0) for before, after in pairwise(checks))
    assert [check.passed for check in checks] == [True, True, False, False]
    assert not any(check.refuses for check in checks)


@tones
def test_too_much_light_is_too_bright(tone: str) -> None:
    """Dark skin needs more light to burn out."""
    face = made.face(tone)
    factors = (1.0, 1.3, 3.0, 12.0, 40.0)
    checks = [roi_check("too_bright", in_light(face, factor)) for factor in factors]
    values = [check.value or 0.0 for check in checks]
    assert all(before <= after for before, after in pairwise(values))
    assert checks[0].passed
    assert checks[1].passed
    assert not checks[-1].passed


def test_shine_is_not_overexposure() -> None:
    shine = made.blobs(np.float32([[256, 120], [256, 270]]), 12)[..., None]
    lab = made.face("light") * (1 - shine) + np.float32([100, 0, 0]) * shine
    assert roi_check("too_bright", lab).passed


@tones
def test_light_from_one_side_is_uneven(tone: str) -> None:
    """The value is the difference of the halves over their mean, whatever the tone."""
    lab = made.face(tone)
    values = []
    for fall in (0.0, 0.2, 0.4, 0.6):
        lit = lab.copy()
        lit[:, 256:, 0] *= 1 - fall
        check = roi_check("uneven_light", lit)
        assert check.value == pytest.approx(fall / (1 - fall / 2), abs=0.04)
        assert check.passed is (fall < 0.4)
        mirrored = roi_check("uneven_light", made.flipped(lit))
        assert mirrored.value == pytest.approx(check.value, abs=0.01)
        values.append(check.value)
    assert values == sorted(values)


def test_half_a_face_cannot_be_compared_with_itself() -> None:
    half = made.skin_mask() & (np.arange(512) < 250)
    check = roi_check("uneven_light", made.face(), mask=half)
    assert check.value is None
    assert check.passed


@tones
def test_fog_is_low_contrast(tone: str) -> None:
    """A veil of grey: the values shrink by as much as it covers."""
    lab, grey = made.face(tone), np.float32([60.0, 0.0, 0.0])
    checks = [roi_check("low_contrast", lab * (1 - veil) + grey * veil) for veil in (0.0, 0.4, 0.8)]
    first = checks[0].value or 0.0
    assert [check.value for check in checks] == pytest.approx([first, 0.6 * first, 0.2 * first], abs=1.0)
    assert checks[0].passed
    assert not checks[-1].passed
    assert not checks[-1].refuses


@tones
def test_blur_is_measured_in_pixels_and_refused_in_the_end(tone: str) -> None:
    lab = made.face(tone)
    sigmas = (2.0, 3.0, 4.0, 8.0)
    checks = [roi_check("blur", lab), *(roi_check("blur", blurred(lab, sigma)) for sigma in sigmas)]
    values = [check.value or 0.0 for check in checks]
    assert all(before < after for before, after in pairwise(values))
    own = values[0]  # the drawn edges are soft already
    assert values[1:] == pytest.approx([np.hypot(own, sigma) for sigma in sigmas], rel=0.2)
    assert checks[0].passed
    assert not checks[-1].passed
    assert not checks[-2].passed


@tones
def test_noise_does_not_make_a_blurred_picture_sharp(tone: str) -> None:
    lab = made.face(tone)
    grain = np.random.default_rng(0).normal(0, 0.03, lab.shape).astype(np.float32) * [1, 0, 0]
    assert not roi_check("blur", (blurred(lab, 5.0) * (1 + grain)).astype(np.float32)).passed


def test_blur_does_not_depend_on_the_exposure() -> None:
    plain = roi_check("blur", made.face("medium"))
    dim = roi_check("blur", in_light(made.face("medium"), 0.3))
    assert dim.value == pytest.approx(plain.value, rel=0.15)


def test_closed_eyes_warn_and_never_refuse() -> None:
    """The eyes are painted over with skin."""
    lab = made.face("medium")
    for eye in ("right_eye", "left_eye"):
        lab[geometry.fill(geometry.grow(made.landmarks()[eye], 8.0))] = made.TONES["medium"]
    closed, seen_open = roi_check("eyes_closed", lab), roi_check("eyes_closed", made.face("medium"))
    assert seen_open.passed
    assert (closed.passed, closed.refuses) == (False, False)
    assert (closed.value or 0.0) < 0.2


def test_whether_blurred_eyes_are_open_is_not_said() -> None:
    check = roi_check("eyes_closed", blurred(made.face("medium"), 6.0))
    assert (check.passed, check.value) == (True, None)


@tones
def test_hidden_skin_is_not_enough(tone: str) -> None:
    outline = geometry.fill(geometry.outline(made.landmarks()))
    rows = np.arange(512)[:, None]
    checks = [
        roi_check("not_enough_skin", made.face(tone), mask=made.skin_mask() & (rows < low)) for low in (512, 250, 130)
    ]
    assert checks[0].value == pytest.approx(made.skin_mask().sum() / outline.sum(), abs=0.001)
    assert checks[0].passed
    assert not checks[-1].passed
    assert all((before.value or 0) > (after.value or 0) for before, after in pairwise(checks))


@pytest.mark.parametrize(("colour", "a", "b"), [("blue", 0.0, -30.0), ("green", -30.0, 20.0), ("purple", 15.0, -25.0)])
@tones
def test_coloured_light_warns(tone: str, colour: str, a: float, b: float) -> None:
    lab = made.face(tone) + np.float32([0.0, a, b])
    check = roi_check("colour_cast", lab)
    assert not check.passed
    assert not check.refuses
    assert 0 < (check.value or 0) <= 180
    assert "lamp" in check.advice


@tones
def test_warm_light_and_flush_are_no_colour_cast(tone: str) -> None:
    for shift in ([0, 2, 10], [0, 12, 0], [0, -2, -3]):
        assert roi_check("colour_cast", made.face(tone) + np.float32(shift)).passed


@tones
def test_black_and_white_is_refused(tone: str) -> None:
    check = roi_check("colour_cast", made.face(tone) * np.float32([1, 0, 0]))
    assert (check.passed, check.refuses) == (False, True)
    assert "colour" in check.advice
    faded = roi_check("colour_cast", made.face(tone) * np.float32([1, 0, 0]) + np.float32([0, 1, 2]))
    assert (faded.passed, faded.refuses) == (False, True)
    sepia = roi_check("colour_cast", made.face(tone) * np.float32([1, 0, 0]) + np.float32([0, 6, 15]))
    assert sepia.passed


def test_without_skin_the_checks_still_give_numbers_or_none() -> None:
    for mask in (np.zeros((512, 512), bool), np.eye(512, dtype=bool) & (np.arange(512) == 301)):
        checks = quality.check_roi(made.roi_of(made.face(), mask=mask))
        assert all(check.value is None or np.isfinite(check.value) for check in checks)
        assert not named(checks, "not_enough_skin").passed
        assert named(checks, "colour_cast").passed


@pytest.mark.parametrize("code", sorted(quality.REFUSALS))
def test_the_refusal_comes_first_in_what_a_person_is_told(code: str) -> None:
    checks = tuple(
        Check(
            name,
            name not in (code, "tilted"),
            name in (*REFUSING, "colour_cast"),
            1.0,
            2.0,
            "unit",
            f"Advice on {name}.",
        )
        for name in sorted(REFUSING | WARNING)
    )
    stop = quality.refusal(checks)
    assert stop is not None
    assert stop.code == code
    told = quality.guidance(checks, "fine")
    assert told.message == quality.REFUSALS[code]
    assert told.suggestions == (f"Advice on {code}.", "Advice on tilted.")


@pytest.mark.parametrize("code", quality.BAD_LIGHT)
def test_light_that_is_refused_speaks_alone_of_what_it_spoils(code: str) -> None:
    checks = tuple(
        Check(
            name,
            name not in (code, *quality.UNSURE_IN_BAD_LIGHT, "tilted"),
            name == code,
            1.0,
            2.0,
            "unit",
            f"On {name}.",
        )
        for name in sorted(REFUSING | WARNING)
    )
    assert quality.guidance(checks, "fine").suggestions == (f"On {code}.", "On tilted.")


def test_warnings_alone_let_the_analysis_go_on() -> None:
    checks = tuple(
        Check(name, name not in WARNING, name in REFUSING, 1.0, 2.0, "unit", f"Advice on {name}.")
        for name in sorted(REFUSING | WARNING)
    )
    assert quality.refusal(checks) is None
    told = quality.guidance(checks, "Analysis complete")
    assert told.message == "Analysis complete"
    assert len(told.suggestions) == len(WARNING)


def table_of_limits() -> dict[str, list[str]]:
    """Code → cells of its row in docs/quality.md."""
    rows = re.findall(
        r"^\| `(\w+)` \|(.*)\|$", PAGE.read_text(encoding="utf-8").split("## Limits")[1].split("\n## ")[0], re.MULTILINE
    )
    return {code: [cell.strip() for cell in cells.split("|")] for code, cells in rows}


def test_the_published_table_says_what_the_code_does() -> None:
    checks = {check.code: check for check in all_checks(made.face())}
    rows = table_of_limits()
    assert set(rows) == set(checks)
    for code, (_, limit, unit, effect, *_) in rows.items():
        assert float(limit.strip("≥≤ ")) == pytest.approx(checks[code].limit), code
        assert unit == checks[code].unit, code
        assert effect.startswith("refuses" if checks[code].refuses else "warns"), code
