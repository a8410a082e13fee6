"""The whole story in two functions: `detect_faces` and `analyze_photo`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from analyzer import face, photo, quality, report, roi, skin_tone
from analyzer.conditions import assess
from analyzer.ensemble import Ensemble
from analyzer.errors import Abandoned, ModelUnavailable
from analyzer.photo import MAX_PIXELS
from analyzer.roi import Roi
from analyzer.values import Check, Demographics, Detection, Face, ModelState, Photo, Prediction, Report
from analyzer.vocabulary import CheckCode

DECODE_SHORT_SIDE = 1000  # px; large photos are first decoded at a reduced scale that keeps this much
FACE_WIDTH = 400.0  # px; with a narrower face in a reduced copy the photo is decoded again, less reduced
NOBODY = Demographics()
STAGES = ("decode", "face", "roi", "conditions", "ensemble")


def always_wanted() -> bool:
    """Return True: the caller waits for the result to the end."""
    return True


def detect_faces(
    data: bytes, *, max_pixels: int = MAX_PIXELS, is_wanted: Callable[[], bool] = always_wanted
) -> Detection:
    """Find the faces of a picture that an analysis would accept.

    Args:
        data: bytes of a picture file (JPEG, PNG, WebP, GIF, HEIC, AVIF).
        max_pixels: pixel count above which the header is refused before decoding.
        is_wanted: asked before each stage; False ends the work.

    Raises:
        BadPhoto: (or a subclass) the bytes are no picture that is taken.
        Abandoned: the result is not wanted any more.
    """
    watch = _Watch(is_wanted)
    picture, faces = _open(data, max_pixels, watch)
    checks, _ = _examine(picture, faces, watch)
    stop = quality.refusal(checks)
    others = [other for other in faces[1:] if not stop and not quality.refusal(_examine(picture, (other,), watch)[0])]
    return Detection(
        photo=picture,
        faces=() if stop else (faces[0], *others),
        faces_found=len(faces),
        checks=checks,
        error_code=stop.code if stop else None,
        guidance=quality.guidance(checks, "Face found"),
        timings_ms=watch.times_ms,
    )


def analyze_photo(
    data: bytes,
    ensemble: Ensemble,
    *,
    demographics: Demographics = NOBODY,
    max_pixels: int = MAX_PIXELS,
    is_wanted: Callable[[], bool] = always_wanted,
) -> Report:
    """Analyse the primary face of a picture.

    A photo that can be read but not analysed gives a Report with `error_code`, not an exception.

    Args:
        data: bytes of a picture file.
        ensemble: the learned part; when it is unavailable the report says so and rests on the classical part alone.
        demographics: self-reported; echoed, used for wording and handed to the ensemble.
        max_pixels, is_wanted: see `detect_faces`.

    Raises:
        BadPhoto: (or a subclass) the bytes are no picture that is taken.
        Abandoned: the result is not wanted any more.
    """
    watch = _Watch(is_wanted)
    picture, faces = _open(data, max_pixels, watch)
    checks, region = _examine(picture, faces, watch)
    stop = quality.refusal(checks)
    if stop or region is None:
        return report.refuse(
            photo=picture,
            face=faces[0] if faces else None,
            checks=checks,
            error_code=stop.code if stop else CheckCode.NO_FACE,
            guidance=quality.guidance(checks, ""),
            model=ensemble.state(),
            demographics=demographics,
            timings_ms=watch.times_ms,
            roi=region,
        )
    with watch.stage("conditions"):
        findings = assess(region)
        tone = skin_tone.estimate(region, checks)
    with watch.stage("ensemble"):
        prediction, model = _predict(ensemble, region, demographics)
    return report.compose(
        photo=picture,
        face=faces[0],
        checks=checks,
        guidance=quality.guidance(checks, "Analysis complete"),
        findings=findings,
        skin_tone=tone,
        model=model,
        demographics=demographics,
        timings_ms=watch.times_ms,
        roi=region,
        prediction=prediction,
    )


def _open(data: bytes, max_pixels: int, watch: _Watch) -> tuple[Photo, tuple[Face, ...]]:
    """Decode as small as the face allows and find the faces."""
    with watch.stage("decode"):
        picture = photo.decode(data, min_short_side=DECODE_SHORT_SIDE, max_pixels=max_pixels)
    with watch.stage("face"):
        faces = face.detect(picture.rgb)
    if not faces or picture.scale == 1.0 or faces[0].box.width >= FACE_WIDTH:
        return picture, faces
    short_side = math.ceil(min(picture.rgb.shape[:2]) * FACE_WIDTH / faces[0].box.width)
    with watch.stage("decode"):
        finer = photo.decode(data, min_short_side=short_side, max_pixels=max_pixels)
    return finer, tuple(found.scaled(finer.scale / picture.scale) for found in faces)


def _examine(picture: Photo, faces: tuple[Face, ...], watch: _Watch) -> tuple[tuple[Check, ...], Roi | None]:
    """Quality checks of the first face, and its Roi unless the box alone was refused."""
    checks = quality.check_faces(picture, faces)
    if quality.refusal(checks):
        return checks, None
    with watch.stage("roi"):
        region = roi.extract(picture, faces[0])
        return checks + quality.check_roi(region), region


def _predict(ensemble: Ensemble, region: Roi, said: Demographics) -> tuple[Prediction | None, ModelState]:
    """The prediction and the state of the very artefact that gave it, also when it is exchanged meanwhile."""
    state = ensemble.state()
    try:
        prediction = ensemble.predict(region, said)
    except ModelUnavailable as error:
        return None, ModelState(available=False, reason=error.message)
    return prediction, state if state.details.get("version") == prediction.version else ensemble.state()


class _Watch:
    """Milliseconds per stage; a stage that runs twice adds up. No stage begins once the result is not wanted."""

    def __init__(self, is_wanted: Callable[[], bool]) -> None:
        self.times_ms: dict[str, float] = {}
        self._is_wanted = is_wanted

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        if not self._is_wanted():
            raise Abandoned(name)
        start = time.perf_counter()
        try:
            yield
        finally:
            self.times_ms[name] = self.times_ms.get(name, 0.0) + (time.perf_counter() - start) * 1000.0
