"""The skin mask on generated faces of three tones: what it must hold, what it must leave out, what must not move it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from analyzer import geometry, skin
from analyzer.geometry import SIZE
from analyzer.values import Mask
from tests.analyzer import generated_skin as made
from tests.analyzer.generated_skin import MIDDLE, TONES, Lab

HAIR = {"light": (38.0, 8.0, 16.0), "medium": (22.0, 4.0, 6.0), "dark": (12.0, 2.0, 2.0)}  # CIELAB
WALLS = {"white": (94.0, 0.0, 2.0), "grey": (55.0, 0.0, 0.0), "blue": (50.0, 0.0, -30.0), "green": (60.0, -25.0, 20.0)}
EDGE_PX = 9  # band along painted edges that counts neither way: 512 px crop, mask found at 256 px

tones = pytest.mark.parametrize("tone", TONES)


def segmented(lab: Lab) -> Mask:
    return skin.segment(made.to_rgb(lab), made.landmarks())


def covered(mask: Mask, area: Mask) -> float:
    return float((mask & area).sum() / area.sum())


def inner(area: Mask, px: int = EDGE_PX) -> Mask:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * px + 1,) * 2)
    return cv2.erode(area.astype(np.uint8), disc, borderValue=0).astype(bool)


def painted(lab: Lab, area: Mask, colour: tuple[float, float, float], *, strands: float = 0.0) -> Lab:
    """The canvas with one colour on an area; `strands` is the standard deviation of vertical lines in L*."""
    lines = np.random.default_rng(4).standard_normal((1, SIZE)).astype(np.float32)
    grain = np.random.default_rng(5).standard_normal((SIZE, SIZE)).astype(np.float32)
    texture = strands * cv2.GaussianBlur(0.7 * lines + 0.7 * grain, (0, 0), 1.0) * 2.0
    cover = np.broadcast_to(np.float32(colour), lab.shape).copy()
    cover[..., 0] = np.maximum(cover[..., 0] + texture, 2.0)
    weight = cv2.GaussianBlur(area.astype(np.float32), (0, 0), 1.0)[..., None]
    return lab * (1 - weight) + cover * weight


def rows_and_columns() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    y, x = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
    return y, x


def fringe() -> Mask:
    """Hair that hangs over the upper forehead of one side."""
    y, x = rows_and_columns()
    outline = geometry.outline(made.landmarks())
    return y < outline[:, 1].min() + 34 + 18 * np.sin(x / 60)


def beard() -> Mask:
    y, x = rows_and_columns()
    lips = geometry.fill(geometry.grow(made.landmarks()["lips_outer"], 10))
    return (y > 355 + 0.006 * (MIDDLE - np.abs(x - MIDDLE)) ** 1.5 / 10) & ~lips


def glasses() -> Mask:
    eyes = [made.landmarks()[name].mean(axis=0) for name in ("right_eye", "left_eye")]
    lenses = geometry.fill(*(geometry.ellipse(eye + np.float32([0, 8]), 52, 40) for eye in eyes))
    bridge = geometry.fill(np.float32([[200, 205], [312, 205], [312, 214], [200, 214]]))
    return lenses | bridge


def narrow_background() -> Mask:
    """What is seen beside a face that is narrower than its landmarks say."""
    _, x = rows_and_columns()
    oval = geometry.outline(made.landmarks())[:, 0]
    return (x < oval.min() + 30) | (x > oval.max() - 30)


@tones
def test_the_mask_holds_the_skin_and_nothing_outside_the_face(tone: str) -> None:
    mask = segmented(made.face(tone))
    assert mask.dtype == bool
    assert mask.shape == (SIZE, SIZE)
    assert covered(mask, made.skin_mask()) >= 0.95
    outside = ~geometry.fill(geometry.outline(made.landmarks()))
    features = geometry.fill(*geometry.feature_polygons(made.landmarks()).values())
    assert not (mask & (outside | features)).any()


OBSTACLES = {"fringe": fringe, "beard": beard, "dark glasses": glasses}


@tones
@pytest.mark.parametrize("name", OBSTACLES)
def test_hair_and_glasses_are_left_out(tone: str, name: str) -> None:
    area = OBSTACLES[name]()
    colour, strands = (HAIR[tone], 5.0) if name != "dark glasses" else ((9.0, 0.0, -2.0), 0.0)
    mask = segmented(painted(made.face(tone), area, colour, strands=strands))
    assert covered(mask, inner(area) & made.skin_mask()) <= 0.08
    assert covered(mask, inner(made.skin_mask() & ~area)) >= 0.85


@tones
@pytest.mark.parametrize("name", ["fringe", "beard"])
def test_smooth_dark_hair_is_left_out_by_its_darkness(tone: str, name: str) -> None:
    area = OBSTACLES[name]()
    mask = segmented(painted(made.face(tone), area, (0.4 * TONES[tone][0], 9.0, 14.0)))
    assert covered(mask, inner(area) & made.skin_mask()) <= 0.08
    assert covered(mask, inner(made.skin_mask() & ~area)) >= 0.85


@tones
@pytest.mark.parametrize("wall", WALLS)
def test_background_inside_the_outline_is_left_out(tone: str, wall: str) -> None:
    area = narrow_background()
    mask = segmented(painted(made.face(tone), area, WALLS[wall]))
    assert covered(mask, inner(area) & made.skin_mask()) <= 0.05
    assert covered(mask, inner(made.skin_mask() & ~area)) >= 0.9


@tones
def test_spots_flush_and_shine_stay_inside(tone: str) -> None:
    """What is to be measured must not be cut out."""
    plain = made.face(tone)
    places = made.spread(14, "left_cheek", "right_cheek", "forehead", apart_px=30, inset_px=20)
    spots = made.blobs(places, 4.5) > 0.5
    red = made.add_red_blobs(plain, places, diameter_mm=4.5, a_excess=18)
    brown = made.add_brown_spots(plain, places, diameter_mm=4.5, deficit=0.35)
    for lab in (red, brown):
        mask = segmented(lab)
        assert covered(mask, spots & made.skin_mask()) >= 0.95
        assert covered(mask, made.skin_mask()) >= 0.93
    cheeks = made.region_mask("left_cheek") | made.region_mask("right_cheek")
    assert covered(segmented(made.add_redness(plain, 16.0)), inner(cheeks)) >= 0.95
    shine = made.blobs(np.float32([[190, 285], [322, 285], [256, 120]]), 14)
    glossy = plain + shine[..., None] * (np.float32([97, 0, 2]) - plain) * 0.8
    assert covered(segmented(glossy), inner(cheeks)) >= 0.95


@tones
@pytest.mark.parametrize("sideways", [0.3, 0.5, 0.65])
def test_light_from_one_side_is_followed(tone: str, sideways: float) -> None:
    """L* falls by this share from one edge of the face to the other; chroma falls with it, as light does."""
    _, x = rows_and_columns()
    light = 1 - sideways * np.clip((x - 110) / 290, 0, 1)
    mask = segmented(made.face(tone) * light[..., None])
    assert covered(mask, made.skin_mask()) >= 0.9


@tones
@pytest.mark.parametrize("exposure", [0.6, 1.15])
def test_exposure_hardly_changes_the_mask(tone: str, exposure: float) -> None:
    plain = made.face(tone)
    mask, changed = segmented(plain), segmented(plain * np.float32(exposure))
    assert (mask ^ changed).sum() <= 0.05 * mask.sum()


@tones
@pytest.mark.parametrize("name", [None, *OBSTACLES])
def test_a_mirrored_face_gives_the_mirrored_mask(tone: str, name: str | None) -> None:
    lab = made.add_shading(made.face(tone), down=6.0, sideways=5.0)
    if name:
        lab = painted(lab, OBSTACLES[name](), HAIR[tone], strands=5.0)
    mask, reverse = segmented(lab), segmented(made.flipped(lab))[:, ::-1]
    assert (mask ^ reverse).sum() <= 0.03 * mask.sum()


@tones
def test_a_hand_over_one_cheek_leaves_the_rest(tone: str) -> None:
    """A dark glove over a whole cheek: the other seeds carry the surface."""
    area = made.region_mask("left_cheek")
    mask = segmented(painted(made.face(tone), area, (15.0, 0.0, 0.0)))
    assert covered(mask, inner(area)) <= 0.05
    assert covered(mask, inner(made.skin_mask() & ~area)) >= 0.85


def test_no_skin_under_the_seeds_gives_an_empty_mask() -> None:
    far = {name: points + np.float32(4 * SIZE) for name, points in made.landmarks().items()}
    assert not skin.segment(made.to_rgb(made.face()), far).any()


def test_seeds_lie_on_skin_apart_from_features() -> None:
    seeds = geometry.fill(*skin.seed_polygons(made.landmarks()))
    assert covered(made.skin_mask(), seeds) > 0.9
    assert all((seeds & made.region_mask(name)).any() for name in ("forehead", "nose", "left_cheek", "right_cheek"))


@tones
def test_a_close_up_of_skin_is_nearly_all_skin_and_hair_in_it_is_not(tone: str) -> None:
    lab = made.add_texture(made.plain(tone), 0.8)
    assert skin.segment_close_up(made.to_rgb(lab)).mean() > 0.97
    y, _ = rows_and_columns()
    top = y < 110
    mask = skin.segment_close_up(made.to_rgb(painted(lab, top, HAIR[tone], strands=5.0)))
    assert covered(mask, inner(top)) <= 0.08
    assert covered(mask, inner(~top)) >= 0.95
