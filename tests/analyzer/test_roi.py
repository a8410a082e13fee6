"""The aligned crop: read-only arrays, colour spaces, the way back to original pixels, borders, copies of other size."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import cv2
import numpy as np
import pytest
from skimage import color

from analyzer import geometry, roi
from analyzer.geometry import SIZE
from analyzer.roi import Roi
from analyzer.values import Box, Face, Photo, Points, Rgb
from tests.analyzer import generated_skin as made

REGIONS = {"forehead", "nose", "left_cheek", "right_cheek", "chin", "left_under_eye", "right_under_eye", "perioral"}
CANVAS = (1500, 1300)  # px, width and height of the picture that holds the generated face
BIG = 900 / SIZE  # picture px per px of the generated face


def placed(angle_deg: float = 0.0, factor: float = BIG, middle: tuple[float, float] = (760.0, 640.0)) -> np.ndarray:
    """(2, 3) affine from the generated face to the picture."""
    matrix = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), -angle_deg, factor)
    matrix[:, 2] += np.array(middle) - SIZE / 2
    return matrix


def picture(matrix: np.ndarray, tone: str = "medium", size: tuple[int, int] = CANVAS) -> Rgb:
    """A picture with the generated face on a dull wall."""
    lab = np.where(geometry.fill(geometry.outline(made.landmarks()))[..., None], made.face(tone), [40.0, 0.0, -8.0])
    rgb = made.to_rgb(lab.astype(np.float32))
    return cv2.warpAffine(rgb, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def seen(matrix: np.ndarray) -> Face:
    """The face as a detector with landmarks would report it."""
    points = {name: geometry.transform(matrix, group) for name, group in made.landmarks().items()}
    low, high = points["face_oval"].min(axis=0), points["face_oval"].max(axis=0)
    eyes = np.stack([points["right_eye"].mean(axis=0), points["left_eye"].mean(axis=0)])
    across, down = eyes[1] - eyes[0]
    box = Box(float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))
    return Face(box, 0.9, eyes, float(np.degrees(np.arctan2(down, across))), "made", 0.0, points)


def photo(rgb: Rgb, scale: float = 1.0) -> Photo:
    height, width = rgb.shape[:2]
    return Photo(rgb, (round(width / scale), round(height / scale)), scale, "image/png")


def extracted(matrix: np.ndarray, **how: object) -> Roi:
    return roi.extract(photo(picture(matrix, **how)), seen(matrix))  # type: ignore[arg-type]


@cache
def frontal() -> Roi:
    return extracted(placed())


def landmarks_apart(one: Mapping[str, Points], other: Mapping[str, Points]) -> float:
    return max(float(np.linalg.norm(one[name] - other[name], axis=1).max()) for name in one)


def test_all_arrays_are_read_only_and_of_the_published_kind() -> None:
    region = frontal()
    arrays = {
        "rgb": (region.rgb, np.uint8, (SIZE, SIZE, 3)),
        "skin": (region.skin, np.bool_, (SIZE, SIZE)),
        "lab": (region.lab, np.float32, (SIZE, SIZE, 3)),
        "hsv": (region.hsv, np.float32, (SIZE, SIZE, 3)),
        "gray": (region.gray, np.uint8, (SIZE, SIZE)),
        "baseline_lab": (region.baseline_lab, np.float32, (3,)),
        "to_original": (region.to_original, np.float32, (2, 3)),
    }
    for name, (array, dtype, shape) in arrays.items():
        assert array.dtype == dtype, name
        assert array.shape == shape, name
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    for group in (*region.regions.values(), *region.landmarks.values()):
        assert not group.flags.writeable
    with pytest.raises(TypeError):
        region.regions["nose"] = region.skin  # type: ignore[index]
    with pytest.raises(AttributeError):
        region.scale = 2.0  # type: ignore[misc]


def test_conversions_are_computed_once() -> None:
    assert frontal().lab is frontal().lab
    assert frontal().hsv is frontal().hsv
    assert frontal().gray is frontal().gray


def test_colour_spaces_agree_with_their_definitions() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    region = roi.from_parts(colours, np.ones((SIZE, SIZE), bool), {})
    # OpenCV looks the cube root up in a table
    np.testing.assert_allclose(region.lab, color.rgb2lab(colours), atol=0.6)
    hsv = color.rgb2hsv(colours)
    np.testing.assert_allclose(region.hsv[..., 1:], hsv[..., 1:], atol=1e-3)
    turn = np.abs((region.hsv[..., 0] - 360 * hsv[..., 0] + 180) % 360 - 180)
    assert turn[hsv[..., 1] > 0.01].max() < 0.1
    np.testing.assert_allclose(region.gray, colours @ [0.299, 0.587, 0.114], atol=1.0)


def test_skin_colours_agree_with_their_definition_closely() -> None:
    skin = frontal().rgb[frontal().skin]
    np.testing.assert_allclose(frontal().lab[frontal().skin], color.rgb2lab(skin[None])[0], atol=0.3)


def test_the_baseline_is_the_colour_of_cheeks_and_forehead() -> None:
    for tone, colour in made.TONES.items():
        found = roi.extract(photo(picture(placed(), tone)), seen(placed())).baseline_lab
        np.testing.assert_allclose(found, colour, atol=3.0)


def test_the_baseline_without_skin_is_not_a_number() -> None:
    empty = roi.from_parts(np.zeros((SIZE, SIZE, 3), np.uint8), np.zeros((SIZE, SIZE), bool), {})
    assert np.isnan(empty.baseline_lab).all()


def test_the_baseline_of_a_face_with_covered_cheeks_is_that_of_the_rest() -> None:
    lab, nose = made.face(), made.region_mask("nose")
    region = made.roi_of(lab, mask=nose)
    np.testing.assert_allclose(region.baseline_lab, np.median(region.lab[nose], axis=0), atol=0.1)


def test_regions_are_skin_and_nothing_else() -> None:
    region = frontal()
    assert set(region.regions) == REGIONS
    for name, mask in region.regions.items():
        assert mask.sum() > 800, name
        assert not (mask & ~region.skin).any(), name


@pytest.mark.parametrize("angle_deg", [0.0, 24.0, -90.0, 180.0])
@pytest.mark.parametrize("factor", [0.5, 1.0, 2.2])
def test_the_crop_is_aligned_whatever_the_picture(angle_deg: float, factor: float) -> None:
    matrix = placed(angle_deg, factor)
    region = extracted(matrix)
    assert landmarks_apart(region.landmarks, extracted(placed(0.0, 1.0)).landmarks) < 0.5
    assert region.scale == pytest.approx(1 / factor, rel=0.05)
    eyes = [region.landmarks[name].mean(axis=0)[1] for name in ("right_eye", "left_eye")]
    np.testing.assert_allclose(eyes, geometry.EYE_LINE_Y, atol=0.1)
    lips = region.lab[geometry.fill(region.landmarks["lips_outer"])]
    assert np.median(lips[:, 1]) > region.baseline_lab[1] + 8


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.25])
def test_working_points_lead_back_to_the_original(scale: float) -> None:
    """Landmarks known in the original are met again from the crop, also through a reduced copy."""
    matrix = placed(15.0, 1.1)
    region = roi.extract(photo(picture(matrix), scale), seen(matrix))
    for name, group in made.landmarks().items():
        original = geometry.transform(matrix, group) / scale
        np.testing.assert_allclose(
            geometry.transform(region.to_original, region.landmarks[name]), original, atol=0.1 / scale
        )
    assert region.scale == pytest.approx(scale / 1.1, rel=0.05)


def test_a_box_in_the_crop_becomes_a_box_around_it_in_the_original() -> None:
    region = roi.extract(photo(picture(placed(0.0, 2.0)), 0.5), seen(placed(0.0, 2.0)))
    box = region.original_box(100, 200, 40, 20)
    corners = geometry.transform(region.to_original, np.float32([[100, 200], [140, 220]]))
    np.testing.assert_allclose([box.x, box.y], corners[0], atol=0.05)
    np.testing.assert_allclose([box.x + box.width, box.y + box.height], corners[1], atol=0.05)
    assert box.width == pytest.approx(40 / region.scale, rel=1e-3)


def test_the_box_of_a_turned_face_holds_the_turned_corners() -> None:
    region = extracted(placed(30.0, 1.0))
    box = region.original_box(100, 200, 40, 20)
    angle = np.radians(30)
    assert box.width == pytest.approx((40 * np.cos(angle) + 20 * np.sin(angle)) / region.scale, rel=0.01)
    assert box.height == pytest.approx((40 * np.sin(angle) + 20 * np.cos(angle)) / region.scale, rel=0.01)


def test_a_mark_in_the_picture_is_found_again_through_the_box() -> None:
    """A blue dot drawn into the original lies inside the box that leads back from where the crop shows it."""
    matrix = placed(-18.0, 1.4)
    rgb = picture(matrix)
    spot = geometry.transform(matrix, np.float32([[190, 300]]))[0]
    cv2.circle(rgb, tuple(round(float(value)) for value in spot), 6, (0, 0, 255), -1)
    region = roi.extract(photo(rgb), seen(matrix))
    y, x = np.argwhere(region.lab[..., 2] < -40).mean(axis=0)
    centre = region.original_box(x - 2, y - 2, 4, 4).centre
    np.testing.assert_allclose(centre, spot, atol=1.2)


def test_what_lies_outside_the_picture_is_not_skin() -> None:
    middle = (40.0, 640.0)  # the picture's left edge runs through the nose
    region = extracted(placed(0.0, 1.5, middle))
    edge = geometry.transform(cv2.invertAffineTransform(region.to_original), np.float32([[0, 640]]))[0, 0]
    assert 150 < edge < 300
    assert not region.skin[:, : int(edge) - 2].any()
    assert region.skin[:, int(edge) + 10 :].any()
    assert not region.regions["left_cheek"].any() or np.argwhere(region.regions["left_cheek"])[:, 1].min() > edge - 3


@pytest.mark.parametrize("tone", made.TONES)
def test_a_copy_of_twice_the_size_gives_the_same_crop(tone: str) -> None:
    matrix = placed(7.0, 1.3)
    rgb = picture(matrix, tone)
    face = seen(matrix)
    larger = cv2.resize(rgb, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    one, two = roi.extract(photo(rgb), face), roi.extract(photo(larger), face.scaled(2.0))
    assert two.scale == pytest.approx(one.scale / 2, rel=1e-4)
    assert (one.skin ^ two.skin).sum() < 0.02 * one.skin.sum()
    np.testing.assert_allclose(two.baseline_lab, one.baseline_lab, atol=0.4)
    assert float(cv2.absdiff(one.rgb, two.rgb)[one.skin].mean()) < 1.5
    box, doubled = one.original_box(150, 250, 30, 30), two.original_box(150, 250, 30, 30).scaled(0.5)
    np.testing.assert_allclose([box.x, box.y, box.width], [doubled.x, doubled.y, doubled.width], atol=0.1)


@pytest.mark.parametrize("factor", [2.0, 3.3, 6.0])
def test_shrinking_does_not_move_the_picture(factor: float) -> None:
    """Bright dots stay where the landmarks' frame says they are, also when the photo is averaged first."""
    matrix = placed(0.0, factor, (256 * factor, 256 * factor))
    size = (round(SIZE * factor), round(SIZE * factor))
    rgb = np.full((size[1], size[0], 3), 60, np.uint8)
    places = np.float32([[120, 140], [390, 150], [256, 300], [140, 430], [380, 420]])
    for x, y in geometry.transform(matrix, places):
        cv2.circle(
            rgb, (round(float(x * 16)), round(float(y * 16))), round(5 * factor * 16), (255,) * 3, -1, cv2.LINE_AA, 4
        )
    region = roi.extract(photo(rgb), seen(matrix))
    expected = geometry.transform(cv2.invertAffineTransform(region.to_original), geometry.transform(matrix, places))
    _, _, _, middles = cv2.connectedComponentsWithStats((region.gray > 150).astype(np.uint8))
    for place in expected:
        assert np.linalg.norm(middles[1:] - place, axis=1).min() < 0.15


def test_without_landmarks_there_is_one_region_the_whole() -> None:
    region = made.close_up_of(made.plain())
    assert set(region.regions) == {"whole"}
    assert region.regions["whole"].all()
    np.testing.assert_allclose(region.baseline_lab, made.TONES["medium"], atol=0.5)


def test_the_prior_stands_in_for_missing_landmarks_and_is_told_apart() -> None:
    matrix = placed()
    face = seen(matrix)
    side = 0.95 * face.box.width
    box = Box(face.box.centre[0] - side / 2, face.box.centre[1] - side / 2 + 0.05 * side, side, side)
    bare = Face(box, 0.9, face.eyes, face.roll_deg, "made", 0.0)
    guessed = roi.extract(photo(picture(matrix)), bare)
    assert not guessed.measured_landmarks
    assert frontal().measured_landmarks
    assert set(guessed.regions) == REGIONS
    assert (guessed.skin & frontal().skin).sum() > 0.75 * frontal().skin.sum()


def test_a_place_belongs_to_the_region_whose_skin_it_lies_on() -> None:
    face = made.roi_of(made.face())
    for name in REGIONS - {"left_under_eye", "right_under_eye"}:
        y, x = np.argwhere(face.regions[name])[face.regions[name].sum() // 2]
        assert name == face.region_at(x, y) or face.regions[str(face.region_at(x, y))][y, x]
    assert face.region_at(*made.landmarks()["right_eye"].mean(axis=0)) is None
    assert [face.region_at(x, y) for x, y in ((-1, 200), (512, 200), (200, -5), (200, 9000))] == [None] * 4


@pytest.mark.parametrize("step", [1, 2, 4])
def test_values_per_region_are_taken_from_the_visible_part_of_each(step: int) -> None:
    face = made.roi_of(made.face())
    visible = face.skin[::step, ::step].copy()
    visible[:, : visible.shape[1] // 2] = False
    counts = face.per_region(visible, 200 // step**2, lambda mask: float(mask.sum()))
    assert counts["left_cheek"] is None
    assert counts["right_cheek"] == np.count_nonzero(face.regions["right_cheek"][::step, ::step] & visible)
    assert set(counts) == REGIONS
