"""What holds for every condition, however odd the picture: no exception, no NaN, a score or a reason, the right side."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer import geometry, roi, skin, skin_tone
from analyzer.conditions import CONDITIONS, acne, dark_spots, pigmentation, redness
from analyzer.roi import Roi
from analyzer.values import Finding, Mask, Points, Rgb
from analyzer.vocabulary import Severity
from tests.analyzer import generated_skin as made

SIDE = geometry.SIZE
CODES = {"too_small", "too_blurred", "too_few_pixels", "no_colour", "coloured_light", "overexposed"}
GATED_BY_SIZE = {"acne", "dark_spots", "texture", "pores", "wrinkles", "under_eye"}
LEAST_MEASURED = (
    3  # conditions that even a face of pure noise gives a number for, so that the odd ones are really measured
)


def colour(*rgb: int) -> Rgb:
    return np.full((SIDE, SIDE, 3), rgb, np.uint8)


def noise(levels: int, seed: int = 0) -> Rgb:
    steps = np.random.default_rng(seed).integers(0, levels, (SIDE, SIDE, 3))
    return (steps * (255 // (levels - 1))).astype(np.uint8)


def checkerboard() -> Rgb:
    return np.repeat((np.indices((SIDE, SIDE)).sum(axis=0, keepdims=True).transpose(1, 2, 0) % 2 * 255), 3, 2).astype(
        np.uint8
    )


PICTURES: Mapping[str, Rgb] = {
    "black": colour(0, 0, 0),
    "nearly black": colour(3, 2, 1),
    "white": colour(255, 255, 255),
    "grey": colour(119, 119, 119),
    "red": colour(255, 0, 0),
    "blue": colour(0, 0, 255),
    "noise": noise(256),
    "salt and pepper": noise(2),
    "checkerboard": checkerboard(),
    "half black, half white": np.hstack([colour(0, 0, 0)[:, :256], colour(255, 255, 255)[:, 256:]]),
    "a face": made.to_rgb(made.face()),
}


def block(rows: slice, columns: slice) -> Mask:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[rows, columns] = True
    return mask


MASKS: Mapping[str, Callable[[], Mask]] = {
    "of the face": lambda: made.skin_mask().copy(),
    "everything": lambda: np.ones((SIDE, SIDE), bool),
    "nothing": lambda: np.zeros((SIDE, SIDE), bool),
    "the last pixel": lambda: block(slice(-1, None), slice(-1, None)),
    "a patch in the corner": lambda: block(slice(460, None), slice(460, None)),
    "one row": lambda: block(slice(256, 257), slice(None)),
    "the left half": lambda: block(slice(None), slice(256)),
    "speckle": lambda: np.random.default_rng(1).random((SIDE, SIDE)) < 0.5,
}


def moved(matrix: np.ndarray) -> dict[str, Points]:
    return {name: geometry.transform(np.asarray(matrix, np.float32), group) for name, group in made.landmarks().items()}


LANDMARKS: Mapping[str, Callable[[], dict[str, Points]]] = {
    "none": dict,
    "in place": lambda: moved(np.eye(2, 3)),
    "half outside": lambda: moved(np.array([[1, 0, 300], [0, 1, 150]])),
    "far outside": lambda: moved(np.array([[1, 0, 2000], [0, 1, -2000]])),
    "upside down": lambda: moved(np.array([[-1, 0, 511], [0, -1, 511]])),
    "in one point": lambda: moved(np.array([[0, 0, 250], [0, 0, 250]])),
    "three times as large": lambda: moved(np.array([[3, 0, -500], [0, 3, -500]])),
}


def numbers(finding: Finding) -> list[float]:
    """Every number that leaves a condition."""
    boxes = [(spot.box.x, spot.box.y, spot.box.width, spot.box.height, spot.contrast) for spot in finding.lesions]
    optional = [finding.score, finding.area_fraction, *finding.regions.values(), *(finding.interval or ())]
    given = [value for value in optional if value is not None]
    return [*given, finding.confidence, *finding.evidence.values(), *(value for box in boxes for value in box)]


def assert_sound(finding: Finding) -> None:
    assert all(math.isfinite(value) for value in numbers(finding)), finding
    shares = [finding.score, finding.area_fraction, *finding.regions.values(), *(finding.interval or ())]
    assert all(0.0 <= share <= 1.0 for share in [finding.confidence, *shares] if share is not None), finding
    assert all(spot.box.width > 0 and spot.box.height > 0 and spot.contrast > 0 for spot in finding.lesions)
    if finding.score is None:
        assert finding.severity is Severity.NONE
        assert finding.interval is None
        assert not finding.evidence
        code, _, sentence = (finding.reason or "").partition(": ")
        assert code in CODES
        assert sentence.endswith("."), finding.reason
    else:
        assert finding.reason is None
        assert finding.interval is not None
        assert finding.interval[0] <= finding.score <= finding.interval[1]


def measured(face: Roi, *, gate: bool) -> list[Finding]:
    findings = [measure(face, gate=gate) for measure in CONDITIONS.values()]
    assert [finding.name for finding in findings] == list(CONDITIONS)
    return findings


@pytest.mark.parametrize("landmarks", LANDMARKS)
@pytest.mark.parametrize("picture", PICTURES)
def test_odd_pictures_masks_and_landmarks_give_a_score_or_a_reason(picture: str, landmarks: str) -> None:
    for mask in MASKS.values():
        face = roi.from_parts(PICTURES[picture].copy(), mask(), LANDMARKS[landmarks]())
        for gate in (True, False):
            for finding in measured(face, gate=gate):
                assert_sound(finding)


@pytest.mark.parametrize("picture", PICTURES)
def test_odd_pictures_really_are_measured(picture: str) -> None:
    face = roi.from_parts(PICTURES[picture].copy(), made.skin_mask().copy(), moved(np.eye(2, 3)))
    assert sum(finding.score is not None for finding in measured(face, gate=False)) >= LEAST_MEASURED


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    grain_px=st.floats(0.3, 30),
    base=st.tuples(st.floats(0, 100), st.floats(-60, 60), st.floats(-60, 60)),
    spread=st.tuples(st.floats(0, 40), st.floats(0, 30), st.floats(0, 30)),
    ellipse=st.tuples(st.floats(-50, 560), st.floats(-50, 560), st.floats(1, 400), st.floats(1, 400)),
    turn=st.tuples(st.floats(-180, 180), st.floats(0.05, 3), st.floats(-300, 300), st.floats(-300, 300)),
    scale=st.floats(0.05, 8),
    gate=st.booleans(),
)
def test_random_skin_gives_a_score_or_a_reason(
    seed: int,
    grain_px: float,
    base: tuple[float, float, float],
    spread: tuple[float, float, float],
    ellipse: tuple[float, float, float, float],
    turn: tuple[float, float, float, float],
    scale: float,
    gate: bool,
) -> None:
    grain = np.random.default_rng(seed).standard_normal((SIDE, SIDE, 3)).astype(np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), grain_px)
    rgb = made.to_rgb(np.float32(base) + np.float32(spread) * grain / grain.std())
    x, y, width, height = ellipse
    mask = geometry.fill(geometry.ellipse(np.array([x, y]), width, height))
    angle, zoom, right, down = turn
    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), angle, zoom)
    matrix[:, 2] += right, down
    landmarks = moved(matrix)
    assert skin.segment(rgb, landmarks).shape == mask.shape
    for finding in measured(roi.from_parts(rgb, mask, landmarks, scale=scale), gate=gate):
        assert_sound(finding)


@pytest.mark.parametrize("name", CONDITIONS)
def test_without_visible_skin_nothing_is_measured(name: str) -> None:
    for gate in (True, False):
        face = made.roi_of(made.face(), mask=np.zeros((SIDE, SIDE), bool))
        assert (CONDITIONS[name](face, gate=gate).reason or "").startswith("too_few_pixels: ")


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_face_that_is_far_too_small_is_refused_where_detail_counts(name: str) -> None:
    finding = CONDITIONS[name](made.roi_of(made.face(), scale=6.0))
    assert ((finding.reason or "").startswith("too_small: ")) == (name in GATED_BY_SIZE)


@pytest.mark.parametrize("measure", [acne.measure, redness.measure, dark_spots.measure, pigmentation.measure])
def test_colour_is_not_measured_in_black_and_white(measure: Callable[..., Finding]) -> None:
    grey = made.face()
    grey[..., 1:] = 0
    assert (measure(made.roi_of(grey)).reason or "").startswith("no_colour: ")
    assert measure(made.roi_of(grey), gate=False).score is not None


@pytest.mark.parametrize("tone", made.TONES)
@pytest.mark.parametrize("light", [(0.6, 0.6, 1.4), (0.55, 1.0, 1.4), (1.0, 0.4, 1.3)], ids=["violet", "blue", "pink"])
def test_what_coloured_light_makes_of_skin_is_not_measured(tone: str, light: tuple[float, float, float]) -> None:
    face = made.roi_of(made.face(tone))
    lit = replace(face, rgb=np.clip(face.rgb * np.float32(light), 0, 255).astype(np.uint8))
    for measure in (acne.measure, redness.measure, dark_spots.measure, pigmentation.measure):
        assert (measure(lit).reason or "").startswith("coloured_light: ")
    tint = skin_tone.estimate(lit)
    assert tint is not None
    assert not tint.estimates_agree


@pytest.mark.parametrize("tone", made.TONES)
def test_skin_that_lost_its_reds_is_not_judged_by_them(tone: str) -> None:
    face = made.roi_of(made.face(tone))
    red = float(np.median(face.rgb[face.skin][:, 0]))
    bright = replace(face, rgb=np.clip(face.rgb * np.float32(260 / red), 0, 255).astype(np.uint8))
    for measure in (redness.measure, dark_spots.measure, pigmentation.measure):
        assert (measure(bright).reason or "").startswith("overexposed: ")
        assert measure(bright, gate=False).score is not None
    assert acne.measure(bright).score is not None, "spots stand out from the skin around them all the same"


def test_dark_spots_are_not_looked_for_where_no_ring_fits_on_skin() -> None:
    strips = np.tile(np.arange(SIDE) % 16 < 10, (SIDE, 1))
    finding = dark_spots.measure(made.roi_of(made.face(), mask=strips & made.skin_mask()))
    assert (finding.reason or "").startswith("too_few_pixels: ")


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_same_face_gives_the_same_finding(name: str) -> None:
    first, second = (CONDITIONS[name](made.roi_of(made.add_texture(made.face(), 3.0))) for _ in range(2))
    assert first == second


def creases(side: str) -> list[Points]:
    """Level lines under one eye."""
    x, y, width, height = cv2.boundingRect(made.region_mask(f"{side}_under_eye").astype(np.uint8))
    return [np.float32([[x + 6, y + row], [x + width - 6, y + row]]) for row in range(8, height - 4, 5)]


ONE_SIDED: Mapping[str, tuple[str, Callable[[str], made.Lab]]] = {
    "acne": ("cheek", lambda side: made.add_red_blobs(made.face(), made.spread(8, f"{side}_cheek"))),
    "redness": ("cheek", lambda side: made.add_redness(made.face(), 12, regions=[f"{side}_cheek"])),
    "dark_spots": ("cheek", lambda side: made.add_brown_spots(made.face(), made.spread(8, f"{side}_cheek"))),
    "texture": ("cheek", lambda side: _mixed(made.add_texture(made.face(), 4.0), side)),
    "pores": (
        "cheek",
        lambda side: made.add_pores(made.face(noise=0.15), made.spread(40, f"{side}_cheek", apart_px=9)),
    ),
    "wrinkles": ("under_eye", lambda side: made.add_lines(made.face(), creases(side), depth=0.2)),
    "pigmentation": ("cheek", lambda side: _mixed(made.add_uneven_pigment(made.face(), 5.0), side)),
    "under_eye": ("under_eye", lambda side: made.add_under_eye_darkening(made.face(), 0.3, sides=[side])),
}


def _mixed(changed: made.Lab, side: str) -> made.Lab:
    """The changed canvas on one side, the plain face on the other."""
    lab, half = made.face(), slice(SIDE // 2) if side == "left" else slice(SIDE // 2, None)
    lab[:, half] = changed[:, half]
    return lab


@pytest.mark.parametrize(("side", "other"), [("left", "right"), ("right", "left")])
@pytest.mark.parametrize("name", CONDITIONS)
def test_what_is_on_one_side_is_found_on_that_side(name: str, side: str, other: str) -> None:
    part, paint = ONE_SIDED[name]
    finding = CONDITIONS[name](made.roi_of(paint(side)))
    here, there = finding.regions[f"{side}_{part}"], finding.regions[f"{other}_{part}"]
    assert here is not None
    assert there is not None
    assert here > there + 0.05, finding
    assert not any(spot.region == f"{other}_{part}" for spot in finding.lesions[:3])


def test_a_face_of_which_only_slivers_show_has_no_skin() -> None:
    """Seeds that vanish between the samples of the colour grid."""
    landmarks = moved(np.array([[0.16, 0.61, -70.42], [-0.61, 0.16, 735.0]]))
    assert not skin.segment(PICTURES["a face"], landmarks).any()
